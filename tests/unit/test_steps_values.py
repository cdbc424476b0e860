"""Every value of a context comes back the same, of the same type, or is refused when given."""

from __future__ import annotations

import asyncio
import json
import math
import random
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import BaseModel

from stope.artifacts import ArtifactStore
from stope.errors import ArtifactError, PermanentError, UsageError
from stope.identity import canonical_json
from stope.models.frozen import Frozen
from stope.steps import json_text, store
from stope.steps.cache import ContextCache
from stope.steps.codecs import Codec, JsonCodec, codec_of, register
from stope.steps.json_text import from_json, is_longer, json_pieces
from stope.steps.store import INLINE_BYTES, ValueStore, referred
from stope.steps.values import Picture, Table

DTYPES = ("?", "u1", "<i2", ">i4", "f2", "<f4", "f8", "c16", "U7", "S3", "<M8[ms]", "i4,f8")


class Box(Frozen):
    left: float
    names: tuple[str, ...] = ()


class Loose(BaseModel):
    score: float = 0.0


class Weight:
    """A type of somebody's own."""

    def __init__(self, grams: int) -> None:
        self.grams = grams


class WeightCodec(Codec[Weight]):
    """All that a new type needs."""

    tag: ClassVar[str] = "weight"
    kinds: ClassVar[tuple[type, ...]] = (Weight,)

    def encode(self, value: Weight) -> bytes:
        return str(value.grams).encode()

    def decode(self, data: bytes, kind: type[Weight]) -> Weight:
        return kind(int(data))


class CountingStore(ArtifactStore):
    """A store in memory that counts its reads."""

    def __init__(self) -> None:
        super().__init__("memory://")
        self.reads = 0

    async def get(self, digest: str, name: str = "") -> bytes:
        self.reads += 1
        return await super().get(digest, name)


@pytest.fixture
def storage() -> CountingStore:
    return CountingStore()


def fresh(storage: ArtifactStore) -> ValueStore:
    """As another process sees it: nothing in memory."""
    return ValueStore(storage, ContextCache())


def arrays(seed: int) -> Iterator[np.ndarray[Any, Any]]:
    """Arrays of many types and shapes, also empty ones and views in any order."""
    chance = random.Random(seed)  # noqa: S311  (no secret)
    for dtype in DTYPES:
        shape = tuple(chance.choice((0, 1, 2, 5)) for _ in range(chance.randrange(4)))
        size = max(1, math.prod(shape)) * np.dtype(dtype).itemsize
        raw = np.frombuffer(chance.randbytes(size), np.uint8)
        if dtype in ("U7", "S3", "?"):
            yield np.full(shape, "é" if dtype == "U7" else 1).astype(dtype)
        else:
            flat = raw[: math.prod(shape) * np.dtype(dtype).itemsize].view(dtype)
            yield flat.reshape(shape)
    base = np.arange(60, dtype="i2").reshape(3, 4, 5)
    yield from (base.T, base[:, ::2], np.asfortranarray(base), base[1:1], np.array(3.5))


@pytest.mark.parametrize("seed", range(5))
async def test_an_array_comes_back_with_its_type_and_shape(
    storage: CountingStore, seed: int
) -> None:
    for array in arrays(seed):
        entry = await fresh(storage).entry("a", array, np.ndarray)
        back = await fresh(storage).value("a", entry, np.ndarray)
        assert type(back) is np.ndarray
        assert (back.dtype, back.shape) == (array.dtype, array.shape)
        assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "pixels",
    [
        np.arange(35, dtype=np.uint8).reshape(5, 7),
        np.arange(0, 65_535, 1873, dtype=np.uint16).reshape(5, 7),
        np.random.default_rng(1).integers(0, 256, (9, 4, 3), np.uint8),
        np.random.default_rng(2).integers(0, 256, (3, 11, 4), np.uint8),
        np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [1, 2, 3]]], np.uint8),
    ],
    ids=["grey", "grey-16", "rgb", "rgba", "known-colours"],
)
async def test_a_picture_comes_back_pixel_for_pixel(
    storage: CountingStore, pixels: np.ndarray[Any, Any]
) -> None:
    digest = await fresh(storage).put(Picture(pixels))
    assert (await storage.get(digest)).startswith(b"\x89PNG")
    back = await fresh(storage).load(digest, Picture)
    assert back == Picture(pixels)
    assert back.pixels.dtype == pixels.dtype


