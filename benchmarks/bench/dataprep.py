"""Data preparation against a bare script; its memory by the video's length; artifacts by a copy."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.bench.bench import Bench, Turns
from benchmarks.bench.child import started
from benchmarks.bench.dataprep_bare import BarePrepDone, digest_of_images
from benchmarks.bench.home import Home, running
from benchmarks.bench.measure import (
    MeasurementError,
    Row,
    Series,
    fastest,
    fastest_less,
    plain,
    ratio,
)
from benchmarks.bench.measure import quotient as quotient_of
from benchmarks.bench.memory import watched
from benchmarks.bench.videos import write_crossing, write_looped
from stope.artifacts import ArtifactStore
from stope.models.dataprep import DataPrepConfig, Dataset, GroupBy
from stope.models.job import JsonObject
from stope.vision.steps.videos import READERS

WALL_LIMIT = 1.10
MEMORY_LIMIT = 1.15
COPY_LIMIT = 1 / 0.7
"""Of the time: a throughput of 0.7 takes so much longer."""

_CONFIG = DataPrepConfig(detector="face", frames=80, augment=4, by=GroupBy.FRAME)
_SIZE, _RATE, _SECONDS = (1280, 720), 25, 60.0
_TURNS = 5
_WARM = DataPrepConfig(detector="face", frames=4, augment=2, by=GroupBy.FRAME)

_SHORT, _LONG = 300.0, 3600.0
_QUICK_SHORT, _QUICK_LONG = 20.0, 60.0
_CLIP_SECONDS = 10.0

_MEGABYTES = 256
_QUICK_MEGABYTES = 16
_BLOCK = 1 << 20


@dataclass(frozen=True)
class _Prepared:
    """A finished preparation: what it took, and what its steps read of the context, and where."""

    seconds: float
    from_memory: int
    from_storage: int
    dataset: Dataset


async def measure(bench: Bench) -> Row:
    """The pipeline with a real worker and server, and two scripts, in turns; a new home each time.

    All have their libraries loaded, by a small video before. The images of all are compared.
    """
    with bench.row("dataprep") as folder:
        turns = Turns("dataprep")
        config = _quickly(_CONFIG) if bench.quick else _CONFIG
        seconds = 4.0 if bench.quick else _SECONDS
        video, warm = folder / "video.mp4", folder / "warm.mp4"
        await asyncio.to_thread(write_crossing, video, *_SIZE, seconds, _RATE)
        await asyncio.to_thread(write_crossing, warm, 320, 180, 2.0, _RATE)
        ours: list[_Prepared] = []
        bare: list[BarePrepDone] = []
        wide: list[BarePrepDone] = []

        async def pipeline_turn(turn: int) -> None:
            turns.say(f"pipeline, turn {turn}")
            async with running(bench.settings(folder / f"home{turn}")) as home:
                await _prepare(home, warm, _WARM, folder / f"warm{turn}")
                ours.append(await _prepare(home, video, config, folder / f"data{turn}"))

        async def script_turn(turn: int) -> None:
            turns.say(f"bare script, turn {turn}")
            bare.append(await _bare(bench, folder / f"bare{turn}", video, warm, config))

        async def wide_turn(turn: int) -> None:
            turns.say(f"bare script with {READERS} readers, turn {turn}")
            place = folder / f"wide{turn}"
            wide.append(await _bare(bench, place, video, warm, config, READERS))

        for turn in range(1, 2 if bench.quick else _TURNS + 1):
            # Who comes first changes: a machine gets slower, or faster, as time goes by.
            odd = (pipeline_turn, script_turn, wide_turn)
            for side in odd if turn % 2 else (script_turn, pipeline_turn):
                await side(turn)
        _must_agree(ours, [*bare, *wide])
    script = Series(name="bare script", unit="s", values=tuple(done.seconds for done in bare))
    other = Series(
        name=f"bare script with {READERS} readers",
        unit="s",
        values=tuple(done.seconds for done in wide),
    )
    pipeline = Series(name="pipeline", unit="s", values=tuple(done.seconds for done in ours))
    storage = Series(
        name="values of the context read from storage",
        unit="points",
        values=tuple(float(done.from_storage) for done in ours),
    )
    memory = Series(
        name="values of the context read from memory",
        unit="points",
        values=tuple(float(done.from_memory) for done in ours),
    )
    return Row(
        key="dataprep",
        figures=(
            fastest("pipeline ÷ bare script", pipeline, script, WALL_LIMIT),
            plain("values read from storage on the worker that made them", storage, 0),
            fastest_less("pipeline less bare script", pipeline, script),
            fastest(f"pipeline ÷ {other.name}", pipeline, other),
        ),
        series=(pipeline, script, other, storage, memory),
        notes=(f"{config.frames} frames, {len(ours[0].dataset.images)} images on either side",),
    )


async def measure_memory(bench: Bench) -> Row:
    """The worker's peak memory on an hour of video against five minutes: short, long, short."""
    with bench.row("video-memory") as folder:
        turns = Turns("video-memory")
        lengths = (_QUICK_SHORT, _QUICK_LONG) if bench.quick else (_SHORT, _LONG)
        short, long = (folder / f"{length:.0f}.mp4" for length in lengths)
        clip = folder / "clip.mp4"
        await asyncio.to_thread(write_crossing, clip, *_SIZE, _CLIP_SECONDS, _RATE)
        for path, length in zip((short, long), lengths, strict=True):
            turns.say(f"making {length:.0f} s of video")
            await asyncio.to_thread(write_looped, path, clip, length)
        sizes = [path.stat().st_size / 1e6 for path in (short, long)]
        config = _CONFIG.model_copy(update={"frames": 40})
        if bench.quick:
            config = _quickly(config)
        peaks: dict[Path, list[float]] = {short: [], long: []}
        for number, video in enumerate((short, long, short), start=1):
            turns.say(f"{video.stem} s of video")
            async with (
                running(bench.settings(folder / f"home{number}")) as home,
                watched(home.worker_pid) as memory,
            ):
                await _prepare(home, video, config, folder / f"data{number}")
                peaks[video].append(memory.peak / 1e6)
    of_short, of_long = (
        Series(name=f"{length / 60:.0f} minutes", unit="MB", values=tuple(peaks[path]))
        for path, length in zip((short, long), lengths, strict=True)
    )
    return Row(
        key="video-memory",
        figures=(
            quotient_of(f"{of_long.name} ÷ {of_short.name}", of_long, of_short, MEMORY_LIMIT),
        ),
        series=(of_short, of_long),
        notes=(_memory_note(sizes, of_long.median - of_short.median),),
    )


