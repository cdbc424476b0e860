"""A chat model that follows a script, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from stope.errors import StopeError
from stope.llm.chat import ChatAnswer, ChatRequest

Reply = str | ChatAnswer | StopeError
"""What a script says: the content of a finished answer, a whole answer, or an error to raise."""


class ScriptedChatModel:
    """Answers from a script; keeps every request it got and every answer that was doubted.

    Args:
        script: replies in the order of the calls, or what finds the reply to a request.
        identity: its name; a request for another model is a mistake of the caller.
        parallel: see ``ChatModel``.
        context: see ``ChatModel``.
        complete_answers: see ``ChatModel``.

    Raises:
        AssertionError: from ``complete``, when the script has ended or another model is asked for.
    """

    def __init__(
        self,
        script: Iterable[Reply] | Callable[[ChatRequest], Reply],
        *,
        identity: str = "scripted:model",
        parallel: int = 1,
        context: int = 4096,
        complete_answers: bool = False,
    ) -> None:
        if isinstance(script, str):
            raise TypeError("a script is a list of replies; one string would be read by letter")
        self.identity = identity
        self.parallel = parallel
        self.context = context
        self.complete_answers = complete_answers
        self.requests: list[ChatRequest] = []
        self.doubted: list[ChatAnswer] = []
        self._find = script if callable(script) else _in_order(iter(script))

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """See ``ChatModel``."""
        if request.model != self.identity:
            raise AssertionError(f"{request.model!r} was asked for, this is {self.identity!r}")
        self.requests.append(request)
        reply = self._find(request)
        if isinstance(reply, StopeError):
            raise reply
        return finished(reply) if isinstance(reply, str) else reply

    def doubt(self, answer: ChatAnswer) -> None:
        """See ``ChatModel``."""
        self.doubted.append(answer)


def finished(content: str) -> ChatAnswer:
    """An answer that the model brought to its end."""
    return ChatAnswer(content=content, finish_reason="stop", latency=0)


def cut_off(content: str) -> ChatAnswer:
    """An answer that ran into its token limit."""
    return ChatAnswer(content=content, finish_reason="length", latency=0)


def _in_order(replies: Iterator[Reply]) -> Callable[[ChatRequest], Reply]:
    def find(request: ChatRequest) -> Reply:
        reply = next(replies, None)
        if reply is None:
            asked = request.messages[-1].content[:200]
            raise AssertionError(f"the script has ended, and the model is asked: {asked!r}")
        return reply

    return find
