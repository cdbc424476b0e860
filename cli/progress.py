"""Progress of a job: a bar per stage in a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from cli.console import clock, err, status
from stope.models.job import JobType
from stope.models.progress import StageProgress
from stope.models.view import JobView, StageView

_PLAIN_SECONDS = 15.0
_NAME, _BAR = 10, 16
_WIDEST = 100
_ALL = "in all"
_MAIN: dict[str, str] = {
    JobType.TRANSCRIBE: "transcribing",
    JobType.MINE: "mining",
    JobType.FLAGSHIP: "evaluating",
    JobType.UPLOAD: "uploading",
    JobType.PIPELINE: "running",
}


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
    """Bars when stderr is a terminal that may be drawn on, else lines."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Bars() if err.is_terminal and not plain else Lines()


class Bars:
    """One bar per stage, with units, rate and time left; above them what is waited for.

    Args:
        console: where they are drawn; default: stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or err
        width = min(self._console.width, _WIDEST)
        self._room = max(10, width - _NAME - _BAR - 2)
        self._progress = Progress(
            TextColumn(f"{{task.fields[stage]:<{_NAME}}}"),
            BarColumn(bar_width=_BAR),
            TextColumn("{task.fields[text]}", markup=False),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, str | None] = {}
        self._began: dict[str, float] = {}

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
        if self._said.get("") != view.waiting:
            self._said[""] = view.waiting
            if view.waiting is not None:
                self._progress.console.print(view.waiting, markup=False, soft_wrap=False)
        for stage in view.stages:
            name = str(stage.stage)
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task("", total=1, stage=name, text="")
            if stage.state != "not_started":
                self._began.setdefault(name, time.monotonic())
            if stage.waiting is not None and self._said.get(name) != stage.waiting:
                # Too long for the bar's line, and the reason is what people need: once.
                self._said[name] = stage.waiting
                self._progress.console.print(
                    f"{name}: {describe(stage)}", markup=False, soft_wrap=False
                )
            if not self._progress.tasks[self._tasks[name]].finished:
                self._draw(stage)
        begun = [index for index, stage in enumerate(view.stages) if stage.state != "not_started"]
        for stage in view.stages[: max(begun, default=0)]:
            if stage.state == "not_started":
                # It lies behind us and was never begun: it had its result already.
                self._finish(str(stage.stage))
        self._draw_together(view)
        if view.status.has_result:
            for name in self._tasks:
                self._finish(name)

    def _draw_together(self, view: JobView) -> None:
        """A line below for the whole, where it has stages to add up."""
        text = together(view)
        if text is None and _ALL not in self._tasks:
            return
        if _ALL not in self._tasks:
            self._tasks[_ALL] = self._progress.add_task("", total=1, stage=_ALL, text="")
            self._began[_ALL] = time.monotonic()
        done = sum(_share(stage) for stage in view.stages)
        if view.stages:
            self._update(_ALL, done, len(view.stages), text or "time left unknown")

    def _draw(self, stage: StageView) -> None:
        name = str(stage.stage)
        if stage.state == "completed":
            self._finish(name)
            return
        done, total = _amounts(stage)
        if stage.waiting is not None and not stage.paused:
            text = f"waiting, attempt {stage.attempt}" if stage.attempt else "waiting"
        else:
            # The bar has the stage's name already; what it does else is worth saying.
            text = describe(stage).removeprefix(f"{_MAIN.get(stage.stage, stage.stage)}, ")
        self._update(name, done, total, text)

    def _finish(self, name: str) -> None:
        if self._progress.tasks[self._tasks[name]].finished:
            return
        began = self._began.get(name)
        took = "" if began is None else f" in {clock(time.monotonic() - began)}"
        self._update(name, 1, 1, f"done{took}" if took else "kept from before")

    def _update(self, name: str, done: float, total: float, text: str) -> None:
        # By cells, not letters: a wide letter takes two columns of the terminal.
        line = " ".join(text.split())
        if cell_len(line) > self._room:
            line = set_cell_size(line, self._room - 1).rstrip() + "…"
        self._progress.update(self._tasks[name], completed=done, total=total, text=line)


class Lines:
    """A line when a stage changes, and every few seconds while it goes on."""

    def __init__(self) -> None:
        self._last: dict[str, str | None] = {}
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
        if self._last.get("") != view.waiting:
            self._last[""] = view.waiting
            if view.waiting is not None:
                status(view.waiting)
        whole = together(view)
        for stage in view.stages:
            name, text = str(stage.stage), describe(stage)
            if whole is not None and stage.state == "running":
                text = f"{text}; in all {whole}"
            kind = stage.progress.stage if stage.progress else stage.state
            state = f"{kind}{stage.waiting}{stage.paused}"
            due = time.monotonic() - self._said_at.get(name, 0.0) >= _PLAIN_SECONDS
            if stage.state != "not_started" and (
                self._last.get(name) != state or (due and stage.state == "running")
            ):
                status(f"{name}: {text}")
                self._last[name], self._said_at[name] = state, time.monotonic()


def describe(stage: StageView) -> str:
    """A stage in a few words."""
    if stage.paused:
        return "paused"
    if stage.waiting is not None:
        attempt = f" (attempt {stage.attempt})" if stage.attempt else ""
        reason = stage.waiting.removeprefix("waiting for ")
        if reason != stage.waiting:
            return f"waiting{attempt} for {reason}"
        return f"waiting{attempt}: {reason}"
    if stage.state == "completed":
        return "done"
    if stage.progress is None:
        return stage.state.replace("_", " ")
    return ", ".join(_parts(stage.stage, stage.progress))


def together(view: JobView) -> str | None:
    """The time left of all stages; None where one stage says it, or nothing is known."""
    left = view.time_left
    if left is None or len(view.stages) == 1:
        return None
    return f"{'at least ' if left.at_least else ''}{clock(left.seconds)} left"


def _parts(stage: str, progress: StageProgress) -> Iterator[str]:
    yield progress.stage
    if progress.total is not None:
        yield f"{progress.done}/{progress.total}"
        rate = _rate(stage, progress)
        if rate:
            yield rate
        if progress.done + progress.gaps < progress.total:
            yield _left(progress)
    if progress.reused:
        yield f"{progress.reused} reused"
    if progress.gaps:
        yield f"{progress.gaps} gap{'s' if progress.gaps > 1 else ''}"
    if progress.spent is not None and progress.spent.tokens:
        yield progress.spent.words
    if progress.note:
        yield progress.note


def _left(progress: StageProgress) -> str:
    left = progress.seconds_left
    if left is None:
        return "time unknown until the first unit"
    about = "about " if progress.rate is None else ""
    return f"{about}{clock(left)} left"


def _rate(stage: str, progress: StageProgress) -> str | None:
    """How fast this attempt is: times real time where sound is heard, else units a minute."""
    fresh = progress.done - progress.reused
    if fresh <= 0 or progress.elapsed <= 0:
        return None
    if stage == JobType.TRANSCRIBE and progress.audio > 0:
        return f"{progress.audio / progress.elapsed:.1f}x real time"
    each_minute = 60 * fresh / progress.elapsed
    return f"{each_minute:.0f}/min" if each_minute >= 10 else f"{each_minute:.1f}/min"


def _share(stage: StageView) -> float:
    """How much of a stage is done, 0 to 1."""
    if stage.state == "completed":
        return 1
    done, total = _amounts(stage)
    return done / total


def _amounts(stage: StageView) -> tuple[float, float]:
    if stage.progress is None or not stage.progress.total:
        return 0, 1
    # A bar that is full says done; a stage is that only when its result is stored.
    done = stage.progress.done + stage.progress.gaps
    return min(done, stage.progress.total * 0.99), stage.progress.total
