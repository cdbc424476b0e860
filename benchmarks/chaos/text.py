"""The episode that is mined: a transcript with as many segments as are asked for."""

from __future__ import annotations

import random


def _words(listed: str) -> list[str]:
    return listed.split()


_PLACES = _words(
    "harbour valley glacier library orchard quarry station bakery museum brewery lighthouse "
    "vineyard foundry monastery reservoir observatory"
)
_THINGS = _words(
    "bridges turbines violins tractors cables kettles mirrors saddles lanterns barrels engines "
    "carpets telescopes anchors bicycles printers"
)
_REASONS = _words(
    "drought tariffs sabotage inflation migration flooding strikes automation mildew erosion "
    "scarcity rivalry"
)
_DEEDS = _words("repaired exported catalogued dismantled auctioned painted insured measured")


def transcript(segments: int) -> str:
    """Lines with time and speaker, each long enough to be a segment of fifty tokens by itself."""
    dice = random.Random(segments)  # noqa: S311  (no secret)
    lines = []
    for number in range(segments):
        place, deed, reason = dice.choice(_PLACES), dice.choice(_DEEDS), dice.choice(_REASONS)
        first, second, third = dice.sample(_THINGS, 3)
        lines.append(
            f"[{number // 60:02d}:{number % 60:02d}] ({'Ann' if number % 3 else 'Ben'}): In "
            f"{1800 + number % 220} the {place} of district {number} {deed} exactly "
            f"{1000 + 7 * number} {first} and {number + 3} {second} although {reason} had already "
            f"ruined the old trade in {third} for everybody there."
        )
    return "\n".join(lines) + "\n"
