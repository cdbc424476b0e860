"""Renaming: names reach the exports of every job on a transcript; nothing is done again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from client import JobClient
from stope.artifacts import ArtifactStore
from stope.errors import UsageError
from stope.models.diarization import Diarization, Turn
from stope.models.job import InputKind, Job, JobConfig, JobInput, JobStatus, JobType, JsonObject
from stope.models.transcript import Transcript
from stope.records.jobs import JobRecords
from stope.report.speakers import LONGEST_NAME, checked_names
from stope.settings import Settings
from tests.builders import transcript_of

ONE, OTHER = "transcribe-1111", "pipeline-2222"


class Home:
    """Two finished jobs on one transcript, whose exports stand in the home."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder)
        self.client = JobClient(self.settings)

    async def fill(self, transcript: Transcript) -> None:
        artifacts = ArtifactStore(self.settings.artifact_store_url)
        turns = (
            Turn(speaker="S1", start=0, end=1.2),
            Turn(speaker="S2", start=1.2, end=4.0),
        )
        diarization = Diarization(engine="x", speakers=2, turns=turns)
        parts: JsonObject = {
            "transcript_digest": await artifacts.put_model(transcript),
            "diarization_digest": await artifacts.put_model(diarization),
        }
        result: JsonObject = {"status": "succeeded", "output_id": "x", "result": parts}
        jobs = JobRecords(self.client._database)
        for job_id in (ONE, OTHER):
            await jobs.create(
                Job(
                    id=job_id,
                    type=JobType(job_id.split("-")[0]),
                    input=JobInput(kind=InputKind.RECORDING, digest="a" * 64, path="/x/talk.ogg"),
                    config=JobConfig(),
                    status=JobStatus.QUEUED,
                    created_at=datetime.now(UTC),
                )
            )
            await jobs.begin_run(job_id, f"run-{job_id}", job_id)
            await jobs.finish_run(f"run-{job_id}", JobStatus.SUCCEEDED, result=result)

    def text(self, job_id: str, name: str) -> str:
        return (self.settings.exports / job_id / name).read_text()


@pytest.fixture
async def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    async with home.client:
        await home.fill(
            transcript_of(("S1", "Is it true?"), ("S2", "Yes it is, every word of it."))
        )
    return home


async def test_the_list_says_who_speaks_how_much(home: Home) -> None:
    async with home.client as client:
        found = await client.speakers(ONE)
    assert [(item.speaker, item.name, item.seconds, item.share) for item in found] == [
        ("S1", None, 1.2, 0.3),
        ("S2", None, 2.8, 0.7),
    ]
    assert found[1].first_words == "Yes it is, every word of it."


async def test_a_name_reaches_the_exports_of_every_job_on_the_transcript(home: Home) -> None:
    async with home.client as client:
        await client.export(ONE, home.settings.exports / ONE, ["txt", "vtt"])
        await client.export(OTHER, home.settings.exports / OTHER, ["html"])
        written = await client.rename_speakers(ONE, {"S1": "  Ann   Lee "})
        assert {path.name for path in written} == {
            "transcript.txt",
            "transcript.vtt",
            "report.html",
        }
        assert (await client.speakers(OTHER))[0].name == "Ann Lee"
    assert "Ann Lee" in home.text(ONE, "transcript.txt")
    assert "<v Ann Lee>" in home.text(ONE, "transcript.vtt")
    assert "Ann Lee" in home.text(OTHER, "report.html")


async def test_an_empty_name_takes_it_away_again(home: Home) -> None:
    async with home.client as client:
        await client.export(ONE, home.settings.exports / ONE, ["txt"])
        before = home.text(ONE, "transcript.txt")
        await client.rename_speakers(ONE, {"S1": "Ann Lee"})
        await client.rename_speakers(OTHER, {"S1": ""})
        assert home.text(ONE, "transcript.txt") == before
        assert [item.name for item in await client.speakers(ONE)] == [None, None]


async def test_a_speaker_who_is_not_there_changes_nothing(home: Home) -> None:
    async with home.client as client:
        with pytest.raises(UsageError, match=r"no speaker 'S9'.*there are S1, S2"):
            await client.rename_speakers(ONE, {"S1": "Ann", "S9": "Bo"})
        assert [item.name for item in await client.speakers(ONE)] == [None, None]


async def test_a_transcript_without_speakers_says_so(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.client as client:
        await home.fill(transcript_of("Is it true?"))
        with pytest.raises(UsageError, match="nobody was told apart"):
            await client.rename_speakers(ONE, {"S1": "Ann"})


@pytest.mark.parametrize("name", ["Ann\x1b[31m", "x" * (LONGEST_NAME + 1)], ids=["escape", "long"])
def test_names_that_cannot_be_shown_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="The name for S1 has"):
        checked_names({"S1": name}, ["S1"])
