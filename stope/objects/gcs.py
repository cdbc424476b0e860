"""Google Cloud Storage through Google's own client (the extra ``gcs``).

Credentials are the application's default ones: ``GOOGLE_APPLICATION_CREDENTIALS``, what
``gcloud auth application-default login`` left, or the machine's service account. With
``STORAGE_EMULATOR_HOST`` an emulator is used, anonymously.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from stope.errors import StopeError, StorageRefusedError, UsageError
from stope.objects import faults
from stope.objects.address import Address
from stope.objects.patience import Patience
from stope.objects.port import PART, ObjectInfo, Piece, Readable

_RIGHTS = (
    "check GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`, and the "
    "account's rights on the bucket (Storage Object User)"
)

_SEEN_AT_MOST = 256

# At DEBUG it writes the URL of every request, with the id by which an upload in parts is gone on.
logging.getLogger("urllib3").setLevel(logging.INFO)


class GcsStore:
    """A ``RawStore`` in a bucket of Google Cloud Storage. Connects at its first call.

    Raises:
        UsageError: the extra is not installed.
    """

    folder: Path | None = None

    def __init__(self, address: Address, patience: Patience) -> None:
        try:
            # Imported here: only who uses such a bucket has it.
            from google.cloud import storage
        except ImportError as error:
            raise UsageError(
                f"{address.url} needs the client of Google Cloud Storage, which is not installed; "
                "install the extra: pip install 'stope[gcs]'."
            ) from error
        self.url = address.url
        self._address = address
        self._base = f"{address.prefix}/" if address.prefix else ""
        self._timeout = (patience.connect, patience.request)
        self._storage: Any = storage
        self._opened: Any = None
        self._opening = threading.Lock()
        self._seen: dict[tuple[str, str], ObjectInfo] = {}

    def put(
        self, path: str, data: bytes, *, only_new: bool = False, replacing: str | None = None
    ) -> bool:
        """As ``RawStore``."""
        from google.api_core.exceptions import PreconditionFailed

        with self._translated(path):
            try:
                # Generation 0 is that of what is not there.
                self._send(path, BytesIO(data), len(data), "0" if only_new else replacing)
            except PreconditionFailed:
                return False
        return True

    def put_stream(self, path: str, stream: Readable, size: int) -> None:
        """As ``RawStore``."""
        with self._translated(path):
            self._send(path, _Counted(stream), None)

    def get(self, path: str, start: int, end: int, *, version: str | None = None) -> Piece:
        """As ``RawStore``."""
        with self._translated(path):
            info = self._seen.get((path, version or ""))
            if info is None:
                info = self.head(path)
            if info is None:
                raise faults.missing(self.url, path)
            if version is not None and info.version != version:
                raise faults.changed(self.url, path)
            self._remember(info)
            if start >= min(end, info.size):
                return Piece(b"", info)
            blob = self._bucket().blob(self._base + path)
            data = blob.download_as_bytes(
                start=start,
                end=min(end, info.size) - 1,
                # What is stored, also where its metadata says that it is compressed.
                raw_download=True,
                if_generation_match=int(info.version),
                timeout=self._timeout,
                retry=None,
            )
            # An emulator may not look at the condition; its answer says what it is of.
            if blob.generation is not None and str(blob.generation) != info.version:
                raise faults.changed(self.url, path)
        return Piece(data, info)

    def head(self, path: str) -> ObjectInfo | None:
        """As ``RawStore``."""
        with self._translated(path):
            blob = self._bucket().get_blob(self._base + path, timeout=self._timeout, retry=None)
            if blob is None:
                self._check_place()
                return None
            return self._info(blob)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """As ``RawStore``."""
        below = self._base + (f"{prefix}/" if prefix else "")
        with self._translated(prefix):
            found = self._client().list_blobs(
                self._bucket(), prefix=below or None, timeout=self._timeout, retry=None
            )
            for blob in found:
                yield self._info(blob)

    def delete(self, path: str, *, only: str | None = None) -> bool:
        """As ``RawStore``."""
        from google.api_core.exceptions import NotFound, PreconditionFailed

        if only is not None:
            # An emulator may not look at the condition.
            found = self.head(path)
            if found is None or found.version != only:
                return found is None
        with self._translated(path):
            try:
                blob = self._bucket().blob(self._base + path)
                blob.delete(
                    if_generation_match=None if only is None else int(only),
                    timeout=self._timeout,
                    retry=None,
                )
            except PreconditionFailed:
                return False
            except NotFound:
                self._check_place()
        return True

    def _send(
        self,
        path: str,
        stream: BytesIO | _Counted,
        size: int | None,
        generation: str | None = None,
    ) -> None:
        blob = self._bucket().blob(self._base + path)
        if size is None or size > PART:
            # In parts: nothing is visible before the last one has arrived.
            blob.chunk_size = PART
        blob.upload_from_file(
            stream,
            size=size,
            content_type="application/octet-stream",
            if_generation_match=None if generation is None else int(generation),
            timeout=self._timeout,
            checksum="crc32c",
            retry=None,
        )

    def _remember(self, info: ObjectInfo) -> None:
        """So that a second piece of an object takes one request, not two."""
        if len(self._seen) >= _SEEN_AT_MOST:
            self._seen.clear()
        self._seen[info.path, info.version] = info

    def _info(self, blob: Any) -> ObjectInfo:
        path = str(blob.name).removeprefix(self._base)
        return ObjectInfo(path, int(blob.size), str(blob.generation), blob.updated)

    def _check_place(self) -> None:
        """Raises when there is no such bucket."""
        from google.api_core.exceptions import NotFound

        try:
            listed = self._client().list_blobs(
                self._bucket(), max_results=1, timeout=self._timeout, retry=None
            )
            next(iter(listed), None)
        except NotFound:
            raise faults.no_bucket(self.url, "gs", self._address.bucket) from None

    def _bucket(self) -> Any:
        return self._client().bucket(self._address.bucket)

    def _client(self) -> Any:
        with self._opening:
            if self._opened is None:
                self._opened = self._connected()
            return self._opened

    def _connected(self) -> Any:
        from google.auth.credentials import AnonymousCredentials

        if os.environ.get("STORAGE_EMULATOR_HOST"):
            nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]  # ships half its types
            return self._storage.Client(project="emulated", credentials=nobody)
        # A project is needed to make buckets only, which is nothing that we do.
        project = os.environ.get("GOOGLE_CLOUD_PROJECT") or "none"
        return self._storage.Client(project=project)

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        try:
            yield
        except StopeError:
            raise
        except Exception as error:
            found = self._error(error, path)
            if found is None:
                raise
            raise found from None

    def _error(self, error: Exception, path: str) -> StopeError | None:
        import requests
        import urllib3
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
        from google.auth.exceptions import TransportError as AuthTransportError
        from google.cloud.storage.exceptions import InvalidResponse
        from google.resumable_media import DataCorruption

        if isinstance(error, InvalidResponse):
            return self._answered(int(error.response.status_code), path)
        if isinstance(error, GoogleAPICallError):
            return self._answered(int(error.code or 500), path)
        # A body is read past `requests`, whose own errors end with the headers.
        if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
            return faults.unavailable(self.url, "no answer in time")
        if isinstance(
            error,
            requests.RequestException
            | urllib3.exceptions.HTTPError
            | ConnectionError
            | AuthTransportError
            | RetryError,
        ):
            return faults.unavailable(self.url, "the connection failed")
        if isinstance(error, DataCorruption):
            return faults.unavailable(self.url, "what arrived is not what was sent")
        if isinstance(error, DefaultCredentialsError):
            return StorageRefusedError(f"There are no credentials for {self.url}; {_RIGHTS}.")
        if isinstance(error, GoogleAuthError):
            passing = bool(getattr(error, "retryable", False))
            if passing:
                return faults.unavailable(self.url, "no token was to be had")
            return faults.refused(self.url, "the credentials are not valid", _RIGHTS)
        return None

    def _answered(self, status: int, path: str) -> StopeError:
        if status == 412:
            return faults.changed(self.url, path)
        if status == 404:
            # Between our looking and our asking; or the bucket, where something is to be written.
            try:
                with self._translated(path):
                    self._check_place()
            except StopeError as error:
                return error
            return faults.missing(self.url, path)
        return faults.answered(self.url, status, "", _RIGHTS)


class _Counted:
    """A stream that knows how much was read of it, which Google's client asks.

    The client takes a short read for the end, so that there is none before.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._at = 0

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        parts: list[bytes] = []
        left = size
        while left and (block := self._stream.read(left)):
            parts.append(block)
            left -= len(block) if size > 0 else 0
        found = b"".join(parts)
        self._at += len(found)
        return found
