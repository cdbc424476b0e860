"""The chunk plan: speech and nothing but speech, in pieces that Whisper can hear at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from stope.audio.activity import FRAME, Probabilities
from stope.audio.chunks import MAX_CHUNK, MAX_PAUSE, cut_spans
from stope.models.audio import SAMPLE_RATE

SPEECH, SILENCE = 0.95, 0.05
FRAMES_PER_SECOND = SAMPLE_RATE / FRAME
Spans = list[tuple[int, int]]


def sound(*parts: tuple[float, float]) -> Probabilities:
    """Probabilities of parts, each given by its seconds and its speech probability."""
    return np.concatenate(
        [np.full(round(seconds * FRAMES_PER_SECOND), level, np.float32) for seconds, level in parts]
    )


def random_sound(seed: int) -> Probabilities:
    """Turns of speech of up to a minute and pauses of up to four seconds, both with noise."""
    dice = np.random.default_rng(seed)
    parts = []
    for _ in range(30):
        parts += [(dice.uniform(0.2, 60), 0.85), (dice.uniform(0.1, 4), 0.1)]
    noise = dice.uniform(-0.1, 0.1, size=sound(*parts).shape)
    return (sound(*parts) + noise).astype(np.float32)


def spans_of(probabilities: Probabilities) -> Spans:
    """The spans of a sound, with everything that must hold for every plan."""
    samples = len(probabilities) * FRAME
    spans = cut_spans(probabilities, samples)
    assert all(0 <= start < end <= samples for start, end in spans)
    assert all(end - start <= MAX_CHUNK for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    return spans


def covered(spans: Spans, frames: int) -> np.ndarray:
    """Which frames stand wholly in a span."""
    found = np.zeros(frames, bool)
    for start, end in spans:
        found[-(-start // FRAME) : end // FRAME] = True
    return found


@pytest.mark.parametrize("seed", range(8))
def test_chunks_are_short_ordered_disjoint_and_cover_all_speech(seed: int) -> None:
    probabilities = random_sound(seed)
    spans = spans_of(probabilities)
    assert len(spans) > 10
    assert not np.any((probabilities > 0.5) & ~covered(spans, len(probabilities)))
    assert spans == cut_spans(probabilities, len(probabilities) * FRAME)


@pytest.mark.parametrize("seconds", [0, 0.5, 60])
def test_silence_has_no_chunks(seconds: float) -> None:
    assert spans_of(sound((seconds, SILENCE))) == []


def test_a_click_is_not_speech() -> None:
    assert spans_of(sound((1, SILENCE), (0.064, SPEECH), (1, SILENCE))) == []


def test_one_turn_is_one_chunk_a_little_wider_than_its_speech() -> None:
    ((start, end),) = spans_of(sound((5, SILENCE), (10, SPEECH), (5, SILENCE)))
    assert 4.5 < start / SAMPLE_RATE < 5
    assert 15 < end / SAMPLE_RATE < 15.5


def test_a_chunk_does_not_reach_beyond_the_recording() -> None:
    probabilities = sound((3, SPEECH))
    samples = len(probabilities) * FRAME - 100
    assert cut_spans(probabilities, samples) == [(0, samples)]


def test_turns_with_short_pauses_between_them_share_a_chunk() -> None:
    assert len(spans_of(sound(*[(3, SPEECH), (0.5, SILENCE)] * 4))) == 1


def test_a_long_pause_parts_two_chunks_and_is_heard_by_neither() -> None:
    pause = MAX_PAUSE / SAMPLE_RATE + 1
    first, second = spans_of(sound((3, SPEECH), (pause, SILENCE), (3, SPEECH)))
    assert (second[0] - first[1]) / SAMPLE_RATE > pause - 0.6


def test_a_dip_between_the_thresholds_does_not_end_speech() -> None:
    assert len(spans_of(sound((3, SPEECH), (4, 0.42), (3, SPEECH)))) == 1
    assert len(spans_of(sound((3, SPEECH), (4, 0.30), (3, SPEECH)))) == 2


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    probabilities = sound((22, SPEECH), (0.1, 0.6), (2, SPEECH), (0.1, 0.55), (15, SPEECH))
    first, second = spans_of(probabilities)
    quietest = int(np.argmin(probabilities))
    assert quietest * FRAME <= first[1] == second[0] < (quietest + 4) * FRAME
    assert (first[0], second[1]) == (0, len(probabilities) * FRAME)


def test_speech_as_loud_everywhere_is_cut_as_late_as_it_may_be() -> None:
    spans = spans_of(sound((70, SPEECH)))
    assert [round((end - start) / SAMPLE_RATE) for start, end in spans] == [28, 28, 15]
    assert all(before[1] == after[0] for before, after in pairwise(spans))
