"""Exports say everything a run knows, keep hostile text as text, and are whole or absent."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from stope.errors import InputError, UsageError
from stope.models.claim import Alignment, Claim, ClaimType, Evidence, Stance
from stope.models.gap import Gap
from stope.models.knowledge import JudgedClaim, Knowledge
from stope.models.transcript import Transcript, Utterance, Word
from stope.models.verdict import Decision, Verdict
from stope.report.document import Document, Models, Source
from stope.report.exports import FORMATS, write_exports
from stope.report.lines import clock
from stope.report.markdown import render_md
from stope.report.page import render_html
from stope.report.plain import render_json, render_txt
from stope.report.subtitles import render_srt

HOSTILE = (
    "</script><script>alert(1)</script></style><img src=x onerror='alert(2)'>"
    '"><b>&amp; `{{ 7 * 7 }}` --> [x](javascript:3)\n---\n# no: heading\x1b[31m 🎙'
)


def make_transcript(
    *turns: tuple[str | None, str], timed: bool = True, pace: float = 0.4
) -> Transcript:
    """One utterance a turn, its words ``pace`` seconds apart from second 1 on."""
    words: list[Word] = []
    utterances: list[Utterance] = []
    for speaker, text in turns:
        first = len(words)
        for token in text.split(" "):
            start = round(1 + pace * len(words), 3) if timed else None
            end = None if start is None else round(start + pace, 3)
            words.append(Word(text=token, start=start, end=end))
        utterances.append(Utterance(first_word=first, end_word=len(words), speaker=speaker))
    return Transcript(language="en", words=tuple(words), utterances=tuple(utterances))


def make_claim(rank: int, text: str, *evidence: Evidence, importance: int = 8) -> JudgedClaim:
    """A judged claim, rejected when its importance is 0."""
    claim_id = f"clm_{rank:012x}"
    verdict = Verdict(
        claim_id=claim_id,
        decision=Decision.ACCEPT if importance else Decision.REJECT,
        canonical_text=text,
        importance=importance,
        novelty=4,
        confidence=7,
        reasoning=f"Reason for {text}",
    )
    claim = Claim(
        id=claim_id,
        segment_id="seg_0001",
        text=text,
        type=ClaimType.CAUSAL,
        stance=Stance.HEDGED,
        evidence=evidence,
    )
    return JudgedClaim(rank=rank, tier=verdict.tier, claim=claim, verdict=verdict)


def make_quote(quote: str, first: int, end: int, speaker: str | None = "ANN") -> Evidence:
    """An exact quote of words ``[first, end)`` of ``make_transcript``."""
    return Evidence(
        quote=quote,
        alignment=Alignment.EXACT,
        score=100,
        first_word=first,
        end_word=end,
        start=1 + 0.4 * first,
        end=1 + 0.4 * end,
        speaker=speaker,
    )


def make_document(
    transcript: Transcript | None = None, *claims: JudgedClaim, name: str = "talk.opus"
) -> Document:
    knowledge = Knowledge(
        transcript_digest="0" * 64, miner_model="fake:m", flagship_model="fake:f", claims=claims
    )
    return Document(
        source=Source(path=f"recordings/{name}", digest="0" * 64),
        job_id="pipeline-0123456789abcdef",
        created_at="2026-05-04T10:12:00+00:00",
        models=Models(asr="tiny.en", miner="fake:m", flagship="fake:f"),
        transcript=transcript,
        knowledge=knowledge if claims else None,
    )


TALK = make_transcript(("ANN", "Roofs lose most heat."), ("BOB", "Pumps save money. I think."))
TALK_DOCUMENT = make_document(
    TALK,
    make_claim(1, "Roofs lose heat", make_quote("Roofs lose most heat.", 0, 4)),
    make_claim(2, "Pumps save", make_quote("Pumps save money.", 4, 7, "BOB"), importance=5),
    make_claim(3, "Bob thinks", importance=0),
)


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


class Cue:
    """One block of an SRT file; parsing it fails when it is not one."""

    def __init__(self, block: str) -> None:
        number, times, *self.lines = block.split("\n")
        self.number = int(number)
        match = re.fullmatch(
            r"(\d\d):(\d\d):(\d\d),(\d{3}) --> (\d\d):(\d\d):(\d\d),(\d{3})", times
        )
        assert match, times
        h, m, s, ms, *end = map(int, match.groups())
        self.start = ((h * 60 + m) * 60 + s) * 1000 + ms
        self.end = ((end[0] * 60 + end[1]) * 60 + end[2]) * 1000 + end[3]


def cues_of(transcript: Transcript) -> list[Cue]:
    """The cues of a transcript, after checking what holds for every SRT file of ours."""
    srt = render_srt(make_document(transcript))
    cues = [Cue(block) for block in srt.removesuffix("\n").split("\n\n")]
    assert [cue.number for cue in cues] == list(range(1, len(cues) + 1))
    for cue in cues:
        assert 0 < cue.end - cue.start <= 7_000
        assert 1 <= len(cue.lines) <= 2
        assert all(0 < len(line) <= 42 for line in cue.lines)
    for before, after in pairwise(cues):
        assert before.end <= after.start
    return cues


def spoken(cues: list[Cue]) -> str:
    return " ".join(line for cue in cues for line in cue.lines)


# --- subtitles


def test_srt_holds_every_word_in_order_within_the_limits() -> None:
    text = "The heat pump moves heat, and it does so well into the winter of the north. " * 40
    transcript = make_transcript(("ANN", text.strip()), ("BOB", "Yes."), ("ANN", text.strip()))
    assert spoken(cues_of(transcript)) == f"{text}Yes. {text}".strip()


def test_srt_cues_take_their_words_times_and_end_with_the_speaker() -> None:
    first, second = cues_of(TALK)
    assert (first.start, first.end, first.lines) == (1_000, 2_600, ["Roofs lose most heat."])
    assert second.start == 2_600


def test_srt_words_longer_than_a_line_or_than_seven_seconds_are_cut() -> None:
    slow = make_transcript((None, f"see {'x' * 200} now"), pace=30)
    assert spoken(cues_of(slow)).replace(" ", "") == f"see{'x' * 200}now"


def test_srt_survives_times_that_overlap_run_backwards_or_are_missing() -> None:
    times = [
        (5.0, 5.0),
        (4.0, 9.0),
        (None, None),
        (4.5, 4.4),
        (5.0, None),
        (5.0, 5.0),
        (60.0, 61.0),
        (62.0, None),
    ]
    words = tuple(
        Word(text=f"word-number-{n}-is-a-rather-long-one", start=start, end=end)
        for n, (start, end) in enumerate(times)
    )
    transcript = Transcript(
        language="en", words=words, utterances=(Utterance(first_word=0, end_word=len(words)),)
    )
    assert spoken(cues_of(transcript)) == " ".join(word.text for word in words)


def test_srt_spreads_words_that_share_the_times_of_one_cue() -> None:
    words = tuple(Word(text=f"word{n:02}", start=10, end=18) for n in range(24))
    transcript = Transcript(
        language="en", words=words, utterances=(Utterance(first_word=0, end_word=24),)
    )
    cues = cues_of(transcript)
    assert (cues[0].start, cues[-1].end) == (10_000, 18_000)
    assert len(cues) == 2


def test_srt_text_can_neither_end_its_cue_nor_look_like_a_time() -> None:
    transcript = make_transcript(("ANN", "one\n\n2\n00:00:01,000 --> 00:00:02,000\r\nfake two"))
    (cue,) = cues_of(transcript)
    assert "-->" not in spoken([cue])


def test_a_transcript_without_times_has_no_subtitles_but_all_else() -> None:
    document = make_document(make_transcript(("ANN", "Plain words."), timed=False))
    with pytest.raises(InputError, match=r"talk\.opus has no times"):
        render_srt(document)
    assert render_txt(document) == "ANN: Plain words.\n"
    assert "\n(ANN): Plain words.\n" in render_md(document)
    page = Page(render_html(document))
    assert "Plain words." in page.text
    assert "hidden" in page.all("footer")[0]


# --- text, JSON and notes


def test_txt_names_the_speaker_where_it_changes() -> None:
    transcript = make_transcript(("ANN", "One."), ("ANN", "Two."), ("BOB", "Three."), (None, "4."))
    assert render_txt(make_document(transcript)) == "ANN: One.\nTwo.\nBOB: Three.\n4.\n"


@pytest.mark.parametrize("render", [render_txt, render_srt])
def test_a_document_without_transcript_has_no_text_and_says_so(
    render: Callable[[Document], str],
) -> None:
    with pytest.raises(InputError, match="has no transcript"):
        render(make_document(None, make_claim(1, "A claim")))


def test_json_reads_back_as_the_same_document() -> None:
    text = render_json(TALK_DOCUMENT)
    assert Document.model_validate_json(text) == TALK_DOCUMENT
    assert text.startswith('{\n  "schema_version": "stope.export/1",')


def test_md_has_the_claims_by_tier_then_the_rejected_then_the_transcript() -> None:
    note = render_md(TALK_DOCUMENT)
    places = [
        note.index(part)
        for part in (
            "## Tier A\n\n### 1. Roofs lose heat\n",
            "> [00:01] (ANN): “Roofs lose most heat.”",
            "Reason for Roofs lose heat",
            "## Tier B\n\n### 2. Pumps save\n",
            "## Rejected\n\n- Bob thinks (Reason for Bob thinks)\n",
            "## Transcript\n\n[00:01] (ANN): Roofs lose most heat.\n",
            "\n[00:02] (BOB): Pumps save money. I think.\n",
        )
    ]
    assert places == sorted(places)


def test_md_front_matter_is_valid_yaml_whatever_the_names() -> None:
    document = make_document(TALK, name=HOSTILE).model_copy(
        update={"models": Models(asr=HOSTILE), "created_at": "2026-05-04"}
    )
    facts = yaml.safe_load(render_md(document).split("\n---\n")[0])
    assert facts["source"] == f"recordings/{HOSTILE}"
    assert facts["asr_model"] == HOSTILE
    assert facts["created"] == "2026-05-04"
    assert (facts["words"], facts["gaps"]) == (9, 0)


def test_md_keeps_hostile_text_inside_its_line() -> None:
    claim = make_claim(1, HOSTILE, make_quote(HOSTILE, 0, 4, HOSTILE))
    transcript = make_transcript(
        (HOSTILE, HOSTILE), (None, "# 1. no heading"), (None, "1. no list")
    )
    note = render_md(make_document(transcript, claim)).split("\n---\n", 1)[1]
    assert not re.search(r"(?<!\\)<|(?<!\\)\[x\]|\x1b", note)
    assert [line for line in note.splitlines() if line.startswith("#")][1:] == [
        "## Tier A",
        next(line for line in note.splitlines() if line.startswith("### 1.")),
        "## Transcript",
    ]
    assert "---" not in note.splitlines()
    assert r"\# 1. no heading" in note
    assert r"1\. no list" in note


def test_a_quote_with_a_line_break_stays_one_line() -> None:
    claim = make_claim(1, "Roofs", make_quote("Roofs lose\nmost heat.", 0, 4))
    document = make_document(TALK, claim)
    assert "“Roofs lose most heat.”" in render_md(document)
    assert "Roofs lose most heat." in Page(render_html(document)).text


def test_a_document_without_knowledge_is_a_transcript() -> None:
    document = make_document(TALK)
    note, page = render_md(document), Page(render_html(document))
    assert "accepted" not in note
    assert "## Tier" not in note
    assert "Claims" not in page.text
    assert "Roofs lose most heat." in page.text


def test_gaps_are_named_wherever_they_were_put() -> None:
    assert TALK_DOCUMENT.knowledge is not None
    mined = Gap(stage="mine", unit_id="seg_0002", reason="No valid answer", start=61, end=70)
    heard = Gap(stage="transcribe", unit_id="chunk_7", reason="Cannot be decoded")
    document = TALK_DOCUMENT.model_copy(
        update={
            "gaps": (heard, mined),
            "knowledge": TALK_DOCUMENT.knowledge.model_copy(update={"gaps": (mined,)}),
        }
    )
    note, page = render_md(document), Page(render_html(document)).text
    assert "- mine seg_0002 [01:01-01:10]: No valid answer\n" in note
    assert "- transcribe chunk_7: Cannot be decoded\n" in note
    assert "2 gaps" in page
    assert "seg_0002 01:01" in page
    assert ": No valid answer" in page
    assert "chunk_7: Cannot be decoded" in page


def test_clock_is_rounded_down_and_gains_hours() -> None:
    assert [clock(seconds) for seconds in (0, 59.99, 61, 3599, 3600, 36_061)] == [
        "00:00", "00:59", "01:01", "59:59", "1:00:00", "10:01:01",
    ]  # fmt: skip


# --- the page


def test_html_keeps_hostile_text_as_text() -> None:
    gap = Gap(stage=HOSTILE, unit_id=HOSTILE, reason=HOSTILE, start=0, end=1)
    claim = make_claim(1, HOSTILE, make_quote(HOSTILE, 0, 4, HOSTILE))
    harmless = make_document(TALK, make_claim(1, "x", make_quote("y", 0, 4, "z")))
    hostile = make_document(make_transcript((HOSTILE, HOSTILE)), claim, name=HOSTILE).model_copy(
        update={
            "gaps": (gap,),
            "job_id": HOSTILE,
            "models": Models(asr=HOSTILE, miner=HOSTILE, flagship=HOSTILE),
        }
    )
    page = Page(render_html(hostile, audio=HOSTILE))
    assert {tag for tag, _ in page.elements} <= {
        tag for tag, _ in Page(render_html(harmless)).elements
    } | {"code", "li", "ul", "strong"}
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") >= 10


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
    buttons = page.all("button", **{"class": "quote"})
    assert [(b["data-start"], b["data-first"], b["data-end"]) for b in buttons] == [
        ("1.000", "0", "4"),
        ("2.600", "4", "7"),
    ]
    # Runs are cut at the quote's end, so that exactly its words can be lit.
    assert [run["data-word"] for run in page.all("span") if "data-word" in run] == ["0", "4", "7"]


def test_html_shows_an_ungrounded_quote_without_a_place_to_play() -> None:
    lost = Evidence(quote="Never said.", alignment=Alignment.UNGROUNDED, score=12)
    page = Page(render_html(make_document(TALK, make_claim(1, "Lost", lost, importance=0))))
    assert not page.all("button", **{"class": "quote"})
    assert "not found in the transcript" in page.text
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


# --- files


def test_write_exports_writes_each_format_once_and_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    written = write_exports(TALK_DOCUMENT, folder, [*FORMATS, "md"], audio="a b.opus")
    assert [path.name for path in written] == [
        "knowledge.json", "claims.md", "transcript.txt", "transcript.srt", "report.html",
    ]  # fmt: skip
    assert sorted(folder.iterdir()) == sorted(written)
    assert 'src="a%20b.opus"' in written[-1].read_text(encoding="utf-8")
    assert written[1].read_bytes() == render_md(TALK_DOCUMENT).encode()


def test_a_failed_rendering_writes_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "claims.md").write_text("older")
    untimed = make_document(make_transcript((None, "Words."), timed=False))
    with pytest.raises(InputError):
        write_exports(untimed, tmp_path, ["md", "srt"])
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        ("claims.md", "older")
    ]


def test_a_failed_write_leaves_no_half_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "claims.md").write_text("older")

    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(UsageError, match="No space left on device"):
        write_exports(TALK_DOCUMENT, tmp_path, ["md"])
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        ("claims.md", "older")
    ]


def test_a_renderer_that_breaks_leaves_no_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_document: Document) -> str:
        raise RuntimeError("broken")

    monkeypatch.setitem(FORMATS, "txt", replace(FORMATS["txt"], render=broken))
    with pytest.raises(RuntimeError, match="broken"):
        write_exports(TALK_DOCUMENT, tmp_path / "out", ["md", "txt"])
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_and_an_unknown_format_are_sentences(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(UsageError, match="cannot be written to"):
        write_exports(TALK_DOCUMENT, blocked, ["md"])
    with pytest.raises(UsageError, match="no export format 'pdf'; use json, md, txt, srt, html"):
        write_exports(TALK_DOCUMENT, tmp_path, ["pdf"])
