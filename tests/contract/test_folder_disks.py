"""Checkpoints are kept on disks without hard links and locks, and by several accounts."""

from __future__ import annotations

import asyncio
import errno
import fcntl
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import GenericError

from stope.artifacts import ArtifactStore
from stope.errors import StorageFullError, StorageUnavailableError
from stope.objects import folder as folder_module
from stope.objects.folder import LOCK
from stope.objects.patience import Patience
from stope.objects.places import open_store

NAME = "runs/5f1c/checkpoint.json"
ONCE = Patience(attempts=1)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path.as_uri(), patience=ONCE)


async def _may(_found: bytes | None) -> bool:
    return True


async def _write_twice(store: ArtifactStore) -> None:
    for data in (b"1", b"2"):
        await store.write_named(NAME, data, may=_may)
        assert await store.read_named(NAME) == data


async def test_a_checkpoint_needs_no_hard_links(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = obstore.put

    def without_links(*args: object, mode: object = None, **options: object) -> object:
        if mode == "create":
            # As the driver says it of the link that it makes then.
            raise GenericError("Unable to rename file: Operation not permitted (os error 1)")
        return put(*args, mode=mode, **options)  # type: ignore[call-overload]  # as it was called

    monkeypatch.setattr(obstore, "put", without_links)
    await _write_twice(store)


async def test_of_several_who_make_a_new_object_one_does(tmp_path: Path) -> None:
    raws = [open_store(tmp_path.as_uri()).raw for _ in range(8)]
    made = await asyncio.gather(
        *(
            asyncio.to_thread(raw.put, NAME, b"%d" % number, only_new=True)
            for number, raw in enumerate(raws)
        )
    )
    assert made.count(True) == 1
    assert raws[0].get(NAME, 0, 9).data == b"%d" % made.index(True)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
async def test_a_file_system_without_locks_is_used_without(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_lock(_file: int, _operation: int) -> None:
        raise OSError(number, "none here")

    # What a process that was killed on another machine may have left.
    (tmp_path / LOCK).write_text("1\nanother-machine\n")
    monkeypatch.setattr(fcntl, "flock", no_lock)
    await _write_twice(store)


async def test_a_lock_that_somebody_holds_is_named(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "_LOCK_SECONDS", 0.01)
    with (tmp_path / LOCK).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(
            StorageUnavailableError, match=r"Somebody else has held .*\.lock"
        ) as caught:
            await store.write_named(NAME, b"1", may=_may)
        assert "network" not in str(caught.value)
    await store.write_named(NAME, b"1", may=_may)


async def test_a_full_disk_has_no_room_for_a_lock(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int, _operation: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fcntl, "flock", full)
    with pytest.raises(StorageFullError):
        await store.write_named(NAME, b"1", may=_may)


@pytest.mark.parametrize(("folder", "lock"), [(0o777, 0o666), (0o775, 0o666), (0o755, 0o644)])
async def test_whoever_may_write_may_lock(
    store: ArtifactStore, tmp_path: Path, folder: int, lock: int
) -> None:
    await asyncio.to_thread(tmp_path.chmod, folder)
    await store.write_named(NAME, b"1", may=_may)
    assert (tmp_path / LOCK).stat().st_mode & 0o777 == lock
