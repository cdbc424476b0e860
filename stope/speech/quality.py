"""Doubt: what can be wrong with the words of one chunk, measured against its sound.

=====================  =============================================================================
loop                   a phrase of at most 15 words stands four times or more in a row, over eight
                       words or more; or zlib shrinks the text by more than 2.4
stock phrase           a sentence known from subtitles, with less than 0.3 s of speech under it or
                       with less than 0.3 of probability; or a subtitler's credit
text without speech    more than 8 words in a second of speech; or three words in a row, or all,
                       with no speech within 0.4 s of them
speech without text    4 s of speech or more between two words or beside them; or less than half a
                       word in a second, over 4 s or more
low confidence         geometric mean of the words' probabilities under 0.4 in the chunk, or under
                       0.3 over six words in a row
=====================  =============================================================================

Words are as ``stope.wording`` counts them, letters of unspaced scripts as half a word. Speech is
Silero's probability over 0.5 in frames of 32 ms. It is computed only for chunks in which something
cheap to see is unusual: words that are sure, of a usual pace and over loud sound are believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from stope.models.transcript import ChunkTranscript, Flag, FlagKind, Word
from stope.speech.repetition import COMPRESSION_LIMIT, compression_ratio, find_loops
from stope.speech.score import mean_probability, words_of
from stope.speech.sound import Sound
from stope.speech.stock import is_credit, is_stock_phrase
from stope.utterances import ends_sentence
from stope.wording import normalise

MOST_WORDS_PER_SECOND = 8.0
FEWEST_WORDS_PER_SECOND = 0.5
UNHEARD_SECONDS = 4.0
HARDLY_SPEECH_SECONDS = 0.3
UNVOICED_WORDS = 3
LOW_CHUNK_PROBABILITY = 0.4
LOW_RUN_PROBABILITY = 0.3
LOW_RUN_WORDS = 6

_STRENGTH = (
    FlagKind.STOCK_PHRASE,
    FlagKind.LOOP,
    FlagKind.TEXT_WITHOUT_SPEECH,
    FlagKind.LOW_CONFIDENCE,
    FlagKind.SPEECH_WITHOUT_TEXT,
)

_REACH = 0.4
"""Seconds: word times from attention are that far off at times."""

_LONGEST_WORD = 2.0
"""Seconds: a longer one is stretched over what has no text."""

_USUAL_RATE = (0.8, 5.5)
_USUAL_PROBABILITY = 0.6
_QUIET = 35.0
"""Decibels below the loud parts of its chunk, under which a word is looked at."""


def find_flags(answer: ChunkTranscript, sound: Sound) -> tuple[Flag, ...]:
    """Everything doubtful about an answer, by start; what its engine flagged is kept.

    Words that are flagged for one reason are not flagged again for a weaker one.

    Args:
        answer: the words, with times inside the chunk.
        sound: the chunk.
    """
    words = words_of(answer)
    forms = [" ".join(normalise(word.text)) for word in words]
    flags = [*answer.flags, *_loops(words, forms), *_low_confidence(words)]
    if _unusual(words, forms, sound):
        flags += _stock_phrases(words, sound)
        flags += _text_without_speech(words, forms, sound)
        flags += _speech_without_text(words, forms, sound)
    return tuple(sorted(_strongest(flags), key=lambda flag: (flag.start, flag.end, flag.kind)))


def _strongest(flags: Sequence[Flag]) -> list[Flag]:
    kept: list[Flag] = []
    for flag in sorted(flags, key=lambda flag: _STRENGTH.index(flag.kind)):
        words = range(flag.first_word or 0, flag.end_word or 0)
        told = {index for one in kept for index in range(one.first_word or 0, one.end_word or 0)}
        if not words or not told.issuperset(words):
            kept.append(flag)
    return kept


def _loops(words: Sequence[Word], forms: Sequence[str]) -> Iterator[Flag]:
    loops = find_loops(forms)
    for loop in loops:
        # The first time it may well have been said.
        phrase = " ".join(word.text for word in words[loop.first : loop.first + loop.period])
        yield _flag(
            FlagKind.LOOP,
            words,
            (loop.first + loop.period, loop.end),
            f"“{phrase}” stands here {loop.repeats} times in a row.",
        )
    if not loops and compression_ratio(" ".join(forms)) > COMPRESSION_LIMIT:
        yield _flag(FlagKind.LOOP, words, (0, len(words)), "The text repeats itself very much.")


def _low_confidence(words: Sequence[Word]) -> Iterator[Flag]:
    mean = mean_probability(words)
    if mean is None:
        return
    if mean < LOW_CHUNK_PROBABILITY:
        yield _low(words, 0, len(words))
        return
    first: int | None = None
    end = 0
    for index in range(len(words) - LOW_RUN_WORDS + 1):
        window = mean_probability(words[index : index + LOW_RUN_WORDS])
        if window is None or window >= LOW_RUN_PROBABILITY:
            continue
        if first is not None and index > end:
            yield _low(words, first, end)
            first = None
        first = index if first is None else first
        end = index + LOW_RUN_WORDS
    if first is not None:
        yield _low(words, first, end)


def _low(words: Sequence[Word], first: int, end: int) -> Flag:
    return _flag(FlagKind.LOW_CONFIDENCE, words, (first, end), "The recognizer is unsure of this.")


def _unusual(words: Sequence[Word], forms: Sequence[str], sound: Sound) -> bool:
    """Whether anything cheap to see makes speech worth computing."""
    if not words:
        return True
    slow, fast = _USUAL_RATE
    rate = _count(forms) / sound.seconds
    probability = mean_probability(words)
    return (
        rate > fast
        or (rate < slow and sound.seconds >= UNHEARD_SECONDS)
        or (probability is not None and probability < _USUAL_PROBABILITY)
        or any(end - start >= UNHEARD_SECONDS for start, end in _gaps(words, sound))
        or any(_quiet(word, sound) for word in words)
        or any(_suspect_sentence(words[first:end]) for first, end in _sentences(words))
    )


def _quiet(word: Word, sound: Sound) -> bool:
    start, end = _times(word)
    return sound.loudest(start - _REACH, end + _REACH) < sound.loud - _QUIET


def _suspect_sentence(words: Sequence[Word]) -> bool:
    text = " ".join(word.text for word in words)
    return is_credit(text) or (len(words) <= 8 and is_stock_phrase(text))


def _stock_phrases(words: Sequence[Word], sound: Sound) -> Iterator[Flag]:
    for first, end in _sentences(words):
        sentence = words[first:end]
        text = " ".join(word.text for word in sentence)
        if is_credit(text):
            note = f"“{text}” is how subtitles are signed; it was hardly said."
        elif is_stock_phrase(text) and _hardly_said(sentence, sound):
            note = f"“{text}” is often written over silence, and hardly any speech is here."
        else:
            continue
        yield _flag(FlagKind.STOCK_PHRASE, words, (first, end), note)


def _hardly_said(words: Sequence[Word], sound: Sound) -> bool:
    start, end = _times(words[0])[0] - _REACH, _times(words[-1])[1] + _REACH
    probability = mean_probability(words)
    return sound.speech_within(start, end) < HARDLY_SPEECH_SECONDS or (
        probability is not None and probability < LOW_RUN_PROBABILITY
    )


def _text_without_speech(
    words: Sequence[Word], forms: Sequence[str], sound: Sound
) -> Iterator[Flag]:
    speech = sound.speech_seconds
    if words and _count(forms) > MOST_WORDS_PER_SECOND * max(speech, HARDLY_SPEECH_SECONDS):
        yield _flag(
            FlagKind.TEXT_WITHOUT_SPEECH,
            words,
            (0, len(words)),
            f"{len(words)} words stand over {speech:.1f} s of speech, more than anybody says.",
        )
        return
    voiced = [sound.voiced(_times(word)[0] - _REACH, _times(word)[1] + _REACH) for word in words]
    first = 0
    for index in range(len(words) + 1):
        if index < len(words) and not voiced[index]:
            continue
        if index - first >= UNVOICED_WORDS or index - first == len(words) > 0:
            yield _flag(
                FlagKind.TEXT_WITHOUT_SPEECH,
                words,
                (first, index),
                "These words stand where no speech is heard.",
            )
        first = index + 1


def _speech_without_text(
    words: Sequence[Word], forms: Sequence[str], sound: Sound
) -> Iterator[Flag]:
    speech = sound.speech_seconds
    if speech < UNHEARD_SECONDS:
        return
    found = [
        (start, end)
        for start, end in _gaps(words, sound)
        if sound.speech_within(start, end) >= UNHEARD_SECONDS
    ]
    for start, end in found:
        yield Flag(
            kind=FlagKind.SPEECH_WITHOUT_TEXT,
            start=round(start, 3),
            end=round(end, 3),
            note=f"{sound.speech_within(start, end):.0f} s of speech here have no text.",
        )
    if not found and _count(forms) < FEWEST_WORDS_PER_SECOND * speech:
        yield Flag(
            kind=FlagKind.SPEECH_WITHOUT_TEXT,
            start=0,
            end=round(sound.seconds, 3),
            note=f"{speech:.0f} s of speech here have only {len(words)} words.",
        )


def _gaps(words: Sequence[Word], sound: Sound) -> Iterator[tuple[float, float]]:
    """Stretches without a word: before, between and after them."""
    spans = [(start, min(end, start + _LONGEST_WORD)) for start, end in map(_times, words)]
    for (_, before), (after, _) in pairwise([(0.0, 0.0), *spans, (sound.seconds, sound.seconds)]):
        if after > before:
            yield before, after


def _sentences(words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    first = 0
    for index, word in enumerate(words):
        if ends_sentence(word.text) or index + 1 == len(words):
            yield first, index + 1
            first = index + 1


def _count(forms: Sequence[str]) -> float:
    """Words, where letters of unspaced scripts (single, beyond Latin) count half."""
    return sum(
        0.5 if len(part) == 1 and ord(part) > 0x0E00 else 1.0
        for form in forms
        for part in form.split()
    )


def _times(word: Word) -> tuple[float, float]:
    return word.start or 0.0, word.end or word.start or 0.0


def _flag(kind: FlagKind, words: Sequence[Word], span: tuple[int, int], note: str) -> Flag:
    first, end = span
    start, stop = _times(words[first])[0], _times(words[end - 1])[1]
    return Flag(
        kind=kind,
        start=round(start, 3),
        end=round(max(start, stop), 3),
        first_word=first,
        end_word=end,
        note=note,
    )
