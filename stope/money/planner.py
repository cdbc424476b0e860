"""Makes plans: what is done is read, what can be counted is counted, the rest is a range.

Nothing is started, no model is loaded, and no server is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePath

from stope.artifacts import ArtifactStore
from stope.engines import chat_facts
from stope.llm.ledger import LedgerStore
from stope.llm.spec import parse_model
from stope.mining.parsing import parse_transcript
from stope.models.job import (
    Diarize,
    InputKind,
    Job,
    JobConfig,
    JobInput,
    JobStatus,
    JobType,
    job_id_of,
)
from stope.models.knowledge import MinedClaims
from stope.models.transcript import Transcript
from stope.money.forecast import MinedOnPaper, judge_on_paper, mine_on_paper
from stope.money.known import Known, made_up, number_of, span_of, words_of
from stope.money.paper import Count, Lean, PaperLedger, PaperModel
from stope.money.plan import InputPlan, Money, Span, StagePlan, exactly
from stope.money.prices import price_of
from stope.money.recordings import RecordingFacts, recording_facts
from stope.recipes import recipe_of
from stope.records.jobs import JobRecords
from stope.records.rates import EarlierRates
from stope.settings import Settings
from stope.sources.copies import input_source, read_text
from stope.speech.spec import remote_model
from stope.units import UnitStore

SPEED = Span(low=0.7, high=1.4)
"""What a run's speed may be, of the median of earlier ones."""

_STAGES = {
    InputKind.RECORDING: (JobType.TRANSCRIBE, JobType.MINE, JobType.FLAGSHIP),
    InputKind.TEXT: (JobType.MINE, JobType.FLAGSHIP),
    InputKind.TRANSCRIPT: (JobType.MINE, JobType.FLAGSHIP),
    InputKind.CLAIMS: (JobType.FLAGSHIP,),
    InputKind.KNOWLEDGE: (),
}


