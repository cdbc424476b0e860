"""The command refuses what it cannot evaluate, before anything is started."""

from __future__ import annotations

import pytest

from benchmarks.eval.__main__ import main
from cli.console import USAGE


def test_an_unknown_dialogue_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "nothing"]) == USAGE
    assert "There is no dialogue 'nothing'" in capsys.readouterr().err


def test_only_whole_pipelines_and_transcripts_are_evaluated() -> None:
    with pytest.raises(SystemExit):
        main(["--stage", "mine"])
