"""Artifacts: bytes are found by their digest, whole and as they were, or not at all, anywhere."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest

from stope.artifacts import ArtifactStore
from stope.artifacts.reader import content_path
from stope.compression import MAGIC, packed
from stope.errors import (
    ArtifactError,
    InputError,
    StorageRefusedError,
    StorageUnavailableError,
    UsageError,
)
from stope.identity import digest_bytes, digest_file
from stope.models.gap import Gap
from stope.objects.port import PART
from tests.object_servers import QUICK, ObjectPlace, noise, open_place, place

__all__ = ["place"]

DATA = b"what was said \x00\xff"
ABSENT = "0" * 64
NOISE = noise(PART + PART // 2)
"""Two parts, which no compression makes smaller."""


@pytest.fixture
def store(place: ObjectPlace) -> ArtifactStore:
    return ArtifactStore(place.url, patience=QUICK)


async def replace_bytes(store: ArtifactStore, digest: str, data: bytes) -> None:
    """Damage an object behind the store's back."""
    await store._store.put(content_path(digest), data)


def left_in(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


async def digests_in(store: ArtifactStore) -> list[str]:
    return sorted([item.digest async for item in store.stored()])


@pytest.mark.parametrize("data", [b"", DATA, b"x" * 3_000_000], ids=["empty", "small", "large"])
async def test_bytes_come_back_as_they_were(store: ArtifactStore, data: bytes) -> None:
    digest = await store.put(data)
    assert digest == digest_bytes(data)
    assert await store.get(digest) == data
    assert await store.size(digest) == len(data)


async def test_the_same_bytes_are_one_object(store: ArtifactStore) -> None:
    digests = [await store.put(DATA), await store.put(DATA), await store.put(b"other")]
    digests += await asyncio.gather(*(store.put(DATA) for _ in range(4)))
    assert sorted(set(digests)) == await digests_in(store)
    assert len(set(digests)) == 2


async def test_several_are_told_of_at_once_and_before_any_of_them_is_there(
    store: ArtifactStore,
) -> None:
    told: list[tuple[list[str], str]] = []

    async def use(digests: Sequence[str], name: str) -> None:
        assert await digests_in(store) == []
        told.append((list(digests), name))

    contents = [DATA, b"", b"other", DATA]
    digests = await store.telling(use).put_all(contents, "page", durable=True)

    assert digests == [digest_bytes(content) for content in contents]
    assert told == [(digests, "page")]
    assert [await store.get(digest) for digest in digests] == contents


async def test_damaged_bytes_are_never_given_out_and_storing_them_again_mends_them(
    store: ArtifactStore, tmp_path: Path
) -> None:
    digest = await store.put(DATA)
    flipped = bytes([DATA[0] ^ 1]) + DATA[1:]
    for damaged in (DATA[:-1], DATA + b"!", b"", flipped):
        await replace_bytes(store, digest, damaged)
        with pytest.raises(ArtifactError, match=f"{digest} is damaged"):
            await store.get(digest)
        with pytest.raises(ArtifactError, match=f"{digest} is damaged"):
            await store.get_to_file(digest, tmp_path / "copy")
        assert left_in(tmp_path, "copy*") == []
    await store.put(DATA)
    assert await store.get(digest) == DATA


async def test_a_flipped_bit_of_a_compressed_body_is_found(
    store: ArtifactStore, tmp_path: Path
) -> None:
    text = b"so it was said, and said again. " * 1000
    digest = await store.put(text)
    body = packed(text)
    for at in (5, len(body) // 2, len(body) - 1):
        await replace_bytes(store, digest, body[:at] + bytes([body[at] ^ 4]) + body[at + 1 :])
        with pytest.raises(ArtifactError, match="damaged"):
            await store.get(digest)
        with pytest.raises(ArtifactError, match="damaged"):
            await store.get_to_file(digest, tmp_path / "copy")


async def test_an_absent_artifact_is_named_with_the_way_to_make_it_anew(
    store: ArtifactStore, tmp_path: Path
) -> None:
    gone = f"{ABSENT} is gone; run the job again with --force"
    with pytest.raises(ArtifactError, match=gone):
        await store.get(ABSENT)
    with pytest.raises(ArtifactError, match=gone):
        await store.get_to_file(ABSENT, tmp_path / "copy")
    with pytest.raises(ArtifactError, match=gone):
        await store.read_range(ABSENT, 0, 1)
    assert not await store.exists(ABSENT)


async def test_a_model_comes_back_as_it_was(store: ArtifactStore) -> None:
    gap = Gap(stage="mine", unit_id="seg_0001", reason="ünï", start=1.5)
    assert await store.get_model(await store.put_model(gap), Gap) == gap


@pytest.mark.parametrize(
    "content",
    [b"", DATA, NOISE, b"the same line again\n" * 800_000, MAGIC + NOISE[: PART + 7]],
    ids=["empty", "small", "two parts", "shrinking", "like a frame"],
)
async def test_a_file_goes_there_and_comes_back_in_parts(
    store: ArtifactStore, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "body").write_bytes(content)
    digest = await store.put_file(tmp_path / "body")
    assert digest == digest_bytes(content)
    await store.get_to_file(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert await store.get(digest) == content
    assert await store.size(digest) == len(content)
    assert (tmp_path / "body").read_bytes() == content


@pytest.mark.parametrize("compress", [True, False])
async def test_a_range_is_of_the_content_whatever_the_form(
    store: ArtifactStore, tmp_path: Path, compress: bool
) -> None:
    content = NOISE[: PART + 100] if not compress else b"0123456789" * 100_000
    (tmp_path / "body").write_bytes(content)
    digest = await store.put_file(tmp_path / "body", compress=compress)
    size = len(content)
    for start, end in [(0, 4), (7, 7), (size - 3, size + 10), (size, size + 5), (5, size - 1)]:
        assert await store.read_range(digest, start, end) == content[start:end]


async def test_a_file_that_changes_while_it_is_sent_is_not_published(
    store: ArtifactStore, tmp_path: Path
) -> None:
    body = tmp_path / "body"
    body.write_bytes(NOISE)

    async def change(_digests: Sequence[str], _name: str) -> None:
        body.write_bytes(NOISE[:-1] + b"!")

    with pytest.raises(InputError, match="changed while it was stored"):
        await store.telling(change).put_file(body)
    assert await digests_in(store) == []
    assert await store.put_file(body) == digest_file(body)


@pytest.mark.parametrize("body", [b"{}", b"not JSON", b'{"stage":"mine","more":1}'])
async def test_bytes_that_are_no_such_model_are_an_error(store: ArtifactStore, body: bytes) -> None:
    digest = await store.put(body)
    with pytest.raises(ArtifactError, match=f"{digest} is not a Gap of this version"):
        await store.get_model(digest, Gap)


async def test_what_is_deleted_is_gone_and_deleting_it_again_is_fine(store: ArtifactStore) -> None:
    kept = await store.put(b"kept")
    gone = [await store.put(b"gone %d" % number) for number in range(20)]
    for _ in range(2):
        await asyncio.to_thread(store.delete, [*gone, ABSENT])
        assert await digests_in(store) == [kept]


async def test_named_objects_are_replaced_whole_and_are_no_artifacts(store: ArtifactStore) -> None:
    name = "runs/5f1c/checkpoint.json"
    assert await store.read_named(name) is None
    assert await store.list_named("runs") == []
    await store.delete_named(name)
    for data in (b"{}", b"", b'{"completed_steps": []}' * 1000):
        await store.write_named(name, data)
        assert await store.read_named(name) == data
    await store.write_named("runs/5f1c-2/checkpoint.json", b"other")
    assert await store.list_named("runs/5f1c") == [name]
    assert await store.list_named("runs") == ["runs/5f1c-2/checkpoint.json", name]
    assert await digests_in(store) == []
    await store.delete_named(name)
    assert await store.read_named(name) is None


@pytest.mark.parametrize(
    "name",
    ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", "a b", "a\\b", "a%2e", "sha256/aa/b", "ü"],
)
async def test_a_name_that_leaves_its_place_is_refused(name: str) -> None:
    store = ArtifactStore("memory://")
    with pytest.raises(UsageError):
        await store.write_named(name, b"")
    with pytest.raises(UsageError):
        await store.read_named(name)


async def test_a_check_leaves_nothing_behind(store: ArtifactStore, place: ObjectPlace) -> None:
    await store.check()
    assert [item.path async for item in store._store.list()] == []
    if place.server is not None:
        assert place.server.keys(place.bucket) == []


@pytest.mark.parametrize("url", ["https://host/x", "/var/artifacts", "", "ftp://host/a"])
def test_another_scheme_is_refused_with_those_that_are_supported(url: str) -> None:
    with pytest.raises(UsageError, match="only file:///folder, s3://bucket/prefix, gs://bucket"):
        ArtifactStore(url)


@pytest.mark.parametrize(
    "url",
    ["s3://key:hidden@bucket/p", "gs://bucket/p?token=hidden", "s3://user@bucket", "s3://b?hidden"],
)
def test_a_url_with_credentials_is_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(UsageError, match="credentials") as caught:
        ArtifactStore(url)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://", "gs:///prefix", "s3://bucket/a/../b", "s3://bucket/a b"])
def test_a_url_without_a_bucket_or_with_a_climbing_prefix_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        ArtifactStore(url)


def test_a_folder_that_cannot_be_made_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be made"):
        ArtifactStore((tmp_path / "file" / "artifacts").as_uri())


@pytest.mark.parametrize("kind", ["folder", "s3", "gs"])
async def test_another_store_on_the_same_place_reads_the_same(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = open_place(kind, request, monkeypatch, tmp_path)
    digest = await ArtifactStore(place.url, patience=QUICK).put(DATA)
    assert await ArtifactStore(f"{place.url}/", patience=QUICK).get(digest) == DATA


async def test_a_uri_names_the_file_also_where_the_folder_has_a_strange_name(
    tmp_path: Path,
) -> None:
    store = ArtifactStore((tmp_path / "my talks, 100% ünï").as_uri())
    digest = await store.put(DATA)
    found = Path(url2pathname(urlparse(store.uri(digest)).path))
    assert found.is_relative_to(tmp_path / "my talks, 100% ünï")
    assert digest_file(found) == digest


async def test_a_folder_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path.as_uri())
    (tmp_path / "sha256").touch()
    with pytest.raises(StorageRefusedError, match="Not a directory"):
        await store.put(DATA)
    with pytest.raises((StorageRefusedError, ArtifactError)):
        await store.get(ABSENT)


async def test_a_document_is_on_the_disk_before_a_row_can_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that the records call finished must not have an empty result after a power loss."""
    synced: set[int] = set()

    def fsync(handle: int) -> None:
        synced.add(os.fstat(handle).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    store = ArtifactStore(tmp_path.as_uri())
    file = tmp_path / content_path(await store.put_model(Gap(stage="mine", unit_id="a", reason="")))
    assert synced == {file.stat().st_ino, file.parent.stat().st_ino}
    await store.put(DATA)
    assert len(synced) == 2, "what can be made again does not wait for the disk"


async def test_a_disk_that_fails_to_keep_a_document_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(_handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    store = ArtifactStore(tmp_path.as_uri(), patience=QUICK)
    with pytest.raises(StorageUnavailableError):
        await store.put_model(Gap(stage="mine", unit_id="a", reason=""))


def test_a_uri_in_memory_keeps_its_scheme() -> None:
    assert ArtifactStore("memory://").uri(ABSENT).startswith("memory://")


def test_a_file_url_of_another_host_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        ArtifactStore(f"file://elsewhere{tmp_path}/artifacts")


async def test_a_file_under_a_name_is_read_by_range(
    store: ArtifactStore, place: ObjectPlace, tmp_path: Path
) -> None:
    file = tmp_path / "noise"
    file.write_bytes(NOISE)
    await store.put_named_file("things/a", file)
    assert await store.range_named("things/a", 5, 9) == NOISE[5:9]
    assert await store.range_named("things/a", 3, PART + 7) == NOISE[3 : PART + 7]
    assert await store.range_named("things/a", len(NOISE) - 2, len(NOISE) + 9) == NOISE[-2:]
    assert await store.range_named("things/b", 0, 1) is None
    [info] = await store.named("things")
    assert (info.path, info.size) == ("things/a", len(NOISE))
    assert store.is_elsewhere == (place.server is not None)
