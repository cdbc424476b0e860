"""Voice prints become turns: the right number of speakers, changes in time, nothing too short."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from stope.models.audio import SAMPLE_RATE, Chunk
from stope.speakers.changes import VoiceTrack, turns_of
from stope.speakers.clustering import Stretches, Vectors, find_voices, unit
from stope.speakers.embedded import speech_regions
from stope.speakers.voices import ChunkVoices, Region, windows_of

SPREAD = 0.75
"""Noise of a print: two of one voice then agree by about 0.65, as those of real voices do."""

VOICES = {
    name: unit(np.random.default_rng(seed).standard_normal(256).astype(np.float32))
    for seed, name in enumerate("abcd")
}


def prints(voice: str, count: int, seed: int) -> Vectors:
    noise = unit(np.random.default_rng(seed).standard_normal((count, 256)).astype(np.float32))
    return unit(VOICES[voice] + SPREAD * noise)


def heard(*spoken: tuple[str, float, float], start: float = 0.0) -> tuple[Chunk, ChunkVoices]:
    """A chunk in which voices speak, each a region of its own from one second to another."""
    regions: list[Region] = [(begin, end) for _, begin, end in spoken]
    vectors = [
        prints(voice, len(windows_of(region)), 100 + number)
        for number, ((voice, _, _), region) in enumerate(zip(spoken, regions, strict=True))
    ]
    sample = round(start * SAMPLE_RATE)
    chunk = Chunk(id="c", start_sample=sample, end_sample=sample + 30 * SAMPLE_RATE, digest="")
    packed = ChunkVoices.packed(np.concatenate(vectors))
    return chunk, ChunkVoices(regions=tuple(regions), prints=packed)


def turns_in(
    *chunks: tuple[Chunk, ChunkVoices], speakers: int | None = None
) -> list[tuple[str, float, float]]:
    found = turns_of(VoiceTrack.joined(chunks), speakers)
    return [(turn.speaker, turn.start, turn.end) for turn in found]


def test_speakers_are_counted_and_numbered_as_they_first_speak() -> None:
    one = heard(("b", 0, 6), ("a", 6.5, 12), ("b", 12.5, 20))
    other = heard(("c", 0, 8), ("a", 8.5, 15), start=30)
    assert turns_in(one, other) == [
        ("S1", 0, 6),
        ("S2", 6.5, 12),
        ("S1", 12.5, 20),
        ("S3", 30, 38),
        ("S2", 38.5, 45),
    ]


def test_a_voice_that_speaks_alone_is_one_speaker() -> None:
    assert turns_in(heard(("a", 0, 9), ("a", 9.4, 14), ("a", 16, 25))) == [
        ("S1", 0, 14),
        ("S1", 16, 25),
    ]


def test_a_short_answer_goes_to_the_voice_it_sounds_like() -> None:
    found = turns_in(heard(("a", 0, 8), ("b", 8.4, 8.8), ("a", 9.2, 15), ("b", 15.5, 22)))
    assert [speaker for speaker, _, _ in found] == ["S1", "S2", "S1", "S2"]
    assert found[1] == ("S2", 8.4, 8.8)


def test_less_than_two_seconds_make_no_speaker() -> None:
    found = turns_in(heard(("a", 0, 10), ("c", 10.5, 11.6), ("a", 12, 20)))
    assert {speaker for speaker, _, _ in found} == {"S1"}


def test_a_change_without_a_pause_is_found_in_the_middle_of_the_region() -> None:
    region = (0.0, 12.0)
    windows = windows_of(region)
    vectors = np.concatenate(
        [prints("a" if end <= 6.2 else "b", 1, n) for n, (_, end) in enumerate(windows)]
    )
    chunk = Chunk(id="c", start_sample=0, end_sample=12 * SAMPLE_RATE, digest="")
    voices = ChunkVoices(regions=(region,), prints=ChunkVoices.packed(vectors))
    [one, other] = turns_in((chunk, voices))
    assert (one[0], other[0]) == ("S1", "S2")
    assert one[2] == other[1] == pytest.approx(6.0, abs=0.5)


@pytest.mark.parametrize("speakers", [1, 2, 3])
def test_as_many_speakers_as_somebody_knows(speakers: int) -> None:
    chunk = heard(("a", 0, 6), ("b", 6.5, 12), ("c", 12.5, 20))
    assert len({speaker for speaker, _, _ in turns_in(chunk, speakers=speakers)}) == speakers


def test_no_windows_no_turns() -> None:
    assert turns_in() == []
    assert turns_in((heard(("a", 0, 1))[0], ChunkVoices(regions=(), prints=""))) == []


def test_a_single_word_is_a_turn() -> None:
    assert turns_in(heard(("a", 1.0, 1.3))) == [("S1", 1.0, 1.3)]


def test_many_stretches_are_clustered_in_batches_to_the_same_voices() -> None:
    vectors = np.concatenate([prints("abcd"[n % 4], 1, n) for n in range(1500)])
    found = find_voices(Stretches(vectors, np.full(len(vectors), 2.0)), None)
    assert len(found) == 4
    wanted = np.stack(list(VOICES.values()))
    assert (found @ wanted.T).max(axis=1).min() > 0.9


def test_voices_do_not_depend_on_the_run() -> None:
    vectors = np.concatenate([prints("ab"[n % 2], 1, n) for n in range(60)])
    stretches = Stretches(vectors, np.full(len(vectors), 2.0))
    assert np.array_equal(find_voices(stretches, None), find_voices(stretches, None))


@pytest.mark.parametrize("length", [0.1, 0.8, 0.81, 3.3, 28.0])
def test_windows_cover_their_region(length: float) -> None:
    windows = windows_of((1.0, 1.0 + length))
    assert windows[0][0] == 1.0
    assert windows[-1][1] == pytest.approx(1.0 + length)
    assert all(end - start <= 0.8 + 1e-9 for start, end in windows)
    assert all(later[0] <= earlier[1] for earlier, later in pairwise(windows))


def test_prints_come_back_as_they_were_packed() -> None:
    vectors = prints("a", 5, 1)
    voices = ChunkVoices(regions=((0, 1),), prints=ChunkVoices.packed(vectors))
    assert np.allclose(voices.vectors(), vectors, atol=1e-3)


def test_regions_end_where_somebody_pauses() -> None:
    speech, pause, breath = [0.9] * 30, [0.1] * 10, [0.1] * 3
    probabilities = np.array([*pause, *speech, *breath, *speech, *pause, *speech], np.float32)
    frame = 512 / SAMPLE_RATE
    found = speech_regions(probabilities, len(probabilities) * frame)
    assert found == [
        (round(10 * frame, 3), round(73 * frame, 3)),
        (round(83 * frame, 3), round(113 * frame, 3)),
    ]


def test_a_voice_is_the_mean_of_all_that_is_nearest_to_it() -> None:
    """A stretch too odd for any cluster still counts for the voice that it is nearest to."""
    vectors = np.concatenate([prints("a", 30, 1), prints("b", 30, 2)])
    odd = unit(0.5 * VOICES["a"] + VOICES["c"])[None]
    stretches = Stretches(np.concatenate([vectors, odd]), np.full(61, 2.0))
    voices = find_voices(stretches, 2)
    nearest = (stretches.vectors @ voices.T).argmax(axis=1)
    for number, voice in enumerate(voices):
        members = stretches.vectors[nearest == number]
        assert voice == pytest.approx(unit(members.sum(axis=0)), abs=1e-5)
