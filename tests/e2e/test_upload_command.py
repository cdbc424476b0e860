"""``stope upload`` as a person calls it: published, repeated, mended, refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stope.identity import digest_file
from tests.e2e.conftest import Stope

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
        (("{job}", "--to", "s3://bucket/x"), "s3:// addresses by this version; name a folder"),
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
    assert said in done.stderr
    assert "Traceback" not in done.stderr


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
