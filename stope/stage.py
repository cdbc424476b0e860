"""What a stage is given by its shell, and what it gives back.

A stage is a function of the library: it gets a ``StageRun`` and returns a ``StageOutcome``. The
shell (``activities/``) supplies the beat; the mirror and the units are ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

from pydantic import Field, ValidationError

from stope.leases import Leases
from stope.models.checkpoint import Checkpoint
from stope.models.frozen import Frozen
from stope.models.gap import Gap
from stope.models.job import AcceptCached, Job, JobRun, JobStatus, JsonObject
from stope.models.messages import StageRequest
from stope.models.progress import NOTE_BYTES, Spent, StageProgress, gap_notes, shortened
from stope.records.jobs import CheckpointMirror, JobRecords
from stope.units import Tally

MIRROR_SECONDS = 1.0
"""Between two changes of stage the mirror is written at most this often."""

DIARIZING = "diarizing"
"""The stage of a checkpoint whose units are not the recording's chunks: they are counted apart."""

CheckpointT = TypeVar("CheckpointT", bound=Checkpoint)
Beat = Callable[[StageProgress], None]


class Spending(Protocol):
    """What a ledger's calls came to so far; it grows while the stage runs."""

    @property
    def prompt_tokens(self) -> int:
        """Of all calls."""

    @property
    def completion_tokens(self) -> int:
        """Of all calls."""

    @property
    def cost_usd(self) -> Decimal:
        """Of the calls whose price is known."""

    @property
    def unpriced(self) -> int:
        """Calls whose price is not known."""

    @property
    def seconds(self) -> float:
        """In calls, those in flight at the same time added up."""


class StageOutcome(Frozen):
    """A finished stage: references and counts, small enough for workflow history."""

    status: JobStatus
    output_id: str
    result: JsonObject
    gaps: tuple[Gap, ...] = ()
    metrics: JsonObject = Field(default_factory=dict)

    def final_result(self) -> JsonObject:
        """The documented ``final_result``."""
        found: JsonObject = {
            "status": self.status.value,
            "output_id": self.output_id,
            "result": self.result,
        }
        if self.gaps:
            found["gaps"] = [gap.model_dump(mode="json") for gap in self.gaps]
        return found


