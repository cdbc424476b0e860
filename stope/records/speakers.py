"""Names that people gave to the speakers of a transcript.

They belong to the transcript's content, so that every job that leads to it shows them, and they
change nothing that was computed from it.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from stope.records.database import Database
from stope.records.schema import speaker_name


class SpeakerNames:
    """Reads and changes the names in the table ``speaker_name``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, transcript_digest: str) -> dict[str, str]:
        """The names given so far, by speaker id."""
        query = (
            select(speaker_name.c.speaker, speaker_name.c.name)
            .where(speaker_name.c.transcript_digest == transcript_digest)
            .order_by(speaker_name.c.speaker)
        )
        async with self._database.reading() as connection:
            return {row.speaker: row.name for row in await connection.execute(query)}

    async def rename(self, transcript_digest: str, names: Mapping[str, str]) -> None:
        """Give names, all of them or none; an empty name takes the old one away.

        Args:
            transcript_digest: SHA-256 of the stored transcript.
            names: by speaker id. Speakers that are not in it keep theirs.
        """
        if not names:
            return
        rows = [
            {"transcript_digest": transcript_digest, "speaker": speaker, "name": name}
            for speaker, name in names.items()
            if name
        ]
        dialect = sqlite if self._database.is_sqlite else postgresql
        statement = dialect.insert(speaker_name)
        async with self._database.writing() as connection:
            await connection.execute(
                delete(speaker_name).where(
                    speaker_name.c.transcript_digest == transcript_digest,
                    speaker_name.c.speaker.in_([name for name in names if not names[name]]),
                )
            )
            if rows:
                await connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=[speaker_name.c.transcript_digest, speaker_name.c.speaker],
                        set_={"name": statement.excluded.name},
                    ),
                    rows,
                )
