"""A run of the mine stage over stores in memory, over as many attempts as it takes."""

from __future__ import annotations

from collections.abc import Callable

from stope.artifacts import ArtifactStore
from stope.llm.chat import ChatRequest
from stope.llm.ledger import Ledger
from stope.llm.scripted import Reply, ScriptedChatModel
from stope.mining.selection.asked import AskedSelector
from stope.mining.selection.selector import Selector
from stope.mining.stage import mine
from stope.models.checkpoint import MineCheckpoint
from stope.models.job import JobType
from stope.models.knowledge import MinedClaims
from stope.models.transcript import Transcript
from stope.stage import StageOutcome, StageRun, resumed_checkpoint
from tests.builders import kinds_reply, ledger_of, named_json, stage_run_of
from tests.memory import MemoryLedgerStore, MemoryMirror, MemoryUnitStore

Answers = Callable[[ChatRequest], Reply]


class MineRun:
    """The stage with the asked selector; ``stored`` are the results as they went to the records."""

    def __init__(self, transcript: Transcript, ledger: MemoryLedgerStore | None = None) -> None:
        self.mirror = MemoryMirror()
        self.units, self.artifacts = MemoryUnitStore(), ArtifactStore("memory://")
        self.stored: dict[str, MinedClaims] = {}
        self._transcript = transcript
        self._ledger = ledger

    async def attempt(self, model: ScriptedChatModel, **config: object) -> StageOutcome:
        """Go on with a model, and with some of the job's configuration changed."""

        async def read_transcript() -> tuple[str, Transcript]:
            return "0" * 64, self._transcript

        async def open_ledger(_name: str) -> Ledger:
            return ledger_of(model, self._ledger)

        async def open_selector(ledger: Ledger, language: str) -> Selector:
            assert language == self._transcript.language
            return AskedSelector(ledger)

        return await mine(
            self._stage_run(config),
            units=self.units,
            artifacts=self.artifacts,
            records=self,
            read_transcript=read_transcript,
            open_ledger=open_ledger,
            open_selector=open_selector,
        )

    async def write_claims(self, output_id: str, mined: MinedClaims) -> None:
        """See ``KnowledgeRecords``."""
        self.stored[output_id] = mined

    def _stage_run(self, config: dict[str, object]) -> StageRun[MineCheckpoint]:
        previous = self.mirror.bodies[-1] if self.mirror.bodies else None
        checkpoint = resumed_checkpoint(previous, MineCheckpoint())
        run = stage_run_of(JobType.MINE, "0" * 64, checkpoint, self.mirror)
        changed = run.job.config.model_copy(update=config)
        run.job = run.job.model_copy(update={"config": changed})
        return run


def mining_model(
    names: Answers = lambda _: named_json(),
    kinds: Answers = lambda request: kinds_reply(request, _kind),
    rewritings: Answers = lambda _: "{}",
    identity: str = "scripted:model",
) -> ScriptedChatModel:
    """A model that answers each sort of request by a function of its own."""
    answers = {"named_things": names, "sentence_kinds": kinds, "rewritings": rewritings}
    return ScriptedChatModel(lambda asked: answers[asked.schema_name](asked), identity=identity)


def _kind(text: str) -> str:
    return "question" if text.endswith("?") else "factual"
