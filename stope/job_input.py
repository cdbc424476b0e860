"""What a path given by a user is: a recording or a text transcript, and its content's digest."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from stope.errors import InputError
from stope.mining.parsing import TEXT_SUFFIXES
from stope.models.job import InputKind, JobInput
from stope.records.sources import SourceDigests

_DIGEST = re.compile(r"(?:[a-z][a-z0-9+.-]*://.*/)?([0-9a-f]{64})")


def stored_digest(input_id: str) -> str | None:
    """The digest in the name of a stored document: it alone, or at the end of an artifact's URI."""
    found = _DIGEST.fullmatch(input_id)
    return found.group(1) if found else None


async def input_from_path(path: Path, sources: SourceDigests) -> JobInput:
    """The job input for a file. Links are followed; the path is stored absolute.

    Raises:
        InputError: the file is missing, a folder, empty or unreadable.
    """
    try:
        found = await asyncio.to_thread(_checked, path)
        str(found).encode()
        digest = await sources.digest(found)
    except UnicodeEncodeError as error:
        raise InputError(
            f"The name of {str(path)!r} is not UTF-8, so it cannot be kept; rename the file."
        ) from error
    except PermissionError as error:
        raise InputError(
            f"{path} cannot be read: no permission; make it and its folders readable."
        ) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}); check the path and its disk."
        ) from error
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{path} cannot be a path here: {error}.") from error
    kind = InputKind.TEXT if found.suffix.lower() in TEXT_SUFFIXES else InputKind.RECORDING
    return JobInput(kind=kind, digest=digest, path=str(found))


def _checked(path: Path) -> Path:
    found = path.expanduser().absolute()
    if not found.exists():
        raise InputError(f"{path} does not exist; check the path.")
    if found.is_dir():
        raise InputError(f"{path} is a folder; name the files in it, such as {path}/*.mp3.")
    if not found.is_file():
        raise InputError(f"{path} is not a regular file; give a recording or a text transcript.")
    if not os.access(found, os.R_OK):
        raise InputError(f"{path} cannot be read: no permission; make it readable.")
    if found.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); give a recording or a text transcript.")
    return found
