"""Heartbeats of a stage: news at once, what comes fast gathered, and never the newest left out."""

from __future__ import annotations

from temporalio.testing import ActivityEnvironment

from activities.stage_shell import beating
from stope.models.progress import StageProgress
from tests.waiting import until

_TOTAL = 500


def _at(done: int) -> StageProgress:
    return StageProgress(job_type="mine", stage="mining", done=done, total=_TOTAL)


async def test_what_comes_fast_goes_in_few_heartbeats_and_the_last_one_says_the_newest() -> None:
    """The SDK encodes every one that it is given, and sends five in a second."""
    sent: list[int] = []
    told: list[int] = []

    async def stage() -> None:
        async with beating(lambda progress: told.append(progress.done)) as beat:
            for done in range(1, _TOTAL + 1):
                beat(_at(done))
            assert sent[0] == 1, "the first of them is news, and waits for nothing"

            async def newest() -> bool:
                return sent[-1] == _TOTAL

            await until(newest, "the newest progress in a heartbeat", 30)

    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda progress: sent.append(progress.done)
    await environment.run(stage)
    assert told == list(range(1, _TOTAL + 1)), "what decides about reports sees all of it"
    assert len(sent) < _TOTAL / 2
    assert sent == sorted(sent)


async def test_a_stage_without_news_beats_all_the_same() -> None:
    sent: list[int] = []

    async def stage() -> None:
        async with beating(lambda _progress: None) as beat:
            beat(_at(7))

            async def again() -> bool:
                return len(sent) > 1

            await until(again, "the same heartbeat once more", 30)

    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda progress: sent.append(progress.done)
    await environment.run(stage)
    assert set(sent) == {7}
