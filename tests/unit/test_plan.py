"""The plan: exact where it can be, a range where it cannot, and nothing for what is done."""

from __future__ import annotations

import json
import re
import wave
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from cli.plan import plan_lines
from client import JobClient
from stope.engines import chat_facts
from stope.errors import InputError, UsageError
from stope.llm.chat import ChatRequest
from stope.llm.ledger import Ledger
from stope.llm.scripted import Reply, ScriptedChatModel
from stope.llm.spec import parse_model
from stope.mining.extractor import extract
from stope.mining.input import load_transcript
from stope.mining.miner import mine_segment
from stope.mining.segments import plan_segments
from stope.mining.selection.asked import AskedSelector
from stope.models.job import JobConfig, JobStatus, JobType
from stope.models.transcript import Transcript
from stope.money.forecast import made_up_talk, mine_on_paper
from stope.money.paper import LEANINGS, Lean, PaperLedger, PaperModel
from stope.money.plan import InputPlan, Money, RunPlan, Span, StagePlan
from stope.money.prices import price_of
from stope.records.ledger import SqlLedgerStore
from stope.settings import Settings
from tests.builders import kinds_reply, named_json
from tests.memory import MemoryLedgerStore

LLM = "openai:gpt-4o-mini"
TALK = """Ann: Heat pumps move heat from a cold place to a warm place in winter as well.
Bob: They save about a third of the energy that a gas heater of the same size needs.
Ann: Why does anybody still burn gas for heating a house?
Bob: A grant of seven thousand pounds is too small, and many people do not know about it.
"""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[JobClient]:
    settings = Settings.model_validate({"home": tmp_path / "home", "llm": LLM, "llm_context": 8192})
    async with JobClient(settings) as opened:
        yield opened


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.txt"
    path.write_text(TALK)
    return path


