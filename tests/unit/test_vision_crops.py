"""Crops: exactly the pixels of their box, clipped; without background nothing of it is left."""

from __future__ import annotations

import numpy as np
import pytest

from stope.models.vision import Box
from stope.vision.crops import crop_rectangle, cut, without_background
from stope.vision.image import decode_png, encode_png
from stope.vision.subjects import link_subjects, look_of
from tests.videos import photograph, plain


def box(x: int, y: int, width: int, height: int, frame: int = 0, label: str = "a") -> Box:
    return Box(frame=frame, x=x, y=y, width=width, height=height, score=1.0, label=label)


def test_a_crop_has_the_pixels_of_its_box_in_their_order() -> None:
    frame = np.arange(60 * 80 * 3, dtype=np.uint32).reshape(60, 80, 3).astype(np.uint8)
    crop = cut(frame, crop_rectangle(box(10, 20, 7, 5), 80, 60, margin=0))

    assert crop.shape == (5, 7, 3)
    np.testing.assert_array_equal(crop, frame[20:25, 10:17])
    frame[:] = 0
    assert crop.any(), "a crop outlives its frame"


@pytest.mark.parametrize(
    ("where", "rectangle"),
    [
        ((40, 30, 20, 10), (38, 29, 24, 12)),
        ((0, 0, 20, 10), (0, 0, 22, 11)),
        ((70, 50, 10, 10), (69, 49, 11, 11)),
        ((0, 0, 80, 60), (0, 0, 80, 60)),
    ],
)
def test_the_margin_ends_at_the_frame(
    where: tuple[int, int, int, int], rectangle: tuple[int, int, int, int]
) -> None:
    assert crop_rectangle(box(*where), 80, 60, margin=0.1) == rectangle


def test_what_is_background_is_transparent_and_black() -> None:
    crop = plain(20, 10, (200, 100, 50))
    mask = np.zeros((10, 20), dtype=np.bool_)
    mask[:, :6] = True

    bare = without_background(crop, mask)

    assert bare.shape == (10, 20, 4)
    assert (bare[:, :6] == 0).all()
    assert (bare[:, 6:] == (200, 100, 50, 255)).all()


def test_a_png_keeps_every_pixel_and_the_order_of_colours() -> None:
    image = photograph("astronaut", 64)
    with_alpha = np.dstack([image, np.arange(64 * 64, dtype=np.uint32).reshape(64, 64) % 256])
    with_alpha = with_alpha.astype(np.uint8)

    np.testing.assert_array_equal(decode_png(encode_png(image)), image)
    np.testing.assert_array_equal(decode_png(encode_png(with_alpha)), with_alpha)
    assert encode_png(image) == encode_png(image.copy())


def test_subjects_are_followed_by_how_they_look_where_they_cross() -> None:
    red, blue = look_of(plain(30, 60, (220, 30, 30))), look_of(plain(30, 60, (30, 30, 220)))
    frames = [
        [(box(10 + 20 * at, 10, 30, 60, at), red), (box(110 - 20 * at, 10, 30, 60, at), blue)]
        for at in range(6)
    ]
    frames[3].reverse()

    linked = link_subjects(frames)

    assert linked == [[0, 1], [0, 1], [0, 1], [1, 0], [0, 1], [0, 1]]


def test_a_subject_may_be_away_for_a_while_and_another_label_is_another_subject() -> None:
    red = look_of(plain(30, 60, (220, 30, 30)))
    seen = (box(10, 10, 30, 60), red)
    other = (box(10, 10, 30, 60, label="b"), red)

    assert link_subjects([[seen], [], [], [seen], [other]]) == [[0], [], [], [0], [1]]
    assert link_subjects([[seen], *[[]] * 9, [seen]])[-1] == [1], "too long: somebody else"
    assert link_subjects([[seen, seen]]) == [[0, 1]], "two in one frame are two"
