"""A note in Markdown: front matter, summary, claims by tier, names and ideas, the transcript."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stope.models.claim import Alignment, Claim, Evidence
from stope.models.entity import EntityKind
from stope.models.gap import Gap
from stope.models.knowledge import JudgedClaim
from stope.models.verdict import Tier
from stope.report.document import Document, place_of
from stope.report.front_matter import front_matter
from stope.report.lines import clock
from stope.report.markup import block, escaped
from stope.report.passages import Notice, flag_sentence, gap_name, passages

_PLACES = 6  # times shown of a name; the report page and json have all of them


def render_md(document: Document) -> str:
    """The note. Text from the recording or a model can end no block and start no markup."""
    return "\n\n".join(_Note(document).parts()) + "\n"


class _Note:
    """The parts of one note, each a block or several."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._claims = {item.claim.id: item for item in (*document.accepted, *document.rejected)}

    def parts(self) -> Iterator[str]:
        document = self._document
        yield front_matter(document)
        yield f"# {escaped(document.title)}"
        yield from self._summary()
        yield from self._missing()
        if document.knowledge is not None:
            yield from self._judged()
        if document.unjudged:
            yield "## Claims, not judged"
            for number, claim in enumerate(document.unjudged, start=1):
                yield f"### {number}. {escaped(claim.text)}"
                yield from self._evidence(claim)
        yield from self._ideas()
        if document.transcript is not None:
            yield "## Transcript"
            yield from self._transcript()

    def _summary(self) -> Iterator[str]:
        summary = self._document.summary
        if summary is not None:
            yield "## Summary"
            yield block(summary.short)
            for paragraph in summary.long.split("\n\n"):
                if paragraph.strip() and paragraph.strip() != summary.short.strip():
                    yield block(paragraph)
        if self._document.themes:
            yield "## Themes"
            yield "\n".join(
                f"- {block(theme.name)}: {', '.join(self._ranks(theme.claim_ids))}"
                for theme in self._document.themes
            )

    def _missing(self) -> Iterator[str]:
        if self._document.all_gaps:
            yield "## Gaps"
            yield "\n".join(_gap(gap) for gap in self._document.all_gaps)
        if self._document.flags:
            yield "## Doubtful passages"
            yield "\n".join(f"- {block(flag_sentence(flag))}" for flag in self._document.flags)

    def _judged(self) -> Iterator[str]:
        accepted = self._document.accepted
        if not accepted:
            yield "## Claims"
            yield "No claim was accepted."
        for tier in Tier:
            members = [judged for judged in accepted if judged.tier is tier]
            if members:
                yield f"## Tier {tier}"
            for judged in members:
                yield from self._claim(judged)
        moved = (*self._document.merged, *self._document.split)
        if moved:
            yield "## Merged and split"
            yield "\n".join(self._moved(judged) for judged in moved)
        if self._document.rejected:
            yield "## Rejected"
            yield "\n".join(self._rejected(judged) for judged in self._document.rejected)

    def _claim(self, judged: JudgedClaim) -> Iterator[str]:
        claim, verdict = judged.claim, judged.verdict
        yield f"### {judged.rank}. {escaped(verdict.canonical_text)}"
        yield (
            f"{claim.type.capitalize()}, {claim.stance}. Importance {verdict.importance}, "
            f"novelty {verdict.novelty}, confidence {verdict.confidence}."
        )
        yield from self._evidence(claim)
        if verdict.reasoning.strip():
            yield block(verdict.reasoning)

    def _evidence(self, claim: Claim) -> Iterator[str]:
        if claim.rewritten:
            yield "Reworded to stand alone; said like this:"
        if claim.evidence:
            yield "\n>\n".join(f"> {self._quote(item)}" for item in claim.evidence)

    def _quote(self, evidence: Evidence) -> str:
        note = {
            Alignment.EXACT: "",
            Alignment.FUZZY: f" (close match, {evidence.score:.0f}%)",
            Alignment.UNGROUNDED: " (not found in the transcript)",
        }[evidence.alignment]
        return f"{self._lead(evidence.start, evidence.speaker)}“{escaped(evidence.quote)}”{note}"

    def _moved(self, judged: JudgedClaim) -> str:
        verdict = judged.verdict
        merged = verdict.merged_into
        into = self._ranks((merged,) if merged else verdict.split_into)
        how = "merged into" if merged else "split into"
        return f"- {block(judged.claim.text)} ({how} {', '.join(into) or 'nothing that was kept'})"

    def _rejected(self, judged: JudgedClaim) -> str:
        place = place_of(judged.claim)
        lead = self._lead(place.start, place.speaker) if place else ""
        reason = escaped(judged.verdict.reasoning)
        text = f"- {lead}{block(judged.verdict.canonical_text)}"
        return text + (f" ({reason})" if reason else "")

    def _ranks(self, claim_ids: Sequence[str]) -> list[str]:
        """Numbers of claims as the headings have them; a rejected one says so."""
        found = [self._claims[claim_id] for claim_id in claim_ids if claim_id in self._claims]
        kept = {item.claim.id for item in self._document.accepted}
        return [
            f"claim {item.rank}" + ("" if item.claim.id in kept else " (rejected)")
            for item in found
        ]

    def _ideas(self) -> Iterator[str]:
        document = self._document
        names = {
            "## People": EntityKind.PERSON,
            "## Organisations": EntityKind.ORGANISATION,
        }
        for heading, kind in names.items():
            rows = [
                _named(entity.name, entity.description or "", entity.mentions, entity.aliases)
                for entity in document.entities
                if entity.kind is kind
            ]
            if rows:
                yield heading
                yield "\n".join(rows)
        if document.terms:
            yield "## Jargon"
            yield "\n".join(
                _named(term.term, term.definition or "", term.evidence) for term in document.terms
            )
        if document.concepts:
            yield "## Concepts"
            yield "\n".join(
                _named(idea.name, idea.description, idea.evidence) for idea in document.concepts
            )

    def _transcript(self) -> Iterator[str]:
        """A paragraph per line, since Markdown flows the lines of one paragraph together."""
        for item in passages(self._document):
            if isinstance(item, Notice):
                yield f"> {escaped(item.sentence)}"
            else:
                yield f"{self._lead(item.start, item.speaker)}{block(item.text)}"

    def _lead(self, start: float | None, speaker: str | None) -> str:
        """``[MM:SS] (Speaker): ``, without what is not known."""
        time = "" if start is None else f"[{clock(start)}] "
        name = self._document.name_of(speaker) if speaker else ""
        return time + (f"({escaped(name)}): " if name else "")


def _named(name: str, meaning: str, places: Sequence[Evidence], aliases: Sequence[str] = ()) -> str:
    """A list item: the name, what it stands for, and where it was said."""
    also = f" (also {', '.join(map(escaped, aliases))})" if aliases else ""
    times = [clock(item.start) for item in places if item.start is not None]
    more = f" and {len(times) - _PLACES} more" if len(times) > _PLACES else ""
    where = f" [{', '.join(times[:_PLACES])}{more}]" if times else ""
    says = f": {escaped(meaning)}" if meaning.strip() else ""
    return f"- **{escaped(name)}**{also}{says}{where}"


def _gap(gap: Gap) -> str:
    times = "-".join(clock(time) for time in (gap.start, gap.end) if time is not None)
    where = f" [{times}]" if times else ""
    name = block(gap_name(gap))
    return f"- {name}: {escaped(gap.unit_id)}{where}: {escaped(gap.reason)}"
