"""Digests of input files, remembered by path, size, time and inode."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy import delete, select

from stope.identity import digest_file
from stope.records.database import Database
from stope.records.schema import source


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
        async with self._database.writing() as connection:
            await connection.execute(delete(source).where(source.c.path == str(path)))
        new = {
            "path": str(path),
            "size": size,
            "mtime_ns": mtime_ns,
            "inode": inode,
            "digest": digest,
        }
        # Several may have read it at once; whoever is first is as good as we are.
        await self._database.insert_new(source, [new])
        return digest
