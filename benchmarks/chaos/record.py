"""What a run met, and when."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.chaos.faults import Fault


@dataclass
class Injected:
    """A fault that happened. Times are of ``time.monotonic``; ``pid`` is the process it hit."""

    number: int
    fault: Fault
    at: float
    pid: int | None = None
    boundary: str = ""
    recovered: float | None = None
    """When another process took the next step of the job; None where nothing was to recover."""


@dataclass
class Record:
    """The faults of one run, and what was seen to be wrong while they happened."""

    injected: list[Injected] = field(default_factory=list)
    missed: list[Fault] = field(default_factory=list)
    """Planned, but the job was done before they could happen."""
    violations: list[str] = field(default_factory=list)
    mirrors_looked_at: int = 0
