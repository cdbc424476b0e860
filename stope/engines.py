"""The engines of a process, by the name a user gives them; each is loaded once, on first use."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from stope.errors import ModelFileError, UsageError
from stope.identity import digest_file
from stope.llm.chat import ChatModel
from stope.llm.embedded import PARALLEL as EMBEDDED_PARALLEL
from stope.llm.governor import Governor
from stope.llm.spec import ModelSpec, parse_model
from stope.models.job import DiarizerName
from stope.models_cache import CATALOGUE, EMBEDDING_MODEL, SPEAKER_MODEL, Model, ModelsCache
from stope.settings import Settings
from stope.speech.device import Device
from stope.speech.spec import remote_model

if TYPE_CHECKING:
    from stope.embedding.embedder import SentenceEmbedder
    from stope.llm.embedded import EmbeddedServer
    from stope.llm.openai_chat import OpenAIChatModel
    from stope.mining.selection.selector import Selector
    from stope.speakers.diarizer import Diarizer
    from stope.speech.openai_transcriber import OpenAITranscriber
    from stope.speech.transcriber import Transcriber

REMOTE_PARALLEL = 8
"""Calls in flight to a paid provider, when the user does not say."""

OLLAMA_PARALLEL = 2
"""Ollama answers few at a time on one machine."""

EMBEDDED_CONTEXT = 4096
"""Tokens per answer of the embedded model: its memory is paid for each."""

_NO_KEY = "none"


class Engines:
    """Loads transcribers and chat models for a process and keeps them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cache = ModelsCache(settings.models, settings.hub_timeout)
        self._transcribers: dict[str, Transcriber] = {}
        self._remote_transcribers: list[OpenAITranscriber] = []
        self._chats: dict[str, OpenAIChatModel] = {}
        self._governors: dict[str, Governor] = {}
        self._servers: list[EmbeddedServer] = []
        self._embedder: SentenceEmbedder | None = None
        self._selector: Selector | None = None
        self._diarizers: dict[DiarizerName, Diarizer[Any]] = {}
        self._loading = asyncio.Lock()

    async def transcriber(self, name: str) -> Transcriber:
        """The ASR engine for a model's name or folder, or for a model on a server.

        Raises:
            UsageError: the name cannot be read, a key is missing, or there is no GPU as asked for.
            ModelFileError: its weights cannot be had or are wrong.
        """
        async with self._loading:
            if name not in self._transcribers:
                spec = remote_model(name)
                self._transcribers[name] = (
                    await asyncio.to_thread(self._load_whisper, name)
                    if spec is None
                    else self._open_transcriber(spec)
                )
            return self._transcribers[name]

    async def chat(self, name: str) -> ChatModel:
        """The language model for ``provider:model``.

        Raises:
            UsageError: the name cannot be read, or a key is missing.
            ModelFileError: embedded weights cannot be had or are wrong.
        """
        async with self._loading:
            if name not in self._chats:
                self._chats[name] = await self._open_chat(parse_model(name))
            return self._chats[name]

    def governor(self, name: str, most: int | None = None) -> Governor:
        """What lets the calls of this process to a model's provider begin, one for each provider.

        Args:
            name: of the model.
            most: calls at once that the user asks for, if that is said.

        Raises:
            UsageError: the name cannot be read, or there is no such embedded model.
        """
        spec = parse_model(name)
        return self._governor(spec, max(most or 0, chat_facts(spec, self._settings).parallel))

    async def embedder(self) -> SentenceEmbedder:
        """The sentence embedding engine.

        Raises:
            ModelFileError: its weights cannot be had or are wrong.
        """
        async with self._loading:
            if self._embedder is None:
                self._embedder = await asyncio.to_thread(self._load_embedder)
            return self._embedder

    async def diarizer(self, name: DiarizerName) -> Diarizer[Any]:
        """The engine of that name, which tells speakers apart.

        Raises:
            ModelFileError: its program or its weights cannot be had or are wrong.
        """
        async with self._loading:
            if name not in self._diarizers:
                self._diarizers[name] = await asyncio.to_thread(self._load_diarizer, name)
            return self._diarizers[name]

    async def selector(self) -> Selector:
        """The classifier of sentences.

        Raises:
            ModelFileError: the embedding weights cannot be had or are wrong.
        """
        embedder = await self.embedder()
        async with self._loading:
            if self._selector is None:
                self._selector = await asyncio.to_thread(self._load_selector, embedder)
            return self._selector

    async def close(self) -> None:
        """Close clients and stop embedded servers."""
        for chat in self._chats.values():
            await chat.close()
        for transcriber in self._remote_transcribers:
            await transcriber.close()
        for server in self._servers:
            await asyncio.to_thread(server.stop)
        self._chats.clear()
        self._remote_transcribers.clear()
        self._transcribers.clear()
        self._servers.clear()

    def _load_embedder(self) -> SentenceEmbedder:
        from stope.embedding.minilm import MiniLmEmbedder

        model = CATALOGUE[EMBEDDING_MODEL]
        return MiniLmEmbedder(self._cache.ensure(model), _identity(model), _threads())

    def _load_diarizer(self, name: DiarizerName) -> Diarizer[Any]:
        # Imported here: processes without speech work never pay for these libraries.
        if name is DiarizerName.SPEAKRS:
            from stope.speakers.speakrs import SpeakrsDiarizer, load_pipeline

            return SpeakrsDiarizer(*load_pipeline(self._settings.models / "speakrs"))
        from stope.speakers.embedded import EmbeddedDiarizer

        model = CATALOGUE[SPEAKER_MODEL]
        weights = self._cache.ensure(model) / model.files[0].name
        return EmbeddedDiarizer(weights, _identity(model), _threads())

    def _load_selector(self, embedder: SentenceEmbedder) -> Selector:
        from stope.mining.selection.learned import LearnedSelector

        return LearnedSelector(embedder, keep=self._cache.path(CATALOGUE[EMBEDDING_MODEL]))

    def _load_whisper(self, name: str) -> Transcriber:
        # Imported here: processes without speech work never pay for these libraries.
        from stope.speech.whisper import WhisperTranscriber

        device = Device(self._settings.device)
        if name in CATALOGUE:
            model = CATALOGUE[name]
            if model.kind != "asr":
                raise ModelFileError(f"{name} is not a speech model; see `stope models list`.")
            return WhisperTranscriber(
                self._cache.ensure(model), _identity(model), _threads(), device
            )
        folder = Path(name)
        if folder.is_dir():
            weights = folder / "model.bin"
            if not weights.is_file():
                raise ModelFileError(
                    f"{folder} has no model.bin; give a CTranslate2 model folder to --asr."
                )
            return WhisperTranscriber(folder, digest_file(weights)[:16], _threads(), device)
        return WhisperTranscriber(_download_whisper(name), name, _threads(), device)

    def _open_transcriber(self, spec: ModelSpec) -> Transcriber:
        from stope.speech.openai_transcriber import OpenAITranscriber

        settings = self._settings
        base_url, api_key = spec.base_url, _revealed(settings.asr_api_key)
        if spec.provider == "openai":
            base_url, api_key = _openai_access(spec, settings)
        opened = OpenAITranscriber(
            label=str(spec),
            model=spec.model,
            identity=_identity_at_server(spec, settings),
            base_url=base_url,
            api_key=api_key,
            parallel=REMOTE_PARALLEL,
            timeout=settings.llm_timeout,
            governor=self._governor(spec, REMOTE_PARALLEL),
        )
        self._remote_transcribers.append(opened)
        return opened

    async def _open_chat(self, spec: ModelSpec) -> OpenAIChatModel:
        # In a thread: the client takes a second to import, and there are heartbeats to send.
        await asyncio.to_thread(import_module, "stope.llm.openai_chat")
        from stope.llm.openai_chat import OpenAIChatModel

        settings = self._settings
        facts = chat_facts(spec, settings)
        base_url, api_key = spec.base_url, _NO_KEY
        if spec.provider == "embedded":
            server = await self._start_server(_embedded_model(spec.model))
            base_url = await server.base_url()
        elif spec.provider == "ollama":
            base_url = f"{settings.ollama_host.rstrip('/')}/v1"
        elif spec.provider == "openai":
            base_url, api_key = _openai_access(spec, settings)
        else:
            api_key = _revealed(settings.llm_api_key)
        return await asyncio.to_thread(
            OpenAIChatModel,
            label=str(spec),
            model=spec.model,
            identity=facts.identity,
            base_url=base_url,
            api_key=api_key,
            parallel=facts.parallel,
            context=facts.context,
            complete_answers=facts.complete_answers,
            timeout=settings.llm_timeout,
        )

    def _governor(self, spec: ModelSpec, ceiling: int) -> Governor:
        # A provider is who counts the calls: a server, or the one model that we serve ourselves.
        url = {
            "openai": self._settings.openai_base_url,
            "ollama": self._settings.ollama_host,
        }.get(spec.provider, spec.base_url)
        server = urlsplit(url).netloc if url else ""
        key = spec.model if spec.provider == "embedded" else server or spec.provider
        if key not in self._governors:
            name = server if spec.provider == "url" else spec.provider
            self._governors[key] = Governor(name, ceiling)
        self._governors[key].pace.allow(ceiling)
        return self._governors[key]

    async def _start_server(self, model: Model) -> EmbeddedServer:
        from stope.llm.embedded import EmbeddedServer

        folder = await asyncio.to_thread(self._cache.ensure, model)
        server = EmbeddedServer(folder / model.files[0].name, EMBEDDED_CONTEXT, _threads())
        self._servers.append(server)
        return server


