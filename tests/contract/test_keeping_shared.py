"""Clearing out a store that others use, that is away, or that killed processes left things in."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete, literal

from activities.services import open_services
from stope.artifacts import ArtifactStore
from stope.errors import StorageUnavailableError, UsageError
from stope.models.job import JobConfig, JobStatus, JobType
from stope.models.steps import StepCheckpoint, StepCheckpointMeta, StepUses
from stope.records.database import Database
from stope.records.keeping import KeepingRecords
from stope.records.schema import lease
from stope.records.sources import SourceDigests
from stope.settings import Settings
from stope.steps.identity import checkpoint_path, run_guid_of
from tests.contract.test_keeping import NOW, Home
from tests.object_servers import Mode, ObjectPlace, remote
from tests.waiting import until

__all__ = ["remote"]


@pytest.fixture
def home(database: Database, tmp_path: Path) -> Home:
    return Home(database, tmp_path)


@pytest.fixture
def other(
    sqlite_template: Path, tmp_path: Path, open_database: Callable[[str], Database]
) -> Database:
    """Other records."""
    path = tmp_path / "other.db"
    path.write_bytes(sqlite_template.read_bytes())
    return open_database(f"sqlite:///{path}")


async def test_a_store_that_other_records_use_is_not_cleared_out_unasked(
    home: Home, other: Database
) -> None:
    job_id = await home.add_job("mine")
    await home.add_run(job_id, JobStatus.SUCCEEDED, range(2))
    theirs = await home.artifacts.put(b"of the others")
    await ArtifactStore(home.artifacts.url).mark(SourceDigests(other).owner)
    await home.age()
    for dry in (True, False):
        with pytest.raises(UsageError, match=r"Other records use .* insist with --shared-store"):
            await home.collect(runs=0, dry=dry)
    assert [job.id for job in await home.jobs.newest(9)] == [job_id]
    assert await home.artifacts.exists(theirs)

    report = await home.collect(runs=0, shared=True)
    assert (report.jobs.count, report.artifacts.count) == (1, 2)
    # Whoever cleared it out has left a mark as well.
    owners = await home.artifacts.owners()
    assert set(owners) == {
        await SourceDigests(home.database).owner(),
        await SourceDigests(other).owner(),
    }


async def test_a_run_leaves_the_mark_of_its_records_before_it_stores_anything(
    home: Home, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path / "home", artifacts_url=home.artifacts.url)
    services = await open_services(settings)
    try:
        await services.of_run("run").artifacts.put(b"of the others")
        owner = await SourceDigests(services.database).owner()
    finally:
        await services.close()
    assert set(await home.artifacts.owners()) == {owner}
    with pytest.raises(UsageError, match="Other records use"):
        await home.collect()


async def test_what_a_checkpoint_in_the_store_names_stays_whosever_it_is(home: Home) -> None:
    top, nested, nobodys = [await home.artifacts.put(data) for data in (b"a", b"b", b"c")]
    uses = await home.artifacts.put_model(StepUses(digests=(nested,)))
    meta = StepCheckpointMeta(uses={"frames": uses})
    body = StepCheckpoint(
        pipeline_name="p", run_guid="g", context={"frames": {"digest": top}}, stope=meta
    )
    path = checkpoint_path("g")
    await home.artifacts.write_named(path, body.model_dump_json().encode())
    await home.artifacts.write_named("runs/mine/checkpoint.json", b"no checkpoint of ours")
    await home.age()
    for dry in (True, False):
        assert (await home.collect(dry=dry)).artifacts.count == 1
    kept = [await home.artifacts.exists(digest) for digest in (top, nested, uses, nobodys)]
    assert kept == [True, True, True, False]
    assert await home.artifacts.read_named(path) is not None


async def _step_job(home: Home, name: str, status: JobStatus) -> str:
    """A job of a step pipeline with a run, a checkpoint and a folder; its run id."""
    job_id = await home.add_job(name, JobType.STEPS)
    await home.jobs.set_config(job_id, JobConfig(pipeline="letters", pipeline_config={"n": name}))
    await home.add_run(job_id, status, range(1))
    run_guid = run_guid_of(await home.jobs.get(job_id))
    named = await home.artifacts.put(f"named by {name}".encode())
    await home.artifacts.write_named(checkpoint_path(run_guid), json.dumps([named]).encode())
    folder = home.scratch / "steps" / run_guid
    folder.mkdir(parents=True)
    (folder / "frame").write_bytes(b"1234")
    return run_guid


async def test_what_killed_processes_and_dropped_jobs_left_goes(home: Home) -> None:
    over = await _step_job(home, "over", JobStatus.SUCCEEDED)
    failed = await _step_job(home, "failed", JobStatus.FAILED)
    at_work = await _step_job(home, "work", JobStatus.RUNNING)
    copies = {name: home.scratch / f"copy-{name}" for name in ("left", "new")}
    for folder in copies.values():
        folder.mkdir()
        (folder / "input.part").write_bytes(b"12345678")
    await home.age()
    os.utime(copies["new"] / "input.part", (NOW.timestamp(), NOW.timestamp()))

    would = await home.collect(runs=0, dry=True)
    assert await home.artifacts.read_named(checkpoint_path(over)) is not None
    did = await home.collect(runs=0)

    assert (would.scratch, would.artifacts) == (did.scratch, did.artifacts)
    assert (did.scratch.count, did.scratch.bytes) == (3, 16)
    left = {path.name for path in (home.scratch / "steps").iterdir()}
    assert left == {at_work}
    assert [folder.exists() for folder in copies.values()] == [False, True]
    found = await home.artifacts.list_named("runs")
    assert found == sorted([checkpoint_path(failed), checkpoint_path(at_work)])


async def test_a_store_that_fails_ends_the_sweep_and_the_next_one_finds_the_rest(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await home.add_job("old")
    await home.add_run(job_id, JobStatus.SUCCEEDED, range(1))
    for number in range(40):
        await home.artifacts.put(f"old {number}".encode())
    await home.age()
    failing = ArtifactStore(home.artifacts.url)
    calls: list[Sequence[str]] = []

    def fail(digests: Sequence[str]) -> None:
        calls.append(digests)
        home.artifacts.delete(digests[:3])
        raise StorageUnavailableError("the store is away")

    monkeypatch.setattr(failing, "delete", fail)
    monkeypatch.setattr(home.artifacts, "impatient", lambda: failing)
    with pytest.raises(StorageUnavailableError, match="away"):
        await home.collect(runs=0)
    assert len(calls) == 1
    assert len(calls[0]) <= 16
    monkeypatch.undo()
    assert (await home.collect(runs=0)).artifacts.count == 38
    assert (await home.count())["files"] == 0


async def test_nobody_waits_long_for_a_store_that_does_not_answer(
    home: Home, remote: ObjectPlace
) -> None:
    assert remote.door is not None
    store = ArtifactStore(remote.url)
    digests = {await store.put(f"old {number}".encode()) for number in range(30)}
    remote.door.mode = Mode.STALLED
    remote.door.break_off()
    let_in = remote.door.let_in
    records = KeepingRecords(home.database)
    dropping = asyncio.create_task(
        records.drop_artifacts(digests, frozenset(), store.impatient().delete)
    )

    async def at_it() -> bool:
        assert remote.door is not None
        return remote.door.let_in > let_in

    await until(at_it, "the first request")
    # As long as anybody who writes waits for a writer before it is told that it is busy, and less.
    async with asyncio.timeout(60):
        await home.database.write(delete(lease).where(lease.c.expires_at < literal(0.0)))
        with pytest.raises(StorageUnavailableError):
            await dropping
    remote.door.mode = Mode.OPEN
    remote.door.break_off()
    assert await records.drop_artifacts(digests, frozenset(), store.delete) == digests
    assert [item async for item in store.stored()] == []
