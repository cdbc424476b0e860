"""Which frames of a video are taken."""

from __future__ import annotations

from stope.models.vision import VideoProbe


def sample_times(probe: VideoProbe, count: int) -> tuple[float, ...]:
    """So many times in seconds, evenly spaced: the middles of equal stretches of the video.

    Neither the first nor the last frame is one of them (unless there are hardly any): these are
    black more often than others. The frame shown at each is taken; where the frame rate varies,
    or is low, two times may show the same one.
    """
    stretch = (probe.end - probe.start) / count
    return tuple(probe.start + (number + 0.5) * stretch for number in range(count))
