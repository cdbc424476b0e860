"""Names of speech models that a server runs, in the forms that language models have too."""

from __future__ import annotations

from urllib.parse import urlsplit

from stope.errors import UsageError
from stope.llm.spec import ModelSpec, parse_model

FORMS = (
    "give a faster-whisper name such as tiny.en or small, a folder, openai:whisper-1 or "
    "https://host/v1#model"
)


def remote_model(name: str) -> ModelSpec | None:
    """The server's model that a name means; None for a faster-whisper name or a folder.

    Raises:
        UsageError: it names a server, but not as it must.
    """
    if name.startswith(("http://", "https://")):
        base_url, _, model = name.partition("#")
        parsed = urlsplit(base_url)
        if parsed.username or parsed.password:
            raise UsageError(
                f"The URL of the speech model {model!r} at {parsed.hostname} carries a user or a "
                "password; put the key into STOPE_ASR_API_KEY instead."
            )
        if not model or not parsed.hostname:
            raise UsageError(f"{name!r} does not name a speech model on a server: {FORMS}.")
        return parse_model(name)
    provider, colon, model = name.partition(":")
    if not colon or "/" in provider:
        return None
    if provider != "openai" or not model:
        raise UsageError(f"{name!r} is not a speech model: {FORMS}.")
    return parse_model(name)
