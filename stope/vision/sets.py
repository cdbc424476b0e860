"""Training and validation: whole groups go to one set, so that nothing leaks into the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from stope.identity import digest_of
from stope.models.dataprep import CropRecord, DataPrepConfig, FrameRecord, GroupBy, SetName

_SHARED = 0.1
"""Of a crop: less than that of another in its corner tells nothing of it."""


def assign_sets(groups: Mapping[str, Iterable[str]], share: float, seed: int) -> dict[str, SetName]:
    """The set of every group.

    Groups that hold a token in common go together. Of two groups or more, one at least goes to each
    set, unless all hang together. The draw hangs on the seed and the groups' names alone, not on
    their order.

    Args:
        groups: by name, what each shows; see ``groups_of``.
        share: of the groups, for validation; above 0 and below 1.
        seed: of the draw.
    """
    bundles = sorted(_bundles(groups), key=lambda names: digest_of([seed, sorted(names)]))
    wanted = max(1, round(share * len(groups)))
    held: set[str] = set()
    for names in bundles:
        if len(held) + len(names) <= min(wanted, len(groups) - 1):
            held |= names
    if not held and len(bundles) > 1:
        # Every bundle is larger than what is wanted: the smallest comes nearest.
        held = min(bundles, key=len)
    return {name: SetName.VALIDATION if name in held else SetName.TRAIN for name in groups}


def _bundles(groups: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Groups by what they share, one with another or through a third.

    Each token is looked at once, and every way to a root is halved as it is gone.
    """
    above = {name: name for name in groups}

    def root(name: str) -> str:
        while above[name] != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    owner: dict[str, str] = {}
    for name, tokens in groups.items():
        for token in tokens:
            above[root(owner.setdefault(token, name))] = root(name)
    bundles: dict[str, set[str]] = {}
    for name in groups:
        bundles.setdefault(root(name), set()).add(name)
    return list(bundles.values())


def group_of(crop: CropRecord, frames: Sequence[FrameRecord], by: GroupBy) -> str:
    """The class of a crop, and the group that stays together: its subject, or its frame."""
    return crop.subject if by is GroupBy.SUBJECT else frames[crop.frame].id


def sets_of(
    crops: Sequence[CropRecord], frames: Sequence[FrameRecord], config: DataPrepConfig
) -> dict[str, SetName]:
    """The set of every group of some crops. It takes seconds where there are very many."""
    return assign_sets(groups_of(crops, frames, config.by), config.validation, config.seed)


def groups_of(
    crops: Sequence[CropRecord], frames: Sequence[FrameRecord], by: GroupBy
) -> dict[str, set[str]]:
    """The groups of some crops in the order in which they appear, with a token for what each shows.

    Two groups have a token in common where they hold an equal picture (a video that stood still),
    or crops of one frame that overlap: the same pixels.
    """
    groups: dict[str, set[str]] = {}
    for crop in crops:
        groups.setdefault(group_of(crop, frames, by), set()).add(crop.digest)
    for one, two in _overlapping(crops):
        for crop in (one, two):
            groups[group_of(crop, frames, by)].add(f"{one.id} {two.id}")
    return groups


def _overlapping(crops: Iterable[CropRecord]) -> Iterator[tuple[CropRecord, CropRecord]]:
    """Pairs of crops of one frame of which more than ``_SHARED`` of the smaller is in both."""
    of_frame: dict[int, list[CropRecord]] = {}
    for crop in crops:
        of_frame.setdefault(crop.frame, []).append(crop)
    for found in of_frame.values():
        found.sort(key=lambda crop: crop.rectangle)
        for place, one in enumerate(found):
            left, top, width, height = one.rectangle
            for two in islice(found, place + 1, None):
                x, y, wide, high = two.rectangle
                across = min(left + width, x + wide) - x
                if across <= 0:
                    # Sorted by their left sides: those that follow are farther to the right.
                    break
                down = min(top + height, y + high) - max(top, y)
                if down > 0 and across * down > _SHARED * min(width * height, wide * high):
                    yield one, two
