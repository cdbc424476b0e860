"""Verifying compares a run with its workflow: how it stands, what it gave, what it last said.

On a real server with real records, which the tests then make disagree.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text, update
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus

from client import JobClient, JobFailedError
from jobs.history import told_of
from stope.errors import ProviderRejectedError
from stope.models.job import JobStatus, JobType
from stope.models.verification import Finding, Verification
from stope.records import schema
from stope.settings import Settings
from tests.waiting import until
from tests.workflows.lab import Lab, open_lab

SOON = 120.0
"""Seconds after which what is waited for will not come any more."""

MINE = JobType.MINE

UNITS_OF = {
    JobStatus.SUCCEEDED: 4,
    JobStatus.SUCCEEDED_WITH_GAPS: 3,
    JobStatus.FAILED: 2,
    JobStatus.CANCELLED: 3,
}
"""How many units of a run are committed that stumbled at the third."""


@pytest.fixture
async def lab(tmp_path: Path, temporal: Client, server: Settings) -> AsyncIterator[Lab]:
    async with open_lab(tmp_path, temporal, server) as lab:
        yield lab


async def _ended(client: JobClient, lab: Lab, status: JobStatus) -> str:
    """A mine job whose one run ended so."""
    script = lab.scripts[MINE]
    if status is JobStatus.SUCCEEDED_WITH_GAPS:
        script.gaps.add("u2")
    if status is JobStatus.FAILED:
        script.errors["u2"] = ProviderRejectedError("There is no such model.")
    if status is JobStatus.CANCELLED:
        return await _cancelled(client, lab)
    job_id = await client.create_job("mine", lab.text())
    if status.has_result:
        await client.process_job(job_id)
    else:
        with pytest.raises(JobFailedError):
            await client.process_job(job_id)
    return job_id


async def _cancelled(client: JobClient, lab: Lab) -> str:
    job_id, release = await _at_work(client, lab, "u2")
    await client.cancel(job_id)
    await until(lab.scripts[MINE].told_to_stop, "the worker to know", SOON)
    release.set()
    with pytest.raises(JobFailedError):
        await client.wait(job_id)
    return job_id


async def _at_work(client: JobClient, lab: Lab, unit: str) -> tuple[str, asyncio.Event]:
    """A mine job at work on a unit, and what lets it go on."""
    script = lab.scripts[MINE]
    release = script.hold(unit)
    job_id = await client.create_job("mine", lab.text())
    await client.start_job(job_id)
    await until(lambda: script.begun(unit), f"the unit {unit}", SOON)
    return job_id, release


async def _workflow_is(client: JobClient, job_id: str, state: object) -> None:
    """Wait until Temporal says so of the job's last run; None: it knows no such workflow."""

    async def is_so() -> bool:
        return (await told_of(await client.temporal(), (await client.runs(job_id))[-1])).state is (
            state
        )

    # The server deletes a closed workflow once its queues are done with it: half a minute.
    await until(is_so, f"the workflow of {job_id} to be {state}")


async def _forget(lab: Lab, client: JobClient, job_id: str) -> None:
    """Temporal loses the workflow of the job's last run, as it does after its retention."""
    run = (await client.runs(job_id))[-1]
    await lab.temporal.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=lab.temporal.namespace,
            workflow_execution=WorkflowExecution(
                workflow_id=run.workflow_id, run_id=run.temporal_run_id or ""
            ),
        )
    )
    await _workflow_is(client, job_id, None)


def _about_temporal(found: Verification) -> list[Finding]:
    return [finding for finding in found.findings if finding.about == "temporal"]


async def _wrong(client: JobClient, job_id: str) -> list[str]:
    """What of Temporal's history is wrong for a job that is no pipeline."""
    [found] = await client.verify(job_id)
    assert all(finding.wrong for finding in _about_temporal(found))
    return [finding.text for finding in _about_temporal(found)]


@pytest.mark.parametrize("status", [status for status in JobStatus if status.finished])
async def test_a_run_that_ended_agrees_with_its_workflow(lab: Lab, status: JobStatus) -> None:
    async with lab.client() as client, lab.working():
        job_id = await _ended(client, lab, status)
        [found] = await client.verify(job_id)
    assert (found.status, found.attempt) == (status, 1)
    assert found.checked["units"] == UNITS_OF[status]
    assert found.findings == ()


async def test_a_run_at_work_agrees_and_so_does_one_whose_workers_are_gone(lab: Lab) -> None:
    async with lab.client() as client:
        async with lab.working():
            job_id, release = await _at_work(client, lab, "u2")
            assert await _wrong(client, job_id) == []
            release.set()
        assert await _wrong(client, job_id) == []
        async with lab.working():
            await client.wait(job_id)
        assert await _wrong(client, job_id) == []


async def test_a_workflow_that_closed_under_a_running_run_is_told(lab: Lab) -> None:
    async with lab.client() as client:
        async with lab.working():
            job_id, release = await _at_work(client, lab, "u1")
            await lab.temporal.get_workflow_handle(job_id).terminate("somebody pressed a button")
            await _workflow_is(client, job_id, WorkflowExecutionStatus.TERMINATED)
            release.set()
        [found] = await _wrong(client, job_id)
        assert found.startswith("the run is running and its workflow terminated; `stope resume")
        # What the finding says to do, mends it.
        async with lab.working():
            await client.resume(job_id)
            await client.wait(job_id)
        assert await _wrong(client, job_id) == []


