"""Running: the dialogues go through the pipeline as anybody's recordings do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from benchmarks.eval.dialogue import Dialogue
from benchmarks.eval.score import Cost, Score, score_document
from cli.console import status
from cli.models import fetch_missing
from cli.session import working_session
from client import JobClient
from stope.dev_server import DevServer
from stope.models.job import Job, JobRun, JobType
from stope.settings import Settings
from worker import stop_on_signals


async def evaluate(
    settings: Settings, dialogues: Sequence[Dialogue], job_type: JobType, llm: str | None
) -> list[Score] | None:
    """The score of each dialogue; None when somebody interrupted: the same call goes on then.

    Args:
        settings: whose home keeps the units, so that only what changed is done again.
        dialogues: what to run.
        job_type: ``pipeline``, or ``transcribe`` for the figures that need no language model.
        llm: a model to use for claims and verdicts in place of the settings'.

    Raises:
        JobFailedError: a job failed; the message is its own sentence.
    """
    async with JobClient(settings) as client:
        jobs = [
            await client.job(
                await client.create_job(
                    job_type, item.recording, {"miner_model": llm, "flagship_model": llm}
                )
            )
            for item in dialogues
        ]
        unfinished = [job for job in jobs if not job.status.has_result]
        if unfinished and not await _work(client, settings, unfinished):
            return None
        return [
            score_document(item, await client.document(job.id), _cost_of(await client.runs(job.id)))
            for item, job in zip(dialogues, jobs, strict=True)
        ]


async def _work(client: JobClient, settings: Settings, jobs: Sequence[Job]) -> bool:
    """Process jobs one after the other, so that their times compare. False: interrupted."""
    server = DevServer(settings)
    was_running = server.running() is not None
    await asyncio.to_thread(fetch_missing, settings, jobs)
    stop = asyncio.Event()
    stop_on_signals(stop)
    try:
        async with working_session(settings, stop):
            for job in jobs:
                status(f"{job.input.path}: {job.type.value}")
                if not await _process(client, job, stop):
                    return False
    finally:
        if not was_running:
            await asyncio.to_thread(server.stop)
    return True


async def _process(client: JobClient, job: Job, stop: asyncio.Event) -> bool:
    working = asyncio.create_task(client.process_job(job.id))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        working.result()
        return True
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return False


def _cost_of(runs: Iterable[JobRun]) -> Cost:
    total = Cost()
    for run in runs:
        metrics = run.metrics or {}

        def number(name: str, found: dict[str, object] = metrics) -> int:
            value = found.get(name, 0)
            return int(value) if isinstance(value, int | float) else 0

        seconds = (run.finished_at - run.created_at).total_seconds() if run.finished_at else 0
        total += Cost(
            seconds=round(seconds, 1),
            calls=number("llm_calls"),
            reused=number("llm_answers_reused"),
            prompt_tokens=number("prompt_tokens"),
            completion_tokens=number("completion_tokens"),
        )
    return total
