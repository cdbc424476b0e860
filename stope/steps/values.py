"""Two kinds of values that steps pass on, beside arrays, models, bytes and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from stope.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHANNELS = (3, 4)


class Picture:
    """An image: rows by columns, or by 3 (RGB) or 4 (RGBA) channels. Never changed.

    Args:
        pixels: ``uint8``, or ``uint16`` where it is grey.

    Raises:
        UsageError: it is no such array.
    """

    __slots__ = ("pixels",)

    def __init__(self, pixels: NDArray[Any]) -> None:
        is_grey = pixels.ndim == 2
        is_colour = pixels.ndim == 3 and pixels.shape[2] in _CHANNELS
        depth = pixels.dtype in ((np.uint8, np.uint16) if is_grey else (np.uint8,))
        if not (is_grey or is_colour) or not depth or pixels.size == 0:
            raise UsageError(
                f"An array of shape {pixels.shape} and {pixels.dtype} is no picture: give rows by "
                "columns, or by 3 or 4 channels, of uint8 (uint16 where it is grey)."
            )
        self.pixels: NDArray[Any] = fixed(pixels)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Picture)
            and self.pixels.dtype == other.pixels.dtype
            and np.array_equal(self.pixels, other.pixels)
        )

    __hash__ = None  # type: ignore[assignment]  # compared by its pixels


class Table:
    """Named columns of equal length, in order. Never changed.

    Args:
        columns: one-dimensional arrays of any type but ``object``.

    Raises:
        UsageError: they are not.
    """

    __slots__ = ("columns",)

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        shapes = {array.shape for array in columns.values()}
        if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
            raise UsageError(
                "The columns of a table are one-dimensional and equally long; these have the "
                f"shapes {sorted(shapes)}."
            )
        self.columns: Mapping[str, NDArray[Any]] = MappingProxyType(
            {name: fixed(array) for name, array in columns.items()}
        )

    def __len__(self) -> int:
        return next((len(array) for array in self.columns.values()), 0)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Table)
            and list(self.columns) == list(other.columns)
            and all(
                mine.dtype == other.columns[name].dtype
                and np.array_equal(mine, other.columns[name])
                for name, mine in self.columns.items()
            )
        )

    __hash__ = None  # type: ignore[assignment]  # compared by its columns


def fixed(array: NDArray[Any]) -> NDArray[Any]:
    """An array that nobody writes to: a copy of one that somebody could still change."""
    view = array.copy(order="K") if array.flags.writeable else array.view()
    view.flags.writeable = False
    return view
