"""Speak interview.script.md with two flite voices: interview.opus and interview.rttm.

    python examples/make_interview.py

Needs the program `flite` and the Python packages `av` and `numpy`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

FOLDER = Path(__file__).resolve().parent
NAME = "interview"
SCRIPT = FOLDER / f"{NAME}.script.md"
CLAIMS = FOLDER / f"{NAME}.claims.json"
OPUS = FOLDER / f"{NAME}.opus"
RTTM = FOLDER / f"{NAME}.rttm"

VOICES = {"HOST": "slt", "GUEST": "rms"}
STRETCH = {"HOST": 1.05, "GUEST": 1.03}  # above 1 is slower
RATE = 16_000  # what both voices speak at
OPUS_RATE = 48_000
BIT_RATE = 32_000
PAUSES = (0.55, 0.65, 0.50, 0.70, 0.60, 0.45)  # seconds between turns, in rotation
BREATH = 0.38  # seconds between the sentences of one turn
EDGE = 0.4  # seconds of silence before the first turn and after the last
LOUDNESS = 0.08  # root mean square every turn is brought to
FRAME = RATE // 100  # silence is looked for in steps of 10 ms
SILENCE = 0.02  # a frame below this part of the sentence's loudest frame is silent


@dataclass(frozen=True)
class Turn:
    """One uninterrupted stretch of one speaker's words."""

    speaker: str
    text: str

    @property
    def sentences(self) -> list[str]:
        """The turn cut after each full stop or question mark."""
        return re.split(r"(?<=[.?!])\s+", self.text)


@dataclass(frozen=True)
class Segment:
    """When a turn is heard, in seconds."""

    speaker: str
    start: float
    duration: float

    def rttm(self) -> str:
        """Write the segment as one line of an RTTM file."""
        times = f"{self.start:.3f} {self.duration:.3f}"
        return f"SPEAKER {NAME} 1 {times} <NA> <NA> {self.speaker} <NA> <NA>"


def read_script(path: Path) -> list[Turn]:
    """Read the turns of a script, lines such as `HOST: Hello.`, and nothing else."""
    pattern = rf"^({'|'.join(VOICES)}): (.+)$"
    found = re.findall(pattern, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [Turn(speaker, text.strip()) for speaker, text in found]


def matches_claims(turns: list[Turn], path: Path) -> bool:
    """Tell whether the hand-marked file holds exactly the script's sentences, in order."""
    marked = json.loads(path.read_text(encoding="utf-8"))
    spoken = [
        (number, turn.speaker, sentence)
        for number, turn in enumerate(turns, start=1)
        for sentence in turn.sentences
    ]
    return spoken == [(m["turn"], m["speaker"], m["sentence"]) for m in marked]


def silence(seconds: float) -> Samples:
    """Make silence of that length at RATE."""
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def trim(samples: Samples) -> Samples:
    """Cut the silence before and after the speech."""
    whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    level = np.sqrt(np.mean(whole**2, axis=1))
    heard = np.flatnonzero(level > SILENCE * level.max())
    return samples[int(heard[0]) * FRAME : (int(heard[-1]) + 1) * FRAME]


def say(sentence: str, speaker: str, flite: str) -> Samples:
    """Speak one sentence in the speaker's voice, as trimmed samples at RATE."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "sentence.wav")
        stretch = f"duration_stretch={STRETCH[speaker]}"
        command = [flite, "-voice", VOICES[speaker], "--setf", stretch]
        subprocess.run([*command, "-t", sentence, "-o", str(path)], check=True)
        with wave.open(str(path), "rb") as sound:
            if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (RATE, 1, 2):
                raise ValueError(f"flite's voice {VOICES[speaker]} is not 16 kHz mono")
            raw = sound.readframes(sound.getnframes())
    return trim((np.frombuffer(raw, dtype="<i2") / 32768).astype(np.float32))


def speak(turn: Turn, flite: str) -> Samples:
    """Speak one turn, a breath between its sentences, at the common loudness."""
    parts: list[Samples] = []
    for sentence in turn.sentences:
        if parts:
            parts.append(silence(BREATH))
        parts.append(say(sentence, turn.speaker, flite))
    speech = np.concatenate(parts)
    gain = LOUDNESS / float(np.sqrt(np.mean(speech**2)))
    return speech * np.float32(gain)


def join(turns: list[Turn], flite: str) -> tuple[Samples, list[Segment]]:
    """Speak every turn with pauses between, and note when each is heard."""
    parts = [silence(EDGE)]
    segments: list[Segment] = []
    position = len(parts[0])
    for number, turn in enumerate(turns):
        speech = speak(turn, flite)
        segments.append(Segment(turn.speaker, position / RATE, len(speech) / RATE))
        last = number == len(turns) - 1
        pause = silence(EDGE if last else PAUSES[number % len(PAUSES)])
        parts += [speech, pause]
        position += len(speech) + len(pause)
    return np.concatenate(parts), segments


def frames(samples: Samples) -> Iterator[av.AudioFrame]:
    """Cut the samples into 16-bit frames of one second, clipped to what 16 bits hold."""
    whole = (np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16)
    for start in range(0, len(whole), RATE):
        frame = av.AudioFrame.from_ndarray(
            whole[np.newaxis, start : start + RATE], format="s16", layout="mono"
        )
        frame.sample_rate = RATE
        frame.pts = start
        yield frame


def write_opus(samples: Samples, path: Path) -> None:
    """Encode as mono Ogg Opus; `bitexact` keeps random serial numbers out of the file."""
    options = {"fflags": "+bitexact"}
    with av.open(str(path), "w", format="ogg", options=options) as container:
        stream = container.add_stream(
            "libopus", rate=OPUS_RATE, options={"flags": "+bitexact", "application": "voip"}
        )
        stream.bit_rate = BIT_RATE
        stream.layout = "mono"
        resampler = av.AudioResampler(format="s16", layout="mono", rate=OPUS_RATE)
        for frame in [*frames(samples), None]:
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))


def main() -> int:
    """Make both files and print how long the recording is."""
    flite = shutil.which("flite")
    if flite is None:
        print("The program flite is missing. Install it: apt-get install flite", file=sys.stderr)
        return 2
    turns = read_script(SCRIPT)
    if not matches_claims(turns, CLAIMS):
        print(f"{CLAIMS.name} does not hold the sentences of {SCRIPT.name}", file=sys.stderr)
        return 1
    samples, segments = join(turns, flite)
    write_opus(samples, OPUS)
    RTTM.write_text("".join(f"{s.rttm()}\n" for s in segments), encoding="utf-8")
    minutes, seconds = divmod(len(samples) / RATE, 60)
    size = OPUS.stat().st_size / 1000
    print(f"{OPUS.name}: {minutes:.0f}:{seconds:04.1f}, {len(turns)} turns, {size:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
