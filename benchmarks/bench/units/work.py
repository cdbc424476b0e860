"""What every side is asked to do: the same requests, by the same client, so many at once."""

from __future__ import annotations

from functools import cache

from pydantic import BaseModel, Field

from benchmarks.bench.measure import MeasurementError
from stope.llm.chat import ChatModel, ChatRequest, Message
from stope.llm.schema import answer_schema
from stope.models.frozen import Frozen
from stope.models.job import JsonObject

STAGE = "mine"

_SPOKEN = "The speaker says what was measured, by whom, and when it was first published. "
_SENTENCES = 20
_ANSWER_LENGTH = 1500


class Reply(BaseModel):
    """An answer of the size that a mined segment has."""

    text: str = Field(min_length=_ANSWER_LENGTH)


class SideWork(Frozen):
    """``segments`` calls, ``slots`` at once. ``name`` makes them unlike those of another turn."""

    name: str
    segments: int = Field(gt=0)
    slots: int = Field(gt=0)


class SideDone(Frozen):
    """What it took.

    ``seconds`` is all of it, from its start to the last answer stored. ``after_output`` are the
    seconds from each output of a unit to the loop's next unit, ``after_call`` those from each
    answer of the model to the next call; both are empty where a side has no such loop.
    """

    seconds: float
    after_output: tuple[float, ...] = ()
    after_call: tuple[float, ...] = ()


@cache
def _schema(complete: bool) -> JsonObject:
    # Made once: no side is to be charged for it call by call.
    return answer_schema(Reply, complete=complete)


def request_of(model: ChatModel, name: str, number: int) -> ChatRequest:
    """The request for one segment."""
    return ChatRequest(
        model=model.identity,
        messages=(
            Message(role="system", content="List the claims of a segment."),
            Message(role="user", content=f"{name}, {number}. {_SPOKEN * _SENTENCES}"),
        ),
        schema_name="reply",
        answer_schema=_schema(model.complete_answers),
        max_tokens=1000,
    )


def check_count(found: int, work: SideWork) -> None:
    """Every side has to show that each segment's output is there.

    Raises:
        MeasurementError: it is not.
    """
    if found != work.segments:
        raise MeasurementError(
            f"A side stored {found} outputs of {work.segments}; its time means nothing."
        )
