"""What a user gives, by path or URL: a recording or a text transcript, and its content's digest."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path, PurePath

from stope.artifacts import ArtifactStore
from stope.errors import InputError
from stope.mining.parsing import TEXT_SUFFIXES
from stope.models.job import InputKind, JobInput
from stope.objects.store import in_thread
from stope.records.sources import SourceDigests
from stope.sources.copies import copy_input
from stope.sources.digests import memory_version
from stope.sources.location import is_remote
from stope.sources.source import Source, open_source
from stope.sources.web import WebReader

_DIGEST = re.compile(r"(?:[a-z][a-z0-9+.-]*://.*/)?([0-9a-f]{64})")


def stored_digest(input_id: str) -> str | None:
    """The digest in the name of a stored document: it alone, or at the end of an artifact's URI."""
    if input_id.startswith(("http://", "https://")):
        # No artifact lies there, whatever a file is called.
        return None
    found = _DIGEST.fullmatch(input_id)
    return found.group(1) if found else None


async def input_from_location(
    location: str, sources: SourceDigests, artifacts: ArtifactStore, scratch: Path
) -> JobInput:
    """The job input for a path or a URL. What is kept of a URL has no query.

    What is at a URL is read once for its digest, unless its server says that it is what was read
    before. What cannot be read again as it is now is copied, see ``stope.sources.copies``.

    Args:
        location: as the user gave it.
        sources: remembers digests.
        artifacts: where copies go.
        scratch: folder for a copy on its way.

    Raises:
        InputError: there is nothing that can be read, or it is empty.
        UsageError: it is no URL that can be read.
        StorageUnavailableError: its server, or the store, cannot be reached.
    """
    if not is_remote(location):
        return await input_from_path(Path(location), sources)
    source = await in_thread(lambda: open_source(location))
    try:
        digest = await _remote_digest(source, sources, artifacts, scratch)
    finally:
        await in_thread(source.close)
    return JobInput(kind=_kind(PurePath(source.location)), digest=digest, path=source.location)


async def _remote_digest(
    source: Source, sources: SourceDigests, artifacts: ArtifactStore, scratch: Path
) -> str:
    reader = source.reader
    version = memory_version(source)
    known = await sources.known(source.location, source.size, version)
    if isinstance(reader, WebReader) and (reader.query or not reader.ranges or not reader.version):
        if known is not None and await artifacts.exists(known):
            return known
        await artifacts.mark(sources.owner)
        digest = await copy_input(reader, source.location, artifacts, scratch)
    elif source.size == 0:
        raise InputError(f"{source} is empty (0 bytes); give a recording or a text transcript.")
    elif known is not None:
        return known
    else:
        digest = await in_thread(source.sha256)
    await sources.keep(source.location, source.size, version, digest)
    return digest


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
    return JobInput(kind=_kind(found), digest=digest, path=str(found))


def _kind(path: PurePath) -> InputKind:
    return InputKind.TEXT if path.suffix.lower() in TEXT_SUFFIXES else InputKind.RECORDING


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
