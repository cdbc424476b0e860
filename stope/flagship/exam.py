"""The exam: a model's scores count only if it can tell claims of weight from trifles.

Small models answer in the schema and score at random, or the same for all. So a model is first
given claims whose order is beyond doubt, once for every prompt and version of it; the answer is a
unit like any other. One that fails still compares, splits, names and sums up; the scores are then
measured (``scores``) and nothing is rejected on its word.
"""

from __future__ import annotations

from stope.errors import UnitError
from stope.flagship.judge import judge_batch
from stope.llm.ledger import Ledger
from stope.models.frozen import Frozen

NAME = "exam"

TRIFLES = (
    "My cousin's bicycle is red.",
    "The meeting room has two doors.",
    "Our neighbour bought a new lamp.",
)
MATTERS = (
    "Vaccination has ended smallpox in the whole world.",
    "Without clean water, two billion people fall ill more often.",
    "Every country should stop burning coal, since it warms the climate.",
)
QUESTIONS = (TRIFLES[0], MATTERS[0], MATTERS[1], TRIFLES[1], TRIFLES[2], MATTERS[2])

KNOWN_TO_FAIL = ("qwen2.5-coder-1.5b-instruct@",)
"""Beginnings of the identities of models that were examined when they were chosen: they repeat one
score for all claims, or the examples'."""


class ExamResult(Frozen):
    """The committed output of the exam."""

    passed: bool


def is_known_to_fail(identity: str) -> bool:
    """Whether a model need not be asked."""
    return identity.startswith(KNOWN_TO_FAIL)


async def examine(ledger: Ledger) -> ExamResult:
    """Whether the model scores everything of weight above every trifle."""
    try:
        found = await judge_batch(QUESTIONS, ledger, NAME)
    except UnitError:
        return ExamResult(passed=False)
    weight = {
        text: levels.reach + levels.use
        for text, levels in zip(QUESTIONS, found.levels, strict=True)
    }
    return ExamResult(
        passed=min(weight[text] for text in MATTERS) > max(weight[text] for text in TRIFLES)
    )
