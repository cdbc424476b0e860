"""Numbers in English prose by their value: "18 %", "eighteen percent" and "18%" are the same.

Fractions are percents: "a third" is 33.3. A run of number words is one number: "two hundred and
forty" is 240, "seven thousand five hundred" 7500, and a year said in two halves, "twenty thirty
five", is 2035. "One" alone counts as a pronoun.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation


def _words(listed: str) -> list[str]:
    return listed.split()


_UNITS = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")
_SMALL = {word: value for value, word in enumerate(_UNITS)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {"half": 50, "halves": 50} | {
    form: 100 / value
    for value, word in (
        (3, "third"),
        (4, "quarter"),
        (5, "fifth"),
        (6, "sixth"),
        (7, "seventh"),
        (8, "eighth"),
        (9, "ninth"),
        (10, "tenth"),
    )
    for form in (word, f"{word}s")
}
_COUNTS = {"a": 1, "an": 1} | {word: value for word, value in _SMALL.items() if 0 < value < 10}
_FIXED = {"twice": 2, "double": 2, "doubled": 2, "dozen": 12}
_WORD = re.compile(r"\d[\d,.]*\d|\d|[^\W\d_]+")


def numbers_of(text: str) -> frozenset[str]:
    """The values of all numbers in a text, as plain decimals."""
    words = [word.casefold() for word in _WORD.findall(text)]
    found: set[str] = set()
    place = 0
    while place < len(words):
        value, place = _number_at(words, place)
        if value is not None:
            found.add(value)
    return frozenset(found)


def _number_at(words: list[str], place: int) -> tuple[str | None, int]:
    """The number that begins at a word, if one does, and where the next word stands."""
    word = words[place]
    following = words[place + 1] if place + 1 < len(words) else ""
    if word in _COUNTS and following in _PARTS:
        return _plain(Decimal(str(round(_COUNTS[word] * _PARTS[following], 1)))), place + 2
    if word in ("half", "twice", "double", "doubled", "dozen"):
        return _plain(Decimal(_FIXED.get(word, 50))), place + 1
    if not (word[0].isdigit() or word in _SMALL):
        return None, place + 1
    end = place + 1
    while end < len(words) and _goes_on(words, end):
        end += 1
    run = [item for item in words[place:end] if item != "and"]
    return (None if run == ["one"] else _plain(_value(run))), end


def _goes_on(words: list[str], place: int) -> bool:
    word, before = words[place], words[place - 1]
    following = words[place + 1] if place + 1 < len(words) else ""
    if word == "hundred" or word in _SCALES:
        return True
    if word in _COUNTS and following in _PARTS:
        return False
    if word == "and":
        return (before == "hundred" or before in _SCALES) and following in _SMALL
    return word in _SMALL and not before[0].isdigit()


def _value(run: list[str]) -> Decimal:
    total, group, halves = Decimal(0), Decimal(0), Decimal(0)
    for word in run:
        if word == "hundred":
            group = max(group, Decimal(1)) * 100
        elif word in _SCALES:
            total += max(group, Decimal(1)) * _SCALES[word]
            group = Decimal(0)
        elif word in _SMALL:
            value = _SMALL[word]
            fits = group == 0 or group % 100 == 0 or (group % 100 >= 20 and group % 10 == 0)
            if (fits and value < 10) or group % 100 == 0:
                group += value
            else:
                # "eighteen fifty two": the first half of a year.
                halves, group = group, Decimal(value)
        else:
            group = _digits(word)
    return total + (halves * 100 if halves else 0) + group


def _digits(word: str) -> Decimal:
    """A number in digits: commas part thousands, a point the decimals."""
    try:
        return Decimal(word.replace(",", "").rstrip("."))
    except InvalidOperation:
        return Decimal(word.replace(",", "").replace(".", ""))


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"
