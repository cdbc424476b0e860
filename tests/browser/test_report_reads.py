"""The report filters, searches, obeys keys, fits every window, and runs nobody else's code."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from playwright.async_api import Page, expect

from stope.report.document import Document
from tests.browser.conftest import OpenReport
from tests.documents import (
    TALK,
    hostile_document,
    make_claim,
    make_document,
    make_quote,
    make_transcript,
    mined_document,
)
from tests.interview import interview_document

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT = interview_document()
PHONE = (360, 740)


async def shown(page: Page) -> list[str]:
    """The numbers of the claims that are seen."""
    return await page.locator(".group:not(.folded) .claim:visible .rank").all_text_contents()


async def test_filters_by_tier_type_speaker_and_theme_show_what_fits(report: OpenReport) -> None:
    page = await report(DOCUMENT)
    assert len(await shown(page)) == 11
    tier_a = page.locator('[data-filter=tier][value="A"]')
    await tier_a.click()
    assert await shown(page) == ["1", "2", "3"]
    await expect(page.locator("#shown")).to_have_text("3 of 11 claims")
    await expect(tier_a).to_have_attribute("aria-pressed", "true")
    await page.locator('[data-filter=type][value="forecast"]').click()
    assert await shown(page) == ["2"]
    await page.locator("#clear").click()
    assert len(await shown(page)) == 11
    await page.locator("[data-filter=speaker]", has_text="Laura Miller").click()
    assert await shown(page) == ["9"]
    await page.locator("#clear").click()
    await page.locator("[data-filter=theme]", has_text="What to do first").click()
    assert await shown(page) == ["7", "8", "9"]
    await page.locator("[data-filter=tier]", has_text="Tier C").click()
    await expect(page.locator("#nothing")).to_be_visible()


async def test_search_goes_through_claims_names_and_transcript(report: OpenReport) -> None:
    page = await report(DOCUMENT)
    await page.locator("#search").fill("norway")
    assert await shown(page) == ["4"]
    await expect(page.locator("#hits")).to_have_text("1 in the transcript")
    await page.locator("#next").click()
    await expect(page.locator(".line", has_text="Norway is a very")).to_be_in_viewport()
    assert await page.evaluate("[...CSS.highlights.get('hit')].map(String)") == ["Norway"]
    await page.locator("#search").fill("kelvin")
    await page.locator("#tab-ideas").click()
    assert await page.locator(".idea:visible b").all_text_contents() == ["Lord Kelvin"]
    await page.locator("#search").fill("")
    assert await page.locator(".idea:visible").count() == 10


async def test_keys_choose_play_search_and_explain(report: OpenReport) -> None:
    page = await report(DOCUMENT)
    claims = page.locator(".claim")
    await page.keyboard.press("j")
    await expect(claims.nth(0)).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("ArrowDown")
    await expect(claims.nth(2)).to_be_focused()
    await page.keyboard.press("k")
    await expect(claims.nth(1)).to_be_focused()
    await page.keyboard.press("Enter")
    start = DOCUMENT.accepted[1].claim.evidence[0].start
    playing = (
        "start => { const a = document.getElementById('audio');"
        " return !a.paused && a.currentTime >= start; }"
    )
    await page.wait_for_function(playing, arg=start)
    await page.keyboard.press("Space")
    await page.wait_for_function("() => document.getElementById('audio').paused")
    await page.keyboard.press("Space")
    await page.wait_for_function(playing, arg=start)
    await page.keyboard.press("/")
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.type("roof j")
    await expect(page.locator("#search")).to_have_value("roof j")
    await page.keyboard.press("Escape")
    await expect(page.locator("#search")).to_have_value("")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()


async def test_everything_can_be_reached_with_the_tab_key_and_is_named(report: OpenReport) -> None:
    page = await report(DOCUMENT)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    nameless = await page.evaluate(
        """() => [...document.querySelectorAll('button, a[href], input, audio, [role]')]
          .filter((item) => item.checkVisibility())
          .filter((item) => !(item.textContent.trim() || item.ariaLabel || item.placeholder
            || item.getAttribute('aria-labelledby') || item.getAttribute('aria-controls')
            || item.role === 'status'))
          .map((item) => item.outerHTML)"""
    )
    assert nameless == []
    await page.get_by_role("tab", name="Claims").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("tab", name="Names & ideas")).to_be_focused()
    await expect(page.get_by_role("tabpanel", name="Names & ideas")).to_be_visible()


async def test_a_footnote_in_the_transcript_leads_to_its_claim(report: OpenReport) -> None:
    page = await report(DOCUMENT)
    await page.locator("#tab-run").click()
    await page.locator(".line", has_text="Norway").locator(".ref").click()
    await expect(page.locator(f"#{DOCUMENT.accepted[3].claim.id}")).to_be_focused()


async def test_a_merged_claim_is_folded_away_and_leads_to_where_it_went(report: OpenReport) -> None:
    page = await report(DOCUMENT)
    (merged,) = DOCUMENT.merged
    item = page.locator(f"#{merged.claim.id}")
    await expect(item).to_be_hidden()
    await page.locator("summary", has_text="Merged and split").click()
    await item.locator(".into a").click()
    await expect(page.locator(f"#{merged.verdict.merged_into}")).to_be_focused()


async def test_hostile_text_in_every_field_is_only_text(report: OpenReport) -> None:
    page = await report(hostile_document(), 'x" onerror="alert(1)')
    await expect(page.locator("h4").first).to_contain_text("<script>alert(1)</script>")
    assert await page.locator("script").count() == 1
    assert await page.locator("main img, main b b").count() == 0
    for tab in await page.get_by_role("tab").all():
        if await tab.is_visible():
            await tab.click()
    await page.locator("#search").fill("<img")
    await expect(page.locator("#hits")).to_have_text("1 in the transcript")
    assert await page.evaluate("document.title") == await page.title()


async def test_the_page_may_run_no_script_but_its_own_and_ask_no_net(report: OpenReport) -> None:
    page = await report(DOCUMENT)
    refused = await page.evaluate(
        """async () => {
          const refused = [];
          document.addEventListener('securitypolicyviolation',
            (event) => refused.push(event.effectiveDirective));
          document.body.insertAdjacentHTML('beforeend',
            '<img src="x.png" onerror="window.bad = 1">');
          const script = document.createElement('script');
          script.textContent = 'window.bad = 1';
          document.body.append(script);
          await fetch('https://example.org/').catch(() => {});
          await new Promise((done) => setTimeout(done, 0));
          return [refused.sort(), window.bad];
        }"""
    )
    assert refused == [["connect-src", "img-src", "script-src-elem"], None] or refused == [
        ["connect-src", "img-src", "script-src-attr", "script-src-elem"],
        None,
    ]


PARTS: dict[str, Document] = {
    "everything": DOCUMENT,
    "transcript": make_document(TALK),
    "mined": mined_document(make_claim(1, "Roofs", make_quote("Roofs lose", 0, 2)).claim),
    "claims": make_document(None, make_claim(1, "Roofs lose heat")),
    "plain": make_document(make_transcript(("ANN", "Plain words."), timed=False)),
    "hostile": hostile_document(),
    "silence": make_document(TALK.model_copy(update={"words": (), "utterances": ()})),
}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("size", [PHONE, (1400, 1000)])
async def test_no_part_is_wider_than_the_window(
    report: OpenReport, name: str, size: tuple[int, int]
) -> None:
    page = await report(PARTS[name], None, size=size)
    for tab in await page.get_by_role("tab").all():
        if not await tab.is_visible():
            continue
        await tab.click()
        panel = page.locator(f"#{await tab.get_attribute('aria-controls')}")
        await expect(panel).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= size[0]


async def test_on_a_phone_the_transcript_is_a_tab_and_plays(report: OpenReport) -> None:
    page = await report(DOCUMENT, size=PHONE)
    await expect(page.locator("#transcript")).to_be_hidden()
    await page.get_by_role("tab", name="Transcript").click()
    await expect(page.locator("#transcript")).to_be_visible()
    await expect(page.locator("#claims")).to_be_hidden()
    await page.locator(".line .time", has_text="00:49").click()
    await expect(page.locator(".line.now")).to_contain_text("Norway")
    await page.set_viewport_size({"width": 1400, "height": 1000})
    await expect(page.locator("#claims")).to_be_visible()
    await expect(page.locator("#transcript")).to_be_visible()


def pixels(png: bytes) -> np.ndarray:
    """A picture as rows of RGB."""
    with av.open(io.BytesIO(png)) as container:
        frame = next(container.decode(video=0))
        return frame.to_ndarray(format="rgb24")


async def test_light_and_dark_are_two_pictures_with_something_on_them(report: OpenReport) -> None:
    means = []
    for scheme in ("light", "dark"):
        page = await report(DOCUMENT, scheme=scheme)
        picture = pixels(await page.screenshot())
        colours = {tuple(colour) for colour in picture[::7, ::7].reshape(-1, 3).tolist()}
        assert len(colours) > 100
        assert picture.std() > 15
        means.append(picture.mean())
    assert means[0] > 200
    assert means[1] < 60


async def test_the_reader_may_choose_light_or_dark(report: OpenReport) -> None:
    page = await report(DOCUMENT, scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(background)
    await page.locator("#theme").click()
    await expect(page.locator("#theme")).to_have_text("Theme: light")
    assert await page.evaluate(background) != dark
    await page.reload()
    await expect(page.locator("#theme")).to_have_text("Theme: light")


async def test_on_paper_every_part_is_there_and_no_control(report: OpenReport) -> None:
    page = await report(DOCUMENT)
    await page.emulate_media(media="print")
    for part in ("claims", "transcript", "ideas", "doubts", "run"):
        await expect(page.locator(f"#{part}")).to_be_visible()
    await expect(page.locator("#player")).to_be_hidden()
    await expect(page.locator(".bar")).to_be_hidden()


async def test_a_long_day_is_laid_out_where_it_is_read(report: OpenReport) -> None:
    lines = [(f"S{n % 3 + 1}", f"Line {n} of a very long day of talk.") for n in range(4_000)]
    transcript = make_transcript(*lines)
    claims = [
        make_claim(n + 1, f"Claim {n}", make_quote(f"Line {5 * n}", 45 * n, 45 * n + 2, "S1"))
        for n in range(800)
    ]
    page = await report(make_document(transcript, *claims), None)
    await expect(page.locator(".claim")).to_have_count(800)
    first, last = page.locator(".stretch").first, page.locator(".stretch").last
    laid_out = "item => item.firstElementChild.checkVisibility({ contentVisibilityAuto: true })"
    assert await first.evaluate(laid_out)
    assert not await last.evaluate(laid_out)
    quote = page.locator(f"#{claims[760].claim.id} button.quote")
    await quote.click()
    await expect(page.locator("#lines .lit")).to_be_in_viewport()
    await page.locator("#search").fill("line 3999")
    await page.locator("#next").click()
    await expect(page.locator(".line", has_text="Line 3999 of")).to_be_in_viewport()
