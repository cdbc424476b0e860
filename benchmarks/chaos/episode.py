"""One run: a job from its submission to its end, disturbed or not, and what became of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos.billing import Cause, Fates, PaidAgain, most_per_death, paid_again, story
from benchmarks.chaos.director import Director, StuckError
from benchmarks.chaos.faults import Fault, Kind, Plan
from benchmarks.chaos.mirror import MirrorWatch
from benchmarks.chaos.place import SLOTS, Place
from benchmarks.chaos.record import Injected, Record
from benchmarks.chaos.recovery import RECOVERY_SECONDS, Recovery, recoveries, told
from benchmarks.chaos.trouble import Trouble
from benchmarks.chaos.truth import Truth, differences, lost, read_truth
from client import JobClient
from jobs.session import JobFailedError
from stope.errors import StopeError, UsageError
from stope.models.job import JsonObject
from stope.records.database import Database

NOTHING = Plan((), (), (), ())


@dataclass
class Episode:
    """What one run was put through, and how it came out."""

    name: str
    job_type: str
    postgres: bool
    record: Record = field(default_factory=Record)
    troubles: list[Trouble] = field(default_factory=list)
    again: list[PaidAgain] = field(default_factory=list)
    billed: int = 0
    seconds: float = 0.0
    truth: Truth | None = None
    recoveries: list[Recovery] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """How many happened."""
        return len(self.record.injected) + len(self.troubles)

    @property
    def violations(self) -> list[str]:
        """What must not be."""
        return self.record.violations


async def run_episode(
    name: str,
    place: Place,
    wanted: Mapping[str, Any],
    plan: Plan,
    dice: random.Random,
    undisturbed: Truth | None,
) -> Episode:
    """Submit the job, inject the plan's faults, wait for the result, and check everything."""
    began = time.monotonic()
    episode = Episode(name, str(wanted["type"]), place.postgres is not None)
    database = Database(place.settings.records_url)
    try:
        disturbed = plan is not NOTHING
        mirror = MirrorWatch(database, place.journal)
        [job_id] = set(await place.submit(wanted, 2 if disturbed else 1))
        result: list[JsonObject] = []

        async def resubmit() -> None:
            again = set(await place.submit(wanted, 2))
            if again != {job_id}:
                episode.violations.append(f"the same job got the ids {sorted({*again, job_id})}")

        async def finish() -> None:
            result.append(await _result(place, job_id))

        director = Director(place, plan, dice, resubmit, mirror)
        episode.record = director.record
        if disturbed:
            submission = Injected(0, Fault(Kind.TWICE), began, recovered=began)
            episode.record.injected.append(submission)
        try:
            await director.direct(asyncio.create_task(finish()))
        except (StuckError, JobFailedError) as error:
            episode.violations.append(f"the job did not end well: {error}")
        else:
            await mirror.look(episode.record)
            await _check(episode, place, database, result[0], undisturbed)
            if disturbed:
                await _check_cached(episode, place, job_id, result[0])
        if disturbed:
            episode.recoveries = await _recoveries(episode.record, place, job_id)
    finally:
        await database.close()
    episode.seconds = time.monotonic() - began
    return episode


async def _result(place: Place, job_id: str) -> JsonObject:
    """The job's result, however often server and records are away meanwhile."""
    while True:
        try:
            async with JobClient(place.settings) as client:
                return await client.wait(job_id)
        except JobFailedError:
            raise
        except (StopeError, UsageError):
            await asyncio.sleep(0.5)


async def _check(
    episode: Episode,
    place: Place,
    database: Database,
    result: JsonObject,
    undisturbed: Truth | None,
) -> None:
    episode.truth = await read_truth(database, result)
    if undisturbed is not None:
        episode.violations.extend(differences(episode.truth, undisturbed))
    episode.violations.extend(await lost(database, place.journal))
    calls = list(place.llm.log)
    episode.troubles = [call.trouble for call in calls if call.trouble is not None]
    episode.billed = sum(call.billed is not None for call in calls)
    episode.again = paid_again(
        calls, place.journal, Fates(place.deaths, place.frozen, place.server_deaths)
    )
    for item in episode.again:
        if item.cause in (Cause.COMMITTED, Cause.TOGETHER, Cause.UNKNOWN):
            episode.violations.append(
                f"the request {item.request[:12]} was paid for again, {item.cause} "
                f"({item.at - place.journal.passages[0].at:.2f} s after the first passage):\n      "
                + "\n      ".join(story(item.request, calls, place.journal))
            )
    most = most_per_death(episode.again)
    if most > SLOTS:
        episode.violations.append(f"one kill cost {most} answers, with {SLOTS} slots in flight")


async def _check_cached(episode: Episode, place: Place, job_id: str, result: JsonObject) -> None:
    before = len(place.llm.log)
    async with JobClient(place.settings) as client:
        if await client.process_job(job_id) != result:
            episode.violations.append("the finished job answers with another result")
    if len(place.llm.log) != before:
        episode.violations.append("the finished job asked the language model again")


async def _recoveries(record: Record, place: Place, job_id: str) -> list[Recovery]:
    """All recoveries, those that were too slow with their story."""
    async with JobClient(place.settings) as client:
        return [
            await told(item, place.journal, client, job_id)
            if item.seconds > RECOVERY_SECONDS
            else item
            for item in recoveries(record)
        ]


def transcript_job(path: Path) -> dict[str, Any]:
    """The request for the episode's pipeline: mine, then judge."""
    return {"type": "pipeline", "input": str(path), "config": {"segment_tokens": 50}}


def audio_job(path: Path) -> dict[str, Any]:
    """The request to transcribe a recording, with its speakers."""
    return {"type": "transcribe", "input": str(path), "config": {}}
