"""What is stored comes back as it was, whoever wrote it; damage and bombs are refused."""

from __future__ import annotations

import json
import random

import pytest
import zstandard

from stope.compression import LARGE as LARGE_BYTES
from stope.compression import LARGE_LEVEL, LEVEL, MAGIC, THRESHOLD, packed, unpacked
from stope.errors import RecordsError

LARGE = json.dumps([{"text": f"word {n}", "start": n / 3} for n in range(400)]).encode()


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"x" * (THRESHOLD - 1), b"x" * THRESHOLD, LARGE, MAGIC, MAGIC + LARGE],
    ids=["nothing", "json", "small", "at the threshold", "large", "magic", "looks compressed"],
)
def test_bytes_come_back_as_they_were(data: bytes) -> None:
    assert unpacked(packed(data), "it") == data


def test_what_is_compressed_once_more_comes_back_as_it_was() -> None:
    once = packed(LARGE)
    assert once.startswith(MAGIC)
    assert len(once) < len(LARGE) / 3
    assert unpacked(packed(once), "it") == once


@pytest.mark.parametrize("data", [b'{"a": 1}', LARGE, "ünï 🐝".encode()], ids=len)
def test_what_was_written_before_there_was_compression_is_read(data: bytes) -> None:
    assert unpacked(data, "it") == data


@pytest.mark.parametrize(
    ("size", "level"), [(LARGE_BYTES - 1, LEVEL), (LARGE_BYTES, LARGE_LEVEL)], ids=["below", "from"]
)
def test_from_a_size_on_time_matters_more_than_room(size: int, level: int) -> None:
    data = (LARGE * (size // len(LARGE) + 1))[:size]
    compressor = zstandard.ZstdCompressor(level=level, write_content_size=True, write_checksum=True)
    assert packed(data) == compressor.compress(data)
    assert unpacked(packed(data), "it") == data


def test_bytes_that_do_not_get_smaller_stay_plain() -> None:
    data = random.Random(7).randbytes(4 * THRESHOLD)  # noqa: S311  (no secret)
    assert packed(data) == data


@pytest.mark.parametrize("says_its_size", [True, False])
def test_a_bomb_is_refused(says_its_size: bool) -> None:
    maker = zstandard.ZstdCompressor(write_content_size=says_its_size)
    bomb = maker.compress(bytes(1 << 20))
    with pytest.raises(RecordsError, match="the plan of a bomb"):
        unpacked(bomb, "the plan of a bomb", limit=1 << 16)
    assert unpacked(bomb, "it", limit=1 << 20) == bytes(1 << 20)


@pytest.mark.parametrize("place", [5, 40, -1], ids=["header", "content", "checksum"])
def test_damage_is_never_served(place: int) -> None:
    stored = bytearray(packed(LARGE))
    stored[place] ^= 0xFF
    with pytest.raises(RecordsError, match=r"it (is damaged|would decompress)"):
        unpacked(bytes(stored), "it")


@pytest.mark.parametrize("cut", [5, 20, 200])
def test_a_cut_or_longer_value_is_damaged(cut: int) -> None:
    for stored in (packed(LARGE)[:cut], packed(LARGE) + b"more"):
        with pytest.raises(RecordsError, match="damaged"):
            unpacked(stored, "it")
