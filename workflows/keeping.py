"""Clearing out, as a schedule starts it."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.keeping import GcReport, KeepPolicy

from workflows.policies import KEEPING_BEAT, KEEPING_RETRY, KEEPING_TIMEOUT


@workflow.defn
class GcWorkflow:
    """Deletes what no kept run needs."""

    @workflow.run
    async def run(self, policy: KeepPolicy) -> GcReport:
        """Do it once; the next turn of the schedule does it again."""
        try:
            report: GcReport = await workflow.execute_activity(
                names.COLLECT_GARBAGE,
                policy,
                result_type=GcReport,
                task_queue=names.ORCHESTRATION_QUEUE,
                start_to_close_timeout=KEEPING_TIMEOUT,
                heartbeat_timeout=KEEPING_BEAT,
                retry_policy=KEEPING_RETRY,
                summary=f"keep {policy.keep_days:g} days and {policy.keep_runs} runs of each job",
            )
        except ActivityError as error:
            message = error.cause.message if isinstance(error.cause, ApplicationError) else ""
            raise ApplicationError(
                message or "Clearing out failed.", type="Keeping", non_retryable=True
            ) from error
        gone = report.total
        workflow.set_current_details(
            f"**{gone.count}** things of **{gone.bytes}** bytes deleted; {report.kept_jobs} jobs "
            f"with {report.kept_runs} runs kept."
        )
        return report
