"""The language-model port: one request, one answer."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import Field

from stope.identity import digest_of
from stope.llm.schema import completed
from stope.models.frozen import Frozen
from stope.models.job import JsonObject


class Message(Frozen):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


class ChatRequest(Frozen):
    """Everything that decides an answer. Two equal requests are the same request."""

    model: str = Field(description="provider:model, and the weights' hash where we know it")
    messages: tuple[Message, ...]
    schema_name: str
    answer_schema: JsonObject = Field(description="JSON Schema the answer must fit")
    max_tokens: int = Field(gt=0)
    temperature: float = Field(default=0.0, ge=0, le=2)

    def key(self, namespace: str) -> str:
        """The ledger's key of this request within a namespace."""
        return digest_of(["chat", namespace, self])

    def content_key(self, namespace: str) -> str:
        """What this request has in common with the same one to another model.

        Which fields of an answer may be left out is a matter of the server that is asked.
        """
        content = self.model_dump(mode="json", exclude={"model", "answer_schema"})
        return digest_of(["content", namespace, content, completed(self.answer_schema)])


class ChatAnswer(Frozen):
    """What the model said, unparsed."""

    content: str
    finish_reason: str = Field(description="'stop', 'length', …, as the server says")
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency: float = Field(ge=0, description="seconds")
    mode: str | None = Field(
        default=None, description="how the schema was asked for; None where the answer was stored"
    )


class ChatModel(Protocol):
    """A language model that answers in JSON."""

    @property
    def identity(self) -> str:
        """What names the model in every key: provider, model and, if known, its weights."""

    @property
    def parallel(self) -> int:
        """Calls in flight that serve it well, when the user does not say."""

    @property
    def context(self) -> int:
        """Tokens that prompt and answer may have together."""

    @property
    def complete_answers(self) -> bool:
        """Whether every field must stand in an answer, optional ones as null."""

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """Ask once, without retrying.

        Raises:
            ProviderRejectedError: it will never answer this.
            TransientError: it may answer later.
        """

    def doubt(self, answer: ChatAnswer) -> None:
        """An answer of this model had another shape than its schema: it may not have been read.

        Later requests are put in another way, if there is one.
        """
