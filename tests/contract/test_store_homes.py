"""The artifacts' folder of a home is known again, also where the home is, or what it is called."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stope.artifacts import ArtifactStore, claim
from stope.artifacts.owners import owner_note, owner_path
from stope.errors import StorageRefusedError, StorageUnavailableError
from stope.objects.folder import StoreFolder
from stope.records.database import Database
from stope.records.sources import SourceDigests
from tests.waiting import until

ANOTHER = "is not the one that the records have used"


class Home:
    """A home with its records and its folder of artifacts, as a new process opens them."""

    def __init__(self, path: Path, open_database: Callable[[str], Database]) -> None:
        self.path = path
        self.folder = path / "artifacts"
        self._open = open_database

    def records(self) -> SourceDigests:
        return SourceDigests(self._open(f"sqlite:///{self.path}/records.db"))

    def store(self) -> ArtifactStore:
        return ArtifactStore(self.folder.as_uri(), records=self.records())

    def at(self, path: Path) -> Home:
        return Home(path, self._open)


@pytest.fixture
def home(sqlite_template: Path, tmp_path: Path, open_database: Callable[[str], Database]) -> Home:
    path = tmp_path / "home"
    path.mkdir()
    shutil.copy(sqlite_template, path / "records.db")
    return Home(path, open_database)


@pytest.mark.parametrize("restarted", [True, False])
async def test_a_folder_in_the_home_that_was_deleted_is_made_again(
    home: Home, restarted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    store = home.store()
    digest = await store.put(b"before")
    shutil.rmtree(home.folder)
    if restarted:
        store = home.store()
    assert not await store.exists(digest)
    assert "is gone; it is made again, empty" in caplog.text
    assert await store.put(b"before") == digest
    assert set(await store.owners()) == {await home.records().owner()}


async def test_a_mount_point_in_the_home_is_left_alone(home: Home) -> None:
    await home.store().put(b"before")
    home.folder.rename(home.path / "disk")
    home.folder.mkdir()
    with pytest.raises(StorageUnavailableError, match=ANOTHER):
        await home.store().put(b"after")
    home.folder.rmdir()
    home.folder.symlink_to(home.path / "not mounted")
    with pytest.raises(StorageUnavailableError, match=ANOTHER):
        await home.store().put(b"after")
    assert not home.folder.exists()


@pytest.fixture
def on_its_own_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The artifacts are on another disk than the home."""
    monkeypatch.setattr(claim, "disk_of", lambda path: int(path.name == "artifacts"))


@pytest.mark.usefixtures("on_its_own_disk")
async def test_a_disk_in_the_home_whose_mount_point_is_gone_too_is_waited_for(home: Home) -> None:
    digest = await home.store().put(b"before")
    home.folder.rename(home.path / "away")
    with pytest.raises(StorageUnavailableError, match=ANOTHER):
        await home.store().put(b"after")
    assert not home.folder.exists()
    (home.path / "away").rename(home.folder)
    assert await home.store().get(digest) == b"before"


@pytest.mark.usefixtures("on_its_own_disk")
@pytest.mark.parametrize("moved", [True, False])
async def test_a_disk_in_a_home_is_waited_for_wherever_the_home_is(
    home: Home, moved: bool, tmp_path: Path
) -> None:
    """A home that is moved, or entered by a symbolic link."""
    digest = await home.store().put(b"before")
    home.folder.rename(tmp_path / "away")
    home.folder.mkdir()
    other = tmp_path / "other"
    if moved:
        home.path.rename(other)
    else:
        other.symlink_to(home.path)
    found = home.at(other)
    with pytest.raises(StorageUnavailableError, match=ANOTHER):
        await found.store().put(b"after")
    assert list(found.folder.iterdir()) == []
    found.folder.rmdir()
    (tmp_path / "away").rename(found.folder)
    assert await found.store().get(digest) == b"before"


async def test_a_folder_is_known_by_what_its_url_leads_to(home: Home, tmp_path: Path) -> None:
    records, disk, link = home.records(), tmp_path / "disk", tmp_path / "link"
    await ArtifactStore((disk / "stope").as_uri(), records=records).put(b"before")
    disk.rename(tmp_path / "away")
    disk.mkdir()
    link.symlink_to(disk)
    with pytest.raises(StorageUnavailableError, match=ANOTHER):
        await ArtifactStore((link / "stope").as_uri(), records=records).put(b"after")
    assert list(disk.iterdir()) == []


async def test_who_has_not_the_folder_reads_which_machine_has_it(
    database: Database, tmp_path: Path
) -> None:
    """One set of records, and on each machine a folder of its own under the same name."""
    url = (tmp_path / "machine" / "artifacts").as_uri()
    await ArtifactStore(url, records=SourceDigests(database)).put(b"before")
    (tmp_path / "machine").rename(tmp_path / "the other machine")
    with pytest.raises(StorageUnavailableError) as caught:
        await ArtifactStore(url, records=SourceDigests(database)).put(b"after")
    assert f"(left by {owner_note().decode()}) is not there on this machine" in str(caught.value)


async def test_stores_that_were_kept_before_there_were_notes_are_known(home: Home) -> None:
    records = home.records()
    await home.store().put(b"before")
    await records.keep_store("file:///old", await records.owner())
    assert (await records.stores())["file:///old"] == ""


async def test_a_disk_that_says_nothing_is_away_and_holds_one_thread(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = await home.store().put(b"before")
    answers, asked = threading.Event(), []
    check = StoreFolder.check

    def hung(folder: StoreFolder) -> None:
        asked.append(folder)
        assert answers.wait(60)
        check(folder)

    monkeypatch.setattr(claim, "LONGEST_SILENCE", 0.01)
    store = home.store()
    with monkeypatch.context() as patched:
        patched.setattr(StoreFolder, "check", hung)
        calls = (store.prepare() for _ in range(20))
        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(error, StorageUnavailableError)
            assert "no answer in" in str(error)
        assert len(asked) == 1
        answers.set()
    monkeypatch.setattr(claim, "LONGEST_SILENCE", 60)

    async def back() -> bool:
        return await store.get(digest) == b"before"

    await until(back, "the disk")


async def test_a_folder_that_may_not_be_entered_is_refused(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    await home.store().put(b"before")
    mark = home.folder / owner_path(await home.records().owner())
    stat = Path.stat

    def denied(path: Path, **options: bool) -> object:
        if path == mark:
            raise PermissionError(13, "Permission denied")
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", denied)
    with pytest.raises(StorageRefusedError, match=r"Permission denied.*readable and writable"):
        await home.store().put(b"after")
