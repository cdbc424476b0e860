"""The faults that workers do to themselves: a small file which all processes of a run map.

An order names a boundary, how many passages it lets by, and what the process that passes next does
to itself. The director writes orders, and the workers look at every boundary.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_SLOT = struct.Struct("<ii40s16s")
_SLOTS = 32
_FLAGS = 8
_SIZE = _FLAGS + _SLOTS * _SLOT.size


class Act(StrEnum):
    """What a process does to itself."""

    KILL = "kill"
    STOP = "stop"
    FULL = "full"
    """Only where something is written to a disk: there is no room."""


@dataclass(frozen=True)
class Order:
    """``number`` names the fault; it happens at the ``countdown``-th passage from now."""

    number: int
    boundary: str
    act: Act
    countdown: int = 1


class Orders:
    """The mapped file.

    Args:
        path: is made if there is none.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._file, _SIZE)
        self._map = mmap.mmap(self._file, _SIZE)

    @property
    def records_full(self) -> bool:
        """Whether the disk of the records has no room just now."""
        return self._map[0] == 1

    @records_full.setter
    def records_full(self, full: bool) -> None:
        self._map[0] = int(full)

    def give(self, order: Order) -> None:
        """Put an order where there is room for one.

        Raises:
            ValueError: there are too many.
        """
        for slot in range(_SLOTS):
            if self._slot(slot)[1] == 0:
                fields = (order.number, 0, order.boundary.encode(), order.act.encode())
                _SLOT.pack_into(self._map, self._place(slot), *fields)
                # The countdown comes last: until it stands, nobody heeds the slot.
                struct.pack_into("<i", self._map, self._place(slot) + 4, order.countdown)
                return
        raise ValueError("no room for another order")

    def withdraw(self, number: int) -> bool:
        """Take an order back. Returns whether it still stood."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            for slot in range(_SLOTS):
                found, countdown, _, _ = self._slot(slot)
                if found == number and countdown > 0:
                    struct.pack_into("<i", self._map, self._place(slot) + 4, 0)
                    return True
            return False
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def standing(self) -> set[int]:
        """The numbers of the orders that nobody has carried out."""
        slots = [self._slot(slot) for slot in range(_SLOTS)]
        return {number for number, countdown, _, _ in slots if countdown > 0}

    def passing(self, boundary: str) -> tuple[int, Act] | None:
        """Count a passage; gives the order that is to be carried out now."""
        name = boundary.encode()
        if not any(self._is(slot, name) for slot in range(_SLOTS)):
            return None
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            for slot in range(_SLOTS):
                if not self._is(slot, name):
                    continue
                number, countdown, _, act = self._slot(slot)
                struct.pack_into("<i", self._map, self._place(slot) + 4, countdown - 1)
                if countdown == 1:
                    return number, Act(act.rstrip(b"\0").decode())
                return None
            return None
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _is(self, slot: int, name: bytes) -> bool:
        _, countdown, boundary, _ = self._slot(slot)
        return countdown > 0 and boundary.rstrip(b"\0") == name

    def _slot(self, slot: int) -> tuple[int, int, bytes, bytes]:
        found: tuple[int, int, bytes, bytes] = _SLOT.unpack_from(self._map, self._place(slot))
        return found

    @staticmethod
    def _place(slot: int) -> int:
        return _FLAGS + slot * _SLOT.size
