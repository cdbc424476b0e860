"""The mine stage: parsing → mining → storing → completed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from stope.artifacts import ArtifactStore
from stope.identity import digest_of
from stope.llm.ledger import Ledger
from stope.mining.answer import MiningAnswer, SegmentClaims
from stope.mining.claims import assemble_claims
from stope.mining.miner import PROMPT, mine_segment
from stope.mining.segments import PLAN_VERSION, SegmentPlan, plan_segments
from stope.models.checkpoint import MineCheckpoint
from stope.models.knowledge import MinedClaims
from stope.models.segment import Segment
from stope.models.transcript import Transcript
from stope.prompts import prompt_digest
from stope.records.knowledge import KnowledgeRecords
from stope.stage import StageOutcome, StageRun, percent, status_of
from stope.units import Tally, Unit, UnitStore, run_units, stored_plan

STAGE = "mine"


def mining_recipe() -> str:
    """The version of everything of ours that decides mined claims."""
    return digest_of(
        [PLAN_VERSION, prompt_digest("stope.mining", PROMPT), MiningAnswer.model_json_schema()]
    )[:16]


async def mine(
    run: StageRun[MineCheckpoint],
    *,
    units: UnitStore,
    artifacts: ArtifactStore,
    records: KnowledgeRecords,
    read_transcript: Callable[[], Awaitable[tuple[str, Transcript]]],
    open_ledger: Callable[[str], Awaitable[Ledger]],
) -> StageOutcome:
    """Turn a transcript into stored claims.

    Args:
        run: the attempt.
        units: plans and committed segment outputs.
        artifacts: where the claims go.
        records: the same as rows.
        read_transcript: gives the transcript and its digest.
        open_ledger: the ledger for a model's name, once it is known to be needed.
    """
    job, checkpoint = run.job, run.checkpoint
    checkpoint.stage = "parsing"
    await run.enter("parsing")
    transcript_digest, transcript = await read_transcript()

    async def make_plan() -> SegmentPlan:
        return plan_segments(transcript, job.config.segment_tokens)

    plan = await stored_plan(
        units,
        digest_of(
            [
                STAGE,
                "plan",
                job.namespace,
                PLAN_VERSION,
                transcript_digest,
                job.config.segment_tokens,
            ]
        ),
        STAGE,
        SegmentPlan,
        make_plan,
    )
    checkpoint.total_segments = len(plan.segments)
    checkpoint.stage = "mining"
    await run.enter("mining")
    run.note(f"starting {job.config.miner_model}")
    ledger = await open_ledger(job.config.miner_model)
    recipe = mining_recipe()

    async def do(unit: Unit[Segment]) -> SegmentClaims:
        return await mine_segment(unit.item.text, ledger)

    async def report(tally: Tally) -> None:
        checkpoint.completed_segments = tally.committed
        checkpoint.progress_percent = percent(len(tally.committed), tally.total)
        await run.advance(tally)

    done = await run_units(
        [
            Unit(
                id=segment.id,
                key=digest_of([STAGE, job.namespace, segment.text, ledger.model.identity, recipe]),
                item=segment,
                start=segment.start,
                end=segment.end,
            )
            for segment in plan.segments
        ],
        do,
        stage=STAGE,
        store=units,
        output=SegmentClaims,
        concurrency=run.max_workers or ledger.model.parallel,
        report=report,
        draining=run.draining,
    )

    checkpoint.stage = "storing"
    await run.enter("storing")
    mined = MinedClaims(
        transcript_digest=transcript_digest,
        model=job.config.miner_model,
        segments=len(plan.segments),
        # In a thread: on a long transcript it must not keep the heartbeat waiting.
        claims=await asyncio.to_thread(assemble_claims, transcript, plan.segments, done.outputs),
        gaps=done.gaps,
    )
    digest = await artifacts.put_model(mined)
    output_id = f"claims-{digest[:16]}"
    await records.write_claims(output_id, mined)

    grounded = sum(claim.grounded for claim in mined.claims)
    outcome = StageOutcome(
        status=status_of(done.gaps),
        output_id=output_id,
        result={
            "claims_digest": digest,
            "claims_path": artifacts.uri(digest),
            "transcript_digest": transcript_digest,
            "claims_extracted": len(mined.claims),
            "claims_grounded": grounded,
            "evidence_spans": sum(len(claim.evidence) for claim in mined.claims),
            "segments": len(plan.segments),
        },
        gaps=done.gaps,
        metrics={
            **done.metrics(),
            "wall_seconds": round(run.wall_seconds, 3),
            **ledger.metrics(),
        },
    )
    checkpoint.stage = "completed"
    checkpoint.final_result = outcome.final_result()
    await run.enter("completed")
    return outcome
