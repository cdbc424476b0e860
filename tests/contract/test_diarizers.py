"""Diarizers, the scripted one and the embedded one: turns in order, the same ones every time.

The embedded one hears the first minute of the example recording, in which two people speak. Of the
extra's, everything that runs without its weights is here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from stope.audio.chunks import plan_chunks
from stope.audio.decode import Audio, as_float, decode_to_scratch, read_window
from stope.errors import ChunkUndecodableError, DiarizationError, ModelFileError
from stope.models.audio import SAMPLE_RATE, Chunk, ChunkPlan
from stope.models.diarization import Turn
from stope.models_cache import CATALOGUE, SPEAKER_MODEL, ModelsCache
from stope.settings import load_settings
from stope.speakers.diarizer import Diarizer
from stope.speakers.scripted import ScriptedDiarizer, ScriptedVoices
from stope.speakers.speakrs import SpeakrsDiarizer, load_pipeline

RECORDING = Path(__file__).parents[2] / "examples" / "interview.opus"
SECONDS = 60.0


class Recording:
    """The chunks of the example's first minute."""

    def __init__(self, folder: Path) -> None:
        self._scratch = folder / "interview.s16"
        decode_to_scratch(RECORDING, self._scratch)
        whole = plan_chunks(self._scratch)
        chunks = tuple(chunk for chunk in whole.chunks if chunk.end <= SECONDS)
        self.plan = ChunkPlan(samples=chunks[-1].end_sample, chunks=chunks)

    def audio(self, chunk: Chunk) -> Audio:
        return as_float(read_window(self._scratch, chunk.start_sample, chunk.end_sample))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return Recording(tmp_path_factory.mktemp("scratch"))


@pytest.fixture(
    scope="module", params=["scripted", pytest.param("embedded", marks=pytest.mark.slow)]
)
def diarizer(request: pytest.FixtureRequest) -> Iterator[Diarizer[Any]]:
    if request.param == "scripted":
        yield ScriptedDiarizer()
        return
    yield embedded()


def embedded() -> Diarizer[Any]:
    from stope.speakers.embedded import EmbeddedDiarizer

    settings = load_settings()
    model = CATALOGUE[SPEAKER_MODEL]
    folder = ModelsCache(settings.models, settings.hub_timeout).ensure(model)
    return EmbeddedDiarizer(folder / model.files[0].name, model.name, threads=2)


async def heard_by(diarizer: Diarizer[Any], recording: Recording) -> list[tuple[Chunk, Any]]:
    """What it hears, gone through JSON as a committed unit goes."""
    heard = []
    for stretch in diarizer.stretches(recording.plan):
        output = await diarizer.hear(recording.audio(stretch))
        heard.append((stretch, diarizer.heard.model_validate_json(output.model_dump_json())))
    return heard


def check(turns: tuple[Turn, ...], plan: ChunkPlan) -> None:
    """What holds for the turns of every engine."""
    assert list(turns) == sorted(turns, key=lambda turn: turn.start)
    assert all(0 <= turn.start < turn.end <= plan.duration + 0.001 for turn in turns)
    first = list(dict.fromkeys(turn.speaker for turn in turns))
    assert first == [f"S{number}" for number in range(1, len(first) + 1)]


async def test_turns_stand_in_order_inside_the_recording(
    diarizer: Diarizer[Any], recording: Recording
) -> None:
    turns = diarizer.turns(await heard_by(diarizer, recording), None)
    check(turns, recording.plan)
    assert len({turn.speaker for turn in turns}) == 2


async def test_equal_sound_gives_equal_turns(diarizer: Diarizer[Any], recording: Recording) -> None:
    one, other = [await heard_by(diarizer, recording) for _ in range(2)]
    assert [voices for _, voices in one] == [voices for _, voices in other]
    assert diarizer.turns(one, None) == diarizer.turns(other, None)


async def test_as_many_speakers_as_are_known_to_be_there(
    diarizer: Diarizer[Any], recording: Recording
) -> None:
    heard = await heard_by(diarizer, recording)
    for speakers in (1, 2):
        turns = diarizer.turns(heard, speakers)
        check(turns, recording.plan)
        assert len({turn.speaker for turn in turns}) == speakers


async def test_a_gap_is_left_out(diarizer: Diarizer[Any], recording: Recording) -> None:
    heard = await heard_by(diarizer, recording)
    gap = heard.pop(1)[0]
    turns = diarizer.turns(heard, None)
    check(turns, recording.plan)
    assert not any(gap.start + 1 < turn.start < turn.end < gap.end - 1 for turn in turns)


def test_nobody_speaks_no_turns(diarizer: Diarizer[Any]) -> None:
    assert not diarizer.stretches(ChunkPlan(samples=SAMPLE_RATE, chunks=()))
    assert diarizer.turns([], None) == ()


