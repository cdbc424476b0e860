"""Digests of input files, remembered by path, size, time and inode."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from stope.identity import digest_file
from stope.records.database import Database
from stope.records.schema import source

log = logging.getLogger(__name__)


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
        query = select(source.c.digest, source.c.size, source.c.mtime_ns, source.c.inode)
        async with self._database.reading() as connection:
            row = (await connection.execute(query.where(source.c.path == str(path)))).first()
        if row is not None and (row.size, row.mtime_ns, row.inode) == seen:
            return str(row.digest)
        digest = await asyncio.to_thread(digest_file, path)
        size, mtime_ns, inode = seen
        new = {
            "path": str(path),
            "size": size,
            "mtime_ns": mtime_ns,
            "inode": inode,
            "digest": digest,
        }
        old = delete(source).where(source.c.path == str(path))
        try:
            await self._database.write(old, insert(source).values(new))
        except IntegrityError:
            # Several read it at once; whoever was first is as good as we are.
            log.debug("%s was digested by somebody else at the same time", path)
        return digest
