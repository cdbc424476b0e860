"""How much is held at once, whatever the size of pictures."""

from __future__ import annotations

import pytest

from stope.vision.memory import in_parts


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([], []),
        ([5], [[5]]),
        ([50, 1, 1], [[50], [1, 1]]),
        ([4, 6, 1, 9], [[4, 6], [1, 9]]),
        ([4, 7, 3, 1], [[4], [7, 3], [1]]),
    ],
)
def test_parts_have_no_more_pixels_than_they_may_or_a_single_item(
    sizes: list[int], parts: list[list[int]]
) -> None:
    assert list(in_parts(sizes, lambda size: size, most=10)) == parts
