"""Each stage is keyed on what it uses: what changes later invalidates nothing before it."""

from __future__ import annotations

import pytest

import stope.flagship.asking
import stope.mining.stage
from stope.models.job import AcceptCached, InputKind, JobConfig, JobInput, JobType, job_id_of
from stope.recipes import recipe_of
from tests.builders import transcript_of
from tests.memory import MemoryLedgerStore
from tests.mining import MineRun, mining_model

EARLIER = {
    JobType.FLAGSHIP: (JobType.TRANSCRIBE, JobType.MINE),
    JobType.MINE: (JobType.TRANSCRIBE,),
}
SOURCE = JobInput(kind=InputKind.RECORDING, digest="0" * 64, path="/talk.wav").identity
TALK = transcript_of("Laura Miller keeps ninety hives of bees in the north of England.")


def ids(config: JobConfig) -> dict[JobType, str]:
    return {
        job_type: job_id_of(job_type, SOURCE, config, recipe_of(job_type)) for job_type in JobType
    }


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ({"flagship_model": "openai:another"}, JobType.FLAGSHIP),
        ({"miner_model": "openai:another"}, JobType.MINE),
        ({"segment_tokens": 60}, JobType.MINE),
    ],
    ids=["flagship model", "mining model", "segments"],
)
def test_a_changed_setting_leaves_the_jobs_of_earlier_stages_as_they_are(
    change: dict[str, object], first: JobType
) -> None:
    before = ids(JobConfig(miner_model="a:b", flagship_model="a:b"))
    after = ids(JobConfig(miner_model="a:b", flagship_model="a:b").model_copy(update=change))
    assert before[first] != after[first]
    for stage in EARLIER[first]:
        assert before[stage] == after[stage]


@pytest.mark.parametrize(
    ("module", "stage"),
    [(stope.flagship.asking, JobType.FLAGSHIP), (stope.mining.stage, JobType.MINE)],
    ids=["flagship", "mine"],
)
def test_a_changed_prompt_leaves_the_jobs_of_other_stages_as_they_are(
    module: object, stage: JobType, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ids(JobConfig())
    monkeypatch.setattr(module, "prompt_digest", lambda *_: "changed")
    after = ids(JobConfig())
    changed = {job_type for job_type in JobType if before[job_type] != after[job_type]}
    # A pipeline holds all stages; it finds the jobs of those that did not change.
    assert changed == {stage, JobType.PIPELINE}


async def test_units_made_from_any_models_answers_are_never_served_to_who_wants_exact_ones() -> (
    None
):
    answers = MemoryLedgerStore()
    run = MineRun(TALK, answers)
    await run.attempt(mining_model(), accept_cached=AcceptCached.ANY_MODEL)
    loose = set(run.units.outputs)
    outcome = await run.attempt(mining_model())
    assert outcome.metrics["units_reused"] == 0
    assert not loose & (set(run.units.outputs) - loose)
    # The plan is the same, and its answers are, so nothing is paid for.
    assert (len(run.units.plans), outcome.metrics["llm_calls"]) == (1, 0)
