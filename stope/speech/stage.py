"""The transcribe stage: validating → transcribing → diarizing → storing → completed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path

from stope.artifacts import ArtifactStore
from stope.audio.chunks import plan_chunks
from stope.audio.decode import Audio, as_float, probe
from stope.audio.samples import RecordingSamples
from stope.audio.shared import SharedSamples
from stope.errors import InputError
from stope.identity import digest_of
from stope.models.audio import CHUNK_PLAN_VERSION, Chunk, ChunkPlan
from stope.models.checkpoint import TranscribeCheckpoint
from stope.models.gap import Gap
from stope.models.job import Diarize, JsonObject
from stope.models.transcript import ChunkTranscript, Transcript
from stope.sources.copies import input_source
from stope.sources.digests import source_digest
from stope.sources.source import Source
from stope.speakers.attribution import with_speakers
from stope.speakers.stage import Diarized, LoadDiarizer, Voices, diarize
from stope.speech.assemble import assemble_transcript
from stope.speech.language import check_language, recording_language
from stope.speech.recognition import STAGE, Recognition
from stope.speech.transcriber import Transcriber
from stope.stage import StageOutcome, StageRun, status_of
from stope.units import Tally, Unit, UnitStore, run_units, stored_plan


async def transcribe(
    run: StageRun[TranscribeCheckpoint],
    *,
    units: UnitStore,
    artifacts: ArtifactStore,
    load_transcriber: Callable[[str], Awaitable[Transcriber]],
    load_diarizer: LoadDiarizer,
    scratch: Path,
    text_limit: int,
    digest_source: Callable[[Source], Awaitable[str]] = source_digest,
) -> StageOutcome:
    """Turn a recording into a stored transcript.

    Args:
        run: the attempt.
        units: plans and committed chunk transcripts.
        artifacts: where the transcript goes.
        load_transcriber: gives the engine for a model's name.
        load_diarizer: gives the engine that tells speakers apart.
        scratch: folder for decoded audio, emptied of ours at the end. Where ``artifacts`` are
            elsewhere, a copy of a long recording's lies there too until then.
        text_limit: bytes of text that the checkpoint holds at most.
        digest_source: gives the SHA-256 of the recording as it is now.

    Raises:
        InputError: the recording cannot be read, or changed since the job was made.
        StorageUnavailableError: it is remote and cannot be reached.
        DiarizationError: speakers are required and cannot be told apart.
    """
    job, checkpoint = run.job, run.checkpoint
    checkpoint.stage = "validating"
    await run.enter("validating")
    source = await input_source(job.input, artifacts)
    await _validate(source, job.input.digest, digest_source)

    samples = RecordingSamples(
        source,
        scratch / f"{job.input.digest}.s16",
        shared=SharedSamples(artifacts, job.id) if artifacts.is_elsewhere else None,
        compare=partial(_validate, source, job.input.digest, digest_source),
        note=run.note,
        draining=run.draining,
    )
    async with samples:
        outcome = await _transcribed(
            run,
            samples,
            units=units,
            artifacts=artifacts,
            load_transcriber=load_transcriber,
            load_diarizer=load_diarizer,
            text_limit=text_limit,
        )
    await asyncio.to_thread(source.close)
    return outcome


async def _transcribed(
    run: StageRun[TranscribeCheckpoint],
    samples: RecordingSamples,
    *,
    units: UnitStore,
    artifacts: ArtifactStore,
    load_transcriber: Callable[[str], Awaitable[Transcriber]],
    load_diarizer: LoadDiarizer,
    text_limit: int,
) -> StageOutcome:
    """The stage from the chunk plan to its end, on a recording that was validated."""
    job, checkpoint = run.job, run.checkpoint

    async def make_plan() -> ChunkPlan:
        await samples.decode()
        run.note("finding speech")
        return await samples.whole(plan_chunks)

    plan_key = chunk_plan_key(job.namespace, job.input.digest)
    plan = await stored_plan(units, plan_key, STAGE, ChunkPlan, make_plan)
    samples.follow(plan)
    checkpoint.duration = run.duration = round(plan.duration, 3)

    checkpoint.stage = "transcribing"
    await run.enter("transcribing")
    run.note(f"loading {job.config.asr_model}")
    engine = await load_transcriber(job.config.asr_model)

    async def read(chunk: Chunk) -> Audio:
        return as_float(await samples.window(chunk.start_sample, chunk.end_sample))

    recognition = Recognition(engine, units, job.namespace, read)
    check_language(recognition, job.config.asr_model, job.config.language)
    language = job.config.language
    if language is None:
        run.note("detecting the language")
        language = await recording_language(recognition, plan, run.draining, run.leases)

    async def do(unit: Unit[Chunk]) -> ChunkTranscript:
        return await recognition.hear(unit.item, language)

    async def report(tally: Tally) -> None:
        await run.advance(tally)

    done = await run_units(
        [
            Unit(
                id=chunk.id,
                key=recognition.key(chunk, language),
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
        leases=run.leases,
    )

    transcript = assemble_transcript(plan, done.outputs, language)
    speakers = Diarized()
    if job.config.diarize is not Diarize.OFF:
        # Stored before anybody is told apart, so that it survives whatever happens there.
        checkpoint.stage = "diarizing"
        digest = await artifacts.put_model(transcript)
        _show_transcript(checkpoint, transcript, artifacts.uri(digest), text_limit)
        await run.enter("diarizing")
        speakers = await diarize(run, plan, Voices(units, artifacts, load_diarizer, read))
        if speakers.diarization is not None:
            transcript = with_speakers(transcript, speakers.diarization)

    checkpoint.stage = "storing"
    digest = await artifacts.put_model(transcript)
    _show_transcript(checkpoint, transcript, artifacts.uri(digest), text_limit)
    await run.enter("storing")

    gaps = (*_unheard(plan), *done.gaps, *speakers.gaps)
    outcome = StageOutcome(
        status=status_of(gaps),
        output_id=f"transcript-{digest[:16]}",
        result={
            "transcript_digest": digest,
            "transcript_path": artifacts.uri(digest),
            "language": transcript.language,
            "duration": transcript.duration,
            "words": len(transcript.words),
            "flagged": len(transcript.flags),
            "chunks": len(plan.chunks),
            **speakers.result(artifacts),
        },
        gaps=gaps,
        metrics={
            **done.metrics(),
            **_doubts(done.outputs.values()),
            "diarization_seconds": round(speakers.engine_seconds, 3),
            "wall_seconds": round(run.wall_seconds, 3),
        },
    )
    checkpoint.stage = "completed"
    checkpoint.final_result = outcome.final_result()
    await run.enter("completed")
    await samples.remove()
    return outcome


def chunk_plan_key(namespace: str, digest: str) -> str:
    """Under what the chunk plan of a recording is stored, given its content's digest."""
    return digest_of([STAGE, "plan", namespace, CHUNK_PLAN_VERSION, digest])


