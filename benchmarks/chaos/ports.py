"""Puts the boundaries around the ports of a worker, from outside: the product knows none of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import obstore
from obstore.exceptions import GenericError
from sqlalchemy import Connection, event
from sqlalchemy.pool import Pool

import stope.flagship.phases
import stope.mining.stage
from benchmarks.chaos import boundaries as at
from benchmarks.chaos.journal import JournalWriter, request_digest, text_digest
from benchmarks.chaos.orders import Act, Orders
from stope.embedding.scripted import WordEmbedder
from stope.engines import Engines
from stope.llm.chat import ChatRequest
from stope.llm.openai_chat import OpenAIChatModel
from stope.records.jobs import CheckpointMirror, JobRecords
from stope.records.ledger import SqlLedgerStore
from stope.records.units import SqlUnitStore
from stope.speakers.scripted import ScriptedDiarizer
from stope.speech.scripted import ScriptedTranscriber
from stope.stage import StageRun

Around = Callable[[Callable[[], Awaitable[Any]], tuple[Any, ...], dict[str, Any]], Awaitable[Any]]
_NO_LIMIT = 1_073_741_823
_CHECKPOINTS = "runs/"


class Trigger:
    """Tells the journal of every passage, and does to this process what was ordered."""

    def __init__(self, journal: JournalWriter, orders: Orders) -> None:
        self.journal = journal
        self.orders = orders

    def passes(self, boundary: str, **about: object) -> None:
        """This process is at a boundary.

        Raises:
            OSError: the order is that the disk is full.
        """
        self.journal.write(boundary, **about)
        order = self.orders.passing(boundary)
        if order is None:
            return
        number, act = order
        self.journal.write(at.FAULT, number=number, boundary=boundary)
        if act is Act.FULL:
            raise OSError(28, os.strerror(28))
        os.kill(os.getpid(), signal.SIGKILL if act is Act.KILL else signal.SIGSTOP)


def put_boundaries(trigger: Trigger) -> None:
    """Wrap the ports of this process; engines that are not tested here are scripted ones."""
    _around_calls(trigger)
    _around_units(trigger)
    _around_checkpoints(trigger)
    _around_rows(trigger)
    _around_disks(trigger)
    _scripted_engines()


def _wrap(owner: Any, name: str, around: Around) -> None:
    original = getattr(owner, name)

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        return await around(lambda: original(*args, **kwargs), args, kwargs)

    setattr(owner, name, wrapped)


def _digest(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    [request] = [item for item in (*args, *kwargs.values()) if isinstance(item, ChatRequest)]
    return request_digest(
        request.schema_name, [(item.role, item.content) for item in request.messages]
    )


def _around_calls(trigger: Trigger) -> None:
    async def complete(
        call: Callable[[], Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        request = _digest(args, kwargs)
        trigger.passes(at.BEFORE_CALL, request=request)
        try:
            answer = await call()
        except BaseException as error:
            trigger.journal.write(at.CALL_FAILED, request=request, why=type(error).__name__)
            raise
        trigger.passes(at.AFTER_ANSWER, request=request)
        return answer

    original = SqlLedgerStore.look

    def look(store: SqlLedgerStore, key: str, since: datetime) -> Callable[[Connection], Any]:
        def looking(connection: Connection) -> Any:
            trigger.journal.write(at.LOOKED, key=key)
            return original(store, key, since)(connection)

        return looking

    async def find(
        call: Callable[[], Awaitable[Any]], args: tuple[Any, ...], _kwargs: dict[str, Any]
    ) -> Any:
        trigger.journal.write(at.LOOKED, key=args[1])
        return await call()

    async def receive(
        call: Callable[[], Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        entry = await call()
        trigger.passes(
            at.AFTER_LEDGER,
            request=_digest(args, kwargs),
            key=args[1],
            id=entry.id,
            content=text_digest(entry.answer.content),
        )
        return entry

    _wrap(OpenAIChatModel, "complete", complete)
    setattr(SqlLedgerStore, "look", look)  # noqa: B010  (a method that is replaced)
    _wrap(SqlLedgerStore, "find", find)
    _wrap(SqlLedgerStore, "receive", receive)


def _around_units(trigger: Trigger) -> None:
    async def commit(
        call: Callable[[], Awaitable[Any]], args: tuple[Any, ...], _kwargs: dict[str, Any]
    ) -> Any:
        _, key, stage, output, *_ = args
        trigger.passes(at.BEFORE_UNIT, key=key, stage=stage)
        result = await call()
        trigger.passes(at.AFTER_UNIT, key=key, stage=stage, output=text_digest(output))
        return result

    async def run(
        call: Callable[[], Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        units = args[0] if args else kwargs["units"]
        keys = {unit.id: unit.key for unit in units}
        claims = {
            unit.key: list(unit.item.claim_ids) for unit in units if hasattr(unit.item, "claim_ids")
        }
        trigger.journal.write(at.UNITS, stage=kwargs["stage"], keys=keys, claims=claims)
        return await call()

    _wrap(SqlUnitStore, "commit", commit)
    for stage in (stope.mining.stage, stope.flagship.phases):
        _wrap(stage, "run_units", run)


def _around_checkpoints(trigger: Trigger) -> None:
    async def write(
        call: Callable[[], Awaitable[Any]], _args: tuple[Any, ...], _kwargs: dict[str, Any]
    ) -> Any:
        trigger.passes(at.BEFORE_MIRROR)
        result = await call()
        trigger.passes(at.AFTER_MIRROR)
        return result

    async def enter(
        call: Callable[[], Awaitable[Any]], args: tuple[Any, ...], _kwargs: dict[str, Any]
    ) -> Any:
        run, stage = args
        trigger.passes(at.entering(run.job.type.value, stage))
        result = await call()
        trigger.passes(at.entered(run.job.type.value, stage))
        return result

    _wrap(CheckpointMirror, "write", write)
    _wrap(StageRun, "enter", enter)


def _around_rows(trigger: Trigger) -> None:
    def row(name: str, job_type: Callable[[tuple[Any, ...]], Awaitable[str]]) -> Around:
        async def around(
            call: Callable[[], Awaitable[Any]], args: tuple[Any, ...], _kwargs: dict[str, Any]
        ) -> Any:
            kind = await job_type(args)
            if not kind:
                return await call()
            trigger.passes(at.writing(name, kind))
            result = await call()
            trigger.passes(at.written(name, kind))
            return result

        return around

    async def of_id(args: tuple[Any, ...]) -> str:
        return str(args[1]).split("-", 1)[0]

    async def of_job(args: tuple[Any, ...]) -> str:
        return str(args[1].type.value)

    async def of_run(args: tuple[Any, ...]) -> str:
        return str((await args[0].get_run(args[1])).job_id).split("-", 1)[0]

    async def of_pipeline(args: tuple[Any, ...]) -> str:
        return "pipeline" if "completed_stages" in args[-1] else ""

    _wrap(JobRecords, "begin_run", row("open", of_id))
    _wrap(JobRecords, "create", row("stage", of_job))
    _wrap(JobRecords, "finish_run", row("close", of_run))
    _wrap(JobRecords, "write_checkpoint", row("note", of_pipeline))


def _around_disks(trigger: Trigger) -> None:
    original = obstore.put

    def put(store: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        try:
            # A checkpoint's file is a mirror: the run goes on without it.
            if not path.startswith(_CHECKPOINTS):
                trigger.passes(at.ARTIFACT)
        except OSError as error:
            # As obstore says it.
            raise GenericError(f"{error.strerror} (os error {error.errno})") from None
        return original(store, path, *args, **kwargs)

    obstore.put = put

    def limit(connection: Any, _record: object, _proxy: object) -> None:
        """SQLite's own limit of a file's size: at 1 it may not grow any more."""
        if "sqlite" not in type(connection).__module__:
            return
        cursor = connection.cursor()
        try:
            cursor.execute(
                f"PRAGMA max_page_count = {1 if trigger.orders.records_full else _NO_LIMIT}"
            )
        finally:
            cursor.close()

    event.listen(Pool, "checkout", limit)


def _scripted_engines() -> None:
    transcriber, diarizer, embedder = ScriptedTranscriber(), ScriptedDiarizer(), WordEmbedder()

    async def transcribing(_self: Engines, _name: str) -> ScriptedTranscriber:
        return transcriber

    async def diarizing(_self: Engines, _name: str) -> ScriptedDiarizer:
        return diarizer

    async def embedding(_self: Engines) -> WordEmbedder:
        return embedder

    for name, engine in (
        ("transcriber", transcribing),
        ("diarizer", diarizing),
        ("embedder", embedding),
    ):
        setattr(Engines, name, engine)
