"""Progress: what a stage reports with every heartbeat."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator, Field

from stope.models.frozen import Frozen
from stope.models.gap import Gap
from stope.models.money import dollars

NOTE_BYTES = 120
"""Of a note, as JSON."""

REASON_BYTES = 76
"""Of a gap's reason, as JSON."""

GAPS_NAMED = 3
"""So many gaps are named in progress; the others are counted, and named in the result."""

_ID_BYTES = 28


def shortened(text: str, limit: int) -> str:
    """A text as one printable line that takes at most ``limit`` bytes as JSON in UTF-8."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if _json_bytes(line) <= limit:
        return line
    kept = line[:limit]
    while _json_bytes(f"{kept}…") > limit:
        kept = kept[:-1]
    return f"{kept.rstrip()}…"


def _json_bytes(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


class GapNote(Frozen):
    """A gap in a few words: which unit, where in the recording (seconds), and why."""

    unit_id: Annotated[str, BeforeValidator(lambda text: shortened(text, _ID_BYTES))]
    start: float | None = None
    end: float | None = None
    reason: Annotated[str, BeforeValidator(lambda text: shortened(text, REASON_BYTES))]


def gap_notes(gaps: Iterable[Gap]) -> tuple[GapNote, ...]:
    """The first few of some gaps, in a few words each."""
    return tuple(
        GapNote(
            unit_id=gap.unit_id,
            start=None if gap.start is None else round(gap.start, 2),
            end=None if gap.end is None else round(gap.end, 2),
            reason=gap.reason,
        )
        for gap, _ in zip(gaps, range(GAPS_NAMED), strict=False)
    )


class Spent(Frozen):
    """What calls to language models came to. Answers that the ledger had are not in it."""

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    cost_usd: float = Field(default=0.0, ge=0, description="of the calls with a known price")
    unpriced: int = Field(default=0, ge=0, description="calls whose price is not known")

    @property
    def tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def words(self) -> str:
        """``1,234 tokens, $0.02``; calls without a known price are said."""
        price = dollars(self.cost_usd)
        if self.unpriced:
            calls = f"{self.unpriced} call{'s' if self.unpriced > 1 else ''}"
            price = f"{price} and {calls} of unknown price" if self.cost_usd else "price unknown"
        return f"{self.tokens:,} tokens, {price}"

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_usd=round(self.cost_usd + other.cost_usd, 6),
            unpriced=self.unpriced + other.unpriced,
        )


class StageProgress(Frozen):
    """Where a running stage stands. Well under 1 KB as JSON, whatever the size of the run."""

    job_type: str
    stage: str = Field(description="as in the checkpoint: validating, mining, …")
    done: int = Field(default=0, ge=0, description="units with a committed output")
    total: int | None = Field(default=None, ge=0, description="units in the plan, once it exists")
    reused: int = Field(default=0, ge=0, description="of `done`, committed before this attempt")
    gaps: int = Field(default=0, ge=0)
    named: tuple[GapNote, ...] = Field(default=(), description="the first few of the gaps")
    cursor: str | None = Field(default=None, description="id of the last committed unit")
    note: Annotated[str | None, BeforeValidator(lambda v: v and shortened(v, NOTE_BYTES))] = None
    elapsed: float = Field(
        default=0, ge=0, description="seconds since this attempt began its units"
    )
    usual: float | None = Field(
        default=None, ge=0, description="seconds that a unit took in earlier runs of this kind"
    )

    audio: float = Field(
        default=0, ge=0, description="seconds of the recording in the units of this attempt"
    )
    spent: Spent | None = Field(
        default=None, description="by this attempt; None where no language model is asked"
    )

    @property
    def rate(self) -> float | None:
        """Seconds a unit takes in this attempt; None until it is through with one."""
        fresh = self.done - self.reused + self.gaps
        return self.elapsed / fresh if fresh > 0 and self.elapsed > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Time left, never negative; None when it is not known.

        From this attempt's own rate, and before it has one from that of earlier runs.
        """
        if self.total is None:
            return None
        left = max(0, self.total - self.done - self.gaps)
        each = self.usual if self.rate is None else self.rate
        if each is None:
            return None
        return left * each
