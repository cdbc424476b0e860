"""Uploads: what a finished job knows, published somewhere."""

from __future__ import annotations

from jobs.creation import JobCreation
from stope.models.job import Job, JobType
from stope.upload.places import place_url


class JobUploads(JobCreation):
    """Publishes what finished jobs found."""

    async def create_upload(self, job_id: str, to: str) -> Job:
        """The job that publishes a finished job's knowledge; see ``start_upload``.

        Args:
            job_id: a mine, flagship or pipeline job that has its result.
            to: a folder, as a path or as ``file:///folder``; or the URL of a bucket's prefix, of a
                PostgreSQL database or of an HTTP endpoint, without a secret in it.

        Raises:
            UsageError: nothing can be published there, or the job gives nothing to publish.
            InputError: the job has no result yet.
        """
        config = {"upload_to": place_url(to)}
        return await self._jobs.get(await self.create_job(JobType.UPLOAD, job_id, config))

    async def start_upload(self, upload_id: str, *, resume_from_checkpoint: bool = True) -> Job:
        """Start an upload job, or join it where it runs, also when it has its result.

        A place can change behind our back, and so can the names of speakers: what is still there
        as it should be is read back, and not sent a second time.

        Args:
            upload_id: which.
            resume_from_checkpoint: False puts everything again.

        Raises:
            UsageError: it is to start afresh while it runs.
            ServerUnavailableError: Temporal does not answer.
        """
        job = await self._jobs.get(upload_id)
        if resume_from_checkpoint and job.status.has_result:
            return await self._start(job, again=True)
        return await self.start_job(upload_id, resume_from_checkpoint=resume_from_checkpoint)
