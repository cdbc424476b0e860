"""Any server that speaks OpenAI's chat protocol, through the ``openai`` client."""

from __future__ import annotations

import logging
import re
import time
from typing import Any, cast

import openai
from openai import AsyncOpenAI

from stope.errors import (
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderUnavailableError,
    StopeError,
)
from stope.llm.chat import ChatAnswer, ChatRequest
from stope.llm.dialect import REFUSALS, Dialect
from stope.retry_after import LONGEST_WAIT, seconds_of

log = logging.getLogger(__name__)

_REJECTED = {400, 401, 402, 403, 404, 405, 413, 415, 422}
_LONGEST_SAYING = 200
_MILLISECONDS = re.compile(r"\d{1,9}(?:\.\d{1,6})?")
_SECRET = re.compile(
    r"(?i:bearer)\s+\S+"
    r"|(?<![\w-])(?:sk|pk|rk|gsk|xai|hf|key|api)[-_][\w*.-]{6,}"
    r"|(?<![\w-])(?=[\w*.+=-]*\d)(?=[\w*.+=-]*[A-Za-z])[\w*+=-]{20,}",
)
_USER_INFO = re.compile(r"//[^/@\s]+@")
_ADVICE = {
    402: "the account has nothing left to pay with",
    401: "check the API key in the environment",
    403: "the key may not use this model",
    404: "check the model's name and the base URL",
}


class OpenAIChatModel:
    """One model on one server. It never retries: Temporal does.

    Args:
        label: the name the user gave, for messages.
        model: the model's name on the server.
        identity: what names it in keys.
        base_url: the server, with ``/v1``; None for OpenAI's own.
        api_key: the secret, never shown.
        parallel: calls in flight that serve it well.
        context: tokens it can take, prompt and answer together.
        complete_answers: every field must stand in an answer (OpenAI's strict mode).
        timeout: seconds one call may take.
    """

    def __init__(
        self,
        *,
        label: str,
        model: str,
        identity: str,
        base_url: str | None,
        api_key: str,
        parallel: int,
        context: int,
        complete_answers: bool,
        timeout: float,
    ) -> None:
        self.identity = identity
        self.parallel = parallel
        self.context = context
        self.complete_answers = complete_answers
        self._label = label
        self._model = model
        self._dialect = Dialect()
        self._client = AsyncOpenAI(
            base_url=base_url, api_key=api_key, timeout=timeout, max_retries=0
        )
        # What the client imports on first use would hold up the first call.
        _ = self._client.chat.completions

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """See ``ChatModel``."""
        while True:
            dialect, started = self._dialect, time.monotonic()
            try:
                reply = await self._call(dialect, request)
            except openai.OpenAIError as error:
                easier = _easier(dialect, error)
                if easier is None:
                    raise translate(error, self._label) from error
                self._settle(dialect, easier, "refuses")
            except ValueError as error:
                raise ProviderUnavailableError(
                    f"{self._label} answered with something that is not JSON; it is asked again."
                ) from error
            else:
                return self._answer(reply, dialect, time.monotonic() - started)

    def doubt(self, answer: ChatAnswer) -> None:
        """See ``ChatModel``."""
        following = self._dialect.after_misfit()
        if following is not None and answer.mode == self._dialect.mode.value:
            self._settle(self._dialect, following, "gives an answer of another shape")

    async def _call(self, dialect: Dialect, request: ChatRequest) -> Any:
        # The client's message and format types are unions per role; ours are plain and valid.
        call: Any = self._client.chat.completions.create
        return await call(model=self._model, **dialect.arguments(request))

    def _settle(self, old: Dialect, new: Dialect, why: str) -> None:
        """Ask in a new way from now on, unless another call in flight has found that out."""
        if self._dialect != old:
            return
        self._dialect = new
        was, will = old.model_dump(mode="json"), new.model_dump(mode="json")
        changed = ", ".join(f"{name}={will[name]}" for name in will if will[name] != was[name])
        log.warning("%s, asked by %s, %s; now %s", self._label, old.mode.value, why, changed)

    def _answer(self, reply: Any, dialect: Dialect, seconds: float) -> ChatAnswer:
        choices = getattr(reply, "choices", None)
        if not choices or choices[0].message is None:
            raise ProviderRejectedError(
                f"{self._label} does not answer as OpenAI's protocol says; check the base URL, "
                "which usually ends in /v1."
            )
        choice = choices[0]
        return ChatAnswer(
            content=choice.message.content or "",
            finish_reason=cast("str", choice.finish_reason) or "unknown",
            prompt_tokens=reply.usage.prompt_tokens if reply.usage else None,
            completion_tokens=reply.usage.completion_tokens if reply.usage else None,
            latency=round(seconds, 3),
            mode=dialect.mode.value,
        )


