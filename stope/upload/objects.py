"""A prefix of an object store as a destination: each item an object, published whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stope.errors import (
    DestinationRefusedError,
    DestinationUnavailableError,
    ObjectChangedError,
    ObjectMissingError,
    StorageRefusedError,
    StorageUnavailableError,
)
from stope.models.upload import Item, Receipt
from stope.objects.store import ObjectStore
from stope.upload.destination import checked_id


class ObjectDestination:
    """Objects below the URL of a store.

    Their contents are read back and not their ETags, which are no digests where an object was sent
    in parts or is encrypted.

    Args:
        store: where to.
    """

    parallel = 8
    keeps_records = False
    reads_back = True

    def __init__(self, store: ObjectStore) -> None:
        self.url = store.url
        self._store = store

    async def put(self, item: Item) -> Receipt:
        """See ``Destination``."""
        checked_id(item.id)
        with _translated():
            written = not await self._has(item)
            if written:
                await self._store.put(item.id, item.data)
        return Receipt(
            item_id=item.id,
            digest=item.digest,
            location=self._store.uri(item.id),
            written=written,
        )

    async def digest(self, item_id: str) -> str | None:
        """See ``Destination``."""
        checked_id(item_id)
        with _translated():
            try:
                return await self._store.digest(item_id)
            except ObjectMissingError:
                return None

    async def close(self) -> None:
        """See ``Destination``."""

    async def _has(self, item: Item) -> bool:
        """Whether these very bytes are there; only what has their size is read."""
        info = await self._store.head(item.id)
        if info is None or info.size != len(item.data):
            return False
        try:
            return await self._store.digest(item.id) == item.digest
        except ObjectMissingError:
            return False


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except StorageRefusedError as error:
        raise DestinationRefusedError(str(error)) from error
    except (StorageUnavailableError, ObjectChangedError) as error:
        wait = getattr(error, "retry_after", None)
        raise DestinationUnavailableError(str(error), retry_after=wait) from error
