"""Items in batches: what a place that takes many at once does with one at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from stope.errors import StopeError
from stope.models.upload import Item, Receipt
from stope.upload.batching import Batcher
from stope.upload.destination import checked_id


class ItemBatches:
    """Puts items, and asks what stands under ids, in batches.

    Args:
        put: sends some items, and gives what became of each.
        read: asks about some ids, and gives the digest under each.
        most_items: in a batch of items.
        most_bytes: the same; a larger item goes alone.
        most_ids: in a question.
        flights: batches on their way at once.
    """

    def __init__(
        self,
        put: Callable[[Sequence[Item]], Awaitable[Sequence[Receipt | StopeError]]],
        read: Callable[[Sequence[str]], Awaitable[Sequence[str | StopeError | None]]],
        *,
        most_items: int,
        most_bytes: int,
        most_ids: int,
        flights: int,
    ) -> None:
        self._items = Batcher[Item, Receipt](
            put,
            name=lambda item: item.id,
            size=lambda item: len(item.data),
            most=most_items,
            most_bytes=most_bytes,
            flights=flights,
        )
        self._ids = Batcher[str, str | None](read, name=str, most=most_ids, flights=flights)

    async def put(self, item: Item) -> Receipt:
        """See ``Destination``."""
        checked_id(item.id)
        return await self._items.ask(item)

    async def digest(self, item_id: str) -> str | None:
        """See ``Destination``."""
        return await self._ids.ask(checked_id(item_id))

    async def close(self) -> None:
        """End what is on its way; whoever waits for it is cancelled."""
        await self._items.close()
        await self._ids.close()
