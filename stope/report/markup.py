"""Text as Markdown that shows it and nothing else, for CommonMark and for Obsidian."""

from __future__ import annotations

import re

from stope.report.lines import one_line

# Marks of emphasis, code, links and HTML; Obsidian's tags (#), comments (%%), highlights (==),
# mathematics ($) and block names (^); entities.
_SPECIAL = re.compile(
    r"[\\`*\[<~$^|]|&(?=#?\w+;)|(?<!\w)_|_(?!\w)|#(?=\S)|%(?=%)|(?<=%)%|=(?==)|(?<==)="
)
_BLOCK_START = re.compile(r"^(\d*)([#>+=.)-])")


def escaped(text: str) -> str:
    """The text on one line, for a place inside a block."""
    return _SPECIAL.sub(r"\\\g<0>", one_line(text))


def block(text: str) -> str:
    """The text where a block may begin: it is no list, heading, quote or rule."""
    return _BLOCK_START.sub(r"\1\\\2", escaped(text))
