"""A folder that is not mounted is never taken for an empty store, nor written to."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from activities.services import open_services
from stope.artifacts import ArtifactStore
from stope.artifacts.owners import owner_path
from stope.errors import ArtifactError, StopeError, StorageUnavailableError, UsageError
from stope.records.database import Database
from stope.records.sources import SourceDigests
from stope.records.uses import ARTIFACT, RunUses, Use
from stope.settings import Settings
from tests.object_servers import ObjectPlace, remote
from tests.waiting import until

__all__ = ["remote"]

NAME = "runs/5f1c/checkpoint.json"
ANOTHER = "is not the one that the records have used"


class Machine:
    """Records, and a store on a disk that can be taken away; every store is as a new process's."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.records = SourceDigests(database)
        self.database = database
        self.disk = folder / "disk"
        self.away = folder / "away"
        self.folder = self.disk / "stope"
        self.disk.mkdir()

    def store(self) -> ArtifactStore:
        return ArtifactStore(self.folder.as_uri(), records=self.records)

    def unmount(self, *, leaves_folder: bool) -> None:
        """Take the disk away. Its mount point stays, empty, or with an empty folder of our name."""
        self.disk.rename(self.away)
        self.disk.mkdir()
        if leaves_folder:
            self.folder.mkdir()

    def mount(self) -> None:
        shutil.rmtree(self.disk)
        self.away.rename(self.disk)

    def found(self) -> list[Path]:
        """What is on the disk, or in its place."""
        return sorted(self.disk.rglob("*"))


@pytest.fixture
def machine(database: Database, tmp_path: Path) -> Machine:
    return Machine(database, tmp_path)


async def trouble(store: ArtifactStore, digest: str) -> list[StopeError]:
    """What every kind of call says. Each must say something."""
    said: list[StopeError] = []
    for call in (
        lambda: store.put(b"new"),
        lambda: store.get(digest),
        lambda: store.exists(digest),
        lambda: store.read_named(NAME),
        lambda: store.write_named(NAME, b"{}"),
        lambda: store.delete_named(NAME),
        lambda: store.list_named("runs"),
        lambda: store.replace_named(NAME, b"{}", seconds=60),
    ):
        with pytest.raises(StopeError) as caught:
            await call()
        said.append(caught.value)
    return said


@pytest.mark.parametrize("leaves_folder", [True, False])
@pytest.mark.parametrize("restarted", [True, False])
async def test_a_disk_that_is_away_is_waited_for_and_left_alone(
    machine: Machine, leaves_folder: bool, restarted: bool
) -> None:
    store = machine.store()
    digest = await store.put(b"before")
    await store.write_named(NAME, b"{}")
    machine.unmount(leaves_folder=leaves_folder)
    before = machine.found()
    if restarted:
        store = machine.store()
    for error in await trouble(store, digest):
        assert isinstance(error, StorageUnavailableError), repr(error)
        assert ANOTHER in str(error)
        assert error.retryable
    assert machine.found() == before
    machine.mount()

    async def back() -> bool:
        return await store.get(digest) == b"before" and await store.read_named(NAME) == b"{}"

    await until(back, "the disk")


async def test_a_new_home_needs_no_ceremony(machine: Machine) -> None:
    store = machine.store()
    assert not machine.folder.exists()
    assert await store.read_named(NAME) is None
    digest = await store.put(b"first")
    assert set(await store.owners()) == {await machine.records.owner()}
    assert await machine.store().get(digest) == b"first"


async def test_another_folder_is_new_although_there_are_artifacts_elsewhere(
    machine: Machine, tmp_path: Path
) -> None:
    await machine.store().put(b"first")
    other = ArtifactStore((tmp_path / "other").as_uri(), records=machine.records)
    assert await other.exists(await other.put(b"second"))


