"""Requests of mining: a prompt's file as the system message, what was said as data in the other."""

from __future__ import annotations

from pydantic import BaseModel

from stope.errors import AnswerTruncatedError
from stope.llm.chat import ChatRequest, Message
from stope.llm.ledger import Ledger
from stope.llm.schema import answer_schema
from stope.llm.tokens import estimate_tokens
from stope.prompts import load_prompt


def mining_request(
    ledger: Ledger, prompt: str, data: str, name: str, answer: type[BaseModel], max_tokens: int
) -> ChatRequest:
    """One call to the ledger's model.

    Args:
        ledger: asks the model.
        prompt: the name of its file.
        data: fenced.
        name: of the schema.
        answer: its type.
        max_tokens: of the answer.

    Raises:
        AnswerTruncatedError: prompt and answer have no room in the model's context. Some servers
            would cut the answer off and others refuse the call; either way, ask for less.
    """
    system = load_prompt("stope.mining", prompt)
    needed = estimate_tokens(system) + estimate_tokens(data) + max_tokens
    if needed > ledger.model.context:
        raise AnswerTruncatedError(
            f"about {needed} tokens of prompt and answer do not fit the model's context of "
            f"{ledger.model.context}"
        )
    return ChatRequest(
        model=ledger.model.identity,
        messages=(Message(role="system", content=system), Message(role="user", content=data)),
        schema_name=name,
        answer_schema=answer_schema(answer, complete=ledger.model.complete_answers),
        max_tokens=max_tokens,
    )
