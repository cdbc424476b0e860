"""What is written under a name is never overtaken by what was written there before."""

from __future__ import annotations

import threading

import pytest

from stope.artifacts import ArtifactStore
from stope.errors import StorageUnavailableError
from stope.models.job import JsonObject
from stope.objects.port import RawStore
from stope.steps import checkpoint as checkpoint_module
from stope.steps.checkpoint import delete_file, write_file
from stope.steps.identity import checkpoint_path
from tests.waiting import until

GUID = "5f1c"
NAME = checkpoint_path(GUID)


class Stalling:
    """A store in memory whose first write waits in its thread, as one that does not answer."""

    def __init__(self) -> None:
        self.store = ArtifactStore("memory://")
        self.answers = threading.Event()
        self.done: list[str] = []
        self.raw: RawStore = self.store._store.raw  # its driver
        self._put, self._delete = self.raw.put, self.raw.delete
        self.raw.put = self._slow_put  # type: ignore[method-assign]  # stands before it
        self.raw.delete = self._slow_delete  # type: ignore[method-assign]  # stands before it

    def _slow_put(self, path: str, data: bytes, *, only_new: bool = False) -> bool:
        if b'"1"' in data:
            assert self.answers.wait(60)
        self.done.append("put")
        return self._put(path, data, only_new=only_new)

    def _slow_delete(self, path: str) -> None:
        self.done.append("delete")
        self._delete(path)

    async def until_done(self, *wanted: str) -> None:
        async def so_many() -> bool:
            return len(self.done) >= len(wanted)

        await until(so_many, "the writes")
        assert self.done == list(wanted)


@pytest.fixture
def stalling(monkeypatch: pytest.MonkeyPatch) -> Stalling:
    monkeypatch.setattr(checkpoint_module, "FILE_SECONDS", 0.01)
    return Stalling()


def body(number: int) -> JsonObject:
    return {"run_guid": GUID, "number": str(number)}


async def test_a_checkpoint_that_was_given_up_does_not_overtake_a_newer_one(
    stalling: Stalling, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2, 3):
        await write_file(stalling.store, body(number))
    assert caplog.text.count("the store does not answer") == 3
    assert stalling.done == []
    stalling.answers.set()
    # The one that waited in vain is not made any more.
    await stalling.until_done("put", "put")
    assert b'"3"' in (await stalling.store.read_named(NAME) or b"")


async def test_a_checkpoint_that_was_given_up_is_not_back_after_the_clean_up(
    stalling: Stalling,
) -> None:
    await write_file(stalling.store, body(1))
    # A store of a run is a twin of its worker's.
    await delete_file(stalling.store.telling(_nobody), GUID)
    stalling.answers.set()
    await stalling.until_done("put", "delete")

    async def gone() -> bool:
        return await stalling.store.read_named(NAME) is None

    await until(gone, "the clean-up")


async def test_a_write_says_what_became_of_the_last_one(
    stalling: Stalling, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, name = stalling.store, "runs/a"
    await store.replace_named(name, b"a", seconds=60)
    assert await store.read_named(name) == b"a"

    def away(_path: str, _data: bytes, *, only_new: bool = False) -> bool:
        raise StorageUnavailableError("away")

    with monkeypatch.context() as patched:
        patched.setattr(stalling.raw, "put", away)
        with pytest.raises(StorageUnavailableError):
            await store.replace_named(name, b"b", seconds=60)
    await store.replace_named(name, b"c", seconds=60)
    assert await store.read_named(name) == b"c"


async def _nobody(_digest: str, _name: str) -> None:
    """Nobody is told."""
