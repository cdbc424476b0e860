"""The document of an upload: found from one digest, with its source, its names and all its gaps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stope.artifacts import ArtifactStore
from stope.errors import ArtifactError, InputError
from stope.models.diarization import Diarization
from stope.models.gap import Gap
from stope.models.job import InputKind, Job, JobConfig, JobInput, JobStatus, JobType, JsonObject
from stope.models.knowledge import Knowledge, MinedClaims
from stope.report.document import Document
from stope.upload.source import read_document
from tests.documents import TALK

WHEN = datetime(2030, 1, 1, tzinfo=UTC)
RECORDING = JobInput(kind=InputKind.RECORDING, digest="1" * 64, path="/talks/talk.opus")


def gap(stage: str) -> Gap:
    return Gap(stage=stage, unit_id=f"{stage}-1", reason=f"{stage} failed", start=1, end=2)


def job(kind: JobType, source: JobInput, *gaps: Gap, parent: str | None = None, **of: str) -> Job:
    result: JsonObject = {"result": of, "gaps": [item.model_dump(mode="json") for item in gaps]}
    return Job(
        id=f"{kind.value}-1",
        type=kind,
        input=source,
        config=JobConfig(asr_model="heard:by", upload_to="file:///place"),
        parent_id=parent,
        status=JobStatus.SUCCEEDED,
        result=result,
        created_at=WHEN,
    )


class Records:
    """The jobs and artifacts of one talk; ``forget`` takes the jobs away."""

    async def fill(self) -> None:
        self.artifacts = ArtifactStore("memory://")
        self.transcript = await self.artifacts.put_model(TALK)
        turns = Diarization(engine="told:apart", speakers=2, turns=())
        self.diarization = await self.artifacts.put_model(turns)
        self.claims = await self.artifacts.put_model(
            MinedClaims(
                transcript_digest=self.transcript,
                model="mined:by",
                segments=1,
                claims=(),
                skipped={"question": 3},
                gaps=(gap("mine"),),
            )
        )
        self.knowledge = await self.artifacts.put_model(
            Knowledge(
                transcript_digest=self.transcript,
                miner_model="mined:by",
                flagship_model="judged:by",
                claims=(),
                gaps=(gap("mine"), gap("flagship")),
            )
        )
        heard = {"transcript_digest": self.transcript, "diarization_digest": self.diarization}
        gaps = (gap("transcribe"), gap("diarize"))
        mined, judged = self.source(InputKind.TRANSCRIPT), self.source(InputKind.CLAIMS)
        self.jobs = {
            self.transcript: job(JobType.TRANSCRIBE, RECORDING, *gaps, **heard),
            self.claims: job(JobType.MINE, mined, gap("mine"), parent="pipeline-1"),
            self.knowledge: job(JobType.FLAGSHIP, judged, gap("flagship"), parent="pipeline-1"),
        }

    def source(self, kind: InputKind) -> JobInput:
        digest = {
            InputKind.TRANSCRIPT: self.transcript,
            InputKind.CLAIMS: self.claims,
            InputKind.KNOWLEDGE: self.knowledge,
        }[kind]
        return JobInput(kind=kind, digest=digest, path=self.artifacts.uri(digest))

    async def document(self, kind: InputKind) -> Document:
        async def giver(_field: str, digest: str) -> Job | None:
            return self.jobs.get(digest)

        async def names(digest: str) -> dict[str, str]:
            return {"ANN": "Ann Lee"} if digest == self.transcript else {}

        upload = job(JobType.UPLOAD, self.source(kind)).model_copy(update={"result": None})
        return await read_document(upload, self.artifacts, giver, names)


@pytest.fixture
async def records() -> Records:
    found = Records()
    await found.fill()
    return found


async def test_knowledge_leads_to_its_recording_its_names_and_all_gaps(records: Records) -> None:
    document = await records.document(InputKind.KNOWLEDGE)
    assert (document.source.path, document.source.digest) == (RECORDING.path, RECORDING.digest)
    assert document.transcript == TALK
    assert document.name_of("ANN") == "Ann Lee"
    assert document.diarization is not None
    assert {item.stage for item in document.all_gaps} == {
        *("transcribe", "diarize", "mine", "flagship")
    }
    assert len(document.all_gaps) == 4
    assert document.skipped == {"question": 3}
    models = document.models
    assert (models.asr, models.miner, models.flagship) == ("heard:by", "mined:by", "judged:by")
    # The job that a person started, and when: not this upload's own, which would change the bytes.
    assert (document.job_id, document.created_at) == ("pipeline-1", WHEN.isoformat())


async def test_claims_lead_to_their_recording_too(records: Records) -> None:
    document = await records.document(InputKind.CLAIMS)
    assert document.knowledge is None
    assert document.mined is not None
    assert document.source.path == RECORDING.path
    assert {item.stage for item in document.all_gaps} == {"transcribe", "diarize", "mine"}


async def test_without_the_jobs_what_the_digest_leads_to_is_still_published(
    records: Records,
) -> None:
    records.jobs.clear()
    document = await records.document(InputKind.KNOWLEDGE)
    assert document.transcript == TALK
    assert document.name_of("ANN") == "Ann Lee"
    assert {item.stage for item in document.all_gaps} == {"mine", "flagship"}


async def test_another_kind_of_input_is_refused_with_what_is_taken(records: Records) -> None:
    with pytest.raises(InputError, match="finished mine, flagship or pipeline job"):
        await records.document(InputKind.TRANSCRIPT)


async def test_a_part_that_is_gone_is_named(records: Records) -> None:
    records.artifacts = ArtifactStore("memory://")
    with pytest.raises(ArtifactError, match=f"{records.knowledge} is gone"):
        await records.document(InputKind.KNOWLEDGE)
