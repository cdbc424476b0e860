"""Word errors, speaker errors and start times are measured against what was really said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.eval.dialogue import Speech, parse_rttm
from benchmarks.eval.script_alignment import ScriptAlignment
from benchmarks.eval.selection import place_claims
from benchmarks.eval.speech import found_turns, speaker_errors, word_errors
from benchmarks.eval.timing import StartError, evidence_starts, percentile, sentence_starts
from stope.models.claim import ClaimType
from stope.models.diarization import Diarization, Turn
from stope.models.transcript import Transcript
from tests.builders import WORD_SECONDS, transcript_of
from tests.eval_builders import dialogue_of, document_of, evidence_of, judged_of, knowledge_of

DIALOGUE = dialogue_of(
    ("ANN", "The bridge is one hundred and ten years old.", ClaimType.FACTUAL),
    ("BOB", "Ours is much older than that.", ClaimType.FACTUAL),
    ("ANN", "Thank you.", "greeting"),
)
SENTENCES = [mark.sentence for mark in DIALOGUE.marks]


def _aligned(transcript: Transcript) -> ScriptAlignment:
    return ScriptAlignment(SENTENCES, [word.text for word in transcript.words])


def test_digits_case_and_punctuation_are_no_word_errors() -> None:
    same = transcript_of("the bridge is 110 years old, Ours is much older than that. Thank you")
    assert word_errors(DIALOGUE, same).rate == 0


def test_word_errors_are_counted_by_kind() -> None:
    heard = transcript_of("The fridge is 110 years old. Ours is older than that now. Thank you.")
    errors = word_errors(DIALOGUE, heard)
    assert (errors.substitutions, errors.deletions, errors.insertions) == (1, 1, 1)
    assert errors.rate == pytest.approx(3 / errors.words)


def test_speakers_by_any_other_name_are_no_errors() -> None:
    heard = transcript_of(("S1", SENTENCES[0]), ("S2", SENTENCES[1]), ("S1", SENTENCES[2]))
    errors = speaker_errors(DIALOGUE, document_of(heard), _aligned(heard))
    assert errors is not None
    assert errors.speech.rate == pytest.approx(0)
    assert errors.turns == errors.speech
    assert (errors.speakers, errors.speakers_found) == (2, 2)
    assert errors.words_right == errors.words == len(heard.words)


def test_one_voice_for_all_is_confusion_and_a_wrong_count() -> None:
    heard = transcript_of(*(("S1", sentence) for sentence in SENTENCES))
    errors = speaker_errors(DIALOGUE, document_of(heard), _aligned(heard))
    assert errors is not None
    turn = DIALOGUE.turns[1]
    assert errors.speech.confused == pytest.approx(turn.end - turn.start - 2 * 0.25)
    assert (errors.speech.missed, errors.speech.invented) == pytest.approx((0, 0))
    assert (errors.speakers, errors.speakers_found) == (2, 1)
    assert errors.words - errors.words_right == 6


def test_the_diarization_goes_before_the_words_and_the_collar_forgives_its_edges() -> None:
    heard = transcript_of(("S1", " ".join(SENTENCES)))
    turns = [
        Turn(speaker=speaker, start=max(0, turn.start - 0.2), end=turn.end + 0.2)
        for speaker, turn in zip(("S1", "S2", "S1"), DIALOGUE.turns, strict=True)
    ]
    diarization = Diarization(engine="scripted", speakers=2, turns=tuple(turns))
    document = document_of(heard).model_copy(update={"diarization": diarization})
    errors = speaker_errors(DIALOGUE, document, _aligned(heard))
    assert errors is not None
    assert errors.speech.rate == pytest.approx(0)
    assert errors.words_right == 11


def test_a_breath_is_silence_in_speech_and_speech_in_a_turn() -> None:
    first, second, _ = DIALOGUE.heard
    breath = replace(
        DIALOGUE,
        marks=tuple(mark.model_copy(update={"speaker": "ANN"}) for mark in DIALOGUE.marks[:2]),
        heard=(first, second.model_copy(update={"start": second.start + 0.7})),
        turns=(Speech(speaker="ANN", start=first.start, end=second.end),),
    )
    heard = transcript_of(*(("S1", sentence) for sentence in SENTENCES[:2]))
    cut = Diarization(
        engine="scripted",
        speakers=1,
        turns=tuple(Turn(speaker="S1", start=h.start, end=h.end) for h in breath.heard),
    )
    document = document_of(heard).model_copy(update={"diarization": cut})
    errors = speaker_errors(breath, document, _aligned(heard))
    assert errors is not None
    assert errors.speech.rate == 0
    assert errors.turns.missed == pytest.approx(0.7)


def test_without_speakers_there_is_nothing_to_score() -> None:
    heard = transcript_of(*SENTENCES)
    assert found_turns(document_of(heard)) is None
    assert speaker_errors(DIALOGUE, document_of(heard), _aligned(heard)) is None


def test_starts_are_measured_where_sentences_begin() -> None:
    heard = transcript_of(*SENTENCES)
    late = heard.model_copy(
        update={
            "words": tuple(
                word if number != 9 else word.model_copy(update={"start": 9 * WORD_SECONDS + 0.3})
                for number, word in enumerate(heard.words)
            )
        }
    )
    found = sentence_starts(DIALOGUE, _aligned(late), late)
    assert [error.seconds for error in found.errors] == [0, 0.3, 0]
    inside, begins = (
        evidence_of(late, "one hundred and ten years old."),
        evidence_of(late, SENTENCES[1]),
    )
    thanks = evidence_of(late, SENTENCES[2])
    placed = place_claims(
        knowledge_of(judged_of(inside), judged_of(begins, rank=2), judged_of(thanks, rank=3)),
        _aligned(late),
    )
    starts = evidence_starts(DIALOGUE, _aligned(late), placed)
    assert starts.total == 2
    assert starts.errors == (StartError(sentence=SENTENCES[1], seconds=0.3),)


def test_percentiles_are_of_absolute_errors() -> None:
    errors = [StartError(sentence="", seconds=seconds) for seconds in (-0.4, 0.1, 0.2)]
    assert percentile(errors, 50) == pytest.approx(0.2)
    assert percentile(errors, 100) == pytest.approx(0.4)
    assert percentile([], 50) is None


def test_rttm_lines_become_turns() -> None:
    [turn] = parse_rttm("; comment\nSPEAKER talk 1 1.500 2.250 <NA> <NA> ANN <NA> <NA>\n")
    assert (turn.speaker, turn.start, turn.end) == ("ANN", 1.5, 3.75)
