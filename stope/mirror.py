"""What a mirror shows, against the checkpoint that its run's units make."""

from __future__ import annotations

from collections.abc import Sequence

from stope.models.checkpoint import Checkpoint
from stope.models.job import Job, JsonObject
from stope.models.steps import EpisodeCheckpoint, StepCheckpoint
from stope.models.verification import Finding
from stope.records.mirrors import StoredMirror

_LISTS = (
    *("completed_segments", "completed_claims", "completed_items", "completed_stages"),
    "completed_steps",
)


def mirror_findings(job: Job, stored: StoredMirror, expected: Checkpoint | None) -> list[Finding]:
    """What a mirror shows and should not, or should and does not.

    ``expected`` is None where the units of its run cannot be read.
    """
    body, run = stored.body, stored.run
    if body is None:
        what = "is no JSON object" if stored.text not in (None, "null") else "is not there"
        # A run that waits, or has only just begun, has none yet.
        fresh = what == "is not there" and (expected is None or not run.status.finished)
        return [Finding(about="mirror", text=f"the checkpoint {what}", wrong=not fresh)]
    findings: list[Finding] = []
    version = number_in(meta_of(stored), "version")
    if version != stored.version:
        findings.append(wrong("mirror", f"its version is {version}, its row says {stored.version}"))
    if expected is None:
        if run.status.has_result and body.get("final_result", job.result) != job.result:
            findings.append(wrong("mirror", "final_result is not what it gave"))
        return findings
    # What an episode shows as any pipeline follows from what its stages gave, and when.
    beside = set(StepCheckpoint.model_fields) if isinstance(expected, EpisodeCheckpoint) else set()
    wanted = expected.model_dump(mode="json", exclude={"stope", *beside})
    if run.status.has_result:
        differing = [
            name for name, value in wanted.items() if not _same(name, body.get(name, ...), value)
        ]
        if differing == ["results"] and _together(body) == (job.result or {}).get("result"):
            text = "a stage was made again since: its own result is newer than what it gave here"
            return [*findings, Finding(about="mirror", text=text, wrong=False)]
        return [*findings, *(wrong("mirror", f"{name} is not what it gave") for name in differing)]
    for name in _LISTS:
        if name in wanted:
            findings += _list_findings(name, body.get(name), wanted[name])
    for name in ("total_segments", "total_claims", "total_items"):
        if body.get(name) is not None and body.get(name) != wanted.get(name):
            findings.append(
                wrong("mirror", f"{name} is {body.get(name)}; the plan says {wanted.get(name)}")
            )
    if body.get("final_result") is not None:
        findings.append(wrong("mirror", f"it has a final result, and the run is {run.status}"))
    unknown = sorted(set(wanted) - set(body))
    return [*findings, *(wrong("mirror", f"the field {name} is missing") for name in unknown)]


def _together(body: JsonObject) -> JsonObject:
    """What the stages in a pipeline's checkpoint gave, as its own result has it."""
    results, merged = body.get("results"), dict[str, object]()
    for result in results.values() if isinstance(results, dict) else ():
        parts = result.get("result") if isinstance(result, dict) else None
        merged |= parts if isinstance(parts, dict) else {}
    return merged


def _same(name: str, shown: object, wanted: object) -> bool:
    """Whether a field is as it should be. A home may be moved."""
    if name == "transcript_path" and isinstance(shown, str) and isinstance(wanted, str):
        return shown.rsplit("/", 1)[-1] == wanted.rsplit("/", 1)[-1]
    return shown == wanted


def _list_findings(name: str, shown: object, committed: Sequence[str]) -> list[Finding]:
    """A list of a mirror against what is committed."""
    if not isinstance(shown, list):
        return [wrong("mirror", f"{name} is no list")]
    ahead = [item for item in shown if item not in committed]
    behind = [item for item in committed if item not in shown]
    found = []
    if ahead:
        found.append(
            wrong("mirror", f"{name} has {_some(ahead)}, which nothing committed bears out")
        )
    if behind:
        text = f"{name} is behind by {_some(behind)}, which {_is(behind)} committed"
        found.append(Finding(about="mirror", text=text, wrong=False))
    return found


def meta_of(stored: StoredMirror) -> JsonObject:
    """What a mirror says of itself, under ``stope``."""
    meta = (stored.body or {}).get("stope")
    return meta if isinstance(meta, dict) else {}


def number_in(meta: JsonObject, name: str) -> int:
    """A whole number out of that; 0 where there is none."""
    value = meta.get(name)
    return value if isinstance(value, int) else 0


def _some(names: Sequence[object]) -> str:
    first = ", ".join(map(str, names[:3]))
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"


def _is(names: Sequence[object]) -> str:
    return "is" if len(names) == 1 else "are"


def wrong(about: str, text: str) -> Finding:
    """A finding that must not be."""
    return Finding(about=about, text=text)
