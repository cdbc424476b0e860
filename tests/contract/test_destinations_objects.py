"""Object storage as a destination, on an S3 and a Google Cloud Storage server over HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from stope.errors import DestinationRefusedError, DestinationUnavailableError
from stope.models.upload import Item
from stope.objects.places import open_store
from stope.upload.items import items_of
from stope.upload.objects import ObjectDestination
from stope.upload.places import place_url
from tests.documents import TALK_DOCUMENT
from tests.object_servers import QUICK, SHORT, Door, Mode, ObjectServer

ITEMS = items_of(TALK_DOCUMENT, "knowledge-1")
ITEM = Item(id="talk/claims.jsonl", content_type="text/plain", data=b"what was said \x00\xff")


@dataclass
class Bucket:
    """A bucket of its own, and the server that it is on."""

    server: ObjectServer
    name: str

    @property
    def url(self) -> str:
        return place_url(f"{self.server.scheme}://{self.name}/all-talks")

    def destination(self, *, quick: bool = True) -> ObjectDestination:
        return ObjectDestination(open_store(self.url, patience=QUICK if quick else SHORT))


@pytest.fixture(params=["s3", "gcs"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    server: ObjectServer = request.getfixturevalue(f"{request.param}_server")
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return Bucket(server, server.new_bucket())


async def test_a_collection_is_published_and_a_repeat_writes_nothing(bucket: Bucket) -> None:
    destination = bucket.destination()
    receipts = await asyncio.gather(*map(destination.put, ITEMS))
    assert all(receipt.written for receipt in receipts)
    assert {receipt.location for receipt in receipts} == {
        f"{bucket.url}/{item.id}" for item in ITEMS
    }
    assert sorted(bucket.server.keys(bucket.name)) == sorted(
        f"all-talks/{item.id}" for item in ITEMS
    )
    again = bucket.destination()
    assert not any(receipt.written for receipt in await asyncio.gather(*map(again.put, ITEMS)))
    assert [await again.digest(item.id) for item in ITEMS] == [item.digest for item in ITEMS]


@pytest.mark.parametrize("size", [0, 1, 9 << 20])
async def test_items_of_any_size_come_back(bucket: Bucket, size: int) -> None:
    destination, item = bucket.destination(), ITEM.model_copy(update={"data": b"x" * size})
    assert await destination.digest(item.id) is None
    assert (await destination.put(item)).written
    assert not (await destination.put(item)).written
    assert await destination.digest(item.id) == item.digest


@pytest.mark.parametrize("data", [b"edited", bytes(len(ITEM.data)), b""])
async def test_what_somebody_changes_there_is_noticed_and_mended(
    bucket: Bucket, data: bytes
) -> None:
    destination = bucket.destination()
    await destination.put(ITEM)
    bucket.server.overwrite(bucket.name, f"all-talks/{ITEM.id}", data)
    assert await destination.digest(ITEM.id) not in (None, ITEM.digest)
    assert (await destination.put(ITEM)).written
    assert await destination.digest(ITEM.id) == ITEM.digest


async def test_a_bucket_that_is_not_there_is_told_so(bucket: Bucket) -> None:
    bucket.name = "nosuch-bucket"
    with pytest.raises(DestinationRefusedError, match="nosuch-bucket"):
        await bucket.destination().put(ITEM)
    with pytest.raises(DestinationRefusedError, match="nosuch-bucket"):
        await bucket.destination().digest(ITEM.id)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.DENYING, DestinationRefusedError),
        (Mode.FAILING, DestinationUnavailableError),
        (Mode.STALLED, DestinationUnavailableError),
        (None, DestinationUnavailableError),
    ],
)
async def test_a_store_that_does_not_do_what_it_should(
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    mode: Mode | None,
    expected: type[Exception],
) -> None:
    door = Door(bucket.server.port)
    if mode is not None:
        door.mode = mode
        door.open()
    for name, value in bucket.server.at(door.port).items():
        monkeypatch.setenv(name, value)
    try:
        with pytest.raises(expected) as caught:
            await bucket.destination(quick=False).put(ITEM)
        assert "SECRETKEYID" not in str(caught.value)
    finally:
        door.close()
