"""The scripted model answers in any schema that the pipeline asks for, through its real client."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from benchmarks.bench.measure import MeasurementError
from benchmarks.bench.scripted import ScriptedServer, fitting
from stope.engines import Engines
from stope.llm.chat import ChatRequest, Message
from stope.llm.schema import answer_schema
from stope.mining.answer import ExtractionAnswer
from stope.models.sentence import SentenceKind
from stope.settings import Settings


class Part(BaseModel):
    name: str = Field(min_length=14, max_length=20)
    number: int = Field(ge=3, le=9)
    share: float = 0.5


class Everything(BaseModel):
    kind: SentenceKind
    digits: Annotated[str, Field(pattern="^[0-2]{3}$")]
    parts: tuple[Part, ...] = Field(min_length=2, max_length=3)
    pair: tuple[int, bool]
    word: Literal["one"]
    text: str | None
    left_out: str | None = None


@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("answer", [Everything, ExtractionAnswer])
def test_an_answer_fits_its_schema(answer: type[BaseModel], complete: bool) -> None:
    answer.model_validate(fitting(answer_schema(answer, complete=complete)))


def test_the_first_kind_of_sentence_is_a_claim_so_that_later_stages_have_work() -> None:
    found = fitting(answer_schema(Everything, complete=False))
    assert isinstance(found, dict)
    assert found["kind"] == SentenceKind.FACTUAL.value


@pytest.mark.parametrize(
    "schema", [{"type": "string", "pattern": "^never like this$"}, {"type": "tuple"}]
)
def test_what_cannot_be_answered_is_said(schema: dict[str, object]) -> None:
    with pytest.raises(MeasurementError, match="scripted language model"):
        fitting(schema)


async def test_it_is_asked_through_the_real_client() -> None:
    with ScriptedServer(latency=0) as server:
        engines = Engines(Settings(llm=server.model))
        model = await engines.chat(server.model)
        answer = await model.complete(
            ChatRequest(
                model=model.identity,
                messages=(Message(role="user", content="anything"),),
                schema_name="named_things",
                answer_schema=answer_schema(ExtractionAnswer, complete=model.complete_answers),
                max_tokens=100,
            )
        )
        await engines.close()
    assert answer.finish_reason == "stop"
    ExtractionAnswer.model_validate_json(answer.content)
