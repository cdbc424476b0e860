"""The page: docs/quality.md, the figures with their targets, and every failure by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add

from benchmarks.eval.content import Content
from benchmarks.eval.figures import Figure, figures
from benchmarks.eval.score import Cost, Knowing, Score

HEAD = """\
# Quality

This page is made by `python -m benchmarks.eval --write docs/quality.md` (`make eval`); change
nothing here by hand. It says how true Stope's results are on {count} dialogues whose words,
speakers, sentence times and claims are known: `examples/interview` and those in
`examples/dialogues`, {minutes:.0f} minutes in all, {sentences} sentences of which {marked} are
marked as claims. They went through {stage} as anybody's recordings do.

{models}

The recordings are clean synthetic speech, without noise, hesitation or people talking at once, and
the scripts and marks were written by hand for this project. So the figures compare one version of
Stope, or one model, with another; on recordings from the field expect less.
"""

HOW = """\
## How it is measured

- **Claim selection.** The transcript's words are laid on the script's by global alignment at the
  smallest edit distance. A sentence is selected when the evidence of an accepted claim has half of
  its words, or when half of the evidence lies in it. So two claims made of one sentence count
  once, a merged claim keeps the sentences of all its evidence, and evidence that takes in a
  sentence which claims nothing pays for it. An accepted claim that lies nowhere is a false
  positive. All counts are added up over the dialogues before anything is divided.
- **The rule** is "not a question, nine words or more", applied to the same transcript's sentences.
- **Types right** counts, of the sentences rightly selected, those whose claim has the type that
  was marked.
- **Verbatim** means that every piece of an accepted claim's evidence is the transcript's text at
  its characters, is made of its words, and starts and ends with them.
- **Start error** is absolute: evidence of rightly selected claims that begins where a sentence
  begins, against the moment at which that sentence was spoken. The same is measured of all
  sentences, which says how well the transcript's words are timed.
- **WER** compares script and transcript after Whisper's English normalisation. **DER** is
  scored against the sentences as they are heard, with a collar of 0.25 s on either side. The
  breaths between the sentences of a turn are 0.38 s long, and NIST divides speech at pauses from
  0.3 s on; the second figure is against the turns of the `.rttm` files, which run over them.
- **Summaries** are searched for key facts by keywords; a number in one that is not in the
  transcript was invented. **Merges** are pairs of sentences that say the same, or that seem to and
  do not; a pair counts when both sentences were selected.
"""

COST = """\
## Cost