@dataclass(frozen=True)
class ChatFacts:
    """What is known of a language model before it is asked; see ``ChatModel``."""

    identity: str
    parallel: int
    context: int
    complete_answers: bool


def chat_facts(spec: ModelSpec, settings: Settings) -> ChatFacts:
    """The facts of a model. Nothing is loaded, started or asked.

    Raises:
        UsageError: there is no such embedded model.
    """
    identity, parallel = _identity_at_server(spec, settings), REMOTE_PARALLEL
    context = settings.llm_context
    if spec.provider == "embedded":
        identity, context = _identity(_embedded_model(spec.model)), EMBEDDED_CONTEXT
        parallel = EMBEDDED_PARALLEL
    elif spec.provider == "ollama":
        parallel = OLLAMA_PARALLEL
    return ChatFacts(identity, parallel, context, complete_answers=spec.provider != "embedded")


def _identity_at_server(spec: ModelSpec, settings: Settings) -> str:
    """What names a server's model in keys: its name, and the server that stands in for OpenAI's."""
    if spec.provider == "openai" and settings.openai_base_url is not None:
        # Another server may have another model under the same name.
        return f"{spec}@{settings.openai_base_url.rstrip('/')}"
    return str(spec)


def _openai_access(spec: ModelSpec, settings: Settings) -> tuple[str | None, str]:
    """The address (None for OpenAI's own) and the key of a model of ``openai:``.

    Raises:
        UsageError: there is neither a key nor another server.
    """
    secret, base_url = settings.openai_api_key, settings.openai_base_url
    if secret is None and base_url is None:
        raise UsageError(
            f"{spec} needs a key: set OPENAI_API_KEY (and OPENAI_BASE_URL for another server)."
        )
    return base_url, _revealed(secret)


