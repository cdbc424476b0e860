"""What tests of the evaluation are made of: small dialogues, and what a job made of them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.eval.dialogue import Checks, Dialogue, Heard, Mark, Speech
from stope.identity import digest_of
from stope.models.claim import Alignment, Claim, ClaimType, Evidence, Stance
from stope.models.entity import Entity
from stope.models.knowledge import JudgedClaim, Knowledge, Summary
from stope.models.transcript import Transcript
from stope.models.verdict import Decision, Tier, Verdict
from stope.report.document import Document, Models, Source
from tests.builders import WORD_SECONDS

NO_CHECKS = Checks(merge=(), apart=(), split=(), facts=(), people=(), organisations=())


def dialogue_of(
    *sentences: tuple[str, str, ClaimType | str], checks: Checks = NO_CHECKS
) -> Dialogue:
    """A dialogue of speakers, sentences, and a type or why it claims nothing.

    It is timed as ``transcript_of`` times words; every sentence is a turn of its own.
    """
    marks: list[Mark] = []
    heard: list[Heard] = []
    words = 0
    for turn, (speaker, sentence, kind) in enumerate(sentences, start=1):
        claim = isinstance(kind, ClaimType)
        marks.append(
            Mark(
                turn=turn,
                speaker=speaker,
                sentence=sentence,
                claim=claim,
                type=kind if isinstance(kind, ClaimType) else None,
                why_not=None if claim else kind,
            )
        )
        end = words + len(sentence.split())
        heard.append(Heard(start=words * WORD_SECONDS, end=end * WORD_SECONDS, sentence=sentence))
        words = end
    return Dialogue(
        name="small",
        recording=Path("small.opus"),
        marks=tuple(marks),
        heard=tuple(heard),
        turns=tuple(
            Speech(speaker=mark.speaker, start=item.start, end=item.end)
            for mark, item in zip(marks, heard, strict=True)
        ),
        checks=checks,
    )


def evidence_of(transcript: Transcript, quote: str) -> Evidence:
    """Evidence at the one place where the transcript has these words."""
    words = [word.text for word in transcript.words]
    wanted = quote.split()
    [first] = [place for place in range(len(words)) if words[place : place + len(wanted)] == wanted]
    end = first + len(wanted)
    spans = transcript.word_spans
    return Evidence(
        quote=transcript.text[spans[first].start : spans[end - 1].end],
        alignment=Alignment.EXACT,
        score=100,
        char_start=spans[first].start,
        char_end=spans[end - 1].end,
        first_word=first,
        end_word=end,
        start=transcript.words[first].start,
        end=transcript.words[end - 1].end,
    )


def judged_of(
    *evidence: Evidence,
    kind: ClaimType = ClaimType.FACTUAL,
    decision: Decision = Decision.ACCEPT,
    rank: int = 1,
) -> JudgedClaim:
    """A claim with its evidence and what was decided on it."""
    text = " / ".join(item.quote for item in evidence)
    claim = Claim(
        id=f"clm_{digest_of([text, rank])[:12]}",
        segment_id="seg_0001",
        text=text,
        type=kind,
        stance=Stance.ASSERTED,
        evidence=evidence,
    )
    verdict = Verdict(
        claim_id=claim.id,
        decision=decision,
        canonical_text=text,
        importance=5,
        novelty=5,
        confidence=5,
        reasoning="because",
    )
    return JudgedClaim(rank=rank, tier=Tier.B, claim=claim, verdict=verdict)


def knowledge_of(
    *claims: JudgedClaim, summary: Summary | None = None, entities: tuple[Entity, ...] = ()
) -> Knowledge:
    """Knowledge of these claims."""
    return Knowledge(
        transcript_digest="0" * 64,
        miner_model="scripted:miner",
        flagship_model="scripted:judge",
        claims=claims,
        summary=summary,
        entities=entities,
    )


def document_of(transcript: Transcript, knowledge: Knowledge | None = None) -> Document:
    """A finished job."""
    return Document(
        source=Source(path="small.opus", digest="0" * 64),
        job_id="pipeline-1",
        created_at="2026-01-01T00:00:00+00:00",
        models=Models(asr="scripted:asr"),
        transcript=transcript,
        knowledge=knowledge,
    )
