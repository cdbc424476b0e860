"""A store that is away, slow, denying or altered says which; none of it looks like "not there"."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import GenericError

from stope.artifacts import ArtifactStore
from stope.artifacts.reader import content_path
from stope.errors import (
    ArtifactError,
    InputError,
    ObjectChangedError,
    StopeError,
    StorageRefusedError,
    StorageUnavailableError,
    UsageError,
)
from stope.identity import digest_bytes, digest_file
from stope.objects import gcs
from stope.objects.places import open_store
from stope.objects.port import PART, Piece
from stope.objects.store import for_each
from tests.object_servers import (
    CUT,
    QUICK,
    SHORT,
    Door,
    Mode,
    ObjectPlace,
    noise,
    open_place,
    remote,
)
from tests.waiting import until

__all__ = ["remote"]

NAME = "runs/5f1c/checkpoint.json"
Call = Callable[[ArtifactStore, str], Awaitable[object]]


async def listed(store: ArtifactStore, _digest: str) -> object:
    return [item async for item in store.stored()]


CALLS: dict[str, Call] = {
    "put": lambda store, _: store.put(b"new"),
    "get": lambda store, digest: store.get(digest),
    "range": lambda store, digest: store.read_range(digest, 0, 2),
    "exists": lambda store, digest: store.exists(digest),
    "list": listed,
    "delete": lambda store, digest: asyncio.to_thread(store.delete, [digest]),
    "read_named": lambda store, _: store.read_named(NAME),
    "write_named": lambda store, _: store.write_named(NAME, b"{}"),
}


def door_of(place: ObjectPlace) -> Door:
    assert place.door is not None
    return place.door


async def problems(place: ObjectPlace, digest: str) -> dict[str, StopeError]:
    """What each call says. Every one must say something."""
    found: dict[str, StopeError] = {}
    for name, call in CALLS.items():
        store = ArtifactStore(place.url, patience=SHORT)
        with pytest.raises(StopeError) as caught:
            await call(store, digest)
        found[name] = caught.value
    return found


@pytest.mark.parametrize("how", ["closed", "failing"])
async def test_a_store_that_is_away_is_waited_for_and_works_when_it_is_back(
    remote: ObjectPlace, how: str
) -> None:
    store = ArtifactStore(remote.url, patience=SHORT)
    digest = await store.put(b"before")
    await store.write_named(NAME, b"{}")
    door = door_of(remote)
    door.close()
    if how == "failing":
        door.mode = Mode.FAILING
        door.open()
    for name, error in (await problems(remote, digest)).items():
        assert isinstance(error, StorageUnavailableError), f"{name}: {error!r}"
        assert error.retryable
    door.close()
    door.mode = Mode.OPEN
    door.open()
    assert await store.get(digest) == b"before"
    assert await store.read_named(NAME) == b"{}"


async def test_a_store_that_never_answers_is_away_when_the_time_is_up(remote: ObjectPlace) -> None:
    store = ArtifactStore(remote.url, patience=SHORT)
    digest = await store.put(b"before")
    door = door_of(remote)
    door.mode = Mode.STALLED
    once = SHORT.model_copy(update={"attempts": 1})
    for call in ("put", "get", "read_named"):
        with pytest.raises(StorageUnavailableError, match="no answer in time"):
            await CALLS[call](ArtifactStore(remote.url, patience=once), digest)
    door.mode = Mode.OPEN
    door.break_off()
    assert await store.get(digest) == b"before"


async def test_a_hiccup_is_bridged(remote: ObjectPlace) -> None:
    store = ArtifactStore(remote.url, patience=QUICK.model_copy(update={"attempts": 50}))
    digest = await store.put(b"before")
    door = door_of(remote)
    door.close()
    reading = asyncio.create_task(store.get(digest))
    await asyncio.to_thread(time.sleep, 0.3)
    assert not reading.done()
    door.open()
    assert await reading == b"before"


async def test_a_body_that_breaks_off_is_tried_again_and_then_waited_for(
    remote: ObjectPlace, tmp_path: Path
) -> None:
    store, door = ArtifactStore(remote.url, patience=QUICK), door_of(remote)
    digest = await store.put(noise(4 * CUT))
    door.cuts = 1000
    for call in (store.get(digest), store.get_to_file(digest, tmp_path / "copy")):
        with pytest.raises(StorageUnavailableError):
            await call
    assert door.cuts < 1000
    door.cuts = 1
    assert await store.get(digest) == noise(4 * CUT)
    assert door.cuts == 0


async def test_an_answer_that_is_too_short_is_no_end_of_an_object() -> None:
    store = open_store("memory://", patience=SHORT)
    await store.put("a", b"0123456789")
    get = store.raw.get

    def short(path: str, start: int, end: int, *, version: str | None = None) -> Piece:
        piece = get(path, start, end, version=version)
        return Piece(piece.data[:-1], piece.info)

    store.raw.get = short  # type: ignore[method-assign]  # a driver that takes a broken body
    with pytest.raises(StorageUnavailableError, match="broke off"):
        await store.get("a")
    assert await store.head("a") is not None


def test_nothing_of_many_calls_goes_on_after_one_has_failed() -> None:
    began, ended = list[int](), list[int]()

    def do(number: int) -> None:
        if number == 0:
            raise StorageUnavailableError("away")
        began.append(number)
        time.sleep(0.05)
        ended.append(number)

    with pytest.raises(StorageUnavailableError):
        for_each(do, range(500))
    assert sorted(ended) == sorted(began)
    assert len(began) < 499


async def test_being_denied_is_for_good_and_repeats_no_key(remote: ObjectPlace) -> None:
    digest = await ArtifactStore(remote.url, patience=QUICK).put(b"before")
    door = door_of(remote)
    door.mode = Mode.DENYING
    door.break_off()
    came = door.let_in
    for name, error in (await problems(remote, digest)).items():
        assert isinstance(error, StorageRefusedError), f"{name}: {error!r}"
        assert not error.retryable
        assert "403" in str(error)
        assert "SECRETKEYID" not in str(error)
        assert "rights" in str(error)
    # Once for each call: it is not tried again.
    assert door.let_in - came <= 2 * len(CALLS)


async def test_a_bucket_that_is_missing_is_never_an_empty_store(remote: ObjectPlace) -> None:
    scheme = remote.url.partition("://")[0]
    missing = ObjectPlace(remote.kind, f"{scheme}://no-such-bucket-here/prefix")
    for name, error in (await problems(missing, "0" * 64)).items():
        assert isinstance(error, StorageRefusedError), f"{name}: {error!r}"
        assert "no bucket no-such-bucket-here" in str(error)


async def test_an_object_that_is_replaced_underneath_is_never_mixed(
    remote: ObjectPlace, tmp_path: Path
) -> None:
    old = noise(2 * PART + 5)
    (tmp_path / "body").write_bytes(old)
    store = open_store(remote.url, patience=QUICK)
    await store.put_file("large", tmp_path / "body")
    first = next(pieces := store.pieces("large"))
    assert remote.server is not None
    remote.server.overwrite(remote.bucket, "some/prefix/large", old[::-1])
    with pytest.raises(ObjectChangedError, match="replaced while it was read"):
        next(pieces)
    with pytest.raises(ObjectChangedError):
        await store.get_range("large", 0, 10, version=first.info.version)
    assert await store.digest("large") == digest_bytes(old[::-1])


async def test_other_bytes_under_a_digest_are_found(remote: ObjectPlace, tmp_path: Path) -> None:
    store = ArtifactStore(remote.url, patience=QUICK)
    digest = await store.put(b"what was said")
    assert remote.server is not None
    remote.server.overwrite(remote.bucket, f"some/prefix/{content_path(digest)}", b"what was sai!")
    with pytest.raises(ArtifactError, match="damaged"):
        await store.get(digest)
    with pytest.raises(ArtifactError, match="damaged"):
        await store.get_to_file(digest, tmp_path / "copy")


SENDER = """
import sys
from stope.objects.places import open_store