Of these jobs' own attempts: a unit or an answer that an earlier evaluation left in `.stope/eval`
is read back and costs nothing again.
"""


def figure_lines(scores: Sequence[Score]) -> list[str]:
    """The figures over all dialogues as aligned lines for a terminal."""
    rows = figures(scores)
    name, value = (max(map(len, column)) for column in ([r.name for r in rows], map(_value, rows)))
    return [f"{r.name:<{name}}  {_value(r):>{value}}  {_reached(r)}".rstrip() for r in rows]


def render_page(scores: Sequence[Score]) -> str:
    """The whole page in Markdown."""
    parts = [
        HEAD.format(
            count=len(scores),
            minutes=sum(score.seconds for score in scores) / 60,
            sentences=sum(score.sentences for score in scores),
            marked=sum(score.marked for score in scores),
            models="\n".join(_models(scores)),
            stage="the whole pipeline" if any(score.knowing for score in scores) else "transcribe",
        ),
        "## Figures\n",
        *_table(
            ["figure", "all", "to reach", "reached", *(score.name for score in scores)],
            _figure_rows(scores),
        ),
        "",
        HOW,
        "## Failures\n",
        *(line for score in scores for line in _failures(score)),
        *_summaries(scores),
        COST,
        *_table(
            ["dialogue", "length", "wall time", "LLM calls", "reused", "tokens in", "tokens out"],
            [*map(_cost_row, scores), _total_row(scores)],
        ),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _models(scores: Sequence[Score]) -> list[str]:
    models = scores[0].models
    lines = [f"Speech model: `{models.asr}`."]
    if models.miner is not None:
        lines.append(f"Language model: `{models.miner}` for claims, `{models.flagship}` to judge.")
    return lines


def _figure_rows(scores: Sequence[Score]) -> list[list[str]]:
    single = [{figure.name: figure for figure in figures([score])} for score in scores]
    return [
        [
            total.name,
            f"**{_value(total)}**",
            total.target,
            "" if total.met is None else "yes" if total.met else "**no**",
            *(_value(found[total.name]) if total.name in found else "—" for found in single),
        ]
        for total in figures(scores)
    ]


def _failures(score: Score) -> list[str]:
    lines = [f"### {score.name}\n"]
    lines += [f"- gap in {gap.stage} {gap.unit_id}: {gap.reason}" for gap in score.gaps]
    found = score.speakers
    if found is not None and found.speakers_found != found.speakers:
        lines.append(f"- {found.speakers_found} speakers found, {found.speakers} speak")
    if score.knowing is not None:
        lines += _knowing_failures(score.knowing)
    if len(lines) == 1:
        lines.append("None.")
    return [*lines, ""]


def _knowing_failures(known: Knowing) -> Iterable[str]:
    selection = known.selection
    for positive in selection.false_positives:
        claims = "; ".join(f"“{text}”" for text in positive.claims)
        where = f"“{positive.sentence}” became " if positive.sentence else ""
        yield f"- false positive, {positive.kind}: {where}{claims}"
    for negative in selection.false_negatives:
        yield f"- false negative, {negative.type.value}: “{negative.sentence}” — {negative.fate}"
    for wrong in selection.wrong_types:
        yield f"- type {wrong.given.value}, marked {wrong.marked.value}: “{wrong.sentence}”"
    for failure in known.grounding.failures:
        yield f"- not verbatim, {failure.reason}: “{failure.quote}”"
    for error in known.starts.errors:
        if abs(error.seconds) > 0.5:
            yield f"- starts {error.seconds:+.2f} s off: “{error.sentence}”"
    yield from _content_failures(known.content)


def _content_failures(content: Content) -> Iterable[str]:
    if content.summary is not None:
        for fact in content.summary.missing:
            yield f"- not in the summary: {fact}"
        if content.summary.invented_numbers:
            yield f"- numbers nobody said: {', '.join(content.summary.invented_numbers)}"
    for label, pairs in (("not merged", content.merges), ("not kept apart", content.aparts)):
        for pair in pairs:
            if pair.right is False:
                yield f"- {label}: “{pair.first}” and “{pair.second}”"
    for item in content.splits:
        if item.right is False:
            yield f"- not split: “{item.sentence}”"
    for names in content.names:
        if names.missing:
            yield f"- {names.kind.value} not found: {', '.join(names.missing)}"
        if names.besides:
            yield f"- {names.kind.value} found besides: {', '.join(names.besides)}"


def _summaries(scores: Sequence[Score]) -> list[str]:
    found = {
        score.name: score.knowing.content.summary
        for score in scores
        if score.knowing is not None and score.knowing.content.summary is not None
    }
    rows = (f"- {name}: {' '.join(summary.short.split())}" for name, summary in found.items())
    return ["## Short summaries, as they were made\n", *rows, ""] if found else []


def _cost_row(score: Score) -> list[str]:
    return [score.name, *_cost_cells(score.seconds, score.cost)]


def _total_row(scores: Sequence[Score]) -> list[str]:
    cost = reduce(add, (score.cost for score in scores), Cost())
    return ["**all**", *_cost_cells(sum(score.seconds for score in scores), cost)]


def _cost_cells(seconds: float, cost: Cost) -> list[str]:
    counts = (cost.calls, cost.reused, cost.prompt_tokens, cost.completion_tokens)
    return [f"{seconds:.0f} s", f"{cost.seconds:.0f} s", *(f"{count:,}" for count in counts)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _value(figure: Figure) -> str:
    return "—" if figure.value is None else figure.value


def _reached(figure: Figure) -> str:
    if not figure.target:
        return ""
    said = {True: "reached", False: "not reached", None: "not measured"}[figure.met]
    return f"{figure.target}: {said}"