async def test_what_is_deleted_for_good_is_begun_anew_as_the_sentence_says(
    machine: Machine,
) -> None:
    digest = await machine.store().put(b"before")
    shutil.rmtree(machine.folder)
    with pytest.raises(StorageUnavailableError, match="If it is gone for good") as caught:
        await machine.store().get(digest)
    command = str(caught.value).partition("begin it anew: ")[2]
    subprocess.run(["/bin/sh", "-c", command], check=True)  # noqa: ASYNC221  (at once)
    assert not await machine.store().exists(digest)
    assert await machine.store().put(b"before") == digest


async def test_a_home_that_was_moved_is_known_again(machine: Machine, tmp_path: Path) -> None:
    digest = await machine.store().put(b"before")
    machine.folder.rename(tmp_path / "moved")
    moved = ArtifactStore((tmp_path / "moved").as_uri(), records=machine.records)
    assert await moved.get(digest) == b"before"


async def _used_before(machine: Machine) -> str:
    """Records as they were when no store was remembered: a run has noted an artifact."""
    machine.folder.mkdir()
    digest = await ArtifactStore(machine.folder.as_uri()).put(b"before")
    await RunUses(machine.database).note("run", ARTIFACT, [Use(digest, "")])
    return digest


async def test_a_folder_that_was_used_before_it_was_marked_gets_its_mark(
    machine: Machine,
) -> None:
    digest = await _used_before(machine)
    assert await machine.store().get(digest) == b"before"
    assert (machine.folder / owner_path(await machine.records.owner())).is_file()


async def test_a_folder_that_was_used_before_it_was_marked_is_waited_for_too(
    machine: Machine,
) -> None:
    digest = await _used_before(machine)
    machine.unmount(leaves_folder=True)
    for error in await trouble(machine.store(), digest):
        assert isinstance(error, StorageUnavailableError), repr(error)
    machine.mount()
    assert await machine.store().get(digest) == b"before"


async def test_who_went_from_a_bucket_to_a_folder_begins_a_new_one(
    machine: Machine, remote: ObjectPlace
) -> None:
    bucket = ArtifactStore(remote.url, records=machine.records)
    await bucket.mark(machine.records.owner)
    digest = await bucket.put(b"before")
    await RunUses(machine.database).note("run", ARTIFACT, [Use(digest, "")])
    store = machine.store()
    assert await store.exists(await store.put(b"after"))


async def test_an_artifact_that_is_gone_from_a_folder_that_is_there_is_gone(
    machine: Machine,
) -> None:
    store = machine.store()
    digest = await store.put(b"before")
    store.delete([digest])
    with pytest.raises(ArtifactError, match="is gone"):
        await store.get(digest)


async def test_a_worker_starts_where_its_store_is_away_and_makes_no_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(home=tmp_path / "home", artifacts_url=(tmp_path / "disk" / "s").as_uri())
    services = await open_services(settings)
    digest = await services.of_run("run").artifacts.put(b"before")
    await services.close()
    (tmp_path / "disk").rename(tmp_path / "away")
    services = await open_services(settings)
    try:
        assert ANOTHER in caplog.text
        assert not (tmp_path / "disk").exists()
        with pytest.raises(StorageUnavailableError):
            await services.of_run("run").artifacts.get(digest)
        (tmp_path / "away").rename(tmp_path / "disk")
        assert await services.of_run("run").artifacts.get(digest) == b"before"
    finally:
        await services.close()


async def test_a_folder_that_cannot_be_made_stops_a_worker_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    url = (tmp_path / "file" / "artifacts").as_uri()
    with pytest.raises(UsageError, match="cannot be made"):
        await open_services(Settings(home=tmp_path / "home", artifacts_url=url))


async def test_several_that_begin_at_once_leave_one_mark(machine: Machine) -> None:
    stores = [machine.store() for _ in range(4)]
    await asyncio.gather(*(store.prepare() for store in stores))
    assert len(await stores[0].owners()) == 1
    assert machine.folder.as_uri() in await machine.records.stores()
