"""One chat model, servers of many dialects: each is found out, and every answer is validated."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from stope.errors import AnswerInvalidError, AnswerTruncatedError, ProviderRejectedError
from stope.llm.chat import ChatRequest, Message
from stope.llm.dialect import REASONING_TOKENS
from stope.llm.openai_chat import OpenAIChatModel
from stope.models.frozen import Frozen
from tests.builders import ledger_of
from tests.memory import MemoryLedgerStore

Body = dict[str, Any]
Reply = tuple[int, Body]
KEY = "sk-test-0123456789abcdef0123"


class Colour(Frozen):
    """The answer that is asked for."""

    name: str


GOOD = '{"name": "green"}'


class Server:
    """A server on loopback whose behaviour is a function; keeps the bodies that it got."""

    def __init__(self, behave: Callable[[Body], Reply]) -> None:
        self.bodies: list[Body] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                owner.bodies.append(body)
                status, reply = behave(body)
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name)
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def formats(self) -> list[str | None]:
        """The response formats that were asked for, in order."""
        return [format_of(body) for body in self.bodies]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def says(content: str, finish: str = "stop") -> Reply:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    return 200, {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


def refuses(message: str, *, param: str | None = None, status: int = 400) -> Reply:
    return status, {"error": {"message": message, "type": "invalid_request_error", "param": param}}


def format_of(body: Body) -> str | None:
    found: str | None = body.get("response_format", {}).get("type")
    return found


def shows_schema(body: Body) -> bool:
    return '"name":{"title":"Name","type":"string"}' in body["messages"][0]["content"]


def full(body: Body) -> Reply:
    assert body["response_format"]["json_schema"]["strict"] is True
    return says(GOOD)


def no_json_schema(body: Body) -> Reply:
    if format_of(body) == "json_schema":
        return refuses("This response_format type is unavailable now", param="response_format")
    return says(GOOD if shows_schema(body) else "{}")


def no_response_format(body: Body) -> Reply:
    if "response_format" in body:
        detail = [
            {
                "loc": ["body", "response_format"],
                "msg": "Extra inputs are not permitted",
                "input": body,
            }
        ]
        return 422, {"detail": detail}
    return says(f"Of course!\n```json\n{GOOD}\n```" if shows_schema(body) else "Green.")


def ignores_the_schema(body: Body) -> Reply:
    return says(GOOD if shows_schema(body) else '{"colour": "green"}')


def only_prose(body: Body) -> Reply:
    return says(
        f"<think>Is {{it}} red?</think>It is {GOOD}, surely." if shows_schema(body) else "Hm"
    )


def no_max_tokens(body: Body) -> Reply:
    if "max_tokens" in body:
        return refuses(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            param="max_tokens",
        )
    if "temperature" in body:
        return refuses(
            "Unsupported value: 'temperature' does not support 0 with this model. Only the "
            "default (1) value is supported.",
            param="temperature",
        )
    return says(GOOD)


def request_for(text: str = "grass") -> ChatRequest:
    return ChatRequest(
        model="test:m",
        messages=(Message(role="system", content="Colours."), Message(role="user", content=text)),
        schema_name="colour",
        answer_schema=Colour.model_json_schema(),
        max_tokens=50,
    )


def model_at(server: Server) -> OpenAIChatModel:
    return OpenAIChatModel(
        label="test:m",
        model="m",
        identity="test:m",
        base_url=server.base_url,
        api_key=KEY,
        parallel=1,
        context=4096,
        complete_answers=True,
        timeout=30,
    )


Serve = Callable[[Callable[[Body], Reply]], AbstractContextManager[Server]]


@pytest.fixture
def serve() -> Serve:
    @contextmanager
    def serving(behave: Callable[[Body], Reply]) -> Iterator[Server]:
        server = Server(behave)
        try:
            yield server
        finally:
            server.close()

    return serving


@pytest.fixture
async def opened() -> AsyncIterator[Callable[[Server], OpenAIChatModel]]:
    """Opens models at servers, and closes their clients at the end."""
    models: list[OpenAIChatModel] = []

    def open_one(server: Server) -> OpenAIChatModel:
        models.append(model_at(server))
        return models[-1]

    yield open_one
    for model in models:
        await model.close()


Opened = Callable[[Server], OpenAIChatModel]


@pytest.mark.parametrize(
    ("behave", "first", "second", "mode"),
    [
        (full, ["json_schema"], ["json_schema"], "json_schema"),
        (no_json_schema, ["json_schema", "json_object"], ["json_object"], "json_object"),
        (no_response_format, ["json_schema", "json_object", None], [None], "instructions"),
        (ignores_the_schema, ["json_schema", "json_object"], ["json_object"], "json_object"),
        (only_prose, ["json_schema", "json_object"], ["json_object"], "json_object"),
    ],
    ids=["enforces", "refuses the schema", "refuses any format", "ignores it", "prose"],
)
async def test_a_server_is_served_in_its_own_way_and_it_is_remembered(
    serve: Serve,
    opened: Opened,
    behave: Callable[[Body], Reply],
    first: list[str | None],
    second: list[str | None],
    mode: str,
) -> None:
    with serve(behave) as server:
        ledger = ledger_of(opened(server))
        assert await ledger.ask(request_for("grass"), Colour) == Colour(name="green")
        assert server.formats == first
        assert await ledger.ask(request_for("leaves"), Colour) == Colour(name="green")
        assert server.formats == first + second
    modes = ledger.metrics()["llm_modes"]
    assert isinstance(modes, dict)
    assert list(modes)[-1] == mode


async def test_a_change_of_the_way_pays_no_answer_again(serve: Serve, opened: Opened) -> None:
    store = MemoryLedgerStore()
    with serve(no_json_schema) as server:
        await ledger_of(opened(server), store).ask(request_for(), Colour)
        asked = len(server.bodies)
        later = ledger_of(opened(server), store)
        assert await later.ask(request_for(), Colour) == Colour(name="green")
        assert (len(server.bodies), later.spend.calls) == (asked, 0)


async def test_the_way_is_said_in_the_log(
    serve: Serve, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), serve(no_json_schema) as server:
        await ledger_of(opened(server)).ask(request_for(), Colour)
    assert "test:m, asked by json_schema, refuses; now mode=json_object" in caplog.text


async def test_a_reasoning_model_gets_its_own_limit_and_no_temperature(
    serve: Serve, opened: Opened
) -> None:
    with serve(no_max_tokens) as server:
        model = opened(server)
        for text in ("grass", "leaves"):
            await ledger_of(model).ask(request_for(text), Colour)
    assert len(server.bodies) == 4
    last = server.bodies[-1]
    assert last["max_completion_tokens"] == 50 + REASONING_TOKENS
    assert not {"max_tokens", "temperature"} & last.keys()
    assert server.formats == ["json_schema"] * 4


async def test_a_limit_that_is_too_large_is_no_other_dialect(serve: Serve, opened: Opened) -> None:
    said = "max_tokens is too large: 50. This model takes at most 20 completion tokens"
    with serve(lambda _: refuses(said)) as server:
        with pytest.raises(ProviderRejectedError, match="too large"):
            await opened(server).complete(request_for())
        assert len(server.bodies) == 1


async def test_a_server_that_refuses_everything_is_asked_a_few_times_only(
    serve: Serve, opened: Opened
) -> None:
    said = "response_format, max_tokens and temperature are not supported"
    with serve(lambda _: refuses(said)) as server:
        with pytest.raises(ProviderRejectedError, match="not supported"):
            await opened(server).complete(request_for())
        assert len(server.bodies) == 5


@pytest.mark.parametrize("finish", ["length", "max_tokens"])
async def test_a_cut_answer_is_never_used_even_if_it_fits(
    serve: Serve, opened: Opened, finish: str
) -> None:
    with serve(lambda _: says(GOOD, finish)) as server:
        with pytest.raises(AnswerTruncatedError):
            await ledger_of(opened(server)).ask(request_for(), Colour)
        assert len(server.bodies) == 1


async def test_an_answer_that_never_fits_is_never_served(serve: Serve, opened: Opened) -> None:
    with serve(lambda _: says('I would say {"colour": "green"}.')) as server:
        with pytest.raises(AnswerInvalidError, match="name: Field required"):
            await ledger_of(opened(server)).ask(request_for(), Colour)
        assert server.formats == ["json_schema", "json_object"]


async def test_an_error_shows_neither_keys_nor_what_was_asked(serve: Serve, opened: Opened) -> None:
    said = f"Incorrect API key provided: {KEY}. Bearer abc.def {'x' * 500}"
    with (
        serve(lambda _: refuses(said, status=401)) as server,
        pytest.raises(ProviderRejectedError) as caught,
    ):
        await opened(server).complete(request_for())
    assert KEY not in str(caught.value)
    assert "abc.def" not in str(caught.value)
    assert "Incorrect API key provided: [hidden]" in str(caught.value)
    assert len(str(caught.value)) < 400


async def test_an_error_does_not_repeat_the_request(serve: Serve, opened: Opened) -> None:
    def echo(body: Body) -> Reply:
        detail = [{"loc": ["body", "messages"], "msg": "too many", "input": body["messages"]}]
        return 422, {"detail": detail}

    with serve(echo) as server, pytest.raises(ProviderRejectedError) as caught:
        await opened(server).complete(request_for("a private word"))
    assert "body.messages: too many" in str(caught.value)
    assert "private" not in str(caught.value)
