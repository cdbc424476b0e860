"""The Web UI's pictures: ``python -m tests.browser.web_ui_pictures docs/images``.

A real run of the example interview, on the embedded server, with the real speech model and a
scripted language model that holds its answers back while the pictures are taken. Its answers about
one segment are always cut off, so that there is a gap to see.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.async_api import Browser, Page, async_playwright
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client

from benchmarks.chaos.scripted_llm import Call, ScriptedLlm
from client import JobClient, connect_temporal
from stope import names
from stope.dev_server import DevServer
from stope.settings import Settings, load_settings
from tests.browser.conftest import FLAGS, chromium
from tests.interview import RECORDING
from tests.waiting import until
from worker import run_worker

PAGE = (1760, 940)
LIST = (1620, 560)
COLUMNS = (
    "Status",
    "Workflow ID",
    "StopeJobType",
    "StopeStage",
    "StopeProgress",
    "StopeGaps",
    "StopeCost",
    "StopeSource",
)
BAD_WORD = "midnight"
"""Every answer to a request with it is cut off."""

SETTLE = 1500
"""Milliseconds in which a page takes its final form."""

PRICE = "0.5/2"
LATENCY = 1.2
"""Seconds for an answer."""


class PictureLlm(ScriptedLlm):
    """Tokens by the length of what is said, and one stretch that it never gets through."""

    def answer(self, call: Call, body: dict[str, Any]) -> bytes:
        reply = json.loads(super().answer(call, body))
        asked = body["messages"][-1]["content"]
        said = reply["choices"][0]["message"]["content"]
        if BAD_WORD in asked.lower():
            reply["choices"][0]["finish_reason"] = "length"
        prompt = sum(len(message["content"]) for message in body["messages"]) // 4
        completion = len(said) // 4
        reply["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        return json.dumps(reply).encode()


async def take(folder: Path) -> None:
    """Write web-ui-list.png, web-ui-pipeline.png and web-ui-paused.png."""
    with tempfile.TemporaryDirectory() as home, PictureLlm(LATENCY) as llm:
        settings = Settings(
            home=Path(home),
            models=load_settings().models,
            llm=llm.spec(),
            llm_price=PRICE,
            temporal_port=0,
            temporal_address=None,
        )
        server = DevServer(settings)
        info = server.ensure()
        stop = asyncio.Event()
        temporal = await connect_temporal(settings)
        working = asyncio.create_task(run_worker(settings, temporal, stop))
        try:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=chromium(), args=list(FLAGS)
                )
                await _pictures(settings, temporal, llm, browser, info.ui_url, folder)
                await browser.close()
        finally:
            llm.release()
            stop.set()
            await working
            server.stop()


async def _pictures(
    settings: Settings,
    temporal: Client,
    llm: PictureLlm,
    browser: Browser,
    ui: str,
    folder: Path,
) -> None:
    async with JobClient(settings, temporal) as client:
        job_id = await client.create_job(
            "pipeline", RECORDING, {"segment_tokens": 60, "selection": "asked"}
        )
        await client.start_job(job_id, max_workers=2)

    async def shown(text: str) -> bool:
        handle = temporal.get_workflow_handle(job_id)
        found = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        return text in found.current_details

    await until(lambda: shown("1 gap"), "a gap on the pipeline's page", 300)
    llm.hold("mine", 1)
    await _page(browser, f"{ui}{_path(job_id)}", folder / "web-ui-pipeline.png")
    await _list(browser, ui, folder / "web-ui-list.png")
    await temporal.get_workflow_handle(job_id).signal(
        names.PAUSE, "The machine is needed for something else."
    )
    await until(_cancelling(temporal, f"{job_id}/mine"), "the stage to be asked to stop")
    llm.release()
    await until(lambda: shown("**paused**"), "the pause on the pipeline's page", 60)
    await _page(browser, f"{ui}{_path(job_id)}", folder / "web-ui-paused.png")


def _path(workflow_id: str) -> str:
    return f"/namespaces/default/workflows/{quote(workflow_id, safe='')}"


def _cancelling(temporal: Client, workflow_id: str) -> Callable[[], Awaitable[bool]]:
    async def cancelling() -> bool:
        found = await temporal.get_workflow_handle(workflow_id).describe()
        pending = found.raw_description.pending_activities
        asked = PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
        return all(item.state == asked for item in pending)

    return cancelling


async def _page(browser: Browser, url: str, path: Path) -> None:
    """A workflow's page at its current details."""
    page = await _open(browser, url, PAGE)
    await page.locator("text=User Metadata >> visible=true").first.click()

    async def filled() -> bool:
        # Markdown is shown in frames, which are sized once they are filled.
        places = [frame.get_by_text("This moves with every fifth") for frame in page.frames]
        return any([await place.count() for place in places])

    await until(filled, "the current details", 60)
    await page.wait_for_timeout(SETTLE)
    await page.screenshot(path=path)
    await page.close()


async def _list(browser: Browser, ui: str, path: Path) -> None:
    """The list of the recording's workflows with a column for each attribute."""
    query = quote(f'StopeSource="{RECORDING.name}"')
    page = await _open(browser, f"{ui}/namespaces/default/workflows?query={query}", LIST)
    await page.locator("text=pipeline- >> visible=true").first.wait_for()
    await page.screenshot(path=path)
    await page.close()


async def _open(browser: Browser, url: str, size: tuple[int, int]) -> Page:
    page = await browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="light",
        reduced_motion="reduce",
    )
    columns = json.dumps({"default": [{"label": label} for label in COLUMNS]})
    await page.add_init_script(
        f"localStorage.setItem('namespace-workflow-table-columns', {json.dumps(columns)})"
    )
    await page.goto(url)
    return page


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1])))
