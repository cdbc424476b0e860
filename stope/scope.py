"""What a stage is about to do, in a few words, as far as that is known before it begins."""

from __future__ import annotations

from collections.abc import Sequence

from stope.models.job import JobType, JsonObject

_COUNTED = {
    JobType.MINE: ("segments", "total_segments", "completed_segments"),
    JobType.FLAGSHIP: ("claims", "total_claims", "completed_claims"),
    JobType.UPLOAD: ("items", "total_items", "completed_items"),
}
"""By stage: its units' name, and where its checkpoint counts and lists them."""

_HANDED = {JobType.MINE: ("words", "words"), JobType.FLAGSHIP: ("claims", "claims_extracted")}
"""By stage: what the result of the stage before it counts."""


def scope_of(
    stage: JobType,
    checkpoints: Sequence[JsonObject],
    handed: JsonObject | None = None,
    *,
    afresh: bool = False,
) -> str | None:
    """Such as ``segments 13-24 of 24``, ``claims 1-57``; None when nothing is known.

    Args:
        stage: which.
        checkpoints: of the runs before this one, the newest first.
        handed: the ``result`` of the stage that gave this one its input.
        afresh: what the runs before did may not be there for this one.
    """
    for checkpoint in checkpoints:
        known = _from_checkpoint(stage, checkpoint, afresh)
        if known is not None:
            return known
    noun, field = _HANDED.get(stage, ("", ""))
    count = (handed or {}).get(field)
    return f"{noun} 1-{count:,}" if isinstance(count, int) and count > 0 else None


def _from_checkpoint(stage: JobType, checkpoint: JsonObject, afresh: bool) -> str | None:
    if stage is JobType.TRANSCRIBE:
        duration = checkpoint.get("duration")
        return f"0:00-{_clock(duration)}" if isinstance(duration, int | float) else None
    noun, total_field, done_field = _COUNTED.get(stage, ("", "", ""))
    total, done = checkpoint.get(total_field), checkpoint.get(done_field)
    if not isinstance(total, int) or not isinstance(done, list) or total <= 0:
        return None
    left = total - len(done)
    if afresh or not done:
        return f"{noun} 1-{total:,}"
    if left <= 0:
        return f"all {total:,} {noun} are there"
    if stage is JobType.MINE and _are_the_first(done):
        return f"{noun} {len(done) + 1:,}-{total:,} of {total:,}"
    return f"{left:,} of {total:,} {noun}"


def _are_the_first(segment_ids: Sequence[object]) -> bool:
    """Whether these are the first segments, without a hole."""
    return list(segment_ids) == [f"seg_{number:04d}" for number in range(1, len(segment_ids) + 1)]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
