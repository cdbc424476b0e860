"""Diarizing in the transcribe stage: what survives when it fails, what is not done twice."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stope.speech.stage
from stope.artifacts import ArtifactStore
from stope.audio.decode import scratch_samples
from stope.errors import (
    ChunkUndecodableError,
    DiarizationError,
    ModelFileError,
    RecordsBusyError,
    StopeError,
)
from stope.identity import digest_bytes, digest_file
from stope.models.audio import Chunk, ChunkPlan
from stope.models.checkpoint import TranscribeCheckpoint
from stope.models.diarization import Diarization
from stope.models.job import (
    Diarize,
    InputKind,
    Job,
    JobConfig,
    JobInput,
    JobRun,
    JobStatus,
    JobType,
)
from stope.models.transcript import Transcript
from stope.speakers.diarizer import Diarizer
from stope.speakers.scripted import ScriptedDiarizer
from stope.speech.scripted import ScriptedTranscriber
from stope.speech.stage import transcribe
from stope.stage import StageOutcome, StageRun
from tests.memory import RUN_BEGAN, MemoryMirror, MemoryUnitStore

RATE = 16_000


class Lab:
    """One recording with three chunks, or none, and all that a transcribe stage needs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, chunks: int = 3) -> None:
        self.path = folder / "talk.wav"
        self.units = MemoryUnitStore()
        self.artifacts = ArtifactStore((folder / "artifacts").as_uri())
        self.transcriber = ScriptedTranscriber()
        self.mirror = MemoryMirror()
        self._scratch = folder / "scratch"
        self._chunks = chunks
        sound = np.random.default_rng(1).integers(-3000, 3000, 12 * RATE, dtype=np.int16)
        with wave.open(str(self.path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(sound.tobytes())
        # The plan is given: what speech is, is not the question here.
        monkeypatch.setattr(stope.speech.stage, "plan_chunks", self._plan)

    def _plan(self, scratch: Path) -> ChunkPlan:
        samples = np.fromfile(scratch, "<i2")
        spans = [
            (4 * RATE * number, 4 * RATE * number + 3 * RATE) for number in range(self._chunks)
        ]
        return ChunkPlan(
            samples=scratch_samples(scratch),
            chunks=tuple(
                Chunk(
                    id=f"chunk_{number:04d}",
                    start_sample=start,
                    end_sample=end,
                    digest=digest_bytes(samples[start:end].tobytes()),
                )
                for number, (start, end) in enumerate(spans, start=1)
            ),
        )

    async def run(
        self,
        diarizer: Diarizer[Any] | StopeError | Exception,
        diarize: Diarize = Diarize.AUTO,
        speakers: int | None = None,
    ) -> StageOutcome:
        async def load_transcriber(_name: str) -> ScriptedTranscriber:
            return self.transcriber

        async def load_diarizer() -> Diarizer[Any]:
            if isinstance(diarizer, Exception):
                raise diarizer
            return diarizer

        job = Job(
            id="transcribe-1",
            type=JobType.TRANSCRIBE,
            input=JobInput(
                kind=InputKind.RECORDING, digest=digest_file(self.path), path=str(self.path)
            ),
            config=JobConfig(language="en", diarize=diarize, speakers=speakers),
            status=JobStatus.RUNNING,
            created_at=RUN_BEGAN,
        )
        attempt = JobRun(
            run_id="run-1",
            job_id=job.id,
            attempt=1,
            workflow_id=job.id,
            status=JobStatus.RUNNING,
            created_at=RUN_BEGAN,
        )
        return await transcribe(
            StageRun(
                job=job,
                run=attempt,
                checkpoint=TranscribeCheckpoint(file_path=str(self.path)),
                stage="",
                mirror=self.mirror,
                beat=lambda _: None,
                draining=asyncio.Event(),
                max_workers=1,
            ),
            units=self.units,
            artifacts=self.artifacts,
            load_transcriber=load_transcriber,
            load_diarizer=load_diarizer,
            scratch=self._scratch,
            text_limit=100_000,
        )

    async def transcript(self, outcome: StageOutcome) -> Transcript:
        return await self.artifacts.get_model(str(outcome.result["transcript_digest"]), Transcript)

    @property
    def stages(self) -> list[object]:
        return list(dict.fromkeys(body["stage"] for body in self.mirror.bodies))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


async def test_every_word_has_its_speaker_and_the_turns_are_kept(lab: Lab) -> None:
    outcome = await lab.run(ScriptedDiarizer())
    transcript = await lab.transcript(outcome)
    assert set(transcript.word_speakers) == {"S1", "S2"}
    assert transcript.text.count("\n") == 2
    kept = await lab.artifacts.get_model(str(outcome.result["diarization_digest"]), Diarization)
    assert [turn.speaker for turn in kept.turns] == ["S1", "S2", "S1"]
    assert outcome.result["speakers"] == kept.speakers == 2
    assert outcome.status is JobStatus.SUCCEEDED
    assert lab.stages == ["validating", "transcribing", "diarizing", "storing", "completed"]


async def test_the_plain_transcript_stands_in_the_checkpoint_before_anybody_is_told_apart(
    lab: Lab,
) -> None:
    await lab.run(ScriptedDiarizer())
    first = next(body for body in lab.mirror.bodies if body["stage"] == "diarizing")
    last = lab.mirror.bodies[-1]
    assert first["transcript_path"]
    assert first["transcript_path"] != last["transcript_path"]
    assert "\n" not in str(first["transcript_text"])
    assert str(first["transcript_text"]).split() == str(last["transcript_text"]).split()


async def test_the_text_in_the_last_checkpoint_is_that_of_the_stored_transcript(lab: Lab) -> None:
    stored = await lab.transcript(await lab.run(ScriptedDiarizer()))
    assert lab.mirror.bodies[-1]["transcript_text"] == stored.text
    assert "\n" in stored.text


@pytest.mark.parametrize(
    "diarizer",
    [
        ModelFileError("no weights."),
        ScriptedDiarizer(trouble=ValueError("no voices")),
        ScriptedDiarizer(trouble=DiarizationError("not so many")),
    ],
    ids=["cannot be loaded", "breaks", "refuses"],
)
async def test_under_auto_the_transcript_survives_and_says_so(
    lab: Lab, diarizer: ScriptedDiarizer | Exception
) -> None:
    outcome = await lab.run(diarizer)
    transcript = await lab.transcript(outcome)
    assert transcript.words
    assert set(transcript.word_speakers) == {None}
    [gap] = outcome.gaps
    assert (gap.stage, gap.unit_id) == ("diarize", "diarization")
    assert gap.reason.startswith("the transcript has no speakers: ")
    assert outcome.status is JobStatus.SUCCEEDED_WITH_GAPS
    assert "diarization_digest" not in outcome.result


async def test_when_required_the_run_fails_and_a_later_one_hears_nothing_again(lab: Lab) -> None:
    with pytest.raises(DiarizationError, match=r"--diarize required.*no weights\. The transcript"):
        await lab.run(ModelFileError("no weights."), Diarize.REQUIRED)
    kept = lab.mirror.bodies[-1]
    assert kept["stage"] == "diarizing"
    assert kept["transcript_path"]
    assert kept["transcript_text"]
    heard = list(lab.transcriber.heard)
    outcome = await lab.run(ScriptedDiarizer(), Diarize.REQUIRED)
    assert lab.transcriber.heard == heard
    assert outcome.result["speakers"] == 2


async def test_what_was_heard_is_not_heard_again(lab: Lab) -> None:
    with pytest.raises(RecordsBusyError):
        await lab.run(ScriptedDiarizer(trouble=RecordsBusyError("later")))
    again = ScriptedDiarizer()
    await lab.run(again)
    assert again.listened == []


async def test_one_chunk_that_cannot_be_heard_is_a_gap_and_its_words_have_a_speaker(
    lab: Lab,
) -> None:
    first = ScriptedDiarizer()
    await lab.run(first)
    lab.units = MemoryUnitStore()
    broken = ScriptedDiarizer({first.listened[1]: ChunkUndecodableError("noise")})
    outcome = await lab.run(broken)
    [gap] = outcome.gaps
    assert (gap.stage, gap.unit_id, gap.start) == ("diarize", "chunk_0002", 4.0)
    assert None not in (await lab.transcript(outcome)).word_speakers


async def test_off_asks_nobody(lab: Lab) -> None:
    outcome = await lab.run(AssertionError("nobody asked"), Diarize.OFF)
    assert outcome.status is JobStatus.SUCCEEDED
    assert "speakers" not in outcome.result
    assert "diarizing" not in lab.stages


async def test_only_silence_has_no_turns_and_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(tmp_path, monkeypatch, chunks=0)
    outcome = await lab.run(AssertionError("nobody speaks"), Diarize.REQUIRED)
    assert outcome.status is JobStatus.SUCCEEDED
    assert outcome.result["speakers"] == 0
    assert outcome.gaps == ()


async def test_the_number_of_speakers_reaches_the_engine(lab: Lab) -> None:
    outcome = await lab.run(ScriptedDiarizer(), speakers=3)
    assert outcome.result["speakers"] == 3
