"""Telling what a recording says: the summary and the themes of its accepted claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stope.flagship import summary, themes
from stope.flagship.phases import Phases
from stope.llm.ledger import Ledger
from stope.models.knowledge import JudgedClaim, Summary, Theme
from stope.units import Unit

if TYPE_CHECKING:
    from stope.embedding.embedder import Vectors


async def summed(accepted: Sequence[JudgedClaim], phases: Phases, ledger: Ledger) -> Summary | None:
    """The model's summary, or the best claims' own words."""
    if len(accepted) < summary.FEWEST:
        return summary.extractive(accepted)
    sources = [
        text
        for item in accepted
        for text in (item.claim.text, *(piece.quote for piece in item.claim.evidence))
    ]

    async def write(unit: Unit[Sequence[str]]) -> summary.SummaryPart:
        return await summary.sum_up(unit.item, sources, ledger)

    def unit_of(name: str, texts: Sequence[str]) -> Unit[Sequence[str]]:
        return phases.unit(name, texts, summary.PROMPT, [texts, sources])

    groups = summary.grouped(accepted, ledger.model.context)
    done = await phases.do(
        summary.PROMPT,
        [
            unit_of(f"summary_{number:04d}", [claim.text for claim in group])
            for number, group in enumerate(groups, start=1)
        ],
        write,
        summary.SummaryPart,
    )
    parts = [part for part in done.values() if part.short]
    if len(groups) == 1 or not parts:
        return summary.written(parts, None) if parts else summary.extractive(accepted)
    told = [line for part in parts for line in (part.short, *part.long)]
    whole = await phases.do(summary.PROMPT, [unit_of("summary", told)], write, summary.SummaryPart)
    together = whole.get("summary")
    return summary.written(parts, together if together and together.short else parts[0])


async def themes_of(
    accepted: Sequence[JudgedClaim],
    vectors: Vectors,
    embedder: str,
    phases: Phases,
    ledger: Ledger,
) -> tuple[Theme, ...]:
    """Themes of claims, by their embeddings and the name of what made these."""
    texts = {item.claim.id: item.claim.text for item in accepted}

    async def make() -> themes.ThemePlan:
        found = themes.cluster(list(texts), list(texts.values()), vectors)
        return themes.ThemePlan(clusters=tuple(found))

    plan = await phases.plan(
        "themes",
        themes.ThemePlan,
        make,
        themes.THEMES_VERSION,
        embedder,
        list(texts.items()),
    )
    if not plan.clusters:
        return ()

    async def name(unit: Unit[themes.ThemePlan]) -> themes.ThemeNames:
        return await themes.name_clusters(unit.item.clusters, ledger)

    done = await phases.do(
        themes.PROMPT,
        [phases.unit("themes", plan, themes.PROMPT, [plan])],
        name,
        themes.ThemeNames,
    )
    told = done["themes"].names if done else ()
    names = themes.true_names(plan.clusters, told, texts)
    return tuple(
        Theme(name=name, claim_ids=item.claim_ids)
        for name, item in zip(names, plan.clusters, strict=True)
    )
