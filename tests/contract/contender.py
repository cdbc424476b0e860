"""A process that asks a dozen things through the ledger; others ask the same at the same time."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

from stope.leases import Leases
from stope.llm.chat import ChatAnswer, ChatRequest, Message
from stope.llm.ledger import Ledger
from stope.llm.scripted import ScriptedChatModel, finished
from stope.llm.sharing import Sharing
from stope.models.frozen import Frozen
from stope.records.database import Database
from stope.records.leases import SqlLeaseStore
from stope.records.ledger import SqlLedgerStore

KEYS = [f"thing-{number}" for number in range(12)]


class Colour(Frozen):
    """The answer that is asked for."""

    name: str


class SlowModel(ScriptedChatModel):
    """Takes a moment for each answer, and says what it is paid for."""

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """See ``ChatModel``."""
        sys.stdout.write(f"paid {request.messages[0].content}\n")
        await asyncio.sleep(0.05)
        return await super().complete(request)


async def contend(url: str, run_id: str) -> None:
    """Ask all of it at once, when it is told to."""
    database = Database(url)
    await database.migrate()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    began = datetime.now(UTC)
    async with Leases(SqlLeaseStore(database), run_id, began) as leases:
        ledger = Ledger(
            SqlLedgerStore(database),
            SlowModel(lambda _: finished('{"name":"green"}')),
            namespace="",
            job_id=run_id,
            since=began,
            sharing=Sharing(leases=leases),
        )
        await asyncio.gather(*(ledger.ask(_request(key), Colour) for key in KEYS))
    await database.close()


def _request(text: str) -> ChatRequest:
    return ChatRequest(
        model="scripted:model",
        messages=(Message(role="user", content=text),),
        schema_name="colour",
        answer_schema=Colour.model_json_schema(),
        max_tokens=50,
    )


if __name__ == "__main__":
    asyncio.run(contend(*sys.argv[1:]))
