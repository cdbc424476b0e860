"""Small documents for the tests of the exports, and text that would like to be code."""

from __future__ import annotations

from stope.models.claim import Alignment, Claim, ClaimType, Evidence, Stance
from stope.models.diarization import Diarization, Turn
from stope.models.entity import Concept, Entity, EntityKind, Term
from stope.models.gap import Gap
from stope.models.knowledge import JudgedClaim, Knowledge, MinedClaims, Summary, Theme
from stope.models.transcript import Flag, FlagKind, Transcript, Utterance, Word
from stope.models.verdict import Decision, Verdict
from stope.report.document import Document, Models, Source
from stope.report.facts import RunFacts, StageFacts

HOSTILE = (
    "</script><script>alert(1)</script></style><img src=x onerror='alert(2)'>"
    '"><b>&amp; `{{ 7 * 7 }}` --> [x](javascript:3)\n---\n# no: heading\x1b[31m 🎙'
    " ]]> \u202egnp.exe\x00 {\\an8} <v Eve>%%#tag== $1$ [[note]] ' onmouseover=alert(4) "
)
FORMULA = '=cmd|"/C calc"!A1'


def make_transcript(
    *turns: tuple[str | None, str], timed: bool = True, pace: float = 0.4
) -> Transcript:
    """One utterance a turn, its words ``pace`` seconds apart from second 1 on."""
    words: list[Word] = []
    utterances: list[Utterance] = []
    for speaker, text in turns:
        first = len(words)
        for token in text.split(" "):
            start = round(1 + pace * len(words), 3) if timed else None
            end = None if start is None else round(start + pace, 3)
            words.append(Word(text=token, start=start, end=end))
        utterances.append(Utterance(first_word=first, end_word=len(words), speaker=speaker))
    return Transcript(language="en", words=tuple(words), utterances=tuple(utterances))


def make_claim(rank: int, text: str, *evidence: Evidence, importance: int = 8) -> JudgedClaim:
    """A judged claim, rejected when its importance is 0."""
    claim_id = f"clm_{rank:012x}"
    verdict = Verdict(
        claim_id=claim_id,
        decision=Decision.ACCEPT if importance else Decision.REJECT,
        canonical_text=text,
        importance=importance,
        novelty=4,
        confidence=7,
        reasoning=f"Reason for {text}",
    )
    claim = Claim(
        id=claim_id,
        segment_id="seg_0001",
        text=text,
        type=ClaimType.CAUSAL,
        stance=Stance.HEDGED,
        evidence=evidence,
    )
    return JudgedClaim(rank=rank, tier=verdict.tier, claim=claim, verdict=verdict)


def make_quote(quote: str, first: int, end: int, speaker: str | None = "ANN") -> Evidence:
    """An exact quote of words ``[first, end)`` of ``make_transcript``."""
    return Evidence(
        quote=quote,
        alignment=Alignment.EXACT,
        score=100,
        first_word=first,
        end_word=end,
        start=1 + 0.4 * first,
        end=1 + 0.4 * end,
        speaker=speaker,
    )


def make_document(
    transcript: Transcript | None = None, *claims: JudgedClaim, name: str = "talk.opus"
) -> Document:
    knowledge = Knowledge(
        transcript_digest="0" * 64, miner_model="fake:m", flagship_model="fake:f", claims=claims
    )
    return Document(
        source=Source(path=f"recordings/{name}", digest="0" * 64),
        job_id="pipeline-0123456789abcdef",
        created_at="2026-05-04T10:12:00+00:00",
        models=Models(asr="tiny.en", miner="fake:m", flagship="fake:f"),
        transcript=transcript,
        knowledge=knowledge if claims else None,
    )


TALK = make_transcript(("ANN", "Roofs lose most heat."), ("BOB", "Pumps save money. I think."))
TALK_DOCUMENT = make_document(
    TALK,
    make_claim(1, "Roofs lose heat", make_quote("Roofs lose most heat.", 0, 4)),
    make_claim(2, "Pumps save", make_quote("Pumps save money.", 4, 7, "BOB"), importance=5),
    make_claim(3, "Bob thinks", importance=0),
)


def mined_document(*claims: Claim, transcript: Transcript | None = TALK) -> Document:
    """What a mine job gives: claims that nobody judged."""
    mined = MinedClaims(transcript_digest="0" * 64, model="fake:m", segments=1, claims=claims)
    return make_document(transcript).model_copy(update={"mined": mined})


def moved(judged: JudgedClaim, decision: Decision, *into: str) -> JudgedClaim:
    """The claim, merged into another one or split into several."""
    merged = into[0] if decision is Decision.MERGE else None
    update = {
        "decision": decision,
        "merged_into": merged,
        "split_into": () if merged else into,
    }
    return judged.model_copy(update={"verdict": judged.verdict.model_copy(update=update)})


def hostile_document(text: str = HOSTILE) -> Document:
    """A document with this text in every place that a recording, a model or a person can fill."""
    transcript = make_transcript((text, text), ("S1", "Plain words."))
    quote = make_quote(text, 0, 4, text)
    kept = make_claim(1, text, quote)
    claims = (
        kept.model_copy(update={"claim": kept.claim.model_copy(update={"rewritten": True})}),
        moved(make_claim(2, text, quote), Decision.MERGE, kept.claim.id),
        moved(make_claim(3, text, quote), Decision.SPLIT, kept.claim.id),
        make_claim(4, text, quote, importance=0),
        make_claim(5, text, Evidence(quote=text, alignment=Alignment.UNGROUNDED, score=0)),
    )
    gap = Gap(stage=text, unit_id=text, reason=text, start=0, end=1)
    flag = Flag(kind=FlagKind.LOOP, start=1, end=2, first_word=0, end_word=3, note=text)
    knowledge = Knowledge(
        transcript_digest="0" * 64,
        miner_model=text,
        flagship_model=text,
        claims=claims,
        summary=Summary(short=text, long=f"{text}\n\n{text}"),
        themes=(Theme(name=text, claim_ids=(kept.claim.id,)),),
        entities=tuple(
            Entity(
                id=f"ent_{number:012x}",
                kind=kind,
                name=text,
                aliases=(text, text),
                description=text,
                mentions=(quote,),
            )
            for number, kind in enumerate(EntityKind)
        ),
        terms=(Term(id=f"trm_{1:012x}", term=text, definition=text, evidence=(quote,)),),
        concepts=(Concept(id=f"cpt_{1:012x}", name=text, description=text, evidence=(quote,)),),
        gaps=(gap,),
    )
    return make_document(transcript, name=text).model_copy(
        update={
            "job_id": text,
            "created_at": text,
            "models": Models(asr=text, miner=text, flagship=text),
            "transcript": transcript.model_copy(update={"flags": (flag,), "language": text}),
            "knowledge": knowledge,
            "gaps": (gap,),
            "speaker_names": {"S1": text},
            "diarization": Diarization(
                engine=text, speakers=1, turns=(Turn(speaker="S1", start=0, end=2),)
            ),
            "skipped": {text: 1},
            "facts": RunFacts(
                stages=(StageFacts(stage="mine", model=text, attempts=2, finished_at=text),)
            ),
        }
    )
