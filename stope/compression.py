"""Compression of what is stored: zstd, recognised by its first bytes, so that plain stays readable.

Everything that is compressed is JSON, or text in UTF-8, and neither begins with zstd's magic
number. Bytes that do begin with it are always compressed once more: what is read back is what was
stored, whatever it was.
"""

from __future__ import annotations

import zstandard

from stope.errors import RecordsError

MAGIC = b"\x28\xb5\x2f\xfd"
"""Of a zstd frame (RFC 8878, 3.1.1)."""

THRESHOLD = 512
"""Bytes from which it pays: see ``docs/records.md``. Below, a few bytes are saved at best."""

LEVEL = 3

LARGE = 1 << 20
"""Bytes from which time matters more than room: those are arrays, above all."""

LARGE_LEVEL = 1
"""For them. Frames of a video take half the time of ``LEVEL``, and a quarter more room."""

MAX_BYTES = 1 << 30
"""What a stored value may decompress to. The words of a hundred hours of speech take a tenth."""

_MAX_WINDOW = 1 << 27
"""Bytes of memory that a frame may ask for: zstd's own limit for its highest levels."""


def packed(data: bytes) -> bytes:
    """Bytes as they are stored: compressed where that makes them smaller."""
    forced = data.startswith(MAGIC)
    if len(data) < THRESHOLD and not forced:
        return data
    small = compressor_of(len(data)).compress(data)
    return small if forced or len(small) < len(data) else data


def compressor_of(size: int) -> zstandard.ZstdCompressor:
    """What makes the frame of so many bytes, at once or as they are read."""
    # The size is in the frame, so that a reader knows before it makes room for it.
    return zstandard.ZstdCompressor(
        level=LARGE_LEVEL if size >= LARGE else LEVEL,
        write_content_size=True,
        write_checksum=True,
    )


def unpacked(data: bytes, what: str, limit: int = MAX_BYTES) -> bytes:
    """Stored bytes as they were given to ``packed``, or to a version that did not compress.

    Args:
        data: what is stored.
        what: names it in the error.
        limit: the result has at most so many bytes.

    Raises:
        RecordsError: the bytes are damaged, or would become more than the limit.
    """
    if not data.startswith(MAGIC):
        return data
    try:
        # A frame that does not say its size is held to the limit; one that does is asked first.
        if zstandard.frame_content_size(data) > limit:
            raise RecordsError(
                f"{what} would decompress to more than {limit} bytes, which nothing of ours does; "
                "it was not written by Stope."
            )
        reader = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        return reader.decompress(data, max_output_size=limit, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise RecordsError(
            f"{what} is damaged: it cannot be decompressed ({error}). `stope verify` says what "
            "else is; `stope redo` makes it again."
        ) from error
