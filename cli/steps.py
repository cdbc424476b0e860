"""How a run of a pipeline began and ended, in a few lines."""

from __future__ import annotations

from cli.console import clock, out
from cli.standing import gap_line, gaps_of
from stope.models.job import Job, JobRun


def print_steps(job: Job, run: JobRun) -> None:
    """Its steps with their times, its gaps, and what it gives."""
    out.print(f"{job.kind} of {job.input.path or 'no file'}", style="bold", markup=False)
    summary = (run.checkpoint or {}).get("steps_summary")
    for name, step in summary.items() if isinstance(summary, dict) else ():
        if not isinstance(step, dict):
            continue
        seconds = step.get("duration")
        took = f" in {clock(seconds)}" if isinstance(seconds, int | float) else ""
        kept = ", kept from before" if step.get("status") == "skipped" and took else ""
        out.print(f"  {name}: {step.get('status')}{took}{kept}", markup=False)
    print_notices(run)
    for gap in gaps_of(job):
        out.print(gap_line(gap), style="yellow", markup=False)
    parts = (job.result or {}).get("result")
    for name, value in parts.items() if isinstance(parts, dict) else ():
        if name not in ("pipeline", "steps"):
            out.print(f"  {name}: {value}", markup=False)


def print_notices(run: JobRun) -> None:
    """Why the run of a pipeline began as it did, where that needs saying."""
    meta = (run.checkpoint or {}).get("stope")
    for notice in meta.get("notices", ()) if isinstance(meta, dict) else ():
        out.print(str(notice), style="yellow", markup=False)
