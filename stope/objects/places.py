"""The object store behind a URL."""

from __future__ import annotations

from pathlib import Path

from obstore.store import LocalStore, MemoryStore

from stope.errors import StorageUnavailableError, UsageError
from stope.objects.address import Address, parse_address
from stope.objects.obstore_store import ObstoreStore
from stope.objects.patience import Patience
from stope.objects.port import RawStore
from stope.objects.store import ObjectStore

_ARTIFACTS = "STOPE_ARTIFACTS_URL"


def open_store(
    url: str, *, what: str = _ARTIFACTS, patience: Patience | None = None
) -> ObjectStore:
    """The store behind a URL. A folder is made; what is elsewhere is reached at the first call.

    Args:
        url: ``file:///folder``, ``memory://``, ``s3://bucket/prefix`` or ``gs://bucket/prefix``.
        what: the setting or option that the URL is the value of.
        patience: how often and how long a call is tried.

    Raises:
        UsageError: it is no such URL, the folder cannot be made, or the client of Google Cloud
            Storage is not installed.
    """
    address = parse_address(url, what)
    chosen = patience or Patience()
    return ObjectStore(_raw(address, what, chosen), chosen)


def _raw(address: Address, what: str, patience: Patience) -> RawStore:
    if address.folder is not None:
        return _local(address, address.folder, what)
    if address.scheme == "memory":
        return ObstoreStore(address.url, MemoryStore())
    # Imported here: who keeps everything in a folder needs neither.
    if address.scheme == "gs":
        from stope.objects.gcs import GcsStore

        return GcsStore(address, patience)
    from stope.objects.s3 import open_s3

    return open_s3(address, patience)


def _local(address: Address, folder: Path, what: str) -> RawStore:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The folder {folder} of {what} cannot be made ({error.strerror}); set {what} to a "
            "place you can write to."
        ) from error

    def check_place() -> None:
        if not folder.is_dir():
            raise StorageUnavailableError(
                f"The folder {folder} is not there any more; mount it again or put it back. The "
                "work goes on when it is there."
            )

    return ObstoreStore(address.url, LocalStore(folder), folder=folder, check_place=check_place)
