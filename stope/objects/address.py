"""The URLs of object stores, taken apart and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from stope.errors import UsageError

SCHEMES = ("file", "memory", "s3", "gs")

_SEGMENT = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._=@+-")


@dataclass(frozen=True)
class Address:
    """A store's place. ``url`` is as we say it; ``bucket`` and ``prefix`` are of s3 and gs."""

    scheme: str
    url: str
    bucket: str = ""
    prefix: str = ""
    folder: Path | None = None


def parse_address(url: str, what: str) -> Address:
    """The address that a URL gives.

    Args:
        url: ``file:///folder``, ``memory://``, ``s3://bucket/prefix`` or ``gs://bucket/prefix``.
        what: the setting or option that it is the value of.

    Raises:
        UsageError: it cannot be the address of a store.
    """
    try:
        parsed = urlsplit(url)
        user = parsed.username is not None or parsed.password is not None
    except ValueError as error:
        raise UsageError(f"{what} is not a URL ({error}); {_forms()}.") from None
    if parsed.scheme not in SCHEMES:
        raise UsageError(f"{what} is {without_secrets(url)!r}, but {_forms()}.")
    if user or (parsed.query and parsed.scheme != "file"):
        raise UsageError(
            f"{what} holds more than a place: credentials and queries do not belong into it. Give "
            f"{parsed.scheme}://bucket/prefix; credentials come from their usual places."
        )
    if parsed.scheme == "file":
        return _folder_address(url, what)
    if parsed.scheme == "memory":
        return Address("memory", url if url.endswith("://") else url.rstrip("/"))
    if not parsed.netloc or parsed.fragment or ":" in parsed.netloc:
        raise UsageError(
            f"{what} is {url!r}, which names no bucket; write {parsed.scheme}://bucket/prefix."
        )
    prefix = parsed.path.strip("/")
    if prefix:
        checked_name(prefix, what)
    place = f"{parsed.scheme}://{parsed.netloc}"
    return Address(parsed.scheme, f"{place}/{prefix}" if prefix else place, parsed.netloc, prefix)


def _folder_address(url: str, what: str) -> Address:
    # A '?' or '#' is a character like others in the name of a folder.
    rest = url.removeprefix("file://")
    host, _, path = rest.partition("/")
    if rest == url or host not in ("", "localhost"):
        raise UsageError(
            f"{what} is {url!r}, a folder of another host; write file:///folder, with three "
            "slashes."
        )
    return Address("file", url.rstrip("/"), folder=Path(url2pathname(f"/{path}")))


def checked_name(name: str, what: str = "the name of an object") -> str:
    """A name that stays below its store's URL, and is the same in every kind of store.

    Raises:
        UsageError: it is absolute, empty, climbs, or has characters that stores treat differently.
    """
    segments = name.split("/")
    if any(
        not segment or segment in (".", "..") or set(segment) - _SEGMENT for segment in segments
    ):
        raise UsageError(
            f"{what} cannot hold {name!r}: use letters, digits and ._=@+- between single slashes."
        )
    return name


def without_secrets(url: str) -> str:
    """A URL as it may be shown: no user, no password, no query, no fragment."""
    head, _, _ = url.partition("?")
    head, _, _ = head.partition("#")
    scheme, separator, rest = head.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else head


def file_name(url: str) -> str:
    """The last segment of a URL's path, as people read it."""
    return unquote(without_secrets(url).rstrip("/").rpartition("/")[2])


def _forms() -> str:
    return "only file:///folder, s3://bucket/prefix, gs://bucket/prefix and memory:// are supported"
