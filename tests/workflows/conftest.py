"""A real Temporal server for the workflow tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from client import connect_temporal
from stope.dev_server import DevServer
from stope.settings import Settings


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    home: Path = tmp_path_factory.mktemp("temporal")
    settings = Settings(home=home, temporal_port=0, temporal_address=None)
    DevServer(settings).ensure()
    yield settings
    DevServer(settings).stop()


@pytest.fixture
async def temporal(server: Settings) -> Client:
    return await connect_temporal(server)
