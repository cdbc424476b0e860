"""What a run prints: it fits 80 columns whatever the names are, and is plain in pipes."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from cli.progress import Bars, Lines, describe, progress_view
from cli.summary import print_summary
from stope.models.gap import Gap
from stope.models.job import JobStatus, JobType
from stope.models.knowledge import Summary, Theme
from stope.models.progress import Spent, StageProgress
from stope.models.verdict import Decision
from stope.models.view import JobView, StageView
from stope.report.document import Document
from tests.documents import (
    hostile_document,
    make_claim,
    make_document,
    make_quote,
    make_transcript,
    moved,
)

COLUMNS = 80
WIDE = "日本語の長い名前🎙️"
LONG = "A claim that goes on about rain, rivers and " + "very " * 40 + "deep mud."


def console() -> Console:
    return Console(file=io.StringIO(), width=COLUMNS, force_terminal=False)


def printed(document: Document, *paths: Path) -> list[str]:
    page = console()
    print_summary(document, list(paths), page)
    assert isinstance(page.file, io.StringIO)
    return page.file.getvalue().splitlines()


def rich_document(name: str = "talk.opus", speaker: str = "S1") -> Document:
    """Claims of every kind, a summary, themes and gaps."""
    talk = make_transcript((speaker, "Bees pollinate a third of our crops."), ("S2", "Do they?"))
    quote = make_quote("Bees pollinate a third", 0, 4, speaker)
    document = make_document(
        talk,
        make_claim(1, LONG, quote, importance=9),
        make_claim(2, WIDE * 12, quote, importance=6),
        moved(make_claim(3, "Bees feed us.", quote), Decision.MERGE, "clm_000000000001"),
        make_claim(4, "Hello.", quote, importance=0),
        name=name,
    )
    assert document.knowledge is not None
    knowledge = document.knowledge.model_copy(
        update={
            "summary": Summary(short="Bees matter. " * 12, long="They do."),
            "themes": (Theme(name="bees and crops", claim_ids=("clm_000000000001",)),),
        }
    )
    gap = Gap(
        stage="transcribe",
        unit_id="audio_0001",
        reason="no sound can be read here, so silence stands in its place",
        start=61,
        end=64.5,
    )
    return document.model_copy(
        update={"knowledge": knowledge, "gaps": (gap,), "speaker_names": {"S2": "Ann Lee"}}
    )


@pytest.mark.parametrize(
    "document",
    [
        rich_document(),
        rich_document("x" * 240 + ".opus", speaker="A very long name of somebody who speaks"),
        rich_document(WIDE * 9 + ".opus", speaker=WIDE * 3),
        hostile_document(),
        hostile_document("[bold red]x[/bold red] \x1b[31m\x07 " + "w" * 200),
        make_document(make_transcript()),
        make_document(None),
    ],
)
def test_the_summary_fits_80_columns(document: Document) -> None:
    lines = printed(document, Path("exports/report.html"))
    assert max(map(cell_len, lines)) <= COLUMNS
    assert "\x1b" not in "".join(lines)


def test_the_summary_says_claims_counts_gaps_files_and_how_it_ended() -> None:
    folder = Path("exports")
    lines = printed(rich_document(), folder / "report.html", folder / "claims.md")
    text = " ".join(" ".join(lines).split())
    for part in (
        "talk.opus",
        "2 speakers (S1, Ann Lee)",
        "2 claims accepted of 4 (1 A, 1 B, 0 C), 1 merged, 1 rejected",
        "Bees matter.",
        "themes: bees and crops",
        "gap: transcribe audio_0001 from 01:01 to 01:04: no sound can be read here",
        "complete but for 1 gap (exit code 3)",
        "exports/report.html beside it: claims.md",
    ):
        assert part in text
    [row] = [line for line in lines if line.lstrip().startswith("1 ")]
    assert row.split()[:5] == ["1", "A", "00:01", "S1", "A"]


def test_silence_is_said() -> None:
    assert "no speech: the transcript is empty" in printed(make_document(make_transcript()))[1]


def test_a_path_stays_in_one_piece() -> None:
    path = Path("/" + "far/" * 30 + "report.html")
    assert f"  {path}" in printed(make_document(make_transcript()), path)


def progress(**more: object) -> StageProgress:
    fields: dict[str, object] = {"job_type": "transcribe", "stage": "transcribing", **more}
    return StageProgress.model_validate(fields)


def stage_view(
    kind: JobType = JobType.TRANSCRIBE, state: str = "running", **more: object
) -> StageView:
    return StageView.model_validate({"stage": kind, "state": state, **more})


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (
            stage_view(progress=progress(done=12, total=30, reused=2, elapsed=100, audio=310)),
            "transcribing, 12/30, 3.1x real time, 03:00 left, 2 reused",
        ),
        (
            stage_view(progress=progress(stage="diarizing", done=0, total=4)),
            "diarizing, 0/4, time unknown until the first unit",
        ),
        (
            stage_view(progress=progress(done=2, total=4, reused=2)),
            "transcribing, 2/4, time unknown until the first unit, 2 reused",
        ),
        (
            stage_view(
                JobType.MINE,
                progress=progress(
                    job_type="mine", stage="mining", done=5, total=6, gaps=1, elapsed=37, audio=300
                ),
            ),
            "mining, 5/6, 8.1/min, 1 gap",
        ),
        (
            stage_view(progress=progress(done=2, total=4, reused=2, usual=3.5)),
            "transcribing, 2/4, about 00:07 left, 2 reused",
        ),
        (
            stage_view(
                JobType.MINE,
                progress=progress(
                    job_type="mine",
                    stage="mining",
                    done=6,
                    total=6,
                    spent=Spent(prompt_tokens=1200, completion_tokens=34, cost_usd=0.0042),
                ),
            ),
            "mining, 6/6, 1,234 tokens, $0.0042",
        ),
        (stage_view(waiting="waiting for a worker"), "waiting for a worker"),
        (stage_view(waiting="it is away", paused=True), "paused"),
        (stage_view(progress=progress(note="loading tiny.en")), "transcribing, loading tiny.en"),
        (stage_view(state="completed"), "done"),
        (stage_view(state="not_started"), "not started"),
        (stage_view(waiting="it is away", attempt=3), "waiting (attempt 3): it is away"),
    ],
)
def test_a_stage_in_a_few_words(view: StageView, text: str) -> None:
    assert describe(view) == text


def test_the_bars_fit_80_columns() -> None:
    page = Console(file=io.StringIO(), width=COLUMNS, force_terminal=True, color_system=None)
    long = "loading http://127.0.0.1:8000/v1#" + WIDE * 9
    running = progress(done=12, total=30, reused=2, elapsed=100, audio=310, note=long[:200])
    away = stage_view(JobType.MINE, waiting="it is away " * 20, attempt=2)
    with Bars(page) as bars:
        for stages in ((stage_view(progress=running), away), (stage_view(state="completed"), away)):
            bars.show(_view(JobStatus.RUNNING, *stages))
        bars.show(_view(JobStatus.SUCCEEDED))
    assert isinstance(page.file, io.StringIO)
    text = page.file.getvalue()
    for control in ("\x1b[?25l", "\x1b[?25h", "\x1b[2K", "\x1b[1A"):
        text = text.replace(control, "")
    text = text.replace("\r", "\n")
    assert max(map(cell_len, text.splitlines())) <= COLUMNS
    assert "mine: waiting (attempt 2): it is away" in text
    assert "done in 00:00" in text


def test_a_stage_that_had_its_result_is_kept_from_before() -> None:
    page = Console(file=io.StringIO(), width=COLUMNS, force_terminal=True, color_system=None)
    with Bars(page) as bars:
        kept = stage_view(state="not_started")
        bars.show(_view(JobStatus.RUNNING, kept, stage_view(JobType.MINE)))
        bars.show(_view(JobStatus.SUCCEEDED))
    assert isinstance(page.file, io.StringIO)
    last = page.file.getvalue().rsplit("transcribe", 1)[1]
    assert "kept from before" in last
    assert "done in" in last


def test_a_pipelines_time_left_is_a_line_of_its_own_and_says_what_it_does_not_know() -> None:
    page = Console(file=io.StringIO(), width=COLUMNS, force_terminal=True, color_system=None)
    half = progress(done=10, total=20, elapsed=100)
    with Bars(page) as bars:
        bars.show(
            _view(
                JobStatus.RUNNING,
                stage_view(progress=half),
                stage_view(JobType.MINE, state="not_started"),
            )
        )
    assert isinstance(page.file, io.StringIO)
    last = page.file.getvalue().rsplit("in all", 1)[1]
    assert "at least 01:40 left" in last


def test_why_a_whole_job_waits_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    paused = _view(JobStatus.PAUSED, stage_view(paused=True)).model_copy(
        update={"waiting": "It was paused by hand. Go on with `stope resume pipeline-1`."}
    )
    with Lines() as lines:
        for _ in range(3):
            lines.show(paused)
    said = capsys.readouterr().err
    assert said.count("stope resume pipeline-1") == 1
    assert said.count("transcribe: paused") == 1


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_drawing_gets_lines(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("cli.progress.err", terminal)
    assert isinstance(progress_view(), Bars)
    monkeypatch.setenv(name, value)
    assert isinstance(progress_view(), Lines)


def test_a_pipe_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.progress.err", console())
    assert isinstance(progress_view(), Lines)


def _view(status: JobStatus, *stages: StageView) -> JobView:
    return JobView(job_id="pipeline-1", type=JobType.PIPELINE, status=status, stages=stages)
