"""``stope pipeline`` as a person calls it, with the worked example of the documentation."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from stope.artifacts import ArtifactStore
from stope.steps.codecs import PictureCodec
from stope.steps.values import Picture
from tests.e2e.conftest import Stope

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "step_pipeline.py"

pytestmark = pytest.mark.slow


def test_the_documentation_shows_the_example_as_it_is() -> None:
    shown = (ROOT / "docs" / "pipelines.md").read_text()
    assert f"```python\n{EXAMPLE.read_text()}```" in shown


def test_the_example_runs_answers_again_and_keeps_what_is_asked_for(
    scripted_stope: Stope,
) -> None:
    ours = {"STOPE_PIPELINES": "examples.step_pipeline", "PYTHONPATH": str(ROOT)}
    text = scripted_stope.home.parent / "letters.txt"
    text.write_text("The quick brown fox jumps over the lazy dog. " * 50)
    words = ("pipeline", "letters", text, "--config", '{"block": 500}', "--keep-checkpoint")

    ran = scripted_stope(*words, **ours)
    assert ran.returncode == 0, ran.stderr
    for line in ("letters of", "read: completed", "count: completed", "draw: completed"):
        assert line in ran.stdout

    again = scripted_stope.here(*words, "--json", **ours)
    assert again.returncode == 0, again.stderr
    body = json.loads(again.stdout)
    parts = body["result"]["result"]
    assert body["job_id"].startswith("letters-")
    assert (parts["totals"][0], parts["totals"][4], sum(parts["totals"])) == (50, 150, 1750)
    folder = scripted_stope.home / "artifacts" / "runs" / parts["run_guid"]
    kept = json.loads((folder / "checkpoint.json").read_text())
    assert kept["completed_steps"] == ["read", "count", "draw"]
    assert kept["steps_summary"]["count"]["metadata"]["units"] == 5

    status = scripted_stope.here("status", body["job_id"], **ours)
    assert "succeeded" in status.stdout
    refused = scripted_stope.here("export", body["job_id"], "--all", **ours)
    assert refused.returncode == 2
    assert "step pipeline" in refused.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("strange",), "no pipeline 'strange' here"),
        (("letters", "--config", "[1]"), "is a JSON object"),
        (("letters", "--config", "{"), "is no JSON"),
        (("letters", "--config", '{"blocks": 1}'), "config of the pipeline letters cannot be used"),
        (("letters", "nowhere.txt"), "does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(
    scripted_stope: Stope, words: tuple[str, ...], sentence: str
) -> None:
    ours = {"STOPE_PIPELINES": "examples.step_pipeline"}
    ran = scripted_stope.here("pipeline", *words, **ours)
    assert ran.returncode in (1, 2)
    assert sentence in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_chart_is_a_picture_of_the_counts(scripted_stope: Stope) -> None:
    store = ArtifactStore((scripted_stope.home / "artifacts").as_uri())
    ours = {"STOPE_PIPELINES": "examples.step_pipeline"}
    text = scripted_stope.home.parent / "letters.txt"
    words = ("pipeline", "letters", text, "--config", '{"block": 500}', "--json")
    ran = scripted_stope.here(*words, **ours)
    digest = json.loads(ran.stdout)["result"]["result"]["chart_digest"]
    chart = PictureCodec().decode(asyncio.run(store.get(digest)), Picture)
    assert chart.pixels.shape == (40, 26 * 8)
    # `o` is said most often: its bar is full.
    assert chart.pixels[0, 14 * 8] == 40
