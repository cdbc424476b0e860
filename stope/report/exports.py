"""Exports: the formats a document is written in, and their files."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from stope.errors import UsageError
from stope.report.document import Document
from stope.report.markdown import render_md
from stope.report.page import render_html
from stope.report.plain import render_json, render_txt
from stope.report.subtitles import render_srt, render_vtt
from stope.report.table import render_csv
from stope.report.turns import render_rttm, spoken_turns


@dataclass(frozen=True)
class Format:
    """The file of an export, the pure function that makes its text, and what it is for."""

    file_name: str
    render: Callable[[Document], str]
    purpose: str


FORMATS: dict[str, Format] = {
    "html": Format("report.html", render_html, "the report page, which plays the recording"),
    "md": Format("claims.md", render_md, "a note with front matter"),
    "txt": Format("transcript.txt", render_txt, "the transcript"),
    "json": Format("knowledge.json", render_json, "everything, for programs"),
    "srt": Format("transcript.srt", render_srt, "subtitles"),
    "vtt": Format("transcript.vtt", render_vtt, "subtitles with speakers"),
    "csv": Format("claims.csv", render_csv, "the claims, for spreadsheets"),
    "rttm": Format("speakers.rttm", render_rttm, "who spoke when"),
}


def formats_for(document: Document) -> tuple[str, ...]:
    """The formats that say something about a document: no subtitles without times, and so on."""
    transcript = document.transcript
    timed = transcript is not None and any(word.start is not None for word in transcript.words)
    mined = document.knowledge is not None or document.mined is not None
    turns = next(spoken_turns(document), None) is not None
    fits = {"txt": transcript is not None, "srt": timed, "vtt": timed, "csv": mined, "rttm": turns}
    return tuple(name for name in FORMATS if fits.get(name, True))


def write_exports(
    document: Document, folder: Path, formats: Iterable[str], *, audio: str | None = None
) -> list[Path]:
    """Write a document in each of the formats, and return the files in their order.

    All are rendered before the first is written, and each is published whole: a reader never
    sees half a file, and an error leaves the older files as they were.

    Args:
        document: what to write.
        folder: made when absent.
        formats: names in ``FORMATS``; one named twice is written once.
        audio: where the html report finds the recording; see ``render_html``.

    Raises:
        UsageError: a format is unknown, or the folder cannot be written.
        InputError: the document lacks what a format needs: a transcript, times, turns or claims.
    """
    texts: dict[str, str] = {}
    for name in formats:
        chosen = FORMATS.get(name)
        if chosen is None:
            raise UsageError(f"There is no export format {name!r}; use {', '.join(FORMATS)}.")
        # The page alone plays the recording, so that the others need not know where it is.
        text = render_html(document, audio) if name == "html" else chosen.render(document)
        texts[chosen.file_name] = text
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file_name, text in texts.items():
            _publish(folder / file_name, text)
    except OSError as error:
        raise UsageError(
            f"The exports cannot be written to {folder} ({error.strerror or error}); name a folder "
            "you can write to, with space left."
        ) from error
    return [folder / file_name for file_name in texts]


def _publish(path: Path, text: str) -> None:
    """Replace a file by a whole new one, with the permissions any new file gets."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
