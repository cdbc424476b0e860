"""A machine in trouble: ports, servers, databases and disks; and two runs of one recording at once.

Proves: what passes is waited for and said; what does not ends in one sentence; and afterwards the
same command succeeds, with nothing lost, paid twice or half-written.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from client import JobClient
from stope.dev_server import DevServer
from stope.settings import Settings
from tests.e2e.conftest import Stope, make_stope, said_until
from tests.e2e.trouble import (
    bound_by_modes,
    free_port,
    half_written,
    limit_files,
    listener,
    one_sentence,
    speech,
    write_wav,
)
from tests.resume.scripted_llm import ScriptedLlm
from tests.waiting import until

pytestmark = pytest.mark.slow

ROOM = 64 * 1024
"""Bytes that a file may have on a disk that is nearly full."""


@pytest.fixture(scope="module")
def stope(scripted_stope: Stope) -> Stope:
    return scripted_stope


@pytest.fixture(autouse=True)
def counted(llm: ScriptedLlm) -> Iterator[None]:
    """No test may pay for an answer twice."""
    llm.calls.clear()
    yield
    llm.release()
    assert [key for key, count in llm.calls.items() if count > 1] == []


@pytest.fixture
def talk(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A short transcript, different in every test."""
    path = tmp_path / "talk.txt"
    path.write_text(
        f"[00:01] (Ann): In 1950 the river {request.node.name} rose by three metres because of "
        "heavy rain and melting snow in the hills.\n"
    )
    return path


def test_a_port_in_use_is_passed_over_and_said(
    tmp_path: Path, models: Path, llm: ScriptedLlm, talk: Path
) -> None:
    with listener() as taken:
        program = make_stope(tmp_path / "home", models, llm.spec())
        server = DevServer(Settings(home=program.home))
        try:
            done = program("run", talk, STOPE_TEMPORAL_PORT=str(taken))
            assert done.returncode == 0, done.stderr
            assert f"port {taken} is in use" in done.stderr
            info = server.running()
            assert info is not None
            server.stop()
            # The port of last time is taken now: the same home comes up on another.
            with listener(int(info.address.split(":")[1])):
                assert server.ensure().address != info.address
        finally:
            server.stop()
    assert half_written(program.home) == []


def test_an_unreachable_temporal_is_named(stope: Stope, talk: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    done = stope.here("run", talk, TEMPORAL_ADDRESS=address)
    assert done.returncode == 1, done.stderr
    sentence = one_sentence(done)
    assert f"The Temporal server at {address} does not answer" in sentence
    assert "TEMPORAL_ADDRESS" in sentence
    again = stope("run", talk)
    assert again.returncode == 0, again.stderr


async def test_a_locked_database_is_waited_for_and_said(
    stope: Stope, llm: ScriptedLlm, talk: Path
) -> None:
    async with JobClient(Settings(home=stope.home)):
        pass
    with closing(sqlite3.connect(stope.home / "records.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        process = stope.start("run", talk, "--json")
        said = said_until(process, "locked by another program")
        assert str(stope.home / "records.db") in said
        other.execute("COMMIT")

        llm.hold("mine", after=0)
        said += said_until(process, "mining")

        async def asked() -> bool:
            return bool(llm.calls)

        await until(asked, "an answer in flight")
        other.execute("BEGIN EXCLUSIVE")
        llm.release()
        said += said_until(process, "locked by another program")
        other.execute("COMMIT")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "Traceback" not in said + err
    assert json.loads(out)["status"] == "succeeded"


def test_a_read_only_home_is_a_sentence(stope: Stope, talk: Path, tmp_path: Path) -> None:
    stope.here("jobs")
    database = stope.home / "records.db"
    try:
        database.chmod(0o400)
        done = stope("run", talk, before=bound_by_modes)
        assert done.returncode == 1, done.stderr
        sentence = one_sentence(done)
        assert str(database) in sentence
        assert "are read-only; make" in sentence
        assert f"{database}-shm" in sentence
    finally:
        for path in stope.home.glob("records.db*"):
            path.chmod(0o600)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    done = stope("run", talk, before=bound_by_modes, STOPE_HOME=str(locked / "home"))
    assert done.returncode == 2, done.stderr
    assert "set STOPE_HOME to a place you can write to" in one_sentence(done)
    again = stope("run", talk, before=bound_by_modes)
    assert again.returncode == 0, again.stderr


async def test_a_full_disk_is_waited_for_and_said(
    stope: Stope, llm: ScriptedLlm, talk: Path
) -> None:
    """A limit on the size of files stands for the disk: it can be had everywhere."""
    async with JobClient(Settings(home=stope.home)):
        pass
    llm.hold("mine", after=0)
    process = stope.start("run", talk, "--json")

    async def asked() -> bool:
        return bool(llm.calls)

    await until(asked, "an answer in flight")
    limit_files(process.pid, 4096)
    llm.release()
    said = said_until(process, "the disk may be full")
    assert str(stope.home / "records.db") in said
    limit_files(process.pid, None)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "Traceback" not in said + err
    assert json.loads(out)["status"] == "succeeded"


def test_exports_without_room_leave_the_old_ones_whole(stope: Stope, talk: Path) -> None:
    # Larger than the file that SQLite needs beside the records for reading them.
    talk.write_text(talk.read_text() + "[00:02] (Bob): And so on, and so forth, hm\n" * 2500)
    job_id = json.loads(stope("run", talk, "--json").stdout)["job_id"]
    folder = stope.home / "exports" / job_id
    report = folder / "report.html"
    before = report.read_bytes()
    assert len(before) > ROOM
    report.write_bytes(before + b"<!-- older -->")
    words = ("export", job_id, "--format", "html", "-o", folder)
    done = stope(*words, before=lambda: limit_files(0, ROOM))
    assert done.returncode == 2, done.stderr
    sentence = one_sentence(done)
    assert f"The exports cannot be written to {folder}" in sentence
    assert "with space left" in sentence
    assert report.read_bytes() == before + b"<!-- older -->"
    assert half_written(stope.home) == []
    assert stope.here(*words).returncode == 0
    assert report.read_bytes() == before


def test_two_runs_of_a_recording_at_once_are_one(
    stope: Stope, llm: ScriptedLlm, tmp_path: Path, interview: Path
) -> None:
    recording = write_wav(tmp_path / "talk.wav", speech(interview, 0, 6))
    processes = [stope.start("run", recording, "--json") for _ in range(2)]
    answers = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    first, second = (json.loads(out) for out, _ in answers)
    assert first == second
    assert llm.calls
    assert not any("Traceback" in err for _, err in answers)
    runs = json.loads(stope.here("status", first["job_id"], "--json").stdout)["runs"]
    assert [run["attempt"] for run in runs] == [1]
    assert half_written(stope.home) == []
