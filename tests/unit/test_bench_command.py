"""The command: a miss is no failure, a row that cannot be measured is one, the others go on."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.bench import __main__ as command
from benchmarks.bench.bench import Bench
from benchmarks.bench.measure import MeasurementError, Row, Series, plain
from benchmarks.bench.rows import KINDS

Measure = Callable[[Bench], Awaitable[Row]]


def measured(key: str, seconds: float) -> Measure:
    async def measure(bench: Bench) -> Row:
        with bench.row(key) as folder:
            (folder / "left behind").write_text("something")
        series = Series(name="client", unit="s", values=(seconds,))
        return Row(key=key, figures=(plain("time", series, 0.3),), series=(series,))

    return measure


async def fails(_bench: Bench) -> Row:
    raise MeasurementError("The worker died; it said: Killed")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    def script(**measures: Measure) -> None:
        found = [
            replace(kind, measure=measures[kind.key]) for kind in KINDS if kind.key in measures
        ]
        monkeypatch.setattr(command, "kinds", lambda _keys: found)

    monkeypatch.setattr(command, "FOLDER", tmp_path / "bench")
    return script


def test_a_miss_is_printed_and_is_no_failure(
    rows: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows(cached=measured("cached", 0.5))
    assert command.main(["--write", str(tmp_path / "docs" / "page.md")]) == 0
    assert "to reach ≤ 0.3 s: MISSED" in capsys.readouterr().out
    assert "**no**" in (tmp_path / "docs" / "page.md").read_text(encoding="utf-8")
    assert not list((tmp_path / "bench").iterdir())


def test_a_row_that_cannot_be_measured_fails_the_command_after_the_others(
    rows: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows(memory=fails, cached=measured("cached", 0.1))
    assert command.main(["--json", str(tmp_path / "all.json")]) == 1
    out = capsys.readouterr().out
    assert "not measured: The worker died; it said: Killed" in out
    assert "to reach ≤ 0.3 s: reached" in out
    memory, cached = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert memory["failure"] == "The worker died; it said: Killed"
    assert cached["series"][0]["values"] == [0.1]
    assert cached["figures"][0]["met"] is True


def test_rows_of_an_earlier_run_are_kept_when_asked_for_and_replaced_when_measured_again(
    rows: Callable[..., None], tmp_path: Path
) -> None:
    file, page = tmp_path / "all.json", tmp_path / "page.md"
    rows(memory=measured("memory", 0.7), cached=measured("cached", 0.5))
    assert command.main(["--json", str(file)]) == 0
    rows(cached=measured("cached", 0.1))
    assert command.main(["--json", str(file), "--add", "--write", str(page)]) == 0
    kept = {row["key"]: row["series"][0]["values"] for row in json.loads(file.read_text())}
    assert kept == {"memory": [0.7], "cached": [0.1]}
    assert page.read_text(encoding="utf-8").count("Measured on 2") == 2


def test_a_file_of_something_else_is_refused(
    rows: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "all.json"
    file.write_text('{"some": "thing"}')
    rows(cached=fails)
    assert command.main(["--json", str(file), "--add"]) == 1
    assert "is not what --json writes" in capsys.readouterr().err
    assert file.read_text() == '{"some": "thing"}'


@pytest.mark.parametrize(
    "words", [["--only", "nothing"], ["--add"], ["--quick", "--write", "docs/performance.md"]]
)
def test_what_makes_no_sense_is_refused_before_anything_starts(
    words: list[str], rows: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    rows(cached=fails)
    with pytest.raises(SystemExit) as refused:
        command.main(words)
    assert refused.value.code == 2
    assert "usage:" in capsys.readouterr().err
