"""The chunk plan: a recording cut into stretches of speech of at most 28 seconds, in silence.

Whisper hears 30 seconds at a time. Chunks are decoded independently of each other, so the plan,
once stored, decides the transcript: whoever resumes it gets the same words.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stope.audio.activity import FRAME, Probabilities, speech_probabilities
from stope.audio.decode import read_window, scratch_blocks, scratch_damage, scratch_samples
from stope.identity import digest_bytes
from stope.models.audio import SAMPLE_RATE, Chunk, ChunkPlan

MAX_CHUNK = 28 * SAMPLE_RATE
MAX_PAUSE = 2 * SAMPLE_RATE
"""A longer pause always parts two chunks: Whisper invents words over silence."""

_SPEECH = 0.5
_SILENCE = 0.35
_MIN_SILENCE = int(0.16 * SAMPLE_RATE)
_MIN_SPEECH = int(0.1 * SAMPLE_RATE)
_PAD = int(0.2 * SAMPLE_RATE)
_CUT_WINDOW = 8 * SAMPLE_RATE


def plan_chunks(scratch: Path) -> ChunkPlan:
    """Cut a scratch file. Reads it twice, in blocks: for speech, then for each chunk's digest."""
    samples = scratch_samples(scratch)
    spans = cut_spans(speech_probabilities(scratch_blocks(scratch)), samples)
    return ChunkPlan(
        samples=samples,
        chunks=tuple(
            Chunk(
                id=f"chunk_{number:04d}",
                start_sample=start,
                end_sample=end,
                digest=digest_bytes(read_window(scratch, start, end).tobytes()),
            )
            for number, (start, end) in enumerate(spans, start=1)
        ),
        damage=scratch_damage(scratch),
    )


def cut_spans(probabilities: Probabilities, samples: int) -> list[tuple[int, int]]:
    """Spans ``[start, end)`` in samples: in order, disjoint, each at most ``MAX_CHUNK`` long.

    Args:
        probabilities: speech probability per frame of 512 samples.
        samples: length of the recording.
    """
    regions = [
        piece
        for start, end in _speech_regions(probabilities)
        for piece in _pieces(probabilities, start, min(end, samples))
    ]
    merged: list[list[int]] = []
    for start, end in regions:
        if (
            merged
            and start - merged[-1][1] <= MAX_PAUSE
            and end - merged[-1][0] <= MAX_CHUNK - 2 * _PAD
        ):
            merged[-1][1] = end
        else:
            merged.append([start, end])
    return _padded(merged, samples)


def _speech_regions(probabilities: Probabilities) -> list[tuple[int, int]]:
    """Speech with hysteresis: begins above one threshold, ends below a lower one for a while."""
    regions: list[tuple[int, int]] = []
    start: int | None = None
    silent_since: int | None = None
    for index, probability in enumerate(probabilities):
        at = index * FRAME
        if probability >= _SPEECH:
            silent_since = None
            if start is None:
                start = at
        elif start is not None and probability < _SILENCE:
            if silent_since is None:
                silent_since = at
            if at - silent_since >= _MIN_SILENCE:
                regions.append((start, silent_since))
                start = silent_since = None
    if start is not None:
        regions.append((start, silent_since or len(probabilities) * FRAME))
    return [(start, end) for start, end in regions if end - start >= _MIN_SPEECH]


def _pieces(probabilities: Probabilities, start: int, end: int) -> list[tuple[int, int]]:
    """Cut a region that is too long where speech is least likely, as late as it may be."""
    pieces: list[tuple[int, int]] = []
    longest = MAX_CHUNK - 2 * _PAD
    while end - start > longest:
        first = (start + longest - _CUT_WINDOW) // FRAME
        last = (start + longest) // FRAME
        window = probabilities[first:last]
        latest_quietest = len(window) - 1 - int(np.argmin(window[::-1]))
        cut = (first + latest_quietest) * FRAME
        pieces.append((start, cut))
        start = cut
    pieces.append((start, end))
    return pieces


def _padded(spans: list[list[int]], samples: int) -> list[tuple[int, int]]:
    """Widen every span a little, never beyond the middle of the pause to its neighbour."""
    padded: list[tuple[int, int]] = []
    for index, (start, end) in enumerate(spans):
        floor = (spans[index - 1][1] + start) // 2 if index else 0
        ceiling = (end + spans[index + 1][0]) // 2 if index + 1 < len(spans) else samples
        padded.append((max(start - _PAD, floor), min(end + _PAD, ceiling)))
    return padded
