"""The mine stage: parsing → mining → storing → completed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from stope.artifacts import ArtifactStore
from stope.identity import digest_of
from stope.llm.chat import ChatModel
from stope.llm.ledger import Ledger
from stope.mining.answer import ExtractionAnswer, MinedPart
from stope.mining.claims import assemble_claims, count_skipped
from stope.mining.extractor import PROMPT as EXTRACT_PROMPT
from stope.mining.extractor import extract
from stope.mining.miner import mine_segment
from stope.mining.names import assemble_names
from stope.mining.rewriter import CONTEXT as REWRITE_CONTEXT
from stope.mining.rewriter import PROMPT as REWRITE_PROMPT
from stope.mining.rewriter import group_size
from stope.mining.segments import PLAN_VERSION, SegmentPlan, plan_segments
from stope.mining.selection.asked import PROMPT as SELECT_PROMPT
from stope.mining.selection.cues import CUES_VERSION
from stope.mining.selection.examples import examples_digest
from stope.mining.selection.selector import Selector
from stope.mining.standalone import STANDALONE_VERSION
from stope.models.checkpoint import MineCheckpoint
from stope.models.knowledge import MinedClaims
from stope.models.segment import Segment
from stope.models.transcript import Transcript
from stope.prompts import prompt_digest
from stope.records.knowledge import KnowledgeRecords
from stope.stage import StageOutcome, StageRun, percent, status_of
from stope.units import Tally, Unit, UnitOutputs, UnitStore, run_units, stored_plan

STAGE = "mine"


NAMES = ".names"
"""Ends the id of a segment's second unit: what it names, beside what it claims."""


def mining_recipe() -> str:
    """The version of everything of ours that decides what is mined."""
    prompts = (SELECT_PROMPT, REWRITE_PROMPT, EXTRACT_PROMPT)
    return digest_of(
        [
            PLAN_VERSION,
            STANDALONE_VERSION,
            CUES_VERSION,
            examples_digest(),
            [prompt_digest("stope.mining", prompt) for prompt in prompts],
            ExtractionAnswer.model_json_schema(),
        ]
    )[:16]


async def mine(
    run: StageRun[MineCheckpoint],
    *,
    units: UnitStore,
    artifacts: ArtifactStore,
    records: KnowledgeRecords,
    read_transcript: Callable[[], Awaitable[tuple[str, Transcript]]],
    open_ledger: Callable[[str], Awaitable[Ledger]],
    open_selector: Callable[[Ledger, str], Awaitable[Selector]],
) -> StageOutcome:
    """Turn a transcript into stored claims, names, jargon and concepts.

    Each segment is two units, which fail and are retried by themselves: what it claims, and what
    it names.

    Args:
        run: the attempt.
        units: plans and committed segment outputs.
        artifacts: where the claims go.
        records: the same as rows.
        read_transcript: gives the transcript and its digest.
        open_ledger: the ledger for a model's name, once it is known to be needed.
        open_selector: what tells claims from other sentences, for a ledger and a language.
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
    selector = await open_selector(ledger, transcript.language)

    async def do(unit: Unit[Segment]) -> MinedPart:
        if unit.id.endswith(NAMES):
            return MinedPart(named=await extract(unit.item.sentences, ledger))
        return await mine_segment(unit.item.sentences, selector, ledger)

    async def report(tally: Tally) -> None:
        committed = set(tally.committed)
        checkpoint.completed_segments = [
            segment.id for segment in plan.segments if {segment.id, segment.id + NAMES} <= committed
        ]
        checkpoint.progress_percent = percent(len(tally.committed), tally.total)
        await run.advance(tally)

    units_of = _UnitKeys(run.answers_namespace, ledger.model, selector.identity)
    done = await run_units(
        [unit for segment in plan.segments for unit in units_of(segment)],
        do,
        stage=STAGE,
        store=units,
        output=MinedPart,
        concurrency=run.max_workers or ledger.model.parallel,
        report=report,
        draining=run.draining,
        leases=run.leases,
    )

    checkpoint.stage = "storing"
    await run.enter("storing")
    # In a thread: on a long transcript it must not keep the heartbeat waiting.
    mined = await asyncio.to_thread(
        _assemble, transcript_digest, job.config.miner_model, transcript, plan, done
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
            "sentences_skipped": sum(mined.skipped.values()),
            "entities": len(mined.entities),
            "terms": len(mined.terms),
            "concepts": len(mined.concepts),
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


class _UnitKeys:
    """The two units of a segment, each keyed on what decides it and on nothing else."""

    def __init__(self, namespace: str, model: ChatModel, selector: str) -> None:
        self._claiming = [
            STAGE,
            namespace,
            model.identity,
            selector,
            STANDALONE_VERSION,
            prompt_digest("stope.mining", REWRITE_PROMPT),
            [group_size(model.context), REWRITE_CONTEXT],
        ]
        self._naming = [
            STAGE,
            namespace,
            model.identity,
            prompt_digest("stope.mining", EXTRACT_PROMPT),
            ExtractionAnswer.model_json_schema(),
        ]

    def __call__(self, segment: Segment) -> tuple[Unit[Segment], Unit[Segment]]:
        said = [(sentence.speaker, sentence.text) for sentence in segment.sentences]
        return (
            Unit(
                segment.id, digest_of([*self._claiming, said]), segment, segment.start, segment.end
            ),
            Unit(
                segment.id + NAMES,
                digest_of([*self._naming, said]),
                segment,
                segment.start,
                segment.end,
            ),
        )


def _assemble(
    transcript_digest: str,
    model: str,
    transcript: Transcript,
    plan: SegmentPlan,
    done: UnitOutputs[MinedPart],
) -> MinedClaims:
    claimed = {name: part for name, part in done.outputs.items() if not name.endswith(NAMES)}
    naming = {
        name.removesuffix(NAMES): part
        for name, part in done.outputs.items()
        if name.endswith(NAMES)
    }
    named = assemble_names(transcript, plan.segments, claimed, naming)
    return MinedClaims(
        transcript_digest=transcript_digest,
        model=model,
        segments=len(plan.segments),
        claims=assemble_claims(transcript, plan.segments, claimed),
        entities=named.entities,
        terms=named.terms,
        concepts=named.concepts,
        skipped=count_skipped(claimed),
        gaps=done.gaps,
    )
