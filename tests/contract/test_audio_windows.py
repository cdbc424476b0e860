"""A worker without the decoded recording reads the windows that it needs, and checks them.

The store is a real server of S3 and of Google Cloud Storage; the recording lies on a web server.
What is read of either is counted.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import wave
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stope.audio.samples
from stope.artifacts import ArtifactStore
from stope.audio.chunks import plan_chunks
from stope.audio.decode import Audio, decode_to_scratch, read_window, remove_scratch
from stope.audio.samples import RecordingSamples
from stope.audio.shared import SharedSamples
from stope.audio.timeline import Samples
from stope.errors import (
    InputError,
    ProviderUnavailableError,
    StorageUnavailableError,
)
from stope.identity import digest_bytes, digest_file
from stope.models.audio import SAMPLE_RATE, ChunkPlan
from stope.models.checkpoint import TranscribeCheckpoint
from stope.models.job import Diarize, InputKind, JobConfig, JobInput, JobType
from stope.models.transcript import ChunkTranscript
from stope.objects.port import PART, Piece, RawStore
from stope.objects.store import ObjectStore
from stope.sources.digests import remembered_digest
from stope.sources.source import Source, open_source
from stope.sources.window import BLOCK
from stope.speakers.scripted import ScriptedDiarizer
from stope.speech.scripted import ScriptedTranscriber
from stope.speech.stage import transcribe
from stope.speech.transcriber import Transcriber, Way
from stope.stage import StageOutcome
from tests.builders import stage_run_of
from tests.memory import MemoryMirror, MemoryUnitStore
from tests.object_servers import QUICK, SHORT, Mode, ObjectPlace, open_place, remote
from tests.waiting import until
from tests.web_files import WebFile, WebFiles, serving

__all__ = ["remote"]

JOB = "transcribe-1"
"""The job of ``stage_run_of``."""

LEFT = 2
"""Chunks that a worker leaves to another."""


@pytest.fixture(autouse=True)
def shared_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings of these tests are long enough to be shared."""
    monkeypatch.setattr(stope.audio.samples, "SHARED_FROM", SAMPLE_RATE)


@dataclass(frozen=True)
class Talk:
    """A recording, and what it is decoded to."""

    path: Path
    decoded: Path
    plan: ChunkPlan
    digest: str

    def window(self, start: int, end: int) -> bytes:
        return read_window(self.decoded, start, end).tobytes()


