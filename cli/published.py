"""What an upload published, in a few lines."""

from __future__ import annotations

from cli.console import out
from cli.standing import gap_line
from stope.models.gap import Gap
from stope.models.job import Job, JobRun, JobType


def print_published(job: Job, run: JobRun) -> None:
    """How many items are there, what this run sent, its gaps, and where it all is.

    Nothing where the job is a pipeline without an upload.
    """
    result = job.result or {}
    parts, gaps, metrics = result.get("result"), result.get("gaps"), run.metrics or {}
    if not isinstance(parts, dict) or "upload_to" not in parts:
        return
    sent, repaired = metrics.get("items_uploaded", 0), metrics.get("items_repaired", 0)
    if parts.get("read_back") is False:
        found, known = parts.get("items_taken"), "were taken, which is all that can be known there"
    else:
        found, known = parts.get("items_verified"), "are there, read back"
    line = f"{found} of {parts.get('items')} items {known}; "
    line += f"{sent} sent ({_size(metrics.get('bytes_uploaded'))})" if sent else "nothing to send"
    if repaired:
        line += f", {repaired} again: gone or changed"
    # A pipeline's own summary has its gaps.
    for gap in gaps if isinstance(gaps, list) and job.type is JobType.UPLOAD else []:
        out.print(gap_line(Gap.model_validate(gap)), style="yellow", markup=False)
    out.print(line, markup=False)
    out.print(f"  {parts.get('location')}", markup=False)


def _size(count: object) -> str:
    """Bytes as people read them."""
    number = count if isinstance(count, int) else 0
    return f"{number / 1e6:.1f} MB" if number >= 1_000_000 else f"{number / 1e3:.1f} kB"
