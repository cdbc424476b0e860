"""Claims, evidence and verdicts as rows, for whoever asks in SQL.

Rows are keyed by the result they belong to, whose id is a content digest: writing a result again
changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from stope.models.claim import Claim
from stope.models.knowledge import Knowledge, MinedClaims
from stope.records.database import Database
from stope.records.schema import claim, evidence, verdict


class KnowledgeRecords:
    """Writes finished results into the tables ``claim``, ``evidence`` and ``verdict``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write_claims(self, output_id: str, mined: MinedClaims) -> None:
        """The claims of a mining result and their evidence."""
        await self._write_claims(output_id, mined.claims)

    async def _write_claims(self, output_id: str, claims: Sequence[Claim]) -> None:
        await self._database.insert_new(
            claim,
            [
                {
                    "output_id": output_id,
                    "claim_id": item.id,
                    "segment_id": item.segment_id,
                    "text": item.text,
                    "type": item.type.value,
                    "stance": item.stance.value,
                }
                for item in claims
            ],
        )
        await self._database.insert_new(
            evidence,
            [
                {"output_id": output_id, "claim_id": item.id, "number": number}
                | piece.model_dump(mode="json")
                for item in claims
                for number, piece in enumerate(item.evidence)
            ],
        )

    async def write_verdicts(self, output_id: str, knowledge: Knowledge) -> None:
        """The verdicts of a flagship result, and its claims.

        They are not those of its mining result: parts are new, and who stands for others has
        their evidence.
        """
        await self._write_claims(output_id, [judged.claim for judged in knowledge.claims])
        await self._database.insert_new(
            verdict,
            [
                {"output_id": output_id, "tier": judged.tier.value, "rank": judged.rank}
                | judged.verdict.model_dump(mode="json")
                for judged in knowledge.claims
            ],
        )
