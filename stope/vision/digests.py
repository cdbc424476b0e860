"""Whether a video is still what it was."""

from __future__ import annotations

from stope.errors import InputError
from stope.models.vision import Video
from stope.sources.source import Source


def read_video(source: Source) -> Video:
    """A video's digest and size; it is read front to back, and nothing is done to it.

    Raises:
        InputError: it is not there, cannot be read, or is empty.
        StorageUnavailableError: it is remote and cannot be reached.
    """
    try:
        size = source.size
        if size == 0:
            raise InputError(f"{source} is empty (0 bytes); give a video.")
        return Video(location=source.location, digest=source.sha256(), size=size)
    except OSError as error:
        raise InputError(
            f"{source} cannot be read ({error.strerror}); check the path and its permissions."
        ) from error


def check_content(source: Source, digest: str) -> Video:
    """``read_video``, of a video that must have a content.

    Raises:
        InputError: it has another one by now.
    """
    video = read_video(source)
    if video.digest != digest:
        raise InputError(
            f"{source} has changed since this job was made; run it again and its new content "
            "becomes a job of its own."
        )
    return video
