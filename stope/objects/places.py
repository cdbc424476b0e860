"""The object store behind a URL."""

from __future__ import annotations

from obstore.store import MemoryStore

from stope.objects.address import Address, parse_address
from stope.objects.folder import StoreFolder
from stope.objects.obstore_store import ObstoreStore
from stope.objects.patience import Patience
from stope.objects.port import RawStore
from stope.objects.store import ObjectStore

_ARTIFACTS = "STOPE_ARTIFACTS_URL"


def open_store(
    url: str,
    *,
    what: str = _ARTIFACTS,
    patience: Patience | None = None,
    make_folder: bool = True,
) -> ObjectStore:
    """The store behind a URL. A folder is made; what is elsewhere is reached at the first call.

    Args:
        url: ``file:///folder``, ``memory://``, ``s3://bucket/prefix`` or ``gs://bucket/prefix``.
        what: the setting or option that the URL is the value of.
        patience: how often and how long a call is tried.
        make_folder: False leaves it to the caller to make a folder, if it is to be made.

    Raises:
        UsageError: it is no such URL, the folder cannot be made, or the client of Google Cloud
            Storage is not installed.
    """
    address = parse_address(url, what)
    chosen = patience or Patience()
    if address.folder is not None:
        folder = StoreFolder(address.folder, address.url, what)
        if make_folder:
            folder.make()
        return ObjectStore(ObstoreStore(address.url, folder.opened, folder=folder), chosen, folder)
    return ObjectStore(_raw(address, chosen), chosen)


def _raw(address: Address, patience: Patience) -> RawStore:
    if address.scheme == "memory":
        memory = MemoryStore()
        return ObstoreStore(address.url, lambda: memory)
    # Imported here: who keeps everything in a folder needs neither.
    if address.scheme == "gs":
        from stope.objects.gcs import GcsStore

        return GcsStore(address, patience)
    from stope.objects.s3 import open_s3

    return open_s3(address, patience)
