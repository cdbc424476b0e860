"""Claims on the page: each a card, in groups by what became of them."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from stope.models.claim import Claim, ClaimType
from stope.models.knowledge import JudgedClaim
from stope.models.verdict import Tier, Verdict
from stope.report.document import Document
from stope.report.voices import Voice


class Card(NamedTuple):
    """One claim; ``speakers`` and ``themes`` are places in the page's lists of them.

    A mined claim that nobody judged has a ``number`` (its place in the transcript) and no verdict.
    ``into`` is where a merged or split claim went.
    """

    number: int
    claim: Claim
    text: str
    verdict: Verdict | None
    tier: Tier | None
    speakers: list[int]
    themes: list[int]
    into: list[JudgedClaim]


class Group(NamedTuple):
    """Cards under a heading; ``folded`` ones are opened on demand."""

    name: str
    note: str
    cards: list[Card]
    folded: bool


class Choice(NamedTuple):
    """What a filter offers, and how many of the unfolded claims it leaves."""

    value: str
    name: str
    claims: int
    colour: int


_TIER_NOTES = {
    Tier.A: "What matters most",
    Tier.B: "Worth knowing",
    Tier.C: "Said in passing",
}


class Deck:
    """All cards of a document, and the filters that sort them."""

    def __init__(self, document: Document, speakers: list[Voice]) -> None:
        self._document = document
        self._places = {speaker.id: place for place, speaker in enumerate(speakers)}
        self._speakers = speakers
        self._themes: dict[str, list[int]] = {}
        for place, theme in enumerate(document.themes):
            for claim_id in theme.claim_ids:
                self._themes.setdefault(claim_id, []).append(place)
        judged = document.knowledge.claims if document.knowledge else ()
        self._by_id = {item.claim.id: item for item in judged}
        self.groups = [group for group in self._groups() if group.cards]

    @property
    def shown(self) -> list[Card]:
        """The cards that are not folded away."""
        return [card for group in self.groups if not group.folded for card in group.cards]

    def tiers(self) -> list[Choice]:
        """The tiers there are."""
        counts = Counter(card.tier for card in self.shown)
        return [
            Choice(tier.value, f"Tier {tier}", counts[tier], 0) for tier in Tier if counts[tier]
        ]

    def types(self) -> list[Choice]:
        """The types there are."""
        counts = Counter(card.claim.type for card in self.shown)
        everything = {card.claim.type for group in self.groups for card in group.cards}
        return [
            Choice(kind.value, kind.value.capitalize(), counts[kind], 0)
            for kind in ClaimType
            if kind in everything
        ]

    def speakers(self) -> list[Choice]:
        """The speakers whose words are evidence."""
        counts = Counter(place for card in self.shown for place in card.speakers)
        everybody = {
            place for group in self.groups for card in group.cards for place in card.speakers
        }
        return [
            Choice(
                str(place), self._speakers[place].name, counts[place], self._speakers[place].colour
            )
            for place in sorted(everybody)
        ]

    def themes(self) -> list[Choice]:
        """The themes."""
        counts = Counter(place for card in self.shown for place in card.themes)
        return [
            Choice(str(place), theme.name, counts[place], 0)
            for place, theme in enumerate(self._document.themes)
            if counts[place]
        ]

    def _groups(self) -> list[Group]:
        document = self._document
        tiers = [
            Group(
                f"Tier {tier}",
                _TIER_NOTES[tier],
                [self._judged(item) for item in document.accepted if item.tier is tier],
                folded=False,
            )
            for tier in Tier
        ]
        mined = [self._mined(n, claim) for n, claim in enumerate(document.unjudged, start=1)]
        moved = sorted((*document.merged, *document.split), key=lambda item: item.rank)
        return [
            *tiers,
            Group("Mined claims", "In the order they were said; not judged", mined, folded=False),
            Group("Merged and split", "", [self._judged(item) for item in moved], folded=True),
            Group("Rejected", "", [self._judged(item) for item in document.rejected], folded=True),
        ]

    def _judged(self, judged: JudgedClaim) -> Card:
        verdict = judged.verdict
        into = (verdict.merged_into,) if verdict.merged_into else verdict.split_into
        return self._mined(judged.rank, judged.claim)._replace(
            text=verdict.canonical_text,
            verdict=verdict,
            tier=judged.tier,
            into=[self._by_id[name] for name in into if name in self._by_id],
        )

    def _mined(self, number: int, claim: Claim) -> Card:
        said = dict.fromkeys(item.speaker for item in claim.evidence)
        return Card(
            number=number,
            claim=claim,
            text=claim.text,
            verdict=None,
            tier=None,
            speakers=[self._places[speaker] for speaker in said if speaker in self._places],
            themes=self._themes.get(claim.id, []),
            into=[],
        )
