"""Is a job what its records say? Its mirror, its committed units and its documents, compared.

The units are the truth, the mirror shows them. Of a run at work, or one that was killed, the mirror
may be behind: that is said, and is not wrong. Ahead of the units it must never be.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import partial

from pydantic import ValidationError

from stope.artifacts import ArtifactStore
from stope.errors import ArtifactError, RecordsError
from stope.mirror import meta_of, mirror_findings, number_in, wrong
from stope.models.checkpoint import Checkpoint
from stope.models.job import Job, JobType, JsonObject, job_id_of
from stope.models.knowledge import Knowledge, MinedClaims
from stope.models.route import stages_of
from stope.models.verification import Finding, Verification
from stope.rebuild import Committed, Rebuilder, gaps_of, stage_input
from stope.recipes import recipe_of
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.kept import digests_in
from stope.records.mirrors import Mirrors, StoredMirror
from stope.records.units import SqlUnitStore
from stope.records.uses import ANY, ARTIFACT, PLAN, UNIT, RunUses, Use
from stope.steps.episode import run_that_gave


@dataclass(frozen=True)
class Inspected:
    """What was found of a job's newest run. ``expected`` is None where it cannot be made."""

    job: Job
    mirror: StoredMirror | None
    committed: Committed
    expected: Checkpoint | None
    verification: Verification


