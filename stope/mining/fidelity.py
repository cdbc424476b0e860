"""Fidelity: whether a rewriting says what its sentence says, with references resolved, no more.

A rewriting is believed when it can be derived from its sentence, word by word, by two steps only:
a word stays as it is, or a word that refers to something gives way to a phrase that was said. So
nothing can be dropped, added or moved elsewhere in the sentence. The phrase itself may not carry
what would make another statement: a number, a negation, a quantity, a modality, an attitude.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import takewhile

from stope.mining.standalone import REFERENCES, without_lead

MAX_ADDED = 8
"""Words that resolving references may bring in; more is a new statement."""

MAX_TOKENS = 200
"""Longer texts are no sentences, and are not compared."""

MAX_PHRASE = 12
"""Words, small ones included, that may stand for one reference."""

Tokens = tuple[str, ...]


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_TOKEN = re.compile(
    # A number is one token with its sign, currency, fraction and percent.
    r"(?:(?<!\w)[-+−])?[$€£¥]?\d+(?:[.,:/–-]\d+)*%?\w*"  # noqa: RUF001  (signs people write)
    r"|'s\b|[^\W_]+|[$€£¥%°]"
)
_CONTRACTIONS = (
    (re.compile(r"\b(?:can't|cannot)\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"'m\b"), " am"),
)
_AGREEING = {"are": "is", "am": "is", "'s": "is", "were": "was", "have": "has", "do": "does"}
"""Forms that follow the number of their subject, which a resolved reference may change."""

_FILLERS = _words("um uh er erm ah oh hmm")
_POINTERS = _words("this that these those")
_RESOLVABLE = REFERENCES | _words("there here then ones former latter")
_BEFORE_THAT = _words(
    "of for in on with from about like than to by at and or but if when because before after "
    "is was does has as since until without against"
)
_BEFORE_THEN = _words("since until by before")
_AFTER_THAT = _words("is was has does will would can could may might must should not")

_GLUE = _words("a an the of to in on at by for from with as and is that who whose which its their")
_PROTECTED = _words(
    # Numbers.
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety "
    "hundred thousand million billion trillion half third quarter tenth twice double triple dozen "
    "percent hundreds thousands millions billions halves thirds quarters "
    # Negations.
    "not no never none nobody nothing nowhere neither nor without hardly barely scarcely rarely "
    "seldom cannot lack lacks unable "
    # Quantities.
    "all most many much few some several every each any both only more less least fewer enough "
    "almost nearly always often sometimes usually "
    # Modality and attitude.
    "will would can could may might must should shall ought maybe perhaps probably possibly likely "
    "unlikely impossible false wrong untrue myth hoax nonsense lie lies deny denies denied denying "
    "doubt doubts doubted doubting refuse refuses refused refusing reject rejects rejected "
    "rejecting fail fails failed failing claim claims claimed claiming say says said saying think "
    "thinks thought thinking believe believes believed believing prevent prevents prevented "
    "preventing stop stops stopped stopping against "
    # Who speaks: somebody else's "my" is not this speaker's.
    "i me my mine we us our ours you your yours"
)
_BEFORE_MONTH = frozenset((word,) for word in ("in", "of", "since", "until", "last", "next"))
"""What tells the month of May from the verb, where case does not."""

_YEAR = re.compile(r"[12]\d{3}")
_PLURAL = ({"", "s"}, {"", "es"}, {"y", "ies"})
_INFLECTED = _words("s es ed ing er ers or ors ion ions al ly") | {""}
_AFTER_E = _words("e d r rs ing ion ions or ors al") | {""}
_SHARED_MIN = 4
"""Letters that two forms of a word have in common, but for a plural."""

_PLAIN_MARKS = frozenset(" ,.;:!'\"’‘“”…-–—()")  # noqa: RUF001  (typographic ones)


def faithful(rewriting: str, sentence: str, context: Iterable[str]) -> bool:
    """Whether a rewriting says what its sentence says, with references resolved and nothing more.

    Args:
        rewriting: the model's.
        sentence: what was said.
        context: what was said before it, a sentence each; phrases are taken from one of them.
    """
    said = [sentence, *context]
    if not rewriting.isprintable() or ("?" in rewriting) is not ("?" in sentence):
        return False
    if _marks(rewriting) - _marks(" ".join(said)):
        return False
    new, old = _tokens(without_lead(rewriting)), _tokens(without_lead(sentence))
    if max(len(new), len(old)) > MAX_TOKENS:
        return False
    added = _least_added(new, old, [_tokens(line) for line in said])
    return added is not None and added <= MAX_ADDED


def _tokens(text: str) -> Tokens:
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")  # noqa: RUF001
    for pattern, whole in _CONTRACTIONS:
        folded = pattern.sub(whole, folded)
    return tuple(_TOKEN.findall(folded))


def _marks(text: str) -> set[str]:
    """Signs that are more than punctuation, such as currencies and brackets."""
    return {sign for sign in text if not sign.isalnum()} - _PLAIN_MARKS


def _least_added(new: Tokens, old: Tokens, sources: Sequence[Tokens]) -> int | None:
    """How many content words a derivation of ``new`` from ``old`` must add; None without one."""

    @cache
    def least(at_old: int, at_new: int, pointed: bool) -> int | None:
        """From these places on; ``pointed``: behind a noun that "that" or "the" leads."""
        found = [
            None if rest is None else count + rest
            for count, *place in _steps(new, old, at_old, at_new, pointed, sources)
            for rest in [least(*place)]
        ]
        if at_old == len(old) and at_new == len(new):
            found.append(0)
        return min((count for count in found if count is not None), default=None)

    return least(0, 0, False)


def _steps(
    new: Tokens, old: Tokens, at_old: int, at_new: int, pointed: bool, sources: Sequence[Tokens]
) -> Iterator[tuple[int, int, int, bool]]:
    """What a derivation may do next: content words added by it, and where it then stands."""
    if pointed and new[at_new : at_new + 1] == ("of",):
        # "that number" becomes "the number of hives".
        for length, count in _phrases(new[at_new:], sources):
            yield count, at_old, at_new + length, False
    if at_old == len(old):
        return
    word = old[at_old]
    before = old[at_old - 1] if at_old else ""
    if at_new < len(new):
        if _same(word, new[at_new]):
            led = before in _POINTERS and at_new > 0 and new[at_new - 1] in (before, "the")
            yield 0, at_old + 1, at_new + 1, led
        elif word in _POINTERS and new[at_new] == "the":
            yield 0, at_old + 1, at_new + 1, False
    if word in _FILLERS:
        yield 0, at_old + 1, at_new, pointed
    if _refers(old, at_old):
        for length, count in _phrases(new[at_new:], sources):
            yield count, at_old + 1, at_new + length, False


def _same(word: str, other: str) -> bool:
    """The same word, or one that agrees with another subject."""
    word, other = _AGREEING.get(word, word), _AGREEING.get(other, other)
    if word == other:
        return True
    if word in _PROTECTED or other in _PROTECTED or not (word + other).isalpha():
        return False
    return _ends(word, other) in _PLURAL


def _refers(old: Tokens, place: int) -> bool:
    """Whether a word stands for something else: "that" also joins, "there" also says "exists"."""
    word = old[place]
    following = _AGREEING.get(old[place + 1], old[place + 1]) if place + 1 < len(old) else None
    if word == "there":
        return following not in {"is", "was", "has"} | _AFTER_THAT
    if word == "then":
        return place > 0 and old[place - 1] in _BEFORE_THEN
    if word == "that" and place > 0:
        before = _AGREEING.get(old[place - 1], old[place - 1])
        return before in _BEFORE_THAT or following is None or following in _AFTER_THAT
    return word in _RESOLVABLE


def _phrases(new: Tokens, sources: Sequence[Tokens]) -> Iterator[tuple[int, int]]:
    """Beginnings of ``new`` that may stand for a reference: lengths, and content words in each.

    The content words of a phrase were said in this order in one sentence.
    """
    content: list[str] = []
    for length, word in enumerate(new[:MAX_PHRASE], start=1):
        if _AGREEING.get(word, word) not in _GLUE:
            if not _neutral(word, new[length - 2 : length - 1]):
                return
            content.append(word)
        if content and any(_in_order(content, source) for source in sources):
            yield length, len(content)


def _neutral(word: str, before: Tokens) -> bool:
    """Whether a word may stand in a phrase: one that names, and of numbers only a year."""
    if word in _PROTECTED:
        return word == "may" and before in _BEFORE_MONTH
    return word.isalpha() or _YEAR.fullmatch(word) is not None


def _in_order(content: Sequence[str], source: Tokens) -> bool:
    words = iter(source)
    return all(any(_related(word, other) for other in words) for word in content)


def _related(word: str, other: str) -> bool:
    """The same word, or another form of it ("spray", "spraying"; "farm", "farmers")."""
    if word == other:
        return True
    if not (word + other).isalpha():
        return False
    shared, ends = _shared(word, other), _ends(word, other)
    if ends in _PLURAL:
        return True
    if shared < _SHARED_MIN - ("e" in ends):
        return False
    return ends <= _INFLECTED or (("e" in ends or word[shared - 1] == "e") and ends <= _AFTER_E)


def _ends(word: str, other: str) -> set[str]:
    """How two words go on behind what they share; nothing where they share too little."""
    shared = _shared(word, other)
    if shared < _SHARED_MIN - 1:
        return set()
    last = word[shared - 1]
    # "stop", "stopped": the doubled letter belongs to the stem.
    return {
        end[1:] if len(end) > 1 and end[0] == last else end
        for end in (word[shared:], other[shared:])
    }


def _shared(word: str, other: str) -> int:
    pairs = zip(word, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
