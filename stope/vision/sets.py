"""Training and validation: whole groups go to one set, so that nothing leaks into the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from stope.identity import digest_of
from stope.models.dataprep import CropRecord, FrameRecord, GroupBy, SetName
from stope.models.vision import Digest


def assign_sets(groups: Mapping[str, Iterable[str]], share: float, seed: int) -> dict[str, SetName]:
    """The set of every group.

    Groups that hold an equal picture (a video that stood still) go together. Of two groups or more,
    one at least goes to each set, unless all hold a picture in common. The draw hangs on the seed
    and the groups' names alone, not on their order.

    Args:
        groups: by name, the digests of the pictures in each.
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
    """Groups by what they share, one with another or through a third."""
    bundles: list[tuple[set[str], set[str]]] = []
    for name, pictures in groups.items():
        names, shown = {name}, set(pictures)
        apart: list[tuple[set[str], set[str]]] = []
        for other_names, other_shown in bundles:
            if shown & other_shown:
                names, shown = names | other_names, shown | other_shown
            else:
                apart.append((other_names, other_shown))
        bundles = [*apart, (names, shown)]
    return [names for names, _ in bundles]


def group_of(crop: CropRecord, frames: Sequence[FrameRecord], by: GroupBy) -> str:
    """The class of a crop, and the group that stays together: its subject, or its frame."""
    return crop.subject if by is GroupBy.SUBJECT else frames[crop.frame].id


def groups_of(
    crops: Iterable[CropRecord], frames: Sequence[FrameRecord], by: GroupBy
) -> dict[str, set[Digest]]:
    """The groups of some crops in the order in which they appear, with their pictures."""
    groups: dict[str, set[Digest]] = {}
    for crop in crops:
        groups.setdefault(group_of(crop, frames, by), set()).add(crop.digest)
    return groups
