"""The current details of a workflow: a Markdown table with a row for each stage.

Made from history alone, so a replay on another worker shows the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from stope.models.job import JobStatus, JobType
    from stope.models.progress import GAPS_NAMED, GapNote, StageProgress

from workflows.labels import escaped, workflow_link
from workflows.rows import NOT_STARTED, RUNNING, StageRow, percent_of, seconds_left, spent_by

_GIVES: dict[str, tuple[str, str]] = {
    JobType.TRANSCRIBE: ("words", "{:,} words"),
    JobType.MINE: ("claims_extracted", "{:,} claims"),
    JobType.FLAGSHIP: ("claims_accepted", "{:,} claims accepted"),
    JobType.UPLOAD: ("items_verified", "{:,} items there"),
}
"""By stage: the count of its result that people ask for."""

_COLUMNS = ("Stage", "State", "Done", "Units", "Pace", "Spent", "Result")

_PADDING = "\u00a0\u00a0"
"""The Web UI draws tables without any space between cells."""

_CELLS = 10
_CELLS_OF_ROW = 6
"""The page is half as wide as the window; a bar in the table is never broken in two."""

_FRESHNESS = (
    "At {:%Y-%m-%d %H:%M:%S} UTC. This moves with every fifth of a stage; *Pending Activities* on "
    "the stage's own page has every heartbeat."
)

_GO_ON = {
    JobStatus.PAUSED: "Go on: `stope resume {}`",
    JobStatus.FAILED: "Go on: `stope resume {}`",
    JobStatus.CANCELLED: "Go on: `stope resume {}`",
    JobStatus.SUCCEEDED_WITH_GAPS: "Do only the gaps again: `stope retry {} --gaps`",
}


@dataclass(frozen=True)
class Heading:
    """What stands above the table. ``state`` is ``running`` or a job status."""

    label: str
    kind: str
    job_id: str
    attempt: int
    state: str
    message: str | None = None


def markdown(
    heading: Heading, rows: Sequence[StageRow], namespace: str, updated_at: datetime
) -> str:
    """The current details. ``updated_at`` is when they were made, in UTC."""
    what = f"{heading.kind}, attempt {heading.attempt}, **{_words(heading.state)}**"
    job_ids = dict.fromkeys([heading.job_id, *(row.job_id for row in rows if row.job_id)])
    parts = [
        f"**{escaped(heading.label)}**: {what}",
        _together(heading, rows),
        "\n".join(
            (
                _line(_COLUMNS),
                "|:---" * len(_COLUMNS) + "|",
                *(_row(row, heading, namespace) for row in rows),
            )
        ),
        "\n\n".join(_attention(heading)),
        "\n".join(_gaps(rows)),
        f"{'Jobs' if len(job_ids) > 1 else 'Job'}: {', '.join(f'`{id_}`' for id_ in job_ids)}",
        _FRESHNESS.format(updated_at),
    ]
    return "\n\n".join(part for part in parts if part)


def bar(percent: int, cells: int = _CELLS) -> str:
    """``▰▰▰▰▱▱▱▱▱▱ 42 %``. Full only at 100."""
    full = cells * percent // 100
    return f"{'▰' * full}{'▱' * (cells - full)} {percent} %"


def duration(seconds: float) -> str:
    """``M:SS`` or ``H:MM:SS``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _together(heading: Heading, rows: Sequence[StageRow]) -> str:
    """All stages in a line; '' where there is one, whose row says it."""
    if len(rows) < 2:
        return ""
    parts = [bar(percent_of(rows))]
    if heading.state == RUNNING:
        parts.append(_left(rows))
    spent = spent_by(rows)
    if spent is not None:
        parts.append(spent.words)
    gaps = sum(row.gaps for row in rows)
    if gaps:
        parts.append(_count(gaps))
    return ", ".join(parts)


