"""Speakers: how much each of them says, and the names that people give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from stope.errors import UsageError
from stope.models.frozen import Frozen
from stope.models.job import JsonObject
from stope.report.document import Document
from stope.report.turns import spoken_turns

LONGEST_NAME = 80

_FIRST_WORDS = 8


class SpeakerShare(Frozen):
    """One speaker of a transcript.

    ``seconds`` is None where the transcript has no times; ``share`` is of all speakers' seconds,
    or else of their words.
    """

    speaker: str
    name: str | None
    words: int = Field(ge=0)
    seconds: float | None
    share: float = Field(ge=0, le=1)
    first_words: str


def speaker_shares(document: Document) -> list[SpeakerShare]:
    """The speakers of a document, in the order in which they first speak.

    Raises:
        UsageError: it has no transcript, or nobody is told apart in it.
    """
    said: dict[str, list[str]] = {}
    transcript = document.transcript
    for utterance in transcript.utterances if transcript else ():
        if transcript is not None and utterance.speaker is not None:
            words = transcript.words[utterance.first_word : utterance.end_word]
            said.setdefault(utterance.speaker, []).extend(word.text for word in words)
    if not said:
        raise UsageError(
            f"The job {document.job_id} has no transcript with speakers: nobody was told apart in "
            "it. `stope run --diarize required` does so, or says why it cannot."
        )
    # A turn without a word has nobody to be recognised by.
    seconds = dict.fromkeys(said, 0.0)
    for speaker, start, end in spoken_turns(document):
        if speaker in seconds:
            seconds[speaker] += end - start
    timed = all(seconds.values())
    amounts = seconds if timed else {speaker: float(len(words)) for speaker, words in said.items()}
    total = sum(amounts.values())
    return [
        SpeakerShare(
            speaker=speaker,
            name=document.speaker_names.get(speaker),
            words=len(words),
            seconds=round(seconds[speaker], 3) if timed else None,
            share=round(amounts[speaker] / total, 4) if total else 0.0,
            first_words=" ".join(words[:_FIRST_WORDS]),
        )
        for speaker, words in said.items()
    ]


def checked_names(names: Mapping[str, str], speakers: Sequence[str]) -> dict[str, str]:
    """Names fit to be kept, without needless spaces.

    Args:
        names: by speaker; an empty one takes a name away.
        speakers: those of the transcript.

    Raises:
        UsageError: there is no such speaker, or the name cannot be one.
    """
    found: dict[str, str] = {}
    for speaker, name in names.items():
        if speaker not in speakers:
            raise UsageError(
                f"There is no speaker {speaker!r} in this transcript; there are "
                f"{', '.join(speakers)}."
            )
        clean = " ".join(name.split())
        if not clean.isprintable():
            raise UsageError(f"The name for {speaker} has characters that cannot be shown.")
        if len(clean) > LONGEST_NAME:
            raise UsageError(
                f"The name for {speaker} has {len(clean)} characters; at most {LONGEST_NAME} fit."
            )
        found[speaker] = clean
    return found


def transcript_digest_of(result: JsonObject) -> str | None:
    """The digest of the transcript that a final result leads to."""
    parts = result.get("result")
    digest = parts.get("transcript_digest") if isinstance(parts, dict) else None
    return digest if isinstance(digest, str) else None