@dataclass(frozen=True)
class Planner:
    """Plans on the records and artifacts of one home."""

    settings: Settings
    jobs: JobRecords
    units: UnitStore
    ledger: LedgerStore
    artifacts: ArtifactStore
    rates: EarlierRates
    # Of talks that are made up: they serve many recordings.
    _mined: dict[tuple[object, ...], MinedOnPaper] = field(default_factory=dict)
    _judged: dict[tuple[object, ...], Count] = field(default_factory=dict)

    async def plan(
        self, kind: JobType, source: JobInput, config: JobConfig, listen: bool | None
    ) -> InputPlan:
        """The plan of one job.

        Raises:
            InputError: the input cannot be read.
        """
        recipe = recipe_of(kind, uploads=bool(config.upload_to))
        job_id = job_id_of(kind, source.identity, config, recipe)
        stored = await self._stored(job_id)
        plan = InputPlan(
            path=source.path,
            kind=source.kind.value,
            job_id=job_id,
            status=stored.status.value if stored else None,
        )
        stages = [stage for stage in _STAGES[source.kind] if kind in (JobType.PIPELINE, stage)]
        if stored is not None and stored.status.has_result and stored.result is not None:
            return plan.model_copy(update=_as_done(stored, stages, config))
        namespace = stored.namespace if stored else ""
        return await self._staged(plan, source, config, stages, namespace, listen)

    async def _staged(
        self,
        plan: InputPlan,
        source: JobInput,
        config: JobConfig,
        stages: list[JobType],
        namespace: str,
        listen: bool | None,
    ) -> InputPlan:
        found: list[StagePlan] = []
        known = await self._given(source)
        if JobType.TRANSCRIBE in stages:
            done = await self._finished(JobType.TRANSCRIBE, source, config, namespace)
            facts = RecordingFacts()
            if done is not None:
                digest = str(done["transcript_digest"])
                source = JobInput(kind=InputKind.TRANSCRIPT, digest=digest, path="")
                known = await self._given(source)
                facts = RecordingFacts(
                    audio=number_of(done["duration"]), chunks=exactly(number_of(done["chunks"]))
                )
            else:
                facts = await recording_facts(
                    await input_source(source, self.artifacts),
                    source.digest,
                    namespace,
                    self.units,
                    self.settings.scratch,
                    listen,
                )
                known = made_up(facts.words, config.language or "en")
            plan = plan.model_copy(update={"audio": facts.audio, "chunks": facts.chunks})
            found.append(await self._transcribing(facts, config, done=done is not None))
        plan = plan.model_copy(update={"words": words_of(known)})
        if JobType.MINE in stages:
            done = None
            if source.kind in (InputKind.TRANSCRIPT, InputKind.TEXT):
                done = await self._finished(JobType.MINE, source, config, namespace)
            mined, segments, known = await self._mining(known, config, namespace, done)
            found.append(mined)
            plan = plan.model_copy(update={"segments": segments})
        if JobType.FLAGSHIP in stages and known.claims is not None:
            found.append(await self._judging(known, config, namespace))
        return plan.model_copy(update={"stages": tuple(found)})

    async def _given(self, source: JobInput) -> Known:
        """What an input is to the stages, where it is no recording."""
        if source.kind is InputKind.CLAIMS:
            mined = await self.artifacts.get_model(source.digest, MinedClaims)
            return Known({}, dict.fromkeys(Lean, (mined.claims, 1.0)))
        if source.kind is InputKind.TRANSCRIPT:
            transcript = await self.artifacts.get_model(source.digest, Transcript)
        elif source.kind is InputKind.TEXT:
            path = PurePath(source.path)
            data = await read_text(source, self.artifacts)
            transcript = parse_transcript(data, path.suffix.lower(), path.name)
        else:
            return Known({})
        return Known(dict.fromkeys(Lean, (transcript, 1.0)))

    async def _transcribing(
        self, facts: RecordingFacts, config: JobConfig, *, done: bool
    ) -> StagePlan:
        remote = remote_model(config.asr_model) is not None
        plan = StagePlan(
            stage=JobType.TRANSCRIBE.value, model=config.asr_model, units=facts.chunks, done=done
        )
        if done:
            return plan
        usual = await self._usual(JobType.TRANSCRIBE, config)
        wanted = ["transcribing"] + (["diarizing"] if config.diarize is not Diarize.OFF else [])
        seconds: Span | None = None
        if facts.audio is not None and wanted[0] in usual:
            rate = sum(usual.get(name, 0.0) for name in wanted)
            seconds = SPEED.times(facts.audio * rate, facts.audio * rate)
        return plan.model_copy(
            # What a server asks for listening is on nobody's list here.
            update={"seconds": seconds, "cost_usd": None if remote else Money()}
        )

    async def _mining(
        self, known: Known, config: JobConfig, namespace: str, done: dict[str, object] | None
    ) -> tuple[StagePlan, Span, Known]:
        if done is not None:
            digest = str(done["claims_digest"])
            mined = await self.artifacts.get_model(digest, MinedClaims)
            known = replace(known, claims=dict.fromkeys(Lean, (mined.claims, 1.0)))
            plan = StagePlan(
                stage=JobType.MINE.value,
                model=config.miner_model,
                units=exactly(2 * mined.segments),
                done=True,
            )
            return plan, exactly(mined.segments), known
        ends: dict[Lean, MinedOnPaper] = {}
        for lean, (transcript, times) in known.transcripts.items():
            key = (lean, config.model_dump_json(), len(transcript.words))
            found = self._mined.get(key) if known.invented else None
            if found is None:
                paper = self._paper(config.miner_model, namespace, lean, known.invented)
                found = await mine_on_paper(transcript, config, paper)
            if known.invented:
                self._mined[key] = found
            ends[lean] = replace(found, count=found.count.scaled(times))
        factor = {lean: times for lean, (_, times) in known.transcripts.items()}
        segments = span_of({lean: end.segments * factor[lean] for lean, end in ends.items()})
        plan = await self._asked(
            JobType.MINE,
            config.miner_model,
            {lean: end.count for lean, end in ends.items()},
            segments.times(2, 2),
            config,
        )
        claims = {lean: (end.claims, factor[lean]) for lean, end in ends.items()}
        return plan, segments, replace(known, claims=claims)

    async def _judging(self, known: Known, config: JobConfig, namespace: str) -> StagePlan:
        counts = {}
        for lean, (some, times) in (known.claims or {}).items():
            key = (lean, config.model_dump_json(), len(some))
            judged = self._judged.get(key) if known.invented else None
            if judged is None:
                paper = self._paper(config.flagship_model, namespace, lean, known.invented)
                judged = await judge_on_paper(some, paper)
            if known.invented:
                self._judged[key] = judged
            counts[lean] = judged.scaled(times)
        calls = span_of({lean: count.calls + count.paid for lean, count in counts.items()})
        return await self._asked(JobType.FLAGSHIP, config.flagship_model, counts, calls, config)

    async def _asked(
        self,
        stage: JobType,
        model: str,
        counts: dict[Lean, Count],
        units: Span,
        config: JobConfig,
    ) -> StagePlan:
        def span(value: Callable[[Count], float]) -> Span:
            return span_of({lean: value(count) for lean, count in counts.items()})

        calls, paid = span(lambda count: count.calls), span(lambda count: count.paid)
        usual = await self._usual(stage, config)
        rate = usual.get({JobType.MINE: "mining", JobType.FLAGSHIP: "evaluating"}[stage])
        seconds: Span | None = None
        if not calls.high:
            seconds = exactly(0)
        elif rate is not None:
            unpaid = calls.high / (calls.high + paid.high)
            seconds = units.times(SPEED.low * rate * unpaid, SPEED.high * rate * unpaid)
        return StagePlan(
            stage=stage.value,
            model=model,
            units=units,
            calls=calls,
            paid_calls=paid,
            prompt_tokens=span(lambda count: count.prompt_tokens),
            completion_tokens=span(lambda count: count.completion_tokens),
            cost_usd=self._cost(model, counts),
            seconds=seconds,
        )

    def _cost(self, model: str, counts: dict[Lean, Count]) -> Money | None:
        price = price_of(model, self.settings)
        if not any(count.calls for count in counts.values()):
            return Money()
        if price is None:
            return None
        # Calls of the same size: a price may depend on the length of a prompt.
        ends = sorted(
            Decimal(repr(count.calls))
            * price.cost(
                round(count.prompt_tokens / count.calls),
                round(count.completion_tokens / count.calls),
            )
            if count.calls
            else Decimal(0)
            for count in counts.values()
        )
        return Money(low=round(ends[0], 9), high=round(ends[-1], 9))

    def _paper(self, model: str, namespace: str, lean: Lean, invented: bool) -> PaperLedger:
        facts = chat_facts(parse_model(model), self.settings)
        store = None if invented else self.ledger
        return PaperLedger(store, PaperModel(facts), namespace, lean)

    async def _usual(self, stage: JobType, config: JobConfig) -> dict[str, float]:
        like = Job(
            id="",
            type=stage,
            input=JobInput(kind=InputKind.TEXT, digest="0" * 64, path=""),
            config=config,
            status=JobStatus.QUEUED,
            created_at=datetime.now(UTC),
        )
        return await self.rates.usual(like)

    async def _finished(
        self, stage: JobType, source: JobInput, config: JobConfig, namespace: str
    ) -> dict[str, object] | None:
        """The result of a stage's job, if it has one that a run in this namespace would take."""
        job = await self._stored(job_id_of(stage, source.identity, config, recipe_of(stage)))
        if job is None or not job.is_done or job.result is None:
            return None
        parts = job.result.get("result")
        return parts if isinstance(parts, dict) and namespace in ("", job.namespace) else None

    async def _stored(self, job_id: str) -> Job | None:
        return await self.jobs.get(job_id) if job_id in await self.jobs.matching(job_id) else None


def _as_done(job: Job, stages: list[JobType], config: JobConfig) -> dict[str, object]:
    """The fields of the plan of a job that has its result."""
    result = (job.result or {}).get("result")
    parts = result if isinstance(result, dict) else {}
    models = {
        JobType.TRANSCRIBE: config.asr_model,
        JobType.MINE: config.miner_model,
        JobType.FLAGSHIP: config.flagship_model,
    }
    return {
        "audio": number_of(parts["duration"]) if parts.get("duration") else None,
        "chunks": exactly(number_of(parts.get("chunks"))),
        "words": exactly(number_of(parts.get("words"))),
        "segments": exactly(number_of(parts.get("segments"))),
        "stages": tuple(
            StagePlan(stage=stage.value, model=models[stage], done=True) for stage in stages
        ),
    }
