"""The port: a place that takes items."""

from __future__ import annotations

import re
from typing import Protocol

from stope.errors import ItemRefusedError
from stope.models.upload import ITEM_ID, LONGEST_ID, Item, Receipt

GOES_ON = "the upload goes on when it can"
"""How the sentence of a ``DestinationUnavailableError`` ends: nobody has to do anything."""


class Destination(Protocol):
    """A place that items are published at. Every engine passes ``tests/contract``.

    Every method may raise:

    - ``DestinationUnavailableError`` or ``StorageFullError``: it may work later, try again;
    - ``DestinationRateLimitedError``: the same, and it is there: it wants fewer requests;
    - ``PutOffError``: the same of this one item, and it is tried a few times only;
    - ``DestinationRefusedError``: nothing can be put or read there until somebody mends it;
    - ``ItemRefusedError``: this one item cannot, others can.
    """

    url: str
    """Where it is, without secrets: part of every unit's key and of every receipt."""

    parallel: int
    """Items that may be on their way at once."""

    keeps_records: bool
    """Whether it is given each record as an item of its own, or else files with many."""

    reads_back: bool
    """Whether it can say what stands under an id. It may turn out that it cannot, with the first
    question: ``digest`` gives None then, and its receipts are all there is."""

    async def put(self, item: Item) -> Receipt:
        """Publish an item whole, in place of what stands under its id.

        Putting the same item again changes nothing. A reader sees the old item or the new one,
        also when this process dies in between. It returns once the item is safe there.
        """

    async def digest(self, item_id: str) -> str | None:
        """SHA-256 of the bytes that stand under an id, read anew; None where there are none."""

    async def close(self) -> None:
        """Let go of connections."""


def checked_id(item_id: str) -> str:
    """An id that can be a path below a destination and lead nowhere else.

    Raises:
        ItemRefusedError: it cannot.
    """
    if len(item_id) > LONGEST_ID or not re.fullmatch(ITEM_ID, item_id):
        raise ItemRefusedError(
            f"The item id {item_id[:LONGEST_ID]!r} cannot be a place below a destination; ids are "
            "names of letters, digits, dots, dashes and underscores, divided by slashes."
        )
    return item_id
