"""Evaluate Stope on the dialogues: python -m benchmarks.eval --help."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.eval.dialogue import dialogue_names, load_dialogue
from benchmarks.eval.figures import figures
from benchmarks.eval.page import figure_lines, render_page
from benchmarks.eval.run import evaluate
from benchmarks.eval.score import Score
from cli.console import FAILED, INTERRUPTED, exit_code, settings_with_logging, status
from stope.errors import StopeError
from stope.models.job import JobType

HOME = Path(__file__).resolve().parents[2] / ".stope" / "eval"
"""Every evaluation works here, so that the next one does again only what changed."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the dialogues, print the figures, and write what is asked for."""
    asked = _parser().parse_args(words)
    try:
        settings = settings_with_logging().model_copy(update={"home": HOME})
        dialogues = [load_dialogue(name) for name in asked.only or dialogue_names()]
        job_type = JobType(asked.stage)
        scores = asyncio.run(evaluate(settings, dialogues, job_type, asked.llm))
    except StopeError as error:
        status(f"eval: {error}")
        return exit_code(error) or FAILED
    if scores is None:
        status("interrupted; nothing finished is lost: the same command goes on")
        return INTERRUPTED
    print("\n".join(figure_lines(scores)))
    if asked.json is not None:
        asked.json.write_text(_as_json(scores), encoding="utf-8")
    if asked.write is not None:
        asked.write.parent.mkdir(parents=True, exist_ok=True)
        asked.write.write_text(render_page(scores), encoding="utf-8")
        status(f"written: {asked.write}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eval", description=__doc__)
    parser.add_argument("--llm", metavar="MODEL", help="default: what `stope run` uses")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help=f"some of {', '.join(dialogue_names())}"
    )
    parser.add_argument(
        "--stage",
        choices=[JobType.PIPELINE.value, JobType.TRANSCRIBE.value],
        default=JobType.PIPELINE.value,
        help="transcribe: only the figures that need no language model",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything measured, as JSON")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the page, docs/quality.md")
    return parser


def _as_json(scores: Sequence[Score]) -> str:
    body = {
        "figures": [figure.model_dump(mode="json") for figure in figures(scores)],
        "dialogues": [
            {
                "figures": [figure.model_dump(mode="json") for figure in figures([score])],
                **score.model_dump(mode="json"),
            }
            for score in scores
        ],
    }
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
