"""What jobs cost: the plan before a run, the bill after it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from jobs.creation import JobCreation
from jobs.request import read_config
from stope.engines import check_model_names
from stope.errors import InputError, UsageError
from stope.models.job import Job, JobConfig, JobType
from stope.money.bill import Bill, bill_of
from stope.money.plan import InputPlan, RunPlan, Skipped
from stope.money.planner import Planner
from stope.records.ledger import SqlLedgerStore
from stope.records.rates import EarlierRates
from stope.records.spend import SpendRecords
from stope.records.units import SqlUnitStore
from stope.sources.location import is_remote


class JobMoney(JobCreation):
    """Says what jobs would cost and what they did."""

    async def cost(self, job_id: str | None = None) -> Bill:
        """What a job's answers cost and what the ledger saved; of all jobs without an id.

        A pipeline's bill has its stages. Answers that no run is known for are in no job's bill.

        Raises:
            UsageError: there is no such job.
        """
        await self.open()
        records = SpendRecords(self._database)
        if job_id is not None:
            return bill_of(await records.lines([(await self.job(job_id)).id]))
        unbooked = sum(count for _, _, count in await records.unbooked())
        return bill_of(await records.lines(), unbooked)

    async def plan(
        self,
        paths: Sequence[str | Path],
        config: JobConfig | Mapping[str, object] | None = None,
        *,
        listen: bool | None = None,
    ) -> RunPlan:
        """What `stope run` would take for some inputs. Nothing is started and no model is run.

        Args:
            paths: recordings or texts by path or URL, folders of them, or ids of jobs, which have
                a config of their own.
            config: as for ``create_job``.
            listen: decode recordings and find their speech, which makes the plan better; None:
                only short ones.

        Raises:
            InputError: a file that was named cannot be read. One that was found in a folder is
                skipped.
            UsageError: a model or a config field is unknown, or no job has such an id.
        """
        await self.open()
        wanted = self._config(read_config(config)[0])
        check_model_names(wanted.asr_model, wanted.miner_model, wanted.flagship_model)
        planner = self._planner()
        inputs: list[InputPlan] = []
        skipped: list[Skipped] = []
        for path in paths:
            job = await self._named(path)
            if job is not None:
                inputs.append(await planner.plan(job.type, job.input, job.config, listen))
                continue
            named = str(path)
            found = [named]
            if not is_remote(named):
                found = [str(file) for file in await asyncio.to_thread(_files, Path(named))]
            for file in found:
                try:
                    source = await self._given(file)
                    plan = await planner.plan(JobType.PIPELINE, source, wanted, listen)
                    inputs.append(plan)
                except InputError as error:
                    if found in ([named], [str(Path(named))]):
                        raise
                    skipped.append(Skipped(path=file, reason=str(error)))
        return RunPlan(inputs=tuple(inputs), skipped=tuple(skipped))

    async def _named(self, path: str | Path) -> Job | None:
        """The job that an argument names; None where it is a path."""
        text = str(path)
        if not any(text.startswith(f"{kind.value}-") for kind in JobType):
            return None
        if await asyncio.to_thread(Path(path).exists):
            return None
        job = await self.job(text)
        if job.type is JobType.UPLOAD:
            raise UsageError(f"The job {job.id} is an upload: it asks no model and costs nothing.")
        return job

    def _planner(self) -> Planner:
        return Planner(
            settings=self.settings,
            jobs=self._jobs,
            units=SqlUnitStore(self._database),
            ledger=SqlLedgerStore(self._database),
            artifacts=self._artifacts(),
            rates=EarlierRates(self._database),
        )


def _files(path: Path) -> list[Path]:
    """The file, or all files in a folder and below; hidden ones are nobody's recordings."""
    if not path.is_dir():
        return [path]
    return sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
