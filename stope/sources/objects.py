"""Inputs in buckets: ``s3://bucket/key`` and ``gs://bucket/key``, with each cloud's credentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from stope.errors import (
    InputError,
    ObjectChangedError,
    ObjectMissingError,
    StorageRefusedError,
)
from stope.objects.patience import Patience
from stope.objects.places import open_store
from stope.objects.store import part_of
from stope.sources.location import shown

ResultT = TypeVar("ResultT")


class ObjectReader:
    """A ``RangeReader`` of an object; every read is of the version that was found first."""

    def __init__(self, url: str, patience: Patience) -> None:
        self._shown = shown(url)
        scheme, _, rest = url.partition("://")
        bucket, _, self._key = rest.partition("/")
        store = open_store(f"{scheme.lower()}://{bucket}", what="The input", patience=patience)
        self._raw = store.raw
        self._patience = patience
        info = self._told(lambda: self._raw.head(self._key))
        if info is None:
            raise self._missing()
        self.size = info.size
        self.version = info.version

    def read(self, start: int, end: int) -> bytes:
        """As ``RangeReader``."""
        return self._told(lambda: part_of(self._raw, self._key, start, end, self.version)).data

    def close(self) -> None:
        """Nothing is held that somebody has to let go of."""

    def _told(self, do: Callable[[], ResultT]) -> ResultT:
        try:
            return self._patience.call(do)
        except ObjectMissingError:
            raise self._missing() from None
        except ObjectChangedError:
            raise changed(self._shown) from None
        except StorageRefusedError as error:
            raise InputError(f"{self._shown} cannot be read: {error}") from None

    def _missing(self) -> InputError:
        return InputError(f"{self._shown} does not exist; check the bucket and the key.")


def changed(location: str) -> InputError:
    """An input is not any more what it was when it was opened."""
    return InputError(
        f"{location} changed while it was read; run it again and its new content becomes a job of "
        "its own."
    )
