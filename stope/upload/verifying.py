"""Verifying: every item is read back, and put once more where it is not what it should be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from stope.errors import ItemRefusedError, StageFailedError, UnitError, WorkerDrainingError
from stope.models.checkpoint import UploadCheckpoint
from stope.models.upload import Item, Receipt
from stope.stage import StageRun
from stope.upload.destination import Destination
from stope.upload.patience import ItemPatience
from stope.upload.putting import slots


@dataclass
class Verified:
    """What was found at a destination.

    ``sound`` items are there as they should be, ``repaired`` of them only after being put again;
    ``failed`` are not, with the reason.
    """

    sound: int = 0
    repaired: int = 0
    failed: list[tuple[Item, str]] = field(default_factory=list)


async def verify(
    run: StageRun[UploadCheckpoint],
    destination: Destination,
    items: Sequence[Item],
    put_again: Callable[[Item], Awaitable[Receipt]],
    told: Mapping[str, str],
) -> Verified:
    """Read the digest of every item at the destination, or in its receipts if it cannot be asked.

    It is not committed: what is true of a destination now need not be so for the next run.

    Args:
        run: the attempt.
        destination: where the items were put, in this run or in one before.
        items: all that should be there.
        put_again: puts one, whatever was there before.
        told: SHA-256 in the newest receipt of each item there. An old one, of a unit that is read
            back, says nothing of what other runs have put in its place since.

    Raises:
        WorkerDrainingError: this worker is leaving.
        StageFailedError: there are items, and not one is there.
        StopeError: what the destination raises, but for ``UnitError``.
    """
    found = Verified()
    pending = iter(items)

    async def read(item: Item) -> str | None:
        return await destination.digest(item.id)

    reading = ItemPatience(read, items, draining=run.draining, note=run.note)

    async def work() -> None:
        for item in pending:
            if run.draining.is_set():
                raise WorkerDrainingError(
                    f"This worker is leaving with {len(items) - _settled(found)} of {len(items)} "
                    "items to verify; any worker on this queue goes on."
                )
            try:
                mended = await _mended(destination, item, reading.of, put_again, told)
                found.repaired += mended
                found.sound += 1
            except UnitError as error:
                found.failed.append((item, str(error)))
            run.note(f"{_settled(found)} of {len(items)} items read back")

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(slots(run, destination)):
                group.create_task(work())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    if items and not found.sound:
        raise StageFailedError(
            f"Not one of {len(items)} items is at {destination.url}: {found.failed[0][1]}"
        )
    order = {item.id: place for place, item in enumerate(items)}
    found.failed.sort(key=lambda pair: order[pair[0].id])
    return found


def _settled(found: Verified) -> int:
    return found.sound + len(found.failed)


async def _mended(
    destination: Destination,
    item: Item,
    read: Callable[[Item], Awaitable[str | None]],
    put_again: Callable[[Item], Awaitable[Receipt]],
    told: Mapping[str, str],
) -> bool:
    """Whether an item had to be put again.

    Raises:
        ItemRefusedError: it is not there, also after that; or nobody can say.
    """
    kept = await read(item)
    # Asked after the question: it may be the one that shows that there is no answer.
    if not destination.reads_back:
        kept = told.get(item.id)
    if kept == item.digest:
        return False
    await put_again(item)
    if not destination.reads_back:
        return True
    kept = await read(item)
    if kept != item.digest:
        what = "does not keep it" if kept is None else "keeps other bytes under its name"
        raise ItemRefusedError(
            f"{item.id} was put at {destination.url} twice, and it {what}; look there, then "
            "upload again."
        )
    return True
