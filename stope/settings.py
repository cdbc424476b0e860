"""Every setting, read from the environment once and passed down.

Names, meanings and defaults are listed by ``stope doctor`` and in the README.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from stope.errors import UsageError
from stope.models.job import DiarizerName

DEFAULT_ASR = "tiny.en"
DEFAULT_LLM = "embedded:qwen2.5-coder-1.5b-instruct"


def find_home(start: Path) -> Path:
    """The nearest ``.stope`` folder of ours from a folder upwards, else ``~/.stope``."""
    for folder in (start, *start.parents):
        candidate = folder / ".stope"
        if candidate.is_dir() and candidate.stat().st_uid == os.getuid():
            return candidate
    return Path.home() / ".stope"


class Settings(BaseSettings):
    """The whole configuration. Secrets never leave it in clear."""

    model_config = SettingsConfigDict(
        env_prefix="STOPE_", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    home: Path = Field(
        default_factory=lambda: find_home(Path.cwd()),
        description="where everything is kept: Temporal's file, records, artifacts, exports",
    )
    models: Path = Field(
        default_factory=lambda: Path.home() / ".cache" / "stope" / "models",
        description="where model weights are kept",
    )
    database_url: str | None = Field(
        default=None, description="records elsewhere: postgresql://user@host/name"
    )
    artifacts_url: str | None = Field(
        default=None,
        description="artifacts elsewhere: file:///…, s3://bucket/prefix or gs://bucket/prefix",
    )
    pipelines: str = Field(
        default="", description="modules with step pipelines of your own, with commas between"
    )
    llm: str = Field(default=DEFAULT_LLM, description="the default language model")
    asr: str = Field(default=DEFAULT_ASR, description="the default speech model")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="what speech is decoded on: auto, cpu or cuda"
    )
    diarizer: DiarizerName = Field(
        default=DiarizerName.EMBEDDED, description="what tells speakers apart: embedded or speakrs"
    )
    max_workers: int | None = Field(
        default=None, ge=1, le=256, description="LLM calls in flight; chosen by provider if unset"
    )
    llm_context: int = Field(
        default=8192, ge=1024, description="tokens a language model can take, prompt and answer"
    )
    llm_timeout: float = Field(default=900, gt=0, description="seconds one LLM call may take")
    llm_price: str | None = Field(
        default=None,
        description="US dollars for a million tokens in and out, IN/OUT, of models whose price "
        "is not known",
    )
    llm_api_key: SecretStr | None = Field(
        default=None, description="key for models named by their URL"
    )
    asr_api_key: SecretStr | None = Field(
        default=None, description="key for speech models named by their URL"
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("OPENAI_API_KEY"),
        description="key for openai:…",
    )
    openai_base_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("OPENAI_BASE_URL"),
        description="another server that speaks OpenAI's protocol",
    )
    ollama_host: str = Field(
        default="http://127.0.0.1:11434",
        validation_alias=AliasChoices("OLLAMA_HOST"),
        description="server for ollama:…",
    )
    temporal_cli: Path | None = Field(
        default=None, description="the temporal program, if not the installed one"
    )
    temporal_address: str | None = Field(
        default=None,
        validation_alias=AliasChoices("TEMPORAL_ADDRESS"),
        description="a Temporal server to use; without it one is embedded",
    )
    temporal_port: int = Field(
        default=7233, ge=0, le=65535, description="first choice of the embedded server's port"
    )
    heartbeat_timeout: float = Field(
        default=10, ge=1, le=600, description="seconds until a vanished worker's work moves on"
    )
    checkpoint_text_limit: int = Field(
        default=256 * 1024, ge=0, description="bytes of transcript a checkpoint holds at most"
    )
    upload_hmac_key: SecretStr | None = Field(
        default=None, description="key that signs what is uploaded to an HTTP endpoint"
    )
    upload_password: SecretStr | None = Field(
        default=None, description="password for uploads to PostgreSQL; else PGPASSWORD or ~/.pgpass"
    )
    upload_hosts: str = Field(
        default="",
        description="hosts that this password may be sent to, with commas between; this machine "
        "always",
    )
    hub_timeout: float = Field(
        default=5, gt=0, description="seconds to wait for the model hub before the mirror"
    )
    log_level: str = Field(default="WARNING", description="DEBUG, INFO, WARNING or ERROR")

    @property
    def records_url(self) -> str:
        """Where the records are."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'records.db'}"

    @property
    def artifact_store_url(self) -> str:
        """Where the artifacts are."""
        return self.artifacts_url or (self.home.absolute() / "artifacts").as_uri()

    @property
    def exports(self) -> Path:
        """Where runs write what they found: a folder for each job, named by its id."""
        return self.home / "exports"

    @property
    def scratch(self) -> Path:
        """Decoded audio of running transcriptions; safe to delete when nothing runs."""
        return self.home / "scratch"


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        UsageError: a variable has a value that cannot be used; the message names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        variable = name if name.isupper() else f"STOPE_{name.upper()}"
        raise UsageError(
            f"The environment variable {variable} cannot be used: {first['msg']}."
        ) from error
