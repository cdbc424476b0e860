"""Who paid what twice, and why: the server's own log against what the workers said.

A request is billed twice when the server made two answers to it. Each answer after the first has
one cause, read off the fate of the answer before it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from benchmarks.chaos import boundaries as at
from benchmarks.chaos.journal import Journal, Passage
from benchmarks.chaos.scripted_llm import Call
from benchmarks.chaos.trouble import Trouble

HEARTBEAT_SECONDS = 1.0
"""The heartbeat time-out of all runs."""

_SERVER_SECONDS = 15.0
"""So long after its death a server may still miss heartbeats of workers that live."""

_LOOK_SECONDS = 0.5
"""A worker that found no answer in the ledger has made its call by then, also on a busy machine."""

_FIRST_STAGES = frozenset(
    at.entering(job_type, stage)
    for job_type, stage in (("mine", "parsing"), ("flagship", "loading"))
)


class Cause(StrEnum):
    """Why an answer was paid for again."""

    COMMITTED = "after the answer was committed"
    DEATH = "death came between answer and commit"
    FROZEN = "its worker stood still, and another took over"
    SILENT = "Temporal had not heard of its worker for too long, and another took over"
    LINE = "the connection broke while the answer was sent"
    TOGETHER = "two living workers asked at once"
    UNKNOWN = "for no reason that is known"


@dataclass(frozen=True)
class PaidAgain:
    """One answer too many. ``caller`` is the process whose answer was lost or ignored."""

    request: str
    cause: Cause
    caller: int
    at: float


@dataclass(frozen=True)
class Fates:
    """When workers were killed, when they stood still, and when the Temporal server was killed."""

    deaths: Mapping[int, float]
    frozen: Mapping[int, list[tuple[float, float]]]
    server_deaths: Sequence[float]


def paid_again(calls: Iterable[Call], journal: Journal, fates: Fates) -> list[PaidAgain]:
    """Every answer too many, with its cause."""
    said = _Said(journal)
    billed: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.billed is not None:
            billed[call.request].append(call)
    found: list[PaidAgain] = []
    for request, answers in billed.items():
        answers.sort(key=lambda call: call.arrived)
        for earlier, later in pairwise(answers):
            cause = _cause(earlier, later, said, fates)
            found.append(PaidAgain(request, cause, _pid(earlier), later.arrived))
    return found


def most_per_death(again: Iterable[PaidAgain]) -> int:
    """The most answers that one killed worker cost."""
    counts = Counter(item.caller for item in again if item.cause is Cause.DEATH)
    return max(counts.values(), default=0)


def story(request: str, calls: Iterable[Call], journal: Journal) -> list[str]:
    """All that is known of a request, in order: what explains why it was paid for again."""
    keys = {p.about["key"] for p in journal.of(at.AFTER_LEDGER) if p.about["request"] == request}
    moments = [
        (p.at, f"{p.pid} {p.what} {p.about.get('why', '')}".rstrip())
        for p in journal.passages
        if p.about.get("request") == request or p.about.get("key") in keys
    ]
    for call in calls:
        if call.request == request:
            met = f" ({call.trouble})" if call.trouble else ""
            moments.append((call.arrived, f"server: call of {_pid(call)}{met}"))
            if call.billed is not None:
                moments.append((call.billed, f"server: answer made for {_pid(call)}"))
    moments += [
        (p.at, f"{p.pid} {p.what} {p.about.get('boundary', '')}".rstrip())
        for p in journal.passages
        if p.what in _FIRST_STAGES or p.what == at.FAULT
    ]
    began = journal.passages[0].at
    return [f"{moment - began:8.3f} s  {what}" for moment, what in sorted(moments)]


class _Said:
    """What the workers said, in the order that is asked for."""

    def __init__(self, journal: Journal) -> None:
        self._commits = self._by_request(journal.of(at.AFTER_LEDGER))
        self._looks: dict[tuple[int, str], list[float]] = defaultdict(list)
        for passage in journal.of(at.LOOKED):
            self._looks[passage.pid, passage.about["key"]].append(passage.at)
        self._begun = self._by_request(journal.of(at.BEFORE_CALL))
        self._passages = journal.passages
        self._attempts = [passage for passage in journal.passages if passage.what in _FIRST_STAGES]

    def asked(self, call: Call) -> float:
        """When a worker decided to make a call: when it last looked for an answer before.

        A look that is older than ``_LOOK_SECONDS`` decides nothing any more.
        """
        pid = _pid(call)
        begun = max(
            (p.at for p in self._begun[call.request] if p.pid == pid and p.at <= call.arrived),
            default=call.arrived,
        )
        keys = {passage.about["key"] for passage in self._commits[call.request]}
        looks = [moment for key in keys for moment in self._looks[pid, key] if moment <= begun]
        return max(max(looks, default=begun), begun - _LOOK_SECONDS)

    def committed(self, request: str, before: float) -> bool:
        """Whether an answer to a request was committed before a moment."""
        return any(passage.at < before for passage in self._commits[request])

    def taken_over(self, one: int, other: int, before: float, fates: Fates) -> bool:
        """Whether Temporal had a reason to give the work of one living worker to the other.

        There is one where the worker that began first did nothing at all for half the heartbeat
        time-out before the other began, or where the server had been killed shortly before.
        """
        latest = {p.pid: p.at for p in self._attempts if p.pid in (one, other) and p.at < before}
        if len(latest) < 2:
            return False
        elder, younger = sorted(latest, key=lambda pid: latest[pid])
        takeover = latest[younger]
        if any(0 < takeover - death < _SERVER_SECONDS for death in fates.server_deaths):
            return True
        silent = takeover - HEARTBEAT_SECONDS / 2
        return not any(p.pid == elder and silent < p.at < takeover for p in self._passages)

    @staticmethod
    def _by_request(passages: Iterable[Passage]) -> dict[str, list[Passage]]:
        found: dict[str, list[Passage]] = defaultdict(list)
        for passage in passages:
            found[passage.about["request"]].append(passage)
        return found


def _cause(earlier: Call, later: Call, said: _Said, fates: Fates) -> Cause:
    asked = said.asked(later)
    if said.committed(later.request, asked):
        return Cause.COMMITTED
    pid, next_pid = _pid(earlier), _pid(later)
    death = fates.deaths.get(pid)
    if earlier.trouble is Trouble.CUT:
        return Cause.LINE
    if death is not None and death < later.arrived:
        return Cause.DEATH
    # Either the one that stood still had the answer, or it had decided to ask before.
    if _stood_still(fates, pid, earlier.arrived, later.arrived) or _stood_still(
        fates, next_pid, asked, later.arrived
    ):
        return Cause.FROZEN
    if pid == next_pid:
        return Cause.UNKNOWN
    return Cause.SILENT if said.taken_over(pid, next_pid, later.arrived, fates) else Cause.TOGETHER


def _stood_still(fates: Fates, pid: int, first: float, last: float) -> bool:
    return any(begun < last and first < end for begun, end in fates.frozen.get(pid, []))


def _pid(call: Call) -> int:
    return int(call.caller.rsplit("-", 1)[-1])
