"""Identity: equal content has one name, in any process, and any difference that counts another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import stope.recipes
from stope.identity import canonical_json, digest_bytes, digest_file, digest_of
from stope.models.gap import Gap
from stope.models.job import (
    AcceptCached,
    Diarize,
    DiarizerName,
    JobConfig,
    JobType,
    Selection,
    job_id_of,
)
from stope.models.route import EPISODE
from stope.recipes import recipe_of

CONTENT = "a" * 64
CONFIG = JobConfig(asr_model="tiny.en", miner_model="openai:small", flagship_model="openai:large")
CHANGES = {
    "asr_model": "base.en",
    "language": "de",
    "diarize": Diarize.OFF,
    "diarizer": DiarizerName.SPEAKRS,
    "speakers": 3,
    "miner_model": "openai:other",
    "flagship_model": "openai:other",
    "selection": Selection.ASKED,
    "segment_tokens": 500,
    "accept_cached": AcceptCached.ANY_MODEL,
    "upload_to": "file:///elsewhere",
    "pipeline": "letters",
    "pipeline_config": {"block": 7},
    "run_guid": "nightly-7",
}
OF_STEPS = {"pipeline", "pipeline_config", "run_guid"}
DECIDES = {
    JobType.TRANSCRIBE: {"asr_model", "language", "diarize", "diarizer", "speakers"},
    JobType.MINE: {"miner_model", "selection", "segment_tokens", "accept_cached"},
    JobType.FLAGSHIP: {"flagship_model", "accept_cached"},
    JobType.UPLOAD: {"upload_to"},
    JobType.PIPELINE: (set(CHANGES) - OF_STEPS) | {"run_guid"},
    JobType.STEPS: OF_STEPS,
}


def id_of(job_type: JobType, config: JobConfig = CONFIG, recipe: str = "r1") -> str:
    return job_id_of(job_type, CONTENT, config, recipe)


@pytest.mark.parametrize("job_type", JobType)
def test_the_same_request_has_the_same_id(job_type: JobType) -> None:
    again = JobConfig.model_validate_json(CONFIG.model_dump_json())
    assert id_of(job_type) == id_of(job_type, again)
    assert id_of(job_type).startswith(f"{job_type.value}-")


def test_an_id_is_the_same_in_every_process_and_release() -> None:
    code = (
        "from stope.models.job import JobConfig, JobType, job_id_of;"
        f"print(job_id_of(JobType.MINE, {CONTENT!r}, JobConfig(miner_model='openai:small'), 'r1'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == id_of(JobType.MINE) == "mine-ca83cc7ea0d7af4f"


@pytest.mark.parametrize("job_type", JobType)
def test_other_content_and_another_recipe_make_another_job(job_type: JobType) -> None:
    assert job_id_of(job_type, "b" * 64, CONFIG, "r1") != id_of(job_type)
    assert id_of(job_type, recipe="r2") != id_of(job_type)


def test_every_type_has_ids_of_its_own() -> None:
    assert len({id_of(job_type).split("-")[1] for job_type in JobType}) == len(JobType)


@pytest.mark.parametrize("job_type", JobType)
@pytest.mark.parametrize("field", JobConfig.model_fields)
def test_a_change_makes_another_job_only_where_it_decides_the_output(
    job_type: JobType, field: str
) -> None:
    changed = CONFIG.model_copy(update={field: CHANGES[field]})
    assert (id_of(job_type, changed) != id_of(job_type)) is (field in DECIDES[job_type])


def test_every_type_has_a_recipe_of_its_own() -> None:
    assert len({recipe_of(job_type) for job_type in JobType}) == len(JobType)


def test_what_decides_about_items_decides_about_pipelines_that_publish_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def recipes() -> list[str]:
        return [recipe_of(JobType.PIPELINE, uploads=uploads) for uploads in (False, True)]

    [alone, publishing] = recipes()
    monkeypatch.setattr(stope.recipes, "ITEMS_VERSION", -1)
    [alone_then, publishing_then] = recipes()
    assert alone == alone_then
    assert publishing != publishing_then


def test_the_first_version_of_the_episode_adds_nothing_to_a_pipelines_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = recipe_of(JobType.PIPELINE)
    stages = [recipe_of(kind) for kind in (JobType.TRANSCRIBE, JobType.MINE, JobType.FLAGSHIP)]
    assert before == digest_of(stages)[:16]
    newer = EPISODE.model_copy(update={"version": 2})
    monkeypatch.setattr(stope.recipes, "EPISODE", newer)
    assert recipe_of(JobType.PIPELINE) != before
    assert [recipe_of(JobType.TRANSCRIBE), recipe_of(JobType.MINE)] == stages[:2]


def test_canonical_json_is_one_text_per_value() -> None:
    gap = Gap(stage="mine", unit_id="seg_0001", reason="ü")
    text = canonical_json({"b": (1, 2.5, None), "a": gap})
    assert text == (
        '{"a":{"end":null,"reason":"ü","stage":"mine","start":null,"unit_id":"seg_0001"},'
        '"b":[1,2.5,null]}'
    )
    assert canonical_json({"a": gap, "b": [1, 2.5, None]}) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [(["a", "bc"], ["ab", "c"]), (1, "1"), ([], {}), (None, ""), ([1], [[1]]), (True, 1)],
)
def test_different_values_have_different_digests(one: object, other: object) -> None:
    assert digest_of(one) != digest_of(other)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_say_has_no_digest(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest_of([value])
    with pytest.raises(TypeError, match="set has no canonical JSON form"):
        digest_of({value})


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1])
def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path, size: int) -> None:
    data = b"\x07" * size
    (tmp_path / "file").write_bytes(data)
    assert digest_file(tmp_path / "file") == digest_bytes(data)
