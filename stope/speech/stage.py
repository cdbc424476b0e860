"""The transcribe stage: validating → transcribing → storing → completed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from stope.artifacts import ArtifactStore
from stope.audio.chunks import plan_chunks
from stope.audio.decode import as_float, decode_to_scratch, probe, read_window
from stope.errors import InputError
from stope.identity import digest_file, digest_of
from stope.models.audio import CHUNK_PLAN_VERSION, Chunk, ChunkPlan
from stope.models.checkpoint import TranscribeCheckpoint
from stope.models.transcript import ChunkTranscript, Transcript
from stope.speech.assemble import assemble_transcript
from stope.speech.transcriber import Transcriber
from stope.stage import StageOutcome, StageRun, status_of
from stope.units import Tally, Unit, UnitStore, run_units, stored_plan

STAGE = "transcribe"


async def transcribe(
    run: StageRun[TranscribeCheckpoint],
    *,
    units: UnitStore,
    artifacts: ArtifactStore,
    load_transcriber: Callable[[str], Awaitable[Transcriber]],
    scratch: Path,
    text_limit: int,
) -> StageOutcome:
    """Turn a recording into a stored transcript.

    Args:
        run: the attempt.
        units: plans and committed chunk transcripts.
        artifacts: where the transcript goes.
        load_transcriber: gives the engine for a model's name.
        scratch: folder for decoded audio, emptied of ours at the end.
        text_limit: bytes of text that the checkpoint holds at most.

    Raises:
        InputError: the recording cannot be read, or changed since the job was made.
    """
    job, checkpoint = run.job, run.checkpoint
    path = Path(job.input.path)
    checkpoint.stage = "validating"
    await run.enter("validating")
    await asyncio.to_thread(_validate, path, job.input.digest)

    samples = scratch / f"{job.input.digest}.s16"
    run.note("decoding")
    decoding = asyncio.Lock()

    async def ensure_samples() -> None:
        # Another machine, or a finished run, may have left nothing here. Once, not per chunk.
        async with decoding:
            await asyncio.to_thread(_decode_once, path, samples)

    async def make_plan() -> ChunkPlan:
        await ensure_samples()
        run.note("finding speech")
        return await asyncio.to_thread(plan_chunks, samples)

    plan_key = digest_of([STAGE, "plan", job.namespace, CHUNK_PLAN_VERSION, job.input.digest])
    plan = await stored_plan(units, plan_key, STAGE, ChunkPlan, make_plan)
    checkpoint.duration = round(plan.duration, 3)

    checkpoint.stage = "transcribing"
    await run.enter("transcribing")
    run.note(f"loading {job.config.asr_model}")
    engine = await load_transcriber(job.config.asr_model)

    async def do(unit: Unit[Chunk]) -> ChunkTranscript:
        await ensure_samples()
        window = await asyncio.to_thread(
            read_window, samples, unit.item.start_sample, unit.item.end_sample
        )
        return await engine.transcribe(as_float(window), job.config.language)

    async def report(tally: Tally) -> None:
        await run.advance(tally)

    done = await run_units(
        [
            Unit(
                id=chunk.id,
                key=digest_of(
                    [STAGE, job.namespace, chunk.digest, engine.identity, job.config.language]
                ),
                item=chunk,
                start=chunk.start,
                end=chunk.end,
            )
            for chunk in plan.chunks
        ],
        do,
        stage=STAGE,
        store=units,
        output=ChunkTranscript,
        concurrency=engine.parallel,
        report=report,
        draining=run.draining,
    )

    transcript = assemble_transcript(plan, done.outputs, job.config.language)
    checkpoint.stage = "storing"
    digest = await artifacts.put_model(transcript)
    _show_transcript(checkpoint, transcript, artifacts.uri(digest), text_limit)
    await run.enter("storing")

    outcome = StageOutcome(
        status=status_of(done.gaps),
        output_id=f"transcript-{digest[:16]}",
        result={
            "transcript_digest": digest,
            "transcript_path": artifacts.uri(digest),
            "language": transcript.language,
            "duration": transcript.duration,
            "words": len(transcript.words),
            "chunks": len(plan.chunks),
        },
        gaps=done.gaps,
        metrics={
            **done.metrics(),
            "wall_seconds": round(run.wall_seconds, 3),
        },
    )
    checkpoint.stage = "completed"
    checkpoint.final_result = outcome.final_result()
    await run.enter("completed")
    await asyncio.to_thread(samples.unlink, missing_ok=True)
    return outcome


def _validate(path: Path, digest: str) -> None:
    probe(path)
    if digest_file(path) != digest:
        raise InputError(
            f"{path} has changed since this job was made; run it again and its new content "
            "becomes a job of its own."
        )


def _show_transcript(
    checkpoint: TranscribeCheckpoint, transcript: Transcript, uri: str, limit: int
) -> None:
    checkpoint.transcript_path = uri
    checkpoint.language = transcript.language
    if len(transcript.text.encode()) <= limit:
        checkpoint.transcript_text = transcript.text
    else:
        checkpoint.stope.transcript_text_omitted = True


def _decode_once(path: Path, samples: Path) -> None:
    if not samples.exists():
        decode_to_scratch(path, samples)
