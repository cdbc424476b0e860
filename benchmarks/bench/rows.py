"""The rows: what each of them promises, and how it is measured."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.bench import cached, dataprep, diarization, memory, per_unit, pipeline, speech
from benchmarks.bench.bench import Bench
from benchmarks.bench.measure import Row


@dataclass(frozen=True)
class Kind:
    """A row of the table: its key on the command line, what it is, and what the figure means."""

    key: str
    what: str
    meaning: str
    measure: Callable[[Bench], Awaitable[Row]]


KINDS = (
    Kind(
        "pipeline",
        "pipeline wall time ÷ a bare script doing the same ASR and LLM calls",
        "A minute and a half of the example dialogues through the whole pipeline with the "
        "embedded default model: a new home, a Temporal server and the real worker in processes of "
        "their own, timed from the client's first call to the result. Then "
        "`benchmarks/bench/bare.py`, a process of its own with the same engines: it decodes the "
        "recording, recognises the same chunks, and sends the very requests that the pipeline's "
        "ledger holds, as many at once, waiting where the pipeline had to wait. While it runs "
        "there is no server and no worker. Models are loaded before the clock starts on both "
        "sides, by the same short recording and its requests, so neither has seen the prompts "
        "that are timed. The pipeline of the first figure does not tell speakers apart "
        "(`diarize: off`), because the script does not; one that does, as by default, stands "
        "beside it. What else the script does not do counts against the pipeline: finding the "
        "chunks, telling claims from other sentences, embeddings, records, ledger, checkpoints, "
        "Temporal. The sides take turns, and the fastest turn of each is compared: both keep two "
        "cores busy, so whatever else the machine does makes a turn slower, and never faster.",
        pipeline.measure_real,
    ),
    Kind(
        "overhead",
        "the same with a language model of fixed speed",
        "The same sides with real speech recognition and a scripted server, which takes half a "
        "second for each call. Nothing is promised of the ratio, since fewer seconds are spent in "
        "the language model; the difference in seconds is the pipeline's own work, and steadier "
        "than the row above.",
        pipeline.measure_scripted,
    ),
    Kind(
        per_unit.KEY,
        "durable overhead of a unit: commit, heartbeat and mirror",
        "200 calls of a scripted model that takes 5 ms, answers of 1,500 letters, by four sides in "
        "processes of their own which take turns: the calls alone; our unit loop in one activity, "
        "by the real worker, workflow, ledger, leases, SQLite stores, heartbeats and mirror "
        "(`benchmarks/bench/units/loop.py`); one Temporal activity for each, on the same server "
        "program, storing its answer in the same SQLite table; one DBOS step for each on SQLite. "
        "The first figure is measured in our loop, the median over its units; the others are a "
        "side's whole time from start to result less that of the calls alone, by segment, one "
        "call at a time and 16 at once.",
        per_unit.measure,
    ),
    Kind(
        "asr",
        "our ASR stage ÷ faster-whisper's `BatchedInferencePipeline` on the whole file, same model",
        "Two processes with their models loaded take turns on the example dialogues joined to one "
        "file. Ours is the library's stage on real stores (`stope.speech.stage.transcribe`): "
        "decoding, chunk plan, every chunk committed by itself, quality checks, transcript. The "
        "other is `BatchedInferencePipeline.transcribe` on the file with its own voice activity "
        "filter, the same weights, arithmetic, beam and word times, and as many threads as there "
        "are cores. Both word error rates are against the dialogues' scripts, and the greatest "
        "difference counts.",
        speech.measure,
    ),
    Kind(
        "memory",
        "peak memory, 2 hours of audio ÷ 10 minutes",
        "The resident memory of the worker process, looked at twenty times a second, while it "
        "transcribes and tells speakers apart; a fresh worker and server for each recording. The "
        "recordings repeat the example dialogues, each time a little quieter, so that no chunk is "
        "one that was recognised before.",
        memory.measure,
    ),
    Kind(
        "diarization",
        "diarization time ÷ ASR time",
        "Both in the same runs of our stage, models loaded: the wall time between its entering "
        "`diarizing` and `storing`, with clustering and the attribution of words, against that "
        "between `transcribing` and `diarizing`. The second figure is of the engines alone, as "
        "the run's metrics have it.",
        diarization.measure,
    ),
    Kind(
        "cached",
        "a cached re-run, client time",
        "A finished pipeline is asked for by `create_job` and `process_job` in a fresh process: "
        "from opening the client to the result. Only the records can answer, for neither a server "
        "nor a worker runs. The whole command, with Python's start, the summary and all exports, "
        "is for information.",
        cached.measure,
    ),
    Kind(
        "dataprep",
        "DataPrep wall time ÷ a bare script of the same library calls",
        "A minute of 1280x720 video (scikit-image's astronaut crossing a field), 80 frames, faces, "
        "four augmented images for each training crop. The pipeline with a real worker and a "
        "Temporal server of its own, from the client's call to the last file of the data set; the "
        "script (`benchmarks/bench/dataprep_bare.py`) makes the same calls of the same library, "
        "reads the frames one after another (the decoder has as many threads as there are cores), "
        "works on them on as many threads as there are cores, and writes the images to files. All "
        "have their libraries loaded by a small video before, and their images must be the same, "
        "byte for byte. They take turns in changing order, and the fastest turn of each is "
        "compared. The second figure counts the values of the context (frames, masks, crops) that "
        "the worker which made them had to read from storage. The last figure is against a script "
        "that reads the video with two readers at once, as the pipeline does.",
        dataprep.measure,
    ),
    Kind(
        "video-memory",
        "peak memory, 60 minutes of video ÷ 5 minutes, same frame count",
        "The worker's resident memory, looked at twenty times a second, while it prepares 40 "
        "frames of each (1280x720, 25 frames a second, ten seconds over and over); a fresh worker "
        "and server for each.",
        dataprep.measure_memory,
    ),
    Kind(
        "artifacts",
        "artifact write + read throughput, local folder ÷ plain file copy with a SHA-256",
        "256 MiB of random bytes put into the artifact store and read back into a file, against "
        "two plain copies that take the SHA-256 of what goes through. The figure is the ratio of "
        "times: 1 ÷ 0.7 = 1.43 is a throughput of 0.7.",
        dataprep.measure_artifacts,
    ),
)


def kinds(keys: list[str] | None) -> list[Kind]:
    """The rows of these keys in their own order; all without keys."""
    return [kind for kind in KINDS if keys is None or kind.key in keys]