async def _validate(
    source: Source, digest: str, digest_source: Callable[[Source], Awaitable[str]]
) -> None:
    await asyncio.to_thread(probe, source)
    if await digest_source(source) != digest:
        raise InputError(
            f"{source} has changed since this job was made; run it again and its new content "
            "becomes a job of its own."
        )


def _doubts(chunks: Iterable[ChunkTranscript]) -> JsonObject:
    """How many chunks were decoded in more than one way, and how many stay doubtful."""
    found = list(chunks)
    kinds = Counter(flag.kind.value for chunk in found for flag in chunk.flags)
    return {
        "chunks_redecoded": sum(chunk.attempts > 1 for chunk in found),
        "decodings": sum(chunk.attempts for chunk in found),
        "chunks_flagged": sum(bool(chunk.flags) for chunk in found),
        "flags": dict(sorted(kinds.items())),
    }


def _show_transcript(
    checkpoint: TranscribeCheckpoint, transcript: Transcript, uri: str, limit: int
) -> None:
    checkpoint.transcript_path = uri
    checkpoint.language = transcript.language
    if len(transcript.text.encode()) <= limit:
        checkpoint.transcript_text = transcript.text
    else:
        checkpoint.stope.transcript_text_omitted = True


def _unheard(plan: ChunkPlan) -> tuple[Gap, ...]:
    """What of the recording could not be decoded, as gaps."""
    return tuple(
        Gap(
            stage=STAGE,
            unit_id=f"audio_{number:04d}",
            reason=damage.reason,
            start=damage.start,
            end=damage.end,
        )
        for number, damage in enumerate(plan.damage, start=1)
    )
