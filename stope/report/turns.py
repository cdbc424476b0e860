"""Turns as RTTM, the form in which diarizations are exchanged and scored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from stope.errors import InputError
from stope.models.diarization import Turn
from stope.report.document import Document
from stope.report.lines import one_line


def render_rttm(document: Document) -> str:
    """A ``SPEAKER`` line a turn, in seconds with three decimals.

    They are the diarization's turns where there is one, else the transcript's timed utterances.
    The name is the one given to a speaker, else the id; white space in it becomes ``_``.

    Raises:
        InputError: nobody's turns are known.
    """
    file_id = _field(PurePath(document.title).stem)
    lines = [
        f"SPEAKER {file_id} 1 {start:.3f} {end - start:.3f} <NA> <NA> "
        f"{_field(document.speaker_names.get(speaker, '').strip() or speaker)} <NA> <NA>\n"
        for speaker, start, end in spoken_turns(document)
    ]
    if not lines:
        raise InputError(
            f"Nobody's turns are known in {document.title}, so there is no rttm; transcribe the "
            "recording with --diarize required, or export another format."
        )
    return "".join(lines)


def spoken_turns(document: Document) -> Iterator[tuple[str, float, float]]:
    """Speaker, start and end in seconds: the diarization's turns, else the timed utterances."""
    if document.diarization is not None and document.diarization.turns:
        yield from map(_spoken, document.diarization.turns)
        return
    transcript = document.transcript
    for utterance in transcript.utterances if transcript else ():
        words = transcript.words[utterance.first_word : utterance.end_word] if transcript else ()
        starts = [word.start for word in words if word.start is not None]
        ends = [word.end for word in words if word.end is not None]
        if utterance.speaker and starts and ends and max(ends) > min(starts):
            yield utterance.speaker, min(starts), max(ends)


def _spoken(turn: Turn) -> tuple[str, float, float]:
    return turn.speaker, turn.start, max(turn.start, turn.end)


def _field(text: str) -> str:
    """A field of a line whose fields are divided by white space."""
    return "_".join(one_line(text).split()) or "_"
