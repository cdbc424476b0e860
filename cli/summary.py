"""The readable end of a run: its best claims as a table, and where everything is."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.console import clock, out
from cli.standing import gap_line
from stope.models.claim import Claim
from stope.models.knowledge import JudgedClaim, Knowledge
from stope.models.money import dollars
from stope.models.verdict import Tier
from stope.report.document import Document, place_of
from stope.report.lines import one_line

TOP = 8
_WIDEST = 100
_SPEAKER = 16
_TIER_STYLES = {Tier.A: "bold green", Tier.B: "bold", Tier.C: "dim"}


def print_summary(document: Document, paths: list[Path], console: Console | None = None) -> None:
    """Counts, the best claims with tier, time and speaker, gaps, files, and how it ended.

    Args:
        document: the finished job.
        paths: the files that were written of it.
        console: where to print; default: stdout.
    """
    page = _Page(console or out)
    page.say(document.title, "bold")
    page.say(_spoken(document))
    knowledge = document.knowledge
    if knowledge is not None:
        page.say(_counts(document, knowledge))
        if document.summary is not None:
            page.say("")
            page.say(document.summary.short)
        if document.accepted:
            page.say("")
            page.table(_claims(document))
        if len(document.accepted) > TOP:
            page.say(f"… and {len(document.accepted) - TOP} more in the report")
        if document.themes:
            page.say("themes: " + ", ".join(theme.name for theme in document.themes))
    for gap in document.all_gaps:
        page.say(gap_line(gap), "yellow")
    page.say("")
    if cost := _cost(document):
        page.say(cost)
    page.say(_ending(document))
    beside = [path for path in paths[1:] if path.parent == paths[0].parent]
    for path in paths:
        if path not in beside:
            page.path(path)
    if beside:
        page.say("beside it: " + ", ".join(path.name for path in beside))


class _Page:
    """Prints within the width of a terminal; 80 columns where there is none."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = min(console.width, _WIDEST)

    def say(self, text: str, style: str = "") -> None:
        """A paragraph, wrapped at words; markup and control characters in it mean nothing."""
        line = Text(one_line(text), style=style)
        self._console.print(line, width=self._width, soft_wrap=False)

    def table(self, table: Table) -> None:
        """A table, its columns fitted."""
        self._console.print(table, width=self._width, soft_wrap=False)

    def path(self, path: Path) -> None:
        """A path in one piece, however long: it is there to be copied."""
        self._console.print(Text(f"  {_near(path)}"), soft_wrap=True)


def _spoken(document: Document) -> str:
    """What was heard, in a line."""
    transcript = document.transcript
    if transcript is None:
        return "claims of another job"
    if not transcript.words:
        length = f" in {clock(document.duration)}" if document.duration else ""
        return f"no speech{length}: the transcript is empty"
    parts = [f"{len(transcript.words):,} words in {transcript.language}"]
    if document.duration:
        parts.append(clock(document.duration))
    speakers = [name for name in dict.fromkeys(transcript.word_speakers) if name is not None]
    if speakers:
        names = ", ".join(_name(document, speaker) for speaker in speakers)
        parts.append(f"{len(speakers)} speaker{'s' if len(speakers) > 1 else ''} ({names})")
    if transcript.flags:
        parts.append(f"{len(transcript.flags)} doubtful passages")
    return ", ".join(parts)


def _counts(document: Document, knowledge: Knowledge) -> str:
    """How many claims became what."""
    tiers = Counter(item.tier for item in document.accepted)
    shown = ", ".join(f"{tiers[tier]} {tier.value}" for tier in Tier)
    text = f"{len(document.accepted)} claims accepted of {len(knowledge.claims)} ({shown})"
    others = {
        "merged": len(document.merged),
        "split": len(document.split),
        "rejected": len(document.rejected),
    }
    return ", ".join([text, *(f"{count} {name}" for name, count in others.items() if count)])


def _claims(document: Document) -> Table:
    """The best claims: rank, tier, when, who, what."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_edge=False)
    shown = document.accepted[:TOP]
    speakers = [_speaker(document, item.claim) for item in shown]
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("tier", no_wrap=True)
    table.add_column("at", justify="right", no_wrap=True)
    if any(speakers):
        widest = max(cell_len(name) for name in (*speakers, "who"))
        table.add_column("who", no_wrap=True, overflow="ellipsis", max_width=min(widest, _SPEAKER))
    table.add_column("claim", ratio=1, overflow="fold")
    for item, speaker in zip(shown, speakers, strict=True):
        table.add_row(*_cells(item, speaker if any(speakers) else None))
    return table


def _cells(item: JudgedClaim, speaker: str | None) -> list[Text]:
    place = place_of(item.claim)
    cells = [
        Text(str(item.rank)),
        Text(item.tier.value, style=_TIER_STYLES[item.tier]),
        Text(clock(place.start if place else None), style="cyan"),
        Text(one_line(item.verdict.canonical_text)),
    ]
    if speaker is not None:
        cells.insert(3, Text(speaker, style="dim"))
    return cells


def _speaker(document: Document, claim: Claim) -> str:
    place = place_of(claim)
    return _name(document, place.speaker) if place and place.speaker else ""


def _name(document: Document, speaker: str) -> str:
    return one_line(document.speaker_names.get(speaker, speaker))


def _cost(document: Document) -> str:
    """What its language models were paid; "" where none was asked."""
    stages = document.facts.stages if document.facts else ()
    calls = sum(stage.llm_calls or 0 for stage in stages)
    reused = sum(stage.llm_answers_reused or 0 for stage in stages)
    unpriced = sum(stage.llm_calls_unpriced or 0 for stage in stages)
    amounts = [Decimal(repr(stage.cost_usd)) for stage in stages if stage.cost_usd is not None]
    if not (calls or reused) or not amounts:
        return ""
    told = [f"cost {dollars(sum(amounts, Decimal(0)))} for {calls:,} LLM calls"]
    told += [f"{unpriced:,} of unknown price"] if unpriced else []
    told += [f"{reused:,} answers reused"] if reused else []
    return ", ".join(told)


def _ending(document: Document) -> str:
    """What the exit code says, in words."""
    gaps = len(document.all_gaps)
    if not gaps:
        return "complete; written to:"
    return f"complete but for {gaps} gap{'s' if gaps > 1 else ''} (exit code 3); written to:"


def _near(path: Path) -> Path:
    """A path as it is from here, where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
