"""Every kind of destination on a place that is really there, as a fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stope.objects.places import open_store
from stope.upload.destination import Destination
from stope.upload.endpoint import HttpDestination
from stope.upload.folder import FolderDestination
from stope.upload.objects import ObjectDestination
from stope.upload.postgresql import PostgresDestination
from stope.upload.scripted import ScriptedDestination
from tests.object_servers import QUICK, ObjectServer
from tests.receiver import KEY, receiving

KINDS = ("folder", "s3", "gcs", "postgresql", "http", "scripted")

Opened = Callable[[], Destination]


@pytest.fixture(params=KINDS)
def opened(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Opened]:
    """Opens a destination. Not async, as servers are started outside of any event loop."""
    if request.param == "folder":
        yield lambda: FolderDestination(tmp_path / "place")
    elif request.param in ("s3", "gcs"):
        server: ObjectServer = request.getfixturevalue(f"{request.param}_server")
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        url = f"{server.scheme}://{server.new_bucket()}/talks"
        yield lambda: ObjectDestination(open_store(url, patience=QUICK))
    elif request.param == "postgresql":
        place = request.getfixturevalue("database_place")
        yield lambda: PostgresDestination(place)
    elif request.param == "http":
        with receiving() as receiver:
            yield lambda: HttpDestination(receiver.url, receiver.url, KEY.encode())
    else:
        # Whoever opens it again finds what is there.
        one = ScriptedDestination()
        yield lambda: one
