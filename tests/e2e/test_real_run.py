"""The real thing, small: real speech, real ASR, the real embedded LLM, through the program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stope.models.claim import Alignment
from stope.models.verdict import Decision
from stope.report.document import Document
from tests.e2e.conftest import Stope

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def _json(text: str) -> dict[str, object]:
    [line] = text.splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def _exported(body: dict[str, object]) -> Document:
    exports = body["exports"]
    assert isinstance(exports, list)
    [path] = [Path(item) for item in exports if str(item).endswith(".json")]
    return Document.model_validate_json(path.read_text())


def _check_evidence(document: Document) -> None:
    """Every accepted claim's quote stands in the transcript, with the words' own times."""
    assert document.transcript is not None
    assert document.knowledge is not None
    transcript = document.transcript
    for judged in document.knowledge.claims:
        if judged.verdict.decision is not Decision.ACCEPT:
            continue
        for item in judged.claim.evidence:
            assert item.alignment is not Alignment.UNGROUNDED
            assert item.first_word is not None
            assert item.end_word is not None
            assert transcript.text[item.char_start : item.char_end] == item.quote
            words = transcript.words[item.first_word : item.end_word]
            assert " ".join(item.quote.split()) == " ".join(word.text for word in words)
            assert (item.start, item.end) == (words[0].start, words[-1].end)


def test_real_speech_then_the_cached_answer(stope: Stope, beckett: Path, tmp_path: Path) -> None:
    first = stope("run", beckett, "--json")
    assert first.returncode == 0, first.stderr
    body = _json(first.stdout)
    assert body["status"] == "succeeded"
    document = _exported(body)
    assert document.transcript is not None
    heard = document.transcript.text.lower()
    for words in ("ever tried", "ever failed", "no matter", "try again", "fail better"):
        assert words in heard
    _check_evidence(document)

    # No model is there to be loaded, and no server to be asked: only the records can answer.
    stope("down")
    again = stope("run", beckett, "--json", STOPE_MODELS=str(tmp_path / "none"))
    assert again.returncode == 0, again.stderr
    assert _json(again.stdout)["result"] == body["result"]
    assert stope("models", "verify", STOPE_MODELS=str(tmp_path / "none")).stdout == ""


def test_the_example_end_to_end(stope: Stope, interview: Path) -> None:
    run = stope("run", interview, "--json")
    assert run.returncode == 0, run.stderr
    body = _json(run.stdout)
    document = _exported(body)
    assert document.transcript is not None
    assert document.knowledge is not None
    assert "heat pump" in document.transcript.text
    assert document.knowledge.claims
    _check_evidence(document)
    job_id = str(body["job_id"])

    checkpoint = _json(stope("checkpoint", job_id, "--json").stdout)["checkpoint"]
    assert isinstance(checkpoint, dict)
    assert checkpoint["completed_stages"] == ["transcribe", "mine", "flagship"]
    for name in ("json", "md", "txt", "srt"):
        folder = stope.home / "out"
        export = stope("export", job_id, "--format", name, "-o", folder)
        assert export.returncode == 0, export.stderr
        assert Path(export.stdout.strip()).read_text()
