"""A measuring process answers request by request, and what goes wrong in it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bench.bench import Bench
from benchmarks.bench.child import ROOT, environment, started
from benchmarks.bench.measure import MeasurementError
from stope.settings import Settings

ECHO = """
import os
import sys

from benchmarks.bench.child import serve
from stope.errors import UsageError


async def answer(request):
    print("a library that prints")
    if "refuse" in request:
        raise UsageError("This cannot be done.")
    if "die" in request:
        sys.stderr.write("out of memory\\n")
        sys.stderr.flush()
        os._exit(1)
    return {"said": request["say"], "home": os.environ["STOPE_HOME"]}


serve(answer)
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "echo_child.py").write_text(ECHO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("STOPE_LLM", "openai:not-this-one")
    monkeypatch.setenv("STOPE_DATABASE_URL", "postgresql://elsewhere")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "elsewhere:7233")
    return Bench(Settings(), tmp_path).settings(tmp_path / "home")


async def test_a_child_goes_on_after_it_refused(settings: Settings, tmp_path: Path) -> None:
    async with started("echo_child", settings, tmp_path / "log") as child:
        assert (await child.ask({"say": "one"}))["said"] == "one"
        with pytest.raises(MeasurementError, match=r"This cannot be done\."):
            await child.ask({"refuse": True})
        answer = await child.ask({"say": "x" * 100_000})
    assert answer["said"] == "x" * 100_000
    assert answer["home"] == str(settings.home)
    assert (tmp_path / "log").read_text().splitlines() == ["a library that prints"] * 3


async def test_the_end_of_what_a_dead_child_wrote_is_the_reason(
    settings: Settings, tmp_path: Path
) -> None:
    async with started("echo_child", settings, tmp_path / "log") as child:
        with pytest.raises(MeasurementError, match="out of memory"):
            await child.ask({"die": True})


def test_nothing_of_the_caller_s_settings_reaches_a_child(settings: Settings) -> None:
    found = environment(settings)
    assert found["STOPE_LLM"] == settings.llm
    assert "STOPE_DATABASE_URL" not in found
    assert "TEMPORAL_ADDRESS" not in found
    assert settings.records_url.endswith("home/records.db")
    assert (ROOT / "worker.py").is_file()
