"""The transcribe stage: one language for all chunks, doubts counted, flags in the transcript."""

from __future__ import annotations

from pathlib import Path

import pytest

from stope.artifacts import ArtifactStore
from stope.errors import UsageError
from stope.identity import digest_file
from stope.models.checkpoint import TranscribeCheckpoint
from stope.models.job import Diarize, InputKind, JobConfig, JobInput, JobType
from stope.models.transcript import FlagKind, LanguageGuess, Transcript
from stope.speech.scripted import ScriptedTranscriber
from stope.speech.stage import transcribe
from stope.speech.transcriber import Transcriber, Way
from stope.stage import StageOutcome
from tests.builders import stage_run_of
from tests.memory import MemoryMirror, MemoryUnitStore

LOOP = "I do not know " * 12


class Lab:
    """The stage on the example recording, with a scripted recognizer."""

    def __init__(self, recording: Path, folder: Path) -> None:
        self.store = MemoryUnitStore()
        self._recording = recording
        self._folder = folder
        self._artifacts = ArtifactStore((folder / "artifacts").as_uri())

    async def run(self, engine: ScriptedTranscriber, language: str | None = None) -> StageOutcome:
        digest = digest_file(self._recording)
        path = str(self._recording)
        checkpoint = TranscribeCheckpoint(file_path=path)
        run = stage_run_of(JobType.TRANSCRIBE, digest, checkpoint, MemoryMirror())
        run.job = run.job.model_copy(
            update={
                "input": JobInput(kind=InputKind.RECORDING, digest=digest, path=path),
                "config": JobConfig(language=language, diarize=Diarize.OFF),
            }
        )

        async def load(_name: str) -> Transcriber:
            return engine

        async def no_diarizer(*_: object) -> object:
            raise AssertionError("nobody asked for speakers")

        return await transcribe(
            run,
            units=self.store,
            artifacts=self._artifacts,
            load_transcriber=load,
            load_diarizer=no_diarizer,  # type: ignore[arg-type]  # never called
            scratch=self._folder / "scratch",
            text_limit=1 << 20,
        )

    async def transcript(self, outcome: StageOutcome) -> Transcript:
        return await self._artifacts.get_model(str(outcome.result["transcript_digest"]), Transcript)


@pytest.fixture
def lab(interview: Path, tmp_path: Path) -> Lab:
    return Lab(interview, tmp_path)


async def chunks_of(lab: Lab) -> list[str]:
    """The digests of the example's chunks, in order."""
    engine = ScriptedTranscriber()
    await lab.run(engine)
    return engine.heard


async def test_every_chunk_is_decoded_in_the_one_language_that_was_detected(lab: Lab) -> None:
    chunks = await chunks_of(lab)
    guesses = {chunk: LanguageGuess(probabilities={"de": 0.9, "en": 0.1}) for chunk in chunks}
    guesses[chunks[0]] = LanguageGuess(probabilities={"en": 1.0})
    engine = ScriptedTranscriber(guesses=guesses, languages=frozenset({"en", "de"}))
    outcome = await lab.run(engine)
    assert {language for _, language, _ in engine.asked} == {"de"}
    assert len(engine.asked) == len(chunks)
    assert outcome.result["language"] == "de"
    assert (await lab.transcript(outcome)).language == "de"
    again = ScriptedTranscriber(languages=frozenset({"en", "de"}))
    assert (await lab.run(again)).result == outcome.result
    assert (again.asked, again.guessed) == ([], [])


async def test_what_was_decoded_again_is_counted_and_what_stays_doubtful_is_flagged(
    lab: Lab,
) -> None:
    first, second, third, *_ = await chunks_of(lab)
    lab.store = MemoryUnitStore()
    engine = ScriptedTranscriber(
        answers={
            (first, Way.PLAIN): LOOP,
            (second, Way.PLAIN): LOOP,
            (second, Way.TIMESTAMPS): LOOP,
        },
        ways=(Way.TIMESTAMPS,),
    )
    outcome = await lab.run(engine)
    assert outcome.metrics["chunks_redecoded"] == 2
    assert outcome.result["flagged"] == outcome.metrics["chunks_flagged"] == 0
    asked = [way for sound, _, way in engine.asked if sound == third]
    assert asked == [Way.PLAIN]

    stubborn = ScriptedTranscriber(
        answers={(sound, Way.PLAIN): LOOP for sound, _, _ in engine.asked}
    )
    lab.store = MemoryUnitStore()
    outcome = await lab.run(stubborn)
    transcript = await lab.transcript(outcome)
    assert outcome.result["flagged"] == len(transcript.flags) > 0
    assert {flag.kind for flag in transcript.flags} == {FlagKind.LOOP}
    assert outcome.metrics["flags"] == {"loop": len(transcript.flags)}
    for flag in transcript.flags:
        assert flag.first_word is not None
        assert flag.start == transcript.words[flag.first_word].start
        assert flag.end_word is not None
        assert flag.end == transcript.words[flag.end_word - 1].end


async def test_a_language_that_the_model_does_not_know_ends_the_job_in_one_sentence(
    lab: Lab,
) -> None:
    engine = ScriptedTranscriber()
    with pytest.raises(UsageError, match="does not know the language 'de'"):
        await lab.run(engine, "de")
    assert engine.asked == []


def test_a_transcript_that_was_stored_before_there_were_flags_still_loads() -> None:
    old = '{"schema_version":"stope.transcript/1","language":"en","duration":1.0,"words":[],'
    assert Transcript.model_validate_json(old + '"utterances":[]}').flags == ()
