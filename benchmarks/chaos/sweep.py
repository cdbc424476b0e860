"""Many disturbed runs, a few at a time, until enough faults have happened."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos.episode import (
    NOTHING,
    Episode,
    audio_job,
    run_episode,
    transcript_job,
)
from benchmarks.chaos.faults import Plan, audio_plan, long_plan, short_plans
from benchmarks.chaos.place import Place
from benchmarks.chaos.postgres import Postgres
from benchmarks.chaos.processes import ROOT, Nursery
from benchmarks.chaos.text import transcript
from benchmarks.chaos.truth import Truth

POSTGRES_EVERY = 4
"""Every fourth run keeps its records on PostgreSQL."""

AUDIO_EVERY = 6
"""Before the first of every six, a recording is transcribed."""

RECORDING = ROOT / "examples" / "interview.opus"


@dataclass
class Sweep:
    """All runs of one seed."""

    seed: int
    segments: int
    episodes: list[Episode] = field(default_factory=list)
    undisturbed: dict[str, Truth] = field(default_factory=dict)
    """What runs that nobody disturbed left, by the type of their job."""
    seconds: float = 0.0

    @property
    def faults(self) -> int:
        """How many happened."""
        return sum(episode.faults for episode in self.episodes)

    @property
    def violations(self) -> list[str]:
        """What must not be, each with its run."""
        return [
            f"{episode.name}: {text}" for episode in self.episodes for text in episode.violations
        ]


class Sweeper:
    """Makes the runs of a sweep.

    Args:
        seed: every draw follows from it; when a process is where it is hit, the system decides.
        segments: of the transcript.
        keep: leave the folders of all runs, with their logs.
    """

    def __init__(self, seed: int, segments: int, *, keep: bool = False) -> None:
        self.sweep = Sweep(seed, segments)
        self._keep = keep
        self._began = time.monotonic()

    @asynccontextmanager
    async def prepared(self) -> AsyncIterator[None]:
        """A folder, a nursery, PostgreSQL, and the run that nobody disturbs."""
        self._folder = Path(tempfile.mkdtemp(prefix="stope-chaos-"))
        self._text = self._folder / "episode.txt"
        self._text.write_text(transcript(self.sweep.segments))
        try:
            with Postgres() as self._postgres:
                async with Nursery() as self._nursery:
                    await self._undisturbed()
                    yield
        finally:
            self.sweep.seconds = time.monotonic() - self._began
            if not self._keep:
                shutil.rmtree(self._folder)

    async def short(self) -> None:
        """Every kind of fault once, in two runs side by side."""
        dice = self._dice("short")
        plans = short_plans(dice)
        await asyncio.gather(
            *(
                self._episode(f"run {number}", plan, postgres=number == 2)
                for number, plan in enumerate(plans, start=1)
            ),
            self._episode("audio 1", audio_plan(dice), audio=True),
        )

    async def long(self, faults: int, lanes: int, told: Callable[[Episode], None]) -> None:
        """Runs until so many faults have happened, some side by side."""
        numbers = iter(range(1, sys.maxsize))

        async def lane() -> None:
            while self.sweep.faults < faults and not self.sweep.violations:
                number = next(numbers)
                postgres = number % POSTGRES_EVERY == 0
                if number % AUDIO_EVERY == 1:
                    name = f"audio {number}"
                    told(await self._episode(name, audio_plan(self._dice(name)), audio=True))
                plan = long_plan(self._dice(f"plan {number}"), postgres)
                told(await self._episode(f"run {number}", plan, postgres=postgres))

        await asyncio.gather(*(lane() for _ in range(lanes)))

    async def _undisturbed(self) -> None:
        for audio in (False, True):
            name = "undisturbed audio" if audio else "undisturbed"
            episode = await self._run(name, NOTHING, audio=audio)
            if episode.violations or episode.truth is None:
                raise RuntimeError(f"the {name} run failed: {episode.violations}")
            self.sweep.undisturbed[episode.job_type] = episode.truth

    async def _episode(
        self, name: str, plan: Plan, *, postgres: bool = False, audio: bool = False
    ) -> Episode:
        episode = await self._run(name, plan, postgres=postgres, audio=audio)
        self.sweep.episodes.append(episode)
        return episode

    async def _run(
        self, name: str, plan: Plan, *, postgres: bool = False, audio: bool = False
    ) -> Episode:
        folder = self._folder / name.replace(" ", "-")
        wanted = audio_job(RECORDING) if audio else transcript_job(self._text)
        async with Place(folder, self._nursery, self._postgres if postgres else None) as place:
            undisturbed = self.sweep.undisturbed.get(wanted["type"])
            episode = await run_episode(name, place, wanted, plan, self._dice(name), undisturbed)
        if not self._keep:
            shutil.rmtree(folder)
        return episode

    def _dice(self, purpose: str) -> random.Random:
        return random.Random(f"{self.sweep.seed} {purpose}")  # noqa: S311  (no secret)