class StageRun(Generic[CheckpointT]):
    """One attempt at one stage of one run: says where it stands, by heartbeat and mirror.

    Args:
        job: what is asked for.
        run: the attempt at the job.
        checkpoint: the record to mirror; the stage fills its fields.
        stage: the checkpoint's first stage.
        mirror: where the checkpoint is written.
        beat: reports progress to Temporal.
        draining: set when this worker is leaving.
        max_workers: units in flight at most, if the user said so.
        usual: seconds that earlier runs took, by stage of the checkpoint: for a unit, or for a
            second of the recording where the stage says how long that is.
        request: what the shell was asked; None where there is no shell.
        leases: what this attempt holds; None where nobody else can be at the same work.
    """

    def __init__(
        self,
        job: Job,
        run: JobRun,
        checkpoint: CheckpointT,
        stage: str,
        mirror: CheckpointMirror,
        beat: Beat,
        draining: asyncio.Event,
        max_workers: int | None,
        usual: Mapping[str, float] | None = None,
        request: StageRequest | None = None,
        leases: Leases | None = None,
    ) -> None:
        self.job = job
        self.run = run
        self.checkpoint = checkpoint
        self.draining = draining
        self.max_workers = max_workers
        self.request = request
        self.leases = leases
        self.duration: float | None = None
        """Seconds of the recording, once a stage that listens knows it."""
        self._usual = usual or {}
        self._spends: list[Spending] = []
        self._tallies: dict[str, Tally] = {}
        self._mirror = mirror
        self._beat = beat
        self._mirrored_at = 0.0
        self._began = time.monotonic()
        self.progress = StageProgress(job_type=job.type.value, stage=stage)

    @property
    def answers_namespace(self) -> str:
        """The namespace of units made from a model's answers.

        Such a unit of a job that takes any model's is never served to one that does not.
        """
        namespace, accepts = self.job.namespace, self.job.config.accept_cached
        return namespace if accepts is AcceptCached.EXACT else f"{namespace}/{accepts.value}"

    @property
    def wall_seconds(self) -> float:
        """Seconds since this attempt began."""
        return time.monotonic() - self._began

    @property
    def spent(self) -> Spent | None:
        """By this attempt so far; None where no language model is asked."""
        if not self._spends:
            return None
        parts = (
            Spent(
                prompt_tokens=spend.prompt_tokens,
                completion_tokens=spend.completion_tokens,
                cost_usd=round(float(spend.cost_usd), 6),
                unpriced=spend.unpriced,
            )
            for spend in self._spends
        )
        return sum(parts, Spent())

    def metrics(self) -> JsonObject:
        """What this attempt did so far, in the names that a finished stage uses."""
        voices = self._tallies.get(DIARIZING)
        others = [tally for stage, tally in self._tallies.items() if stage != DIARIZING]
        done = others[-1] if others else Tally(total=0)
        found: JsonObject = {
            "units_done": len(done.committed) - done.reused,
            "units_reused": done.reused,
            "engine_seconds": round(done.engine_seconds, 3),
            "wall_seconds": round(self.wall_seconds, 3),
        }
        if voices is not None:
            found["diarization_seconds"] = round(voices.engine_seconds, 3)
        if self._spends:
            found["llm_seconds"] = round(sum(spend.seconds for spend in self._spends), 3)
        return found

    def count(self, spend: Spending) -> None:
        """Show what these calls come to."""
        self._spends.append(spend)

    async def enter(self, stage: str) -> None:
        """The stage of the checkpoint changes: beat and mirror at once.

        The caller has set ``checkpoint.stage`` already; the types differ by checkpoint.
        """
        self.progress = self.progress.model_copy(
            update={"stage": stage, "note": None, "spent": self.spent}
        )
        self._beat(self.progress)
        await self.mirror()

    def note(self, text: str | None) -> None:
        """Say what takes long just now, such as loading a model."""
        note = None if text is None else shortened(text, NOTE_BYTES)
        self.progress = self.progress.model_copy(update={"note": note, "spent": self.spent})
        self._beat(self.progress)

    async def advance(self, tally: Tally) -> None:
        """Units were committed: beat, and mirror if the last time is long enough ago."""
        self._tallies[self.progress.stage] = tally
        self.progress = self.progress.model_copy(
            update={
                "done": len(tally.committed),
                "total": tally.total,
                "reused": tally.reused,
                "gaps": len(tally.gaps),
                "named": gap_notes(tally.gaps),
                "cursor": tally.cursor,
                "elapsed": round(tally.elapsed, 3),
                "usual": self._usual_seconds(tally.total),
                "audio": round(tally.audio, 3),
                "spent": self.spent,
                "note": _waiting(tally.waiting),
            }
        )
        self._beat(self.progress)
        if time.monotonic() - self._mirrored_at >= MIRROR_SECONDS:
            await self.mirror()

    def _usual_seconds(self, total: int) -> float | None:
        """Seconds a unit took in earlier runs of this part of the stage, where there are any."""
        usual = self._usual.get(self.progress.stage)
        if usual is not None and self.duration is not None:
            return round(usual * self.duration / total, 3) if total else None
        return usual

    async def mirror(self) -> None:
        """Write the checkpoint now."""
        left = self.progress.seconds_left
        self.checkpoint.stope.seconds_left = None if left is None else round(left, 1)
        await self._mirror.write(self.checkpoint)
        self._mirrored_at = time.monotonic()


def _waiting(units: int) -> str | None:
    """What is said while all that is left is being made by somebody else."""
    if not units:
        return None
    return f"waiting for another run that is making {units} unit{'s' if units > 1 else ''} of this"


def status_of(gaps: tuple[Gap, ...]) -> JobStatus:
    """How a stage that has an output ends."""
    return JobStatus.SUCCEEDED_WITH_GAPS if gaps else JobStatus.SUCCEEDED


def percent(done: int, total: int) -> int:
    """Whole percent, rounded down, 100 when there is nothing to do."""
    return 100 if total == 0 else 100 * done // total


def resumed_checkpoint(previous: JsonObject | None, fresh: CheckpointT) -> CheckpointT:
    """What a new attempt at the same run mirrors first: the progress so far, never less.

    ``fresh`` is used where there is no checkpoint, or none that this version can read.
    """
    if previous is None:
        return fresh
    try:
        return type(fresh).model_validate(previous)
    except ValidationError:
        return fresh


def open_mirror(jobs: JobRecords, run: JobRun, attempt: int) -> CheckpointMirror:
    """A mirror for one activity attempt, going on from the version that stands in the run."""
    stope = (run.checkpoint or {}).get("stope")
    before, version = _number(stope, "attempt"), _number(stope, "version")
    # After a pause or new limits another activity has the run, and counts its attempts anew: what
    # fences the mirror must not.
    return CheckpointMirror(
        jobs, run.run_id, attempt if attempt > before else before + attempt, version
    )


def _number(stope: object, name: str) -> int:
    """A number out of a checkpoint; somebody's own may say anything."""
    found = stope.get(name) if isinstance(stope, dict) else None
    return found if isinstance(found, int) else 0
