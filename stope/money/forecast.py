"""What mining and judging would ask: both stages on paper, with their own code."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from stope.flagship import exam, judge, merging, splitting, summary, themes
from stope.flagship.batches import plan_batches
from stope.flagship.ranking import rank_claims, verdict_without_model
from stope.flagship.scores import Measures, scored_verdict
from stope.mining.answer import MinedPart
from stope.mining.claims import assemble_claims
from stope.mining.extractor import extract
from stope.mining.miner import mine_segment
from stope.mining.segments import plan_segments
from stope.mining.selection.asked import AskedSelector
from stope.mining.selection.choice import chosen_selection
from stope.mining.selection.examples import packaged_examples
from stope.mining.selection.selector import Selector
from stope.models.claim import Claim
from stope.models.job import JobConfig, Selection
from stope.models.knowledge import JudgedClaim
from stope.models.sentence import Sentence, SentenceKind
from stope.models.transcript import Transcript, Utterance, Word
from stope.money.paper import Count, Leaning, PaperLedger, is_claim

_LEVEL = Measures(centrality=1, figures=False, names=False, sayings=1)


@dataclass(frozen=True)
class MinedOnPaper:
    """What mining would ask and give."""

    count: Count
    segments: int
    claims: tuple[Claim, ...]


class PaperSelector:
    """Tells claims by their length, where the learned selector would: it has to be loaded."""

    identity = "paper"

    def __init__(self, leaning: Leaning) -> None:
        self._leaning = leaning

    async def select(self, sentences: Sequence[Sentence]) -> tuple[SentenceKind, ...]:
        """See ``Selector``."""
        return tuple(
            SentenceKind.FACTUAL if is_claim(item.text, self._leaning) else SentenceKind.FILLER
            for item in sentences
        )


async def mine_on_paper(
    transcript: Transcript, config: JobConfig, ledger: PaperLedger
) -> MinedOnPaper:
    """What mining a transcript would ask."""
    plan = plan_segments(transcript, config.segment_tokens)
    asked = chosen_selection(config, transcript.language) is Selection.ASKED
    selector: Selector = AskedSelector(ledger) if asked else PaperSelector(ledger.leaning)
    parts: dict[str, MinedPart] = {}
    for segment in plan.segments:
        parts[segment.id] = await mine_segment(segment.sentences, selector, ledger)
        await extract(segment.sentences, ledger)
    claims = assemble_claims(transcript, plan.segments, parts)
    return MinedOnPaper(ledger.count, len(plan.segments), claims)


async def judge_on_paper(claims: Sequence[Claim], ledger: PaperLedger) -> Count:
    """What judging claims would ask. Whatever needs embeddings is guessed in number only."""
    undecided = [claim for claim in claims if verdict_without_model(claim) is None]
    if not undecided:
        return ledger.count
    equal = merging.merge_equal(undecided).kept
    texts = [claim.text for claim in equal]
    pairs = list(pairwise(texts))[: round(len(texts) * ledger.leaning.same)]
    for start in range(0, len(pairs), merging.GROUP):
        await merging.decide_pairs(pairs[start : start + merging.GROUP], ledger)
    by_id = {claim.id: claim.text for claim in equal}
    groups = splitting.plan_splits(equal).groups
    for group in groups[: round(len(groups) * ledger.leaning.split)]:
        await splitting.split_texts([by_id[name] for name in group.claim_ids], ledger)
    await _scored_on_paper(equal, ledger)
    ranked = rank_claims(equal, {claim.id: scored_verdict(claim, _LEVEL, None) for claim in equal})
    await _told_on_paper(ranked, ledger)
    return ledger.count


async def _scored_on_paper(claims: Sequence[Claim], ledger: PaperLedger) -> None:
    if exam.is_known_to_fail(ledger.model.identity):
        return
    passed = (await exam.examine(ledger)).passed
    if not passed:
        return
    texts = {claim.id: claim.text for claim in claims}
    for batch in plan_batches(claims, ledger.model.context).batches:
        await judge.judge_batch([texts[name] for name in batch.claim_ids], ledger)


async def _told_on_paper(ranked: Sequence[JudgedClaim], ledger: PaperLedger) -> None:
    if len(ranked) >= summary.FEWEST:
        groups = summary.grouped(ranked, ledger.model.context)
        told: list[str] = []
        for group in groups:
            texts = [claim.text for claim in group]
            part = await summary.sum_up(texts, texts, ledger)
            told += [part.short, *part.long]
        if len(groups) > 1:
            await summary.sum_up([text for text in told if text] or ["nothing"], told, ledger)
    if len(ranked) >= themes.FEWEST_CLAIMS:
        await themes.name_clusters(_clusters(ranked), ledger)


def _clusters(ranked: Sequence[JudgedClaim]) -> list[themes.Cluster]:
    """As many clusters as there would be, of whatever claims."""
    wanted = round(len(ranked) / 4)
    count = min(themes.MOST, max(themes.FEWEST, wanted))
    return [
        themes.Cluster(
            claim_ids=tuple(item.claim.id for item in ranked[place::count]),
            keywords=(),
            central=tuple(item.claim.text for item in ranked[place::count][:2]),
        )
        for place in range(count)
    ]


@cache
def made_up_talk(words: int, language: str) -> Transcript:
    """A transcript of so many words, of the sentences that the selector learned from.

    They are of all kinds that people say; in which order does not matter here.
    """
    texts = [example.text for example in packaged_examples()]
    random.Random(0).shuffle(texts)  # noqa: S311  (the same talk each time, no secret)
    said: list[Word] = []
    utterances: list[Utterance] = []
    place = 0
    while len(said) < words:
        first = len(said)
        said += [
            Word(text=text, start=0.4 * (first + number), end=0.4 * (first + number + 1))
            for number, text in enumerate(texts[place % len(texts)].split()[: words - first])
        ]
        speaker = f"S{place // 3 % 2 + 1}"
        utterances.append(Utterance(first_word=first, end_word=len(said), speaker=speaker))
        place += 1
    return Transcript(language=language, words=tuple(said), utterances=tuple(utterances))
