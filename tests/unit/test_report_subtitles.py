"""Subtitles hold every word in time, in cues that can be read, and no markup of a speaker."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import pytest

from stope.errors import InputError
from stope.models.gap import Gap
from stope.models.transcript import Transcript, Utterance, Word
from stope.report.document import Document
from stope.report.subtitles import render_srt, render_vtt
from tests.documents import TALK, TALK_DOCUMENT, hostile_document, make_document, make_transcript


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


@pytest.mark.parametrize("render", [render_srt, render_vtt])
def test_a_transcript_without_times_has_no_subtitles_and_says_so(
    render: Callable[[Document], str],
) -> None:
    document = make_document(make_transcript(("ANN", "Plain words."), timed=False))
    with pytest.raises(InputError, match=r"talk\.opus has no times"):
        render(document)


# --- WebVTT


def test_vtt_speaks_with_the_voice_of_the_named_speaker() -> None:
    transcript = make_transcript(("S1", "Roofs lose heat."), ("S2", "They do."), (None, "Music."))
    document = make_document(transcript).model_copy(update={"speaker_names": {"S1": "Ann Lee"}})
    assert render_vtt(document) == (
        "WEBVTT\n\n"
        "00:00:01.000 --> 00:00:02.200\n<v Ann Lee>Roofs lose heat.</v>\n\n"
        "00:00:02.200 --> 00:00:03.000\n<v Speaker 2>They do.</v>\n\n"
        "00:00:03.000 --> 00:00:03.833\nMusic.\n"
    )


def test_vtt_names_its_gaps_in_notes() -> None:
    gap = Gap(stage="transcribe", unit_id="chunk_7", reason="Broken --> here", start=200, end=228)
    document = TALK_DOCUMENT.model_copy(update={"gaps": (gap,)})
    assert "\nNOTE Not transcribed from 03:20 to 03:48: Broken --&gt; here\n" in render_vtt(
        document
    )


def test_vtt_keeps_hostile_text_inside_its_cue() -> None:
    blocks = render_vtt(hostile_document()).removesuffix("\n").split("\n\n")
    assert blocks[0] == "WEBVTT"
    for block in blocks[1:]:
        head, *lines = block.split("\n")
        if head.startswith("NOTE "):
            assert not lines
            assert "-->" not in head
            continue
        assert re.fullmatch(r"[\d:.]{12} --> [\d:.]{12}", head)
        text = "\n".join(lines)
        voice = re.fullmatch(r"<v ([^<>\n]+)>([^<>]*)</v>", text)
        assert voice, text
        assert not re.search(r"&(?!amp;|lt;|gt;)|[\x00-\x09\u202e]", text)


def test_srt_gives_players_no_markup_to_obey() -> None:
    srt = render_srt(hostile_document())
    assert not re.search(r"<[a-z/!]|\{\\", srt)
    assert "\u2039script>alert(1)\u2039/script>" in srt.replace("\n", "")
    assert render_srt(make_document(make_transcript((None, "1 < 2 {see}")))).count("1 < 2") == 1
