"""Job inputs: a path becomes content with a name, or a sentence that says what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from client import JobClient
from stope.errors import InputError, StopeError
from stope.identity import digest_bytes, digest_file
from stope.job_input import input_from_path
from stope.models.job import InputKind, JobInput
from stope.records.database import Database
from stope.records.sources import SourceDigests
from stope.settings import Settings


class NoCache(SourceDigests):
    """Reads the file every time."""

    def __init__(self) -> None:
        """There is no database."""

    async def digest(self, path: Path) -> str:
        return digest_file(path)


async def read(path: Path) -> JobInput:
    return await input_from_path(path, NoCache())


async def problem_with(path: Path) -> str:
    """The sentence about a path."""
    with pytest.raises(InputError) as caught:
        await read(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("talk.opus", InputKind.RECORDING),
        ("talk", InputKind.RECORDING),
        ("talk.txt", InputKind.TEXT),
        ("talk.SRT", InputKind.TEXT),
        ("talk.vtt", InputKind.TEXT),
        ("talk.json", InputKind.TEXT),
        ("talk.md", InputKind.TEXT),
    ],
)
async def test_a_file_is_a_text_or_a_recording_by_its_name(
    tmp_path: Path, name: str, kind: InputKind
) -> None:
    (tmp_path / name).write_bytes(b"content")
    source = await read(tmp_path / name)
    expected = JobInput(kind=kind, digest=digest_bytes(b"content"), path=str(tmp_path / name))
    assert source == expected


async def test_a_relative_path_is_stored_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "talk.opus").write_bytes(b"content")
    monkeypatch.chdir(tmp_path)
    assert (await read(Path("talk.opus"))).path == str(tmp_path / "talk.opus")


async def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "talk.opus").write_bytes(b"content")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (await read(Path("~/talk.opus"))).path == str(tmp_path / "talk.opus")


async def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "talk.opus").write_bytes(b"content")
    (tmp_path / "link.opus").symlink_to(tmp_path / "talk.opus")
    assert (await read(tmp_path / "link.opus")).digest == digest_bytes(b"content")


async def test_what_cannot_be_an_input_is_named_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent, empty, pipe = tmp_path / "absent.mp3", tmp_path / "empty.mp3", tmp_path / "pipe"
    dangling, below, locked = tmp_path / "link", empty / "talk.mp3", tmp_path / "locked.mp3"
    empty.touch()
    os.mkfifo(pipe)
    dangling.symlink_to(absent)
    locked.write_bytes(b"content")
    missing = "does not exist; check the path."
    assert await problem_with(absent) == f"{absent} {missing}"
    assert await problem_with(dangling) == f"{dangling} {missing}"
    assert await problem_with(below) == f"{below} {missing}"
    assert (await problem_with(tmp_path)).startswith(f"{tmp_path} is a folder; name the files")
    assert "is not a regular file" in await problem_with(pipe)
    assert "is empty (0 bytes)" in await problem_with(empty)
    # The tests may run as root, who may read everything.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "no permission; make it readable" in await problem_with(locked)


@pytest.mark.parametrize("path", ["x" * 300 + ".mp3", "~nobody-of-this-name/talk.mp3"])
async def test_a_path_that_cannot_be_is_a_sentence_too(path: str) -> None:
    assert path in await problem_with(Path(path))


async def test_a_name_that_is_not_utf8_is_taken_or_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.mp3")
    path.write_bytes(b"content")
    database = Database(f"sqlite:///{tmp_path}/records.db")
    await database.migrate()
    try:
        await input_from_path(path, SourceDigests(database))
    except StopeError as error:
        assert "caf" in str(error)  # noqa: PT017  (either outcome is right)
    finally:
        await database.close()


async def test_the_same_bytes_read_in_another_way_are_another_job(tmp_path: Path) -> None:
    async with JobClient(Settings(home=tmp_path / "home")) as client:
        ids = set()
        for name in ("talk.txt", "talk.srt", "talk.opus"):
            (tmp_path / name).write_text("1\n00:00:01,000 --> 00:00:02,000\nBees matter.\n")
            ids.add(await client.create_job("pipeline", tmp_path / name))
    assert len(ids) == 3


async def test_a_file_that_was_moved_is_read_from_where_it_is(tmp_path: Path) -> None:
    old, new = tmp_path / "old.opus", tmp_path / "new.opus"
    old.write_bytes(b"content")
    async with JobClient(Settings(home=tmp_path / "home")) as client:
        await client.create_job("pipeline", old)
        old.rename(new)
        job = await client.job(await client.create_job("pipeline", new))
    assert job.input.path == str(new)
