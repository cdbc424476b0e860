"""One segment's claims: select, then rewrite what was selected and cannot stand alone."""

from __future__ import annotations

from collections.abc import Sequence

from stope.llm.ledger import Ledger
from stope.mining.answer import MinedPart
from stope.mining.rewriter import rewrite
from stope.mining.selection.selector import Selector
from stope.mining.standalone import needs_context
from stope.models.sentence import Sentence


async def mine_segment(
    sentences: Sequence[Sentence], selector: Selector, ledger: Ledger
) -> MinedPart:
    """What a segment's sentences claim.

    Raises:
        UnitError: the sentences cannot be told apart.
        StopeError: the provider cannot be used now or at all.
    """
    kinds = await selector.select(sentences)
    wanted = [
        place
        for place, kind in enumerate(kinds)
        if kind.claim_type is not None and needs_context(sentences[place].text)
    ]
    return MinedPart(kinds=kinds, rewritings=await rewrite(sentences, wanted, ledger))
