"""The speakers' colours are seen on their paper, and told apart by readers who are colour-blind.

The simulation is that of Machado, Oliveira and Fernandes (2009) at full severity; differences are
CIE 1976, where 2.3 is just noticeable.
"""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import stope.report
from stope.report.voices import COLOURS

STYLE = Path(stope.report.__file__).parent / "templates" / "style" / "base.css"
VISIONS = {
    "all colours": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no green": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "no red": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "no blue": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])

Colour = NDArray[np.float64]


def colours(name: str, scheme: int) -> list[Colour]:
    """The linear RGB values of the style's variables with such a name; scheme 0 light, 1 dark."""
    pairs = re.findall(rf"--{name}: light-dark\(#(\w{{6}}), #(\w{{6}})\)", STYLE.read_text())
    found = [np.frombuffer(bytes.fromhex(pair[scheme]), np.uint8) / 255 for pair in pairs]
    return [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in found]


def lab(linear: Colour) -> Colour:
    """CIE L*a*b* of a linear RGB value, D65."""
    xyz = TO_XYZ @ np.clip(linear, 0, 1) / np.array([0.95047, 1, 1.08883])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("vision", VISIONS)
def test_any_two_speakers_have_colours_that_differ(scheme: int, vision: str) -> None:
    seen = [lab(np.array(VISIONS[vision]) @ colour) for colour in colours(r"sp-\d", scheme)]
    assert len(seen) == COLOURS
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 20


@pytest.mark.parametrize("scheme", [0, 1])
def test_every_speakers_colour_stands_out_from_the_paper(scheme: int) -> None:
    (paper,) = colours("paper", scheme)
    luminances = [TO_XYZ[1] @ colour for colour in colours(r"sp-\d", scheme)]
    dark, light = zip(*(sorted((value, TO_XYZ[1] @ paper)) for value in luminances), strict=True)
    # 3:1 is what WCAG 2.2 asks of graphics.
    assert min((high + 0.05) / (low + 0.05) for low, high in zip(dark, light, strict=True)) > 3
