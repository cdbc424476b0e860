"""Augmentation: seeded to the pixel, alpha moved along, every kind does what its name says."""

from __future__ import annotations

import numpy as np
import pytest

from stope.models.vision import Augmentation, AugmentationKind
from stope.vision.augment import augmented, plan_augmentations
from stope.vision.crops import without_background
from stope.vision.image import Image
from tests.videos import photograph

KINDS = list(AugmentationKind)


@pytest.fixture(params=["rgb", "rgba"])
def image(request: pytest.FixtureRequest) -> Image:
    picture = photograph("astronaut", 72)[:, :60]
    if request.param == "rgb":
        return np.ascontiguousarray(picture)
    mask = np.zeros(picture.shape[:2], dtype=np.bool_)
    mask[:12] = mask[:, :9] = True
    return without_background(picture, mask)


def do(image: Image, kind: AugmentationKind, seed: int) -> Image:
    return augmented(image, Augmentation(kind=kind, seed=seed))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_picture_and_leaves_the_first_alone(
    image: Image, kind: AugmentationKind
) -> None:
    before = image.copy()
    made = [do(image, kind, seed) for seed in (7, 7, 8)]

    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(made[0], made[1])
    assert made[0].dtype == np.uint8
    assert made[0].shape[2] == image.shape[2]
    assert made[0].flags.c_contiguous
    assert made[0].shape != image.shape or not np.array_equal(made[0], image)
    if kind is not AugmentationKind.FLIP:
        assert made[0].shape != made[2].shape or not np.array_equal(made[0], made[2])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_transparent_stays_black(image: Image, kind: AugmentationKind) -> None:
    made = do(image, kind, 3)
    if made.shape[2] == 4:
        assert not made[made[..., 3] == 0].any()


def test_a_flip_is_the_mirror_image(image: Image) -> None:
    np.testing.assert_array_equal(do(image, AugmentationKind.FLIP, 1), image[:, ::-1])


def test_a_part_is_a_part(image: Image) -> None:
    part = do(image, AugmentationKind.PARTIAL, 5)
    high, wide = part.shape[:2]

    assert high < image.shape[0]
    assert wide < image.shape[1]
    places = (
        image[y : y + high, x : x + wide]
        for y in range(image.shape[0] - high + 1)
        for x in range(image.shape[1] - wide + 1)
    )
    assert any(np.array_equal(part, place) for place in places)


def test_an_occlusion_covers_a_rectangle_and_nothing_else(image: Image) -> None:
    made = do(image, AugmentationKind.OCCLUSION, 2)
    changed = (made != image).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    inside = made[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, :3]

    assert 0.05 < inside.shape[0] * inside.shape[1] / changed.size < 0.35
    assert (inside == inside[0, 0]).mean() > 0.99


def test_noise_and_colour_keep_the_alpha_and_the_size(image: Image) -> None:
    for kind in (AugmentationKind.NOISE, AugmentationKind.COLOUR):
        made = do(image, kind, 4)
        assert made.shape == image.shape
        if image.shape[2] == 4:
            np.testing.assert_array_equal(made[..., 3], image[..., 3])


def test_a_stretch_changes_the_size_and_a_rotation_does_not(image: Image) -> None:
    assert do(image, AugmentationKind.STRETCH, 6).shape[:2] != image.shape[:2]
    assert do(image, AugmentationKind.ROTATION, 6).shape == image.shape


def test_a_plan_is_seeded_and_repeats_no_kind_before_all_had_their_turn() -> None:
    planned = plan_augmentations(1, "ab" * 32, 9)

    assert planned == plan_augmentations(1, "ab" * 32, 9)
    assert planned[:4] == plan_augmentations(1, "ab" * 32, 4)
    assert {item.kind for item in planned[:7]} == set(KINDS)
    assert len({item.seed for item in planned}) == 9
    assert planned != plan_augmentations(2, "ab" * 32, 9)
    assert planned != plan_augmentations(1, "cd" * 32, 9)
