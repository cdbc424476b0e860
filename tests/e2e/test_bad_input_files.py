"""Recordings and paths that are not as they should be.

Proves: each gets one sentence that names it and says how to mend it, with exit code 1 or 2; what
can be heard is transcribed and what cannot is said; nothing half-written stays behind; and once
the cause is mended the same command succeeds.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from stope.models.transcript import Transcript
from stope.report.document import Document
from tests.e2e.conftest import Stope
from tests.e2e.trouble import (
    RATE,
    bound_by_modes,
    half_written,
    one_sentence,
    speech,
    write_flac,
    write_wav,
)
from tests.resume.scripted_llm import ScriptedLlm

pytestmark = pytest.mark.slow

TEXT = "[00:{second:02d}] In {year} the river rose by {second} metres because of heavy rain.\n"


@pytest.fixture(scope="module")
def stope(scripted_stope: Stope) -> Stope:
    return scripted_stope


@pytest.fixture
def exported(stope: Stope) -> set[Path]:
    """What stands in the exports before a test."""
    return set((stope.home / "exports").glob("*"))


def documents(out: str) -> list[Document]:
    """The documents that a run with ``--json`` has exported, in its order."""
    found = []
    for line in out.splitlines():
        [path] = [Path(name) for name in json.loads(line)["exports"] if name.endswith(".json")]
        found.append(Document.model_validate_json(path.read_text()))
    return found


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("nowhere.mp3", ["nowhere.mp3 does not exist", "check the path"]),
        ("folder", ["folder is a folder", "name the files in it"]),
        ("empty.mp3", ["empty.mp3 is empty (0 bytes)", "give a recording"]),
        ("pipe", ["pipe is not a regular file", "give a recording"]),
        ("caf\udce9.mp3", ["caf", "not UTF-8", "rename the file"]),
    ],
)
def test_what_is_no_file_with_content_gets_one_sentence(
    stope: Stope, tmp_path: Path, name: str, parts: list[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.mp3").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "caf\udce9.mp3").write_bytes(b"name of another encoding")
    done = stope.here("run", tmp_path / name)
    assert done.returncode == 1, done.stderr
    sentence = one_sentence(done)
    for part in parts:
        assert part in sentence
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("letter.mp3", ["letter.mp3 is not a recording", "give an audio or video file"]),
        ("silent-film.mp3", ["silent-film.mp3 has no audio stream", "give a recording with sound"]),
        ("no-samples.wav", ["no-samples.wav", "zero length"]),
    ],
)
def test_what_is_no_recording_gets_one_sentence(
    stope: Stope, tmp_path: Path, exported: set[Path], name: str, parts: list[str]
) -> None:
    (tmp_path / "letter.mp3").write_bytes(b"Dear listener, this is not audio. " * 99)
    (tmp_path / "silent-film.mp3").write_bytes(_picture())
    write_wav(tmp_path / "no-samples.wav", np.zeros(0, np.int16))
    done = stope("run", tmp_path / name)
    assert done.returncode == 1, done.stderr
    sentence = one_sentence(done)
    for part in parts:
        assert part in sentence
    assert done.stdout == ""
    assert half_written(stope.home) == []
    assert set((stope.home / "exports").glob("*")) == exported


def test_silence_is_a_valid_empty_transcript(
    stope: Stope, tmp_path: Path, llm: ScriptedLlm
) -> None:
    before = sum(llm.calls.values())
    path = write_wav(tmp_path / "silence.wav", np.zeros(3 * RATE, np.int16))
    done = stope("run", path)
    assert done.returncode == 0, done.stderr
    assert "no speech" in done.stdout
    [document] = documents(stope.here("run", path, "--json").stdout)
    assert document.transcript is not None
    assert document.transcript.words == ()
    assert document.transcript.duration == pytest.approx(3, abs=0.01)
    assert document.all_gaps == ()
    assert sum(llm.calls.values()) == before


def test_what_of_a_damaged_recording_can_be_heard_keeps_its_second(
    stope: Stope, tmp_path: Path, interview: Path
) -> None:
    whole = write_flac(tmp_path / "whole.flac", speech(interview, 0, 14))
    data = whole.read_bytes()
    cut, holed = tmp_path / "cut.flac", tmp_path / "holed.flac"
    cut.write_bytes(data[: len(data) // 2])
    holed.write_bytes(data[: len(data) // 3] + bytes(9_000) + data[len(data) // 3 + 9_000 :])
    done = stope("run", whole, cut, holed, "--json")
    assert done.returncode == 3, done.stderr
    good, short, patched = documents(done.stdout)
    assert good.all_gaps == ()
    assert good.transcript is not None

    assert short.transcript is not None
    [gap] = short.all_gaps
    assert gap.start == pytest.approx(short.transcript.duration, abs=0.01)
    assert gap.end == pytest.approx(14, abs=0.1)
    assert "cut off" in gap.reason
    heard = [word.text for word in short.transcript.words]
    assert len(heard) > 5
    assert heard[:5] == [word.text for word in good.transcript.words[:5]]

    assert patched.transcript is not None
    [gap] = patched.all_gaps
    assert gap.start is not None
    assert gap.end is not None
    assert 3 < gap.start < gap.end < 9
    assert patched.transcript.duration == pytest.approx(14, abs=0.1)
    true = _starts(good.transcript, after=gap.end)
    found = _starts(patched.transcript, after=gap.end)
    both = true.keys() & found.keys()
    assert len(both) >= 3
    # A word may be said twice and heard once; most are the same ones.
    assert median(abs(found[text] - true[text]) for text in both) < 0.3

    said = stope.here("run", cut)
    assert said.returncode == 3
    page = " ".join(said.stdout.split())
    assert "gap: transcribe audio_0001 from" in page
    assert "the file is cut off" in page
    assert half_written(stope.home) == []


def test_without_permission_it_is_said_and_mended(stope: Stope, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    inside, locked = closed / "talk.txt", tmp_path / "locked.txt"
    for number, path in enumerate((inside, locked), start=1):
        path.write_text(TEXT.format(second=number, year=1800))
    locked.chmod(0)
    closed.chmod(0)
    try:
        for path in (inside, locked):
            done = stope("run", path, before=bound_by_modes)
            assert done.returncode == 1, done.stderr
            sentence = one_sentence(done)
            assert f"{path} cannot be read: no permission" in sentence
            assert "readable" in sentence
    finally:
        closed.chmod(0o700)
        locked.chmod(0o600)
    done = stope("run", inside, locked, before=bound_by_modes)
    assert done.returncode == 0, done.stderr


def test_odd_file_names_are_names_like_any_other(
    stope: Stope, tmp_path: Path, interview: Path
) -> None:
    names = [
        *("two words.txt", "-dash.txt", "ünï 日本語 🎙.txt", "quote'\".txt", "per%20cent%s.txt"),
        *("[bold]x[bold].txt", "new\nline.txt", "; touch x; $(touch y).txt", "x" * 251 + ".txt"),
    ]
    for number, name in enumerate(names, start=1):
        (tmp_path / name).write_text(TEXT.format(second=number, year=1700))
    # FFmpeg would take these two for its own protocols.
    sound = speech(interview, 0, 3)
    protocols = ["concat:a.wav", "http:%2f%2fnobody.wav"]
    for number, name in enumerate(protocols):
        write_wav(tmp_path / name, sound[number:])
    paths = [tmp_path / name for name in [*names, *protocols]]
    done = stope("run", "--json", "--", *paths)
    assert done.returncode == 0, done.stderr
    assert [item.source.path for item in documents(done.stdout)] == list(map(str, paths))
    again = stope.here("run", "--", *paths)
    assert again.returncode == 0, again.stderr
    assert "Traceback" not in again.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert not {"x", "y"} & {path.name for path in stope.home.parent.iterdir()}


def _starts(transcript: Transcript, after: float) -> dict[str, float]:
    """When each word was said, from a second on."""
    return {
        word.text: word.start
        for word in transcript.words
        if word.start is not None and word.start > after
    }


def _picture() -> bytes:
    """A bitmap of one pixel, which FFmpeg reads as a video."""
    header = (54 + 4).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    size = (40).to_bytes(4, "little") + (1).to_bytes(4, "little") * 2
    return b"BM" + header + size + b"\1\0\x18\0" + bytes(24) + b"\xff\0\0\0"
