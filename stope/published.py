"""Files that are whole wherever they have their name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from stope.errors import NO_ROOM, StorageFullError

PART = ".part"
"""How the name of a file ends that is being written; a killed process leaves it."""


@contextmanager
def published(
    file: Path,
    *,
    what: str = "it",
    then: str = "the work goes on",
    mode: int | None = None,
    durable: bool = False,
) -> Iterator[BinaryIO]:
    """A file to write, which gets its name when it is whole, in the place of what had it.

    Until then it is called ``<name>.<anything>.part``, in the same folder, which is made.

    Args:
        file: its name.
        what: what there is no room for, where there is none.
        then: what follows when there is room again.
        mode: its permissions; None: its owner's only.
        durable: whether its bytes are on the disk before it has its name, so that a power loss
            leaves no file with this name that is torn.

    Raises:
        StorageFullError: its disk has no room.
        OSError: it cannot be written for another reason.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.", suffix=PART)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(file)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise StorageFullError(
            f"There is no room in {file.parent} for {what} ({error.strerror}); free some space and "
            f"{then}."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
