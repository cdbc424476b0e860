"""``stope upload`` as a person calls it: published, repeated, mended, refused in one sentence."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from stope.identity import digest_file
from tests.e2e.conftest import Stope
from tests.e2e.test_job_commands import told_to_stop
from tests.receiver import KEY, receiving
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def job_id(scripted_stope: Stope) -> str:
    """A finished pipeline job of a short text."""
    talk = scripted_stope.home.parent / "talk.txt"
    talk.write_text(
        "[00:00] (Ann): In 1901 the river rose by two metres.\n"
        "[01:00] (Bob): Rain in the hills makes the river rise."
    )
    ran = scripted_stope("run", talk, "--json")
    assert ran.returncode == 0, ran.stderr
    return str(json.loads(ran.stdout)["job_id"])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "place"


def uploaded(stope: Stope, job_id: str, place: Path) -> dict[str, Any]:
    done = stope("upload", job_id, "--to", place, "--json")
    assert done.returncode == 0, done.stderr
    body: dict[str, Any] = json.loads(done.stdout)
    return body


def digests_in(folder: Path) -> dict[str, str]:
    return {path.name: digest_file(path) for path in folder.iterdir()}


def test_a_job_is_published_and_a_repeat_sends_only_what_is_not_there(
    scripted_stope: Stope, job_id: str, place: Path
) -> None:
    first = uploaded(scripted_stope, job_id, place)
    [folder] = place.iterdir()
    published = digests_in(folder)
    index = json.loads((folder / "index.json").read_text())
    named = {item["id"].rpartition("/")[2]: item["digest"] for item in index["items"]}
    assert published == named | {"index.json": published["index.json"]}
    assert index["title"] == "talk.txt"
    assert first["metrics"]["items_uploaded"] == first["result"]["result"]["items"]

    (folder / "claims.csv").unlink()
    second = uploaded(scripted_stope, job_id, place)
    assert digests_in(folder) == published
    assert second["metrics"]["items_uploaded"] == second["metrics"]["items_repaired"] == 1
    assert second["result"] == first["result"]

    third = scripted_stope("upload", job_id, "--to", place.as_uri())
    assert third.returncode == 0
    count = len(published)
    assert f"{count} of {count} items are there, read back; nothing to send" in third.stdout
    assert folder.as_uri() in third.stdout


def test_one_item_that_does_not_go_is_a_gap_with_its_exit_code(
    scripted_stope: Stope, job_id: str, place: Path
) -> None:
    uploaded(scripted_stope, job_id, place)
    [folder] = place.iterdir()
    (folder / "people.jsonl").unlink()
    (folder / "people.jsonl" / "mine").mkdir(parents=True)
    done = scripted_stope("upload", job_id, "--to", place)
    assert done.returncode == 3, done.stderr
    assert "people.jsonl cannot be written below" in " ".join(done.stdout.split())


def test_a_place_that_is_no_folder_fails_and_the_last_result_stands(
    scripted_stope: Stope, job_id: str, place: Path
) -> None:
    first = uploaded(scripted_stope, job_id, place)
    for path in [*next(place.iterdir()).iterdir()]:
        path.unlink()
    next(place.iterdir()).rmdir()
    place.rmdir()
    place.write_text("a file of mine")
    done = scripted_stope("upload", job_id, "--to", place)
    assert done.returncode == 1
    assert "cannot be used as a destination" in done.stderr
    assert "Traceback" not in done.stderr
    kept = scripted_stope.here("result", first["job_id"], "--json")
    assert json.loads(kept.stdout)["result"] == first["result"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("{job}", "--to", "ftp://host/x"), "Nothing can be uploaded to ftp:// addresses; name a"),
        (("{job}", "--to", "http://host/x"), "use https://, or write insecure+http://"),
        (("{job}", "--to", "https://host/x?token=hush"), "signed with the key in STOPE_UPLOAD_"),
        (("{job}", "--to", "postgresql://ann:hush@host/x"), "set STOPE_UPLOAD_PASSWORD or PG"),
        (("{job}", "--to", "s3:///x"), "names no bucket"),
        (("{job}", "--to", ""), "needs a destination"),
        (("nosuch", "--to", "place"), "There is no job 'nosuch'"),
        (("{job}",), "--to"),
    ],
)
def test_a_mistake_in_the_call_is_a_sentence(
    scripted_stope: Stope, job_id: str, words: tuple[str, ...], said: str
) -> None:
    done = scripted_stope.here("upload", *(word.format(job=job_id) for word in words))
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "hush" not in done.stderr


def test_a_pipeline_is_not_begun_for_a_place_that_cannot_be(
    scripted_stope: Stope, tmp_path: Path
) -> None:
    talk = tmp_path / "other.txt"
    talk.write_text("[00:00] (Ann): In 1902 the river rose by three metres.")
    done = scripted_stope.here("run", talk, "--upload-to", "postgresql://ann:hush@host/x")
    assert done.returncode == 2
    assert "STOPE_UPLOAD_PASSWORD" in done.stderr
    assert str(talk) not in scripted_stope.here("jobs", "--limit", "99", "--json").stdout


def test_a_pipeline_without_the_key_of_its_last_stage_ends_before_its_first(
    scripted_stope: Stope, tmp_path: Path
) -> None:
    talk = tmp_path / "keyless.txt"
    talk.write_text("[00:00] (Ann): In 1904 the river rose by five metres.")
    done = scripted_stope("run", talk, "--upload-to", "https://127.0.0.1/in")
    assert done.returncode == 1
    assert "set STOPE_UPLOAD_HMAC_KEY" in " ".join(done.stderr.split())
    listed = json.loads(scripted_stope.here("jobs", "--limit", "99", "--json").stdout)
    assert [job["type"] for job in listed if job["input"] == str(talk)] == ["pipeline"]


def test_help_names_every_kind_of_place(scripted_stope: Stope) -> None:
    for words in (("upload", "--help"), ("run", "--help")):
        shown = scripted_stope.here(*words).stdout
        for kind in ("s3://", "gs://", "postgresql://", "https://", "folder"):
            assert kind in shown, (words, kind)


def test_an_endpoint_gets_each_item_once_and_a_repeat_only_looks(
    scripted_stope: Stope, job_id: str
) -> None:
    with receiving() as receiver:
        words = ("upload", job_id, "--to", receiver.url)
        secretless = scripted_stope(*words)
        assert secretless.returncode == 1
        assert "STOPE_UPLOAD_HMAC_KEY" in secretless.stderr
        first = scripted_stope(*words, "--json", STOPE_UPLOAD_HMAC_KEY=KEY)
        assert first.returncode == 0, first.stderr
        body = json.loads(first.stdout)
        assert body["result"]["result"]["items_verified"] == len(receiver.kept)
        assert KEY not in first.stdout + first.stderr
        lost = next(name for name in receiver.kept if "/claims/" in name)
        receiver.forget(lost)
        again = scripted_stope(*words, STOPE_UPLOAD_HMAC_KEY=KEY)
        assert again.returncode == 0, again.stderr
        assert "1 again: gone or changed" in again.stdout
    assert receiver.sent.pop(receiver.keys[lost]) == 2
    assert set(receiver.sent.values()) == {1}


def test_a_pipeline_publishes_as_its_last_stage(scripted_stope: Stope, tmp_path: Path) -> None:
    talk = tmp_path / "last.txt"
    talk.write_text("[00:00] (Ann): In 1903 the river rose by four metres.")
    with receiving() as receiver:
        words = ("run", talk, "--upload-to", receiver.url, "--json")
        done = scripted_stope(*words, STOPE_UPLOAD_HMAC_KEY=KEY)
        assert done.returncode == 0, done.stderr
        parts = json.loads(done.stdout)["result"]["result"]
        assert parts["upload_to"] == receiver.url
        assert parts["items_verified"] == len(receiver.kept) > 0


def test_an_item_that_an_endpoint_refuses_is_a_gap_with_its_reason(
    scripted_stope: Stope, job_id: str
) -> None:
    with receiving() as receiver:
        receiver.judge = lambda item: (
            {"status": 422, "reason": "No subtitles here."}
            if item["name"].endswith("srt")
            else None
        )
        words = ("upload", job_id, "--to", receiver.url)
        done = scripted_stope(*words, STOPE_UPLOAD_HMAC_KEY=KEY)
    assert done.returncode == 3, done.stderr
    assert "(422): No subtitles here." in " ".join(done.stdout.split())


def test_an_upload_that_is_paused_goes_on_where_it_stood(
    scripted_stope: Stope, job_id: str
) -> None:
    with receiving() as receiver:
        receiver.hold(after=0)
        words = ("upload", job_id, "--to", receiver.url)
        process = scripted_stope.start(*words, STOPE_UPLOAD_HMAC_KEY=KEY)

        async def on_its_way() -> bool:
            return bool(receiver.bodies)

        asyncio.run(until(on_its_way, "a delivery"))
        listed = json.loads(scripted_stope.here("jobs", "--limit", "99", "--json").stdout)
        [upload_id] = [
            job["job_id"]
            for job in listed
            if job["type"] == "upload" and job["standing"] == "running"
        ]
        assert scripted_stope.here("pause", upload_id, "--reason", "Not now.").returncode == 0
        asyncio.run(told_to_stop(scripted_stope, upload_id))
        receiver.release()
        _, err = process.communicate(timeout=120)
        assert process.returncode == 4, err
        assert "Not now." in err
        again = scripted_stope.here(*words)
        assert again.returncode == 4, again.stderr
        resumed = scripted_stope("resume", upload_id, "--json", STOPE_UPLOAD_HMAC_KEY=KEY)
        assert resumed.returncode == 0, resumed.stderr
        assert json.loads(resumed.stdout)["status"] == "succeeded"
    # What was on its way when somebody paused was waited for.
    assert set(receiver.sent.values()) == {1}


def test_a_job_that_has_nothing_to_publish_says_so(scripted_stope: Stope, tmp_path: Path) -> None:
    empty = tmp_path / "silence.wav"
    empty.write_bytes(b"no sound at all")
    failed = scripted_stope("run", empty)
    assert failed.returncode == 1
    listed = scripted_stope.here("jobs").stdout.split()
    name = next(word for word in listed if word.startswith("pipeline-"))
    done = scripted_stope.here("upload", name, "--to", tmp_path / "place")
    assert done.returncode == 1
    assert "has no result yet" in done.stderr
    assert not (tmp_path / "place").exists()
