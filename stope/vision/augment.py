"""Augmentation: pictures made of a picture, each of a kind and a seed.

scikit-image does the work. The kinds are those that a subject in a video shows by itself: turned,
mirrored, nearer or slanted, cut off by the frame, behind something, in bad or other light.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from skimage import color, exposure, transform, util

from stope.identity import digest_of
from stope.models.vision import Augmentation, AugmentationKind
from stope.vision.image import Image

AUGMENT_VERSION = 1
"""Raised when an augmentation makes something else of a picture."""

Random = np.random.Generator
Colours = npt.NDArray[np.float64]

_ANGLE = 20.0
_STRETCH = (0.75, 1.33)
_PART = (0.6, 0.9)
_COVERED = (0.3, 0.55)
"""Of each side, so 9 to 30 percent of the picture."""

_NOISE = (0.002, 0.012)
_HUE, _SATURATION, _GAMMA = 0.04, (0.7, 1.3), (0.7, 1.4)
_LEAST_SIDE = 8


def plan_augmentations(seed: int, crop: str, count: int) -> tuple[Augmentation, ...]:
    """What is made of a crop: kinds in an order drawn for it, each once before any is repeated.

    Args:
        seed: of the data set.
        crop: its digest, so that it gets the same wherever it stands.
        count: how many.
    """
    random = np.random.default_rng(_number(seed, crop, "kinds"))
    kinds: list[AugmentationKind] = []
    while len(kinds) < count:
        kinds += [list(AugmentationKind)[number] for number in random.permutation(7)]
    return tuple(
        Augmentation(kind=kind, seed=_number(seed, crop, str(number)))
        for number, kind in enumerate(kinds[:count])
    )


def augmented(image: Image, augmentation: Augmentation) -> Image:
    """A picture after an augmentation; RGB stays RGB, RGBA stays RGBA with its alpha moved along.

    Args:
        image: shape ``(height, width, 3 or 4)``; it is not changed.
        augmentation: what to do. The same picture and augmentation give the same result.
    """
    random = np.random.default_rng(augmentation.seed)
    made = _DO[augmentation.kind](image, random)
    return np.ascontiguousarray(_hidden(made))


def _number(seed: int, crop: str, what: str) -> int:
    return int(digest_of([seed, crop, what])[:12], 16)


def _flip(image: Image, random: Random) -> Image:
    return image[:, ::-1]


def _rotation(image: Image, random: Random) -> Image:
    angle = float(random.uniform(-_ANGLE, _ANGLE))
    # With alpha the corners are empty; without it the edge goes on, so that no black looms in.
    mode = "constant" if image.shape[2] == 4 else "edge"
    return _bytes(transform.rotate(image, angle, mode=mode, preserve_range=True, order=1))


def _stretch(image: Image, random: Random) -> Image:
    height, width = image.shape[:2]
    down, across = random.uniform(*_STRETCH, size=2)
    size = (max(_LEAST_SIDE, round(height * down)), max(_LEAST_SIDE, round(width * across)))
    return _bytes(transform.resize(image, size, order=1, preserve_range=True, anti_aliasing=True))


def _partial(image: Image, random: Random) -> Image:
    (top, left), (high, wide) = _part(image, random, _PART)
    return image[top : top + high, left : left + wide].copy()


def _occlusion(image: Image, random: Random) -> Image:
    (top, left), (high, wide) = _part(image, random, _COVERED)
    made = image.copy()
    # Something grey: it has the colour of none of the subjects.
    made[top : top + high, left : left + wide, :3] = random.integers(60, 200)
    if image.shape[2] == 4:
        made[top : top + high, left : left + wide, 3] = 255
    return made


def _noise(image: Image, random: Random) -> Image:
    variance = float(random.uniform(*_NOISE))
    noisy = util.random_noise(image[..., :3], mode="gaussian", rng=random, var=variance)
    return _with_alpha(image, _bytes(noisy * 255))


def _colour(image: Image, random: Random) -> Image:
    found: Colours = color.rgb2hsv(image[..., :3])
    found[..., 0] = (found[..., 0] + random.uniform(-_HUE, _HUE)) % 1.0
    found[..., 1] = np.clip(found[..., 1] * random.uniform(*_SATURATION), 0, 1)
    lit = exposure.adjust_gamma(color.hsv2rgb(found), gamma=float(random.uniform(*_GAMMA)))
    return _with_alpha(image, _bytes(lit * 255))


_DO: dict[AugmentationKind, Callable[[Image, Random], Image]] = {
    AugmentationKind.FLIP: _flip,
    AugmentationKind.ROTATION: _rotation,
    AugmentationKind.STRETCH: _stretch,
    AugmentationKind.PARTIAL: _partial,
    AugmentationKind.OCCLUSION: _occlusion,
    AugmentationKind.NOISE: _noise,
    AugmentationKind.COLOUR: _colour,
}


def _part(
    image: Image, random: Random, shares: tuple[float, float]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Top and left, height and width of a part of a picture, with sides of these shares."""
    height, width = image.shape[:2]
    high = min(height, max(_LEAST_SIDE, round(height * random.uniform(*shares))))
    wide = min(width, max(_LEAST_SIDE, round(width * random.uniform(*shares))))
    top = int(random.integers(0, height - high + 1))
    left = int(random.integers(0, width - wide + 1))
    return (top, left), (high, wide)


def _bytes(values: Colours) -> Image:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _with_alpha(image: Image, colours: Image) -> Image:
    return colours if image.shape[2] == 3 else np.dstack([colours, image[..., 3]])


def _hidden(image: Image) -> Image:
    """What is transparent is black, as in the crop."""
    if image.shape[2] == 3:
        return image
    return np.where(image[..., 3:] == 0, 0, image).astype(np.uint8)