class Slow:
    def __init__(self):
        self.given = 0
    def read(self, size=-1):
        if self.given >= 3:
            print("sent", flush=True)
            sys.stdin.read()
        self.given += 1
        return b"x" * size

open_store(sys.argv[1]).raw.put_stream("large", Slow(), 1 << 30)
"""


@pytest.mark.parametrize("kind", ["s3", "gs", "folder"])
async def test_an_upload_that_is_killed_between_its_parts_leaves_nothing_to_see(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = open_place(kind, request, monkeypatch, tmp_path)
    sender = subprocess.Popen(  # noqa: ASYNC220  (it is spoken to in threads)
        [sys.executable, "-c", SENDER, place.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=dict(os.environ),
    )
    assert sender.stdout is not None
    assert await asyncio.to_thread(sender.stdout.readline) == b"sent\n"
    sender.send_signal(signal.SIGKILL)
    await asyncio.to_thread(sender.wait)
    sender.stdout.close()
    store = open_store(place.url, patience=QUICK)
    assert await store.head("large") is None
    assert [info.path async for info in store.list()] == []
    body = tmp_path / "body"
    body.write_bytes(noise(PART + 1))
    assert await store.put_file("large", body)
    await store.get_to_file("large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == body.read_bytes()


class Torn:
    """A stream whose fourth part cannot be read, or makes something happen and can."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self._given = 0

    def read(self, size: int = -1) -> bytes:
        self._given += 1
        if self._given == 4:
            self._then()
        return b"x" * size if self._given < 6 else b""


