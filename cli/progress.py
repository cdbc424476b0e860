"""Progress of a job: a bar per stage in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from cli.console import clock, err, status
from stope.models.view import JobView, StageView

_PLAIN_SECONDS = 5.0


class ProgressView(Protocol):
    """Something that shows views of a job as they come."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""

    def show(self, view: JobView) -> None:
        """Show where the job stands now."""


def progress_view() -> ProgressView:
    """Bars when stderr is a terminal, else lines."""
    return Bars() if err.is_terminal else Lines()


class Bars:
    """One bar per stage, with units, rate and time left, and what it waits for."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[stage]:<10}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}", markup=False),
            console=err,
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, str | None] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, view: JobView) -> None:
        """See ``ProgressView``."""
        for stage in view.stages:
            name = stage.stage.value
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task("", total=1, stage=name, text="")
            if stage.waiting is not None and self._said.get(name) != stage.waiting:
                # Too long for the bar's line, and the reason is what people need.
                self._progress.console.print(f"{name}: {describe(stage)}", markup=False)
            self._said[name] = stage.waiting
            done, total = _amounts(stage)
            self._progress.update(
                self._tasks[name], completed=done, total=total, text=describe(stage)[:44]
            )
        if view.status.has_result:
            for name, task in self._tasks.items():
                text = str(self._progress.tasks[task].fields["text"])
                self._progress.update(
                    task, completed=1, total=1, stage=name, text=text if "done" in text else "done"
                )


class Lines:
    """A line when a stage changes, and every few seconds while it goes on."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}
        self._said_at: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def show(self, view: JobView) -> None:
        """See ``ProgressView``."""
        for stage in view.stages:
            name, text = stage.stage.value, describe(stage)
            kind = stage.progress.stage if stage.progress else stage.state
            state = f"{kind}{stage.waiting}"
            due = time.monotonic() - self._said_at.get(name, 0.0) >= _PLAIN_SECONDS
            if stage.state != "not_started" and (
                self._last.get(name) != state or (due and stage.state == "running")
            ):
                status(f"{name}: {text}")
                self._last[name], self._said_at[name] = state, time.monotonic()


def describe(stage: StageView) -> str:
    """A stage in a few words."""
    if stage.waiting is not None:
        return f"waiting (attempt {stage.attempt}): {stage.waiting}"
    progress = stage.progress
    if stage.state == "completed":
        return "done"
    if progress is None:
        return stage.state.replace("_", " ")
    parts = [progress.stage]
    if progress.total is not None:
        parts.append(f"{progress.done}/{progress.total}")
        if progress.elapsed > 0 and progress.done > progress.reused:
            parts.append(f"{(progress.done - progress.reused) / progress.elapsed:.2f}/s")
        if progress.done < progress.total:
            parts.append(f"{clock(progress.seconds_left)} left")
    if progress.reused:
        parts.append(f"{progress.reused} reused")
    if progress.gaps:
        parts.append(f"{progress.gaps} gaps")
    if progress.note:
        parts.append(progress.note)
    return ", ".join(parts)


def _amounts(stage: StageView) -> tuple[float, float]:
    if stage.state == "completed":
        return 1, 1
    if stage.progress is None or not stage.progress.total:
        return 0, 1
    return stage.progress.done + stage.progress.gaps, stage.progress.total