def _memory_note(sizes: Sequence[float], more: float) -> str:
    """What the figure would show of a worker that held a whole file: megabytes."""
    return (
        f"The files have {sizes[0]:.1f} and {sizes[1]:.1f} MB. The worker took {more:+.1f} MB for "
        f"the longer one; had it held the files themselves, it would be {sizes[1] - sizes[0]:+.1f} "
        "MB."
    )


async def measure_artifacts(bench: Bench) -> Row:
    """A large file put into the artifacts and read back, against two copies with their SHA-256.

    Its bytes are random, so that compression does nothing for either side. Both sides find it in
    the page cache, and both leave what they write to the system to put on the disk.
    """
    with bench.row("artifacts") as folder:
        turns = Turns("artifacts")
        source = folder / "source.bin"
        megabytes = _QUICK_MEGABYTES if bench.quick else _MEGABYTES
        await asyncio.to_thread(_fill, source, megabytes)
        ours: list[float] = []
        copies: list[float] = []
        for turn in range(1, 3 if bench.quick else 6):
            turns.say(f"turn {turn}")
            ours.append(await _through_store(source, folder / f"store{turn}"))
            copies.append(await asyncio.to_thread(_through_copies, source, folder / f"copy{turn}"))
    store = Series(name="put and read back", unit="s", values=tuple(ours))
    copy = Series(name="two copies with SHA-256", unit="s", values=tuple(copies))
    return Row(
        key="artifacts",
        figures=(
            ratio("time of ours ÷ time of the copies (1 ÷ throughput)", store, copy, COPY_LIMIT),
        ),
        series=(store, copy),
        notes=(f"{source.name} has {megabytes} MiB.",),
    )


