"""``stope dataprep`` as a person calls it: made once, kept, and refused in clear sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from stope.dev_server import DevServer
from stope.identity import digest_file
from stope.settings import Settings
from stope.vision.image import decode_png
from tests.e2e.conftest import Stope, make_stope
from tests.videos import football


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stope]:
    folder = tmp_path_factory.mktemp("dataprep")
    football(folder / "match.mp4")
    program = make_stope(folder / "home", folder / "models", "ollama:none")
    yield program
    DevServer(Settings(home=program.home)).stop()


FACES = ("--detector", "face", "--frames", "4", "--by", "frame")


@pytest.mark.slow
def test_a_data_set_is_made_once_and_then_answers_at_once(program: Stope) -> None:
    folder = program.home.parent
    before = digest_file(folder / "match.mp4")

    made = program("dataprep", "match.mp4", *FACES, "--output", "data", COLUMNS="80")

    assert made.returncode == 0, made.stderr
    assert "1 video, 4 frames, 4 crops of 1 subject, 6 augmented images" in made.stdout
    assert "complete; written to:\n  data/images\n" in made.stdout
    assert max(map(len, made.stdout.splitlines())) <= 80
    lines = (folder / "data/manifest.jsonl").read_text().splitlines()
    assert len(lines) == 10
    for line in map(json.loads, lines):
        assert digest_file(folder / "data/images" / line["path"]) == line["digest"]
    for name in ("train", "validation"):
        assert decode_png((folder / f"data/contact-{name}.png").read_bytes()).shape[2] == 3
    assert digest_file(folder / "match.mp4") == before

    other = program.here(
        *("dataprep", str(folder / "match.mp4"), "--frames", "5", "-o", str(folder / "data"))
    )
    assert other.returncode == 2
    assert "the data set of another job" in other.stderr
    assert "preparing" not in other.stderr, "nothing was begun"

    again = program.here("dataprep", str(folder / "match.mp4"), *FACES, "-o", str(folder / "two"))
    assert again.returncode == 0, again.stderr
    assert (folder / "two/manifest.jsonl").read_text().splitlines() == lines
    assert not again.stderr, "no worker and no server was asked"

    told = program.here(
        *("dataprep", str(folder / "match.mp4"), *FACES, "-o", str(folder / "two"), "--json")
    )
    answer = json.loads(told.stdout)
    assert answer["status"] == "succeeded"
    assert answer["folder"] == str(folder / "two")


def test_what_cannot_be_is_refused_in_a_sentence_before_anything_starts(program: Stope) -> None:
    folder = program.home.parent
    video = str(folder / "match.mp4")
    full = folder / "full"
    full.mkdir()
    (full / "letter.txt").touch()

    for words, sentence in (
        ((video, "--detector", "dog"), "There is no detector 'dog'; there are person, face"),
        ((video, "--detector", str(folder / "no.onnx")), "does not exist; check the path."),
        ((video, "--output", str(full)), "holds something else already"),
        ((video, "--output", video), "is a file; name a folder with --output."),
    ):
        refused = program.here("dataprep", *words)
        assert refused.returncode == 2
        assert sentence in refused.stderr
        assert not refused.stdout
    gone = program.here("dataprep", str(folder / "gone.mp4"))
    assert gone.returncode == 1
    assert "gone.mp4 does not exist" in gone.stderr


def test_without_the_extra_the_sentence_names_it(
    program: Stope, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stope.vision import extra

    monkeypatch.setattr(extra, "find_spec", lambda _name: None)
    refused = program.here("dataprep", str(program.home.parent / "match.mp4"))

    assert refused.returncode == 2
    assert "pip install 'stope[vision]'" in refused.stderr
    assert "opencv-python-headless and scikit-image" in refused.stderr


def test_the_help_teaches(program: Stope) -> None:
    said = program.here("dataprep", "--help", COLUMNS="80").stdout

    for word in ("--detector", "--frames", "--background", "--augment", "--by", "--seed"):
        assert word in said
    assert "match.mp4" in said
    assert "load_dataset" in said
    assert max(map(len, said.splitlines())) <= 80
