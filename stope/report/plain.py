"""The exports that need no layout: JSON and plain text."""

from __future__ import annotations

from stope.errors import InputError
from stope.models.transcript import Transcript
from stope.report.document import Document
from stope.report.lines import one_line
from stope.report.passages import Notice, passages


def render_json(document: Document) -> str:
    """The whole document, indented; ``Document.model_validate_json`` reads it back."""
    return document.model_dump_json(indent=2) + "\n"


def render_txt(document: Document) -> str:
    """The transcript, one utterance a line, led by the speaker where the speaker changes.

    What is missing from it or doubtful stands in its place, in brackets.

    Raises:
        InputError: the document has no transcript.
    """
    transcript_of(document)
    lines: list[str] = []
    for item in passages(document):
        if isinstance(item, Notice):
            lines.append(f"[{one_line(item.sentence)}]")
        elif item.turn and item.speaker:
            lines.append(f"{one_line(document.name_of(item.speaker))}: {item.text}")
        else:
            lines.append(item.text)
    return "".join(f"{line}\n" for line in lines)


def transcript_of(document: Document) -> Transcript:
    """The transcript of a document.

    Raises:
        InputError: it has none.
    """
    if document.transcript is None:
        raise InputError(
            f"The job {document.job_id} has no transcript to write as text or subtitles; export "
            "json, md or html, or the transcribe job of the recording."
        )
    return document.transcript
