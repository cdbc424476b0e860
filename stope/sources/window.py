"""A file over range reads, with a bounded memory of what was read."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Callable

from stope.errors import StorageUnavailableError

BLOCK = 2 << 20
"""Bytes of one request. Decoders read on from where they are, so that most of it is used."""

BLOCKS = 12
"""Blocks that are kept: containers are read at several places at once (index, sound, picture)."""


class RangeFile(io.RawIOBase):
    """What a decoder takes for a file. Holds at most ``BLOCKS`` blocks in memory.

    Args:
        read: gives bytes ``[start, end)``.
        size: of the whole.
        name: of the file.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int, name: str = "") -> None:
        super().__init__()
        # FFmpeg looks at the ending where bytes alone do not tell the format.
        self.name = name
        self._read = read
        self._size = size
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.failure: Exception | None = None
        self.requests = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be sought."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go somewhere; also behind the end, where nothing is read."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("before the beginning")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # any writable buffer
        """Fill a buffer as far as one block goes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._at >= self._size or not len(view):
            return 0
        number, offset = divmod(self._at, BLOCK)
        block = self._block(number)
        some = block[offset : offset + len(view)]
        view[: len(some)] = some
        self._at += len(some)
        return len(some)

    def read(self, size: int = -1, /) -> bytes:
        """So many bytes, fewer at the end only; all that are left for -1."""
        left = self._size - self._at if size < 0 else min(size, self._size - self._at)
        parts: list[bytes] = []
        while left > 0:
            number, offset = divmod(self._at, BLOCK)
            some = self._block(number)[offset : offset + left]
            parts.append(some)
            self._at += len(some)
            left -= len(some)
        return b"".join(parts)

    def close(self) -> None:
        """Let go of what was read."""
        self._blocks.clear()
        super().close()

    def _block(self, number: int) -> bytes:
        found = self._blocks.get(number)
        if found is None:
            start = number * BLOCK
            end = min(start + BLOCK, self._size)
            try:
                found = self._read(start, end)
                if len(found) != end - start:
                    # Whoever reads on behind a short block would find nothing, for ever.
                    raise StorageUnavailableError(
                        f"{self.name or 'The input'} gave {len(found)} bytes in the place of "
                        f"{end - start}; check the network. The work goes on when it answers."
                    )
            except Exception as error:
                # Kept: a library that calls us makes another error of it.
                self.failure = error
                raise
            self.requests += 1
            self._blocks[number] = found
            if len(self._blocks) > BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return found
