"""Destinations: an item that was put is there, whole and as it was given, and nowhere else.

Every destination passes the same tests: a folder, S3, Google Cloud Storage, PostgreSQL, an HTTP
endpoint and the scripted one. What only a folder can do follows.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stope.errors import (
    DestinationRefusedError,
    DestinationUnavailableError,
    ItemRefusedError,
    StopeError,
    StorageFullError,
)
from stope.identity import digest_bytes
from stope.models.upload import Item
from stope.upload.destination import Destination
from stope.upload.folder import DRAFT_SECONDS, FolderDestination
from stope.upload.scripted import Fault, Mishap, ScriptedDestination
from tests.contract.places import Opened

ITEM = Item(id="talk/claims.jsonl", content_type="text/plain", data=b"what was said \x00\xff")
OTHER = ITEM.model_copy(update={"data": b"something else"})


RECORD = Item(
    id="talk/claims/clm_1",
    content_type="application/json",
    data='{"id":"clm_1","rank":1,"text":"\\"Ö\\" \\\\ — ok"}'.encode(),
)


@pytest.fixture
async def destination(opened: Opened) -> AsyncIterator[Destination]:
    found = opened()
    yield found
    await found.close()


@pytest.mark.parametrize(
    ("item_id", "data"),
    [
        ("talk/a.bin", b""),
        ("talk/a.bin", ITEM.data),
        ("talk/a.bin", b"x" * 3_000_000),
        ("talk/a.json", b'{ "a": 1.50 }'),
        ("a", b"alone"),
        (RECORD.id, RECORD.data),
    ],
    ids=["empty", "small", "big", "json", "no-collection", "record"],
)
async def test_an_item_that_was_put_reads_back_with_its_digest(
    destination: Destination, item_id: str, data: bytes
) -> None:
    item = Item(id=item_id, content_type="text/plain", data=data)
    receipt = await destination.put(item)
    assert await destination.digest(item.id) == receipt.digest == digest_bytes(data)
    assert (receipt.item_id, receipt.written) == (item.id, True)


async def test_an_item_that_is_not_there_has_no_digest(destination: Destination) -> None:
    assert await destination.digest(ITEM.id) is None
    await destination.put(ITEM)
    assert await destination.digest("talk/other.jsonl") is None


async def test_putting_an_item_again_writes_nothing(destination: Destination) -> None:
    receipts = [await destination.put(ITEM) for _ in range(2)]
    assert [receipt.written for receipt in receipts] == [True, False]
    assert receipts[0].location == receipts[1].location


async def test_a_record_is_replaced_and_others_of_its_id_are_not(destination: Destination) -> None:
    changed = RECORD.model_copy(update={"data": b'{"id":"clm_1","text":"other"}'})
    others = [
        RECORD.model_copy(update={"id": name})
        for name in ("talk/people/clm_1", "other/claims/clm_1", "talk/claims/clm_2")
    ]
    await asyncio.gather(*map(destination.put, [RECORD, *others]))
    assert (await destination.put(changed)).written
    found = [await destination.digest(item.id) for item in (RECORD, *others)]
    assert found == [changed.digest, *[RECORD.digest] * 3]


async def test_other_bytes_take_the_place_of_the_old_ones(destination: Destination) -> None:
    await destination.put(ITEM)
    assert (await destination.put(OTHER)).written
    assert await destination.digest(ITEM.id) == OTHER.digest


async def test_items_may_be_put_at_once(destination: Destination) -> None:
    items = [ITEM.model_copy(update={"id": f"talk/{number}.bin"}) for number in range(8)]
    await asyncio.gather(*map(destination.put, [*items, *items]))
    assert [await destination.digest(item.id) for item in items] == [ITEM.digest] * 8


@pytest.mark.parametrize(
    "item_id",
    ["../out", "/etc/out", "talk/../../out", "talk/./x", ".hidden", "a//b", "a\\..\\b", ""],
)
async def test_an_id_that_could_lead_elsewhere_is_refused(
    destination: Destination, item_id: str
) -> None:
    with pytest.raises(ItemRefusedError, match="cannot be a place below a destination"):
        await destination.put(Item.model_construct(id=item_id, content_type="", data=b""))
    with pytest.raises(ItemRefusedError, match="cannot be a place below a destination"):
        await destination.digest(item_id)


async def test_the_scripted_destination_fails_as_told_then_works() -> None:
    refused = ItemRefusedError("Not this one.")
    script: dict[str, list[Fault]] = {"claims.jsonl": [refused, Mishap.LOST, Mishap.CHANGED]}
    destination = ScriptedDestination(script)
    with pytest.raises(ItemRefusedError, match="Not this one"):
        await destination.put(ITEM)
    found = []
    for _ in range(3):
        await destination.put(ITEM)
        found.append(await destination.digest(ITEM.id))
    assert found[0] is None
    assert found[1] not in (None, ITEM.digest)
    assert found[2] == ITEM.digest
    assert destination.puts == [ITEM.id] * 4


def names_in(folder: Path) -> list[str]:
    """Everything below a folder, hidden files too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "place"


