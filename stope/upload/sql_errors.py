"""What PostgreSQL, its driver and the way to it say, in the words of our errors."""

from __future__ import annotations

import ssl

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from stope.errors import (
    DestinationRefusedError,
    DestinationUnavailableError,
    ItemRefusedError,
    StopeError,
    StorageFullError,
)
from stope.models.progress import shortened
from stope.upload.destination import GOES_ON

_NO_ROOM = {"53100"}
_PASSING = {"53000", "53200", "53300", "55006", "55P03"}
"""Out of resources, of memory or of connections; in use; locked."""
_PASSING_CLASSES = ("08", "40", "57", "58")
"""Connections; transactions in each other's way; being shut down; the system's trouble."""
_NOT_ALLOWED = ("28", "42501", "3D000", "0P")
_DATA_CLASS = "22"

_NO_TLS = "rejected SSL upgrade"
"""What the driver says when a server knows no TLS; it has no error of its own for that."""

_LONGEST = 200


def _driver_errors() -> tuple[type[Exception], ...]:
    """What the driver raises by itself while it connects; nothing where it is not installed."""
    try:
        # It ships no types.
        from asyncpg import InterfaceError, PostgresError  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        return ()
    return PostgresError, InterfaceError


TROUBLE: tuple[type[Exception], ...] = (
    *(DBAPIError, NoConnectionError, OSError, TimeoutError),
    *_driver_errors(),
)
"""All that can come out of talking to a database."""


def destination_error(error: Exception, place: str) -> StopeError:
    """An error in ``TROUBLE`` as one of ours; ``place`` is the database, for people."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    code = str(getattr(cause, "sqlstate", None) or "")
    lines = str(cause).splitlines() or [type(cause).__name__]
    said = shortened(lines[0].rpartition(">: ")[2], _LONGEST).rstrip(".")
    if code in _NO_ROOM:
        return StorageFullError(
            f"{place} has no room left ({said}); free some space and the upload goes on."
        )
    if code.startswith(_DATA_CLASS):
        return ItemRefusedError(f"{place} cannot take this as a row: {said}.")
    if code.startswith(_NOT_ALLOWED):
        return DestinationRefusedError(
            f"{place} does not let us ({said}); check user and database, and that the password is "
            "in STOPE_UPLOAD_PASSWORD, in PGPASSWORD or in the password file."
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return DestinationRefusedError(
            f"{place} cannot prove who it is ({said}); name the authority of its certificate with "
            "PGSSLROOTCERT where the worker runs, or set PGSSLMODE=require there if nobody can "
            "stand between."
        )
    if _NO_TLS in said:
        return DestinationRefusedError(
            f"{place} speaks no TLS, and what goes there could be read by anybody on the way; let "
            "it, or set PGSSLMODE=disable where the worker runs if that is wanted."
        )
    if not code or code in _PASSING or code.startswith(_PASSING_CLASSES):
        if isinstance(cause, (ValueError, TypeError)):
            return DestinationRefusedError(f"{place} cannot be used: {said}.")
        return DestinationUnavailableError(f"{place} does not answer ({said}); {GOES_ON}.")
    return DestinationRefusedError(
        f"The tables at {place} cannot be filled ({said}); name another schema with ?schema=, or "
        "mend them."
    )
