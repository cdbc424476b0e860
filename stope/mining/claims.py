"""Raw claims of all segments, aligned and put together in transcript order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stope.identity import digest_of
from stope.mining.alignment import TranscriptIndex
from stope.mining.answer import RawClaim, SegmentClaims
from stope.models.claim import Claim, Stance
from stope.models.segment import Segment
from stope.models.transcript import Transcript
from stope.wording import normalise, same_content

ASSEMBLY_VERSION = 1
"""Part of every mine job's id: raise it when alignment or rewording here would differ."""


def assemble_claims(
    transcript: Transcript,
    segments: Sequence[Segment],
    mined: Mapping[str, SegmentClaims],
) -> tuple[Claim, ...]:
    """Claims with aligned evidence; what a segment says twice in the same words is one claim."""
    index = TranscriptIndex(transcript)
    claims: list[Claim] = []
    ids: set[str] = set()
    for segment in segments:
        output = mined.get(segment.id)
        seen: set[tuple[str, ...]] = set()
        for raw in output.claims if output else ():
            text = _standalone_text(raw)
            words = tuple(normalise(text))
            if not words or words in seen:
                continue
            seen.add(words)
            evidence = index.align(raw.quote, segment.first_word, segment.end_word)
            claims.append(
                Claim(
                    id=_new_id(raw, text, ids),
                    segment_id=segment.id,
                    text=text,
                    type=raw.type,
                    stance=raw.stance or Stance.ASSERTED,
                    evidence=(evidence,),
                )
            )
    return tuple(claims)


def _standalone_text(raw: RawClaim) -> str:
    """The model's rewriting where it still says what the quote says, else the quote itself."""
    quote = raw.quote.strip()
    if raw.claim is None or not same_content(raw.claim, quote):
        return quote
    return raw.claim.strip()


def _new_id(raw: RawClaim, text: str, taken: set[str]) -> str:
    """An id from the claim's content, so that it outlives a change elsewhere in the transcript."""
    number = 0
    while True:
        found = f"clm_{digest_of([text, raw.quote, raw.type, raw.stance, number])[:12]}"
        if found not in taken:
            taken.add(found)
            return found
        number += 1
