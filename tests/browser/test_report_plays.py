"""The report plays the recording from the second of a claim, and the transcript follows it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenReport
from tests.interview import RECORDING, interview_document

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT = interview_document()
NORWAY = DOCUMENT.accepted[3].claim
MISSING = "file:///nowhere/interview.opus"


def start_of(index: int = 0) -> float:
    """The second at which the Norway claim's evidence begins."""
    start = NORWAY.evidence[index].start
    assert start is not None
    return start


async def plays_from(page: Page, second: float) -> None:
    """The recording plays, from this second on."""
    await page.wait_for_function(
        "start => { const a = document.getElementById('audio');"
        " return !a.paused && a.currentTime > start + 0.1; }",
        arg=second,
    )
    sought = await page.evaluate("window.sought")
    assert sought[-1] == pytest.approx(second, abs=0.01)


async def test_a_click_on_a_quote_plays_from_its_second(report: OpenReport) -> None:
    page = await report(DOCUMENT)
    quote = page.locator(f"#{NORWAY.id} button.quote")
    await quote.click()
    await plays_from(page, start_of())
    await expect(page.locator("#toggle")).to_have_accessible_name("Pause")
    await expect(page.locator("#lost")).to_be_hidden()
    lit = page.locator("#lines .lit")
    assert " ".join(await lit.all_text_contents()) == NORWAY.evidence[0].quote
    await expect(lit.first).to_be_in_viewport()
    await quote.click()
    await page.wait_for_function("() => document.getElementById('audio').paused")


async def test_a_recording_beside_the_page_plays_too(report: OpenReport, tmp_path: Path) -> None:
    shutil.copy(RECORDING, tmp_path / "my talk #1.opus")
    page = await report(DOCUMENT, "my talk #1.opus")
    await page.locator(f"#{NORWAY.id} button.quote").click()
    await plays_from(page, start_of())


async def test_a_claim_merged_from_two_places_plays_from_each(report: OpenReport) -> None:
    page = await report(DOCUMENT)
    first = DOCUMENT.accepted[0].claim
    assert len(first.evidence) == 2
    assert first.evidence[1].start is not None
    await page.locator(f"#{first.id} button.quote").nth(1).click()
    await plays_from(page, first.evidence[1].start)


async def test_the_transcript_follows_the_recording_to_the_word(report: OpenReport) -> None:
    page = await report(DOCUMENT)
    await page.locator(f"#{NORWAY.id} button.quote").click()
    await plays_from(page, start_of())
    now = page.locator(".line.now")
    await expect(now).to_contain_text("Norway is a very cold country")
    await expect(now).to_be_in_viewport()
    await expect(page.locator("#now")).to_have_text("David Porter")
    word = "[...CSS.highlights.get('word')].map(String).join()"
    await page.wait_for_function(f"() => {word} !== ''")
    assert await page.evaluate(word) in NORWAY.evidence[0].quote.split()
    await page.evaluate("document.getElementById('audio').currentTime = 66")
    await expect(now).to_contain_text("This show is supported by Bright Lane")
    await expect(page.locator("#now")).to_have_text("Laura Miller")


async def test_a_click_on_a_word_plays_from_that_word(report: OpenReport) -> None:
    page = await report(DOCUMENT)
    assert DOCUMENT.transcript is not None
    place = next(n for n, w in enumerate(DOCUMENT.transcript.words) if w.text == "energy")
    word = DOCUMENT.transcript.words[place]
    assert word.start is not None
    box = await page.evaluate(
        """text => {
          const line = [...document.querySelectorAll('.line')]
            .find((item) => item.textContent.includes(text));
          const node = line.querySelector('[data-word]').firstChild;
          const range = document.createRange();
          range.setStart(node, node.data.indexOf(text));
          range.setEnd(node, node.data.indexOf(text) + text.length);
          line.scrollIntoView({ block: 'center' });
          const { x, y, width, height } = range.getBoundingClientRect();
          return [x + width / 2, y + height / 2];
        }""",
        word.text,
    )
    await page.mouse.click(*box)
    await plays_from(page, word.start)


async def test_marks_times_and_the_slider_play_and_seek(report: OpenReport) -> None:
    page = await report(DOCUMENT)
    await page.locator(f'.mark[data-claim="{NORWAY.id}"] .fill').click()
    await plays_from(page, start_of())
    await page.locator("#tab-doubts").click()
    await page.locator("#doubts .time").first.click()
    await plays_from(page, 143)
    await page.locator("#toggle").click()
    await page.locator("#seek").fill("30")
    await expect(page.locator("#clock")).to_have_text("00:30")
    await expect(page.locator(".line.now")).to_contain_text("Why is a heat pump better")


async def test_an_address_with_a_second_or_a_claim_opens_there(report: OpenReport) -> None:
    page = await report(DOCUMENT, at="#t=50")
    await expect(page.locator(".line.now")).to_contain_text("Norway")
    page = await report(DOCUMENT, at=f"#{NORWAY.id}")
    await expect(page.locator(f"#{NORWAY.id}")).to_be_focused()
    await expect(page.locator(f"#{NORWAY.id}")).to_be_in_viewport()


@pytest.mark.parametrize("audio", [MISSING, None])
async def test_a_recording_that_is_gone_is_said_and_can_be_opened(
    report: OpenReport, audio: str | None
) -> None:
    page = await report(DOCUMENT, audio)
    lost = page.locator("#lost")
    await expect(lost).to_be_visible()
    await expect(lost).to_contain_text("Open interview.opus yourself")
    if audio:
        await expect(lost).to_contain_text("it is not at /nowhere/interview.opus")
    await page.locator(f"#{NORWAY.id} button.quote").click()
    await page.locator("#file").set_input_files(RECORDING)
    await expect(lost).to_be_hidden()
    # The reader had asked for this claim before there was a recording.
    await plays_from(page, start_of())
