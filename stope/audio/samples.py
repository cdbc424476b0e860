"""The decoded samples of one recording, from the nearest place that has them.

That is a file on this machine; else the copy that another worker has shared, of which only the
windows that are wanted are read; else the recording is decoded once more. No place is believed:
every window is compared with the plan.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from stope.audio.decode import (
    decode_once,
    is_decoded,
    read_window,
    remove_scratch,
    scratch_samples,
)
from stope.audio.shared import SharedCopy, SharedSamples
from stope.audio.timeline import Samples
from stope.errors import StopeError
from stope.identity import digest_bytes
from stope.models.audio import SAMPLE_RATE, ChunkPlan
from stope.sources.source import Source

log = logging.getLogger(__name__)

T = TypeVar("T")

SHARED_FROM = 5 * 60 * SAMPLE_RATE
"""Samples of the shortest recording that is shared: a shorter one is decoded in a second or two,
and a copy of it costs four requests at least."""


class RecordingSamples:
    """Gives all samples of a recording to whoever plans, and windows to whoever listens.

    Args:
        source: the recording, which was compared with its digest just now.
        file: where its samples are on this machine, or go.
        shared: the copies of its job; None where there are none, and none are to be made.
        compare: raises where the recording is not any more what it was.
        note: says what takes long just now.
        draining: set when this worker is leaving; it shares nothing then.

    Used as a context, it ends what it does for other workers when that is left.

    Raises:
        InputError: any method that gives samples: nothing can be decoded, or it has changed.
        StorageFullError: there is no room for the file.
        StorageUnavailableError: the recording cannot be reached, or the store of the copies while
            there is no file as it was planned: a copy that may be there is not passed over.
        StorageRefusedError: that store does not let us.
    """

    def __init__(
        self,
        source: Source,
        file: Path,
        *,
        shared: SharedSamples | None,
        compare: Callable[[], Awaitable[None]],
        note: Callable[[str], None],
        draining: asyncio.Event,
    ) -> None:
        self._source = source
        self._file = file
        self._shared = shared
        self._compare = compare
        self._note = note
        self._draining = draining
        self._plan: ChunkPlan | None = None
        self._digests: dict[tuple[int, int], str] = {}
        self._copy: SharedCopy | None = None
        self._wrong: set[str] = set()
        """Names of copies with a window that was not what it had to be, or was not there."""
        self._compared = True
        """Whether the source was, since the last time that it was read, or long passed."""
        self._made = 0
        """How often the file was made or taken away here."""
        self._decoded_here = False
        """Whether this attempt has decoded: to do it again would give the same."""
        self._differs = False
        """Whether what is decoded here is not what was planned."""
        self._settled = False
        """Whether a copy for others was seen to, as far as this attempt does it."""
        self._sharing: asyncio.Task[None] | None = None
        self._ended = False
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Share no more. A thread that sends ends with the part that is on its way."""
        self._ended = True
        if self._sharing is not None:
            self._sharing.cancel()
            await asyncio.wait([self._sharing])

    async def decode(self) -> None:
        """Have the file with all samples, which is decoded where it is not there."""
        async with self._opening:
            await self._decode()

    async def whole(self, work: Callable[[Path], T]) -> T:
        """What is made of the file with all samples, in a thread."""
        while True:
            await self.decode()
            try:
                return await asyncio.to_thread(work, self._file)
            except FileNotFoundError:
                self._was_removed()

    def follow(self, plan: ChunkPlan) -> None:
        """From now on windows are those of a plan: it says what is in them."""
        self._plan = plan
        if plan.samples < SHARED_FROM:
            self._shared = None
        self._digests = {
            (chunk.start_sample, chunk.end_sample): chunk.digest for chunk in plan.chunks
        }

    async def window(self, start: int, end: int) -> Samples:
        """Samples ``[start, end)``, shape ``(end - start,)``."""
        while True:
            try:
                copy = await self._nearest(start, end)
                if copy is None:
                    found = await self._window_here(start, end)
                else:
                    found = await self._window_of(copy, start, end)
            except FileNotFoundError:
                self._was_removed()
                continue
            if found is not None:
                return found

    async def remove(self) -> None:
        """Delete the file and the copies. A store that does not let us is told of, no more."""
        self._ended = True
        await asyncio.to_thread(remove_scratch, self._file)
        if self._sharing is not None:
            # Not cancelled: a thread that still sends could publish what is deleted below.
            await asyncio.wait([self._sharing])
        if self._shared is not None:
            try:
                await self._shared.remove_all()
            except StopeError as error:
                log.warning("the shared samples stay until `stope gc`: %s", error)

    async def _nearest(self, start: int, end: int) -> SharedCopy | None:
        """The copy to read a window of; None where the file has it."""
        async with self._opening:
            if self._differs or not await asyncio.to_thread(is_decoded, self._file):
                if self._copy is None:
                    self._copy = await self._find()
                if self._copy is not None and self._digest(self._copy, start, end) is not None:
                    return self._copy
                await self._decode()
            return None

    async def _window_here(self, start: int, end: int) -> Samples | None:
        """A window of the file; None where it is not what was planned, and may be had elsewhere.

        A file may be torn by a power loss, or be of another version of the decoder.
        """
        made = self._made
        found = await asyncio.to_thread(read_window, self._file, start, end)
        if await asyncio.to_thread(self._is_planned, found, start, end):
            self._share()
            return found
        async with self._opening:
            if made != self._made:
                return None
            if self._differs:
                return found
            if self._decoded_here:
                log.warning(
                    "%s is decoded otherwise here than when it was planned, by another version of "
                    "the decoder or on another kind of machine; where there is no copy, it is "
                    "heard so",
                    self._source,
                )
                self._differs = True
                return None
            log.warning("the samples in %s are not those of the plan; made again", self._file)
            await asyncio.to_thread(remove_scratch, self._file)
            self._made += 1
            self._compared = self._settled = False
        return None

    def _is_planned(self, found: Samples, start: int, end: int) -> bool:
        """Whether a window is as long as it has to be, and every chunk in it what it was. Slow."""
        return found.size == end - start and all(
            digest_bytes(found[first - start : last - start].tobytes()) == digest
            for (first, last), digest in self._digests.items()
            if start <= first and last <= end
        )

    async def _window_of(self, copy: SharedCopy, start: int, end: int) -> Samples | None:
        """A window of a copy; None where it cannot be had from there, and never will."""
        assert self._shared is not None  # noqa: S101  (or there were no copy)
        data = await self._shared.read(copy, start, end)
        if data is not None:
            if await asyncio.to_thread(digest_bytes, data) == self._digest(copy, start, end):
                return np.frombuffer(data, dtype="<i2")
            log.warning("the shared samples %s are damaged; they are not used", copy.path)
        else:
            log.info("the shared samples %s are gone", copy.path)
        self._wrong.add(copy.path)
        if self._copy is copy:
            self._copy, self._compared = None, False
        return None

    def _digest(self, copy: SharedCopy, start: int, end: int) -> str | None:
        """What a window of a copy has to have; None where nobody knows."""
        found = self._digests.get((start, end))
        if found is None and self._plan is not None and (start, end) == (0, self._plan.samples):
            return copy.digest
        return found

    async def _find(self) -> SharedCopy | None:
        if self._shared is None or self._plan is None:
            return None
        return await self._shared.find(self._plan.samples, self._wrong)

    async def _decode(self) -> None:
        """Decode the recording, unless that was done; again only if it is still the same."""
        if await asyncio.to_thread(is_decoded, self._file):
            return
        if not self._compared:
            await self._compare()
        self._compared = False
        self._note("decoding")
        await asyncio.to_thread(decode_once, self._source, self._file)
        self._made += 1
        self._decoded_here = True

    def _share(self) -> None:
        """Begin to publish the file for workers of other machines, unless that was done."""
        if self._settled or self._shared is None or self._plan is None or self._is_leaving():
            return
        if self._sharing is None or self._sharing.done():
            self._settled = True
            self._sharing = asyncio.create_task(self._publish(self._shared, self._plan))

    def _is_leaving(self) -> bool:
        return self._ended or self._draining.is_set()

    async def _publish(self, shared: SharedSamples, plan: ChunkPlan) -> None:
        """Publish the file, beside the hearing. It is for others: its trouble ends nothing."""
        try:
            if await shared.find(plan.samples, self._wrong) is not None:
                return
            if not await asyncio.to_thread(_fits, self._file, plan):
                log.warning(
                    "%s is decoded otherwise than when it was planned; its samples are not shared",
                    self._source,
                )
                return
            published = await shared.publish(self._file, self._is_leaving)
            if published is not None:
                self._wrong.discard(published.path)
        except FileNotFoundError:
            # Whoever reads the next window makes it again, and this is begun again.
            self._settled = False
        except (StopeError, OSError) as error:
            log.warning("the samples of %s are not shared: %s", self._source, error)

    def _was_removed(self) -> None:
        log.info("another run of this recording has ended; its samples are made again")


def _fits(file: Path, plan: ChunkPlan) -> bool:
    """Whether a file has the samples that a plan was made of, as far as it says."""
    return scratch_samples(file) == plan.samples and all(
        digest_bytes(read_window(file, chunk.start_sample, chunk.end_sample).tobytes())
        == chunk.digest
        for chunk in plan.chunks
    )
