"""Which destination an address names.

The address of a destination is part of job ids, receipts and histories, so that none may hold a
secret: those are taken from the environment of whoever does the work.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit
from urllib.request import url2pathname

from stope.errors import UsageError
from stope.settings import Settings
from stope.upload.access import (
    SSL_MODES,
    database_password,
    encryption,
    is_loopback,
    signing_key,
)
from stope.upload.destination import Destination
from stope.upload.folder import FolderDestination

FORMS = (
    "a folder (a path or file:///folder), s3://bucket/prefix, gs://bucket/prefix, "
    "postgresql://user@host/database?schema=stope, or https://host/path"
)

PLAIN_HTTP = "insecure+http"
"""The scheme of an endpoint that anybody on the way can read, where that is wanted."""

_OPTION = "the destination"
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:")
_SCHEMA = re.compile(r"(?!pg_)[A-Za-z_][A-Za-z0-9_]{0,62}")
_PARAMETERS = frozenset({"schema", "sslmode", "host"})


def place_url(place: str) -> str:
    """The one URL of a place that a person named: part of the upload's id.

    A path is taken from the current folder, and links are followed.

    Raises:
        UsageError: it is no place that can be published at, or it holds a secret.
    """
    if not place.strip():
        raise UsageError(f"An upload needs a destination: {FORMS}.")
    if not _SCHEME.match(place):
        return _folder_url(place, Path(place))
    try:
        parts = urlsplit(place)
        _ = parts.port
    except ValueError:
        # The error may quote a password.
        raise UsageError(f"The destination is no URL that can be read; name {FORMS}.") from None
    scheme = parts.scheme.lower()
    if any(not character.isprintable() for character in place):
        raise UsageError(f"The destination holds characters that no URL has; name {FORMS}.")
    if scheme == "file":
        return _folder_url(place, _folder_of(place, parts))
    if scheme in ("s3", "gs"):
        return _bucket_url(place)
    if scheme in ("postgresql", "postgres"):
        return _database_url(parts)
    if scheme in ("https", "http", PLAIN_HTTP):
        return _endpoint_url(scheme, parts)
    # Not the whole address: it may carry a secret.
    raise UsageError(f"Nothing can be uploaded to {parts.scheme}:// addresses; name {FORMS}.")


def open_destination(url: str, settings: Settings) -> Destination:
    """The destination at a URL that ``place_url`` gave. Nothing is asked of it yet.

    Raises:
        UsageError: it is no place that can be published at.
        DestinationRefusedError: a secret that it needs is not in this process' environment, or not
            meant for it, or its driver is not installed.
    """
    parts = urlsplit(url)
    # Each is imported where it is needed: every worker has this queue, and few upload to all.
    if parts.scheme in ("s3", "gs"):
        from stope.objects.places import open_store
        from stope.upload.objects import ObjectDestination

        return ObjectDestination(open_store(url, what=_OPTION))
    if parts.scheme == "postgresql":
        from stope.upload.postgresql import PostgresDestination

        return PostgresDestination(url, database_password(url, settings), encryption(url))
    if parts.scheme in ("https", "http", PLAIN_HTTP):
        from stope.upload.endpoint import HttpDestination

        return HttpDestination(url, url.removeprefix("insecure+"), signing_key(url, settings))
    return FolderDestination(_folder_of(url, parts))


async def check_access(url: str, settings: Settings) -> None:
    """See that a destination can be opened from here, before hours of work that end with it.

    Nothing is asked of it.

    Raises:
        UsageError: see ``open_destination``.
        DestinationRefusedError: see ``open_destination``.
    """
    await (await asyncio.to_thread(open_destination, url, settings)).close()


def _folder_url(place: str, folder: Path) -> str:
    try:
        return folder.expanduser().resolve().as_uri()
    except (OSError, RuntimeError, ValueError, UnicodeError) as error:
        raise UsageError(
            f"The destination {place!r} cannot be a folder here: {error}; name {FORMS}."
        ) from error


def _folder_of(place: str, parts: SplitResult) -> Path:
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise UsageError(
            f"{place!r} names a folder of another host; write file:///folder, with three slashes."
        )
    if parts.query or parts.fragment:
        raise UsageError(f"{place!r} is no folder: write ? as %3F and # as %23.")
    return Path(url2pathname(parts.path))


def _bucket_url(place: str) -> str:
    from stope.objects.address import parse_address

    scheme, _, rest = place.partition(":")
    return parse_address(f"{scheme.lower()}:{rest}", _OPTION).url


def _database_url(parts: SplitResult) -> str:
    given = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(given)
    if parts.password or "password" in options:
        raise UsageError(
            "The destination holds a password, which everybody would see who looks at the job; "
            "leave it out of the URL and set STOPE_UPLOAD_PASSWORD or PGPASSWORD where the worker "
            "runs, or keep it in the password file ~/.pgpass."
        )
    if len(options) < len(given) or (unknown := options.keys() - _PARAMETERS) or parts.fragment:
        names = ", ".join(sorted(unknown)) if len(options) == len(given) else "one of them twice"
        raise UsageError(
            f"The destination is a database with parameters that are not known ({names}); there "
            "are schema, sslmode, and host for the folder of a socket."
        )
    if not parts.path.strip("/") or "/" in parts.path.strip("/"):
        raise UsageError(
            "The destination names no database; write postgresql://user@host/database?schema=stope."
        )
    if not parts.hostname and "host" not in options:
        raise UsageError(
            "The destination names no host; write postgresql://user@host/database?schema=stope."
        )
    if "host" in options and (parts.hostname or not options["host"].startswith("/")):
        raise UsageError(
            "The destination's ?host= is the folder of a socket on this machine, and no other host "
            "stands beside it; write postgresql://user@host/database for a host."
        )
    schema = options.setdefault("schema", "stope")
    if not _SCHEMA.fullmatch(schema):
        raise UsageError(
            f"The schema {schema!r} of the destination cannot be one; use letters, digits and "
            "underscores, and no pg_ in the beginning."
        )
    if options.get("sslmode", "prefer") not in SSL_MODES:
        raise UsageError(
            f"The destination has no sslmode {options['sslmode']!r}; there are "
            f"{', '.join(SSL_MODES)}."
        )
    query = urlencode(sorted(options.items()), quote_via=quote, safe="/")
    user = f"{parts.username}@" if parts.username else ""
    return f"postgresql://{user}{_host_of(parts)}/{parts.path.strip('/')}?{query}"


def _endpoint_url(scheme: str, parts: SplitResult) -> str:
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UsageError(
            "The destination holds more than scheme, host and path, and everybody would see it who "
            "looks at the job; leave it out. What is sent is signed with the key in "
            "STOPE_UPLOAD_HMAC_KEY, by which the endpoint knows us."
        )
    host = (parts.hostname or "").lower()
    if not host:
        raise UsageError("The destination names no host; write https://host/path.")
    if scheme == "http" and not is_loopback(host):
        raise UsageError(
            f"What goes to http://{host} can be read by anybody on the way; use https://, or write "
            f"{PLAIN_HTTP}:// if that is wanted."
        )
    path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~-._")
    return f"{scheme}://{_host_of(parts)}{path}"


def _host_of(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    port = f":{parts.port}" if parts.port else ""
    return f"[{host}]{port}" if ":" in host else f"{host}{port}"
