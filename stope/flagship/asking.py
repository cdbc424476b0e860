"""How the flagship asks: who it is, the task, and claims as data.

A server that keeps the beginning of a prompt reads what is the same in all calls only once. What
stands between the tags is data; nothing in it can close them.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, create_model

from stope.llm.chat import ChatRequest, Message
from stope.llm.ledger import Ledger
from stope.llm.schema import answer_schema
from stope.prompts import fenced, load_prompt, prompt_digest

PACKAGE = "stope.flagship"
OPENING = "editor"


def request_of(
    task: str,
    lines: Iterable[str],
    answer: type[BaseModel],
    ledger: Ledger,
    *,
    max_tokens: int,
    name: str | None = None,
    task_last: bool = False,
) -> ChatRequest:
    """The call for one task over some lines of data.

    Args:
        task: the name of its prompt.
        lines: the data, one claim or pair a line.
        answer: the type that the answer must fit.
        ledger: whom it is for.
        max_tokens: the answer's limit.
        name: the schema's; the task's unless it is given.
        task_last: the task follows the data. Small models need that where the data is long and the
            answer is prose; elsewhere the task comes first, where it is read only once.
    """
    opening, wanted, data = (
        load_prompt(PACKAGE, OPENING),
        load_prompt(PACKAGE, task),
        fenced("claims", lines),
    )
    system, user = (
        (opening, f"{data}\n\n{wanted}") if task_last else (f"{opening}\n\n{wanted}", data)
    )
    return ChatRequest(
        model=ledger.model.identity,
        messages=(
            Message(role="system", content=system),
            Message(role="user", content=user),
        ),
        schema_name=name or task,
        answer_schema=answer_schema(answer, complete=ledger.model.complete_answers),
        max_tokens=max_tokens,
    )


def keyed_answer(name: str, prefix: str, count: int, field: object) -> type[BaseModel]:
    """An answer type with the fields ``<prefix>1`` to ``<prefix>N``: all required, nothing else."""
    fields: dict[str, object] = {
        f"{prefix}{number}": (field, ...) for number in range(1, count + 1)
    }
    return create_model(  # type: ignore[call-overload,no-any-return]  # fields known only at run time
        name, __config__=ConfigDict(frozen=True, extra="forbid"), **fields
    )


def task_version(task: str) -> list[str]:
    """The versions of the texts that a task's answers depend on."""
    return [prompt_digest(PACKAGE, OPENING), prompt_digest(PACKAGE, task)]
