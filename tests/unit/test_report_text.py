"""Text, notes, tables and turns say everything a run knows, and keep hostile text as text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable

import pytest
import yaml

from stope.errors import InputError
from stope.models.diarization import Diarization, Turn
from stope.models.gap import Gap
from stope.models.transcript import Flag, FlagKind
from stope.models.verdict import Decision
from stope.report.document import Document, Models
from stope.report.lines import clock
from stope.report.markdown import render_md
from stope.report.plain import render_json, render_txt
from stope.report.subtitles import render_srt, render_vtt
from stope.report.table import render_csv
from stope.report.turns import render_rttm
from tests.documents import (
    FORMULA,
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


def test_txt_names_the_speaker_where_it_changes() -> None:
    transcript = make_transcript(("ANN", "One."), ("ANN", "Two."), ("BOB", "Three."), (None, "4."))
    assert render_txt(make_document(transcript)) == "ANN: One.\nTwo.\nBOB: Three.\n4.\n"


@pytest.mark.parametrize("render", [render_txt, render_srt, render_vtt])
def test_a_document_without_transcript_has_no_text_and_says_so(
    render: Callable[[Document], str],
) -> None:
    with pytest.raises(InputError, match="has no transcript"):
        render(make_document(None, make_claim(1, "A claim")))


def test_json_reads_back_as_the_same_document() -> None:
    text = render_json(TALK_DOCUMENT)
    assert Document.model_validate_json(text) == TALK_DOCUMENT
    assert text.startswith('{\n  "schema_version": "stope.export/2",')
    assert Document.model_validate_json(render_json(hostile_document())) == hostile_document()


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


def test_a_document_without_knowledge_is_a_transcript() -> None:
    document = make_document(TALK)
    note = render_md(document)
    assert "accepted" not in note
    assert "## Tier" not in note
    assert "[00:01] (ANN): Roofs lose most heat." in note


def test_gaps_are_named_wherever_they_were_put_and_stand_in_their_place() -> None:
    assert TALK_DOCUMENT.knowledge is not None
    mined = Gap(stage="mine", unit_id="seg_0002", reason="No valid answer", start=61, end=70)
    heard = Gap(stage="transcribe", unit_id="chunk_7", reason="Broken", start=2, end=2.5)
    document = TALK_DOCUMENT.model_copy(
        update={
            "gaps": (heard, mined),
            "knowledge": TALK_DOCUMENT.knowledge.model_copy(update={"gaps": (mined,)}),
        }
    )
    note = render_md(document)
    assert note.count("- Not mined for claims: seg\\_0002 [01:01-01:10]: No valid answer\n") == 0
    assert note.count("- Not mined for claims: seg_0002 [01:01-01:10]: No valid answer\n") == 1
    assert "- Not transcribed: chunk_7 [00:02-00:02]: Broken\n" in note
    assert render_txt(document) == (
        "ANN: Roofs lose most heat.\n"
        "[Not transcribed from 00:02 to 00:02: Broken]\n"
        "BOB: Pumps save money. I think.\n"
        "[Not mined for claims from 01:01 to 01:10: No valid answer]\n"
    )


def test_a_doubtful_passage_stands_before_its_words() -> None:
    flags = (
        Flag(kind=FlagKind.SPEECH_WITHOUT_TEXT, start=0, end=0.9),
        Flag(kind=FlagKind.LOOP, start=3, end=4, first_word=5, end_word=7, note="Said 9 times."),
    )
    transcript = TALK.model_copy(update={"flags": flags})
    document = TALK_DOCUMENT.model_copy(update={"transcript": transcript})
    assert render_txt(document).splitlines() == [
        "[Doubtful from 00:00 to 00:00 (speech without text)]",
        "ANN: Roofs lose most heat.",
        "[Doubtful from 00:03 to 00:04 (repeats itself): Said 9 times.]",
        "BOB: Pumps save money. I think.",
    ]
    assert "## Doubtful passages\n\n- Doubtful from 00:00" in render_md(document)


def test_names_that_were_given_stand_everywhere_and_the_others_are_numbered() -> None:
    transcript = make_transcript(("S1", "One."), ("S2", "Two."), ("S10", "Three."), ("Sam", "4."))
    claim = make_claim(1, "A claim", make_quote("One.", 0, 1, "S1"))
    document = make_document(transcript, claim).model_copy(
        update={"speaker_names": {"S1": "Ann Lee", "S10": "  "}}
    )
    assert render_txt(document) == "Ann Lee: One.\nSpeaker 2: Two.\nSpeaker 10: Three.\nSam: 4.\n"
    note = render_md(document)
    assert "> [00:01] (Ann Lee): “One.”" in note
    assert 'speakers: ["Ann Lee", "Speaker 2", "Speaker 10", "Sam"]' in note
    assert ",Ann Lee,00:01,1.000,1.400,One.," in render_csv(document)


def test_md_says_where_merged_and_split_claims_went() -> None:
    kept = make_claim(1, "Roofs lose heat")
    document = make_document(
        TALK,
        kept,
        moved(make_claim(2, "Heat leaves by the roof"), Decision.MERGE, kept.claim.id),
        moved(make_claim(3, "Two things"), Decision.SPLIT, kept.claim.id, "clm_00000000000f"),
        make_claim(4, "Noise", importance=0),
    )
    note = render_md(document)
    assert "- Heat leaves by the roof (merged into claim 1)\n" in note
    assert "- Two things (split into claim 1)\n" in note
    assert note.index("## Merged and split") < note.index("## Rejected")


def test_md_shows_what_a_reworded_claim_was_said_like() -> None:
    judged = make_claim(1, "Roofs of old houses lose heat", make_quote("They lose heat.", 0, 3))
    claim = judged.claim.model_copy(update={"rewritten": True})
    note = render_md(make_document(TALK, judged.model_copy(update={"claim": claim})))
    assert "Reworded to stand alone; said like this:\n\n> [00:01] (ANN): “They lose heat.”" in note


def test_md_of_a_mine_job_has_its_claims_unjudged() -> None:
    claim = make_claim(1, "Roofs lose heat", make_quote("Roofs lose most heat.", 0, 4)).claim
    note = render_md(mined_document(claim))
    assert "## Claims, not judged\n\n### 1. Roofs lose heat\n\n> [00:01] (ANN): “Roofs" in note
    assert "\nmined: 1\n" in note


def test_md_has_summary_themes_names_jargon_and_concepts() -> None:
    note = render_md(interview_document())
    places = [
        note.index(part)
        for part in (
            "\n## Summary\n\nHeat pumps deliver",
            "\n## Themes\n\n- What heat pumps save: claim 1, claim 2, claim 3, claim 6\n",
            "\n## Tier A\n",
            "\n## People\n\n- **David Porter** (also David): an engineer at the Maple",
            "\n## Organisations\n",
            "\n## Jargon\n\n- **unit of heat**: the heat that one unit",
            "\n## Concepts\n\n- **Moving heat instead of making it**: A machine",
            "\n## Transcript\n",
        )
    ]
    assert places == sorted(places)
    facts = yaml.safe_load(note.split("\n---\n")[0])
    assert facts["people"] == ["David Porter", "Laura Miller", "Lord Kelvin"]
    assert facts["tags"] == ["stope"]


# --- tables and turns


def test_csv_has_a_row_for_every_claim() -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(TALK_DOCUMENT).removeprefix("\ufeff"))))
    assert [(row["rank"], row["decision"], row["tier"], row["claim"]) for row in rows] == [
        ("1", "accept", "A", "Roofs lose heat"),
        ("2", "accept", "B", "Pumps save"),
        ("3", "reject", "C", "Bob thinks"),
    ]
    assert rows[0]["quote"] == "Roofs lose most heat."
    assert (rows[1]["start_seconds"], rows[1]["time"]) == ("2.600", "00:02")


def test_csv_keeps_all_quotes_and_where_claims_went() -> None:
    kept = make_claim(1, "Heat", make_quote("One.", 0, 1), make_quote("Two.", 4, 5, "S2"))
    gone = moved(make_claim(2, "Warmth"), Decision.MERGE, kept.claim.id)
    text = render_csv(make_document(TALK, kept, gone)).removeprefix("\ufeff")
    first, second = csv.DictReader(io.StringIO(text))
    assert first["other_quotes"] == "[00:02] Speaker 2: Two."
    assert (second["decision"], second["merged_into"]) == ("merge", kept.claim.id)


@pytest.mark.parametrize("text", [FORMULA, "+1", "-1", "@SUM(A1)", "\t=1", "\u200e=1", "\uff1d1"])
def test_csv_cells_are_never_formulas(text: str) -> None:
    table = render_csv(hostile_document(text))
    for row in csv.reader(io.StringIO(table.removeprefix("\ufeff"))):
        assert not [cell for cell in row if re.match(r"[\s\u200e]*[=+\-@\uff1d]", cell)]


def test_csv_of_a_mine_job_has_no_verdicts_and_of_a_transcript_is_none() -> None:
    claim = make_claim(1, "Roofs", make_quote("Roofs", 0, 1)).claim
    (row,) = csv.DictReader(io.StringIO(render_csv(mined_document(claim)).removeprefix("\ufeff")))
    assert (row["claim"], row["rank"], row["decision"]) == ("Roofs", "", "")
    with pytest.raises(InputError, match="mined no claims"):
        render_csv(make_document(TALK))


def test_rttm_has_the_turns_of_the_diarization() -> None:
    turns = (Turn(speaker="S1", start=0.5, end=2), Turn(speaker="S2", start=1.5, end=3.25))
    document = make_document(TALK, name="my talk.opus").model_copy(
        update={
            "diarization": Diarization(engine="x", speakers=2, turns=turns),
            "speaker_names": {"S1": "Ann Lee"},
        }
    )
    assert render_rttm(document) == (
        "SPEAKER my_talk 1 0.500 1.500 <NA> <NA> Ann_Lee <NA> <NA>\n"
        "SPEAKER my_talk 1 1.500 1.750 <NA> <NA> S2 <NA> <NA>\n"
    )


def test_rttm_has_the_utterances_when_nobody_was_diarized() -> None:
    assert render_rttm(TALK_DOCUMENT).splitlines()[1] == (
        "SPEAKER talk 1 2.600 2.000 <NA> <NA> BOB <NA> <NA>"
    )
    with pytest.raises(InputError, match="Nobody's turns are known"):
        render_rttm(make_document(make_transcript((None, "Words."))))


def test_rttm_keeps_hostile_names_in_their_field() -> None:
    for row in render_rttm(hostile_document()).splitlines():
        assert len(row.split()) == 10


def test_clock_is_rounded_down_and_gains_hours() -> None:
    assert [clock(seconds) for seconds in (0, 59.99, 61, 3599, 3600, 36_061)] == [
        "00:00", "00:59", "01:01", "59:59", "1:00:00", "10:01:01",
    ]  # fmt: skip
