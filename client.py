"""The client: create jobs, process them, watch them, read their checkpoints and results.

Everything the command line does, for Python::

    async with JobClient() as client:
        job_id = await client.create_job("pipeline", "interview.opus")
        result = await client.process_job(job_id)

A worker must run somewhere (``stope up``, ``stope worker``, or ``worker.run_worker``). A job that
has its result answers from the records, without Temporal.
"""

from __future__ import annotations

from jobs.attempts import JobAttempts
from jobs.connection import connect_temporal
from jobs.dataprep import JobDataPrep
from jobs.documents import JobDocuments
from jobs.money import JobMoney
from jobs.session import JobFailedError, JobPausedError
from jobs.upkeep import JobUpkeep
from jobs.uploads import JobUploads
from jobs.views import JobViews

__all__ = ["JobClient", "JobFailedError", "JobPausedError", "connect_temporal"]


class JobClient(JobAttempts, JobMoney, JobUploads, JobDataPrep, JobViews, JobDocuments, JobUpkeep):
    """One person's view of the jobs of one home, or of one cluster.

    Args:
        settings: default: from the environment.
        temporal: an open Temporal client; default: connected when first needed.
    """
