"""``stope gc``: clear out what no kept run needs."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import print_json, settings_with_logging, start, status
from client import JobClient
from stope.errors import UsageError
from stope.models.keeping import Amount, GcReport, KeepPolicy
from stope.settings import Settings

_ROWS = ("jobs", "runs", "units", "plans", "answers", "artifacts", "scratch")
_THOUSAND = 1000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("gc")(gc)


def gc(
    keep_days: Annotated[
        float, typer.Option("--keep-days", min=0, help="Keep every run that ended since.")
    ] = 30,
    keep_runs: Annotated[
        int,
        typer.Option(
            "--keep-runs",
            min=0,
            help="Keep the newest runs of every job, whatever their age. With 0 finished jobs go, "
            "with their results, once all their runs are older than --keep-days.",
        ),
    ] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be deleted.")
    ] = False,
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule",
            metavar="WHEN",
            help="Let a Temporal schedule do it: hourly, daily, weekly, or five fields of cron "
            "(UTC). Replaces the schedule there was.",
            show_default=False,
        ),
    ] = None,
    unschedule: Annotated[
        bool, typer.Option("--unschedule", help="Take the schedule away.")
    ] = False,
    shared_store: Annotated[
        bool,
        typer.Option(
            "--shared-store",
            help="Also where other records use the artifact store: what only they need goes, "
            "except for what a checkpoint in the store names.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Delete runs with their mirrors, units, plans, answers and artifacts that no kept run needs.

    What a job needs to be resumed stays (queued, running, paused, failed and cancelled ones), and
    so do the results of kept jobs, and whatever was made within the last hour. Inputs, exports,
    speaker names and upload receipts are never touched. It may run while jobs run. What is gone
    from the ledger would have to be paid for again.
    """
    if schedule is not None and (unschedule or dry_run):
        raise UsageError("Give one of --schedule, --unschedule and --dry-run.")
    policy = KeepPolicy(
        keep_days=keep_days, keep_runs=keep_runs, dry_run=dry_run, shared_store=shared_store
    )
    settings = settings_with_logging()
    if schedule is not None:
        start(_schedule(settings, schedule, policy, as_json))
    elif unschedule:
        start(_unschedule(settings, as_json))
    else:
        start(_collect(settings, policy, as_json))


async def _collect(settings: Settings, policy: KeepPolicy, as_json: bool) -> None:
    async with JobClient(settings) as client:
        report = await client.collect_garbage(policy)
    if as_json:
        print_json(report.model_dump(mode="json"))
        return
    for name in _ROWS:
        amount: Amount = getattr(report, name)
        if amount.count:
            typer.echo(f"{name:<10} {amount.count:>9,}  {_size(amount.bytes):>9}")
    status(_summary(report))
    if report.reclaimed is None and not report.dry_run:
        status(
            "the database keeps its size, since jobs use it: new rows take the space that is free "
            "in it, and gc gives it back when nothing runs"
        )
    if report.kept_unknown:
        status(
            f"{report.kept_unknown} of the kept runs are from before it was noted what runs need: "
            "whatever was made until they ended stays with them"
        )


def _summary(report: GcReport) -> str:
    total = report.total
    would = "would delete" if report.dry_run else "deleted"
    kept = f"{report.kept_jobs:,} jobs with {report.kept_runs:,} runs are kept"
    if not total.count:
        return f"nothing to delete; {kept}"
    back = f", the database is {_size(report.reclaimed)} smaller" if report.reclaimed else ""
    return f"{would} {total.count:,} things of {_size(total.bytes)}{back}; {kept}"


async def _schedule(settings: Settings, when: str, policy: KeepPolicy, as_json: bool) -> None:
    async with JobClient(settings) as client:
        cron = await client.schedule_gc(when, policy)
    if as_json:
        print_json({"schedule": cron} | policy.model_dump(mode="json", exclude={"dry_run"}))
    else:
        status(
            f"Temporal clears out at {cron!r} (UTC), keeping {policy.keep_days:g} days and "
            f"{policy.keep_runs} runs of each job, while a worker is up"
        )


async def _unschedule(settings: Settings, as_json: bool) -> None:
    async with JobClient(settings) as client:
        was = await client.unschedule_gc()
    if as_json:
        print_json({"schedule": None, "was_scheduled": was})
    else:
        status("the schedule is gone" if was else "there was no schedule")


def _size(count: int | None) -> str:
    size, unit = float(count or 0), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < _THOUSAND:
            break
        size, unit = size / _THOUSAND, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
