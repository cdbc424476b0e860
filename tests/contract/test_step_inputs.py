"""A step opens its input wherever it is, and only as it was when the job was made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from examples.step_pipeline import LettersConfig
from stope.artifacts import ArtifactStore
from stope.errors import InputError
from stope.identity import digest_bytes
from stope.job_input import input_from_location
from stope.models.job import InputFile
from stope.records.sources import SourceDigests
from stope.sources.source import Source
from stope.steps.context import StepContext
from tests.contract.test_sources import Shelf, artifacts, digests, shelf, web
from tests.object_servers import noise
from tests.unit.test_steps_inputs import gives, step_on
from tests.web_files import WebFile, WebFiles

__all__ = ["artifacts", "digests", "shelf", "web"]

TEXT = noise(300_000)
CHANGED = "has changed since this job was made"

Given = Callable[[str], Awaitable[InputFile]]


@pytest.fixture
def given(digests: SourceDigests, artifacts: ArtifactStore, tmp_path: Path) -> Given:
    """Makes the input of a job from what a user gives."""

    async def make(location: str) -> InputFile:
        found = await input_from_location(location, digests, artifacts, tmp_path / "scratch")
        return InputFile(path=found.path, digest=found.digest)

    return make


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The inputs that are read for their digest, in order."""
    read: list[str] = []
    sha256 = Source.sha256

    def counted(source: Source) -> str:
        read.append(str(source))
        return sha256(source)

    monkeypatch.setattr(Source, "sha256", counted)
    return read


async def test_the_worked_example_reads_a_url(
    shelf: Shelf, given: Given, artifacts: ArtifactStore, tmp_path: Path
) -> None:
    file = await given(shelf.put("a.txt", TEXT))
    assert await gives(file, artifacts, tmp_path) == TEXT
    shelf.put("a.txt", TEXT[::-1])
    with pytest.raises(InputError, match=CHANGED):
        await gives(file, artifacts, tmp_path)


async def test_a_url_is_opened_and_what_was_remembered_is_not_read_again(
    shelf: Shelf,
    given: Given,
    artifacts: ArtifactStore,
    digests: SourceDigests,
    hashed: list[str],
    tmp_path: Path,
) -> None:
    file = await given(shelf.put("a.txt", TEXT))
    assert len(hashed) == 1
    step = step_on(file, artifacts, tmp_path, digests)
    for _ in range(2):
        async with step.open(file) as source:
            assert await asyncio.to_thread(source.open().read, 10) == TEXT[:10]
    assert len(hashed) == 1
    shelf.put("a.txt", TEXT[::-1])
    with pytest.raises(InputError, match=CHANGED):
        async with step.open(file):
            pytest.fail("it was opened")


async def test_the_copy_of_a_signed_url_is_opened_when_the_signature_is_over(
    web: WebFiles, given: Given, artifacts: ArtifactStore, tmp_path: Path
) -> None:
    web.files["/a.txt"] = WebFile(TEXT, query="signature=hidden")
    file = await given(web.url("/a.txt?signature=hidden"))
    assert "hidden" not in file.path
    del web.files["/a.txt"]
    step = step_on(file, artifacts, tmp_path)
    async with step.open(file) as source:
        assert await asyncio.to_thread(source.open().read) == TEXT
    assert await step.read(file) == TEXT


async def _size(step: StepContext[LettersConfig], file: InputFile) -> int:
    async with step.open(file) as source:
        return source.size


async def test_a_file_is_compared_once_for_each_attempt_and_whenever_it_changes(
    given: Given, artifacts: ArtifactStore, hashed: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT)
    file = await given(str(path))
    for attempt in (1, 2):
        step = step_on(file, artifacts, tmp_path)
        sizes = await asyncio.gather(*(_size(step, file) for _ in range(5)))
        assert sizes == [len(TEXT)] * 5
        assert len(hashed) == attempt
    path.write_bytes(TEXT + b"!")
    with pytest.raises(InputError, match=CHANGED):
        async with step.open(file):
            pytest.fail("it was opened")
    path.write_bytes(TEXT)
    async with step.open(file) as source:
        assert digest_bytes(await asyncio.to_thread(source.open().read)) == file.digest


async def test_a_file_that_is_gone_cannot_be_opened(
    given: Given, artifacts: ArtifactStore, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT)
    file = await given(str(path))
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        async with step_on(file, artifacts, tmp_path).open(file):
            pytest.fail("it was opened")