@pytest.fixture(scope="module")
def talk(interview: Path, tmp_path_factory: pytest.TempPathFactory) -> Talk:
    """A part of the example as 48 kHz stereo: several times what is read to look at a header."""
    folder = tmp_path_factory.mktemp("talk")
    decode_to_scratch(interview, folder / "all.s16")
    sound = read_window(folder / "all.s16", 0, 90 * SAMPLE_RATE)
    with wave.open(str(folder / "talk.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(3 * SAMPLE_RATE)
        file.writeframes(np.repeat(sound, 6).tobytes())
    decoded = folder / "talk.s16"
    decode_to_scratch(folder / "talk.wav", decoded)
    plan = plan_chunks(decoded)
    assert len(plan.chunks) > LEFT
    return Talk(folder / "talk.wav", decoded, plan, digest_file(folder / "talk.wav"))


@pytest.fixture
def web(talk: Talk) -> Iterator[WebFiles]:
    with serving() as files:
        files.files["/talk.wav"] = WebFile(talk.path.read_bytes())
        yield files


@dataclass
class Digests:
    """A ``DigestMemory``."""

    kept: dict[tuple[str, int, str], str] = field(default_factory=dict)

    async def known(self, location: str, size: int, version: str) -> str | None:
        return self.kept.get((location, size, version))

    async def keep(self, location: str, size: int, version: str, digest: str) -> None:
        self.kept[location, size, version] = digest


class Meter:
    """Stands before a store's driver and counts the bytes that are read of shared samples."""

    def __init__(self, store: ObjectStore) -> None:
        self.read: list[int] = []
        self._get = store.raw.get
        store.raw.get = self._counted  # type: ignore[method-assign]  # stands before it

    def _counted(self, path: str, start: int, end: int, *, version: str | None = None) -> Piece:
        piece = self._get(path, start, end, version=version)
        if path.startswith("samples/"):
            self.read.append(len(piece.data))
        return piece


class Ending(ScriptedTranscriber):
    """Hears until a chunk at which its worker ends, as soon as others may go on."""

    def __init__(self, last: str, shared: Callable[[], Awaitable[bool]]) -> None:
        super().__init__()
        self._last = last
        self._shared = shared

    async def transcribe(
        self, audio: Audio, language: str | None, way: Way = Way.PLAIN
    ) -> ChunkTranscript:
        """See ``Transcriber``."""
        if digest_bytes(np.rint(audio * 32768).astype("<i2").tobytes()) == self._last:
            await until(self._shared, "the samples to be shared")
            raise ProviderUnavailableError("it ends here")
        return await super().transcribe(audio, language, way)


class Worker:
    """A worker with a disk of its own. Plans, outputs, digests and artifacts are everybody's."""

    def __init__(self, folder: Path, artifacts_url: str, units: MemoryUnitStore, digests: Digests):
        self.scratch = folder / "scratch"
        self.engine = ScriptedTranscriber()
        self.diarizer = ScriptedDiarizer()
        self.artifacts = ArtifactStore(artifacts_url, patience=QUICK)
        self.meter = Meter(self.artifacts._store)
        self._units = units
        self._digests = digests

    async def transcribe(
        self, location: str, digest: str, diarize: Diarize = Diarize.OFF
    ) -> StageOutcome:
        run = stage_run_of(
            JobType.TRANSCRIBE, digest, TranscribeCheckpoint(file_path=location), MemoryMirror()
        )
        given = JobInput(kind=InputKind.RECORDING, digest=digest, path=location)
        config = JobConfig(language="en", diarize=diarize)
        run.job = run.job.model_copy(update={"input": given, "config": config})

        async def load_transcriber(_name: str) -> Transcriber:
            return self.engine

        async def load_diarizer() -> ScriptedDiarizer:
            return self.diarizer

        async def digest_source(source: Source) -> str:
            return await remembered_digest(source, self._digests)

        return await transcribe(
            run,
            units=self._units,
            artifacts=self.artifacts,
            load_transcriber=load_transcriber,
            load_diarizer=load_diarizer,
            scratch=self.scratch,
            text_limit=1 << 20,
            digest_source=digest_source,
        )

    def files(self) -> list[str]:
        """What lies in scratch."""
        return [path.name for path in self.scratch.rglob("*") if path.is_file()]


class Machines:
    """Workers of one installation, each with a folder of its own."""

    def __init__(self, folder: Path, artifacts_url: str) -> None:
        self._folder = folder
        self._url = artifacts_url
        self._units = MemoryUnitStore()
        self._digests = Digests()
        self._count = 0

    def add(self) -> Worker:
        self._count += 1
        folder = self._folder / f"machine-{self._count}"
        return Worker(folder, self._url, self._units, self._digests)

    async def dying(self, location: str, talk: Talk) -> Worker:
        """A worker that ends with some chunks left, its disk with it."""
        worker = self.add()

        async def shared() -> bool:
            is_bucket = worker.artifacts.is_elsewhere
            return not is_bucket or bool(await worker.artifacts.list_named("samples"))

        worker.engine = Ending(talk.plan.chunks[-LEFT].digest, shared)
        with pytest.raises(ProviderUnavailableError):
            await worker.transcribe(location, talk.digest)
        return worker


def shared_keys(place: ObjectPlace) -> list[str]:
    assert place.server is not None
    return [key for key in place.server.keys(place.bucket) if "/samples/" in key]


def said_of(holds: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    """A condition for ``until``."""

    async def asked() -> bool:
        return holds()

    return asked


async def undisturbed(talk: Talk, folder: Path, diarize: Diarize = Diarize.OFF) -> object:
    """The digest of the transcript by a single worker with everything in folders."""
    worker = Machines(folder / "alone", (folder / "alone" / "artifacts").as_uri()).add()
    outcome = await worker.transcribe(str(talk.path), talk.digest, diarize)
    return outcome.result["transcript_digest"]


async def test_another_machine_reads_the_windows_that_are_left_and_nothing_else(
    remote: ObjectPlace, web: WebFiles, talk: Talk, tmp_path: Path
) -> None:
    wanted = await undisturbed(talk, tmp_path)
    machines, url = Machines(tmp_path, remote.url), web.url("/talk.wav")
    first = await machines.dying(url, talk)
    assert web.sent >= talk.path.stat().st_size
    assert first.meter.read == []
    [key] = shared_keys(remote)
    assert key.endswith(f"/samples/{JOB}/{digest_file(talk.decoded)}.s16")

    web.sent = 0
    second = machines.add()
    outcome = await second.transcribe(url, talk.digest)

    left = talk.plan.chunks[-LEFT:]
    assert second.engine.heard == [chunk.digest for chunk in left]
    assert second.meter.read == [2 * (chunk.end_sample - chunk.start_sample) for chunk in left]
    assert second.files() == []
    # Of the recording itself: what tells that it is one.
    assert web.sent <= 2 * BLOCK < talk.path.stat().st_size / 2
    assert outcome.result["transcript_digest"] == wanted
    assert shared_keys(remote) == []


async def test_speakers_are_told_apart_by_windows_too(
    remote: ObjectPlace, web: WebFiles, talk: Talk, tmp_path: Path
) -> None:
    wanted = await undisturbed(talk, tmp_path, Diarize.REQUIRED)
    machines, url = Machines(tmp_path, remote.url), web.url("/talk.wav")
    await machines.dying(url, talk)
    second = machines.add()
    outcome = await second.transcribe(url, talk.digest, Diarize.REQUIRED)
    assert second.diarizer.listened == [chunk.digest for chunk in talk.plan.chunks]
    assert len(second.meter.read) == LEFT + len(talk.plan.chunks)
    assert second.files() == []
    assert outcome.result["transcript_digest"] == wanted


async def test_who_has_the_samples_on_its_own_disk_reads_them_there(
    remote: ObjectPlace, web: WebFiles, talk: Talk, tmp_path: Path
) -> None:
    machines, url = Machines(tmp_path, remote.url), web.url("/talk.wav")
    worker = await machines.dying(url, talk)
    worker.engine = ScriptedTranscriber()
    web.sent = 0
    await worker.transcribe(url, talk.digest)
    assert len(worker.engine.heard) == LEFT
    assert worker.meter.read == []
    assert web.sent <= 2 * BLOCK


async def test_a_folder_is_not_given_what_every_worker_can_decode(
    web: WebFiles, talk: Talk, tmp_path: Path
) -> None:
    machines, url = Machines(tmp_path, (tmp_path / "artifacts").as_uri()), web.url("/talk.wav")
    worker = await machines.dying(url, talk)
    assert await worker.artifacts.list_named("samples") == []
    assert f"{talk.digest}.s16" in worker.files()
    web.sent = 0
    await machines.add().transcribe(url, talk.digest)
    assert web.sent >= talk.path.stat().st_size


class Desk:
    """The samples of one job on one machine, without a stage around them."""

    def __init__(self, place: ObjectPlace, talk: Talk, folder: Path) -> None:
        self.store = ArtifactStore(place.url, patience=SHORT)
        self.shared = SharedSamples(self.store, JOB)
        self.file = folder / "here.s16"
        self.compared = 0
        self.notes: list[str] = []
        self.draining = asyncio.Event()
        self.samples = RecordingSamples(
            open_source(talk.path),
            self.file,
            shared=self.shared,
            compare=self._compare,
            note=self.notes.append,
            draining=self.draining,
        )
        self.changed = False
        self.samples.follow(talk.plan)

    async def _compare(self) -> None:
        self.compared += 1
        if self.changed:
            raise InputError("it has changed")

    async def window(self, talk: Talk, number: int) -> None:
        """Read a chunk, which has to be what it was."""
        chunk = talk.plan.chunks[number]
        found: Samples = await self.samples.window(chunk.start_sample, chunk.end_sample)
        assert found.tobytes() == talk.window(chunk.start_sample, chunk.end_sample)


@pytest.fixture
async def desk(remote: ObjectPlace, talk: Talk, tmp_path: Path) -> Desk:
    """A machine that has nothing yet; another one has shared the samples."""
    found = Desk(remote, talk, tmp_path)
    await found.shared.publish(talk.decoded)
    return found


async def test_a_window_is_checked_and_a_copy_that_is_damaged_is_made_anew(
    desk: Desk, remote: ObjectPlace, talk: Talk, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.window(talk, 0)
    assert not desk.file.exists()
    [key] = shared_keys(remote)
    assert remote.server is not None
    remote.server.overwrite(remote.bucket, key, bytes(2 * talk.plan.samples))
    with caplog.at_level(logging.INFO):
        await desk.window(talk, 1)
    assert "damaged" in caplog.text
    assert (desk.notes[0], desk.compared) == ("decoding", 1)
    assert desk.file.exists()

    async def is_sound() -> bool:
        found = await desk.shared.find(talk.plan.samples)
        return (
            found is not None
            and await desk.shared.read(found, 0, talk.plan.samples) == talk.decoded.read_bytes()
        )

    await until(is_sound, "a sound copy")


async def test_a_copy_that_is_gone_is_done_without_and_another_one_is_made(
    desk: Desk, remote: ObjectPlace, talk: Talk, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.window(talk, 0)
    await desk.shared.remove_all()
    assert shared_keys(remote) == []
    with caplog.at_level(logging.INFO):
        await desk.window(talk, 1)
    assert "are gone" in caplog.text
    assert desk.compared == 1
    await until(said_of(lambda: len(shared_keys(remote)) == 1), "another copy")


async def test_a_recording_that_has_changed_meanwhile_is_not_decoded_again(
    desk: Desk, talk: Talk
) -> None:
    await desk.window(talk, 0)
    await desk.shared.remove_all()
    desk.changed = True
    with pytest.raises(InputError, match="it has changed"):
        await desk.window(talk, 1)
    assert not desk.file.exists()


async def test_a_store_that_is_away_is_waited_for_and_not_passed_over(
    desk: Desk, remote: ObjectPlace, talk: Talk
) -> None:
    assert remote.door is not None
    remote.door.close()
    with pytest.raises(StorageUnavailableError):
        await desk.window(talk, 0)
    remote.door.open()
    await desk.window(talk, 0)
    remote.door.close()
    with pytest.raises(StorageUnavailableError):
        await desk.window(talk, 1)
    remote.door.open()
    await desk.window(talk, 1)
    assert not desk.file.exists()
    assert desk.notes == []


async def test_what_is_for_others_holds_nobody_up_who_has_the_samples(
    remote: ObjectPlace, talk: Talk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(remote, talk, tmp_path)
    decode_to_scratch(talk.path, desk.file)
    assert remote.door is not None
    remote.door.close()
    await desk.window(talk, 0)
    await until(said_of(lambda: "are not shared" in caplog.text), "a warning")
    remote.door.open()
    again = Desk(remote, talk, tmp_path)
    await again.window(talk, 0)
    await until(said_of(lambda: len(shared_keys(remote)) == 1), "a copy")


async def test_a_store_that_refuses_to_share_is_told_of_once(
    remote: ObjectPlace, talk: Talk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(remote, talk, tmp_path)
    decode_to_scratch(talk.path, desk.file)
    assert remote.door is not None
    remote.door.mode = Mode.DENYING
    async with desk.samples:
        await desk.window(talk, 0)
        await until(said_of(lambda: "are not shared" in caplog.text), "a warning")
        await desk.window(talk, 1)
    assert caplog.text.count("are not shared") == 1


async def test_a_store_that_hangs_holds_up_neither_a_window_nor_the_end(
    remote: ObjectPlace, talk: Talk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(remote, talk, tmp_path)
    sending, go_on = threading.Event(), threading.Event()
    put = desk.store._store.raw.put

    def hanging(path: str, data: bytes, **how: Any) -> bool:
        sending.set()
        go_on.wait()
        return put(path, data, **how)

    monkeypatch.setattr(desk.store._store.raw, "put", hanging)
    try:
        async with desk.samples:
            for number in range(len(talk.plan.chunks)):
                await desk.window(talk, number)
            await until(said_of(sending.is_set), "the copy to be sent")
            desk.draining.set()
        assert shared_keys(remote) == []
    finally:
        go_on.set()


async def test_what_is_sent_when_the_transcript_is_there_does_not_stay(
    remote: ObjectPlace, talk: Talk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(remote, talk, tmp_path)
    sending, go_on, sent = threading.Event(), threading.Event(), threading.Event()
    put = desk.store._store.raw.put

    def slow(path: str, data: bytes, **how: Any) -> bool:
        sending.set()
        go_on.wait()
        try:
            return put(path, data, **how)
        finally:
            sent.set()

    monkeypatch.setattr(desk.store._store.raw, "put", slow)
    try:
        async with desk.samples:
            await desk.window(talk, 0)
            await until(said_of(sending.is_set), "the copy to be sent")
            removing = asyncio.create_task(desk.samples.remove())
            await until(said_of(lambda: not desk.file.exists()), "the file to go")
            go_on.set()
            await removing
    finally:
        go_on.set()
    await until(said_of(sent.is_set), "the end of what was sent")
    assert shared_keys(remote) == []


async def test_a_copy_that_is_not_wanted_any_more_is_not_sent_to_its_end(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = open_place("s3", request, monkeypatch, tmp_path)
    store = ArtifactStore(place.url, patience=QUICK)
    file = tmp_path / "long.s16"
    with file.open("wb") as stream:
        stream.truncate(6 * PART)
    asked: list[bool] = []

    def stopped() -> bool:
        asked.append(len(asked) > 2)
        return asked[-1]

    assert await SharedSamples(store, JOB).publish(file, stopped) is None
    assert asked == [False, False, False, True]
    assert shared_keys(place) == []
    assert place.server is not None
    assert place.server.unfinished(place.bucket) == []


async def test_a_worker_that_leaves_begins_to_share_nothing(
    remote: ObjectPlace, talk: Talk, tmp_path: Path
) -> None:
    assert remote.door is not None
    desk = Desk(remote, talk, tmp_path)
    decode_to_scratch(talk.path, desk.file)
    desk.draining.set()
    before = remote.door.let_in
    async with desk.samples:
        await desk.window(talk, 0)
    assert remote.door.let_in == before


async def test_a_short_recording_is_not_shared(
    remote: ObjectPlace, talk: Talk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stope.audio.samples, "SHARED_FROM", talk.plan.samples + 1)
    assert remote.door is not None
    desk = Desk(remote, talk, tmp_path)
    before = remote.door.let_in
    async with desk.samples:
        await desk.window(talk, 0)
        await desk.samples.remove()
    assert remote.door.let_in == before


def spoilt(samples: bytes, how: str) -> bytes:
    """Samples as a crash or another decoder leaves them."""
    if how == "short":
        return samples[: len(samples) // 8]
    return bytes(len(samples)) if how == "zeros" else samples[2:] + samples[:2]


@pytest.mark.parametrize("how", ["short", "zeros", "otherwise"])
async def test_a_file_of_this_machine_is_believed_no_more_than_a_copy(
    how: str, talk: Talk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(ObjectPlace("memory", "memory://"), talk, tmp_path)
    decode_to_scratch(talk.path, desk.file)
    desk.file.write_bytes(spoilt(talk.decoded.read_bytes(), how))
    async with desk.samples:
        await asyncio.gather(*(desk.window(talk, at) for at in range(len(talk.plan.chunks))))
        await desk.window(talk, 1)
    assert caplog.text.count("not those of the plan") == 1
    assert (desk.notes, desk.compared) == (["decoding"], 1)


async def test_a_sound_copy_is_nearer_than_a_file_that_is_not_what_was_planned(
    desk: Desk, talk: Talk
) -> None:
    decode_to_scratch(talk.path, desk.file)
    desk.file.write_bytes(bytes(2 * talk.plan.samples))
    await desk.window(talk, 0)
    await desk.window(talk, 1)
    assert not desk.file.exists()
    assert desk.notes == []


async def test_what_is_decoded_otherwise_here_is_read_from_the_copy_where_there_is_one(
    desk: Desk, talk: Talk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def otherwise(_source: Source, file: Path) -> None:
        decode_to_scratch(talk.path, file)
        file.write_bytes(spoilt(talk.decoded.read_bytes(), "otherwise"))

    monkeypatch.setattr(stope.audio.samples, "decode_once", otherwise)
    await desk.samples.decode()
    await desk.window(talk, 0)
    await desk.window(talk, 1)
    assert desk.notes == ["decoding"]
    assert caplog.text.count("decoded otherwise here") == 1


async def test_the_whole_recording_is_checked_as_such_and_what_nobody_can_check_is_decoded(
    desk: Desk, talk: Talk, caplog: pytest.LogCaptureFixture
) -> None:
    whole = await desk.samples.window(0, talk.plan.samples)
    assert whole.tobytes() == talk.decoded.read_bytes()
    assert not desk.file.exists()
    some = await desk.samples.window(5, 1005)
    assert some.tobytes() == talk.window(5, 1005)
    assert desk.file.exists()
    assert caplog.text == ""


async def test_samples_that_do_not_fit_the_plan_are_not_shared(
    remote: ObjectPlace, talk: Talk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(remote, talk, tmp_path)
    first, *others = talk.plan.chunks
    other = first.model_copy(update={"digest": "0" * 64})
    desk.samples.follow(talk.plan.model_copy(update={"chunks": (other, *others)}))
    await desk.window(talk, 1)
    await until(said_of(lambda: "not shared" in caplog.text), "a warning")
    assert shared_keys(remote) == []
    # It is heard as it is: nobody has it otherwise.
    await desk.window(talk, 0)
    await desk.window(talk, 0)
    assert caplog.text.count("decoded otherwise here") == 1
    assert desk.notes == ["decoding"]


async def test_a_second_decode_is_of_the_same_recording(talk: Talk, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(talk.path.read_bytes())
    compared: list[str] = []

    async def compare() -> None:
        compared.append(digest_file(path))
        if compared[-1] != talk.digest:
            raise InputError("it has changed")

    samples = RecordingSamples(
        open_source(path),
        tmp_path / "a.s16",
        shared=None,
        compare=compare,
        note=lambda _: None,
        draining=asyncio.Event(),
    )
    samples.follow(talk.plan)
    assert (await samples.window(0, 10)).tobytes() == talk.window(0, 10)
    assert compared == []
    remove_scratch(tmp_path / "a.s16")
    assert (await samples.window(0, 10)).tobytes() == talk.window(0, 10)
    assert compared == [talk.digest]
    remove_scratch(tmp_path / "a.s16")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InputError, match="it has changed"):
        await samples.window(0, 10)


def test_drivers_are_counted(remote: ObjectPlace) -> None:
    """What the counts above rest on: every byte of a window comes through the driver."""
    store = ArtifactStore(remote.url, patience=QUICK)._store
    meter = Meter(store)
    raw: RawStore = store.raw
    raw.put("samples/j/x", b"12345678")
    assert store.piece("samples/j/x", 2, 6).data == b"3456"
    assert meter.read == [4]
