"""People and organisations: one entity per name, whatever forms of it are said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from stope.identity import digest_of
from stope.mining.alignment import TranscriptIndex
from stope.mining.answer import MAX_LISTED, ExtractionAnswer
from stope.models.claim import Evidence
from stope.models.entity import Entity, EntityKind
from stope.wording import normalise

MAX_NAME_WORDS = 6
MAX_MENTIONS = 100
"""A name that is said more often is not better grounded by more places."""

_NO_NAMES = frozenset(
    normalise(
        "a an the I me my we us our you your he him his she her it its they them their this that "
        "these those who what host guest speaker interviewer everybody everyone somebody someone "
        "nobody and or of in on at s"
    )
)
"""Words that models list as names; alone or together they name nobody."""


class _Name:
    """One name: its forms, the fullest first."""

    def __init__(self, kind: EntityKind, form: str) -> None:
        self.kind = kind
        self.forms = [form]
        self.known = {tuple(normalise(form))}
        self.words = frozenset(normalise(form))


def find_entities(
    index: TranscriptIndex, answers: Sequence[ExtractionAnswer]
) -> tuple[Entity, ...]:
    """Everybody who was listed and is named in the transcript, by their first mention."""
    names = [
        name for kind, forms in _listed(index, answers).items() for name in _grouped(kind, forms)
    ]
    places = [
        (item, place, form)
        for place, name in enumerate(names)
        for form in name.forms
        for item in _written_as_name(index, form)
    ]
    # Where two share a word the longer one stays: "Anna Weber" within "Anna Weber Foundation".
    places.sort(key=lambda found: (-len(_words(found[0])), found[0].first_word or 0, found[1]))
    taken: set[int] = set()
    mentions: dict[int, list[Evidence]] = {}
    said: dict[int, set[str]] = {}
    for item, place, form in places:
        if taken.isdisjoint(_words(item)):
            taken.update(_words(item))
            mentions.setdefault(place, []).append(item)
            said.setdefault(place, set()).add(form)
    found = [
        _entity(names[place], [form for form in names[place].forms if form in said[place]], items)
        for place, items in mentions.items()
    ]
    return tuple(sorted(found, key=lambda item: item.mentions[0].first_word or 0))


def _entity(name: _Name, forms: Sequence[str], mentions: Iterable[Evidence]) -> Entity:
    return Entity(
        id=f"ent_{digest_of([name.kind.value, forms[0]])[:12]}",
        kind=name.kind,
        name=forms[0],
        aliases=tuple(forms[1:]),
        mentions=tuple(sorted(mentions, key=lambda item: item.first_word or 0))[:MAX_MENTIONS],
    )


def _listed(
    index: TranscriptIndex, answers: Sequence[ExtractionAnswer]
) -> dict[EntityKind, set[str]]:
    """The forms listed as either kind; what is in both lists is what it was listed as more often.

    A person, where that is undecided.
    """
    counts: dict[tuple[str, ...], Counter[EntityKind]] = {}
    forms: dict[str, tuple[str, ...]] = {}
    for answer in answers:
        for kind, names in (
            (EntityKind.PERSON, answer.people),
            (EntityKind.ORGANISATION, answer.organisations),
        ):
            for name in names[:MAX_LISTED]:
                form = _bare(index, name, kind)
                forms[form] = tuple(normalise(form))
                counts.setdefault(forms[form], Counter())[kind] += 1
    found: dict[EntityKind, set[str]] = {kind: set() for kind in EntityKind}
    for form, words in forms.items():
        found[max(EntityKind, key=counts[words].__getitem__)].add(form)
    return found


def _bare(index: TranscriptIndex, name: str, kind: EntityKind) -> str:
    """A name as it is listed, without punctuation around it, and without a genitive.

    The genitive stays where it belongs to the name, as far as one can hear: "McDonald's".
    """
    clean = " ".join(name.split()).strip(".,;:!?\"'’")  # noqa: RUF001  (typographic quotes)
    bare = clean.removesuffix("'s").removesuffix("’s")  # noqa: RUF001
    if bare == clean or kind is EntityKind.PERSON:
        return bare
    return bare if index.count(bare) > index.count(clean) else clean


def _grouped(kind: EntityKind, listed: Iterable[str]) -> list[_Name]:
    """Forms of the same name together: "Anna Weber", "Weber".

    A short form of two names ("Weber", with an Anna and a Max) is a name of its own.
    """
    names: list[_Name] = []
    holding: dict[str, list[int]] = {}
    for form in sorted(listed, key=lambda form: (-len(normalise(form)), form)):
        words = normalise(form)
        if len(words) > MAX_NAME_WORDS or _NO_NAMES.issuperset(words):
            continue
        fuller = set.intersection(*(set(holding.get(word, ())) for word in words))
        same = [place for place in fuller if len(names[place].words) == len(set(words))]
        fitting = same or list(fuller)
        if len(fitting) == 1:
            name = names[fitting[0]]
            if tuple(words) not in name.known:
                name.known.add(tuple(words))
                name.forms.append(form)
        else:
            name = _Name(kind, form)
            for word in name.words:
                holding.setdefault(word, []).append(len(names))
            names.append(name)
    return names


def _written_as_name(index: TranscriptIndex, name: str) -> list[Evidence]:
    """The places of a name where it is written as one: "Bill", not "bill".

    Case says nothing where a script has none, or where the whole transcript is in small letters.
    """
    return [
        item
        for item in index.mentions(name)
        if not index.cased or item.quote.lower() == item.quote.upper() or not item.quote.islower()
    ]


def _words(item: Evidence) -> range:
    return range(item.first_word or 0, item.end_word or 0)
