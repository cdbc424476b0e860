"""The current details of a workflow: a Markdown table with a row for each stage.

Made from history alone, so a replay on another worker shows the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stope.models.job import JobType
from stope.models.messages import StageDone
from stope.models.progress import StageProgress
from workflows.labels import escaped, workflow_link

NOT_STARTED = "not started"
RUNNING = "running"

_GIVES = {
    JobType.TRANSCRIBE: ("words", "{:,} words"),
    JobType.MINE: ("claims_extracted", "{:,} claims"),
    JobType.FLAGSHIP: ("claims_accepted", "{:,} claims accepted"),
}
"""By stage: the count of its result that people ask for."""

_COLUMNS = ("Stage", "State", "Units", "Pace", "Result")

_PADDING = "\u00a0\u00a0"
"""The Web UI draws tables without any space between cells."""


@dataclass(frozen=True)
class StageRow:
    """One stage: ``state`` is ``not started``, ``running`` or a job status.

    ``attempt`` counts the attempts of its activity. ``kept`` says that its job had its result
    before.
    """

    stage: JobType
    state: str = NOT_STARTED
    job_id: str | None = None
    workflow_id: str | None = None
    attempt: int = 0
    progress: StageProgress | None = None
    done: StageDone | None = None
    kept: bool = False

    @property
    def percent(self) -> int:
        """0 to 100. 100 only with a result: after its last unit a stage still stores."""
        if self.done is not None:
            return 100
        if self.progress is None or not self.progress.total:
            return 0
        return min(99, 100 * self.progress.done // self.progress.total)


@dataclass(frozen=True)
class Heading:
    """What stands above the table."""

    label: str
    job_type: JobType
    job_id: str
    attempt: int
    state: str
    message: str | None = None


def markdown(
    heading: Heading, rows: Sequence[StageRow], namespace: str, updated_at: datetime
) -> str:
    """The current details. ``updated_at`` is when they were made, in UTC."""
    what = f"{heading.job_type.value}, attempt {heading.attempt}, **{_words(heading.state)}**"
    lines = [
        f"**{escaped(heading.label)}**: {what}",
        "",
        _line(_COLUMNS),
        "|:---" * len(_COLUMNS) + "|",
        *(_row(row, namespace) for row in rows),
        "",
    ]
    if heading.message is not None:
        lines += [escaped(heading.message), ""]
    job_ids = dict.fromkeys([heading.job_id, *(row.job_id for row in rows if row.job_id)])
    lines += [
        f"{'Jobs' if len(job_ids) > 1 else 'Job'}: {', '.join(f'`{id_}`' for id_ in job_ids)}",
        "",
    ]
    lines.append(
        f"At {updated_at:%Y-%m-%d %H:%M:%S} UTC. This moves with every fifth of a stage; "
        "*Pending Activities* on the stage's own page has every heartbeat."
    )
    return "\n".join(lines)


def _row(row: StageRow, namespace: str) -> str:
    name = row.stage.value
    cells = (
        workflow_link(name, namespace, row.workflow_id) if row.workflow_id else name,
        _state(row),
        _units(row),
        _pace(row.progress) if row.state == RUNNING and row.progress is not None else "",
        _result(row),
    )
    return _line(cells)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(f'{cell}{_PADDING}' for cell in cells)} |"


def _state(row: StageRow) -> str:
    if row.kept:
        return f"{_words(row.state)} before"
    if row.state != RUNNING or row.progress is None:
        return _words(row.state)
    again = f", try {row.attempt}" if row.attempt > 1 else ""
    return f"{row.progress.stage}{again}"


def _units(row: StageRow) -> str:
    if row.done is not None:
        units, reused, gaps = row.done.units, row.done.reused, row.done.gaps
        parts = [str(units)] if units else []
    elif row.progress is not None and row.progress.total is not None:
        reused, gaps = row.progress.reused, row.progress.gaps
        parts = [f"{row.progress.done} of {row.progress.total} ({row.percent} %)"]
    else:
        return ""
    if reused:
        parts.append(f"{reused} reused")
    if gaps:
        parts.append(f"{gaps} {'gap' if gaps == 1 else 'gaps'}")
    return ", ".join(parts)


def _pace(progress: StageProgress) -> str:
    """Units a minute and the time left, from this attempt's own rate."""
    left = progress.seconds_left
    if left is None or progress.elapsed <= 0:
        return ""
    rate = (progress.done - progress.reused) / progress.elapsed * 60
    minutes, seconds = divmod(max(0, round(left)), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    return f"{rate:.1f}/min, {clock} left"


def _result(row: StageRow) -> str:
    if row.done is None or row.stage not in _GIVES:
        return ""
    field, form = _GIVES[row.stage]
    count = row.done.result.get(field)
    return form.format(count) if isinstance(count, int) else ""


def _words(state: str) -> str:
    return state.replace("_", " ")