async def test_a_folder_keeps_each_item_as_a_file_and_no_draft(place: Path) -> None:
    await FolderDestination(place).put(ITEM)
    assert names_in(place) == ["talk", ITEM.id]
    assert (place / ITEM.id).read_bytes() == ITEM.data


async def test_what_an_attempt_left_half_written_is_cleared_away(place: Path) -> None:
    (place / "talk").mkdir(parents=True)
    left, current = (
        place / "talk" / f".claims.jsonl.{name}.part" for name in ("0123abcd", "12345678")
    )
    for draft in (left, current):
        draft.write_bytes(b"what wa")
    long_ago = time.time() - 2 * DRAFT_SECONDS
    os.utime(left, (long_ago, long_ago))
    await FolderDestination(place).put(ITEM)
    assert not left.exists()
    # Somebody else may be writing that one just now.
    assert current.exists()


async def test_a_crash_before_the_rename_leaves_the_old_item(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = FolderDestination(place)
    await destination.put(ITEM)

    def crash(_self: Path, _target: Path) -> Path:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(DestinationUnavailableError, match="does not answer"):
        await destination.put(OTHER)
    assert (place / ITEM.id).read_bytes() == ITEM.data
    assert names_in(place) == ["talk", ITEM.id]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, StorageFullError),
        (errno.EDQUOT, StorageFullError),
        (errno.EACCES, DestinationRefusedError),
        (errno.EROFS, DestinationRefusedError),
        (errno.ENAMETOOLONG, ItemRefusedError),
        (errno.EIO, DestinationUnavailableError),
        (errno.ESTALE, DestinationUnavailableError),
    ],
)
async def test_what_the_system_says_is_told_in_the_words_of_the_tree(
    place: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[StopeError]
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    destination = FolderDestination(place)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(expected, match=str(place)):
        await destination.put(ITEM)
    monkeypatch.undo()
    await destination.put(ITEM)
    assert await destination.digest(ITEM.id) == ITEM.digest


async def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DestinationRefusedError, match="cannot be used as a destination"):
            await FolderDestination(place).put(ITEM)
    assert (tmp_path / "file").read_text() == "mine"


async def test_a_folder_in_an_items_place_stops_only_that_item(place: Path) -> None:
    (place / ITEM.id).mkdir(parents=True)
    destination = FolderDestination(place)
    with pytest.raises(ItemRefusedError, match="move away what stands in its place"):
        await destination.put(ITEM)
    await destination.put(ITEM.model_copy(update={"id": "talk/other"}))
    assert await destination.digest(ITEM.id) is None


async def test_nothing_is_written_outside_through_a_link(place: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (place / "beside").mkdir(parents=True)
    (place / "talk").symlink_to(outside)
    destination = FolderDestination(place)
    with pytest.raises(ItemRefusedError, match="leads out of"):
        await destination.put(ITEM)
    with pytest.raises(ItemRefusedError, match="leads out of"):
        await destination.digest(ITEM.id)
    assert names_in(outside) == []


async def test_a_link_in_an_items_place_is_replaced_not_followed(
    place: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(ITEM.data)
    (place / "talk").mkdir(parents=True)
    (place / ITEM.id).symlink_to(elsewhere)
    destination = FolderDestination(place)
    assert await destination.digest(ITEM.id) is None
    await destination.put(OTHER)
    assert elsewhere.read_bytes() == ITEM.data
    assert (place / ITEM.id).read_bytes() == OTHER.data
    assert not (place / ITEM.id).is_symlink()
