"""A worker is killed in the middle of an upload, and another one goes on; counted at the receiver.

Proves: what had a committed receipt is not sent again; what was sent without one is sent again
under the same idempotency key; and everything is there in the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from activities.services import open_services
from stope.models.job import InputKind, Job, JobConfig, JobInput, JobStatus, JobType
from stope.models.knowledge import Knowledge, MinedClaims
from stope.records.receipts import UploadReceipts
from stope.settings import Settings
from stope.upload.endpoint import MOST_ITEMS
from tests.documents import make_claim, make_quote, make_transcript
from tests.receiver import KEY, ScriptedReceiver, receiving
from tests.resume.lab import Lab
from tests.waiting import until

FLAGSHIP = "flagship-0000000000000001"
TURNS = 300
FLIGHTS = 2

pytestmark = pytest.mark.slow


@pytest.fixture
def receiver() -> Iterator[ScriptedReceiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path / "home", "ollama:none", tmp_path / "models")
    lab.environment = {"STOPE_UPLOAD_HMAC_KEY": KEY}
    lab.start_server()
    try:
        yield lab
    finally:
        lab.close()


async def keep_knowledge(settings: Settings) -> None:
    """A finished flagship job of a long talk, without the work."""
    services = await open_services(settings)
    try:
        talk = make_transcript(*(("ANN", f"Roof {number} lost heat.") for number in range(TURNS)))
        transcript = await services.artifacts.put_model(talk)
        knowledge = Knowledge(
            transcript_digest=transcript,
            miner_model="m",
            flagship_model="f",
            claims=(make_claim(1, "Roofs lose heat", make_quote("Roof 0 lost heat.", 0, 4)),),
        )
        digest = await services.artifacts.put_model(knowledge)
        mined = MinedClaims(transcript_digest=transcript, model="m", segments=1, claims=())
        claims = await services.artifacts.put_model(mined)
        source = JobInput(kind=InputKind.CLAIMS, digest=claims, path=services.artifacts.uri(claims))
        await services.jobs.create(
            Job(
                id=FLAGSHIP,
                type=JobType.FLAGSHIP,
                input=source,
                config=JobConfig(),
                status=JobStatus.QUEUED,
                created_at=datetime(2030, 1, 1, tzinfo=UTC),
            )
        )
        run = await services.jobs.begin_run(FLAGSHIP, f"run-of-{FLAGSHIP}", FLAGSHIP)
        parts = {"knowledge_digest": digest, "transcript_digest": transcript}
        result: dict[str, object] = {"status": "succeeded", "output_id": "out", "result": parts}
        await services.jobs.finish_run(run.run_id, JobStatus.SUCCEEDED, result=result)
    finally:
        await services.close()


async def committed_keys(settings: Settings, url: str) -> set[str]:
    """The idempotency keys of the items that have a receipt in the records."""
    services = await open_services(settings)
    try:
        receipts = await UploadReceipts(services.database).at(url)
        return {str(receipt.key) for receipt in receipts}
    finally:
        await services.close()


@pytest.mark.parametrize("settled", [True, False], ids=["waiting", "committing"])
async def test_killed_between_deliveries_and_receipts(
    lab: Lab, receiver: ScriptedReceiver, settled: bool
) -> None:
    await keep_knowledge(lab.settings)
    receiver.hold(after=FLIGHTS)
    lab.start_worker()
    async with lab.client() as client:
        upload = await client.create_upload(FLAGSHIP, receiver.url)
        await client.start_upload(upload.id)

        async def in_flight() -> bool:
            if len(receiver.bodies) < 2 * FLIGHTS:
                return False
            return not settled or await lab.committed("upload") == FLIGHTS * MOST_ITEMS

        await until(in_flight, "two deliveries that were answered, and two on their way")
        lab.kill_worker()
        committed = await committed_keys(lab.settings, receiver.url)
        received = {item["idempotency_key"] for body in receiver.bodies for item in body["items"]}
        assert len(received) == 2 * FLIGHTS * MOST_ITEMS
        assert committed < received
        # What is held back was received as well, and nobody lives to read that.
        receiver.release()
        lab.start_worker()
        result: Any = await client.wait(upload.id)

    assert result["status"] == "succeeded"
    assert result["result"]["items_verified"] == result["result"]["items"] == len(receiver.kept)
    assert len(receiver.kept) > TURNS
    if settled:
        assert len(committed) == FLIGHTS * MOST_ITEMS
    times = dict(receiver.sent)
    assert {key for key, count in times.items() if count != 1} == received - committed
    assert max(times.values()) == 2
    keys = defaultdict(set)
    for body in receiver.bodies:
        for item in body["items"]:
            keys[item["id"]].add(item["idempotency_key"])
    assert {len(found) for found in keys.values()} == {1}