def recording(path: Path, seconds: float) -> Path:
    """A WAVE file of noise with pauses. Nobody speaks in it."""
    noise = np.random.default_rng(0).normal(0, 3000, int(16_000 * seconds)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(noise.tobytes())
    return path


def mined(request: ChatRequest) -> Reply:
    if request.schema_name == "sentence_kinds":
        return kinds_reply(request, lambda text: "question" if "?" in text else "factual")
    if request.schema_name == "named_things":
        return named_json()
    marked = re.findall(r"^(s\d+)\*: (.*)$", request.messages[-1].content, re.MULTILINE)
    return json.dumps(dict(marked))


def stage(plan: RunPlan, name: str) -> StagePlan:
    [found] = [item for item in plan.stages if item.stage == name]
    return found


async def test_a_text_is_planned_to_the_segment_and_priced(client: JobClient, talk: Path) -> None:
    plan = await client.plan([talk])
    [item] = plan.inputs
    assert (item.words, item.segments) == (
        Span(low=len(TALK.split()) - 4, high=len(TALK.split()) - 4),
        Span(low=1, high=1),
    )
    assert (item.audio, item.status, item.kind) == (None, None, "text")
    mine = stage(plan, "mine")
    # Two calls are sure: one for what the sentences are, one for what they name.
    assert 2 <= mine.calls.low <= mine.calls.high <= 5
    price = price_of(LLM, client.settings)
    assert price is not None
    assert plan.cost_usd is not None
    assert 0 < plan.cost_usd.low < plan.cost_usd.high
    tokens = round(mine.prompt_tokens.low), round(mine.completion_tokens.low)
    assert mine.cost_usd is not None
    assert float(mine.cost_usd.low) == pytest.approx(float(price.cost(*tokens)), rel=0.02)
    assert plan.seconds is None
    assert plan.unknown_speeds == [f"flagship ({LLM})", f"mine ({LLM})"]
    assert await client.jobs() == []


async def test_an_unknown_price_makes_the_sum_unknown_and_is_named(
    client: JobClient, talk: Path
) -> None:
    unknown = "http://127.0.0.1:9/v1#nobody-knows-it"
    plan = await client.plan([talk], {"flagship_model": unknown})
    assert plan.cost_usd is None
    assert plan.unknown_prices == [unknown]
    assert stage(plan, "mine").cost_usd is not None
    assert any("price unknown" in line and unknown in line for line in plan_lines(plan))


async def test_a_local_model_costs_nothing(client: JobClient, talk: Path) -> None:
    local = {"miner_model": "ollama:qwen2.5:7b", "flagship_model": "ollama:qwen2.5:7b"}
    plan = await client.plan([talk], local)
    assert plan.cost_usd == Money()
    assert plan.calls.low > 0


async def test_a_short_recording_is_listened_to_and_a_long_one_only_if_asked(
    client: JobClient, tmp_path: Path
) -> None:
    path = recording(tmp_path / "noise.wav", 4.0)
    [heard] = (await client.plan([path])).inputs
    [guessed] = (await client.plan([path], listen=False)).inputs
    assert heard.audio == guessed.audio == pytest.approx(4.0, abs=0.01)
    # Nobody speaks: listening finds that out, the header does not say it.
    assert (heard.chunks.high, heard.words.high) == (0, 0)
    assert guessed.words.high == 14
    assert list(client.settings.scratch.iterdir()) == []
    assert [item.stage for item in heard.stages] == ["transcribe", "mine", "flagship"]


async def test_a_longer_recording_takes_as_much_more(client: JobClient, tmp_path: Path) -> None:
    one = await client.plan([recording(tmp_path / "one.wav", 60)], listen=False)
    many = await client.plan([recording(tmp_path / "many.wav", 60 * 15)], listen=False)
    assert many.audio == 15 * one.audio == 900
    assert 7 < many.tokens.low / one.tokens.low < 16
    assert 7 < many.tokens.high / one.tokens.high < 16
    assert many.calls.low < many.calls.high


async def test_folders_are_searched_and_what_is_no_input_is_named(
    client: JobClient, talk: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for place in (folder / "deep" / "talk.txt", folder / ".hidden" / "talk.txt"):
        place.write_text(TALK)
    (folder / "picture.png").write_bytes(b"\x89PNG no sound in it")
    plan = await client.plan([folder])
    assert [Path(item.path).name for item in plan.inputs] == ["talk.txt"]
    assert [Path(item.path).name for item in plan.skipped] == ["picture.png"]
    with pytest.raises(InputError, match="does not exist"):
        await client.plan([tmp_path / "absent.txt"])
    with pytest.raises(UsageError):
        await client.plan([talk], {"miner_model": "no-such-form"})


async def test_a_finished_job_and_a_finished_stage_cost_nothing(
    client: JobClient, talk: Path
) -> None:
    job_id = await client.create_job("pipeline", talk)
    before = await client.plan([talk])
    assert before.inputs[0].status == "queued"
    await client._jobs.begin_run(job_id, "run-1", job_id)
    result: dict[str, object] = {"status": "succeeded", "output_id": "x", "result": {"segments": 1}}
    await client._jobs.finish_run("run-1", JobStatus.SUCCEEDED, result=result)
    done = await client.plan([talk])
    assert done.calls == Span(low=0, high=0)
    assert done.cost_usd == Money()
    assert all(item.done for item in done.stages)
    assert [item.job_id for item in done.inputs] == [job_id]
    named = await client.plan([job_id])
    assert named.inputs[0].job_id == job_id


async def test_answers_in_the_ledger_are_paid_for(client: JobClient, talk: Path) -> None:
    # The real requests of the real stage, answered into the records, then planned.
    config = JobConfig(miner_model=LLM, flagship_model=LLM)
    facts = chat_facts(parse_model(LLM), client.settings)
    source = await client._input(JobType.PIPELINE, str(talk))
    _, transcript = await load_transcript(source, client._artifacts())
    first = await client.plan([talk], config)

    model = ScriptedChatModel(
        mined, identity=facts.identity, context=facts.context, complete_answers=True
    )
    store = SqlLedgerStore(client._database)
    ledger = Ledger(store, model, namespace="", job_id="mine-1", since=datetime.now(UTC))
    await mine_for_real(transcript, ledger, config)
    second = await client.plan([talk], config)
    mine = stage(second, "mine")
    assert stage(first, "mine").paid_calls.high == 0
    assert mine.calls == Span(low=0, high=0)
    assert mine.paid_calls == Span(low=len(model.requests), high=len(model.requests))
    assert mine.cost_usd == Money()
    assert mine.seconds == Span(low=0, high=0)
    assert stage(second, "flagship").calls.low > 0


async def mine_for_real(transcript: Transcript, ledger: Ledger, config: JobConfig) -> None:
    for segment in plan_segments(transcript, config.segment_tokens).segments:
        await mine_segment(segment.sentences, AskedSelector(ledger), ledger)
        await extract(segment.sentences, ledger)


@pytest.mark.parametrize("model", [LLM, "embedded:qwen2.5-coder-1.5b-instruct"])
async def test_the_low_end_is_below_the_high_end(model: str) -> None:
    facts = chat_facts(parse_model(model), Settings())
    talk = made_up_talk(900, "en")
    counts = {}
    for lean in Lean:
        ledger = PaperLedger(MemoryLedgerStore(), PaperModel(facts), "", lean)
        counts[lean] = (await mine_on_paper(talk, JobConfig(miner_model=model), ledger)).count
    low, high = counts[Lean.LOW], counts[Lean.HIGH]
    assert 0 < low.calls < high.calls
    assert 0 < low.prompt_tokens < high.prompt_tokens
    assert 0 < low.completion_tokens < high.completion_tokens
    assert 900 <= len(talk.words) < 960
    assert set(LEANINGS) == set(Lean)


def test_rows_are_eighty_columns_at_most() -> None:
    huge = StagePlan(
        stage="transcribe",
        model=LLM,
        units=Span(low=1, high=99),
        calls=Span(low=12_345_678, high=98_765_432),
        paid_calls=Span(low=1_000, high=9_000),
        prompt_tokens=Span(low=1e9, high=9e9),
        completion_tokens=Span(low=1e8, high=9e8),
        cost_usd=Money(low=Decimal("1234.5"), high=Decimal("98765.4")),
        seconds=Span(low=3_600_000, high=9_000_000),
    )
    stages = tuple(huge.model_copy(update={"stage": name}) for name in ("mine", "flagship"))
    plan = RunPlan(inputs=(InputPlan(path="/a.wav", kind="recording", job_id="j", stages=stages),))
    assert max(map(len, plan_lines(plan))) <= 80