@pytest.mark.parametrize(
    "value",
    [
        Table({"x": np.arange(4, dtype="u2"), "file": np.array(["a", "é\n", "", "d"])}),
        Table({}),
        Box(left=0.1, names=("a",)),
        Loose(score=1.0),
        b"\x00\xffonnx",
        b"",
    ],
    ids=["table", "empty-table", "frozen-model", "model", "bytes", "no-bytes"],
)
async def test_other_values_come_back_the_same(storage: CountingStore, value: object) -> None:
    kind = type(value)
    entry = await fresh(storage).entry("v", value, kind)
    back = await fresh(storage).value("v", entry, kind)
    assert type(back) is kind
    assert back == value


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.0, None, True, "é", {"b": []}]},
        [],
        7,
        -0.5,
        "text",
        False,
        None,
        {"$artifact": "looks like a reference"},
    ],
)
async def test_json_stands_in_the_context_as_it_is(storage: CountingStore, value: object) -> None:
    entry = await fresh(storage).entry("v", value, type(value))
    back = await fresh(storage).value("v", entry, type(value))
    assert (type(back), repr(back)) == (type(value), repr(value))
    assert (referred(entry) is None) == (not isinstance(value, dict) or "$artifact" not in value)


async def test_large_json_becomes_an_artifact(storage: CountingStore) -> None:
    value = ["x" * 100] * (INLINE_BYTES // 100 + 1)
    entry = await fresh(storage).entry("v", value, list)
    assert referred(entry) is not None
    assert await fresh(storage).value("v", entry, list) == value


@pytest.mark.parametrize(
    ("value", "kind", "sentence"),
    [
        ((1, 2), list, "declared as list, and is a tuple"),
        (True, int, "declared as int, and is a bool"),
        ([(1, 2)], list, "tuple inside"),
        ({"a": {1: 2}}, dict, "key of a stored dict is 1"),
        ([float("nan")], list, "no form in JSON"),
        (np.array([object()]), np.ndarray, "holds Python objects"),
        (Loose(score=float("nan")), Loose, "does not come back the same"),
        (np.ma.masked_array([1]), np.ndarray, "is a MaskedArray"),
    ],
)
async def test_what_would_come_back_otherwise_is_refused(
    storage: CountingStore, value: object, kind: type, sentence: str
) -> None:
    with pytest.raises(PermanentError, match=sentence):
        await fresh(storage).entry("v", value, kind)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((2, 2), np.float32),
        np.zeros((2, 2, 3), np.uint16),
        np.zeros((0, 2), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(pixels: np.ndarray[Any, Any]) -> None:
    with pytest.raises(UsageError, match="is no picture"):
        Picture(pixels)


def test_columns_of_unequal_length_are_no_table() -> None:
    with pytest.raises(UsageError, match="equally long"):
        Table({"a": np.zeros(2), "b": np.zeros(3)})


async def test_a_type_of_ones_own_is_one_small_class(storage: CountingStore) -> None:
    assert codec_of(Weight) is None
    register(WeightCodec())
    entry = await fresh(storage).entry("w", Weight(7), Weight)
    assert (await fresh(storage).value("w", entry, Weight)).grams == 7


@pytest.mark.parametrize("kind", [np.ndarray, Picture, Table, Box, list])
async def test_bytes_of_another_kind_are_told(storage: CountingStore, kind: type) -> None:
    digest = await storage.put(b"not what it should be")
    with pytest.raises(ArtifactError):
        await fresh(storage).load(digest, kind)


async def test_a_pickle_is_never_loaded(storage: CountingStore) -> None:
    file_of_objects = b"\x93NUMPY\x01\x00v\x00" + (
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    )
    digest = await storage.put(file_of_objects + b"\x80\x04N.")
    with pytest.raises(ArtifactError):
        await fresh(storage).load(digest, np.ndarray)


async def test_an_entry_of_another_type_is_told(storage: CountingStore) -> None:
    values = fresh(storage)
    entry = await values.entry("a", np.zeros(2), np.ndarray)
    with pytest.raises(ArtifactError, match="stored as array, and declared as Table"):
        await values.value("a", entry, Table)
    with pytest.raises(ArtifactError, match="is a int, and declared as list"):
        await values.value("a", 3, list)


async def test_what_was_made_here_is_not_read_from_the_storage(storage: CountingStore) -> None:
    values = fresh(storage)
    entry = await values.entry("a", np.arange(1000), np.ndarray)
    for _ in range(3):
        assert (await values.value("a", entry, np.ndarray))[-1] == 999
    assert storage.reads == 0
    assert (values.counts.from_memory, values.counts.from_storage) == (3, 0)
    elsewhere = fresh(storage)
    for _ in range(3):
        await elsewhere.value("a", entry, np.ndarray)
    assert storage.reads == 1
    assert (elsewhere.counts.from_memory, elsewhere.counts.from_storage) == (2, 1)


async def test_what_is_shared_cannot_be_changed_for_others(storage: CountingStore) -> None:
    values = fresh(storage)
    array = np.zeros(3)
    entry = await values.entry("a", array, np.ndarray)
    found = await values.value("a", entry, np.ndarray)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1
    array[0] = 5
    assert (await values.value("a", entry, np.ndarray))[0] == 0
    many = ["x" * 100] * 100
    stored = await values.entry("l", many, list)
    (await values.value("l", stored, list)).append("y")
    assert await values.value("l", stored, list) == many


async def test_what_can_be_changed_is_kept_as_it_is_stored(storage: CountingStore) -> None:
    cache = ContextCache()
    values = ValueStore(storage, cache)
    many = [{"name": "é" * 50, "at": at} for at in range(100)]
    many_entry = await values.entry("l", many, list)
    loose_entry = await values.entry("m", Loose(score=1.5), Loose)
    sizes = [len(await storage.get(str(referred(entry)))) for entry in (many_entry, loose_entry)]
    assert cache.bytes == sum(sizes)
    (await values.value("m", loose_entry, Loose)).score = 2
    assert await values.value("m", loose_entry, Loose) == Loose(score=1.5)
    (await values.value("l", many_entry, list))[0]["at"] = 7
    assert await values.value("l", many_entry, list) == many
    assert values.counts.from_storage == 0


class Heart:
    """Beats on the event loop, as often as that has time."""

    def __init__(self) -> None:
        self.beats = 0
        self._loop = asyncio.get_running_loop()
        self._beat()

    def _beat(self) -> None:
        self.beats += 1
        self._next = self._loop.call_later(0.001, self._beat)

    def stop(self) -> None:
        self._next.cancel()

    def goes_on(self) -> None:
        """Blocks until it has beaten again: for ever, where it is the loop that is blocked."""
        before, ends = self.beats, time.monotonic() + 20
        while self.beats < before + 3:
            assert time.monotonic() < ends, "the heart stands still"
            time.sleep(0.001)


@pytest.fixture
async def heart() -> AsyncIterator[Heart]:
    heart = Heart()
    yield heart
    heart.stop()


LARGE = 20_000_000


def large(kind: type) -> Any:
    """Twenty megabytes of JSON, and more, in one value."""
    items = [{"id": at, "text": f"{at:0160d}", "score": at / 7} for at in range(LARGE // 200)]
    return items if kind is list else {"of": {"all": items}}


@pytest.mark.parametrize("kind", [list, dict])
async def test_the_heart_beats_while_a_large_value_is_stored_and_loaded(
    storage: CountingStore, monkeypatch: pytest.MonkeyPatch, heart: Heart, kind: type
) -> None:
    value = large(kind)
    encode, decode = JsonCodec.encode, JsonCodec.decode

    def watched_encode(codec: JsonCodec, given: Any) -> bytes:
        heart.goes_on()
        return encode(codec, given)

    def watched_decode(codec: JsonCodec, data: bytes, given: type) -> Any:
        heart.goes_on()
        return decode(codec, data, given)

    monkeypatch.setattr(JsonCodec, "encode", watched_encode)
    monkeypatch.setattr(JsonCodec, "decode", watched_decode)
    values = fresh(storage)
    entry = await values.entry("v", value, kind)
    # From memory, and from the storage.
    assert await values.value("v", entry, kind) == value
    assert await fresh(storage).value("v", entry, kind) == value
    assert values.counts.from_memory == 1


async def test_a_thread_that_writes_or_reads_large_json_lets_others_run(heart: Heart) -> None:
    value = large(dict)
    before = heart.beats
    data = await asyncio.to_thread(lambda: "".join(json_pieces(value)).encode())
    written = heart.beats
    assert await asyncio.to_thread(from_json, data) == value
    read = heart.beats
    assert len(data) > LARGE
    assert data.decode() == canonical_json(value)
    assert written - before > 10
    assert read - written > 10


@pytest.mark.parametrize("seed", range(20))
def test_json_in_pieces_is_the_canonical_json(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "_PIECE", 20)
    monkeypatch.setattr(json_text, "_AT_ONCE", 3)
    monkeypatch.setattr(json_text, "_AT_A_TIME", 0)
    value = anything(random.Random(seed), 5)  # noqa: S311  (no secret)
    text = "".join(json_pieces(value))
    assert text == canonical_json(value)
    assert repr(from_json(text.encode())) == repr(json.loads(text))
    for characters in (0, 1, 10, 100):
        if is_longer(value, characters):
            assert len(text) > characters


def anything(chance: random.Random, depth: int) -> Any:
    """A plain value."""
    kind = chance.randrange(8 if depth else 6)
    if kind < 6:
        return (None, True, chance.randrange(10**9), chance.random(), 'é"\n', -(10**30))[kind]
    some = [anything(chance, depth - 1) for _ in range(chance.randrange(9))]
    return some if kind == 6 else {f"k{chance.random()}": item for item in some}


@pytest.mark.parametrize(
    "value", [["x"] * 2000, "x" * 3000, {"a": ["x" * 1100] * 2}, 10**4000, {"x" * 3000: 1}]
)
def test_what_is_surely_long_is_known_before_it_is_encoded(value: object) -> None:
    assert is_longer(value, INLINE_BYTES)


async def test_a_lost_artifact_is_seen_also_where_it_is_in_memory(storage: CountingStore) -> None:
    values = fresh(storage)
    entry = await values.entry("a", np.arange(9), np.ndarray)
    storage.delete([str(referred(entry))])
    with pytest.raises(ArtifactError):
        await values.check("a", entry, np.ndarray)


def test_memory_is_bounded_and_gives_up_what_was_used_longest_ago() -> None:
    cache = ContextCache(most_bytes=100)
    for number in range(4):
        cache.keep(f"d{number}", str, f"value {number}", 40)
        cache.find("d0", str)
        assert cache.bytes <= 100
    assert [cache.find(f"d{number}", str) for number in range(4)] == [
        "value 0",
        None,
        None,
        "value 3",
    ]
    cache.keep("large", str, "larger than all", 101)
    assert cache.find("large", str) is None
    assert (len(cache), cache.bytes) == (2, 80)
    cache.keep("d0", str, "value 0", 60)
    assert (len(cache), cache.bytes) == (2, 100)
    assert cache.find("d0", bytes) is None


async def test_values_that_are_made_in_a_thread_are_stored_in_their_order(
    storage: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_TOGETHER", 300)
    threads: set[int] = set()

    def made() -> Iterator[object]:
        for number in range(9):
            threads.add(threading.get_ident())
            yield np.full(100, number, np.uint8) if number % 2 else {"number": number}

    values = fresh(storage)
    digests = await values.put_all(made())

    assert threading.get_ident() not in threads
    assert len(set(digests)) == len(digests) == 9
    for reader in (values, fresh(storage)):
        for number, digest in enumerate(digests):
            if number % 2:
                array = await reader.load(digest, np.ndarray)
                assert array.tolist() == [number] * 100
            else:
                assert await reader.load(digest, dict) == {"number": number}
    assert await values.put_all([]) == []


async def test_a_value_as_large_as_a_batch_is_stored_in_one_go(
    storage: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_TOGETHER", 300)
    told: list[int] = []

    async def use(digests: Sequence[str], _name: str) -> None:
        told.append(len(digests))

    values = ValueStore(storage.telling(use), ContextCache())
    large = [np.full(400, number, np.uint8) for number in (1, 2)]
    await values.put(large[0])
    assert told == [1]
    await values.put_all(large)
    assert told == [1, 1, 1]


class WatchedStore(ArtifactStore):
    """A store in memory that says when it has been given all that it will be."""

    def __init__(self) -> None:
        super().__init__("memory://")
        self.ended = threading.Event()

    async def put_all(
        self, contents: Iterable[bytes], name: str = "", *, durable: bool = False
    ) -> list[str]:
        def watched() -> Iterator[bytes]:
            yield from contents
            self.ended.set()

        return await super().put_all(watched(), name, durable=durable)


async def test_what_is_given_up_makes_no_more_values() -> None:
    begun, go_on, made = threading.Event(), threading.Event(), list[int]()
    storage = WatchedStore()

    def values() -> Iterator[object]:
        for number in range(50):
            made.append(number)
            begun.set()
            go_on.wait(30)
            yield np.full(3, number)

    putting = asyncio.create_task(fresh(storage).put_all(values()))
    assert await asyncio.to_thread(begun.wait, 30)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    go_on.set()
    assert await asyncio.to_thread(storage.ended.wait, 30)
    assert made == [0]


async def test_when_one_of_several_values_cannot_be_made_none_is_stored(
    storage: CountingStore,
) -> None:
    def made() -> Iterator[object]:
        yield np.full(3, 0.125)
        raise UsageError("There is no second one.")

    before = {found.digest async for found in storage.stored()}
    with pytest.raises(UsageError, match="no second one"):
        await fresh(storage).put_all(made())
    with pytest.raises(PermanentError, match="no codec for PosixPath"):
        await fresh(storage).put_all([b"first of two", Path("second")])
    assert {found.digest async for found in storage.stored()} == before
