"""Which job gave a result: the way back from an artifact's digest."""

from __future__ import annotations

from sqlalchemy import Text, cast, select

from stope.models.job import Job, JobStatus, JobType
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.schema import job

_GIVES = {
    "transcript_digest": (JobType.TRANSCRIBE, JobType.MINE),
    "claims_digest": (JobType.MINE,),
    "knowledge_digest": (JobType.FLAGSHIP,),
}
"""The stages whose results have a field. A pipeline's has them all, but only once it is finished:
what is found must not depend on when somebody asks."""


class ResultGivers:
    """Finds stage jobs by what they gave."""

    def __init__(self, database: Database, jobs: JobRecords) -> None:
        self._database = database
        self._jobs = jobs

    async def oldest(self, field: str, digest: str) -> Job | None:
        """The first stage job that gave this, or None: ``field`` is of its final result.

        A mine job gave a transcript as well, where it started from a text.
        """
        query = (
            select(job.c.id, job.c.result_json)
            .where(
                job.c.type.in_([kind.value for kind in _GIVES[field]]),
                job.c.status.in_([status.value for status in JobStatus if status.has_result]),
                cast(job.c.result_json, Text).contains(digest, autoescape=True),
            )
            .order_by(job.c.created_at, job.c.id)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        for row in rows:
            parts = row.result_json.get("result")
            if isinstance(parts, dict) and parts.get(field) == digest:
                return await self._jobs.get(str(row.id))
        return None