@pytest.mark.parametrize("how", ["the file is torn", "the server takes no parts"])
def test_an_upload_in_parts_that_fails_is_aborted(
    how: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = open_place("s3", request, monkeypatch, tmp_path)
    assert place.server is not None
    door, begun = door_of(place), list[str]()
    torn = InputError("The file is torn.")

    def fail() -> None:
        assert place.server is not None
        begun.extend(place.server.unfinished(place.bucket))
        if how == "the file is torn":
            raise torn
        door.mode = Mode.PARTLESS

    store = open_store(place.url, patience=QUICK)
    with pytest.raises(StopeError) as caught:
        store.raw.put_stream("large", Torn(fail), 6 * PART)
    assert (caught.value is torn) == (how == "the file is torn")
    assert len(begun) == 1
    assert place.server.unfinished(place.bucket) == []
    assert place.server.keys(place.bucket) == []


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud", None)
    with pytest.raises(UsageError, match=r"pip install 'stope\[gcs\]'"):
        ArtifactStore("gs://bucket/prefix")
    assert gcs.GcsStore is not None


async def test_a_folder_that_is_taken_away_is_waited_for(tmp_path: Path) -> None:
    store = ArtifactStore((tmp_path / "mount").as_uri())
    digest = await store.put(b"before")
    (tmp_path / "mount").rename(tmp_path / "away")
    with pytest.raises(StorageUnavailableError, match="not there any more"):
        await store.get(digest)
    with pytest.raises(StorageUnavailableError):
        await store.read_named(NAME)
    (tmp_path / "away").rename(tmp_path / "mount")

    async def back() -> bool:
        return await store.get(digest) == b"before"

    await until(back, "the folder", 5)


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ENOTCONN])
async def test_a_mount_whose_server_is_away_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store = ArtifactStore((tmp_path / "mount").as_uri(), patience=SHORT)
    digest = await store.put(b"before")

    def fail(*_: object, **__: object) -> None:
        raise GenericError(f"Generic LocalFileSystem error (os error {number})")

    def fail_to_look(_path: Path, **_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(obstore, "get", fail)
        with pytest.raises(StorageUnavailableError, match=os.strerror(number)):
            await store.get(digest)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", fail_to_look)
        with pytest.raises(StorageUnavailableError, match=os.strerror(number)):
            await store.put(b"new")
    assert await store.get(digest) == b"before"


FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from stope.artifacts import ArtifactStore
from stope.errors import StorageFullError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
store = ArtifactStore((folder / "store").as_uri())
digest = asyncio.run(store.put_file(folder / "body"))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
noise = (folder / "body").read_bytes()
(folder / "other").symlink_to(folder / "body")
for call in (
    lambda: store.put(noise[::-1]),
    lambda: store.put_file(folder / "other"),
    lambda: store.write_named("a", noise),
    lambda: store.get_to_file(digest, folder / "copy"),
):
    try:
        asyncio.run(call())
    except StorageFullError as error:
        print(type(error).__name__, error.retryable, "free some space" in str(error))
print(*sorted(path.name for path in folder.iterdir()))
"""


def test_a_full_disk_is_waited_for_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(noise(PART + PART // 2))
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    *said, left = done.stdout.splitlines()
    assert said == ["StorageFullError True True"] * 4
    assert left == "body other store"
    visible = [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert [name for name in visible if "#" not in name] == [digest_file(tmp_path / "body")]
