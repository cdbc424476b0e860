"""What is written under a name is never overtaken by what was written there before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from stope.artifacts import ArtifactStore
from stope.errors import ObjectChangedError, StorageUnavailableError
from stope.models.job import JsonObject
from stope.objects.places import open_store
from stope.objects.port import RawStore
from stope.steps import checkpoint as checkpoint_module
from stope.steps.checkpoint import delete_file, write_file
from stope.steps.identity import checkpoint_path
from tests.object_servers import QUICK, ObjectPlace, open_place, place
from tests.waiting import until

__all__ = ["place"]

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

    def _slow_put(
        self, path: str, data: bytes, *, only_new: bool = False, replacing: str | None = None
    ) -> bool:
        if b'"1"' in data:
            assert self.answers.wait(60)
        self.done.append("put")
        return self._put(path, data, only_new=only_new, replacing=replacing)

    def _slow_delete(self, path: str, *, only: str | None = None) -> bool:
        self.done.append("delete")
        return self._delete(path, only=only)

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

    def away(
        _path: str, _data: bytes, *, only_new: bool = False, replacing: str | None = None
    ) -> bool:
        raise StorageUnavailableError("away")

    with monkeypatch.context() as patched:
        patched.setattr(stalling.raw, "put", away)
        with pytest.raises(StorageUnavailableError):
            await store.replace_named(name, b"b", seconds=60)
    await store.replace_named(name, b"c", seconds=60)
    assert await store.read_named(name) == b"c"


async def _nobody(_digests: Sequence[str], _name: str) -> None:
    """Nobody is told."""


class Process:
    """A store as one of several processes has it. Its writes wait in their thread, where told."""

    def __init__(self, url: str) -> None:
        self.store = ArtifactStore(url, patience=QUICK)
        self.sends, self.is_sending = threading.Event(), threading.Event()
        self.sends.set()
        self.allowed = True
        self._raw = self.store._store.raw  # its driver
        self._put = self._raw.put
        self._raw.put = self._held_put  # type: ignore[method-assign]  # stands before it

    def _held_put(
        self, path: str, data: bytes, *, only_new: bool = False, replacing: str | None = None
    ) -> bool:
        self.is_sending.set()
        assert self.sends.wait(60)
        return self._put(path, data, only_new=only_new, replacing=replacing)

    async def write(self, number: int) -> None:
        """Write a number in the place of a smaller one; of nothing while it is allowed."""

        async def may(found: bytes | None) -> bool:
            return self.allowed if found is None else int(found) < number

        await self.store.replace_named(NAME, b"%d" % number, seconds=60, may=may)

    async def held_write(self, number: int) -> asyncio.Task[None]:
        """A write that has looked at what is there, and is about to be sent."""
        self.sends.clear()
        self.is_sending.clear()
        task = asyncio.create_task(self.write(number))
        await asyncio.to_thread(self.is_sending.wait, 60)
        return task


@pytest.fixture(params=["folder", "s3", "gs"])
def process(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[], Process]:
    """Makes processes with one store in common."""
    shared = open_place(request.param, request, monkeypatch, tmp_path)
    return lambda: Process(shared.url)


async def test_an_older_write_of_another_process_does_not_replace_a_newer_one(
    process: Callable[[], Process],
) -> None:
    older, newer = process(), process()
    await older.write(1)
    late = await older.held_write(2)
    await newer.write(3)
    older.sends.set()
    await late
    assert await newer.store.read_named(NAME) == b"3"
    await older.write(2)
    assert await newer.store.read_named(NAME) == b"3"
    await older.write(4)
    assert await newer.store.read_named(NAME) == b"4"


async def test_what_another_process_has_cleaned_up_is_not_brought_back(
    process: Callable[[], Process],
) -> None:
    older, newer = process(), process()
    await older.write(1)
    late = await older.held_write(2)
    await newer.store.delete_named(NAME)
    older.allowed = False
    older.sends.set()
    await late
    assert await newer.store.read_named(NAME) is None


async def test_a_first_write_that_arrives_after_the_clean_up_is_taken_back(
    process: Callable[[], Process],
) -> None:
    older, newer = process(), process()
    late = await older.held_write(1)
    await newer.write(2)
    await newer.store.delete_named(NAME)
    older.allowed = False
    older.sends.set()
    await late
    assert await newer.store.read_named(NAME) is None
    assert await newer.store.list_named("runs") == []


async def test_a_write_that_may_not_be_made_is_not(process: Callable[[], Process]) -> None:
    writer = process()
    writer.allowed = False
    await writer.write(1)
    assert not writer.is_sending.is_set()
    assert await writer.store.read_named(NAME) is None


@pytest.mark.parametrize("place", ["folder", "memory"], indirect=True)
async def test_of_many_that_compare_and_replace_none_is_lost(place: ObjectPlace) -> None:
    """With buckets it is the provider who keeps this; the servers of the tests do not, quite."""
    raw = open_store(place.url, patience=QUICK).raw
    raws = [raw if place.kind == "memory" else open_store(place.url).raw for _ in range(4)]
    assert raw.put("count", b"0", only_new=True)

    def add(own: RawStore) -> None:
        for _ in range(8):
            done = False
            while not done:
                with suppress(ObjectChangedError):
                    found = own.get("count", 0, 10)
                    more = b"%d" % (int(found.data) + 1)
                    done = own.put("count", more, replacing=found.info.version)

    await asyncio.gather(*(asyncio.to_thread(add, own) for own in raws))
    assert raw.get("count", 0, 10).data == b"32"


def test_what_is_not_the_version_any_more_is_neither_replaced_nor_deleted(
    place: ObjectPlace,
) -> None:
    raw = open_store(place.url, patience=QUICK).raw
    raw.put("a", b"old")
    old = raw.get("a", 0, 9).info.version
    raw.put("a", b"newer")
    new = raw.get("a", 0, 9).info.version
    assert not raw.put("a", b"late", replacing=old)
    assert not raw.delete("a", only=old)
    assert raw.get("a", 0, 9).data == b"newer"
    assert raw.delete("a", only=new)
    assert not raw.put("a", b"late", replacing=new)
    assert raw.head("a") is None
    assert raw.delete("a", only=new)
    # What was held while it was compared is no object.
    assert list(raw.list("")) == []
