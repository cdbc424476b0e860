"""The recording as a report finds it: embedded when it is small, else where it lies."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path, PurePath

from stope.errors import InputError, StopeError
from stope.identity import digest_bytes
from stope.sources.source import Source

EMBED_BYTES = 5_000_000
"""Up to this size a recording is embedded unless told otherwise: some 20 minutes of Opus."""

EMBED_LIMIT = 200_000_000
"""Browsers give up on addresses much longer than this."""

_MEDIA_TYPES = {
    ".aac": "audio/aac",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".m4b": "audio/mp4",
    ".mka": "audio/webm",
    ".mkv": "video/webm",
    ".mov": "video/mp4",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".webm": "video/webm",
}


def recording_url(recording: Path, digest: str, folder: Path, embed: bool | None = None) -> str:
    """What ``render_html`` is told about a recording.

    Args:
        recording: its absolute path.
        digest: SHA-256 of what was transcribed; other bytes are never embedded.
        folder: where the report is written.
        embed: whether to embed it; None: when it has at most ``EMBED_BYTES``.

    Returns:
        A ``data:`` URL; or the path relative to the folder, when it lies in the folder or below, so
        that both can be moved together; or a ``file:`` URL.

    Raises:
        InputError: it is to be embedded, and cannot be read, has changed, or is over
            ``EMBED_LIMIT``.
    """
    limit = {None: EMBED_BYTES, True: EMBED_LIMIT, False: -1}[embed]
    try:
        size = recording.stat().st_size
        data = recording.read_bytes() if size <= limit else None
    except OSError as error:
        if embed:
            raise InputError(
                f"The recording {recording} cannot be read to embed it ({error.strerror}); put it "
                "back, or export with --no-embed-audio."
            ) from error
        return _link(recording, folder)
    if embed and data is None:
        raise _too_large(recording, size)
    if data is None:
        return _link(recording, folder)
    if digest_bytes(data) != digest:
        if embed:
            raise _other(recording)
        return _link(recording, folder)
    return _embedded(recording, data)


def remote_recording_url(
    source: Source, digest: str, embed: bool | None = None, *, link: bool
) -> str | None:
    """``recording_url`` for a recording that is read where it lies, elsewhere. Blocks.

    Args:
        source: the recording, open.
        digest: SHA-256 of what was transcribed; other bytes are never embedded.
        embed: as for ``recording_url``.
        link: whether whoever has its location can play it.

    Returns:
        A ``data:`` URL, its location, or None where neither can be.

    Raises:
        InputError: it is to be embedded, and has changed or is over ``EMBED_LIMIT``.
        StorageUnavailableError: it is to be embedded and cannot be reached.
    """
    limit = {None: EMBED_BYTES, True: EMBED_LIMIT, False: -1}[embed]
    elsewhere = source.location if link else None
    if source.size > limit:
        if embed:
            raise _too_large(source.location, source.size)
        return elsewhere
    try:
        with source.open() as stream:
            data = stream.read()
    except StopeError:
        if embed:
            raise
        return elsewhere
    if digest_bytes(data) == digest:
        return _embedded(PurePath(source.location), data)
    if embed:
        raise _other(source.location)
    return elsewhere


def _embedded(recording: PurePath, data: bytes) -> str:
    return f"data:{media_type(recording)};base64,{b64encode(data).decode()}"


def _too_large(recording: object, size: int) -> InputError:
    return InputError(
        f"The recording {recording} has {size / 1e6:.0f} MB, and at most "
        f"{EMBED_LIMIT // 1_000_000} MB can be embedded in a report; export with --no-embed-audio."
    )


def _other(recording: object) -> InputError:
    return InputError(
        f"The recording {recording} has changed since it was transcribed, so it is not embedded; "
        "put the old one back, run the new one, or export with --no-embed-audio."
    )


def media_type(recording: PurePath) -> str:
    """The media type by the file's name; browsers look into the file themselves for the rest."""
    return _MEDIA_TYPES.get(recording.suffix.lower(), "application/octet-stream")


def _link(recording: Path, folder: Path) -> str:
    beside = recording.resolve()
    home = folder.resolve()
    if beside.is_relative_to(home):
        return beside.relative_to(home).as_posix()
    return recording.as_uri()
