"""The flagship stage: loading → evaluating → storing → completed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from stope.artifacts import ArtifactStore
from stope.flagship.batches import PLAN_VERSION, Batch, BatchPlan, claim_text, plan_batches
from stope.flagship.judge import PROMPT, BatchVerdicts, RawVerdict, judge_batch
from stope.flagship.ranking import rank_claims, verdict_without_model
from stope.identity import digest_of
from stope.llm.ledger import Ledger
from stope.models.checkpoint import FlagshipCheckpoint
from stope.models.knowledge import Knowledge, MinedClaims
from stope.models.verdict import Decision
from stope.prompts import prompt_digest
from stope.records.knowledge import KnowledgeRecords
from stope.stage import StageOutcome, StageRun, percent, status_of
from stope.units import Tally, Unit, UnitStore, run_units, stored_plan

STAGE = "flagship"


def flagship_recipe() -> str:
    """The version of everything of ours that decides verdicts."""
    return digest_of(
        [PLAN_VERSION, prompt_digest("stope.flagship", PROMPT), RawVerdict.model_json_schema()]
    )[:16]


async def evaluate(
    run: StageRun[FlagshipCheckpoint],
    *,
    units: UnitStore,
    artifacts: ArtifactStore,
    records: KnowledgeRecords,
    open_ledger: Callable[[str], Awaitable[Ledger]],
) -> StageOutcome:
    """Judge and rank the claims of a mining result (the job's input is its digest).

    Args:
        run: the attempt.
        units: plans and committed batches.
        artifacts: where the knowledge goes.
        records: the same as rows.
        open_ledger: the ledger for a model's name.
    """
    job, checkpoint = run.job, run.checkpoint
    checkpoint.stage = "loading"
    await run.enter("loading")
    mined = await artifacts.get_model(job.input.digest, MinedClaims)
    verdicts = {
        claim.id: verdict
        for claim in mined.claims
        if (verdict := verdict_without_model(claim)) is not None
    }
    undecided = [claim for claim in mined.claims if claim.id not in verdicts]
    by_id = {claim.id: claim for claim in undecided}
    checkpoint.total_claims = len(mined.claims)

    checkpoint.stage = "evaluating"
    await run.enter("evaluating")
    run.note(f"starting {job.config.flagship_model}")
    ledger = await open_ledger(job.config.flagship_model)
    context = ledger.model.context

    async def make_plan() -> BatchPlan:
        return plan_batches(undecided, context)

    plan = await stored_plan(
        units,
        digest_of([STAGE, "plan", job.namespace, PLAN_VERSION, job.input.digest, context]),
        STAGE,
        BatchPlan,
        make_plan,
    )
    recipe = flagship_recipe()

    async def do(unit: Unit[Batch]) -> BatchVerdicts:
        return await judge_batch([by_id[name] for name in unit.item.claim_ids], ledger)

    async def report(tally: Tally) -> None:
        committed = set(tally.committed)
        judged = {
            name for batch in plan.batches if batch.id in committed for name in batch.claim_ids
        }
        checkpoint.completed_claims = [
            claim.id for claim in mined.claims if claim.id in judged or claim.id in verdicts
        ]
        checkpoint.progress_percent = percent(len(checkpoint.completed_claims), len(mined.claims))
        await run.advance(tally)

    done = await run_units(
        [
            Unit(
                id=batch.id,
                key=digest_of(
                    [
                        STAGE,
                        job.namespace,
                        ledger.model.identity,
                        recipe,
                        [claim_text(by_id[name]) for name in batch.claim_ids],
                    ]
                ),
                item=batch,
                start=by_id[batch.claim_ids[0]].evidence[0].start,
                end=by_id[batch.claim_ids[-1]].evidence[0].end,
            )
            for batch in plan.batches
        ],
        do,
        stage=STAGE,
        store=units,
        output=BatchVerdicts,
        concurrency=run.max_workers or ledger.model.parallel,
        report=report,
        draining=run.draining,
    )

    checkpoint.stage = "storing"
    await run.enter("storing")
    for batch in plan.batches:
        if batch.id in done.outputs:
            judged = zip(batch.claim_ids, done.outputs[batch.id].verdicts, strict=True)
            verdicts |= {
                name: found.model_copy(update={"claim_id": name}) for name, found in judged
            }
    knowledge = Knowledge(
        transcript_digest=mined.transcript_digest,
        miner_model=mined.model,
        flagship_model=job.config.flagship_model,
        claims=rank_claims(mined.claims, verdicts),
        gaps=mined.gaps + done.gaps,
    )
    digest = await artifacts.put_model(knowledge)
    output_id = f"knowledge-{digest[:16]}"
    await records.write_verdicts(output_id, knowledge)

    accepted = [item for item in knowledge.claims if item.verdict.decision is Decision.ACCEPT]
    outcome = StageOutcome(
        status=status_of(done.gaps),
        output_id=output_id,
        result={
            "knowledge_digest": digest,
            "knowledge_path": artifacts.uri(digest),
            "transcript_digest": mined.transcript_digest,
            "claims_judged": len(knowledge.claims),
            "claims_accepted": len(accepted),
            "claims_rejected": len(knowledge.claims) - len(accepted),
            "tiers": {
                tier: sum(item.tier.value == tier for item in accepted) for tier in ("A", "B", "C")
            },
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
