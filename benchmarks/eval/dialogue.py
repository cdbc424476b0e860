"""Dialogues: recordings of which everything is known, and what people marked in their scripts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, TypeAdapter

from stope.errors import UsageError
from stope.models.claim import ClaimType
from stope.models.frozen import Frozen

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Mark(Frozen):
    """One sentence of the script: a claim with its type, or why it is none."""

    turn: int = Field(ge=1)
    speaker: str
    sentence: str
    claim: bool
    type: ClaimType | None
    why_not: str | None


class Heard(Frozen):
    """When a sentence of the script is heard, in seconds."""

    start: float = Field(ge=0)
    end: float = Field(gt=0)
    sentence: str


class Speech(Frozen):
    """One speaker from ``start`` to ``end`` seconds."""

    speaker: str
    start: float = Field(ge=0)
    end: float = Field(gt=0)


class Fact(Frozen):
    """What a good summary says: all words of at least one of the groups."""

    fact: str
    any: tuple[tuple[str, ...], ...] = Field(min_length=1)


class Checks(Frozen):
    """What is expected beyond the selection of claims.

    ``merge`` and ``apart`` are pairs of sentences that say the same, and that seem to but do not;
    ``split`` are sentences that claim two things. ``people`` and ``organisations`` hold the forms
    of each name.
    """

    merge: tuple[tuple[str, str], ...]
    apart: tuple[tuple[str, str], ...]
    split: tuple[str, ...]
    facts: tuple[Fact, ...]
    people: tuple[tuple[str, ...], ...]
    organisations: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Dialogue:
    """A recording and everything that is known of it; ``heard`` has an entry for each mark.

    ``turns`` are those of the RTTM file: a turn runs over the breaths between its sentences.
    """

    name: str
    recording: Path
    marks: tuple[Mark, ...]
    heard: tuple[Heard, ...]
    turns: tuple[Speech, ...]
    checks: Checks

    @property
    def speakers(self) -> int:
        """How many people speak."""
        return len({mark.speaker for mark in self.marks})

    @property
    def speech(self) -> tuple[Speech, ...]:
        """Who is heard when, without the breaths: a sentence each."""
        return tuple(
            Speech(speaker=mark.speaker, start=item.start, end=item.end)
            for mark, item in zip(self.marks, self.heard, strict=True)
        )

    def place(self, sentence: str) -> int:
        """The number of a sentence of the script.

        Raises:
            UsageError: it is not in the script.
        """
        for number, mark in enumerate(self.marks):
            if mark.sentence == sentence:
                return number
        raise UsageError(f"{self.name}.checks.json names no sentence of the script: {sentence!r}.")


def dialogue_names() -> list[str]:
    """The names of all dialogues, the example first."""
    found = sorted((EXAMPLES / "dialogues").glob("*.claims.json"))
    return ["interview", *(path.name.removesuffix(".claims.json") for path in found)]


def load_dialogue(name: str) -> Dialogue:
    """Read a dialogue's files.

    Raises:
        UsageError: there is none of that name, or its files do not fit together.
    """
    if name not in dialogue_names():
        raise UsageError(f"There is no dialogue {name!r}; there are {', '.join(dialogue_names())}.")
    folder = EXAMPLES if name == "interview" else EXAMPLES / "dialogues"
    marks = TypeAdapter(tuple[Mark, ...]).validate_python(_json(folder / f"{name}.claims.json"))
    heard = TypeAdapter(tuple[Heard, ...]).validate_python(_json(folder / f"{name}.times.json"))
    if [mark.sentence for mark in marks] != [item.sentence for item in heard]:
        raise UsageError(
            f"{name}.times.json does not have the sentences of {name}.claims.json; make the "
            f"recording again: python examples/make_interview.py {name}"
        )
    rttm = (folder / f"{name}.rttm").read_text(encoding="utf-8")
    dialogue = Dialogue(
        name=name,
        recording=folder / f"{name}.opus",
        marks=marks,
        heard=heard,
        turns=parse_rttm(rttm),
        checks=Checks.model_validate(_json(folder / f"{name}.checks.json")),
    )
    checks = dialogue.checks
    for sentence in [*sum((*checks.merge, *checks.apart), ()), *checks.split]:
        dialogue.place(sentence)
    return dialogue


def parse_rttm(text: str) -> tuple[Speech, ...]:
    """The ``SPEAKER`` lines of an RTTM file (NIST Rich Transcription, 2009)."""
    rows = [line.split() for line in text.splitlines() if line.startswith("SPEAKER ")]
    return tuple(
        Speech(speaker=row[7], start=float(row[3]), end=float(row[3]) + float(row[4]))
        for row in rows
    )


def _json(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))
