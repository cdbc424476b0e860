"""Digests of inputs: of files by path, size, time and inode, of URLs by size and version."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from uuid import uuid4

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from stope.identity import digest_bytes, digest_file
from stope.records.database import Database
from stope.records.schema import source

log = logging.getLogger(__name__)

_OWNER = "stope:records"
"""No absolute path, and no URL of an input."""


class SourceDigests:
    """Finds the SHA-256 of a file's content without reading an unchanged file twice."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def digest(self, path: Path) -> str:
        """SHA-256 of the content of a file.

        Raises:
            OSError: the file cannot be read.
        """
        stat = await asyncio.to_thread(path.stat)
        seen = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        found = await self._known(str(path), seen)
        if found is not None:
            return found
        digest = await asyncio.to_thread(digest_file, path)
        await self._keep(str(path), seen, digest)
        return digest

    async def known(self, location: str, size: int, version: str) -> str | None:
        """The SHA-256 of what is at a URL, if it was read while it had this size and version.

        ``version`` is what its server calls it; without one nothing is known.
        """
        return await self._known(location, (size, *_numbers(version))) if version else None

    async def keep(self, location: str, size: int, version: str, digest: str) -> None:
        """Remember what was read at a URL, given without its query."""
        if version:
            await self._keep(location, (size, *_numbers(version)), digest)

    async def owner(self) -> str:
        """The id of these records, made when it is first asked for: 32 hexadecimal digits.

        It is theirs wherever they are moved to, and the same for every program that uses them.
        """
        query = select(source.c.digest).where(source.c.path == _OWNER)
        found = await self._database.fetch(query)
        if not found:
            numbers = dict.fromkeys(("size", "mtime_ns", "inode"), 0)
            new = {"path": _OWNER, "digest": uuid4().hex, **numbers}
            await self._database.insert_new(source, [new])
            found = await self._database.fetch(query)
        return str(found[0].digest)

    async def _known(self, location: str, seen: tuple[int, int, int]) -> str | None:
        query = select(source.c.digest, source.c.size, source.c.mtime_ns, source.c.inode)
        async with self._database.reading() as connection:
            row = (await connection.execute(query.where(source.c.path == location))).first()
        if row is not None and (row.size, row.mtime_ns, row.inode) == seen:
            return str(row.digest)
        return None

    async def _keep(self, location: str, seen: tuple[int, int, int], digest: str) -> None:
        size, mtime_ns, inode = seen
        new = {
            "path": location,
            "size": size,
            "mtime_ns": mtime_ns,
            "inode": inode,
            "digest": digest,
        }
        old = delete(source).where(source.c.path == location)
        try:
            await self._database.write(old, insert(source).values(new))
        except IntegrityError:
            # Several read it at once; whoever was first is as good as we are.
            log.debug("%s was digested by somebody else at the same time", location)


def _numbers(version: str) -> tuple[int, int]:
    """A version as two 63-bit numbers, in the columns that hold a file's time and inode."""
    digest = digest_bytes(version.encode())
    return int(digest[:16], 16) >> 1, int(digest[16:32], 16) >> 1
