"""The readable end of a run: its best claims and where everything is."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from cli.console import clock, out
from stope.models.knowledge import JudgedClaim
from stope.report.document import Document

TOP = 8


def print_summary(document: Document, paths: list[Path]) -> None:
    """Counts, the best claims with tier, time and quote, and the paths of the files."""
    transcript, knowledge = document.transcript, document.knowledge
    if transcript is not None:
        length = f", {clock(transcript.duration)}" if transcript.duration else ""
        words = len(transcript.words)
        out.print(f"{words} words in {transcript.language}{length}" if words else "no speech")
    if knowledge is not None:
        accepted = document.accepted
        out.print(f"{len(accepted)} claims accepted of {len(knowledge.claims)}")
        out.print()
        for item in accepted[:TOP]:
            _print_claim(item)
        if len(accepted) > TOP:
            out.print(f"… and {len(accepted) - TOP} more in the report")
    for gap in document.all_gaps:
        where = f" at {clock(gap.start)}" if gap.start is not None else ""
        out.print(f"gap: {gap.stage} {gap.unit_id}{where}: {gap.reason}", markup=False)
    out.print()
    for path in paths:
        out.print(f"  {path}", markup=False)


def _print_claim(item: JudgedClaim) -> None:
    evidence = item.claim.evidence[0]
    head = Text(f"{item.rank:>2}. ", style="bold")
    head.append(f"{item.tier.value} ", style="bold green" if item.tier.value == "A" else "bold")
    head.append(f"[{clock(evidence.start)}] ", style="cyan")
    head.append(item.verdict.canonical_text)
    out.print(head)
    quote = " ".join(evidence.quote.split())
    out.print(Text(f'      "{quote}"', style="dim"))
