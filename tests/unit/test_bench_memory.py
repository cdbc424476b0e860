"""The peak of a process's memory is seen, also when it is given back before the end."""

from __future__ import annotations

import asyncio
import os

import psutil
import pytest

from benchmarks.bench.memory import Memory, watched
from tests.waiting import until

LARGE = 64 << 20


async def test_a_peak_is_kept_after_the_memory_was_given_back() -> None:
    async with watched(os.getpid()) as memory:
        before = memory.peak
        block = bytearray(os.urandom(1 << 20) * (LARGE >> 20))

        async def seen() -> bool:
            return memory.peak >= before + LARGE // 2

        await until(seen, "the block in the peak")
        peak = memory.peak
        del block
        memory.look()
    assert memory.peak >= peak >= before + LARGE // 2


async def test_a_process_that_is_gone_cannot_be_measured() -> None:
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    with pytest.raises(psutil.NoSuchProcess):
        Memory(process.pid)
