"""The page holds every figure with its target and names every failure."""

from __future__ import annotations

from benchmarks.eval.figures import figures
from benchmarks.eval.page import figure_lines, render_page
from benchmarks.eval.score import Cost, Score, score_document
from stope.models.claim import ClaimType
from stope.models.knowledge import Knowledge
from tests.builders import transcript_of
from tests.eval_builders import dialogue_of, document_of, evidence_of, judged_of, knowledge_of

DIALOGUE = dialogue_of(
    ("ANN", "The sun is hot.", ClaimType.FACTUAL),
    ("BOB", "We should all wear a hat.", ClaimType.NORMATIVE),
    ("ANN", "I once lost my hat in a river near my uncle's house.", "anecdote"),
)
TRANSCRIPT = transcript_of(
    *((f"S{number}", mark.sentence) for number, mark in enumerate(DIALOGUE.marks, start=1))
)
COST = Cost(seconds=12, calls=3, reused=1, prompt_tokens=1234, completion_tokens=56)


def _score(knowledge: Knowledge | None) -> Score:
    return score_document(DIALOGUE, document_of(TRANSCRIPT, knowledge), COST)


def _scored() -> Score:
    sun, river = DIALOGUE.marks[0].sentence, DIALOGUE.marks[2].sentence
    return _score(
        knowledge_of(
            judged_of(evidence_of(TRANSCRIPT, sun), kind=ClaimType.CAUSAL),
            judged_of(evidence_of(TRANSCRIPT, river), rank=2),
        )
    )


def test_figures_say_whether_they_reach_their_targets() -> None:
    found = {figure.name: figure for figure in figures([_scored(), _scored()])}
    assert found["Claim selection, F1"].value == "0.50"
    assert found["Claim selection, F1"].met is False
    assert found["F1 above the rule"].value == "+0.50"
    assert found["F1 above the rule"].met is True
    grounding = found["Accepted claims with verbatim evidence and the words' own times"]
    assert (grounding.value, grounding.met) == ("100.0 % (4 of 4)", True)
    assert found["Evidence start, p95 of the error"].met is True
    assert found["WER"].value == "0.0 %"
    assert found["Speaker counts right"].value == "0 of 2"
    assert found["Speaker counts right"].met is False


def test_the_page_names_every_failure() -> None:
    page = render_page([_scored()])
    assert "python -m benchmarks.eval --write docs/quality.md" in page
    assert "| Claim selection, F1 | **0.50** | ≥ 0.85 | **no** | 0.50 |" in page
    assert "false positive, anecdote: “I once lost my hat" in page
    assert "false negative, normative: “We should all wear a hat.” — not mined" in page
    assert "type causal, marked factual: “The sun is hot.”" in page
    assert "3 speakers found, 2 speak" in page
    assert "| small | 9 s | 12 s | 3 | 1 | 1,234 | 56 |" in page


def test_transcription_alone_gives_the_figures_that_need_no_language_model() -> None:
    score = _score(None)
    names = [figure.name for figure in figures([score])]
    assert "WER" in names
    assert "Claim selection, F1" not in names
    assert "Sentence starts measured" in "\n".join(figure_lines([score]))
    assert "### small" in render_page([score])
