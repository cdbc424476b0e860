"""A transcription whose worker is killed goes on on another machine, by windows out of a bucket.

Proves: with the artifacts on S3 and nothing else in common but the records, the second worker
decodes nothing and asks for no more of the recording than its header; and no samples are left.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stope.audio.decode import decode_to_scratch, read_window
from stope.models.audio import SAMPLE_RATE
from stope.models.job import JobType
from stope.sources.window import BLOCK
from tests.object_servers import ObjectServer
from tests.resume.lab import Lab
from tests.waiting import until
from tests.web_files import WebFile, WebFiles, serving

pytestmark = pytest.mark.slow

SECONDS = 120
SILENCE = 200
"""Seconds after them, so that the recording is long enough to be shared."""

NO_LLM = "http://127.0.0.1:9/v1#none"
"""Nobody asks it."""


@pytest.fixture
def web(interview: Path, tmp_path: Path) -> Iterator[WebFiles]:
    """A server with a recording that is several times as large as what one request asks for."""
    decode_to_scratch(interview, tmp_path / "all.s16")
    sound = read_window(tmp_path / "all.s16", 0, SECONDS * SAMPLE_RATE)
    with wave.open(str(tmp_path / "talk.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(3 * SAMPLE_RATE)
        file.writeframes(np.repeat(sound, 6).tobytes())
        file.writeframes(bytes(4 * 3 * SAMPLE_RATE * SILENCE))
    with serving() as files:
        files.files["/talk.wav"] = WebFile((tmp_path / "talk.wav").read_bytes())
        yield files


@pytest.fixture
def bucket(s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    return s3_server.new_bucket()


@pytest.fixture
def lab(tmp_path: Path, models: Path, bucket: str) -> Iterator[Lab]:
    lab = Lab(tmp_path / "first", NO_LLM, models)
    shared = {
        "artifacts_url": f"s3://{bucket}/stope",
        "database_url": f"sqlite:///{tmp_path / 'records.db'}",
    }
    lab.settings = lab.settings.model_copy(update=shared)
    lab.environment = {
        "STOPE_ARTIFACTS_URL": shared["artifacts_url"],
        "STOPE_DATABASE_URL": shared["database_url"],
        "TEMPORAL_ADDRESS": lab.server.ensure().address,
    }
    lab.start_worker()
    try:
        yield lab
    finally:
        lab.close()


async def test_killed_and_continued_on_another_machine(
    lab: Lab, web: WebFiles, s3_server: ObjectServer, bucket: str, tmp_path: Path
) -> None:
    def shared() -> list[str]:
        return [key for key in s3_server.keys(bucket) if "/samples/" in key]

    async with lab.client() as client:
        job_id = await client.create_job(
            JobType.TRANSCRIBE, web.url("/talk.wav"), {"diarize": "off"}
        )
        await client.start_job(job_id)

        async def some_committed() -> bool:
            return await lab.committed("transcribe") >= 1 and len(shared()) == 1

        await until(some_committed, "a committed chunk and the copy")
        lab.kill_worker()
        committed = await lab.committed("transcribe")
        assert len(shared()) == 1
        first = tmp_path / "first" / "scratch"
        assert [path.suffix for path in first.iterdir() if path.suffix == ".s16"]

        web.sent = 0
        lab.environment["STOPE_HOME"] = str(tmp_path / "second")
        (tmp_path / "second").mkdir()
        lab.start_worker()
        result = await client.wait(job_id)
        [run] = await client.runs(job_id)

    assert result["status"] == "succeeded"
    parts = result["result"]
    assert isinstance(parts, dict)
    assert run.metrics is not None
    done, reused = run.metrics["units_done"], run.metrics["units_reused"]
    assert isinstance(done, int)
    assert isinstance(reused, int)
    assert (done + reused, reused >= committed) == (parts["chunks"], True)
    assert done > 0
    assert web.sent <= 2 * BLOCK < len(web.files["/talk.wav"].data) / 4
    assert not list((tmp_path / "second").rglob("*.s16"))
    assert shared() == []
