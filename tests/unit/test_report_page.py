"""The report page shows everything a run knows, and neither loads nor runs what is not its own."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from stope.models.claim import Alignment, Evidence
from stope.models.diarization import Diarization, Turn
from stope.models.gap import Gap
from stope.models.transcript import Flag, FlagKind, Transcript, Utterance, Word
from stope.models.verdict import Decision
from stope.report.document import Document
from stope.report.page import render_html
from stope.report.reading import STRETCH
from stope.report.voices import voices_of
from tests.documents import (
    HOSTILE,
    TALK,
    TALK_DOCUMENT,
    hostile_document,
    make_claim,
    make_document,
    make_quote,
    make_transcript,
    mined_document,
    moved,
)
from tests.interview import interview_document


class Page(HTMLParser):
    """The elements of a page, its text, and what its scripts and styles hold."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.raw: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.raw[self.cdata_elem] = self.raw.get(self.cdata_elem, "") + data
        else:
            self.text += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [
            found
            for name, found in self.elements
            if name == tag and attributes.items() <= found.items()
        ]


def test_html_keeps_hostile_text_as_text() -> None:
    page = Page(render_html(hostile_document(), audio=HOSTILE))
    as_long = " ".join("x" if word else "" for word in HOSTILE.split(" "))
    harmless = Page(render_html(hostile_document(as_long), audio="talk.opus"))
    # What is in a text adds no element, no attribute and no class.
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in harmless.elements]
    assert [set(found) for _, found in page.elements] == [
        set(found) for _, found in harmless.elements
    ]
    assert [found.get("class") for _, found in page.elements] == [
        found.get("class") for _, found in harmless.elements
    ]
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") >= 30
    assert not re.search(r"[\x00\x1b\u202e]", page.text)


