"""A gap is shown where it is: in the transcript at its time, and by its range when a run ends.

For a chunk that was not heard as for a segment that was not mined, in every form people read.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from cli.summary import print_summary
from stope.models.gap import Gap
from stope.report.document import Document
from stope.report.markdown import render_md
from stope.report.page import render_html
from stope.report.plain import render_txt
from tests.documents import make_document, make_transcript

CHUNK = Gap(
    stage="transcribe", unit_id="chunk_0002", reason="This stretch is broken", start=5, end=8.2
)
SEGMENT = Gap(stage="mine", unit_id="seg_0003", reason="The answer never fitted", start=9.4, end=70)
NAMES = SEGMENT.model_copy(update={"unit_id": "seg_0003.names"})
TALK = make_transcript(
    ("ANN", "Roofs lose most heat of all parts."),
    ("BOB", "Pumps save a lot of money."),
    ("ANN", "Windows come last in every list."),
    timed=True,
    pace=0.6,
)
"""Its lines begin at 1.0, 5.2 and 8.8 seconds."""


class Text(HTMLParser):
    """What a page shows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shown = ""
        self.feed(page)

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.shown += data


def document(*gaps: Gap) -> Document:
    return make_document(TALK).model_copy(update={"gaps": gaps})


def html_text(found: Document) -> str:
    text = " ".join(Text(render_html(found)).shown.split())
    # Before the transcript the page lists all gaps.
    return text[text.index("Follow") :]


@pytest.mark.parametrize("render", [render_txt, html_text], ids=["txt", "html"])
def test_a_chunks_and_a_segments_gap_stand_in_the_transcript_at_their_time(
    render: Callable[[Document], str],
) -> None:
    text = render(document(SEGMENT, CHUNK))
    places = [
        text.index(part)
        for part in (
            "Roofs lose",
            "Not transcribed from 00:05 to 00:08: This stretch is broken",
            "Pumps save",
            "Windows come last",
            "Not mined for claims from 00:09 to 01:10: The answer never fitted",
        )
    ]
    assert places == sorted(places)


def test_the_note_names_both_with_their_ranges() -> None:
    note = render_md(document(CHUNK, SEGMENT, NAMES))
    assert "- Not transcribed: chunk_0002 [00:05-00:08]: This stretch is broken" in note
    assert "- Not mined for claims: seg_0003 [00:09-01:10]: The answer never fitted" in note
    assert "- Not searched for names: seg_0003.names [00:09-01:10]" in note


def test_the_end_of_a_run_names_both_with_their_ranges() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    print_summary(document(CHUNK, SEGMENT), [Path("report.html")], console)
    assert isinstance(console.file, io.StringIO)
    text = " ".join(console.file.getvalue().split())
    assert "gap: transcribe chunk_0002 from 00:05 to 00:08: This stretch is broken" in text
    assert "gap: mine seg_0003 from 00:09 to 01:10: The answer never fitted" in text
    assert "complete but for 2 gaps (exit code 3)" in text
