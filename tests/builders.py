"""What tests are made of: transcripts, claims, units of work, runs."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from stope.identity import digest_of
from stope.llm.chat import ChatModel, ChatRequest
from stope.llm.ledger import Ledger
from stope.mining.sentences import sentences_of
from stope.models.checkpoint import Checkpoint
from stope.models.claim import Alignment, Claim, ClaimType, Evidence, Stance
from stope.models.frozen import Frozen
from stope.models.job import (
    InputKind,
    Job,
    JobConfig,
    JobInput,
    JobRun,
    JobStatus,
    JobType,
)
from stope.models.sentence import Sentence
from stope.models.transcript import Transcript, Utterance, Word
from stope.stage import StageRun
from stope.units import Unit
from tests.memory import RUN_BEGAN, MemoryLedgerStore, MemoryMirror

WORD_SECONDS = 0.4
"""Every word of ``transcript_of`` lasts so long, and the next one follows at once."""

CheckpointT = TypeVar("CheckpointT", bound=Checkpoint)


def transcript_of(*utterances: str | tuple[str, str]) -> Transcript:
    """A transcript of utterances, each a text or a speaker and a text, cut into words at spaces."""
    words: list[Word] = []
    spans: list[Utterance] = []
    for utterance in utterances:
        speaker, text = (None, utterance) if isinstance(utterance, str) else utterance
        first = len(words)
        for token in text.split():
            start = round(len(words) * WORD_SECONDS, 3)
            words.append(Word(text=token, start=start, end=round(start + WORD_SECONDS, 3)))
        spans.append(Utterance(first_word=first, end_word=len(words), speaker=speaker))
    return Transcript(language="en", words=tuple(words), utterances=tuple(spans))


def sentences_from(*texts: str | tuple[str, str]) -> tuple[Sentence, ...]:
    """Consecutive sentences, each a text or a speaker and a text."""
    return sentences_of(transcript_of(*texts))


def named_json(**lists: object) -> str:
    """A whole answer on what a segment names; what is not given is empty."""
    empty: dict[str, object] = {"people": [], "organisations": [], "terms": [], "concepts": []}
    return json.dumps(empty | lists)


def kinds_reply(request: ChatRequest, kind: Callable[[str], str]) -> str:
    """An answer to a request for kinds, sentence by sentence, as ``kind`` says of the text."""
    lines = re.findall(r"^(l\d+): (.*)$", request.messages[-1].content, re.MULTILINE)
    return json.dumps({name: kind(text) for name, text in lines})


def claim_of(text: str, *, quote: str | None = None, grounded: bool = True) -> Claim:
    """A claim whose one piece of evidence has a place in the transcript, or has none."""
    words = quote or text
    return Claim(
        id=f"clm_{digest_of(text)[:12]}",
        segment_id="seg_0001",
        text=text,
        type=ClaimType.FACTUAL,
        stance=Stance.ASSERTED,
        evidence=(
            Evidence(quote=words, alignment=Alignment.EXACT, score=100, start=1.0, end=2.0)
            if grounded
            else Evidence(quote=words, alignment=Alignment.UNGROUNDED, score=0),
        ),
    )


class Note(Frozen):
    """The output of a unit."""

    text: str


class Work:
    """Does units, or fails at them as told; those in ``held`` wait until they are finished."""

    def __init__(self, *held: str, **errors: Exception) -> None:
        self.began: list[str] = []
        self.in_flight = self.most_in_flight = 0
        self._errors = errors
        self._held = {name: asyncio.Event() for name in held}
        self._begins: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._ends: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def __call__(self, unit: Unit[str]) -> Note:
        """Do one unit: what ``run_units`` calls."""
        self.began.append(unit.id)
        self._begins[unit.id].set()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await turn()
            if unit.id in self._held:
                await self._held[unit.id].wait()
            if unit.id in self._errors:
                raise self._errors[unit.id]
            return Note(text=f"new {unit.item}")
        finally:
            self.in_flight -= 1
            self._ends[unit.id].set()

    async def until_begun(self, *names: str) -> None:
        """Wait until units were begun."""
        for name in names:
            await self._begins[name].wait()

    async def finish(self, *names: str) -> None:
        """Let held units go on, and wait for their ends."""
        for name in names:
            self._held[name].set()
            await self._ends[name].wait()


async def turn(times: int = 1) -> None:
    """Let every task that is ready go on."""
    for _ in range(times):
        await asyncio.sleep(0)


def ledger_of(
    model: ChatModel,
    store: MemoryLedgerStore | None = None,
    *,
    namespace: str = "",
    since: datetime = RUN_BEGAN,
) -> Ledger:
    """A ledger for one run, on a store of its own unless one is given."""
    return Ledger(
        store or MemoryLedgerStore(), model, namespace=namespace, job_id="mine-1", since=since
    )


def stage_run_of(
    job_type: JobType, digest: str, checkpoint: CheckpointT, mirror: MemoryMirror
) -> StageRun[CheckpointT]:
    """An attempt at a stage whose input is an artifact, asking the scripted model."""
    model, status = "scripted:model", JobStatus.RUNNING
    job = Job(
        id=f"{job_type.value}-1",
        type=job_type,
        input=JobInput(kind=InputKind.TRANSCRIPT, digest=digest, path="memory://"),
        config=JobConfig(miner_model=model, flagship_model=model, segment_tokens=50),
        status=status,
        created_at=RUN_BEGAN,
    )
    run = JobRun(
        run_id="run-1",
        job_id=job.id,
        attempt=1,
        workflow_id=job.id,
        status=status,
        created_at=RUN_BEGAN,
    )
    return StageRun(
        job=job,
        run=run,
        checkpoint=checkpoint,
        stage="",
        mirror=mirror,
        beat=lambda _: None,
        draining=asyncio.Event(),
        max_workers=1,
    )
