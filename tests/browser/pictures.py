"""The report's pictures in the documentation: ``python -m tests.browser.pictures docs/images``."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from stope.report.page import render_html
from stope.report.recording import recording_url
from tests.browser.conftest import FLAGS, WIDE, chromium
from tests.interview import RECORDING, interview_document

PHONE = (390, 844)


async def take(folder: Path) -> None:
    """Write report-light.png, report-dark.png and report-phone.png."""
    document = interview_document()
    with tempfile.TemporaryDirectory() as home:
        page = Path(home) / "report.html"
        audio = recording_url(RECORDING, document.source.digest, page.parent, embed=True)
        page.write_text(render_html(document, audio), encoding="utf-8")
        async with async_playwright() as playwright:
            for name, scheme, size in (
                ("light", "light", WIDE),
                ("dark", "dark", WIDE),
                ("phone", "light", PHONE),
            ):
                browser = await playwright.chromium.launch(
                    executable_path=chromium(), args=list(FLAGS)
                )
                await picture(browser, page.as_uri(), scheme, size, folder / f"report-{name}.png")
                await browser.close()


async def picture(
    browser: Browser, url: str, scheme: str, size: tuple[int, int], path: Path
) -> None:
    """The report while it plays its best claim, a few words in."""
    phone = size == PHONE
    page = await browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2 if phone else 1,
        has_touch=phone,
        reduced_motion="reduce",
    )
    await page.goto(url)
    await page.locator("button.quote").first.click()
    await page.wait_for_function("() => document.getElementById('audio').currentTime > 34.3")
    top = "find('main').scrollIntoView()" if phone else "scrollTo(0, 0)"
    await page.evaluate(top.replace("find(", "document.getElementById("))
    await page.screenshot(path=path)


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1])))
