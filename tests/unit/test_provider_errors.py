"""Every failure of a provider is one of ours, and every error of ours is one of Temporal's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

import stope.errors
from activities.failures import UNEXPECTED_ATTEMPTS, failure_of, translated
from stope.errors import (
    PausedError,
    PermanentError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderUnavailableError,
    StopeError,
    TransientError,
    UnitError,
    UsageError,
    WorkerDrainingError,
)
from stope.llm.chat import ChatRequest, Message
from stope.llm.openai_chat import OpenAIChatModel, translate

LABEL = "openai:gpt-4o-mini"
Respond = Callable[[httpx2.Request], httpx2.Response]

REQUEST = ChatRequest(
    model=LABEL,
    messages=(Message(role="user", content="grass"),),
    schema_name="colour",
    answer_schema={},
    max_tokens=50,
)


def client_of(respond: Respond) -> AsyncOpenAI:
    """The real client on a transport that answers from a function."""
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(respond))
    return AsyncOpenAI(base_url="http://test/v1", api_key="k", max_retries=0, http_client=http)


def model_of(respond: Respond) -> OpenAIChatModel:
    model = OpenAIChatModel(
        label=LABEL,
        model="gpt-4o-mini",
        identity=LABEL,
        base_url="http://test/v1",
        api_key="k",
        parallel=1,
        context=4096,
        complete_answers=True,
        timeout=5,
    )
    model._client = client_of(respond)
    return model


async def translation_of(respond: Respond) -> StopeError:
    """What becomes of the error that the client raises."""
    with pytest.raises(openai.OpenAIError) as caught:
        await client_of(respond).models.list()
    return translate(caught.value, LABEL)


async def translation_of_status(
    status: int, *, code: str | None = None, headers: dict[str, str] | None = None
) -> StopeError:
    body = {"error": {"message": "The server's own words.", "type": "t", "code": code}}
    return await translation_of(lambda _: httpx2.Response(status, json=body, headers=headers))


def error_classes(base: type[StopeError] = StopeError) -> Iterator[type[StopeError]]:
    """The whole tree of ``stope.errors``, without its root."""
    for cls in base.__subclasses__():
        if cls.__module__ == stope.errors.__name__:
            yield cls
            yield from error_classes(cls)


@pytest.mark.parametrize(
    "status",
    [
        *(400, 401, 403, 404, 405, 413, 415, 422),
        pytest.param(
            402,
        ),
    ],
)
async def test_a_refused_request_is_permanent(status: int) -> None:
    error = await translation_of_status(status)
    assert type(error) is ProviderRejectedError
    assert str(error).startswith(f"{LABEL} refused ({status}): The server's own words; ")


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "the API key"), (403, "may not use this model"), (404, "model's name and the base URL")],
)
async def test_a_refusal_says_how_to_fix_it(status: int, advice: str) -> None:
    assert advice in str(await translation_of_status(status))


@pytest.mark.parametrize("status", [403, 429])
async def test_a_used_up_quota_is_permanent(status: int) -> None:
    error = await translation_of_status(
        status, code="insufficient_quota", headers={"retry-after": "5"}
    )
    assert type(error) is ProviderRejectedError
    assert "quota is used up" in str(error)


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504, 529])
async def test_a_failing_server_is_asked_again(status: int) -> None:
    error = await translation_of_status(status, headers={"retry-after": "2.5"})
    assert type(error) is ProviderUnavailableError
    assert error.retry_after == 2.5
    assert f"{LABEL} failed ({status}): The server's own words" in str(error)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "7"}, timedelta(seconds=7)),
        ({"retry-after": "-1"}, timedelta(0)),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "7", "retry-after-ms": "6250"}, timedelta(seconds=6.25)),
        ({"retry-after-ms": "99999999"}, timedelta(hours=1)),
        ({"retry-after": "7", "retry-after-ms": "soon"}, timedelta(seconds=7)),
        ({}, None),
    ],
)
async def test_too_many_requests_are_retried_when_the_server_says(
    headers: dict[str, str], wait: timedelta | None
) -> None:
    error = await translation_of_status(429, headers=headers)
    assert type(error) is ProviderRateLimitedError
    assert failure_of(error).next_retry_delay == wait


@pytest.mark.parametrize("value", ["inf", "1e15"])
async def test_an_absurd_wait_does_not_hide_the_error(value: str) -> None:
    error = await translation_of_status(429, headers={"retry-after": value})
    assert failure_of(error).type == "ProviderRateLimited"


async def test_a_date_to_retry_after_is_a_wait() -> None:
    headers = {"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}
    error = await translation_of_status(429, headers=headers)
    assert isinstance(error, TransientError)
    assert error.retry_after is not None


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (httpx2.ConnectError("Connection refused"), "cannot be reached (Connection refused)"),
        (httpx2.RemoteProtocolError("Server disconnected"), "(Server disconnected)"),
        (httpx2.ReadTimeout("slow"), "took too long to answer"),
        (httpx2.ConnectTimeout("slow"), "took too long to answer"),
    ],
)
async def test_an_unreachable_or_slow_server_is_asked_again(problem: Exception, said: str) -> None:
    def respond(_request: httpx2.Request) -> httpx2.Response:
        raise problem

    error = await translation_of(respond)
    assert type(error) is ProviderUnavailableError
    assert said in str(error)


async def test_the_model_raises_what_is_translated() -> None:
    with pytest.raises(ProviderRejectedError, match="refused \\(404\\)"):
        await model_of(lambda _: httpx2.Response(404, json={})).complete(REQUEST)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", "<html>a web page, since the URL lacks /v1</html>"),
        ("application/json", "{cut"),
        ("application/json", '{"choices":[{"index":0,"finish_reason":"stop","message":null}]}'),
    ],
    ids=["a web page", "cut JSON", "no message"],
)
async def test_a_good_status_with_something_else_inside_is_an_error_of_ours(
    kind: str, body: str
) -> None:
    model = model_of(lambda _: httpx2.Response(200, text=body, headers={"content-type": kind}))
    with pytest.raises(StopeError):
        await model.complete(REQUEST)


@pytest.mark.parametrize("cls", list(error_classes()), ids=lambda cls: cls.__name__)
def test_every_error_is_translated_retryable_or_not(cls: type[StopeError]) -> None:
    failure = failure_of(cls("What, where, how."))
    assert failure.type == cls.__name__.removesuffix("Error")
    assert failure.message == "What, where, how."
    assert failure.non_retryable is issubclass(
        cls, (UsageError, PermanentError, PausedError, UnitError)
    )
    assert failure.non_retryable is not issubclass(cls, TransientError)


def test_the_tree_written_out_is_the_tree() -> None:
    written = re.findall(r"─ (\w+Error)\b", stope.errors.__doc__ or "")
    assert sorted(written) == sorted(cls.__name__ for cls in error_classes())


def test_another_worker_goes_on_at_once_where_one_leaves() -> None:
    delay = failure_of(WorkerDrainingError("leaving")).next_retry_delay
    assert delay is not None
    assert timedelta(0) < delay < timedelta(seconds=1)


@pytest.mark.parametrize("attempt", [1, UNEXPECTED_ATTEMPTS])
async def test_an_error_nobody_foresaw_is_retried_a_few_times(attempt: int) -> None:
    def work() -> None:
        with translated():
            raise ZeroDivisionError("division by zero")

    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt)
    with pytest.raises(ApplicationError) as caught:
        environment.run(work)
    assert caught.value.type == "Unexpected"
    assert caught.value.message == "Unexpected ZeroDivisionError: division by zero"
    assert caught.value.non_retryable is (attempt == UNEXPECTED_ATTEMPTS)
