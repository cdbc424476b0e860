"""The contact sheet of a set: its pictures small, side by side, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from stope.vision.image import Image, bgr, encode_png, resized

MOST = 120
"""Pictures on a sheet; of more, so many are shown, evenly taken."""

_COLUMNS, _TILE, _CAPTION, _GAP, _TITLE = 10, 112, 30, 8, 40
_PAPER, _INK, _PALE, _BOARD = 255, (30, 30, 30), (110, 110, 110), (200, 225)
_BOARD_SIDE = 8
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Tile:
    """A picture as small as it is shown, RGB, and the two lines below it."""

    image: Image
    first: str
    second: str

    @classmethod
    def of(cls, image: Image, first: str, second: str) -> Self:
        """The tile of a picture of any size; what is transparent shows a chequerboard."""
        return cls(_tile(image), first, second)


def shown_of(count: int) -> list[int]:
    """Which of so many pictures are on their sheet."""
    if count <= MOST:
        return list(range(count))
    return [number * count // MOST for number in range(MOST)]


def contact_sheet(title: str, tiles: Sequence[Tile]) -> bytes:
    """A PNG with a title and the pictures in rows.

    Args:
        title: ASCII, as the captions are: OpenCV's letters know no others.
        tiles: the pictures, in order.
    """
    columns = max(1, min(_COLUMNS, len(tiles)))
    rows = -(-len(tiles) // columns)
    across, down = _TILE + _GAP, _TILE + _CAPTION + _GAP
    width = max(columns * across + _GAP, 8 * across)
    sheet = np.full((_TITLE + rows * down + _GAP, width, 3), _PAPER, dtype=np.uint8)
    sheet = bgr(sheet)
    _write(sheet, title, (_GAP, 27), 0.6, _INK)
    for number, tile in enumerate(tiles):
        left = _GAP + number % columns * across
        top = _TITLE + number // columns * down
        small = tile.image
        high, wide = small.shape[:2]
        y, x = top + (_TILE - high) // 2, left + (_TILE - wide) // 2
        sheet[y : y + high, x : x + wide] = bgr(small)
        _write(sheet, tile.first[:19], (left, top + _TILE + 13), 0.36, _INK)
        _write(sheet, tile.second[:19], (left, top + _TILE + 26), 0.36, _PALE)
    return encode_png(bgr(sheet))


def _tile(image: Image) -> Image:
    """A picture as large as its place allows, over a chequerboard where it is transparent."""
    height, width = image.shape[:2]
    scale = _TILE / max(height, width)
    small = resized(image, max(1, round(width * scale)), max(1, round(height * scale)))
    if small.shape[2] == 3:
        return small
    y, x = np.indices(small.shape[:2]) // _BOARD_SIDE
    board = np.where((x + y) % 2 == 0, *_BOARD)[..., np.newaxis]
    alpha = small[..., 3:].astype(np.float64) / 255
    return np.rint(small[..., :3] * alpha + board * (1 - alpha)).astype(np.uint8)


def _write(
    sheet: Image, text: str, at: tuple[int, int], size: float, ink: tuple[int, int, int]
) -> None:
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(sheet, plain, at, _FONT, size, ink, 1, cv2.LINE_AA)
