"""The page shows every raw figure, and a miss as a miss."""

from __future__ import annotations

from benchmarks.bench.measure import Figure, Row, Series, plain, ratio
from benchmarks.bench.page import figure_text, render_page, row_lines
from benchmarks.bench.rows import KINDS, kinds

OURS = Series(name="our side", unit="s", values=(10.0, 33.0, 11.0))
OTHER = Series(name="other side", unit="s", values=(10.0, 30.0, 10.0))
MISSED = Row(
    key="asr",
    figures=(
        ratio("time", OURS, OTHER, limit=1.05),
        Figure(name="WER", unit="points", value=-0.2, low=-0.2, high=0.1, limit=0.5),
    ),
    series=(OURS, OTHER),
    notes=("Eight minutes.",),
)


def test_a_miss_is_marked_in_the_table_and_in_the_terminal() -> None:
    page = render_page([MISSED])
    assert "| **1.100** (1.000 to 1.100) | ≤ 1.05 | **no** |" in page
    assert "| WER | **-0.20 points** (-0.20 to 0.10) | ≤ +0.5 points | yes |" in page
    assert any("to reach ≤ 1.05: MISSED" in line for line in row_lines(MISSED))


def test_every_raw_figure_is_there_in_its_order() -> None:
    page = render_page([MISSED])
    assert "| our side, s | 11.00 | 10.00 33.00 11.00 |" in page
    assert "    our side, s: 10.00 33.00 11.00" in row_lines(MISSED)
    assert "Eight minutes." in page


def test_every_row_of_the_table_is_there_with_its_command_once_measured() -> None:
    page = render_page([MISSED])
    for kind in KINDS:
        assert f"| {kind.what} |" in page
        measured = kind.key == "asr"
        assert (f"--only {kind.key}\n" in page) is measured
        assert (f"| {kind.what} | not measured |" in page) is not measured


def test_a_row_that_failed_says_why_and_has_no_figure() -> None:
    failed = Row(key="memory", failure="The worker died; it said: Killed")
    assert "**Not measured:** The worker died; it said: Killed" in render_page([failed])
    assert row_lines(failed)[-1] == "  not measured: The worker died; it said: Killed"


def test_a_figure_of_which_nothing_is_promised_is_neither_reached_nor_missed() -> None:
    assert figure_text(plain("wall", OURS)) == "wall: 11.00 s (10.00 to 33.00)"


def test_rows_keep_their_order_however_they_are_asked_for() -> None:
    assert [kind.key for kind in kinds(["cached", "pipeline"])] == ["pipeline", "cached"]
    assert len(kinds(None)) == len({kind.key for kind in KINDS}) == len(KINDS)


def test_a_figure_in_doubt_is_never_called_reached() -> None:
    good = ratio("time", OTHER, OTHER, limit=1.05)
    assert good.met is True
    doubted = good.model_copy(update={"doubt": "the sides did not have the same machine"})
    assert doubted.met is None
    row = Row(key="pipeline", figures=(doubted,), series=(OTHER,))
    assert "| ≤ 1.05 | **not valid** |" in render_page([row])
    text = figure_text(doubted)
    assert "NOT VALID: the sides did not have the same machine" in text
    assert "reached" not in text
