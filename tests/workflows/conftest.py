"""A real Temporal server for the workflow tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from client import connect_temporal
from stope.dev_server import DevServer
from stope.settings import Settings
from tests.waiting import until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    home: Path = tmp_path_factory.mktemp("temporal")
    settings = Settings(home=home, temporal_port=0, temporal_address=None)
    DevServer(settings).ensure()
    yield settings
    DevServer(settings).stop()


@pytest.fixture
async def temporal(server: Settings) -> AsyncIterator[Client]:
    """A client of the module's server; what a test leaves open there is ended after it.

    Equal jobs of other homes have the same workflow ids: the next test would join what its own
    records know nothing of.
    """
    client = await connect_temporal(server)
    yield client

    async def all_closed() -> bool:
        left = [found async for found in client.list_workflows("ExecutionStatus = 'Running'")]
        for found in left:
            with suppress(RPCError):
                await client.get_workflow_handle(found.id, run_id=found.run_id).terminate("over")
        return not left

    await until(all_closed, "the workflows that the test left open to end", 30)
