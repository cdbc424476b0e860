"""A note in Markdown: YAML front matter, claims by tier, gaps, the transcript."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stope.models.claim import Alignment, Evidence
from stope.models.gap import Gap
from stope.models.knowledge import JudgedClaim
from stope.models.verdict import Tier
from stope.report.document import Document, place_of
from stope.report.lines import clock, one_line, transcript_lines

_SPECIAL = re.compile(r"[\\`*\[<~]|&(?=#?\w+;)|(?<!\w)_|_(?!\w)")
_BLOCK_START = re.compile(r"^(\d*)([#>+=.)-])")


def render_md(document: Document) -> str:
    """The note. Text from the recording or a model can end no block and start no markup."""
    parts = [_front_matter(document), f"# {_escaped(document.title)}"]
    if document.all_gaps:
        parts += ["## Gaps", "\n".join(_gap(gap) for gap in document.all_gaps)]
    if document.knowledge is not None:
        parts += list(_claims(document))
    if document.transcript is not None:
        parts += ["## Transcript", *_transcript(document)]
    return "\n\n".join(parts) + "\n"


def _front_matter(document: Document) -> str:
    facts: dict[str, str | int | float | None] = {
        "title": document.title,
        "source": document.source.path,
        "source_sha256": document.source.digest,
        "job": document.job_id,
        "created": document.created_at,
        "asr_model": document.models.asr,
        "miner_model": document.models.miner,
        "flagship_model": document.models.flagship,
    }
    if document.transcript is not None:
        facts["language"] = document.transcript.language
        facts["duration_seconds"] = document.duration
        facts["words"] = len(document.transcript.words)
    if document.knowledge is not None:
        facts["accepted"] = len(document.accepted)
        for tier in Tier:
            facts[f"tier_{tier.lower()}"] = sum(item.tier is tier for item in document.accepted)
        facts["rejected"] = len(document.rejected)
    facts["gaps"] = len(document.all_gaps)
    rows = (
        f"{name}: {_yaml_text(value) if isinstance(value, str) else value}"
        for name, value in facts.items()
        if value is not None
    )
    return "\n".join(["---", *rows, "---"])


def _yaml_text(text: str) -> str:
    """A double-quoted YAML scalar: whatever does not print is written as an escape.

    JSON's quoting would not do: YAML reads its surrogate pairs as two characters.
    """

    def quoted(character: str) -> str:
        if character in '"\\':
            return f"\\{character}"
        return character if character.isprintable() else f"\\U{ord(character):08X}"

    return '"' + "".join(map(quoted, text)) + '"'


def _claims(document: Document) -> Iterator[str]:
    accepted, rejected = document.accepted, document.rejected
    if not accepted:
        yield "## Claims"
        yield "No claim was accepted."
    for tier in Tier:
        members = [judged for judged in accepted if judged.tier is tier]
        if members:
            yield f"## Tier {tier}"
        for judged in members:
            yield from _claim(judged)
    if rejected:
        yield "## Rejected"
        yield "\n".join(_rejected(judged) for judged in rejected)


def _claim(judged: JudgedClaim) -> Iterator[str]:
    claim, verdict = judged.claim, judged.verdict
    yield f"### {judged.rank}. {_escaped(verdict.canonical_text)}"
    yield (
        f"{claim.type.capitalize()}, {claim.stance}. Importance {verdict.importance}, "
        f"novelty {verdict.novelty}, confidence {verdict.confidence}."
    )
    if claim.evidence:
        yield "\n>\n".join(f"> {_quote(item)}" for item in claim.evidence)
    if verdict.reasoning.strip():
        yield _block(verdict.reasoning)


def _quote(evidence: Evidence) -> str:
    note = {
        Alignment.EXACT: "",
        Alignment.FUZZY: f" (close match, {evidence.score:.0f}%)",
        Alignment.UNGROUNDED: " (not found in the transcript)",
    }[evidence.alignment]
    return f"{_lead(evidence.start, evidence.speaker)}“{_escaped(evidence.quote)}”{note}"


def _rejected(judged: JudgedClaim) -> str:
    place = place_of(judged.claim)
    lead = _lead(place.start, place.speaker) if place else ""
    reason = _escaped(judged.verdict.reasoning)
    return f"- {lead}{_block(judged.verdict.canonical_text)}" + (f" ({reason})" if reason else "")


def _gap(gap: Gap) -> str:
    times = "-".join(clock(time) for time in (gap.start, gap.end) if time is not None)
    where = f" [{times}]" if times else ""
    return f"- {_escaped(gap.stage)} {_escaped(gap.unit_id)}{where}: {_escaped(gap.reason)}"


def _transcript(document: Document) -> Iterator[str]:
    """A paragraph per line, since Markdown flows the lines of one paragraph together."""
    for line in transcript_lines(document.transcript) if document.transcript else ():
        yield f"{_lead(line.start, line.speaker)}{_block(line.text)}"


def _lead(start: float | None, speaker: str | None) -> str:
    """``[MM:SS] (Speaker): ``, without what is not known."""
    time = "" if start is None else f"[{clock(start)}] "
    return time + (f"({_escaped(speaker)}): " if speaker else "")


def _block(text: str) -> str:
    """The text where a block may begin: it is no list, heading, quote or rule."""
    return _BLOCK_START.sub(r"\1\\\2", _escaped(text))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", one_line(text))
