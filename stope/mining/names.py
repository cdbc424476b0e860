"""People, organisations, jargon and concepts of all segments, each found where it was said.

The model's lists are hints, as its quotes are: what does not stand in the transcript is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stope.identity import digest_of
from stope.mining.alignment import TranscriptIndex, evidence_at
from stope.mining.answer import MAX_LISTED, ExtractionAnswer, MinedPart
from stope.mining.entities import MAX_MENTIONS, MAX_NAME_WORDS, find_entities
from stope.models.claim import Alignment, Evidence
from stope.models.entity import Concept, Entity, Term
from stope.models.frozen import Frozen
from stope.models.segment import Segment
from stope.models.sentence import SentenceKind
from stope.models.transcript import Transcript
from stope.wording import normalise

DEFINED_WITHIN = 3
"""A definition's first words, one of which begins what it defines: "So a heat pump is …"."""


class Named(Frozen):
    """What a transcript names, each sort by its first mention."""

    entities: tuple[Entity, ...] = ()
    terms: tuple[Term, ...] = ()
    concepts: tuple[Concept, ...] = ()


def assemble_names(
    transcript: Transcript,
    segments: Sequence[Segment],
    claimed: Mapping[str, MinedPart],
    named: Mapping[str, MinedPart],
) -> Named:
    """Everything named, once each.

    Args:
        transcript: what the segments were cut from.
        segments: the plan, in order.
        claimed: what segments claim, by segment id: their definitions explain terms.
        named: what segments name, by segment id.
    """
    index = TranscriptIndex(transcript)
    answers = [
        (segment, answer)
        for segment in segments
        if segment.id in named
        for answer in named[segment.id].named
    ]
    entities = find_entities(index, [answer for _, answer in answers])
    taken = {tuple(normalise(form)) for item in entities for form in (item.name, *item.aliases)}
    return Named(
        entities=entities,
        terms=_terms(index, answers, _definitions(transcript, segments, claimed), taken),
        concepts=_concepts(index, answers),
    )


def _definitions(
    transcript: Transcript, segments: Sequence[Segment], claimed: Mapping[str, MinedPart]
) -> dict[tuple[str, ...], str]:
    """The sentences that were selected as definitions, by the words that they may define.

    A definition begins with its term, give or take an article; of several the first counts.
    """
    found: dict[tuple[str, ...], str] = {}
    for segment in segments:
        kinds = claimed[segment.id].kinds if segment.id in claimed else ()
        for sentence, kind in zip(segment.sentences, kinds, strict=False):
            if kind is not SentenceKind.DEFINITION:
                continue
            quote = evidence_at(transcript, sentence.first_word, sentence.end_word).quote
            words = tuple(normalise(quote)[: DEFINED_WITHIN + MAX_NAME_WORDS])
            for first in range(DEFINED_WITHIN):
                for end in range(first + 1, first + MAX_NAME_WORDS + 1):
                    found.setdefault(words[first:end], quote)
    return found


def _terms(
    index: TranscriptIndex,
    answers: Sequence[tuple[Segment, ExtractionAnswer]],
    definitions: Mapping[tuple[str, ...], str],
    taken: set[tuple[str, ...]],
) -> tuple[Term, ...]:
    meanings: dict[tuple[str, ...], tuple[str, str | None]] = {}
    for segment, answer in answers:
        for raw in answer.terms[:MAX_LISTED]:
            words = tuple(normalise(raw.term))
            if not words or len(words) > MAX_NAME_WORDS or words in taken:
                continue
            meaning = _meaning(index, segment, raw.meaning, words)
            known = meanings.get(words)
            if known is None or known[1] is None:
                meanings[words] = (known[0] if known else raw.term.strip(), meaning)
    found: list[Term] = []
    for words, (term, meaning) in meanings.items():
        mentions = index.mentions(term)[:MAX_MENTIONS]
        if mentions:
            found.append(
                Term(
                    id=f"trm_{digest_of(list(words))[:12]}",
                    term=term,
                    definition=meaning or definitions.get(words),
                    evidence=mentions,
                )
            )
    return tuple(sorted(found, key=lambda item: item.evidence[0].first_word or 0))


def _meaning(
    index: TranscriptIndex, segment: Segment, meaning: str | None, term: tuple[str, ...]
) -> str | None:
    """The explanation in the transcript's words, if it was said and is about the term."""
    if meaning is None:
        return None
    evidence = index.align(meaning, segment.first_word, segment.end_word)
    if evidence.alignment is Alignment.UNGROUNDED:
        return None
    words = normalise(evidence.quote)
    return evidence.quote if set(term) <= set(words) and len(words) > len(term) + 1 else None


def _concepts(
    index: TranscriptIndex, answers: Sequence[tuple[Segment, ExtractionAnswer]]
) -> tuple[Concept, ...]:
    found: dict[tuple[str, ...], Concept] = {}
    for name, evidence in _placed_concepts(index, answers):
        words = tuple(normalise(name))
        known = found.get(words)
        if known is not None:
            if evidence not in known.evidence:
                evidences = (*known.evidence, evidence)
                found[words] = known.model_copy(update={"evidence": evidences})
        elif words:
            found[words] = Concept(
                id=f"cpt_{digest_of(list(words))[:12]}",
                name=name,
                description=evidence.quote,
                evidence=(evidence,),
            )
    return tuple(sorted(found.values(), key=lambda item: item.evidence[0].first_word or 0))


def _placed_concepts(
    index: TranscriptIndex, answers: Sequence[tuple[Segment, ExtractionAnswer]]
) -> Iterator[tuple[str, Evidence]]:
    for segment, answer in answers:
        for raw in answer.concepts[:MAX_LISTED]:
            evidence = index.align(raw.quote, segment.first_word, segment.end_word)
            if evidence.alignment is not Alignment.UNGROUNDED and index.says(raw.name):
                yield raw.name.strip(), evidence
