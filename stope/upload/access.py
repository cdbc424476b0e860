"""What a destination is entered with: secrets of this process, each bound to where it may go.

Whoever starts a job says where to. So a secret that is sent (a password) goes only to hosts that
whoever runs the worker has named; one that only signs is never sent, and what it signs is good for
one URL (``stope.upload.signing``).
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from stope.errors import DestinationRefusedError
from stope.settings import Settings
from stope.upload.signing import SHORTEST_KEY

VERIFIED = "verify-full"
UNVERIFIED = "prefer"
SSL_MODES = ("disable", "allow", UNVERIFIED, "require", "verify-ca", VERIFIED)
"""Each checks more than those before it."""


def signing_key(url: str, settings: Settings) -> bytes:
    """The key that signs what is sent to a URL.

    Raises:
        DestinationRefusedError: there is none, or one that can be guessed.
    """
    key = settings.upload_hmac_key.get_secret_value() if settings.upload_hmac_key else ""
    if len(key) < SHORTEST_KEY:
        raise DestinationRefusedError(
            f"What is sent to {url} is signed, and this worker has no key for that: set "
            f"STOPE_UPLOAD_HMAC_KEY, of {SHORTEST_KEY} characters or more, where it runs."
        )
    return key.encode()


def database_password(url: str, settings: Settings) -> str | None:
    """The password for a database, from the environment of this process.

    None: there is none in it; the password file, whose every line is for a host, may have one.

    Raises:
        DestinationRefusedError: there is one, and it is not meant for that host.
    """
    set_here = settings.upload_password
    password = set_here.get_secret_value() if set_here else os.environ.get("PGPASSWORD")
    if not password or is_here(url):
        return password or None
    host, port = _host_of(url)
    named = {name.strip().lower() for name in settings.upload_hosts.split(",")}
    if named.isdisjoint((host, f"{host}:{port}")):
        variable = "STOPE_UPLOAD_PASSWORD" if set_here else "PGPASSWORD"
        raise DestinationRefusedError(
            f"The password in {variable} is not known to be meant for {host}, so it is not sent "
            f"there: set STOPE_UPLOAD_HOSTS={host} where the worker runs (several have commas "
            "between them), or keep passwords in the password file."
        )
    return password


def encryption(url: str) -> str | ssl.SSLContext:
    """How the way to a database is protected: an ``sslmode``, or what to check certificates with.

    Off this machine the server has to prove who it is, unless PGSSLMODE says otherwise: a password
    goes to it, and whoever names a URL in a job may ask for more protection of that, not for less.
    """
    asked = dict(parse_qsl(urlsplit(url).query)).get("sslmode")
    set_here = os.environ.get("PGSSLMODE")
    if is_here(url):
        mode = asked or set_here or UNVERIFIED
    else:
        mode = set_here or VERIFIED
        if asked and mode in SSL_MODES:
            mode = max(asked, mode, key=SSL_MODES.index)
    if mode == VERIFIED and not _has_authorities():
        # Where PostgreSQL's own file is missing, the authorities that the system trusts.
        return ssl.create_default_context()
    return mode


def is_here(url: str) -> bool:
    """Whether a database is on this machine: behind a socket, or at a loopback address."""
    host, _ = _host_of(url)
    return not host or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, whose traffic nobody else sees."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _host_of(url: str) -> tuple[str, int]:
    """Host ('' for a socket) and port of a database."""
    parts = urlsplit(url)
    return (parts.hostname or "").lower(), parts.port or 5432


def _has_authorities() -> bool:
    named = os.environ.get("PGSSLROOTCERT")
    return bool(named) or (Path.home() / ".postgresql" / "root.crt").is_file()
