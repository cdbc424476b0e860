"""Fixtures for all tiers."""

from __future__ import annotations

from pathlib import Path

import pytest

from stope.models_cache import CATALOGUE, EMBEDDING_MODEL, SPEAKER_MODEL, ModelsCache
from stope.settings import Settings
from tests.object_servers import gcs_server, s3_server

__all__ = ["gcs_server", "s3_server"]

ROOT = Path(__file__).parents[1]
SMALL_LLM = "qwen2.5-coder-0.5b-instruct"


@pytest.fixture(scope="session")
def interview() -> Path:
    """The example recording."""
    return ROOT / "examples" / "interview.opus"


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of verified weights; `make test` has fetched what the tests use."""
    settings = Settings()
    cache = ModelsCache(settings.models, settings.hub_timeout)
    for name in ("tiny.en", SPEAKER_MODEL, EMBEDDING_MODEL, SMALL_LLM):
        cache.ensure(CATALOGUE[name])
    return settings.models
