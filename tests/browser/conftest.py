"""A headless Chromium, and report pages opened in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Dialog, Page, Request, async_playwright

from stope.report.document import Document
from stope.report.page import render_html
from stope.report.recording import recording_url
from tests.interview import RECORDING

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
)
WIDE = (1400, 1000)

# Every second the page sets the recording to, since events come a little later than that.
SOUGHT = """
  window.sought = [];
  const time = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'currentTime');
  Object.defineProperty(HTMLMediaElement.prototype, 'currentTime', {
    get: time.get,
    set(second) { window.sought.push(second); time.set.call(this, second); },
  });
"""

OpenReport = Callable[..., Awaitable[Page]]


def chromium() -> str:
    """The program; a machine without one fails, since a report that nobody opened is not tested."""
    named = os.environ.get("STOPE_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None or not Path(found).exists():
        pytest.fail(
            f"There is no Chromium{f' at {named}' if named else ''} to open the report in: "
            "install one (Debian: apt-get install chromium), or set STOPE_CHROMIUM to its program."
        )
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser a file of tests."""
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def report(browser: Browser, tmp_path: Path) -> AsyncIterator[OpenReport]:
    """Opens a document's report; afterwards no script has failed and nothing was asked of a net."""
    trouble: list[str] = []

    def watch(request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            trouble.append(f"request: {request.url}")

    async def dismiss(dialog: Dialog) -> None:
        trouble.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    async def opened(
        document: Document,
        audio: str | None = "embedded",
        *,
        size: tuple[int, int] = WIDE,
        scheme: str = "light",
        at: str = "",
    ) -> Page:
        if audio == "embedded":
            audio = recording_url(RECORDING, document.source.digest, tmp_path, embed=True)
        path = tmp_path / "report.html"
        path.write_text(render_html(document, audio), encoding="utf-8")
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            offline=True,
        )
        page = await context.new_page()
        await page.add_init_script(SOUGHT)
        page.on("pageerror", lambda error: trouble.append(f"script: {error}"))
        page.on("request", watch)
        page.on("dialog", dismiss)
        await page.goto(path.as_uri() + at)
        return page

    yield opened
    for context in browser.contexts:
        await context.close()
    assert not trouble
