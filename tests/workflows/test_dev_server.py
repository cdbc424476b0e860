"""The embedded server: one that ends at once is started again, and its last words are told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stope.dev_server import DevServer
from stope.errors import ServerUnavailableError
from stope.settings import Settings

_REAL = Path(sys.executable).parent / "temporal"


def _server(folder: Path, script: str) -> DevServer:
    """The server of a home, whose program is a shell script."""
    program = folder / "temporal"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    found = Settings.model_construct()
    return DevServer(
        found.model_copy(
            update={"home": folder / "home", "temporal_cli": program, "temporal_port": 0}
        )
    )


def test_a_server_that_ends_at_once_is_started_again(tmp_path: Path) -> None:
    """Its own ports may be taken by somebody else between two looks."""
    tried = tmp_path / "tried"
    server = _server(tmp_path, f'[ -e "{tried}" ] && exec "{_REAL}" "$@"; touch "{tried}"; exit 1')
    info = server.ensure()
    try:
        assert tried.exists()
        assert server.running() == info
    finally:
        server.stop()


def test_one_that_never_starts_is_a_sentence_with_what_it_said_last(tmp_path: Path) -> None:
    count = tmp_path / "count"
    server = _server(
        tmp_path, f'echo x >> "{count}"; echo "{"built: " * 100}: port is taken" >&2; exit 1'
    )
    with pytest.raises(ServerUnavailableError, match=r"did not start.*port is taken$"):
        server.ensure()
    assert len(count.read_text().split()) == 3