def _easier(dialect: Dialect, error: openai.OpenAIError) -> Dialect | None:
    """What is left to try where the server refuses a field of the request."""
    if not isinstance(error, openai.APIStatusError) or error.status_code not in REFUSALS:
        return None
    return dialect.after_refusal(f"{_words(error)} {error.param}")


def translate(error: openai.OpenAIError, label: str) -> StopeError:
    """An error of the client as one of ours: permanent, or transient with the wait it asks for."""
    if isinstance(error, openai.APITimeoutError):
        return ProviderUnavailableError(f"{label} took too long to answer; it is asked again.")
    if isinstance(error, openai.APIConnectionError):
        return ProviderUnavailableError(
            f"{label} cannot be reached ({_clean(str(error.__cause__ or error))}); it is asked "
            "again until it can."
        )
    if isinstance(error, openai.APIStatusError):
        status = error.status_code
        said = _said(error)
        if status == 429 and error.code != "insufficient_quota":
            return ProviderRateLimitedError(
                f"{label} asks for fewer requests (429): {said}", retry_after=_retry_after(error)
            )
        if status in _REJECTED or error.code == "insufficient_quota":
            advice = _ADVICE.get(status, "the request cannot be mended by asking again")
            if error.code == "insufficient_quota":
                advice = "the account's quota is used up"
            return ProviderRejectedError(f"{label} refused ({status}): {said}; {advice}.")
        return ProviderUnavailableError(
            f"{label} failed ({status}): {said}", retry_after=_retry_after(error)
        )
    return ProviderRejectedError(f"{label}: {_clean(str(error))}.")


def _said(error: openai.APIStatusError) -> str:
    return _clean(_words(error)) or "it gives no reason"


def _words(error: openai.APIStatusError) -> str:
    """What the server itself says, without what it repeats of the request."""
    found: object = error.body
    if isinstance(found, dict):
        found = found.get("message") or found.get("error") or found.get("detail")
    if isinstance(found, list):
        # FastAPI's servers repeat the input beside each message.
        found = "; ".join(
            f"{'.'.join(map(str, item.get('loc', ())))}: {item.get('msg', '')}"
            for item in found[:3]
            if isinstance(item, dict)
        )
    return found if isinstance(found, str) and not found.lstrip().startswith("<") else ""


def _clean(text: str) -> str:
    """Somebody else's text on one line, without what may be a key, cut."""
    line = _USER_INFO.sub("//", _SECRET.sub("[hidden]", " ".join(text.split())))
    if len(line) > _LONGEST_SAYING:
        line = f"{line[:_LONGEST_SAYING].rstrip()}…"
    return line.rstrip(".")


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds to wait. OpenAI's servers say milliseconds too, which is more exact."""
    headers = error.response.headers
    exact = headers.get("retry-after-ms", "")
    if _MILLISECONDS.fullmatch(exact):
        return min(float(exact) / 1000, LONGEST_WAIT)
    return seconds_of(headers.get("retry-after"))
