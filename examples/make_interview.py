"""Speak a script with flite's voices: a recording, who speaks when, and each sentence's times.

    python examples/make_interview.py               # interview.script.md
    python examples/make_interview.py sleep bridge  # dialogues/sleep.script.md, …

From NAME.script.md it makes NAME.opus, NAME.rttm (turns) and NAME.times.json (sentences) beside it.
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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

FOLDER = Path(__file__).resolve().parent
DEFAULT = "interview"
RATE = 16_000  # what all the voices speak at
OPUS_RATE = 48_000
BIT_RATE = 32_000
PAUSES = (0.55, 0.65, 0.50, 0.70, 0.60, 0.45)  # seconds between turns, in rotation
BREATH = 0.38  # seconds between the sentences of one turn
EDGE = 0.4  # seconds of silence before the first turn and after the last
LOUDNESS = 0.08  # root mean square every turn is brought to
FRAME = RATE // 100  # silence is looked for in steps of 10 ms
SILENCE = 0.02  # a frame below this part of the sentence's loudest frame is silent


@dataclass(frozen=True)
class Voice:
    """One of flite's voices; a stretch above 1 is slower."""

    name: str
    stretch: str


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
    """When a turn or a sentence of it is heard, in seconds."""

    speaker: str
    text: str
    start: float
    end: float

    def rttm(self, recording: str) -> str:
        """Write the segment as one line of an RTTM file."""
        times = f"{self.start:.3f} {self.end - self.start:.3f}"
        return f"SPEAKER {recording} 1 {times} <NA> <NA> {self.speaker} <NA> <NA>"


def script_of(name: str) -> Path:
    """Where the script of that name is."""
    folder = FOLDER if name == DEFAULT else FOLDER / "dialogues"
    return folder / f"{name}.script.md"


def read_voices(script: str) -> dict[str, Voice]:
    """Read who speaks with which voice from the line `voices: HOST slt 1.05, GUEST …`."""
    line = re.search(r"^voices: (.+)$", script, flags=re.MULTILINE)
    if line is None:
        raise ValueError("the script's header has no line 'voices: SPEAKER VOICE STRETCH, …'")
    cast = [entry.split() for entry in line[1].split(",")]
    return {speaker: Voice(voice, stretch) for speaker, voice, stretch in cast}


def read_turns(script: str, speakers: Iterable[str]) -> list[Turn]:
    """Read the turns of a script, lines such as `HOST: Hello.`, and nothing else."""
    pattern = rf"^({'|'.join(speakers)}): (.+)$"
    found = re.findall(pattern, script, flags=re.MULTILINE)
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


def say(sentence: str, voice: Voice, flite: str) -> Samples:
    """Speak one sentence in that voice, as trimmed samples at RATE."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "sentence.wav")
        stretch = f"duration_stretch={voice.stretch}"
        command = [flite, "-voice", voice.name, "--setf", stretch]
        subprocess.run([*command, "-t", sentence, "-o", str(path)], check=True)
        with wave.open(str(path), "rb") as sound:
            if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (RATE, 1, 2):
                raise ValueError(f"flite's voice {voice.name} is not 16 kHz mono")
            raw = sound.readframes(sound.getnframes())
    return trim((np.frombuffer(raw, dtype="<i2") / 32768).astype(np.float32))


def speak(turn: Turn, voice: Voice, flite: str, offset: int) -> tuple[Samples, list[Segment]]:
    """Speak one turn, a breath between its sentences, at the common loudness.

    The sentences' times count from `offset` samples before the turn.
    """
    parts: list[Samples] = []
    sentences: list[Segment] = []
    position = offset
    for sentence in turn.sentences:
        if parts:
            parts.append(silence(BREATH))
            position += len(parts[-1])
        parts.append(say(sentence, voice, flite))
        end = position + len(parts[-1])
        sentences.append(Segment(turn.speaker, sentence, position / RATE, end / RATE))
        position = end
    speech = np.concatenate(parts)
    gain = LOUDNESS / float(np.sqrt(np.mean(speech**2)))
    return speech * np.float32(gain), sentences


def join(
    turns: list[Turn], voices: dict[str, Voice], flite: str
) -> tuple[Samples, list[list[Segment]]]:
    """Speak every turn with pauses between, and note when the sentences of each are heard."""
    parts = [silence(EDGE)]
    heard: list[list[Segment]] = []
    position = len(parts[0])
    for number, turn in enumerate(turns):
        speech, sentences = speak(turn, voices[turn.speaker], flite, position)
        heard.append(sentences)
        last = number == len(turns) - 1
        pause = silence(EDGE if last else PAUSES[number % len(PAUSES)])
        parts += [speech, pause]
        position += len(speech) + len(pause)
    return np.concatenate(parts), heard


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


def write_rttm(heard: list[list[Segment]], path: Path) -> None:
    """Write a line per turn."""
    turns = [Segment(t[0].speaker, "", t[0].start, t[-1].end) for t in heard]
    path.write_text("".join(f"{turn.rttm(path.stem)}\n" for turn in turns), encoding="utf-8")


def write_times(heard: list[list[Segment]], path: Path) -> None:
    """Write a line per sentence, in the order of the claims file."""
    rows = [
        json.dumps({"start": round(s.start, 3), "end": round(s.end, 3), "sentence": s.text})
        for sentences in heard
        for s in sentences
    ]
    path.write_text("[\n  " + ",\n  ".join(rows) + "\n]\n", encoding="utf-8")


def make(name: str, flite: str) -> None:
    """Make the files of one script and print how long the recording is."""
    path = script_of(name)
    script = path.read_text(encoding="utf-8")
    voices = read_voices(script)
    turns = read_turns(script, voices)
    claims = path.with_name(f"{name}.claims.json")
    if not matches_claims(turns, claims):
        raise ValueError(f"{claims.name} does not hold the sentences of {path.name}")
    samples, heard = join(turns, voices, flite)
    opus = path.with_name(f"{name}.opus")
    write_opus(samples, opus)
    write_rttm(heard, path.with_name(f"{name}.rttm"))
    write_times(heard, path.with_name(f"{name}.times.json"))
    minutes, seconds = divmod(len(samples) / RATE, 60)
    size = opus.stat().st_size / 1000
    print(f"{opus.name}: {minutes:.0f}:{seconds:04.1f}, {len(turns)} turns, {size:.0f} kB")


def main() -> int:
    """Make the files of the scripts named on the command line, or of the interview."""
    flite = shutil.which("flite")
    if flite is None:
        print("The program flite is missing. Install it: apt-get install flite", file=sys.stderr)
        return 2
    for name in sys.argv[1:] or [DEFAULT]:
        try:
            make(name, flite)
        except (OSError, ValueError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