def _left(rows: Sequence[StageRow]) -> str:
    open_rows = [row for row in rows if row.done is None]
    known = [left for row in open_rows if (left := seconds_left(row)) is not None]
    if not known:
        return "time left not known yet"
    at_least = "at least " if len(known) < len(open_rows) else ""
    return f"{at_least}{duration(sum(known))} left"


def _row(row: StageRow, heading: Heading, namespace: str) -> str:
    name = str(row.stage)
    runs = row.state == RUNNING and heading.state == RUNNING
    cells = (
        workflow_link(name, namespace, row.workflow_id) if row.workflow_id else name,
        _state(row, heading),
        "" if row.state == NOT_STARTED else bar(row.percent, _CELLS_OF_ROW).replace(" ", "\u00a0"),
        _units(row),
        _pace(row.progress) if runs and row.progress is not None else "",
        "" if row.spent is None else row.spent.words,
        _result(row),
    )
    return _line(cells)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(f'{cell}{_PADDING}' for cell in cells)} |"


def _state(row: StageRow, heading: Heading) -> str:
    if row.kept:
        return f"{_words(row.state)} before"
    if row.state != RUNNING:
        return _words(row.state)
    if heading.state == JobStatus.PAUSED.value:
        return heading.state
    if row.progress is None:
        return RUNNING
    again = f", try {row.attempt}" if row.attempt > 1 else ""
    return f"{row.progress.stage}{again}"


def _units(row: StageRow) -> str:
    if row.done is not None:
        units, reused = row.done.units, row.done.reused
        parts = [str(units)] if units else []
    elif row.progress is not None and row.progress.total is not None:
        reused = row.progress.reused
        parts = [f"{row.progress.done} of {row.progress.total}"]
    else:
        return ""
    if reused:
        parts.append(f"{reused} reused")
    if row.gaps:
        parts.append(_count(row.gaps))
    return ", ".join(parts)


def _pace(progress: StageProgress) -> str:
    """Units a minute and the time left: from this attempt's own rate, else from earlier runs."""
    left = progress.seconds_left
    if progress.total is None:
        return ""
    if left is None:
        return "time left unknown until the first unit"
    if progress.rate is None:
        return f"about {duration(left)} left, going by earlier runs" if left else ""
    rate = (progress.done - progress.reused) / progress.elapsed * 60
    return f"{rate:.1f}/min, {duration(left)} left"


def _result(row: StageRow) -> str:
    if row.done is None or row.stage not in _GIVES:
        return ""
    field, form = _GIVES[row.stage]
    count = row.done.result.get(field)
    return form.format(count) if isinstance(count, int) else ""


def _attention(heading: Heading) -> Iterator[str]:
    """Why it does not go on, and what makes it."""
    if heading.message is not None:
        yield escaped(heading.message)
    go_on = next((text for state, text in _GO_ON.items() if state.value == heading.state), None)
    # At a limit it says itself how it goes on.
    if go_on is not None and "`stope resume" not in (heading.message or ""):
        yield go_on.format(heading.job_id)


def _gaps(rows: Sequence[StageRow]) -> Iterator[str]:
    """The first few gaps by name, and how many more there are."""
    total = sum(row.gaps for row in rows)
    if not total:
        return
    named = [(row.stage, gap) for row in rows for gap in row.named][:GAPS_NAMED]
    yield f"**{_count(total)}**"
    yield ""
    yield from (f"- {stage} {_gap(gap)}" for stage, gap in named)
    if total > len(named):
        yield f"- and {total - len(named)} more; the result names each"


def _gap(gap: GapNote) -> str:
    where = ""
    if gap.start is not None:
        end = "" if gap.end is None else f"-{duration(gap.end)}"
        where = f", {duration(gap.start)}{end}"
    return f"{escaped(gap.unit_id)}{where}: {escaped(gap.reason)}"


def _count(gaps: int) -> str:
    return f"{gaps} {'gap' if gaps == 1 else 'gaps'}"


def _words(state: str) -> str:
    return state.replace("_", " ")
