"""The example interview as a finished run would know it, written by hand from its script."""

from __future__ import annotations

import json
from pathlib import Path

from stope.identity import digest_file, digest_of
from stope.models.claim import Alignment, Claim, ClaimType, Evidence, Stance
from stope.models.diarization import Diarization, Turn
from stope.models.entity import Concept, Entity, EntityKind, Term
from stope.models.gap import Gap
from stope.models.knowledge import JudgedClaim, Knowledge, Summary, Theme
from stope.models.transcript import Flag, FlagKind, Transcript, Utterance, Word
from stope.models.verdict import Decision, Verdict
from stope.report.document import Document, Models, Source
from stope.report.facts import RunFacts, StageFacts
from stope.report.lines import transcript_lines

EXAMPLES = Path(__file__).parents[1] / "examples"
RECORDING = EXAMPLES / "interview.opus"
LLM = "embedded:qwen2.5-coder-1.5b-instruct"
NAMES = {"S1": "Laura Miller", "S2": "David Porter"}

WRITTEN = json.loads((Path(__file__).parent / "interview.json").read_text(encoding="utf-8"))
"""What a model would find in the interview. A sentence is named by its beginning."""


class _Interview:
    """The script's words with their times, and places in them."""

    def __init__(self) -> None:
        sentences = json.loads((EXAMPLES / "interview.times.json").read_text())
        marks = json.loads((EXAMPLES / "interview.claims.json").read_text())
        words: list[Word] = []
        utterances: list[Utterance] = []
        for timed, mark in zip(sentences, marks, strict=True):
            tokens = timed["sentence"].split()
            first, at = len(words), timed["start"]
            pace = (timed["end"] - at) / sum(len(token) + 1 for token in tokens)
            for token in tokens:
                end = at + pace * (len(token) + 1)
                words.append(Word(text=token, start=round(at, 2), end=round(end, 2)))
                at = end
            speaker = {"HOST": "S1", "GUEST": "S2"}[mark["speaker"]]
            utterances.append(Utterance(first_word=first, end_word=len(words), speaker=speaker))
        flags = (
            Flag(
                kind=FlagKind.LOW_CONFIDENCE,
                start=115.2,
                end=117.3,
                first_word=self._find_in(words, "Maybe it could"),
                end_word=self._find_in(words, "Maybe it could") + 7,
                note="Decoded twice, with different words each time.",
            ),
        )
        self.transcript = Transcript(
            language="en",
            duration=147.83,
            words=tuple(words),
            utterances=tuple(utterances),
            flags=flags,
        )

    @staticmethod
    def _find_in(words: list[Word], text: str, after: int = 0) -> int:
        tokens = text.split()
        for place in range(after, len(words)):
            if [word.text for word in words[place : place + len(tokens)]] == tokens:
                return place
        raise AssertionError(f"{text!r} is not in the script")

    def sentence(self, start: str) -> Evidence:
        """The sentence that begins so, as evidence."""
        for line in transcript_lines(self.transcript):
            if line.text.startswith(start):
                return self.words(line.first_word, line.end_word)
        raise AssertionError(f"no sentence begins with {start!r}")

    def phrases(self, texts: list[str]) -> tuple[Evidence, ...]:
        """These words, each at its first place after the one before."""
        found: list[Evidence] = []
        after = 0
        for text in texts:
            first = self._find_in(list(self.transcript.words), text, after)
            after = first + len(text.split())
            found.append(self.words(first, after))
        return tuple(found)

    def words(self, first: int, end: int) -> Evidence:
        """Words as exact evidence."""
        words = self.transcript.words[first:end]
        spans = self.transcript.word_spans
        return Evidence(
            quote=" ".join(word.text for word in words),
            alignment=Alignment.EXACT,
            score=100,
            char_start=spans[first].start,
            char_end=spans[end - 1].end,
            first_word=first,
            end_word=end,
            start=words[0].start,
            end=words[-1].end,
            speaker=self.transcript.word_speakers[first],
        )


def claim_id(text: str) -> str:
    """The id of the interview's claim with this text."""
    return f"clm_{digest_of(text)[:12]}"


