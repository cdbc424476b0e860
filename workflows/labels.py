"""What people read about a workflow in the Web UI: names, summaries, static details.

They are written into history when a workflow or an activity is scheduled, so they carry names and
ids, never content, and stay well under the server's limit of 400 bytes for a summary.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from urllib.parse import quote

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from stope.models.job import InputKind, JobInput, JobType
    from stope.models.messages import JobRequest

SOURCE_CHARACTERS = 60
"""A longer name is cut in the middle; at four bytes each it still fits every limit."""

_DIGEST_CHARACTERS = 12
_MARKDOWN = re.compile(r"([\\`*\[\]<>|])")
"""What makes links, tags, code and cells. An underscore in a file's name does no harm."""


_STAGE_TITLES = {
    JobType.TRANSCRIBE: "Transcribe {}",
    JobType.MINE: "Mine the claims of {}",
    JobType.FLAGSHIP: "Judge the claims of {}",
    JobType.UPLOAD: "Publish what is known of {}",
}


def source_label(source: JobInput) -> str:
    """What people call an input: its file's name, or which stored document it is."""
    if source.kind is InputKind.FILES:
        more = f" and {len(source.files) - 1} more" if len(source.files) > 1 else ""
        return printable(f"{PurePath(source.path).name or 'no file'}{more}")
    if source.kind in (InputKind.RECORDING, InputKind.TEXT):
        return printable(PurePath(source.path).name)
    return f"{source.kind.value} {source.digest[:_DIGEST_CHARACTERS]}"


def printable(name: str) -> str:
    """A file's name as one short line of valid Unicode, whatever bytes the file system holds."""
    valid = name.encode("utf-8", "replace").decode("utf-8")
    line = " ".join("".join(c if c.isprintable() else " " for c in valid).split())
    if len(line) > SOURCE_CHARACTERS:
        half = (SOURCE_CHARACTERS - 1) // 2
        line = f"{line[:half]}…{line[-half:]}"
    return line or "(unnamed)"


def label_of(request: JobRequest) -> str:
    """What people call the input of a workflow."""
    return request.source or request.job_id


def title(
    job_type: JobType, label: str, kind: InputKind = InputKind.RECORDING, pipeline: str = ""
) -> str:
    """The static summary of a workflow, in Markdown.

    ``kind`` is what a pipeline starts from; ``pipeline`` is the name of a step pipeline.
    """
    name = escaped(label)
    if job_type is JobType.STEPS:
        return f"{pipeline} of {name}"
    if job_type is JobType.PIPELINE:
        spoken = kind is InputKind.RECORDING
        return f"Transcribe, mine and judge {name}" if spoken else f"Mine and judge {name}"
    return _STAGE_TITLES.get(job_type, f"{job_type.value} {{}}").format(name)


def static_details(job_id: str, label: str, pipeline_id: str | None = None) -> str:
    """The static details of a workflow, in Markdown."""
    of_pipeline = f", a stage of `{pipeline_id}`" if pipeline_id else ""
    return (
        f"Input: {escaped(label)}\n\nJob: `{job_id}`{of_pipeline}\n\n"
        f"In a terminal: `stope watch {job_id}`, `stope checkpoint {job_id}`"
    )


def activity_summary(
    request: JobRequest, what: str, attempt: int | None = None, scope: str | None = None
) -> str:
    """The summary of an activity, in plain text: of what, what it does, in which attempt.

    ``scope`` says to which units, as far as that is known when it is scheduled.
    """
    parts = [
        what,
        *([scope] if scope else []),
        *([] if attempt is None else [f"attempt {attempt}"]),
    ]
    return f"{label_of(request)}: {', '.join(parts)}"


def escaped(text: str) -> str:
    """A text as Markdown that shows just this text, also in a cell of a table."""
    return _MARKDOWN.sub(r"\\\1", text)


def workflow_link(text: str, namespace: str, workflow_id: str) -> str:
    """A link to a workflow's page in the Web UI."""
    return (
        f"[{text}](/namespaces/{quote(namespace, safe='')}/workflows/{quote(workflow_id, safe='')})"
    )
