"""The score of one dialogue: a finished job compared with what is known of its recording."""

from __future__ import annotations

from benchmarks.eval.content import Content, check_content
from benchmarks.eval.dialogue import Dialogue
from benchmarks.eval.grounding import Grounding, check_grounding
from benchmarks.eval.script_alignment import ScriptAlignment
from benchmarks.eval.selection import Selection, place_claims, score_selection
from benchmarks.eval.speech import SpeakerErrors, WordErrors, speaker_errors, word_errors
from benchmarks.eval.timing import Starts, evidence_starts, sentence_starts
from stope.errors import InputError
from stope.models.frozen import Frozen
from stope.models.gap import Gap
from stope.report.document import Document, Models


class Cost(Frozen):
    """What a job took, over all its attempts; an answer the ledger had is reused, not called."""

    seconds: float = 0
    calls: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            seconds=self.seconds + other.seconds,
            calls=self.calls + other.calls,
            reused=self.reused + other.reused,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )


class Knowing(Frozen):
    """What a language model has a part in."""

    selection: Selection
    grounding: Grounding
    starts: Starts
    content: Content


class Score(Frozen):
    """One dialogue: ``speakers`` is None without diarization, ``knowing`` without claims."""

    name: str
    job_id: str
    seconds: float
    models: Models
    sentences: int
    marked: int
    words: WordErrors
    starts: Starts
    speakers: SpeakerErrors | None
    knowing: Knowing | None
    gaps: tuple[Gap, ...]
    cost: Cost


def score_document(dialogue: Dialogue, document: Document, cost: Cost) -> Score:
    """Compare a finished job with what is known of its recording.

    Raises:
        InputError: the document has no transcript.
    """
    transcript, knowledge = document.transcript, document.knowledge
    if transcript is None:
        raise InputError(f"The job {document.job_id} has no transcript; evaluate recordings.")
    alignment = ScriptAlignment(
        [mark.sentence for mark in dialogue.marks], [word.text for word in transcript.words]
    )
    knowing: Knowing | None = None
    if knowledge is not None:
        placed = place_claims(knowledge, alignment)
        knowing = Knowing(
            selection=score_selection(dialogue, transcript, alignment, placed),
            grounding=check_grounding(transcript, placed),
            starts=evidence_starts(dialogue, alignment, placed),
            content=check_content(dialogue, transcript, knowledge, placed),
        )
    return Score(
        name=dialogue.name,
        job_id=document.job_id,
        seconds=transcript.duration or dialogue.heard[-1].end,
        models=document.models,
        sentences=len(dialogue.marks),
        marked=sum(mark.claim for mark in dialogue.marks),
        words=word_errors(dialogue, transcript),
        starts=sentence_starts(dialogue, alignment, transcript),
        speakers=speaker_errors(dialogue, document, alignment),
        knowing=knowing,
        gaps=document.all_gaps,
        cost=cost,
    )
