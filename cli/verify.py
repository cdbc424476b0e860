"""``stope verify``: is a job what its records say?"""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import FAILED, command_line, print_json, settings_with_logging, start, status
from cli.options import JobArgument
from client import JobClient
from stope.models.verification import Verification
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    job: JobArgument,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Write a mirror that is wrong or behind anew from the units."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per job, on stdout.")
    ] = False,
) -> None:
    """Compare a job's mirror, its committed units and plans, its documents and Temporal's history.

    Says what differs, one line each; leaves with 1 when something is wrong. Artifacts are hashed
    again, and the rows of claims, evidence and verdicts counted against the documents. Of a run at
    work, or one that was killed, the mirror may be behind: that is said, and is not wrong.
    """
    found = start(_verify(settings_with_logging(), job, rebuild))
    for verification in found:
        if as_json:
            print_json(verification.model_dump(mode="json") | {"sound": verification.sound})
        else:
            _show(verification)
    if not all(verification.sound for verification in found):
        if not as_json and not rebuild:
            status(f"{command_line('verify', job, '--rebuild')} makes mirrors again from the units")
        raise typer.Exit(FAILED)


def _show(found: Verification) -> None:
    run = f"run {found.attempt}" if found.attempt else "no run"
    checked = ", ".join(f"{count:,} {name}" for name, count in found.checked.items() if count)
    verdict = "sound" if found.sound else "WRONG"
    typer.echo(f"{found.job_id}  {run}  {found.status.value}: {verdict}")
    if found.rebuilt:
        typer.echo("  rebuilt  the mirror, from what is committed")
    for finding in found.findings:
        typer.echo(f"  {'wrong' if finding.wrong else 'note':<7}  {finding.about}: {finding.text}")
    if checked:
        typer.echo(f"  checked  {checked}")


async def _verify(settings: Settings, job_id: str, rebuild: bool) -> list[Verification]:
    async with JobClient(settings) as client:
        job = await client.job(job_id)
        return await client.verify(job.id, rebuild=rebuild)
