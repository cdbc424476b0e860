"""The ledger: every answer is committed before it is looked at, and is never paid for twice.

An answer is ``received`` first, then ``accepted`` when it fits, or ``rejected`` with the reason.
An accepted one answers every equal request from then on. A rejected one is never served; within
the run that got it, its request is not asked again either, since it would give the same answer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from stope.errors import AnswerInvalidError, AnswerTruncatedError
from stope.llm.chat import ChatAnswer, ChatModel, ChatRequest, Message
from stope.llm.extract import json_objects

Answer = TypeVar("Answer", bound=BaseModel)

TRUNCATED = "truncated"
_FINISHED = ("stop", "eos")
_CUT = ("length", "max_tokens")
_NO_SUCH_SHAPE = ("missing", "extra_forbidden", "json_invalid", "json_type", "enum")
"""Misfits that a server which enforces the schema cannot give, beside those that end in ``_type``.
Others, such as a text that is too short, it can."""


@dataclass(frozen=True)
class LedgerEntry:
    """A committed answer."""

    id: str
    status: str
    reason: str | None
    answer: ChatAnswer


class LedgerStore(Protocol):
    """Where answers are committed."""

    async def find(self, key: str, since: datetime) -> LedgerEntry | None:
        """The accepted answer to a request, if there is one.

        Else one received but not judged; else the newest one rejected since a moment.
        """

    async def receive(
        self, key: str, request: ChatRequest, answer: ChatAnswer, job_id: str
    ) -> LedgerEntry:
        """Commit an answer as received."""

    async def accept(self, entry_id: str) -> None:
        """The answer fits. If another one to the same request was accepted before, that stays."""

    async def reject(self, entry_id: str, reason: str) -> None:
        """The answer is bad and is never served."""


@dataclass
class Spend:
    """What a stage's calls came to.

    ``reused`` counts requests answered by the ledger, ``modes`` how calls asked for the schema.
    """

    calls: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    modes: Counter[str] = field(default_factory=Counter)


class Ledger:
    """Asks a model through the ledger, on behalf of one run of one job.

    Args:
        store: where answers are committed.
        model: who is asked when the ledger has no answer.
        namespace: only answers of the same namespace are served.
        job_id: noted with every answer.
        since: when the run began; requests rejected before it are asked again.
    """

    def __init__(
        self,
        store: LedgerStore,
        model: ChatModel,
        *,
        namespace: str,
        job_id: str,
        since: datetime,
    ) -> None:
        self.model = model
        self.spend = Spend()
        self._store = store
        self._namespace = namespace
        self._job_id = job_id
        self._since = since

    def metrics(self) -> dict[str, object]:
        """The spend as numbers for the run's record."""
        found: dict[str, object] = {
            "llm_calls": self.spend.calls,
            "llm_answers_reused": self.spend.reused,
            "prompt_tokens": self.spend.prompt_tokens,
            "completion_tokens": self.spend.completion_tokens,
            "llm_seconds": round(self.spend.seconds, 3),
        }
        return found | ({"llm_modes": dict(self.spend.modes)} if self.spend.modes else {})

    async def ask(self, request: ChatRequest, answer_type: type[Answer]) -> Answer:
        """An answer that fits the type; one bad answer is shown to the model for repair.

        Raises:
            AnswerTruncatedError: the answer was cut off; ask for less.
            AnswerInvalidError: it does not fit, also after the repair.
            ProviderRejectedError: the provider refused for good.
            TransientError: the provider may answer later.
        """
        entry = await self._entry(request)
        try:
            return await self._judged(entry, answer_type)
        except AnswerInvalidError as error:
            repair = request.model_copy(
                update={
                    "messages": (
                        *request.messages,
                        Message(role="assistant", content=entry.answer.content),
                        Message(
                            role="user",
                            content=f"That answer does not fit the schema: {error}. Give the "
                            "whole answer again, mended.",
                        ),
                    )
                }
            )
            return await self._judged(await self._entry(repair), answer_type)

    async def _entry(self, request: ChatRequest) -> LedgerEntry:
        key = request.key(self._namespace)
        known = await self._store.find(key, self._since)
        if known is not None:
            self.spend.reused += 1
            return known
        answer = await self.model.complete(request)
        self.spend.calls += 1
        self.spend.prompt_tokens += answer.prompt_tokens or 0
        self.spend.completion_tokens += answer.completion_tokens or 0
        self.spend.seconds += answer.latency
        if answer.mode is not None:
            self.spend.modes[answer.mode] += 1
        return await self._store.receive(key, request, answer, self._job_id)

    async def _judged(self, entry: LedgerEntry, answer_type: type[Answer]) -> Answer:
        if entry.status == "rejected":
            raise _rejection(entry.reason or "")
        finish = entry.answer.finish_reason
        if finish not in _FINISHED:
            reason = TRUNCATED if finish in _CUT else f"finished by {finish!r}"
            await self._store.reject(entry.id, reason)
            raise _rejection(reason)
        try:
            fitting = parsed(entry.answer.content, answer_type)
        except ValidationError as error:
            reason = describe_misfit(error)
            if entry.answer.content.strip() and _has_another_shape(error):
                self.model.doubt(entry.answer)
            await self._store.reject(entry.id, reason)
            raise AnswerInvalidError(reason) from error
        if entry.status == "received":
            await self._store.accept(entry.id)
        return fitting


def parsed(content: str, answer_type: type[Answer]) -> Answer:
    """The answer in what a model said: all of it, or the first JSON object in it that fits.

    Raises:
        ValidationError: none does; it describes the first object, or the whole where there is none.
    """
    try:
        return answer_type.model_validate_json(content)
    except ValidationError as error:
        misfit = error
    if misfit.errors(include_url=False)[0]["type"] != "json_invalid":
        raise misfit
    first: ValidationError | None = None
    for text in json_objects(content):
        try:
            return answer_type.model_validate_json(text)
        except ValidationError as error:
            first = first or error
    raise first or misfit


def _has_another_shape(error: ValidationError) -> bool:
    kinds = {item["type"] for item in error.errors(include_input=False, include_url=False)}
    return any(kind in _NO_SUCH_SHAPE or kind.endswith("_type") for kind in kinds)


def _rejection(reason: str) -> AnswerInvalidError | AnswerTruncatedError:
    if reason == TRUNCATED:
        return AnswerTruncatedError("the model's answer was cut off at its token limit")
    return AnswerInvalidError(reason)


def describe_misfit(error: ValidationError) -> str:
    """The first three misfits of an answer, without its content."""
    parts = [
        f"{'.'.join(map(str, item['loc'])) or 'answer'}: {item['msg']}"
        for item in error.errors(include_input=False, include_url=False)[:3]
    ]
    return "; ".join(parts)
