"""The report page: one file that shows the claims and plays the recording at their evidence.

Everything shown passes through Jinja's autoescape. The page may load nothing: its
Content-Security-Policy allows only its own style and script, by their hashes, and the recording.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from stope.models.claim import ClaimType
from stope.models.knowledge import JudgedClaim
from stope.models.transcript import Transcript
from stope.models.verdict import Tier
from stope.report.document import Document, place_of
from stope.report.lines import Line, clock, one_line, transcript_lines

_URL = re.compile(r"(https?|file)://|blob:|data:", re.IGNORECASE)


class _Run(NamedTuple):
    """Words of a line that no evidence divides; ``tier`` of the best accepted claim on them."""

    first_word: int
    text: str
    tier: Tier | None


class _Mark(NamedTuple):
    """An accepted claim on the strip that stands for the recording; places in percent."""

    judged: JudgedClaim
    start: float
    first_word: int | None
    end_word: int | None
    left: float
    height: int


class _Stretch(NamedTuple):
    """A gap on the strip, in percent."""

    left: float
    width: float
    title: str


def render_html(document: Document, audio: str | None = None) -> str:
    """The report, self-contained.

    Args:
        document: what to show.
        audio: where the page finds the recording: a path, best relative to the page, which is
            quoted here; or a ``file:``, ``data:``, ``blob:`` or ``http(s)`` URL, which is taken as
            it is (the last only plays where the page comes from the same server). Without it the
            reader may open the recording from the page.
    """
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "media-src 'self' file: blob: data:; base-uri 'none'; form-action 'none'"
    )
    tiers, types = _kinds(document)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            document=document,
            language=_language(document.transcript),
            models=_models(document),
            facts=list(_facts(document)),
            marks=list(_marks(document)),
            stretches=list(_stretches(document)),
            lines=list(_lines(document)),
            tiers=tiers,
            types=types,
            audio=_audio_url(audio),
            silent=audio is None and not _timed(document),
            policy=policy,
            style=Markup(style),  # noqa: S704  (our own file, no input)
            script=Markup(script),  # noqa: S704  (the same)
        )
        + "\n"
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("stope.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(clock=clock, one_line=one_line)
    return environment


@cache
def _asset(name: str) -> str:
    """A file that is written into the page, with the line ends a browser hashes it with."""
    return files("stope.report").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(asset: str) -> str:
    return f"'sha256-{b64encode(sha256(asset.encode()).digest()).decode()}'"


def _audio_url(audio: str | None) -> str | None:
    if audio is None or _URL.match(audio):
        return audio
    return quote(os.fsencode(audio))


def _language(transcript: Transcript | None) -> str | None:
    return None if transcript is None or transcript.language == "und" else transcript.language


def _timed(document: Document) -> bool:
    """Whether anything is said at a known time, so that a recording could be played there."""
    words = document.transcript.words if document.transcript else ()
    claims = (*document.accepted, *document.rejected)
    return any(word.start is not None for word in words) or any(
        item.start is not None for judged in claims for item in judged.claim.evidence
    )


def _models(document: Document) -> list[tuple[str, str]]:
    """What was done, and by which model."""
    models = document.models
    deeds = (
        ("transcribed by", models.asr),
        ("mined by", models.miner),
        ("judged by", models.flagship),
    )
    return [(deed, model) for deed, model in deeds if model]


def _facts(document: Document) -> Iterator[tuple[str, str]]:
    """Where the document comes from, as name and value."""
    yield "Source", document.source.path
    yield "SHA-256", document.source.digest
    yield "Job", document.job_id
    yield "Made", document.created_at
    if document.transcript is not None:
        yield "Words", f"{len(document.transcript.words):,}"
        if document.transcript.language != "und":
            yield "Language", document.transcript.language


def _kinds(document: Document) -> tuple[list[tuple[Tier, int]], list[tuple[ClaimType, int]]]:
    """The tiers and types there are, each with its accepted claims: what the filters offer."""
    everything = (*document.accepted, *document.rejected)
    tiers = Counter(judged.tier for judged in document.accepted)
    types = Counter(judged.claim.type for judged in document.accepted)
    return (
        [(tier, tiers[tier]) for tier in Tier if any(j.tier is tier for j in everything)],
        [
            (kind, types[kind])
            for kind in ClaimType
            if any(j.claim.type is kind for j in everything)
        ],
    )


def _lines(document: Document) -> Iterator[tuple[Line, list[_Run]]]:
    """Every line, cut where a claim's evidence begins or ends, so that it can be lit exactly."""
    if document.transcript is None:
        return
    words = document.transcript.words
    cuts: set[int] = set()
    tiers: list[Tier | None] = [None] * len(words)
    # From the last rank to the first, so that the best claim of a word is what it shows.
    shown: list[tuple[JudgedClaim, Tier | None]] = [(judged, None) for judged in document.rejected]
    shown += [(judged, judged.tier) for judged in reversed(document.accepted)]
    for judged, tier in shown:
        for item in judged.claim.evidence:
            if item.first_word is None or item.end_word is None:
                continue
            cuts |= {item.first_word, item.end_word}
            for index in range(item.first_word, min(item.end_word, len(words))):
                tiers[index] = tier
    places = sorted(cuts)
    for line in transcript_lines(document.transcript):
        inside = places[bisect_right(places, line.first_word) : bisect_left(places, line.end_word)]
        runs: list[_Run] = []
        for first, end in pairwise([line.first_word, *inside, line.end_word]):
            text = one_line(" ".join(word.text for word in words[first:end]))
            runs.append(_Run(first, text, tiers[first]))
        yield line, runs


def _marks(document: Document) -> Iterator[_Mark]:
    duration = document.duration
    for judged in document.accepted:
        place = place_of(judged.claim)
        if place is not None and place.start is not None and duration:
            yield _Mark(
                judged=judged,
                start=place.start,
                first_word=place.first_word,
                end_word=place.end_word,
                left=_percent(place.start, duration),
                height=8 + 3 * judged.verdict.importance,
            )


def _stretches(document: Document) -> Iterator[_Stretch]:
    duration = document.duration
    for gap in document.all_gaps:
        if gap.start is not None and gap.end is not None and duration:
            left, right = _percent(gap.start, duration), _percent(gap.end, duration)
            width = max(0.0, round(right - left, 2))
            yield _Stretch(left=left, width=width, title=f"{gap.stage}: {gap.reason}")


def _percent(seconds: float, duration: float) -> float:
    return round(100 * min(1.0, seconds / duration), 2)
