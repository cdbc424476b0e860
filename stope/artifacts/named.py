"""Objects under names of ours, which change: replaced and deleted by one of several processes.

A write that hangs may arrive when another process has written since, or has cleaned up. So it is
sent for the version that was found, and where that is not there any more it is asked again whether
it is still wanted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from stope.artifacts.reader import begun_again
from stope.errors import ObjectMissingError, StorageUnavailableError
from stope.objects.port import Piece
from stope.objects.store import ObjectStore

May = Callable[[bytes | None], Awaitable[bool]]
"""Whether one may still write in the place of what is there; None where nothing is."""

_TRIES = 50
"""Each is lost to somebody who wrote."""


class NamedObjects:
    """Reads, replaces and deletes named objects of one store.

    Raises:
        StorageUnavailableError: any method: the store is away, or others write all the time.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def read(self, name: str) -> bytes | None:
        """The bytes under a name; None only where there truly are none."""
        found = await self._found(name)
        return None if found is None else found.data

    async def replace(self, name: str, data: bytes, may: May) -> bool:
        """Write in the place of what is there, as long as one may.

        False, and nothing is written, where one may not: ``may`` is asked for every version that is
        found. What was made out of nothing is taken back if one may not any more when it is there:
        it may have been on its way while somebody else began, ended and cleaned up.
        """
        for _ in range(_TRIES):
            found = await self._found(name)
            if not await may(None if found is None else found.data):
                return False
            if await self._put(name, data, found):
                return found is not None or await self._stays(name, data, may)
        raise StorageUnavailableError(
            f"{self._store.uri(name)} is written by others all the time; try again later."
        )

    async def delete(self, name: str) -> None:
        """Delete what is there, also if it is replaced meanwhile."""
        raw = self._store.raw

        def delete() -> None:
            for _ in range(_TRIES):
                found = raw.head(name)
                if found is None or raw.delete(name, only=found.version):
                    return
            raise StorageUnavailableError(
                f"{self._store.uri(name)} is written by others all the time; try again later."
            )

        await self._store.do(lambda: self._store.patience.call(delete))

    async def _stays(self, name: str, data: bytes, may: May) -> bool:
        if await may(None):
            return True
        found = await self._found(name)
        if found is not None and found.data == data:
            raw, version = self._store.raw, found.info.version
            await self._store.do(
                lambda: self._store.patience.call(lambda: raw.delete(name, only=version))
            )
        return False

    async def _put(self, name: str, data: bytes, found: Piece | None) -> bool:
        raw = self._store.raw
        version = None if found is None else found.info.version
        return await self._store.do(
            lambda: self._store.patience.call(
                lambda: raw.put(name, data, only_new=version is None, replacing=version)
            )
        )

    async def _found(self, name: str) -> Piece | None:
        """All bytes of what is there, and its version."""
        store = self._store

        def read() -> Piece:
            pieces = list(store.pieces(name))
            return Piece(b"".join(piece.data for piece in pieces), pieces[0].info)

        try:
            return await store.do(lambda: begun_again(read))
        except ObjectMissingError:
            return None
