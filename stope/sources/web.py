"""Inputs of web servers: ``https://`` URLs, read by range (RFC 9110, section 14).

A URL may carry a signature in its query, so neither messages nor logs show it. Redirects are
followed to other ``https://`` URLs only, since whoever can send us elsewhere must not be able to
send us to what is not encrypted, or to a file.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin, urlsplit

import httpx

from stope.errors import InputError, StorageUnavailableError
from stope.objects.patience import Patience
from stope.sources.location import is_loopback, shown
from stope.sources.objects import changed

_REDIRECTS = 5
_PASSING = frozenset({408, 425, 429})
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")
_CHUNK = 1 << 16
"""Bytes that a whole body has to bring within the time of a request, again and again."""


class _WithoutQueries(logging.Filter):
    """httpx writes every request's whole URL into its log."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                item.copy_with(query=None) if isinstance(item, httpx.URL) else item
                for item in record.args
            )
        return True


logging.getLogger("httpx").addFilter(_WithoutQueries())
# Below it every header is written at DEBUG: also where a redirect leads to, signature and all.
logging.getLogger("httpcore").setLevel(logging.INFO)


class WebReader:
    """A ``RangeReader`` of a URL.

    ``ranges`` is False where the server gives the whole only; then ``stream`` is the one way.
    """

    def __init__(self, url: str, patience: Patience) -> None:
        self._url = url
        self._shown = shown(url)
        self.patience = patience
        self._at = url
        self._client = httpx.Client(
            timeout=httpx.Timeout(patience.request, connect=patience.connect),
            headers={"Accept-Encoding": "identity", "User-Agent": "stope"},
            follow_redirects=False,
            # A proxy of the environment is not for this machine.
            trust_env=not is_loopback(urlsplit(url).hostname or ""),
        )
        self.size = 0
        self.version = ""
        self.ranges = True
        self.etag = ""
        try:
            patience.call(self._look)
        except BaseException:
            self._client.close()
            raise

    @property
    def query(self) -> str:
        """The URL's query, without which it may be no use; it may hold a signature."""
        return urlsplit(self._url).query

    def read(self, start: int, end: int) -> bytes:
        """As ``RangeReader``."""
        if not self.ranges:
            raise InputError(
                f"The server of {self._shown} does not give parts of it, and there is no copy of "
                "it any more; make the job again, which copies it."
            )
        return self.patience.call(lambda: self._part(start, end))

    def stream(self) -> Iterator[bytes]:
        """The whole, front to back, as the server gives it. Not tried again."""
        with self._answer({}) as answer:
            self._check(answer, (200,))
            began, size = time.monotonic(), 0
            for chunk in answer.iter_raw():
                yield chunk
                size += len(chunk)
                if size >= _CHUNK:
                    began, size = time.monotonic(), 0
                elif time.monotonic() - began > self.patience.request:
                    raise _away(self._shown, "it is too slow")

    def close(self) -> None:
        """As ``RangeReader``."""
        self._client.close()

    def _look(self) -> None:
        with self._answer({"Range": "bytes=0-0"}) as answer:
            self._check(answer, (200, 206, 416))
            total = _total(answer)
            self.ranges = answer.status_code == 206 and total is not None
            if answer.status_code == 416 and total is None:
                raise InputError(f"{self._shown} is empty (0 bytes); give a recording or a text.")
            length = answer.headers.get("Content-Length", "")
            self.size = total if total is not None else int(length) if length.isdigit() else 0
            self.version = _version(answer)
            self.etag = answer.headers.get("ETag", "")

    def _part(self, start: int, end: int) -> bytes:
        headers = {"Range": f"bytes={start}-{end - 1}"}
        if self.etag.startswith('"'):
            headers["If-Match"] = self.etag
        began = time.monotonic()
        found = bytearray()
        with self._answer(headers) as answer:
            if answer.status_code in (200, 412, 416) or (
                answer.status_code == 206
                and (_total(answer) != self.size or _version(answer) != self.version)
            ):
                raise changed(self._shown)
            self._check(answer, (206,))
            if _first(answer) != start:
                raise self._other_part()
            for chunk in answer.iter_raw():
                found += chunk
                if len(found) > end - start:
                    raise self._other_part()
                if time.monotonic() - began > self.patience.request:
                    raise _away(self._shown, "it is too slow")
        if len(found) != end - start:
            raise _away(self._shown, "the connection broke off")
        return bytes(found)

    def _other_part(self) -> InputError:
        return InputError(
            f"The server of {self._shown} gives other parts of it than it is asked for; put the "
            "file on another server, or give a copy of it."
        )

    @contextmanager
    def _answer(self, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """The answer to a request, after redirects, its body not read yet."""
        try:
            url = self._at
            for _ in range(_REDIRECTS + 1):
                request = self._client.build_request("GET", url, headers=headers)
                answer = self._client.send(request, stream=True)
                try:
                    if not answer.has_redirect_location:
                        if answer.is_client_error and self._at != self._url:
                            # Where we were sent may be for a while only: ask the way once more.
                            url = self._at = self._url
                            continue
                        self._at = url
                        yield answer
                        return
                    url = self._next(url, answer.headers["Location"])
                finally:
                    answer.close()
            raise InputError(f"{self._shown} leads from one URL to the next without an end.")
        except httpx.TimeoutException:
            raise _away(self._shown, "no answer in time") from None
        except httpx.TransportError as error:
            if "CERTIFICATE" in str(error).upper():
                raise InputError(
                    f"{self._shown} cannot be read: the certificate of its server is not valid for "
                    "us; check the URL, or set SSL_CERT_FILE."
                ) from None
            raise _away(self._shown, "the connection failed") from None
        except httpx.InvalidURL:
            raise InputError(f"{self._shown} is not a URL that can be asked for.") from None

    def _next(self, url: str, where: str) -> str:
        following = urljoin(url, where)
        parsed = urlsplit(following)
        here = urlsplit(url)
        loopback = is_loopback(here.hostname or "") and is_loopback(parsed.hostname or "")
        plain = here.scheme == "http" and parsed.scheme == "http" and loopback
        if parsed.username is not None or not (parsed.scheme == "https" or plain):
            raise InputError(
                f"{self._shown} leads to a {parsed.scheme or 'nameless'}: URL, which is not "
                "followed; give the https:// URL of the file itself."
            )
        return following

    def _check(self, answer: httpx.Response, wanted: tuple[int, ...]) -> None:
        status = answer.status_code
        if status in wanted:
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise InputError(
                    f"The server of {self._shown} gives it compressed only; give the file itself."
                )
            return
        if status >= 500 or status in _PASSING:
            seconds = answer.headers.get("Retry-After", "")
            after = float(seconds) if seconds.isdigit() else None
            raise _away(self._shown, f"status {status}", after)
        if status in (404, 410):
            raise InputError(f"{self._shown} does not exist (status {status}); check the URL.")
        if status in (401, 403):
            hint = "its signature may have run out" if self.query else "it needs a signed URL"
            raise InputError(f"{self._shown} cannot be read (status {status}): {hint}.")
        raise InputError(
            f"{self._shown} cannot be read: its server answers with status {status}; check the URL."
        )


def _away(location: str, why: str, after: float | None = None) -> StorageUnavailableError:
    return StorageUnavailableError(
        f"{location} cannot be reached ({why}); check the network. The work goes on when it "
        "answers.",
        retry_after=after,
    )


def _total(answer: httpx.Response) -> int | None:
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return int(found.group(3)) if found else None


def _first(answer: httpx.Response) -> int | None:
    """The first byte of a part."""
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return int(found.group(1)) if found and found.group(1) else None


def _version(answer: httpx.Response) -> str:
    etag, modified = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
    return f"{etag} {modified}".strip()
