"""Model names: what can be read is read as written, and the rest is refused with the forms."""

from __future__ import annotations

import pytest

from stope.errors import UsageError
from stope.llm.spec import ModelSpec, parse_model


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("openai:gpt-4o-mini", ModelSpec("openai", "gpt-4o-mini")),
        ("ollama:qwen2.5:7b-instruct", ModelSpec("ollama", "qwen2.5:7b-instruct")),
        ("embedded:qwen2.5-coder-0.5b", ModelSpec("embedded", "qwen2.5-coder-0.5b")),
        ("openai:org/model@v2", ModelSpec("openai", "org/model@v2")),
        (
            "http://127.0.0.1:8000/v1#my-model",
            ModelSpec("url", "my-model", "http://127.0.0.1:8000/v1"),
        ),
        ("https://llm.test/v1#a#b", ModelSpec("url", "a#b", "https://llm.test/v1")),
    ],
)
def test_a_name_is_read_and_written_back_the_same(text: str, spec: ModelSpec) -> None:
    assert parse_model(text) == spec
    assert str(spec) == text


def test_a_server_is_the_same_with_and_without_its_last_slash() -> None:
    assert parse_model("http://h/v1/#m") == parse_model("http://h/v1#m")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gpt-4o-mini", "is not a model name"),
        ("", "is not a model name"),
        ("openai:", "is not a model name"),
        (":gpt-4o-mini", "is not a model name"),
        ("anthropic:claude", "unknown provider 'anthropic'"),
        ("OpenAI:gpt-4o-mini", "unknown provider 'OpenAI'"),
        (" openai:gpt-4o-mini", "unknown provider ' openai'"),
        ("ftp://h/v1#m", "unknown provider 'ftp'"),
        ("url:m", "unknown provider 'url'"),
        ("http://127.0.0.1:8000/v1", "names a server but no model"),
        ("http://127.0.0.1:8000/v1#", "names a server but no model"),
    ],
)
def test_anything_else_is_refused_with_the_forms_to_write(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_model(text)
    message = str(caught.value)
    assert message.startswith(repr(text))
    assert problem in message
    assert "write embedded:" in message
    assert message.endswith(".")


@pytest.mark.parametrize("text", ["http://#m", "http:///v1#m"])
def test_a_server_without_a_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_model(text)


def test_a_password_in_a_url_is_refused_or_hidden() -> None:
    try:
        shown = str(parse_model("https://user:hunter2@llm.test/v1#m"))
    except UsageError as error:
        shown = str(error)
    assert "hunter2" not in shown
