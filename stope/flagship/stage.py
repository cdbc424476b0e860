"""The flagship stage: loading → evaluating → storing → completed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from stope.artifacts import ArtifactStore
from stope.flagship import exam, judge, merging, splitting, summary, themes
from stope.flagship.asking import task_version
from stope.flagship.batches import PLAN_VERSION
from stope.flagship.evaluation import Evaluation, Findings, OpenNarrow
from stope.flagship.ranking import rank_claims, verdict_without_model
from stope.flagship.scores import SCORES_VERSION
from stope.identity import digest_of
from stope.llm.ledger import Ledger
from stope.models.checkpoint import FlagshipCheckpoint
from stope.models.knowledge import Knowledge, MinedClaims
from stope.models.verdict import Decision
from stope.records.knowledge import KnowledgeRecords
from stope.stage import StageOutcome, StageRun, status_of
from stope.units import UnitStore

if TYPE_CHECKING:
    from stope.embedding.embedder import SentenceEmbedder


def flagship_recipe() -> str:
    """The version of everything of ours that decides verdicts, summary and themes."""
    return digest_of(
        [
            [PLAN_VERSION, SCORES_VERSION, exam.QUESTIONS, exam.KNOWN_TO_FAIL],
            [merging.MERGE_VERSION, splitting.SPLIT_VERSION],
            [summary.SUMMARY_VERSION, themes.THEMES_VERSION],
            [task_version(task.PROMPT) for task in (judge, merging, splitting, summary, themes)],
        ]
    )[:16]


async def evaluate(
    run: StageRun[FlagshipCheckpoint],
    *,
    units: UnitStore,
    artifacts: ArtifactStore,
    records: KnowledgeRecords,
    open_ledger: Callable[[str], Awaitable[Ledger]],
    open_embedder: Callable[[], Awaitable[SentenceEmbedder]],
    open_narrow: OpenNarrow,
) -> StageOutcome:
    """Merge, split, judge, rank and sum up the claims of a mining result.

    Args:
        run: the attempt; its job's input is the digest of the mined claims.
        units: plans and committed outputs.
        artifacts: where the knowledge goes.
        records: the same as rows.
        open_ledger: the ledger for a model's name; opened only if anything is undecided.
        open_embedder: the sentence embedder, likewise.
        open_narrow: gives what finds a part's words in evidence, for a transcript's digest; opened
            only if a claim is split.
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
    checkpoint.total_claims = len(mined.claims)

    checkpoint.stage = "evaluating"
    await run.enter("evaluating")
    metrics: dict[str, object] = {"units_done": 0, "units_reused": 0}
    if len(verdicts) == len(mined.claims):
        findings = Findings(ranked=rank_claims(mined.claims, verdicts))
        checkpoint.completed_claims = [claim.id for claim in mined.claims]
        checkpoint.progress_percent = 100
    else:
        run.note(f"starting {job.config.flagship_model}")
        ledger = await open_ledger(job.config.flagship_model)
        evaluation = Evaluation(
            run, units, ledger, await open_embedder(), open_narrow, mined, verdicts
        )
        findings = await evaluation.findings()
        metrics = {**evaluation.phases.metrics(), **ledger.metrics()}

    checkpoint.stage = "storing"
    await run.enter("storing")
    knowledge = Knowledge(
        transcript_digest=mined.transcript_digest,
        miner_model=mined.model,
        flagship_model=job.config.flagship_model,
        claims=findings.ranked,
        summary=findings.summary,
        themes=findings.themes,
        entities=mined.entities,
        terms=mined.terms,
        concepts=mined.concepts,
        gaps=mined.gaps + findings.gaps,
    )
    digest = await artifacts.put_model(knowledge)
    output_id = f"knowledge-{digest[:16]}"
    await records.write_verdicts(output_id, knowledge)
    outcome = StageOutcome(
        status=status_of(findings.gaps),
        output_id=output_id,
        result={
            "knowledge_digest": digest,
            "knowledge_path": artifacts.uri(digest),
            "transcript_digest": mined.transcript_digest,
            **counts(knowledge),
        },
        gaps=findings.gaps,
        metrics={**metrics, "wall_seconds": round(run.wall_seconds, 3)},
    )
    checkpoint.stage = "completed"
    checkpoint.final_result = outcome.final_result()
    await run.enter("completed")
    return outcome


def counts(knowledge: Knowledge) -> dict[str, object]:
    """A result in numbers, as workflow history keeps it."""
    decided = {
        decision: [item for item in knowledge.claims if item.verdict.decision is decision]
        for decision in Decision
    }
    return {
        "claims_judged": len(knowledge.claims),
        "claims_accepted": len(decided[Decision.ACCEPT]),
        "claims_rejected": len(decided[Decision.REJECT]),
        "claims_merged": len(decided[Decision.MERGE]),
        "claims_split": len(decided[Decision.SPLIT]),
        "tiers": {
            tier: sum(item.tier.value == tier for item in decided[Decision.ACCEPT])
            for tier in ("A", "B", "C")
        },
        "themes": len(knowledge.themes),
    }
