"""The field: its colour is found, what it covers is masked, and other things are not."""

from __future__ import annotations

import numpy as np
import pytest

from stope.vision.background import (
    background_mask,
    count_colours,
    dominant_colour,
    mask_bits,
    mask_part,
)
from stope.vision.crops import cut
from tests.videos import field, panned, plain


def test_the_field_is_the_background_and_the_photograph_is_not() -> None:
    frames = list(panned(frames=5))
    colour = dominant_colour([count_colours(image) for image, _ in frames])

    assert colour is not None
    assert 0.5 < colour.share < 1
    for image, (x, y, width, height) in frames:
        mask = background_mask(image, colour)
        assert mask.dtype == np.bool_
        assert mask.shape == image.shape[:2]
        outside = np.ones_like(mask)
        outside[y : y + height, x : x + width] = False
        assert mask[outside].mean() > 0.98
        assert mask[y : y + height, x : x + width].mean() < 0.2


def test_a_field_of_a_hue_on_both_ends_of_the_scale_is_one_field() -> None:
    clay = plain(160, 90, (180, 40, 60))
    clay[:, ::2] = (180, 60, 40)
    clay[30:60, 40:80] = (20, 40, 200)
    colour = dominant_colour([count_colours(clay)])

    assert colour is not None
    assert colour.low > colour.high
    mask = background_mask(clay, colour)
    assert not mask[33:57, 43:77].any()
    assert mask[:25].all()


def test_without_a_dominant_colour_there_is_no_field() -> None:
    grey = plain(160, 90, (120, 120, 120))
    assert dominant_colour([count_colours(grey)]) is None
    assert dominant_colour([]) is None


def test_colours_of_several_frames_add_up() -> None:
    green, other = count_colours(field(160, 90)), count_colours(plain(160, 90, (30, 30, 220)))

    both = dominant_colour([green, green, other])

    assert both is not None
    assert 0.6 < both.share < 0.7


@pytest.mark.parametrize("width", [1, 7, 8, 9, 161])
def test_any_part_of_a_mask_comes_back_from_its_bits(width: int) -> None:
    chance = np.random.default_rng(width)
    mask = chance.integers(0, 2, (5, width)).astype(bool)

    bits = mask_bits(mask)

    assert bits.nbytes == 5 * -(-width // 8)
    assert not bits.flags.writeable
    whole = mask_part(bits, (0, 0, width, 5))
    assert whole.dtype == np.bool_
    np.testing.assert_array_equal(whole, mask)
    for _ in range(20):
        x, y = int(chance.integers(width)), int(chance.integers(5))
        part = x, y, int(chance.integers(1, width - x + 1)), int(chance.integers(1, 6 - y))
        np.testing.assert_array_equal(mask_part(bits, part), cut(mask, part))
