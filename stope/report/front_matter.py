"""Front matter: what a note says about itself, as YAML that Obsidian shows as properties."""

from __future__ import annotations

from stope.models.entity import EntityKind
from stope.models.verdict import Tier
from stope.report.document import Document
from stope.report.lines import one_line
from stope.report.voices import voices_of

_Fact = str | int | float | list[str] | None


def front_matter(document: Document) -> str:
    """The block between two lines ``---``; every text in it is quoted, so that it always parses."""
    rows = (
        f"{name}: {_yaml(value)}"
        for name, value in _facts(document).items()
        if value is not None and value != []
    )
    return "\n".join(["---", *rows, "---"])


def _facts(document: Document) -> dict[str, _Fact]:
    people = [item.name for item in document.entities if item.kind is EntityKind.PERSON]
    others = [item.name for item in document.entities if item.kind is EntityKind.ORGANISATION]
    facts: dict[str, _Fact] = {
        "title": document.title,
        "tags": ["stope"],
        "source": document.source.path,
        "source_sha256": document.source.digest,
        "job": document.job_id,
        "created": document.created_at,
        "speakers": [one_line(speaker.name) for speaker in voices_of(document)],
        "people": list(map(one_line, people)),
        "organisations": list(map(one_line, others)),
        "themes": [one_line(theme.name) for theme in document.themes],
        "asr_model": document.models.asr,
        "miner_model": document.models.miner,
        "flagship_model": document.models.flagship,
    }
    if document.transcript is not None:
        facts["language"] = document.transcript.language
        facts["duration_seconds"] = document.duration
        facts["words"] = len(document.transcript.words)
        facts["doubtful_passages"] = len(document.flags)
    if document.mined is not None:
        facts["mined"] = len(document.unjudged)
    if document.knowledge is not None:
        facts["accepted"] = len(document.accepted)
        for tier in Tier:
            facts[f"tier_{tier.lower()}"] = sum(item.tier is tier for item in document.accepted)
        facts["merged"] = len(document.merged)
        facts["split"] = len(document.split)
        facts["rejected"] = len(document.rejected)
    facts["gaps"] = len(document.all_gaps)
    return facts


def _yaml(value: _Fact) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml_text, value))}]"
    return _yaml_text(value) if isinstance(value, str) else str(value)


def _yaml_text(text: str) -> str:
    """A double-quoted YAML scalar: whatever does not print is written as an escape.

    JSON's quoting would not do: YAML reads its surrogate pairs as two characters.
    """

    def quoted(character: str) -> str:
        if character in '"\\':
            return f"\\{character}"
        return character if character.isprintable() else f"\\U{ord(character):08X}"

    return '"' + "".join(map(quoted, text)) + '"'
