"""A destination in memory that fails as it is told, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from stope.errors import StopeError
from stope.identity import digest_bytes
from stope.models.upload import Item, Receipt
from stope.upload.destination import checked_id


class Mishap(StrEnum):
    """What can go wrong behind a receipt."""

    LOST = "lost"
    CHANGED = "changed"


Fault = StopeError | Mishap | None
"""An error that ``put`` raises, or what becomes of the item it takes; None: all is well."""


class ScriptedDestination:
    """Keeps items in memory, and every call in ``puts`` and ``reads``.

    Args:
        faults: by item id, or by the end of one, what happens to its first put, second put, …;
            after the last all is well.
        unread: the same of being asked what stands under them.
        url: see ``Destination``.
        parallel: see ``Destination``.
        keeps_records: see ``Destination``.
        reads_back: see ``Destination``.
    """

    def __init__(
        self,
        faults: Mapping[str, Iterable[Fault]] | None = None,
        *,
        unread: Mapping[str, Iterable[StopeError]] | None = None,
        url: str = "scripted://place",
        parallel: int = 1,
        keeps_records: bool = False,
        reads_back: bool = True,
    ) -> None:
        self.url = url
        self.parallel = parallel
        self.keeps_records = keeps_records
        self.reads_back = reads_back
        self.kept: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.reads: list[str] = []
        self.closed = 0
        self._faults = _scripts(faults or {})
        self._unread = _scripts(unread or {})

    async def put(self, item: Item) -> Receipt:
        """See ``Destination``."""
        checked_id(item.id)
        self.puts.append(item.id)
        fault = _next(self._faults, item.id)
        if isinstance(fault, StopeError):
            raise fault
        written = self.kept.get(item.id) != item.data
        if fault is Mishap.LOST:
            self.kept.pop(item.id, None)
        else:
            self.kept[item.id] = b"?" + item.data if fault is Mishap.CHANGED else item.data
        return Receipt(
            item_id=item.id, digest=item.digest, location=f"{self.url}/{item.id}", written=written
        )

    async def digest(self, item_id: str) -> str | None:
        """See ``Destination``."""
        self.reads.append(checked_id(item_id))
        fault = _next(self._unread, item_id)
        if isinstance(fault, StopeError):
            raise fault
        data = self.kept.get(item_id) if self.reads_back else None
        return None if data is None else digest_bytes(data)

    async def close(self) -> None:
        """See ``Destination``."""
        self.closed += 1


def _scripts(faults: Mapping[str, Iterable[Fault]]) -> dict[str, Iterator[Fault]]:
    return {name: iter(list(script)) for name, script in faults.items()}


def _next(scripts: Mapping[str, Iterator[Fault]], item_id: str) -> Fault:
    for name, script in scripts.items():
        if item_id.endswith(name):
            return next(script, None)
    return None
