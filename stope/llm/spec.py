"""Model names: ``provider:model``, or ``URL#model`` for any other OpenAI-compatible server."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from stope.errors import UsageError

PROVIDERS = ("embedded", "ollama", "openai")

_FORMS = (
    "write embedded:qwen2.5-coder-1.5b-instruct, ollama:qwen2.5:7b-instruct, openai:gpt-4o-mini "
    "or http://127.0.0.1:8000/v1#my-model"
)


@dataclass(frozen=True)
class ModelSpec:
    """A parsed model name. ``provider`` is one of ``PROVIDERS``, or ``url`` with ``base_url``."""

    provider: str
    model: str
    base_url: str | None = None

    def __str__(self) -> str:
        return f"{self.base_url}#{self.model}" if self.base_url else f"{self.provider}:{self.model}"


def parse_model(text: str) -> ModelSpec:
    """Parse a model name.

    Raises:
        UsageError: it has no provider, an unknown one, or no model.
    """
    if text.startswith(("http://", "https://")):
        base_url, _, model = text.partition("#")
        if not model:
            raise UsageError(f"{text!r} names a server but no model: {_FORMS}.")
        parsed = urlsplit(base_url)
        if not parsed.hostname:
            raise UsageError(f"{text!r} names no host: {_FORMS}.")
        if parsed.username or parsed.password:
            raise UsageError(
                f"The URL of the model {model!r} at {parsed.hostname} carries a user or a "
                "password; put the key into STOPE_LLM_API_KEY instead."
            )
        return ModelSpec("url", model, base_url.rstrip("/"))
    provider, colon, model = text.partition(":")
    if not colon or not model or not provider:
        raise UsageError(f"{text!r} is not a model name: {_FORMS}.")
    if provider not in PROVIDERS:
        raise UsageError(f"{text!r} has the unknown provider {provider!r}: {_FORMS}.")
    return ModelSpec(provider, model)
