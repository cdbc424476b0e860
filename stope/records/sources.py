"""Digests of inputs: of files by path, size, time and inode, of URLs by size and version.

Beside them stand the id of the records, and the artifact stores that have their mark.
"""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from uuid import uuid4

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from stope.identity import digest_bytes, digest_file
from stope.records.database import Database
from stope.records.schema import run_use, source
from stope.records.uses import ARTIFACT

log = logging.getLogger(__name__)

_OWNER = "stope:records"
"""No absolute path, and no URL of an input; nor is what begins like a store's."""

_STORE = "stope:store:"
_NOTE_AT_MOST = 64
_ID = re.compile("[0-9a-f]{32}")


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
            await self._note(_OWNER, uuid4().hex)
            found = await self._database.fetch(query)
        return str(found[0].digest)

    @property
    def home(self) -> Path | None:
        """The folder that the records lie in, where they are a file."""
        return Path(self._database.display_url).parent if self._database.is_sqlite else None

    async def stores(self) -> dict[str, str]:
        """The artifact stores that have the mark of these records, by the names they were kept by.

        With each: where and when the mark was left, for people; '' where that is not known.
        """
        columns = (source.c.path, source.c.digest)
        query = select(*columns).where(source.c.path.startswith(_STORE, autoescape=True))
        return {
            # Before there were notes, the id of the records stood in their place.
            row.path.removeprefix(_STORE): "" if _ID.fullmatch(row.digest) else row.digest
            for row in await self._database.fetch(query)
        }

    async def keep_store(self, name: str, note: str) -> None:
        """Remember an artifact store that has the mark of these records, unless it is known.

        Args:
            name: its URL, or another name by which it is known again.
            note: where and when the mark was left.
        """
        await self._note(f"{_STORE}{name}", note[:_NOTE_AT_MOST])

    async def has_artifacts(self) -> bool:
        """Whether a run has ever noted that it needs an artifact."""
        query = select(run_use.c.key).where(run_use.c.kind == ARTIFACT).limit(1)
        return bool(await self._database.fetch(query))

    async def _note(self, name: str, value: str) -> None:
        """Keep a value under a name that no input has, unless there is one."""
        numbers = dict.fromkeys(("size", "mtime_ns", "inode"), 0)
        await self._database.insert_new(source, [{"path": name, "digest": value, **numbers}])

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