@pytest.mark.parametrize(
    ("ended", "row", "workflow"),
    [
        (JobStatus.SUCCEEDED, JobStatus.FAILED, "completed"),
        (JobStatus.SUCCEEDED, JobStatus.CANCELLED, "completed"),
        (JobStatus.FAILED, JobStatus.SUCCEEDED, "failed"),
        (JobStatus.FAILED, JobStatus.CANCELLED, "failed"),
    ],
)
async def test_a_workflow_that_ended_otherwise_than_its_run_is_told(
    lab: Lab, ended: JobStatus, row: JobStatus, workflow: str
) -> None:
    async with lab.client() as client, lab.working():
        job_id = await _ended(client, lab, ended)
        await lab.services.database.write(update(schema.job_run).values(status=row.value))
        assert await _wrong(client, job_id) == [f"the run {row.value} and its workflow {workflow}"]


async def test_a_result_that_is_not_what_the_workflow_gave_is_told(lab: Lab) -> None:
    async with lab.client() as client, lab.working():
        job_id = await _ended(client, lab, JobStatus.SUCCEEDED_WITH_GAPS)
        result = (await client.job(job_id)).result
        assert result is not None
        ours = result["output_id"]
        for changed, says in (
            ({"output_id": "mine-else"}, "mine-else with 1"),
            ({"gaps": []}, f"{ours} with 0"),
        ):
            await lab.services.database.write(
                update(schema.job).values(result_json=result | changed)
            )
            assert await _wrong(client, job_id) == [
                f"history has the result {ours} with 1 gaps, the records {says}"
            ]


async def test_a_heartbeat_that_tells_of_more_than_is_committed_is_told(lab: Lab) -> None:
    async with lab.client() as client, lab.working():
        job_id, release = await _at_work(client, lab, "u2")

        async def both_told() -> bool:
            told = await told_of(lab.temporal, (await client.runs(job_id))[0])
            return told.progress is not None and told.progress.done == 2

        await until(both_told, "the heartbeat of two units", SOON)
        assert await _wrong(client, job_id) == []
        lost = select(schema.run_use.c.key).where(schema.run_use.c.name == "u1")
        await lab.services.database.write(delete(schema.unit).where(schema.unit.c.key.in_(lost)))
        assert await _wrong(client, job_id) == [
            "the last heartbeat tells of 2 units, the records have 1 of them"
        ]
        release.set()
        await client.wait(job_id)


async def test_a_finished_run_whose_history_is_gone_is_not_compared(lab: Lab) -> None:
    async with lab.client() as client, lab.working():
        job_id = await _ended(client, lab, JobStatus.SUCCEEDED)
        await _forget(lab, client, job_id)
        [found] = await client.verify(job_id)
    assert found.sound
    assert [finding.text for finding in found.findings] == [
        "Temporal keeps no history of this run any more: it is not compared"
    ]


async def test_a_running_run_whose_workflow_is_forgotten_is_told(lab: Lab) -> None:
    async with lab.client() as client, lab.working():
        job_id, release = await _at_work(client, lab, "u1")
        await _forget(lab, client, job_id)
        release.set()
        [found] = await _wrong(client, job_id)
    assert found.startswith("the run is running and Temporal knows no such workflow run")


async def test_a_pipeline_is_verified_with_each_of_its_stages(lab: Lab) -> None:
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("pipeline", lab.text())
        await client.process_job(job_id)
        found = await client.verify(job_id)
        assert [one.job_id.split("-")[0] for one in found] == ["pipeline", "mine", "flagship"]
        assert [_about_temporal(one) for one in found] == [[], [], []]
        mined = found[1].job_id
        runs = update(schema.job_run).where(schema.job_run.c.job_id == mined)
        await lab.services.database.write(runs.values(status="failed"))
        told = [_about_temporal(one) for one in await client.verify(job_id)]
    assert [len(findings) for findings in told] == [0, 1, 0]
    assert told[1][0].text == "the run failed and its workflow completed"


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.FAILED])
@pytest.mark.parametrize("body", [None, '{"stage": "lost", "completed_segments": ["u9"]}'])
async def test_after_a_rebuild_nothing_is_wrong(
    lab: Lab, status: JobStatus, body: str | None
) -> None:
    async with lab.client() as client, lab.working():
        job_id = await _ended(client, lab, status)
        before = await client.checkpoint(job_id)
        async with lab.services.database.writing() as connection:
            await connection.execute(
                text("UPDATE job_run SET checkpoint_json = :body"), {"body": body}
            )
        [found] = await client.verify(job_id)
        assert not found.sound
        [found] = await client.verify(job_id, rebuild=True)
        assert (found.rebuilt, found.findings) == (True, ())
        after = await client.checkpoint(job_id)
    assert before is not None
    assert after is not None
    assert after.pop("stope") != before.pop("stope")
    assert after == before
