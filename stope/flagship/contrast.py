"""What two statements do not share: words, numbers, names, and which of them denies.

These are facts about wordings; no model is asked. English where it is about single words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from stope.flagship.numerals import numbers_of
from stope.wording import normalise

CONTRAST_VERSION = 1
"""Part of every flagship job's id: raise it when a comparison here would end differently."""


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_FUNCTION = _words(
    "a an the of to in on at by for from with as and or but so if then than that this these those "
    "it its they them their he him his she her hers we us our you your i me my is are was were be "
    "been being am do does did have has had will would can could may might must shall should "
    "there here which who whom whose what when where why how s t re ve ll d m also just very "
    "because while about into over under up down out off not no per"
)
_DENIALS = _words(
    "not no never none nobody nothing without nor neither cannot t hardly fail fails failed false "
    "wrong"
)
_OPPOSITES = [
    (_words(one), _words(other))
    for one, other in (
        ("rise rises rose rising risen", "fall falls fell falling fallen drop drops dropped"),
        ("increase increases increased", "decrease decreases decreased"),
        ("grow grows grew growing", "shrink shrinks shrank shrinking"),
        ("more most", "less least fewer"),
        ("up", "down"),
        ("better best", "worse worst"),
        ("before", "after"),
        ("always", "never"),
        ("cheap cheaper", "expensive dearer"),
        ("large larger big bigger", "small smaller"),
        ("high higher", "low lower"),
        ("good", "bad"),
        ("win wins won", "lose loses lost"),
        ("gain gains gained", "lose loses lost"),
        ("warm warmer hot hotter", "cold colder cool cooler"),
        ("allow allows allowed", "forbid forbids forbidden ban bans banned"),
        ("true", "false"),
    )
]
_CAPITAL = re.compile(r"(?<![.?!:]\s)(?<!^)(?<![\w'’-])[A-Z][\w'’-]*")  # noqa: RUF001  (as printed)
_STEM = 5


def stem(word: str) -> str:
    """A word without its ending, roughly: its first letters, and less where it is short."""
    if any(character.isdigit() for character in word):
        return word
    for ending in ("ies", "ing", "ed", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[: max(_STEM, len(word) - 3)].rstrip("ey")


def content_of(text: str) -> frozenset[str]:
    """The stems of the words that carry a text's meaning."""
    return frozenset(stem(word) for word in normalise(text) if word not in _FUNCTION)


def words_of(text: str) -> frozenset[str]:
    """The stems of all words of a text."""
    return frozenset(map(stem, normalise(text)))


def names_of(text: str) -> frozenset[str]:
    """The stems of capitalised words within sentences, "I" excepted."""
    found = (word for match in _CAPITAL.findall(text) for word in normalise(match))
    return frozenset(stem(word) for word in found if word not in _FUNCTION)


def differ(one: str, other: str) -> bool:
    """Whether two statements cannot say the same, however alike they sound.

    They give different numbers, name others, one denies what the other says, or one has the
    opposite word of the other.
    """
    return (
        _unequal(numbers_of(one), numbers_of(other))
        or _apart(names_of(one), names_of(other))
        or _denials(one) % 2 != _denials(other) % 2
        or _oppose(frozenset(normalise(one)), frozenset(normalise(other)))
    )


def unsaid(text: str, sources: Iterable[str]) -> list[str]:
    """Numbers and names of a text that occur in none of its sources, sorted."""
    listed = list(sources)
    numbers = frozenset().union(*map(numbers_of, listed))
    words = frozenset().union(*map(words_of, listed))
    return sorted(numbers_of(text) - numbers) + sorted(
        name
        for match in _CAPITAL.findall(text)
        for name in normalise(match)
        if name not in _FUNCTION and not name[0].isdigit() and stem(name) not in words
    )


def _unequal(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one and other) and one != other


def _apart(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether each has some, and neither has all of the other's."""
    return bool(one and other) and not (one <= other or other <= one)


def _denials(text: str) -> int:
    # "don't" is normalised to "don", "t".
    return sum(word in _DENIALS for word in normalise(text))


def _oppose(one: frozenset[str], other: frozenset[str]) -> bool:
    return any(
        (one & left and other & right and not (one & right or other & left))
        or (one & right and other & left and not (one & left or other & right))
        for left, right in _OPPOSITES
    )
