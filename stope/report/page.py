"""The report page: one file that shows the claims and plays the recording at their evidence.

Everything shown passes through Jinja's autoescape. The page may load nothing: its
Content-Security-Policy allows only its own style and script, by their hashes, and the recording.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import PurePath
from urllib.parse import quote, unquote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from stope.models.transcript import Transcript
from stope.report.cards import Deck
from stope.report.document import Document
from stope.report.lines import clock, one_line
from stope.report.passages import FLAG_NAMES, gap_name
from stope.report.reading import stretches_of
from stope.report.runs import page_facts
from stope.report.timeline import timeline_of
from stope.report.voices import voices_of

_URL = re.compile(r"(https?|file)://|blob:|data:", re.IGNORECASE)

_STYLES = ("base", "masthead", "claims", "transcript", "player", "print")
_SCRIPTS = ("page", "player", "transcript", "claims", "tabs", "keys")


def render_html(document: Document, audio: str | None = None) -> str:
    """The report, self-contained.

    Args:
        document: what to show.
        audio: where the page finds the recording: a path, best relative to the page, which is
            quoted here; or a ``file:``, ``data:``, ``blob:`` or ``http(s)`` URL, which is taken as
            it is (the last only plays where the page comes from the same server). Without it the
            reader may open the recording from the page.
    """
    style, script = _joined("style", _STYLES, "css"), _joined("script", _SCRIPTS, "js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "media-src 'self' file: blob: data:; base-uri 'none'; form-action 'none'"
    )
    speakers = voices_of(document)
    suffix = PurePath(document.title).suffix
    deck = Deck(document, speakers)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            document=document,
            stem=document.title.removesuffix(suffix),
            suffix=suffix,
            speakers=speakers,
            names={speaker.id: speaker for speaker in speakers},
            deck=deck,
            timeline=timeline_of(document, speakers),
            stretches=stretches_of(document),
            facts=page_facts(document),
            language=_language(document.transcript),
            panels=_panels(document),
            audio=_audio_url(audio),
            audio_place=_place(audio),
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
    environment.filters.update(clock=clock, one_line=one_line, gap_name=gap_name)
    environment.globals.update(flag_names=FLAG_NAMES)
    return environment


@cache
def _joined(folder: str, names: tuple[str, ...], suffix: str) -> str:
    """Files that are written into the page as one, with the line ends a browser hashes."""
    root = files("stope.report").joinpath("templates", folder)
    parts = [root.joinpath(f"{name}.{suffix}").read_text(encoding="utf-8") for name in names]
    return "\n".join(parts) if suffix == "css" else "\n".join(['"use strict";\n{', *parts, "}\n"])


def _hash(asset: str) -> str:
    return f"'sha256-{b64encode(sha256(asset.encode()).digest()).decode()}'"


def _audio_url(audio: str | None) -> str | None:
    if audio is None or _URL.match(audio):
        return audio
    return quote(os.fsencode(audio))


def _place(audio: str | None) -> str | None:
    """Where the page looks for the recording, for people; None when it carries it or knows none."""
    if audio is None or re.match(r"blob:|data:", audio, re.IGNORECASE):
        return None
    return unquote(re.sub(r"^file://", "", audio, flags=re.IGNORECASE))


def _language(transcript: Transcript | None) -> str | None:
    return None if transcript is None or transcript.language == "und" else transcript.language


def _timed(document: Document) -> bool:
    """Whether anything is said at a known time, so that a recording could be played there."""
    words = document.transcript.words if document.transcript else ()
    judged = document.knowledge.claims if document.knowledge else ()
    claims = (*(item.claim for item in judged), *document.unjudged)
    return any(word.start is not None for word in words) or any(
        item.start is not None for claim in claims for item in claim.evidence
    )


def _panels(document: Document) -> list[tuple[str, str, int | None]]:
    """The page's parts that have something to show: id, name and how much is in it."""
    ideas = len(document.entities) + len(document.terms) + len(document.concepts)
    doubts = len(document.flags) + len(document.all_gaps)
    kept = len(document.accepted) or len(document.unjudged)
    panels: list[tuple[str, str, int | None]] = []
    if document.knowledge is not None or document.mined is not None:
        panels.append(("claims", "Claims", kept))
    if document.transcript is not None:
        panels.append(("transcript", "Transcript", None))
    if ideas:
        panels.append(("ideas", "Names & ideas", ideas))
    if doubts:
        panels.append(("doubts", "Doubts & gaps", doubts))
    panels.append(("run", "This run", None))
    return panels