def test_html_may_run_its_own_script_and_style_and_load_nothing() -> None:
    page = Page(render_html(TALK_DOCUMENT, audio="talk.opus"))
    (meta,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    policy = dict(part.split(" ", 1) for part in str(meta["content"]).split("; "))
    hashes = {
        tag: b64encode(sha256(text.encode()).digest()).decode() for tag, text in page.raw.items()
    }
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{hashes['style']}'",
        "script-src": f"'sha256-{hashes['script']}'",
        "media-src": "'self' file: blob: data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not [found for _, found in page.elements if "style" in found]
    sources = [(tag, found["src"]) for tag, found in page.elements if "src" in found]
    assert sources == [("audio", "talk.opus")]
    links = [str(found["href"]) for _, found in page.elements if found.get("href")]
    assert all(link.startswith("#") for link in links)


def test_html_quotes_are_buttons_that_know_their_second_and_their_words() -> None:
    page = Page(render_html(TALK_DOCUMENT))
    buttons = [b for b in page.all("button") if str(b.get("class")).startswith("quote ")]
    assert [(b["data-start"], b["data-first"], b["data-end"]) for b in buttons] == [
        ("1.000", "0", "4"),
        ("2.600", "4", "7"),
    ]
    # Runs are cut at the quote's end, so that exactly its words can be lit.
    assert [run["data-word"] for run in page.all("span") if "data-word" in run] == ["0", "4", "7"]
    # The times of a line's words are hundredths of a second from its start.
    assert [line["data-times"] for line in page.all("div") if "data-times" in line] == [
        "0 40 80 120",
        "0 40 80 120 160",
    ]


def test_html_counts_a_word_with_white_space_as_the_words_it_looks_like() -> None:
    words = (Word(text="a\nb", start=1, end=2), Word(text="c", start=2, end=3))
    transcript = Transcript(
        language="en", words=words, utterances=(Utterance(first_word=0, end_word=2),)
    )
    (line,) = [
        d for d in Page(render_html(make_document(transcript))).all("div") if "data-times" in d
    ]
    assert line["data-times"] == "0 0 100"


def test_html_shows_an_ungrounded_quote_without_a_place_to_play() -> None:
    lost = Evidence(quote="Never said.", alignment=Alignment.UNGROUNDED, score=12)
    page = Page(render_html(make_document(TALK, make_claim(1, "Lost", lost, importance=0))))
    assert not [b for b in page.all("button") if "data-claim" in b]
    assert "Not found in the transcript" in page.text
    assert "Never said." in page.text
    assert "No claim was accepted." in page.text


@pytest.mark.parametrize(
    ("audio", "source"),
    [
        ("../my talks/50% #1?.opus", "../my%20talks/50%25%20%231%3F.opus"),
        ("12:30 talk.opus", "12%3A30%20talk.opus"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("caf\u00e9.opus", "caf%C3%A9.opus"),
        ("not-utf8-\udcff.opus", "not-utf8-%FF.opus"),
        ("file:///srv/my%20talk.opus", "file:///srv/my%20talk.opus"),
        ("https://example.org/a.opus?x=1&y=2", "https://example.org/a.opus?x=1&y=2"),
    ],
)
def test_html_quotes_the_path_of_the_recording_and_leaves_urls(audio: str, source: str) -> None:
    (player,) = Page(render_html(TALK_DOCUMENT, audio=audio)).all("audio")
    assert player["src"] == source


def test_html_says_where_it_looks_for_the_recording_and_whether_it_has_one() -> None:
    assert (
        "at /srv/my talk.opus,"
        in Page(render_html(TALK_DOCUMENT, "file:///srv/my%20talk.opus")).text
    )
    assert "made without the recording" in Page(render_html(TALK_DOCUMENT)).text
    assert (
        "cannot play the format" in Page(render_html(TALK_DOCUMENT, "data:audio/ogg;base64,")).text
    )


def test_html_without_times_has_no_player() -> None:
    document = make_document(make_transcript(("ANN", "Plain words."), timed=False))
    page = Page(render_html(document))
    assert "Plain words." in page.text
    assert "hidden" in page.all("footer")[0]
    assert not page.all("figure")


def panels(document: Document) -> list[str | None]:
    """The parts of a document's page."""
    return [tab["aria-controls"] for tab in Page(render_html(document)).all("button", role="tab")]


def test_html_has_only_the_parts_that_have_something_to_show() -> None:
    everything = ["claims", "transcript", "ideas", "doubts", "run"]
    assert panels(interview_document()) == everything
    assert panels(make_document(TALK)) == ["transcript", "run"]
    assert panels(make_document(None, make_claim(1, "A claim"))) == ["claims", "run"]
    assert panels(mined_document()) == ["claims", "transcript", "run"]
    for document in (interview_document(), make_document(TALK), mined_document()):
        page = Page(render_html(document))
        assert {found["id"] for found in page.all("section")} == set(panels(document))


def test_html_of_a_mine_job_has_its_claims_unjudged() -> None:
    claim = make_claim(1, "Roofs lose heat", make_quote("Roofs lose most heat.", 0, 4)).claim
    page = Page(render_html(mined_document(claim)))
    assert "1 claim mined" in page.text
    assert "In the order they were said; not judged" in page.text
    assert "Importance" not in page.text


def test_html_of_a_silent_recording_says_that_nothing_was_said() -> None:
    silence = Transcript(language="und", duration=3.0, words=(), utterances=())
    assert "Nothing was said." in Page(render_html(make_document(silence), "silence.wav")).text


def test_html_folds_away_what_was_merged_split_and_rejected_and_says_where_it_went() -> None:
    kept = make_claim(1, "Roofs lose heat")
    page = Page(
        render_html(
            make_document(
                TALK,
                kept,
                moved(make_claim(2, "Heat leaves"), Decision.MERGE, kept.claim.id),
                moved(make_claim(3, "Two things"), Decision.SPLIT, kept.claim.id),
                make_claim(4, "Noise", importance=0),
            )
        )
    )
    assert len(page.all("details", **{"class": "group folded"})) == 2
    assert "Merged into 1. Roofs lose heat" in page.text
    assert "Split into 1. Roofs lose heat" in page.text
    assert len(page.all("a", href=f"#{kept.claim.id}")) >= 3


def test_html_marks_doubtful_words_and_names_gaps_in_their_place() -> None:
    flag = Flag(kind=FlagKind.LOOP, start=3, end=4, first_word=5, end_word=7, note="Said 9 times.")
    gap = Gap(stage="transcribe", unit_id="chunk_7", reason="Broken", start=2, end=2.5)
    document = make_document(TALK.model_copy(update={"flags": (flag,)})).model_copy(
        update={"gaps": (gap,)}
    )
    page = Page(render_html(document))
    (doubtful,) = page.all("span", **{"class": " doubtful"})
    assert doubtful["data-word"] == "5"
    transcript = page.text[page.text.index("Follow") :]
    places = [
        transcript.index(part)
        for part in (
            "Roofs lose most heat.",
            "Not transcribed from 00:02 to 00:02: Broken",
            "Doubtful from 00:03 to 00:04 (repeats itself): Said 9 times.",
            "Pumps",
        )
    ]
    assert places == sorted(places)
    assert "1 gap 1 doubtful passage" in " ".join(page.text.split())


def test_html_gives_every_speaker_a_colour_a_share_and_the_given_name() -> None:
    turns = tuple(
        Turn(speaker=f"S{n}", start=n, end=n + (3 if n == 1 else 1)) for n in range(1, 10)
    )
    transcript = make_transcript(*((f"S{n}", "Some words.") for n in range(1, 10)))
    document = make_document(transcript.model_copy(update={"duration": 20.0})).model_copy(
        update={
            "diarization": Diarization(engine="x", speakers=9, turns=turns),
            "speaker_names": {"S2": "Ann Lee"},
        }
    )
    people = voices_of(document)
    assert [(p.name, p.colour) for p in people[:2]] == [("Speaker 1", 1), ("Ann Lee", 2)]
    assert people[8].colour == 1
    assert sum(p.share for p in people) == pytest.approx(1)
    page = Page(render_html(document))
    assert len([s for s in page.all("svg") if str(s.get("class")).startswith("lane")]) == 8
    assert "1 more speakers, in the filters below" in page.text


def test_html_shows_what_the_run_took() -> None:
    page = Page(render_html(interview_document()))
    assert "Working time2 min 51 s" in page.text
    assert "9 made, 5 answers reused" in page.text
    assert "7,412 read, 2,238 written" in page.text
    assert "7 greeting, 6 question" in page.text


def test_html_of_ten_hours_lays_out_its_transcript_in_stretches() -> None:
    transcript = make_transcript(*(("S1", f"Line {n} of a long day.") for n in range(1000)))
    page = Page(render_html(make_document(transcript)))
    assert len(page.all("div", **{"class": "stretch"})) == 1000 / STRETCH
