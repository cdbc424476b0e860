"""Names, jargon and concepts: only what stands in the transcript, once each, where it was said."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

import stope.mining.entities as entities_module
from stope.mining.alignment import TranscriptIndex
from stope.mining.answer import MAX_LISTED, ExtractionAnswer, MinedPart
from stope.mining.entities import MAX_MENTIONS, find_entities
from stope.mining.names import Named, assemble_names
from stope.mining.segments import plan_segments
from stope.models.claim import Evidence
from stope.models.entity import Entity, EntityKind
from stope.models.sentence import SentenceKind
from stope.models.transcript import Transcript
from tests.builders import named_json, transcript_of

PERSON, ORGANISATION = EntityKind.PERSON, EntityKind.ORGANISATION


def named(
    transcript: Transcript, kinds: Mapping[str, SentenceKind] | None = None, **lists: object
) -> Named:
    """What is found where the model lists this for the one segment of a transcript.

    ``kinds`` are those of sentences, by their text; all others are factual.
    """
    (segment,) = plan_segments(transcript, budget=100_000).segments
    found = [(kinds or {}).get(item.text, SentenceKind.FACTUAL) for item in segment.sentences]
    answer = ExtractionAnswer.model_validate_json(named_json(**lists))
    result = assemble_names(
        transcript,
        [segment],
        {segment.id: MinedPart(kinds=tuple(found))},
        {segment.id: MinedPart(named=(answer,))},
    )
    for item in (*result.entities, *result.terms, *result.concepts):
        for evidence in item.mentions if isinstance(item, Entity) else item.evidence:
            assert_verbatim(transcript, evidence)
    return result


def assert_verbatim(transcript: Transcript, evidence: Evidence) -> None:
    words = transcript.words[evidence.first_word : evidence.end_word]
    assert evidence.quote == transcript.text[evidence.char_start : evidence.char_end]
    assert evidence.quote.split() == [word.text for word in words]
    assert (evidence.start, evidence.end) == (words[0].start, words[-1].end)
    assert evidence.speaker == transcript.word_speakers[evidence.first_word or 0]


def entities(
    transcript: Transcript, **lists: object
) -> list[tuple[EntityKind, str, tuple[str, ...], list[int | None]]]:
    """Kind, name, aliases and first words of the mentions of every entity."""
    return [
        (item.kind, item.name, item.aliases, [place.first_word for place in item.mentions])
        for item in named(transcript, **lists).entities
    ]


def test_forms_of_a_name_are_one_entity_under_the_fullest_that_was_said() -> None:
    talk = transcript_of("Laura Miller is here.", "Miller wrote it.", "Ask Laura, or Dr. Miller.")
    found = entities(talk, people=["Laura", "Prof. Laura Miller", "Laura Miller", "Miller"])
    assert found == [(PERSON, "Laura Miller", ("Laura", "Miller"), [0, 4, 8, 11])]


def test_a_name_is_written_as_one() -> None:
    talk = transcript_of("The bill is high.", "Then Bill paid the bill, said bill's wife.")
    assert entities(talk, people=["Bill"]) == [(PERSON, "Bill", (), [5])]


def test_small_letters_count_where_there_are_no_others() -> None:
    talk = transcript_of("i met laura and she thanked laura")
    assert entities(talk, people=["Laura"]) == [(PERSON, "Laura", (), [2, 6])]


def test_a_script_without_case_has_names_too() -> None:
    talk = transcript_of("王芳 在 Berlin 工作。", "王芳 喜欢 蜜蜂。")
    assert entities(talk, people=["王芳"]) == [(PERSON, "王芳", (), [0, 4])]


def test_a_genitive_is_the_name_it_belongs_to() -> None:
    talk = transcript_of("Laura's farm grows.", "Then Laura sold it.")
    assert entities(talk, people=["Laura's"]) == [(PERSON, "Laura", (), [0, 4])]
    assert entities(talk, people=["Laura’s", "Laura"]) == [  # noqa: RUF001  (typographic)
        (PERSON, "Laura", (), [0, 4])
    ]


def test_a_genitive_that_is_part_of_a_name_stays() -> None:
    talk = transcript_of("We ate at McDonald's.", "Then Apple paid, and Apple's boss left.")
    assert entities(talk, organisations=["McDonald's", "Apple's"]) == [
        (ORGANISATION, "McDonald's", (), [3]),
        (ORGANISATION, "Apple", (), [5, 8]),
    ]


def test_the_longer_name_has_the_words_that_two_share() -> None:
    talk = transcript_of("Anna Weber founded the Anna Weber Foundation.", "Weber is old.")
    assert entities(
        talk, people=["Weber", "Anna Weber"], organisations=["Anna Weber Foundation"]
    ) == [
        (PERSON, "Anna Weber", ("Weber",), [0, 7]),
        (ORGANISATION, "Anna Weber Foundation", (), [4]),
    ]


def test_a_short_form_of_two_names_belongs_to_neither() -> None:
    talk = transcript_of("Anna Weber met Max Weber.", "Then Weber left.")
    assert entities(talk, people=["Weber", "Max Weber", "Anna Weber"]) == [
        (PERSON, "Anna Weber", (), [0]),
        (PERSON, "Max Weber", (), [3]),
        (PERSON, "Weber", (), [6]),
    ]


def test_a_name_in_both_lists_is_one_entity() -> None:
    talk = transcript_of("We asked Siemens about it.")
    assert entities(talk, people=["Siemens"], organisations=["Siemens", "siemens"]) == [
        (ORGANISATION, "Siemens", (), [2])
    ]
    assert [item[0] for item in entities(talk, people=["Siemens"], organisations=["Siemens"])] == [
        PERSON
    ]


@pytest.mark.parametrize(
    "name", ["S1", "HOST", "Host", "The", "I", "She", "the host", "", "...", "'s"]
)
def test_labels_and_little_words_are_no_names(name: str) -> None:
    talk = transcript_of(("S1", "The Host is I."), ("HOST", "She said so."), ("HOST", "I agree."))
    assert entities(talk, people=[name], organisations=[name]) == []


def test_who_was_not_named_is_left_out() -> None:
    talk = transcript_of("Laura is here.")
    assert entities(talk, people=["David", "Laura Miller"], organisations=["Acme"]) == []


def test_what_a_model_lists_without_end_is_cut() -> None:
    talk = transcript_of("Zoe and Ann met.", " ".join(["Ann"] * (2 * MAX_MENTIONS)))
    people = [f"Nobody{number}" for number in range(MAX_LISTED)]
    assert entities(talk, people=[*people, "Ann"]) == []
    (ann,) = entities(talk, people=["Ann", *people])
    assert len(ann[3]) == MAX_MENTIONS


def test_a_term_is_explained_in_the_transcripts_words_or_not_at_all() -> None:
    talk = transcript_of("A drone is a male bee.", "So a queen rules.", "We like the drone.")
    found = named(
        talk,
        terms=[
            {"term": "Drone", "meaning": "a drone is the male bee"},
            {"term": "queen", "meaning": "A queen is a fertile female."},
            {"term": "varroa", "meaning": "A drone is a male bee."},
        ],
    ).terms
    assert [(term.term, term.definition, len(term.evidence)) for term in found] == [
        ("Drone", "A drone is a male bee.", 2),
        ("queen", None, 1),
    ]


def test_a_sentence_that_defines_explains_its_term() -> None:
    talk = transcript_of("We keep hives.", "So a drone is a male bee.", "A queen is no drone.")
    kinds = {
        "So a drone is a male bee.": SentenceKind.DEFINITION,
        "A queen is no drone.": SentenceKind.DEFINITION,
    }
    found = named(talk, kinds, terms=[{"term": "drone"}, {"term": "hives"}]).terms
    assert [(term.term, term.definition) for term in found] == [
        ("hives", None),
        ("drone", "So a drone is a male bee."),
    ]


def test_what_is_a_name_is_no_jargon() -> None:
    talk = transcript_of("Laura is a drone.")
    found = named(talk, people=["Laura"], terms=[{"term": "Laura"}, {"term": "drone"}])
    assert [term.term for term in found.terms] == ["drone"]


def test_a_concept_is_described_by_what_was_said_or_left_out() -> None:
    talk = transcript_of(
        "One more dry year and the hive is lost.", "Wasps sting.", "That is the tipping point."
    )
    found = named(
        talk,
        concepts=[
            {"name": "Wasp", "quote": "wasps sting"},
            {"name": "tipping point", "quote": "one more dry year and a hive is lost"},
            {"name": "Tipping Point", "quote": "the hive is lost"},
            {"name": "hive", "quote": "nobody said anything like this"},
            {"name": "point of no return", "quote": "the hive is lost"},
            {"name": "?!", "quote": "wasps sting"},
        ],
    ).concepts
    assert [(item.name, item.description, len(item.evidence)) for item in found] == [
        ("tipping point", "One more dry year and the hive is lost.", 2),
        ("Wasp", "Wasps sting.", 1),
    ]


def test_names_of_a_segment_survive_without_its_claims() -> None:
    talk = transcript_of("Laura is here.")
    (segment,) = plan_segments(talk, budget=100).segments
    answer = ExtractionAnswer.model_validate_json(named_json(people=["Laura"]))
    part = MinedPart(named=(answer,))
    assert assemble_names(talk, [segment], {}, {segment.id: part}).entities[0].name == "Laura"
    assert assemble_names(talk, [segment], {}, {}) == Named()


def test_names_do_not_depend_on_the_order_of_the_lists() -> None:
    talk = transcript_of("Anna Weber met Max Weber of Acme.", "Weber and Acme agreed.")
    people = ["Anna Weber", "Max Weber", "Weber", "Max"]
    one = named(talk, people=people, organisations=["Acme"])
    other = named(talk, people=people[::-1], organisations=["Acme"])
    assert one == other
    ids = [item.id for item in one.entities]
    assert len(set(ids)) == len(ids)


def test_every_place_is_looked_at_once_however_many_names_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = 0
    plain = entities_module.normalise

    def counting(text: str) -> list[str]:
        nonlocal looked
        looked += 1
        return plain(text)

    monkeypatch.setattr(entities_module, "normalise", counting)

    def work(count: int) -> int:
        nonlocal looked
        looked = 0
        names = [f"Name{number} Of{number}" for number in range(count)]
        talk = transcript_of(" ".join(names))
        answers = [
            ExtractionAnswer.model_validate_json(
                named_json(people=names[first : first + MAX_LISTED])
            )
            for first in range(0, count, MAX_LISTED)
        ]
        assert len(find_entities(TranscriptIndex(talk), answers)) == count
        return looked

    assert work(400) <= 4 * work(100) + 10
