"""How a Temporal server is reached."""

from __future__ import annotations

import asyncio
import re
from functools import cache

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError

from stope.dev_server import DevServer
from stope.errors import ServerUnavailableError
from stope.settings import Settings

_CONNECT_SECONDS = 10.0


async def connect_temporal(settings: Settings) -> Client:
    """A Temporal client: ``TEMPORAL_*`` and its profiles when set, else this home's own server.

    Raises:
        ServerUnavailableError: nothing answers there.
    """
    options = ClientConfig.load_client_connect_config()
    if settings.temporal_address is not None:
        where = settings.temporal_address
    else:
        server = await asyncio.to_thread(DevServer(settings).running)
        if server is None:
            raise ServerUnavailableError(
                f"No Temporal server runs for {settings.home}; `stope up` starts one, or set "
                "TEMPORAL_ADDRESS."
            )
        where = server.address
    options["target_host"] = where
    deadline = asyncio.get_running_loop().time() + _CONNECT_SECONDS
    while True:
        try:
            return await Client.connect(
                data_converter=pydantic_data_converter, runtime=_runtime(), **options
            )
        except (RuntimeError, RPCError) as error:
            if asyncio.get_running_loop().time() > deadline:
                raise ServerUnavailableError(
                    f"The Temporal server at {where} does not answer ({_reason(error)}); check "
                    "that it runs and that TEMPORAL_ADDRESS is right."
                ) from error
            await asyncio.sleep(0.2)


def _reason(error: Exception) -> str:
    """The system's own words out of the SDK's nested description of an error."""
    found = re.search(r'message: "([^"]+)"', str(error))
    return found.group(1).lower() if found else str(error)


@cache
def _runtime() -> Runtime:
    """The SDK's core without a line for every retry: a server that is away is said once, by us."""
    logging = LoggingConfig(filter="error,temporalio_client::retry=off")
    return Runtime(telemetry=TelemetryConfig(logging=logging))
