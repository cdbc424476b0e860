"""A flagship result as rows: verdicts, who stands for whom, and the claims with their evidence."""

from __future__ import annotations

from sqlalchemy import select

from stope.flagship.merging import merged_verdict
from stope.flagship.ranking import rank_claims
from stope.flagship.scores import Measures, scored_verdict
from stope.flagship.splitting import split_verdict
from stope.models.knowledge import Knowledge
from stope.records.database import Database
from stope.records.knowledge import KnowledgeRecords
from stope.records.schema import claim, evidence, verdict
from tests.builders import claim_of

PLAIN = Measures(centrality=1, figures=False, names=False, sayings=1)


async def test_verdicts_and_their_claims_are_rows_once(database: Database) -> None:
    kept, merged, split, part = map(claim_of, ("It rains.", "Rain falls.", "Both hold.", "One."))
    kept = kept.model_copy(update={"evidence": kept.evidence + merged.evidence})
    verdicts = {item.id: scored_verdict(item, PLAIN, None) for item in (kept, part)}
    verdicts[merged.id] = merged_verdict(merged, kept.id)
    verdicts[split.id] = split_verdict(split, [part])
    knowledge = Knowledge(
        transcript_digest="0" * 64,
        miner_model="m",
        flagship_model="f",
        claims=rank_claims([kept, merged, split, part], verdicts),
    )
    for _ in range(2):
        await KnowledgeRecords(database).write_verdicts("knowledge-1", knowledge)
    async with database.reading() as connection:
        rows = {row.claim_id: row for row in await connection.execute(select(verdict))}
        claims = [row.claim_id for row in await connection.execute(select(claim))]
        places = [row.claim_id for row in await connection.execute(select(evidence))]
    assert set(rows) == set(claims) == set(verdicts)
    assert len(claims) == 4
    assert rows[merged.id].merged_into == kept.id
    assert rows[split.id].split_into == [part.id]
    assert (rows[kept.id].merged_into, rows[kept.id].split_into) == (None, [])
    assert places.count(kept.id) == 2
