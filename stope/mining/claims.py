"""The claims of all segments, put together in transcript order, each on its sentence's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from stope.identity import digest_of
from stope.mining.alignment import evidence_at
from stope.mining.answer import MinedPart
from stope.mining.stance import stance_of
from stope.mining.standalone import without_lead
from stope.models.claim import Claim
from stope.models.segment import Segment
from stope.models.sentence import Sentence, SentenceKind
from stope.models.transcript import Transcript
from stope.wording import normalise

ASSEMBLY_VERSION = 2
"""Part of every mine job's id: raise it when claims or names would be put together differently."""


def assemble_claims(
    transcript: Transcript,
    segments: Sequence[Segment],
    mined: Mapping[str, MinedPart],
) -> tuple[Claim, ...]:
    """A claim per selected sentence; what a segment says twice in the same words is one claim.

    Args:
        transcript: what the segments were cut from.
        segments: the plan, in order.
        mined: what segments claim, by segment id; a segment without one is left out (a gap).
    """
    claims: dict[tuple[str, tuple[str, ...]], Claim] = {}
    ids: set[str] = set()
    for segment in segments:
        part = mined.get(segment.id)
        kinds = part.kinds if part else ()
        for place, (sentence, kind) in enumerate(zip(segment.sentences, kinds, strict=False)):
            if part is None or kind.claim_type is None:
                continue
            text = part.rewritings.get(place) or without_lead(sentence.text)
            evidence = evidence_at(transcript, sentence.first_word, sentence.end_word)
            key = (segment.id, tuple(normalise(text)))
            if key in claims:
                twice = claims[key]
                claims[key] = twice.model_copy(update={"evidence": (*twice.evidence, evidence)})
                continue
            claims[key] = Claim(
                id=_new_id(text, sentence, kind, ids),
                segment_id=segment.id,
                text=text,
                rewritten=text != sentence.text,
                type=kind.claim_type,
                stance=stance_of(sentence.text),
                evidence=(evidence,),
            )
    return tuple(claims.values())


def count_skipped(mined: Mapping[str, MinedPart]) -> dict[str, int]:
    """How many sentences claim nothing, by their kind, the commonest first."""
    counts: Counter[SentenceKind] = Counter(
        kind for part in mined.values() for kind in part.kinds if kind.claim_type is None
    )
    return {kind.value: count for kind, count in counts.most_common()}


def _new_id(text: str, sentence: Sentence, kind: SentenceKind, taken: set[str]) -> str:
    """An id from the claim's content, so that it outlives a change elsewhere in the transcript."""
    number = 0
    while True:
        found = f"clm_{digest_of([text, sentence.text, kind.value, number])[:12]}"
        if found not in taken:
            taken.add(found)
            return found
        number += 1
