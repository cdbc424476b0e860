"""Changes of speaker: from voice prints to turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stope.models.audio import Chunk
from stope.models.diarization import Turn
from stope.speakers.clustering import Labels, Stretches, Vectors, find_voices, unit
from stope.speakers.voices import ChunkVoices, windows_of

_STRETCH = 4
"""Windows that are taken together to find the voices: more than two seconds of speech."""

_LEAST_WINDOWS = 2
_LEAST_SECONDS = 4.0
_PURE = 0.76
"""Length of the mean of a stretch's unit vectors: with two voices in it, it is shorter."""

_ALIKE = 0.6
"""Two stretches of speech close to each other that agree by this much are one phrase."""

_CHANGE = 0.3
"""What a change of speaker costs where nobody pauses, in cosine of one window."""

_CHANGE_IN_PAUSE = 0.05

_BRIDGE = 1.0
"""Seconds of silence that a turn may hold."""

Times = npt.NDArray[np.float64]


@dataclass(frozen=True)
class VoiceTrack:
    """All windows of a recording in order.

    ``start`` and ``end`` are seconds from its start; ``region`` numbers the stretches of speech
    without a pause; ``vectors`` are float16, of unit length, shape ``(windows, 256)``.
    """

    start: Times
    end: Times
    region: Labels
    vectors: npt.NDArray[np.float16]

    @classmethod
    def joined(cls, heard: Sequence[tuple[Chunk, ChunkVoices]]) -> VoiceTrack:
        """The windows of all chunks."""
        spans: list[tuple[float, float]] = []
        regions: list[int] = []
        vectors: list[npt.NDArray[np.float16]] = [np.zeros((0, 256), np.float16)]
        number = 0
        for chunk, voices in heard:
            for region in voices.regions:
                windows = windows_of(region)
                spans += [(chunk.start + start, chunk.start + end) for start, end in windows]
                regions += [number] * len(windows)
                number += 1
            vectors.append(voices.vectors().astype(np.float16))
        times = np.array(spans, np.float64).reshape(-1, 2)
        return cls(times[:, 0], times[:, 1], np.array(regions, np.intp), np.concatenate(vectors))

    @property
    def middle(self) -> Times:
        """The middle of each window."""
        return (self.start + self.end) / 2


def turns_of(track: VoiceTrack, speakers: int | None) -> tuple[Turn, ...]:
    """Turns by start, of as many speakers as there are voices."""
    if not track.start.size:
        return ()
    voices = find_voices(_stretches(track), speakers)
    likeness = np.concatenate(
        [
            track.vectors[first : first + 4096].astype(np.float32) @ voices.T
            for first in range(0, len(track.vectors), 4096)
        ]
    )
    return _named(_bridged(_spans(track, likeness, _labels(track, likeness))))


def _stretches(track: VoiceTrack) -> Stretches:
    """Runs of windows of one voice; the short and the mixed only when there is little else."""
    vectors: list[Vectors] = []
    seconds: list[float] = []
    counts: list[int] = []
    for windows in _phrases(track):
        for run in np.array_split(windows, -(-windows.size // _STRETCH)):
            vectors.append(track.vectors[run].astype(np.float32).mean(axis=0))
            seconds.append(_spoken(track, run))
            counts.append(run.size)
    means, lengths = np.array(vectors), np.array(seconds)
    good = (np.array(counts) >= _LEAST_WINDOWS) & (np.linalg.norm(means, axis=1) >= _PURE)
    if lengths[good].sum() < _LEAST_SECONDS:
        good[:] = True
    return Stretches(unit(means[good]), lengths[good])


def _phrases(track: VoiceTrack) -> list[Labels]:
    """The windows of each region; regions that are close and sound alike are one phrase."""
    bounds = np.flatnonzero(np.diff(track.region)) + 1
    phrases: list[Labels] = []
    last = np.zeros(track.vectors.shape[1], np.float32)
    for windows in np.split(np.arange(track.region.size), bounds):
        voice = unit(track.vectors[windows].astype(np.float32).mean(axis=0))
        if (
            phrases
            and track.start[windows[0]] - track.end[phrases[-1][-1]] < _BRIDGE
            and float(voice @ last) >= _ALIKE
        ):
            phrases[-1] = np.concatenate([phrases[-1], windows])
        else:
            phrases.append(windows)
        last = voice
    return phrases


def _spoken(track: VoiceTrack, run: Labels) -> float:
    """Seconds of speech under the windows of a run, pauses left out."""
    inside = np.diff(track.start[run])
    inside[np.diff(track.region[run]) > 0] = 0
    lasts = np.append(np.flatnonzero(np.diff(track.region[run])), run.size - 1)
    return float(inside.sum() + (track.end[run[lasts]] - track.start[run[lasts]]).sum())


def _labels(track: VoiceTrack, likeness: Vectors) -> Labels:
    """The most likely voice of every window, when changes have their price (Viterbi)."""
    count, voices = likeness.shape
    came = np.zeros((count, voices), np.intp)
    score = likeness[0].astype(np.float64)
    for index in range(1, count):
        pause = track.region[index] != track.region[index - 1]
        change = score.max() - (_CHANGE_IN_PAUSE if pause else _CHANGE)
        came[index] = np.where(score >= change, np.arange(voices), score.argmax())
        score = np.maximum(score, change) + likeness[index]
    labels = np.zeros(count, np.intp)
    labels[-1] = score.argmax()
    for index in range(count - 1, 0, -1):
        labels[index - 1] = came[index, labels[index]]
    return labels


def _spans(track: VoiceTrack, likeness: Vectors, labels: Labels) -> list[tuple[int, float, float]]:
    """Voice, start and end of every run of equal labels inside a region."""
    spans: list[tuple[int, float, float]] = []
    start = float(track.start[0])
    last = labels.size - 1
    for index, label in enumerate(labels):
        if index < last and track.region[index + 1] == track.region[index]:
            following = labels[index + 1]
            if following == label:
                continue
            end = _crossing(track, likeness, index, int(label), int(following))
            spans.append((int(label), start, end))
            start = end
        else:
            spans.append((int(label), start, float(track.end[index])))
            start = float(track.start[index + 1]) if index < last else 0.0
    return spans


def _crossing(
    track: VoiceTrack, likeness: Vectors, index: int, label: int, following: int
) -> float:
    """When the next window's voice becomes the likelier one, between the windows' middles."""
    before = max(float(likeness[index, label] - likeness[index, following]), 1e-3)
    after = max(float(likeness[index + 1, following] - likeness[index + 1, label]), 1e-3)
    one, other = (float(track.middle[number]) for number in (index, index + 1))
    return one + (other - one) * before / (before + after)


def _bridged(spans: list[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    """Neighbours of one voice become one turn when the pause between them is short."""
    turns: list[tuple[int, float, float]] = []
    for voice, start, end in spans:
        if turns and turns[-1][0] == voice and start - turns[-1][2] < _BRIDGE:
            turns[-1] = (voice, turns[-1][1], end)
        else:
            turns.append((voice, start, end))
    return turns


def _named(turns: list[tuple[int, float, float]]) -> tuple[Turn, ...]:
    """Speakers numbered in the order in which they first speak."""
    names: dict[int, str] = {}
    found: list[Turn] = []
    for voice, start, end in turns:
        name = names.setdefault(voice, f"S{len(names) + 1}")
        found.append(Turn(speaker=name, start=round(start, 3), end=round(end, 3)))
    return tuple(found)