class Verifier:
    """Compares what is stored of jobs.

    Args:
        database: the records.
        artifacts: where large results are.
        text_limit: bytes of transcript that a checkpoint holds at most.
    """

    def __init__(self, database: Database, artifacts: ArtifactStore, text_limit: int) -> None:
        self._jobs = JobRecords(database)
        self._mirrors = Mirrors(database)
        self._units = SqlUnitStore(database)
        self._uses = RunUses(database)
        self._artifacts = artifacts
        self._text_limit = text_limit

    async def inspect(self, job_id: str) -> Inspected:
        """Everything that is stored of a job and its newest run, compared; Temporal is not asked.

        Raises:
            UsageError: there is no such job.
        """
        job = await self._jobs.get(job_id)
        stored = await self._mirrors.newest(job_id)
        findings: list[Finding] = []
        committed, expected = Committed(), None
        checked: Counter[str] = Counter()
        if stored is None:
            if job.status.has_result:
                findings.append(wrong("records", f"it is {job.status.value} and has no run"))
        else:
            committed = await self._committed(stored.run.run_id, findings)
            checked |= {"units": len(committed.outputs), "plans": len(committed.bodies)}
            findings += _unit_findings(job, stored, committed)
            findings += await self._documents(job, stored, committed, checked)
            expected = await self._expected(job, stored, committed, findings)
            findings += mirror_findings(job, stored, expected)
            if stored.run.status.has_result and job.result is None:
                findings.append(wrong("records", "its newest run succeeded and it has no result"))
        verification = Verification(
            job_id=job.id,
            attempt=stored.run.attempt if stored else None,
            status=job.status,
            checked=dict(checked),
            findings=tuple(findings),
        )
        return Inspected(job, stored, committed, expected, verification)

    async def rebuild(self, inspected: Inspected) -> bool:
        """Write the mirror anew from the units, with a higher version than it ever had.

        Returns whether that was needed and done. A run at work that mirrors itself meanwhile wins.

        Raises:
            RecordsError: it cannot be made again; the findings say why.
        """
        stored, expected = inspected.mirror, inspected.expected
        if stored is None:
            return False
        if expected is None and stored.body is not None and inspected.verification.sound:
            return False
        if expected is None:
            reasons = [item.text for item in inspected.verification.findings if item.wrong]
            raise RecordsError(
                f"The mirror of {inspected.job.id} cannot be made again: {'; '.join(reasons)}. "
                f"`stope resume {inspected.job.id}` makes what is missing."
            )
        if stored.body is not None and not mirror_findings(inspected.job, stored, expected):
            return False
        now = (stored.run.finished_at or stored.run.created_at).isoformat(timespec="milliseconds")
        meta, old = expected.stope, meta_of(stored)
        meta.version = max(stored.version, number_in(old, "version")) + 1
        meta.attempt = max(stored.attempt, number_in(old, "attempt"))
        meta.started_at = str(old.get("started_at") or now)
        meta.updated_at = now
        return await self._mirrors.replace(stored, meta.version, expected.model_dump(mode="json"))

    async def stage_jobs(self, pipeline: Job) -> list[Job]:
        """The jobs of a pipeline's stages that are there, in their order."""
        found: list[Job] = []
        given: JsonObject = {}
        for stage in stages_of(pipeline.input.kind, pipeline.config):
            job = await self._stage_job(pipeline, stage, given)
            if job is not None:
                found.append(job)
                parts = (job.result or {}).get("result")
                given = parts if isinstance(parts, dict) else {}
        return found

    async def _stage_job(self, pipeline: Job, stage: JobType, given: JsonObject) -> Job | None:
        source = stage_input(pipeline, stage, given, self._artifacts)
        if source is not None:
            name = job_id_of(stage, source.identity, pipeline.config, recipe_of(stage))
            if name in await self._jobs.matching(name):
                return await self._jobs.get(name)
        # Made with other prompts than this program's: it has another id.
        children = [job for job in await self._jobs.children(pipeline.id) if job.type is stage]
        return children[-1] if children else None

    async def _committed(self, run_id: str, findings: list[Finding]) -> Committed:
        found = Committed(
            units=await self._uses.of_run(run_id, UNIT),
            plans=await self._uses.of_run(run_id, PLAN),
            artifacts=await self._uses.of_run(run_id, ARTIFACT),
        )
        for use in found.units:
            try:
                found.outputs |= _json_of(await self._units.read_outputs([use.key]), use)
            except RecordsError as error:
                findings.append(wrong("units", f"{use.name or use.key}: {error}"))
        for use in found.plans:
            try:
                body = await self._units.read_plan(use.key)
                found.bodies |= _json_of({} if body is None else {use.key: body}, use)
            except RecordsError as error:
                findings.append(wrong("plans", f"{use.name}: {error}"))
        if await self._uses.of_run(run_id, ANY):
            text = "the run is from before it was noted what runs need: its units are not compared"
            findings.append(Finding(about="units", text=text, wrong=False))
        return found

    async def _documents(
        self, job: Job, stored: StoredMirror, committed: Committed, checked: Counter[str]
    ) -> list[Finding]:
        """Every artifact hashed again, and the rows of documents counted."""
        findings: list[Finding] = []
        result = job.result if stored.run.status.has_result else None
        named = digests_in(json.dumps(result)) - digests_in(job.input.digest)
        for digest in sorted(named | {use.key for use in committed.artifacts}):
            try:
                await self._artifacts.get(digest)
                checked["artifacts"] += 1
            except ArtifactError as error:
                # What was only noted may not have been stored any more.
                if digest in named or "damaged" in str(error):
                    findings.append(wrong("artifacts", str(error)))
        parts = (result or {}).get("result")
        if isinstance(parts, dict) and job.type is not JobType.PIPELINE:
            findings += await self._rows(parts, checked)
        return findings

    async def _rows(self, parts: JsonObject, checked: Counter[str]) -> list[Finding]:
        findings: list[Finding] = []
        models: dict[str, type[MinedClaims] | type[Knowledge]] = {
            "claims": MinedClaims,
            "knowledge": Knowledge,
        }
        for noun, model in models.items():
            digest = parts.get(f"{noun}_digest")
            if not isinstance(digest, str):
                continue
            try:
                document = await self._artifacts.get_model(digest, model)
            except ArtifactError:
                continue
            wanted = _row_counts(document)
            found = await self._mirrors.rows_of(f"{noun}-{digest[:16]}")
            checked["rows"] += sum(found.values())
            findings += [
                wrong("rows", f"{found[table]} {table} rows, and {count} in the document {digest}")
                for table, count in wanted.items()
                if found[table] != count
            ]
        return findings

    async def _expected(
        self, job: Job, stored: StoredMirror, committed: Committed, findings: list[Finding]
    ) -> Checkpoint | None:
        unknown = await self._uses.of_run(stored.run.run_id, ANY)
        if unknown and (stored.body is not None or not stored.run.status.has_result):
            # Its mirror says more than could be made again.
            return None
        rebuilder = Rebuilder(
            job,
            stored.run,
            committed,
            self._artifacts,
            self._text_limit,
            self._stage_job,
            partial(run_that_gave, self._jobs),
        )
        try:
            return await rebuilder.checkpoint()
        except (ArtifactError, ValidationError) as error:
            if not isinstance(error, ArtifactError) or str(error) not in {
                finding.text for finding in findings
            }:
                findings.append(wrong("units", f"what is committed cannot be read: {error}"))
            return None


def _unit_findings(job: Job, stored: StoredMirror, committed: Committed) -> list[Finding]:
    """What a run that has its result should have committed, and has not."""
    if not stored.run.status.has_result:
        return []
    gaps = {gap.unit_id for gap in gaps_of(job.result)}
    return [
        *(
            wrong("units", f"{name} has no committed output and is no gap")
            for name in sorted(committed.names - committed.done - gaps)
        ),
        *(
            wrong("plans", f"the {use.name} {use.key} is gone")
            for use in committed.plans
            if use.key not in committed.bodies
        ),
    ]


def _row_counts(document: MinedClaims | Knowledge) -> dict[str, int]:
    if isinstance(document, Knowledge):
        claims = [judged.claim for judged in document.claims]
        return {
            "claim": len(claims),
            "evidence": sum(len(claim.evidence) for claim in claims),
            "verdict": len(claims),
        }
    return {
        "claim": len(document.claims),
        "evidence": sum(len(claim.evidence) for claim in document.claims),
    }


def _json_of(bodies: dict[str, str], use: Use) -> dict[str, str]:
    for body in bodies.values():
        try:
            json.loads(body)
        except ValueError as error:
            raise RecordsError(f"what is stored of {use.name or use.key} is no JSON") from error
    return bodies
