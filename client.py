"""The client: create jobs, process them, watch them, read their checkpoints and results.

Everything the command line does, for Python::

    async with JobClient() as client:
        job_id = await client.create_job("pipeline", "interview.opus")
        result = await client.process_job(job_id)

A worker must run somewhere (``stope up``, ``stope worker``, or ``worker.run_worker``). A job that
has its result answers from the records, without Temporal.
"""

from __future__ import annotations

from jobs.connection import connect_temporal
from jobs.creation import JobCreation
from jobs.documents import JobDocuments
from jobs.session import JobFailedError
from jobs.views import JobViews

__all__ = ["JobClient", "JobFailedError", "connect_temporal"]


class JobClient(JobCreation, JobViews, JobDocuments):
    """One person's view of the jobs of one home, or of one cluster.

    Args:
        settings: default: from the environment.
        temporal: an open Temporal client; default: connected when first needed.
    """
