"""The artifacts that a step names beside its context: noted, so that a run that keeps it has them.

What a step gives may be a list of digests. Only the run that stored these artifacts has noted a
need of them, and another run that reads the step's record back needs them as much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from stope.artifacts import ArtifactStore
from stope.models.steps import StepRecord, StepUses

_AT_ONCE = 64


class UsesLog:
    """Notes what one attempt at a step stores, reads or holds.

    Args:
        artifacts: the store, on behalf of the run.

    Attributes:
        artifacts: the same store; what passes through it is noted here, too.
    """

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._digests: set[str] = set()
        self._store = artifacts
        self.artifacts = artifacts.telling(self._note)

    async def _note(self, digests: Sequence[str], name: str) -> None:
        self._digests.update(digests)
        await self._store.hold_all(digests, name)

    async def stored(self, beside: Iterable[str | None]) -> str:
        """Store the list of what was noted, and return its digest; '' where there is nothing.

        ``beside`` is left out: digests that stand in the context anyway.
        """
        others = self._digests - set(beside)
        if not others:
            return ""
        return await self._store.put_model(StepUses(digests=tuple(sorted(others))))


async def hold_uses(artifacts: ArtifactStore, record: StepRecord) -> tuple[str, ...]:
    """Note that a run needs what a step's record names beside the context, and return it.

    Raises:
        ArtifactError: the list is gone or damaged.
    """
    if not record.uses:
        return ()
    digests = (await artifacts.get_model(record.uses, StepUses)).digests
    await artifacts.hold_all(digests, record.step)
    return digests


async def lost_uses(artifacts: ArtifactStore, digests: Sequence[str]) -> list[str]:
    """Those artifacts that are not there any more.

    Raises:
        TransientError: whether they are there cannot be seen just now.
    """
    lost: list[str] = []

    async def look(digest: str) -> None:
        if not await artifacts.exists(digest):
            lost.append(digest)

    for begin in range(0, len(digests), _AT_ONCE):
        await asyncio.gather(*map(look, digests[begin : begin + _AT_ONCE]))
    return sorted(lost)
