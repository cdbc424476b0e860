"""Jobs compared with what is stored of them, mirrors made again, and clearing out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
)
from temporalio.service import RPCError, RPCStatusCode

from jobs.history import Told, history_findings, told_of
from jobs.session import JobSession
from stope import names
from stope.errors import ServerUnavailableError, UsageError
from stope.models.job import JobType
from stope.models.keeping import GcReport, KeepPolicy
from stope.models.verification import Finding, Verification
from stope.records.mirrors import Mirrors

if TYPE_CHECKING:
    from stope.verify import Verifier

_CRONS = {"hourly": "17 * * * *", "daily": "23 3 * * *", "weekly": "23 3 * * 0"}
"""Words for when, as cron: at a minute when little else begins."""


class JobUpkeep(JobSession):
    """Checks what is stored, mends mirrors, and deletes what nobody needs."""

    async def verify(self, job_id: str, *, rebuild: bool = False) -> list[Verification]:
        """Compare a job's mirror, its committed units, its documents and Temporal's history.

        A pipeline's stage jobs come after it. Where Temporal does not answer, the rest is compared.

        Args:
            job_id: which.
            rebuild: write a mirror that is wrong, or behind, anew from the units.

        Raises:
            UsageError: there is no such job.
            RecordsError: a mirror cannot be made again.
        """
        # Imported here: it knows every stage, and other commands need not wait for them.
        from stope.verify import Verifier

        verifier = Verifier(self._database, self._artifacts(), self.settings.checkpoint_text_limit)
        job = await self._jobs.get(job_id)
        stages = await verifier.stage_jobs(job) if job.type is JobType.PIPELINE else []
        return [await self._verified(verifier, one.id, rebuild) for one in (job, *stages)]

    async def _verified(self, verifier: Verifier, job_id: str, rebuild: bool) -> Verification:
        # Before the units are counted: they only become more.
        told = await self._told(job_id)
        inspected = await verifier.inspect(job_id)
        rebuilt = rebuild and await verifier.rebuild(inspected)
        if rebuilt:
            inspected = await verifier.inspect(job_id)
        found = inspected.verification
        findings = list(found.findings)
        if isinstance(told, Finding):
            findings.append(told)
        elif told is not None and inspected.mirror is not None:
            findings += history_findings(
                inspected.job, inspected.mirror.run, told, inspected.committed.count
            )
        return found.model_copy(update={"findings": tuple(findings), "rebuilt": rebuilt})

    async def _told(self, job_id: str) -> Told | Finding | None:
        """What Temporal says of a job's newest run; None before there is one."""
        stored = await Mirrors(self._database).newest(job_id)
        if stored is None or stored.run.temporal_run_id is None:
            return None
        try:
            return await told_of(await self.temporal(), stored.run)
        except (RPCError, ServerUnavailableError) as error:
            text = f"its history is not compared: {error}"
            return Finding(about="temporal", text=text, wrong=False)

    async def collect_garbage(self, policy: KeepPolicy) -> GcReport:
        """Delete what no kept run needs; see ``stope.keeping``."""
        from stope.keeping import collect_garbage

        return await collect_garbage(
            self._database, self._artifacts(), self.settings.scratch, policy
        )

    async def schedule_gc(self, when: str, policy: KeepPolicy) -> str:
        """Let Temporal clear out from time to time, in place of any schedule before.

        Args:
            when: ``hourly``, ``daily``, ``weekly``, or five fields of cron (UTC).
            policy: which runs are kept.

        Returns:
            The cron expression.

        Raises:
            UsageError: that is no such time.
            ServerUnavailableError: Temporal does not answer.
        """
        cron = _CRONS.get(when.strip().lower(), when.strip())
        if len(cron.split()) != 5:
            raise UsageError(
                f"--schedule {when!r} is no time; give {', '.join(_CRONS)}, or five fields of "
                "cron such as '23 3 * * *'."
            )
        schedule = Schedule(
            action=ScheduleActionStartWorkflow(
                names.GC_WORKFLOW,
                policy,
                id=names.GC_SCHEDULE,
                task_queue=names.ORCHESTRATION_QUEUE,
                static_summary="clear out what no kept run needs",
            ),
            spec=ScheduleSpec(cron_expressions=[cron]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
        )
        try:
            await _put_schedule(await self.temporal(), schedule)
        except RPCError as error:
            if error.status is RPCStatusCode.INVALID_ARGUMENT:
                raise UsageError(f"--schedule {when!r} is no time: {error.message}") from error
            raise ServerUnavailableError(f"Temporal does not answer: {error.message}") from error
        return cron

    async def unschedule_gc(self) -> bool:
        """Do not clear out from time to time any more; False if nobody had said so."""
        handle = (await self.temporal()).get_schedule_handle(names.GC_SCHEDULE)
        try:
            await handle.delete()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise ServerUnavailableError(f"Temporal does not answer: {error.message}") from error
        return True


async def _put_schedule(temporal: Client, schedule: Schedule) -> None:
    try:
        await temporal.create_schedule(names.GC_SCHEDULE, schedule)
    except ScheduleAlreadyRunningError:
        await temporal.get_schedule_handle(names.GC_SCHEDULE).update(
            lambda _before: ScheduleUpdate(schedule=schedule)
        )
