"""One evaluation: merge, split, judge, sum up, find themes; each a phase of durable units."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from stope.flagship import exam, judge, merging, splitting
from stope.flagship.batches import PLAN_VERSION, Batch, BatchPlan, plan_batches
from stope.flagship.phases import STAGE, Phases
from stope.flagship.ranking import rank_claims
from stope.flagship.scores import Measures, measure, scored_verdict, told_in
from stope.flagship.summary import BEST, GROUP, completed
from stope.flagship.summary import PROMPT as SUMMARY
from stope.flagship.telling import summed, themes_of
from stope.flagship.themes import PROMPT as THEMES
from stope.llm.ledger import Ledger
from stope.models.checkpoint import FlagshipCheckpoint
from stope.models.claim import Claim
from stope.models.frozen import Frozen
from stope.models.gap import Gap
from stope.models.knowledge import JudgedClaim, MinedClaims, Summary, Theme
from stope.models.verdict import Decision, Verdict
from stope.stage import StageRun, percent
from stope.units import Tally, Unit, UnitStore

if TYPE_CHECKING:
    from stope.embedding.embedder import SentenceEmbedder, Vectors

OpenNarrow: TypeAlias = Callable[[str], Awaitable[splitting.Narrow]]


class Findings(Frozen):
    """What an evaluation found: every claim with its verdict by rank, and what they come to."""

    ranked: tuple[JudgedClaim, ...]
    summary: Summary | None = None
    themes: tuple[Theme, ...] = ()
    gaps: tuple[Gap, ...] = ()


class Evaluation:
    """The evaluation of the claims of one recording.

    Args:
        run: the attempt.
        units: plans and committed outputs.
        ledger: who is asked.
        embedder: compares claims.
        open_narrow: gives what finds a part's words in evidence.
        mined: the claims.
        verdicts: on those that are decided without a model.
    """

    def __init__(
        self,
        run: StageRun[FlagshipCheckpoint],
        units: UnitStore,
        ledger: Ledger,
        embedder: SentenceEmbedder,
        open_narrow: OpenNarrow,
        mined: MinedClaims,
        verdicts: Mapping[str, Verdict],
    ) -> None:
        self.phases = Phases(run, units, ledger)
        self._run = run
        self._ledger = ledger
        self._embedder = embedder
        self._open_narrow = open_narrow
        self._mined = mined
        self._verdicts = dict(verdicts)

    async def findings(self) -> Findings:
        """Every phase in order."""
        undecided = [claim for claim in self._mined.claims if claim.id not in self._verdicts]
        self._expect(undecided)
        kept = await self._merged(undecided)
        standing = await self._split(kept)
        vectors = await self._embedded(standing)
        levels = await self._levels(standing)
        measures = measure(standing, vectors)
        ranked = self._ranked(kept, standing, measures, levels)
        summary = await summed(_accepted(ranked), self.phases, self._ledger)
        if levels is None and not (summary is None or summary.extractive):
            # What the model chose to tell weighs more; what weighs most anyway is told as well.
            sentences = [summary.short, *summary.long.split(". ")]
            told = told_in(sentences, {claim.id: claim.text for claim in standing})
            for name in told:
                measures[name] = measures[name].model_copy(update={"told": True})
            best = [item.claim for item in _accepted(ranked)[:BEST]]
            summary = completed(summary, [claim for claim in best if claim.id not in told])
            ranked = self._ranked(kept, standing, measures, levels)
        accepted = _accepted(ranked)
        places = {claim.id: place for place, claim in enumerate(standing)}
        themes = await themes_of(
            accepted,
            vectors[[places[item.claim.id] for item in accepted]],
            self._embedder.identity,
            self.phases,
            self._ledger,
        )
        self._complete(item.claim.id for item in ranked)
        return Findings(ranked=ranked, summary=summary, themes=themes, gaps=self.phases.gaps)

    async def _merged(self, claims: Sequence[Claim]) -> tuple[Claim, ...]:
        """The claims that are left when those that say the same are one."""
        equal = merging.merge_equal(claims)
        by_id = {claim.id: claim for claim in equal.kept}
        vectors = await self._embedded(equal.kept)

        async def make() -> merging.MergePlan:
            return await asyncio.to_thread(merging.plan_pairs, equal.kept, vectors)

        plan = await self.phases.plan(
            "merge", merging.MergePlan, make, merging.MERGE_VERSION, self._embedder.identity, claims
        )

        async def decide(unit: Unit[merging.PairGroup]) -> merging.PairVerdicts:
            return await merging.decide_pairs(merging.pair_texts(unit.item, by_id), self._ledger)

        decided = await self.phases.do(
            "merge",
            [
                self.phases.unit(group.id, group, merging.PROMPT, merging.pair_texts(group, by_id))
                for group in plan.groups
            ],
            decide,
            merging.PairVerdicts,
        )
        same = [
            pair
            for group in plan.groups
            if group.id in decided
            for pair, likeness in zip(group.pairs, decided[group.id].verdicts, strict=True)
            if likeness is merging.Likeness.SAME
        ]
        merged = merging.merge_pairs(equal.kept, same)
        into = {name: merged.merged.get(other, other) for name, other in equal.merged.items()}
        into |= merged.merged
        for claim in claims:
            if claim.id in into:
                self._verdicts[claim.id] = merging.merged_verdict(claim, into[claim.id])
        self._complete(self._verdicts)
        return merged.kept

    async def _split(self, claims: Sequence[Claim]) -> tuple[Claim, ...]:
        """The claims that stand for themselves: parts in place of what said several things."""
        by_id = {claim.id: claim for claim in claims}

        async def make() -> splitting.SplitPlan:
            return splitting.plan_splits(claims)

        plan = await self.phases.plan(
            "split", splitting.SplitPlan, make, splitting.SPLIT_VERSION, claims
        )

        async def part(unit: Unit[splitting.SplitGroup]) -> splitting.SplitParts:
            texts = [by_id[name].text for name in unit.item.claim_ids]
            return await splitting.split_texts(texts, self._ledger)

        done = await self.phases.do(
            "split",
            [
                self.phases.unit(
                    group.id,
                    group,
                    splitting.PROMPT,
                    [by_id[name].text for name in group.claim_ids],
                    [by_id[name] for name in group.claim_ids],
                )
                for group in plan.groups
            ],
            part,
            splitting.SplitParts,
        )
        told = {
            name: parts
            for group in plan.groups
            if group.id in done
            for name, parts in zip(group.claim_ids, done[group.id].parts, strict=True)
            if parts
        }
        if not told:
            return tuple(claims)
        narrow = await self._open_narrow(self._mined.transcript_digest)
        standing: list[Claim] = []
        taken = {claim.id for claim in self._mined.claims}
        for claim in claims:
            parts = splitting.parts_of(claim, told.get(claim.id, ()), narrow, taken)
            if parts:
                self._verdicts[claim.id] = splitting.split_verdict(claim, parts)
                taken |= {item.id for item in parts}
            standing.extend(parts or [claim])
        return tuple(standing)

    async def _levels(self, claims: Sequence[Claim]) -> dict[str, judge.Levels] | None:
        """The model's levels by claim id; None if it cannot judge."""
        if not await self._can_judge():
            return None
        by_id = {claim.id: claim for claim in claims}
        context = self._ledger.model.context

        async def make() -> BatchPlan:
            return plan_batches(claims, context)

        plan = await self.phases.plan("judge", BatchPlan, make, PLAN_VERSION, context, claims)

        async def do(unit: Unit[Batch]) -> judge.BatchLevels:
            texts = [by_id[name].text for name in unit.item.claim_ids]
            return await judge.judge_batch(texts, self._ledger)

        def committed(tally: Tally) -> None:
            ended = set(tally.committed)
            self._complete(
                name for batch in plan.batches if batch.id in ended for name in batch.claim_ids
            )

        done = await self.phases.do(
            STAGE,
            [
                self.phases.unit(
                    batch.id,
                    batch,
                    judge.PROMPT,
                    [by_id[name].text for name in batch.claim_ids],
                    [by_id[name] for name in batch.claim_ids],
                )
                for batch in plan.batches
            ],
            do,
            judge.BatchLevels,
            needed=True,
            committed=committed,
        )
        return {
            name: levels
            for batch in plan.batches
            if batch.id in done
            for name, levels in zip(batch.claim_ids, done[batch.id].levels, strict=True)
        }

    async def _can_judge(self) -> bool:
        if exam.is_known_to_fail(self._ledger.model.identity):
            return False

        async def sit(_unit: Unit[None]) -> exam.ExamResult:
            return await exam.examine(self._ledger)

        unit = self.phases.unit(exam.NAME, None, judge.PROMPT, exam.QUESTIONS)
        done = await self.phases.do(exam.NAME, [unit], sit, exam.ExamResult)
        return done[exam.NAME].passed

    def _ranked(
        self,
        kept: Sequence[Claim],
        standing: Sequence[Claim],
        measures: Mapping[str, Measures],
        levels: Mapping[str, judge.Levels] | None,
    ) -> tuple[JudgedClaim, ...]:
        """Every claim that has a verdict, parts after what they were split from."""
        verdicts = self._verdicts | {
            claim.id: scored_verdict(claim, measures[claim.id], _level(levels, claim))
            for claim in standing
            if levels is None or claim.id in levels
        }
        newest = {claim.id: claim for claim in (*kept, *standing)}
        mined = {claim.id: newest.get(claim.id, claim) for claim in self._mined.claims}
        parts = [claim for claim in standing if claim.id not in mined]
        return rank_claims([*mined.values(), *parts], verdicts)

    def _expect(self, undecided: Sequence[Claim]) -> None:
        judges = not exam.is_known_to_fail(self._ledger.model.identity)
        batches = len(plan_batches(undecided, self._ledger.model.context).batches)
        groups = -(-len(undecided) // GROUP)
        self.phases.expect(
            **{
                exam.NAME: int(judges),
                STAGE: batches if judges else 0,
                SUMMARY: groups,
                THEMES: 1,
            }
        )

    def _complete(self, names: Iterable[str]) -> None:
        """Show claims as completed; those of an attempt before stay so."""
        checkpoint, claims = self._run.checkpoint, self._mined.claims
        ended = {*checkpoint.completed_claims, *names}
        checkpoint.completed_claims = [claim.id for claim in claims if claim.id in ended]
        checkpoint.progress_percent = percent(len(checkpoint.completed_claims), len(claims))

    async def _embedded(self, claims: Sequence[Claim]) -> Vectors:
        return await asyncio.to_thread(self._embedder.embed, [claim.text for claim in claims])


def _level(levels: Mapping[str, judge.Levels] | None, claim: Claim) -> judge.Levels | None:
    return None if levels is None else levels[claim.id]


def _accepted(ranked: Sequence[JudgedClaim]) -> list[JudgedClaim]:
    return [item for item in ranked if item.verdict.decision is Decision.ACCEPT]
