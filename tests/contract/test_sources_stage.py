"""A recording by URL is transcribed where it lies, by whichever worker, with the same words."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

import stope.audio.samples
from stope.artifacts import ArtifactStore
from stope.audio.decode import Audio, decode_to_scratch, read_window, remove_scratch
from stope.audio.timeline import Samples
from stope.errors import InputError, StorageUnavailableError
from stope.identity import digest_file
from stope.models.audio import SAMPLE_RATE
from stope.models.checkpoint import TranscribeCheckpoint
from stope.models.job import Diarize, InputKind, JobConfig, JobInput, JobType
from stope.models.transcript import ChunkTranscript
from stope.sources.source import Source
from stope.speech.scripted import ScriptedTranscriber
from stope.speech.stage import transcribe
from stope.speech.transcriber import Transcriber, Way
from stope.stage import StageOutcome
from tests.builders import stage_run_of
from tests.memory import MemoryMirror, MemoryUnitStore
from tests.object_servers import SHORT
from tests.web_files import WebFile, WebFiles, serving


@pytest.fixture(scope="module")
def talk(interview: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first half minute of the example, as a WAVE file."""
    folder = tmp_path_factory.mktemp("talk")
    decode_to_scratch(interview, folder / "all.s16")
    with wave.open(str(folder / "talk.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(read_window(folder / "all.s16", 0, 30 * SAMPLE_RATE).tobytes())
    return folder / "talk.wav"


@pytest.fixture
def web(talk: Path) -> Iterator[WebFiles]:
    with serving() as files:
        files.files["/talk.wav"] = WebFile(talk.read_bytes())
        yield files


class Worker:
    """A worker with a disk of its own. Plans, outputs and artifacts are everybody's."""

    def __init__(self, name: str, shared: Path, units: MemoryUnitStore) -> None:
        self.scratch = shared / name / "scratch"
        self.engine = ScriptedTranscriber()
        self._units = units
        self._artifacts = ArtifactStore((shared / "artifacts").as_uri(), patience=SHORT)

    async def transcribe(self, location: str, digest: str) -> StageOutcome:
        run = stage_run_of(
            JobType.TRANSCRIBE, digest, TranscribeCheckpoint(file_path=location), MemoryMirror()
        )
        given = JobInput(kind=InputKind.RECORDING, digest=digest, path=location)
        config = JobConfig(language="en", diarize=Diarize.OFF)
        run.job = run.job.model_copy(update={"input": given, "config": config})

        async def load(_name: str) -> Transcriber:
            return self.engine

        async def nobody(*_: object) -> object:
            raise AssertionError("nobody asked for speakers")

        return await transcribe(
            run,
            units=self._units,
            artifacts=self._artifacts,
            load_transcriber=load,
            load_diarizer=nobody,  # type: ignore[arg-type]  # never called
            scratch=self.scratch,
            text_limit=1 << 20,
        )


async def test_a_url_gives_the_words_of_the_file_and_needs_no_copy_of_it(
    web: WebFiles, talk: Path, tmp_path: Path
) -> None:
    digest = digest_file(talk)
    here = Worker("here", tmp_path, MemoryUnitStore())
    there = Worker("there", tmp_path, MemoryUnitStore())
    by_path = await here.transcribe(str(talk), digest)
    by_url = await there.transcribe(web.url("/talk.wav"), digest)
    assert by_url.result["transcript_digest"] == by_path.result["transcript_digest"]
    assert there.engine.heard == here.engine.heard != []
    kept = [path for path in (tmp_path / "there").rglob("*") if path.is_file()]
    assert kept == []


async def test_another_worker_goes_on_from_the_same_url(
    web: WebFiles, talk: Path, tmp_path: Path
) -> None:
    digest, units = digest_file(talk), MemoryUnitStore()
    first, second = Worker("first", tmp_path, units), Worker("second", tmp_path, units)
    web.files["/talk.wav"].status = 503
    with pytest.raises(StorageUnavailableError, match="The work goes on when it answers"):
        await first.transcribe(web.url("/talk.wav"), digest)
    web.files["/talk.wav"].status = 0
    outcome = await first.transcribe(web.url("/talk.wav"), digest)
    again = await second.transcribe(web.url("/talk.wav"), digest)
    assert again.result["transcript_digest"] == outcome.result["transcript_digest"]
    assert second.engine.heard == []


async def test_what_is_there_now_must_be_what_the_job_is_of(
    web: WebFiles, talk: Path, tmp_path: Path
) -> None:
    old = web.files["/talk.wav"].data
    web.files["/talk.wav"] = WebFile(old + b"\0", etag='"v2"')
    worker = Worker("here", tmp_path, MemoryUnitStore())
    with pytest.raises(InputError, match="has changed since this job was made"):
        await worker.transcribe(web.url("/talk.wav"), digest_file(talk))
    assert worker.engine.heard == []


def test_a_source_is_a_file_or_remote() -> None:
    with pytest.raises(ValueError, match="a file or remote"):
        Source("nowhere")


async def test_who_ends_first_takes_nothing_away_from_another_run_of_the_same_recording(
    talk: Path, tmp_path: Path
) -> None:
    digest = digest_file(talk)
    undisturbed = Worker("alone", tmp_path, MemoryUnitStore())
    wanted = await undisturbed.transcribe(str(talk), digest)
    worker = Worker("here", tmp_path, MemoryUnitStore())

    class Robbed(ScriptedTranscriber):
        """Each time it listens, another run has just removed what was decoded."""

        async def transcribe(
            self, audio: Audio, language: str | None, way: Way = Way.PLAIN
        ) -> ChunkTranscript:
            remove_scratch(worker.scratch / f"{digest}.s16")
            return await super().transcribe(audio, language, way)

    worker.engine = Robbed()
    outcome = await worker.transcribe(str(talk), digest)
    assert len(worker.engine.heard) == len(undisturbed.engine.heard) > 1
    assert outcome.result["transcript_digest"] == wanted.result["transcript_digest"]


async def test_what_is_removed_in_the_midst_of_reading_is_decoded_again(
    talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, worker = digest_file(talk), Worker("here", tmp_path, MemoryUnitStore())
    robbed: list[Path] = []

    def read(scratch: Path, start: int, end: int) -> Samples:
        if not robbed:
            robbed.append(scratch)
            remove_scratch(scratch)
        return read_window(scratch, start, end)

    monkeypatch.setattr(stope.audio.samples, "read_window", read)
    outcome = await worker.transcribe(str(talk), digest)
    assert robbed
    assert not outcome.gaps