def _quickly(config: DataPrepConfig) -> DataPrepConfig:
    return config.model_copy(update={"frames": 6})


async def _prepare(home: Home, video: Path, config: DataPrepConfig, folder: Path) -> _Prepared:
    """All that ``stope dataprep`` does, up to the last file of the data set."""
    began = time.perf_counter()
    job_id = await home.client.create_dataprep([video], config, keep_checkpoint=True)
    await _worked(home, asyncio.create_task(home.client.process_job(job_id)))
    dataset = await home.client.write_dataset(job_id, folder)
    seconds = time.perf_counter() - began
    runs = await home.client.runs(job_id)
    steps = (runs[-1].checkpoint or {}).get("steps_summary")
    if not isinstance(steps, Mapping):
        raise MeasurementError("The run's checkpoint has no steps_summary.")
    counts = [_context_counts(step) for step in steps.values()]
    return _Prepared(
        seconds, sum(memory for memory, _ in counts), sum(storage for _, storage in counts), dataset
    )


async def _worked(home: Home, working: asyncio.Task[JsonObject]) -> None:
    """Wait for a job; a worker that died would be waited for without end."""
    while not working.done():
        await asyncio.wait({working}, timeout=1)
        try:
            gone = psutil.Process(home.worker_pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            gone = True
        if gone and not working.done():
            working.cancel()
            raise MeasurementError("The worker died during a data preparation.")
    await working


def _context_counts(step: object) -> tuple[int, int]:
    """What a step read of the context: from memory, and from the storage."""
    metadata = step.get("metadata") if isinstance(step, Mapping) else None
    context = metadata.get("context") if isinstance(metadata, Mapping) else None
    if not isinstance(context, Mapping):
        raise MeasurementError("A step's summary does not count what it read of the context.")
    return int(context["from_memory"]), int(context["from_storage"])


async def _bare(
    bench: Bench, folder: Path, video: Path, warm: Path, config: DataPrepConfig, readers: int = 1
) -> BarePrepDone:
    async with started(
        "benchmarks.bench.dataprep_bare", bench.settings(folder / "home"), folder / "log"
    ) as child:
        for source, asked, name in ((warm, _WARM, "warm"), (video, config, "data")):
            answer = await child.ask(
                {
                    "video": str(source),
                    "folder": str(folder / name),
                    "config": asked.model_dump(mode="json"),
                    "readers": readers,
                }
            )
    return BarePrepDone.model_validate(answer)


def _must_agree(ours: Sequence[_Prepared], bare: Sequence[BarePrepDone]) -> None:
    """Sides that do other things are no comparison: their images are the same, byte for byte."""
    made = {digest_of_images(image.digest for image in done.dataset.images) for done in ours}
    if made != {done.digest for done in bare} or len(made) > 1:
        raise MeasurementError(
            f"The pipeline made {len(ours[0].dataset.images)} images and the script "
            f"{bare[0].images}, and they are not the same."
        )


async def _through_store(source: Path, folder: Path) -> float:
    store = ArtifactStore(folder.as_uri())
    began = time.perf_counter()
    digest = await store.put_file(source, "bench")
    await store.get_to_file(digest, folder / "back.bin", "bench")
    return time.perf_counter() - began


def _through_copies(source: Path, folder: Path) -> float:
    folder.mkdir()
    began = time.perf_counter()
    first = _copied(source, folder / "there.bin")
    if _copied(folder / "there.bin", folder / "back.bin") != first:
        raise MeasurementError("A copied file is not the same.")
    return time.perf_counter() - began


def _copied(source: Path, target: Path) -> str:
    """A plain copy; the SHA-256 of what went through."""
    sha = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(_BLOCK):
            sha.update(block)
            writing.write(block)
    return sha.hexdigest()


def _fill(path: Path, megabytes: int) -> None:
    with path.open("wb") as stream:
        for _ in range(megabytes):
            stream.write(os.urandom(_BLOCK))
