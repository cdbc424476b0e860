"""What object stores answer when they do not do it, as errors of ours with one sentence each."""

from __future__ import annotations

import errno

from stope.errors import (
    NO_ROOM,
    ObjectChangedError,
    ObjectMissingError,
    StopeError,
    StorageFullError,
    StorageRefusedError,
    StorageUnavailableError,
)

_PASSING = frozenset({408, 423, 425, 429})
_PASSING_CODES = frozenset({"RequestTimeout", "SlowDown", "InternalError", "OperationAborted"})

_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_AWAY = frozenset(
    {
        *(errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE),
        *(errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT),
    }
)
"""What a disk says that is not reached: it is taken out, or a server's that is away."""


def missing(url: str, path: str) -> ObjectMissingError:
    """There is no such object."""
    return ObjectMissingError(f"There is no object {path} in {url}; check its name.")


def changed(url: str, path: str) -> ObjectChangedError:
    """It is another version than before."""
    return ObjectChangedError(
        f"The object {path} in {url} was replaced while it was read; begin again with what is "
        "there now."
    )


def full(url: str) -> StorageFullError:
    """There is no room."""
    return StorageFullError(
        f"There is no room at {url} for an artifact; free some space and the work goes on."
    )


def unavailable(url: str, why: str) -> StorageUnavailableError:
    """It is away, or fails."""
    return StorageUnavailableError(
        f"The storage {url} cannot be reached or fails ({why}); check the network and that it "
        "runs. The work goes on when it is back."
    )


def no_bucket(url: str, scheme: str, bucket: str) -> StorageRefusedError:
    """There is no such bucket."""
    return StorageRefusedError(
        f"There is no bucket {bucket}, which {url} is in; make it, or correct the name after "
        f"{scheme}://."
    )


def refused(url: str, why: str, fix: str) -> StorageRefusedError:
    """It does not let us."""
    return StorageRefusedError(f"The storage {url} refuses this ({why}); {fix}.")


def denied(url: str, why: str) -> StorageRefusedError:
    """A folder, or what is in it, is not ours to use."""
    return refused(url, why, "make the folder and what is in it readable and writable")


def of_disk(url: str, number: int, why: str) -> StopeError:
    """The error that an ``errno`` of a folder stands for; 0 is one that is not known."""
    if number in NO_ROOM:
        return full(url)
    if number in _AWAY:
        return unavailable(url, why)
    if number in _DENIED:
        return denied(url, why)
    return refused(url, why, "check the folder and its permissions; the work done so far is kept")


def answered(url: str, status: int, code: str, rights: str) -> StopeError:
    """The error that an HTTP status stands for, other than 404, 412 and 304.

    Args:
        url: the store's.
        status: HTTP's.
        code: the service's own word for it, or ''.
        rights: what to check when we are denied.
    """
    why = f"{status} {code}".rstrip()
    if status == 507:
        return full(url)
    if status >= 500 or status in _PASSING or code in _PASSING_CODES:
        return unavailable(url, why)
    if status in (401, 403):
        return refused(url, why, rights)
    if status in (301, 307, 308):
        return refused(url, why, "the bucket is in another region or at another endpoint; set it")
    return refused(url, why, "check the URL, the endpoint and the region")