def _revealed(secret: SecretStr | None) -> str:
    return _NO_KEY if secret is None else secret.get_secret_value()


def _embedded_model(name: str) -> Model:
    model = CATALOGUE.get(name)
    if model is None or model.kind != "llm":
        known = ", ".join(sorted(item.name for item in CATALOGUE.values() if item.kind == "llm"))
        raise UsageError(f"There is no embedded model {name!r}; there are: {known}.")
    return model


def check_model_names(asr: str, *llms: str) -> None:
    """Find wrong model names before any work is done.

    Raises:
        UsageError: a name cannot be read, or names an embedded model that does not exist, or
            one of another kind.
    """
    for llm in llms:
        spec = parse_model(llm)
        known = [item.name for item in CATALOGUE.values() if item.kind == "llm"]
        if spec.provider == "embedded" and spec.model not in known:
            raise UsageError(
                f"There is no embedded model {spec.model!r}; there are: {', '.join(known)}."
            )
    remote_model(asr)
    if asr in CATALOGUE and CATALOGUE[asr].kind != "asr":
        raise UsageError(f"{asr!r} is not a speech model; `stope models list` shows them.")


def _identity(model: Model) -> str:
    return f"{model.name}@{model.files[0].sha256[:16]}"


def _threads() -> int:
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)


def _download_whisper(name: str) -> Path:
    """Any other faster-whisper model, from the hub, through its own client."""
    from faster_whisper.utils import available_models, download_model

    if name not in available_models() and "/" not in name:
        raise ModelFileError(
            f"There is no speech model {name!r}; give one of {', '.join(available_models())}, a "
            "repository on the hub, or a folder."
        )
    try:
        return Path(download_model(name))
    except Exception as error:
        raise ModelFileError(
            f"The speech model {name} could not be fetched from the hub "
            f"({type(error).__name__}); check the network, give a folder, or use tiny.en, which "
            "has a mirror."
        ) from error
