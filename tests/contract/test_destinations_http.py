"""An HTTP endpoint, over real HTTP: signed batches, a receipt for each item, and every answer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from stope.errors import (
    DestinationRateLimitedError,
    DestinationRefusedError,
    DestinationUnavailableError,
    ItemRefusedError,
    PutOffError,
    StopeError,
)
from stope.identity import canonical_json, digest_of
from stope.models.delivery import Delivery
from stope.models.upload import Item
from stope.upload import endpoint
from stope.upload.delivery import delivery_of
from stope.upload.endpoint import LARGEST_ANSWER, MOST_ITEMS, HttpDestination
from stope.upload.items import records_of
from stope.upload.schema import delivery_schema
from stope.upload.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER, signed_headers
from tests.certificates import own_certificate
from tests.documents import TALK_DOCUMENT, hostile_document
from tests.object_servers import free_port
from tests.receiver import KEY, Raw, ScriptedReceiver, receiving

EXAMPLE = Path(__file__).parents[2] / "examples" / "receiver.py"
KINDS = ("claims", "evidence", "transcript", "report", "publication")
TALK = records_of(TALK_DOCUMENT, "knowledge-1")


def record(number: int, text: str = "It is so.") -> Item:
    name = f"clm_{number:03}"
    data = canonical_json({"id": name, "text": text}).encode()
    return Item(id=f"knowledge-1/claims/{name}", content_type="application/json", data=data)


ITEM = record(1)


@pytest.fixture
def receiver() -> Iterator[ScriptedReceiver]:
    with receiving() as found:
        yield found


@pytest.fixture
async def destination(receiver: ScriptedReceiver) -> AsyncIterator[HttpDestination]:
    found = HttpDestination(receiver.url, receiver.url, KEY.encode())
    yield found
    await found.close()


async def test_what_is_known_arrives_signed_in_batches_as_the_schema_says(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    items = [*TALK, *(record(number) for number in range(120))]
    receipts = await asyncio.gather(*map(destination.put, items))
    assert receiver.kept == {item.id: item.data for item in items}
    assert receiver.unsigned == 0
    assert len(receiver.bodies) < len(items) / 10
    for body in receiver.bodies:
        delivery = Delivery.model_validate(body)
        assert len(delivery.items) <= MOST_ITEMS
        for piece in delivery.items:
            assert piece.idempotency_key == digest_of([piece.id, piece.sha256])
            assert piece.kind in KINDS
            assert sum(part is not None for part in (piece.record, piece.text, piece.base64)) == 1
    assert {receipt.key for receipt in receipts} == set(receiver.sent)
    assert {receipt.status for receipt in receipts} == {201}


async def test_text_that_would_like_to_be_code_arrives_as_it_is(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    items = records_of(hostile_document(), "knowledge-2")
    await asyncio.gather(*map(destination.put, items))
    assert receiver.kept == {item.id: item.data for item in items}


async def test_another_key_is_refused_with_what_to_check(receiver: ScriptedReceiver) -> None:
    stranger = HttpDestination(receiver.url, receiver.url, b"another key than theirs")
    said = r"STOPE_UPLOAD_HMAC_KEY is the endpoint's.*checks v2 signatures as docs/uploads\.md"
    with pytest.raises(DestinationRefusedError, match=said):
        await stranger.put(ITEM)
    with pytest.raises(DestinationRefusedError, match="STOPE_UPLOAD_HMAC_KEY"):
        await stranger.digest(ITEM.id)
    assert not receiver.kept
    await stranger.close()


async def test_what_was_recorded_cannot_bring_back_old_content(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    await destination.put(ITEM)
    old = receiver.bodies[0]["items"]
    await destination.put(record(1, "It is otherwise."))
    [answer] = receiver._take_all(old, 1)
    assert (answer["status"], answer["retry_after"]) == (409, 1)
    assert receiver.kept[ITEM.id] == record(1, "It is otherwise.").data


async def test_a_request_is_good_where_it_was_sent_when_it_was_sent_and_as_it_was_sent(
    receiver: ScriptedReceiver,
) -> None:
    key, body, now = KEY.encode(), delivery_of([ITEM]), time.time()
    other = ScriptedReceiver("https://staging.example/stope")
    elsewhere = {
        "another host": signed_headers(key, other.url, body, now),
        "another path": signed_headers(key, f"{receiver.url}/more", body, now),
        "a question": signed_headers(key, f"{receiver.url}/digests", body, now),
        "another scheme": signed_headers(key, receiver.url.replace("http", "https"), body, now),
        "another time": signed_headers(key, receiver.url, body, now - 400),
        "another body": signed_headers(key, receiver.url, body + b" ", now),
        "another key": signed_headers(b"another key than theirs", receiver.url, body, now),
        "version 1": {
            TIMESTAMP_HEADER: str(int(now)),
            SIGNATURE_HEADER: "sha256="
            + hmac.new(key, f"{int(now)}.".encode() + body, hashlib.sha256).hexdigest(),
        },
        "none": {},
    }
    for what, headers in elsewhere.items():
        # Whoever plays it back says that it is for the host he sends it to.
        said = headers | {"Host": "staging.example"}
        assert receiver.answer("/stope", said, body)[0] == 401, what
    here = signed_headers(key, receiver.url, body, now)
    assert other.answer("/stope", here | {"Host": "127.0.0.1"}, body)[0] == 401
    assert receiver.answer("/stope/digests", here, body)[0] == 401
    assert receiver.answer("/staging", here, body)[0] == 404
    assert not receiver.kept
    assert receiver.answer("/stope", here, body)[0] == 207
    assert receiver.kept == {ITEM.id: ITEM.data}


async def test_207_is_understood_item_by_item(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    said: dict[str, dict[str, Any]] = {
        "clm_001": {"status": 422, "reason": "No claims of this kind."},
        "clm_002": {"status": 503, "retry_after": 2},
        "clm_003": {"status": 429, "retry_after": 77},
        "clm_004": {"status": 409},
        "clm_005": {"status": 409, "retry_after": 0.5},
    }
    receiver.judge = lambda item: said.get(item["name"])
    outcomes = await asyncio.gather(
        *(destination.put(record(number)) for number in range(7)), return_exceptions=True
    )
    assert set(receiver.kept) == {record(number).id for number in (0, 6)}
    assert [type(outcome).__name__ for outcome in outcomes] == [
        "Receipt",
        "ItemRefusedError",
        "DestinationUnavailableError",
        "PutOffError",
        "ItemRefusedError",
        "PutOffError",
        "Receipt",
    ]
    assert "(422): No claims of this kind." in str(outcomes[1])
    waits = [getattr(outcomes[number], "retry_after", None) for number in (2, 3, 5)]
    assert waits == [2, 77, 0.5]
    # Whoever puts items decides whether and when to send one again.
    assert set(receiver.sent.values()) == {1}


async def test_an_item_without_a_receipt_in_a_207_may_be_sent_again(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    receiver.script = [Raw(207, b'{"items": []}')]
    with pytest.raises(DestinationUnavailableError, match="says nothing of"):
        await destination.put(ITEM)
    assert (await destination.put(ITEM)).written
    assert receiver.kept == {ITEM.id: ITEM.data}


async def test_what_failed_together_goes_alone_the_next_time(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    items = [record(number) for number in range(5)]
    receiver.script = [Raw(500)]
    outcomes = await asyncio.gather(*map(destination.put, items), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {DestinationUnavailableError}
    others = [record(number) for number in range(5, 10)]
    await asyncio.gather(*map(destination.put, [*items, *others]))
    assert sorted(len(body["items"]) for body in receiver.bodies) == [1, 1, 1, 1, 1, 5]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", [b"", b"thanks", b'{"ok": true}'])
async def test_an_endpoint_that_only_says_yes_has_taken_all(
    destination: HttpDestination, receiver: ScriptedReceiver, status: int, body: bytes
) -> None:
    receiver.script = [Raw(status, b"" if status == 204 else body)]
    receipt = await destination.put(ITEM)
    assert (receipt.written, receipt.status) == (True, status)


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b'{"items": [{"id": 1}]}', b'{"items": [{"id": "a"}]}']
)
async def test_a_207_that_cannot_be_understood_is_refused(
    destination: HttpDestination, receiver: ScriptedReceiver, body: bytes
) -> None:
    receiver.script = [Raw(207, body)]
    with pytest.raises(DestinationRefusedError, match=r"docs/uploads\.md"):
        await destination.put(ITEM)


@pytest.mark.parametrize("status", [300, 401, 402, 403, 404, 405, 407, 410])
async def test_a_place_that_refuses_for_good_is_asked_once(
    destination: HttpDestination, receiver: ScriptedReceiver, status: int
) -> None:
    receiver.script = [Raw(status, b"not here")]
    with pytest.raises(DestinationRefusedError, match=str(status)):
        await destination.put(ITEM)
    assert (receiver.script, receiver.signed) == ([], 0)


@pytest.mark.parametrize("status", [400, 406, 408, 409, 411, 415, 422, 425, 451])
async def test_a_delivery_that_is_refused_is_a_refusal_of_its_items_and_of_no_other(
    destination: HttpDestination, receiver: ScriptedReceiver, status: int
) -> None:
    receiver.script = [Raw(status, b"not this")]
    some = [record(number) for number in range(3)]
    outcomes = await asyncio.gather(*map(destination.put, some), return_exceptions=True)
    for item, outcome in zip(some, outcomes, strict=True):
        assert isinstance(outcome, ItemRefusedError)
        assert f"{item.id} goes back with its delivery" in str(outcome)
        assert f"({status}): not this" in str(outcome)
    assert (receiver.script, receiver.signed) == ([], 0)
    await destination.put(record(4))
    assert set(receiver.kept) == {record(4).id}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (409, PutOffError),
        (429, DestinationRateLimitedError),
        *((status, DestinationUnavailableError) for status in (408, 425, 500, 502, 503, 504)),
    ],
)
async def test_what_passes_is_left_to_whoever_waits_with_the_time_that_was_said(
    destination: HttpDestination,
    receiver: ScriptedReceiver,
    status: int,
    error: type[StopeError],
) -> None:
    receiver.script = [Raw(status, b"<html>busy</html>", {"Retry-After": "33"})]
    with pytest.raises(DestinationUnavailableError, match=str(status)) as caught:
        await destination.put(ITEM)
    assert type(caught.value) is error
    assert caught.value.retry_after == 33
    assert "<" not in str(caught.value)
    assert receiver.signed == 0
    await destination.put(ITEM)


async def test_too_many_is_later_also_where_no_time_is_said(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    receiver.script = [Raw(429)]
    with pytest.raises(DestinationRateLimitedError) as caught:
        await destination.put(ITEM)
    assert caught.value.retry_after is None


async def test_a_date_to_wait_for_is_understood_and_nonsense_is_not(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    waits: list[float | None] = []
    for value in (soon, "later", "1e9", "-5", "nan"):
        receiver.script = [Raw(503, b"", {"Retry-After": value})]
        with pytest.raises(DestinationUnavailableError) as caught:
            await destination.put(ITEM)
        waits.append(caught.value.retry_after)
    assert waits[0] is not None
    assert 60 < waits[0] <= 100
    assert waits[1:] == [None, 3600, 0, None]


async def test_a_delivery_that_is_too_large_goes_in_halves(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    receiver.script = [Raw(413), Raw(413)]
    items = [record(number) for number in range(8)]
    await asyncio.gather(*map(destination.put, items))
    assert [len(body["items"]) for body in receiver.bodies] == [2, 2, 4]
    receiver.script = [Raw(413)]
    with pytest.raises(ItemRefusedError, match="too large"):
        await destination.put(record(9))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_nobody_is_sent_on_to_another_host(
    destination: HttpDestination, receiver: ScriptedReceiver, status: int
) -> None:
    with receiving() as other:
        receiver.script = [Raw(status, b"", {"Location": f"{other.url}?token=secret"})]
        with pytest.raises(DestinationRefusedError, match=f"sends us on to {other.url}") as caught:
            await destination.put(ITEM)
        assert "secret" not in str(caught.value)
        assert other.signed + other.unsigned == 0


async def test_an_answer_that_does_not_end_is_not_read(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    receiver.script = [Raw(200, b"x" * (LARGEST_ANSWER + 1))]
    with pytest.raises(DestinationRefusedError, match="answers with more than"):
        await destination.put(ITEM)


async def test_an_answer_that_is_cut_is_asked_for_again_under_the_same_key(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    receiver.script = [Raw(207, b"x" * 1000, cut=True)]
    with pytest.raises(DestinationUnavailableError, match="cannot be reached"):
        await destination.put(ITEM)
    first = await destination.put(ITEM)
    again = await destination.put(ITEM)
    assert first.key == again.key
    assert receiver.sent == {first.key: 2}
    assert (first.written, again.written) == (True, False)


async def test_an_endpoint_that_stalls_is_given_up(
    destination: HttpDestination, receiver: ScriptedReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_WHOLE", 0.2)
    receiver.hold(after=0)
    with pytest.raises(DestinationUnavailableError, match="takes too long"):
        await destination.put(ITEM)


async def test_an_endpoint_that_is_not_there_may_come_back() -> None:
    url = f"http://127.0.0.1:{free_port()}/stope"
    destination = HttpDestination(url, url, KEY.encode())
    with pytest.raises(DestinationUnavailableError, match="cannot be reached"):
        await destination.put(ITEM)
    with pytest.raises(DestinationUnavailableError, match="cannot be reached"):
        await destination.digest(ITEM.id)
    await destination.close()


async def test_what_was_lost_or_changed_there_is_noticed(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    items = [record(number) for number in range(3)]
    await asyncio.gather(*map(destination.put, items))
    receiver.forget(items[0].id)
    receiver.edit(items[1].id, b"edited by hand")
    found = await asyncio.gather(*(destination.digest(item.id) for item in items))
    assert found[0] is None
    assert found[1] not in (None, items[1].digest)
    assert found[2] == items[2].digest
    assert receiver.asks == 1
    assert destination.reads_back


PAGES = (
    Raw(200, b"\xef\xbb\xbf\n<!doctype html><title>Log in</title>"),
    Raw(200, b"Please log in.", {"Content-Type": "text/html; charset=utf-8"}),
)


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_is_neither_a_receipt_nor_a_reason_to_ask_nothing(
    destination: HttpDestination, receiver: ScriptedReceiver, page: Raw
) -> None:
    receiver.script = [page, page]
    with pytest.raises(DestinationRefusedError, match=r"page for people.*check the address"):
        await destination.put(ITEM)
    with pytest.raises(DestinationRefusedError, match="page for people"):
        await destination.digest(ITEM.id)
    assert destination.reads_back


UNASKABLE = [Raw(404), Raw(405), Raw(422), Raw(501), Raw(400), Raw(200, b"ok"), Raw(204)]


@pytest.mark.parametrize("answer", UNASKABLE)
async def test_an_endpoint_that_cannot_be_asked_is_believed(
    destination: HttpDestination, receiver: ScriptedReceiver, answer: Raw
) -> None:
    receiver.script = [answer]
    assert await destination.digest(ITEM.id) is None
    assert not destination.reads_back
    assert await destination.digest(ITEM.id) is None
    assert receiver.asks == 0


@pytest.mark.parametrize("answer", UNASKABLE)
async def test_an_endpoint_that_has_answered_can_be_asked_whatever_it_answers_then(
    destination: HttpDestination, receiver: ScriptedReceiver, answer: Raw
) -> None:
    await destination.put(ITEM)
    assert await destination.digest(ITEM.id) == ITEM.digest
    receiver.script = [answer]
    with pytest.raises(PutOffError, match=r"/digests answers \d+, and has answered"):
        await destination.digest(ITEM.id)
    assert destination.reads_back
    assert await destination.digest(ITEM.id) == ITEM.digest


async def test_a_question_that_fails_is_asked_again_later(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    receiver.script = [Raw(503)]
    with pytest.raises(DestinationUnavailableError):
        await destination.digest(ITEM.id)
    assert destination.reads_back
    assert await destination.digest(ITEM.id) is None


async def test_a_question_that_is_too_large_goes_in_halves(
    destination: HttpDestination, receiver: ScriptedReceiver
) -> None:
    items = [record(number) for number in range(8)]
    await asyncio.gather(*map(destination.put, items))
    receiver.script = [Raw(413), Raw(413)]
    found = await asyncio.gather(*(destination.digest(item.id) for item in items))
    assert found == [item.digest for item in items]
    assert receiver.asks == 3


@contextmanager
def example_receiver(file: Path, port: int) -> Iterator[None]:
    """The example as a program, until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-u", str(EXAMPLE), str(file), str(port)],
        env={**os.environ, "STOPE_UPLOAD_HMAC_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "receiving at" in process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()


async def test_the_example_receives_and_still_has_it_after_it_was_killed(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/stope"
    destination = HttpDestination(url, url, KEY.encode())
    items = [ITEM, *TALK]
    with example_receiver(tmp_path / "received.db", port):
        receipts = await asyncio.gather(*map(destination.put, items))
        assert all(receipt.written for receipt in receipts)
        stranger = HttpDestination(url, url, b"another key than theirs")
        with pytest.raises(DestinationRefusedError, match="STOPE_UPLOAD_HMAC_KEY"):
            await stranger.put(ITEM)
        await stranger.close()
    with example_receiver(tmp_path / "received.db", port):
        found = await asyncio.gather(*(destination.digest(item.id) for item in items))
        assert found == [item.digest for item in items]
        assert not (await destination.put(ITEM)).written
    await destination.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 that nobody else has signed, with its key in the same file."""
    return own_certificate(tmp_path / "certificate.pem")


async def test_an_endpoint_has_to_prove_who_it_is(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving(certificate) as receiver:
        assert receiver.url.startswith("https://")
        stranger = HttpDestination(receiver.url, receiver.url, KEY.encode())
        with pytest.raises(DestinationRefusedError, match=r"cannot prove .*SSL_CERT_FILE"):
            await stranger.put(ITEM)
        await stranger.close()
        assert receiver.signed + receiver.unsigned == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
        known = HttpDestination(receiver.url, receiver.url, KEY.encode())
        assert (await known.put(ITEM)).written
        assert await known.digest(ITEM.id) == ITEM.digest
        await known.close()


def test_the_committed_schema_is_that_of_the_models() -> None:
    committed = Path(__file__).parents[2] / "docs" / "schema" / "delivery.schema.json"
    assert json.loads(committed.read_text(encoding="utf-8"))["$ref"] == "#/$defs/Delivery"
    assert committed.read_text(encoding="utf-8") == delivery_schema(), (
        "the models have changed: python -m stope.upload.schema docs/schema/delivery.schema.json"
    )
