"""Speech: word error rate, diarization error rate, and whose words are whose."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import groupby

import jiwer
from simpleder import DER
from whisper_normalizer.english import EnglishTextNormalizer

from benchmarks.eval.dialogue import Dialogue, Speech
from benchmarks.eval.script_alignment import ScriptAlignment
from stope.models.frozen import Frozen
from stope.models.transcript import Transcript
from stope.report.document import Document

COLLAR = 0.25
"""Seconds on either side of a true boundary that are not scored, as in NIST's evaluations."""


class WordErrors(Frozen):
    """Errors against the script, both normalised as OpenAI did for Whisper."""

    words: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def rate(self) -> float:
        """WER; above 1 when more was inserted than was said."""
        return (self.substitutions + self.deletions + self.insertions) / max(1, self.words)


class DiarizationErrors(Frozen):
    """Seconds of speech missed, invented, and given to another speaker, of ``scored`` seconds."""

    scored: float = 0
    missed: float = 0
    invented: float = 0
    confused: float = 0

    def __add__(self, other: DiarizationErrors) -> DiarizationErrors:
        return DiarizationErrors(
            scored=self.scored + other.scored,
            missed=self.missed + other.missed,
            invented=self.invented + other.invented,
            confused=self.confused + other.confused,
        )

    @property
    def rate(self) -> float:
        """DER (NIST, Rich Transcription 2009), with ``COLLAR``."""
        return (self.missed + self.invented + self.confused) / self.scored if self.scored else 0.0


class SpeakerErrors(Frozen):
    """Who spoke when, against what is heard and against whole turns.

    In ``speech`` the breaths between sentences are silence: they last 0.38 s, and from 0.3 s on a
    pause divides speech in NIST's evaluations. In ``turns`` they count as speech. ``words_right``
    of ``words`` are attributed to the speaker who said them.
    """

    speech: DiarizationErrors
    turns: DiarizationErrors
    speakers: int
    speakers_found: int
    words: int
    words_right: int


def word_errors(dialogue: Dialogue, transcript: Transcript) -> WordErrors:
    """Compare the transcript's words with the script's."""
    said = " ".join(normal(mark.sentence) for mark in dialogue.marks)
    written = " ".join(normal(part) for part in re.split(r"(?<=[.?!])\s+", transcript.text))
    found = jiwer.process_words(said, " ".join(written.split()))
    return WordErrors(
        words=found.hits + found.substitutions + found.deletions,
        substitutions=found.substitutions,
        deletions=found.deletions,
        insertions=found.insertions,
    )


def normal(text: str) -> str:
    """Text in lower case with numbers as digits: what Whisper's own evaluation compares."""
    return str(_normalizer()(text))


def speaker_errors(
    dialogue: Dialogue, document: Document, alignment: ScriptAlignment
) -> SpeakerErrors | None:
    """Compare who spoke when with the truth; None where nothing tells speakers apart."""
    found = found_turns(document)
    if found is None or document.transcript is None:
        return None
    speech, names = _compare(dialogue.speech, found)
    turns, _ = _compare(dialogue.turns, found)
    attributed = Counter(
        names.get(dialogue.marks[sentence].speaker) == speaker
        for word, speaker in enumerate(document.transcript.word_speakers)
        if (sentence := alignment.sentence_of(word)) is not None
    )
    return SpeakerErrors(
        speech=speech,
        turns=turns,
        speakers=dialogue.speakers,
        speakers_found=len({turn.speaker for turn in found}),
        words=attributed.total(),
        words_right=attributed[True],
    )


def found_turns(document: Document) -> tuple[Speech, ...] | None:
    """The diarization's turns; without one, the runs of words of one speaker."""
    if document.diarization is not None:
        return tuple(
            Speech(speaker=turn.speaker, start=turn.start, end=turn.end)
            for turn in document.diarization.turns
        )
    transcript = document.transcript
    if transcript is None or not any(transcript.word_speakers):
        return None
    spoken = zip(transcript.word_speakers, transcript.words, strict=True)
    turns: list[Speech] = []
    for speaker, run in groupby(spoken, key=lambda pair: pair[0]):
        words = [word for _, word in run]
        start, end = words[0].start, words[-1].end
        if speaker is not None and start is not None and end is not None and end > start:
            turns.append(Speech(speaker=speaker, start=start, end=end))
    return tuple(turns)


def _compare(
    truth: Sequence[Speech], found: Sequence[Speech]
) -> tuple[DiarizationErrors, dict[str, str]]:
    """The errors, and the speakers' names that fit best: true name to found name."""
    scored = DER(
        [(turn.speaker, turn.start, turn.end) for turn in truth],
        [(turn.speaker, turn.start, turn.end) for turn in found],
        collar=COLLAR,
        detailed=True,
    )
    errors = DiarizationErrors(
        scored=scored["ref_length"],
        missed=scored["miss"],
        invented=scored["false_alarm"],
        confused=scored["confusion"],
    )
    return errors, scored["speaker_mapping"]


@cache
def _normalizer() -> EnglishTextNormalizer:
    return EnglishTextNormalizer()
