"""The exports that need no layout: JSON and plain text."""

from __future__ import annotations

from stope.errors import InputError
from stope.models.transcript import Transcript
from stope.report.document import Document
from stope.report.lines import one_line, transcript_lines


def render_json(document: Document) -> str:
    """The whole document, indented; ``Document.model_validate_json`` reads it back."""
    return document.model_dump_json(indent=2) + "\n"


def render_txt(document: Document) -> str:
    """The transcript, one utterance a line, led by the speaker where the speaker changes.

    Raises:
        InputError: the document has no transcript.
    """
    lines = (
        f"{one_line(line.speaker)}: {line.text}" if line.turn and line.speaker else line.text
        for line in transcript_lines(transcript_of(document))
    )
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