@pytest.mark.parametrize("seconds", [0.1, 1.0])
async def test_a_stretch_without_speech_is_no_trouble(
    diarizer: Diarizer[Any], seconds: float
) -> None:
    audio = np.random.default_rng(1).uniform(-0.1, 0.1, round(seconds * SAMPLE_RATE))
    chunk = Chunk(id="chunk_0001", start_sample=0, end_sample=audio.size, digest="")
    voices = await diarizer.hear(audio.astype(np.float32))
    if isinstance(voices, ScriptedVoices):
        chunk = chunk.model_copy(update={"digest": voices.digest})
    check(diarizer.turns([(chunk, voices)], None), ChunkPlan(samples=audio.size, chunks=(chunk,)))


async def test_the_identity_is_plain_and_does_not_change(diarizer: Diarizer[Any]) -> None:
    before = json.dumps(dict(diarizer.identity), sort_keys=True)
    await diarizer.hear(np.zeros(SAMPLE_RATE, np.float32))
    assert json.dumps(dict(diarizer.identity), sort_keys=True) == before
    assert diarizer.parallel >= 1


def test_weights_of_something_else_are_named(tmp_path: Path) -> None:
    from stope.speakers.voiceprint import VoicePrinter

    (tmp_path / "weights.onnx").write_bytes(b"no network")
    with pytest.raises(ModelFileError, match=r"weights\.onnx is not the speaker embedder"):
        VoicePrinter(tmp_path / "weights.onnx")


async def test_the_scripted_one_refuses_what_the_port_does_not_allow(
    recording: Recording,
) -> None:
    diarizer = ScriptedDiarizer()
    with pytest.raises(AssertionError):
        await diarizer.hear(np.zeros(10, np.float64))
    heard = await heard_by(diarizer, recording)
    with pytest.raises(AssertionError, match="in order"):
        diarizer.turns(heard[::-1], None)
    with pytest.raises(AssertionError, match="another stretch"):
        diarizer.turns([(heard[0][0], heard[1][1])], None)


@dataclass
class StubSegment:
    start: float
    end: float
    speaker: str


@dataclass
class StubResult:
    segments: list[StubSegment]


class StubPipeline:
    """Stands in for ``speakrs.Pipeline``."""

    def __init__(self, *segments: StubSegment, error: Exception | None = None) -> None:
        self._segments = segments
        self._error = error

    def diarize_samples(self, samples: Audio, *, file_id: str) -> StubResult:
        if self._error:
            raise self._error
        return StubResult(list(self._segments))


SEGMENTS = (
    StubSegment(4.0, 6.5, "SPEAKER_00"),
    StubSegment(-0.01, 4.2, "SPEAKER_03"),
    StubSegment(7.0, 7.0, "SPEAKER_07"),
)


async def test_speakrs_hears_the_whole_recording_and_its_labels_become_ours(
    recording: Recording,
) -> None:
    diarizer = SpeakrsDiarizer(StubPipeline(*SEGMENTS), "0.7@abc")
    [stretch] = diarizer.stretches(recording.plan)
    assert (stretch.start_sample, stretch.end_sample) == (0, recording.plan.samples)
    turns = diarizer.turns(await heard_by(diarizer, recording), None)
    assert turns == (
        Turn(speaker="S1", start=0.0, end=4.2),
        Turn(speaker="S2", start=4.0, end=6.5),
    )
    assert diarizer.stretches(ChunkPlan(samples=1, chunks=())) == ()


async def test_speakrs_cannot_be_told_how_many_speak(recording: Recording) -> None:
    diarizer = SpeakrsDiarizer(StubPipeline(*SEGMENTS), "0.7@abc")
    heard = await heard_by(diarizer, recording)
    assert diarizer.turns(heard, 2)
    with pytest.raises(DiarizationError, match="tells 2 speakers apart"):
        diarizer.turns(heard, 1)


async def test_what_speakrs_cannot_do_is_a_gap() -> None:
    diarizer = SpeakrsDiarizer(StubPipeline(error=RuntimeError("no segments")), "0.7@abc")
    with pytest.raises(ChunkUndecodableError, match="no segments"):
        await diarizer.hear(np.zeros(10, np.float32))


def test_without_speakrs_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "speakrs", None)
    with pytest.raises(ModelFileError, match="extra `speakrs`"):
        load_pipeline(tmp_path)


def test_without_its_models_speakrs_says_where_they_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class SpeakrsError(Exception):
        pass

    def prepare(_mode: str, *, model_dir: Path | None) -> None:
        raise SpeakrsError(f"hub away, {model_dir}")

    stub = ModuleType("speakrs")
    stub.__dict__.update(SpeakrsError=SpeakrsError, prepare=prepare)
    monkeypatch.setitem(sys.modules, "speakrs", stub)
    with pytest.raises(ModelFileError, match=r"hub away, None.*put them into .*/speakrs"):
        load_pipeline(tmp_path / "speakrs")
    with pytest.raises(ModelFileError, match=f"hub away, {tmp_path}"):
        load_pipeline(tmp_path)