def _claims(interview: _Interview) -> tuple[JudgedClaim, ...]:
    found: list[JudgedClaim] = []

    def add(row: dict[str, object], *evidence: Evidence, **verdict: object) -> None:
        name = claim_id(str(row["claim"]))
        made = Verdict.model_validate(
            {
                "claim_id": name,
                "canonical_text": row["claim"],
                **{key: row.get(key, 2) for key in ("importance", "novelty", "confidence")},
                "reasoning": row["reasoning"],
                **verdict,
            }
        )
        claim = Claim(
            id=name,
            segment_id="seg_0001",
            text=str(row["claim"]),
            rewritten=bool(row.get("rewritten")),
            type=ClaimType(row["type"]),
            stance=Stance(row["stance"]),
            evidence=evidence,
        )
        found.append(JudgedClaim(rank=len(found) + 1, tier=made.tier, claim=claim, verdict=made))

    merged = WRITTEN["merged"]
    also = interview.sentence(merged["sentence"])
    for row in WRITTEN["kept"]:
        said = interview.sentence(row["sentence"])
        add(row, *((said,) if found else (said, also)), decision=Decision.ACCEPT)
    add(merged, also, decision=Decision.MERGE, merged_into=found[0].claim.id)
    row = WRITTEN["rejected"]
    add(row, interview.sentence(row["sentence"]), decision=Decision.REJECT)
    return tuple(found)


def interview_document() -> Document:
    """Everything a report can show, on the example recording."""
    interview = _Interview()
    claims = _claims(interview)
    by_start = {
        row["sentence"]: claim_id(row["claim"]) for row in (*WRITTEN["kept"], WRITTEN["merged"])
    }
    return Document(
        source=Source(path=RECORDING.name, digest=digest_file(RECORDING)),
        job_id="pipeline-5b0c9d1e7a3f2468",
        created_at="2026-05-04T10:12:00+00:00",
        models=Models(asr="tiny.en", miner=LLM, flagship=LLM),
        transcript=interview.transcript,
        knowledge=Knowledge(
            transcript_digest="0" * 64,
            miner_model=LLM,
            flagship_model=LLM,
            claims=claims,
            summary=Summary.model_validate(WRITTEN["summary"]),
            themes=tuple(
                Theme(name=name, claim_ids=tuple(by_start[start] for start in starts))
                for name, starts in WRITTEN["themes"].items()
            ),
            entities=tuple(
                Entity(
                    id=f"ent_{number:012x}",
                    kind=EntityKind(row["kind"]),
                    name=row["name"],
                    aliases=tuple(row["aliases"]),
                    description=row["description"],
                    mentions=interview.phrases(row["mentions"]),
                )
                for number, row in enumerate(WRITTEN["names"])
            ),
            terms=tuple(
                Term(
                    id=f"trm_{number:012x}",
                    term=row["term"],
                    definition=row["definition"],
                    evidence=interview.phrases(row["evidence"]),
                )
                for number, row in enumerate(WRITTEN["terms"])
            ),
            concepts=tuple(
                Concept(
                    id=f"cpt_{number:012x}",
                    name=row["name"],
                    description=row["description"],
                    evidence=interview.phrases(row["evidence"]),
                )
                for number, row in enumerate(WRITTEN["concepts"])
            ),
        ),
        gaps=(
            Gap(
                stage="mine",
                unit_id="seg_0004",
                reason="The model's answer never fitted its schema.",
                start=143.0,
                end=147.4,
            ),
        ),
        speaker_names=NAMES,
        diarization=_diarization(),
        skipped={"greeting": 7, "question": 6, "anecdote": 2, "sponsor": 1, "hedge": 1},
        facts=_FACTS,
    )


def _diarization() -> Diarization:
    turns = []
    for row in (EXAMPLES / "interview.rttm").read_text().splitlines():
        fields = row.split()
        start, seconds = float(fields[3]), float(fields[4])
        speaker = {"HOST": "S1", "GUEST": "S2"}[fields[7]]
        turns.append(Turn(speaker=speaker, start=start, end=round(start + seconds, 3)))
    return Diarization(engine="stope-embedder-1", speakers=2, turns=tuple(turns))


_FACTS = RunFacts(
    stages=(
        StageFacts(
            stage="transcribe",
            model="tiny.en",
            attempts=1,
            finished_at="2026-05-04T10:09:31+00:00",
            wall_seconds=24.6,
            engine_seconds=21.9,
            units_done=6,
            units_reused=0,
        ),
        StageFacts(
            stage="mine",
            model=LLM,
            attempts=2,
            finished_at="2026-05-04T10:11:02+00:00",
            wall_seconds=88.4,
            engine_seconds=151.2,
            units_done=3,
            units_reused=2,
            llm_calls=9,
            llm_answers_reused=5,
            prompt_tokens=7412,
            completion_tokens=2238,
        ),
        StageFacts(
            stage="flagship",
            model=LLM,
            attempts=1,
            finished_at="2026-05-04T10:12:00+00:00",
            wall_seconds=58.0,
            engine_seconds=57.1,
            units_done=4,
            units_reused=0,
            llm_calls=6,
            llm_answers_reused=0,
            prompt_tokens=5120,
            completion_tokens=1306,
        ),
    )
)
