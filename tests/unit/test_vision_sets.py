"""The sets: seeded, 80/20, and nothing of one group, or of an equal picture, in both of them."""

from __future__ import annotations

import itertools

import pytest

from stope.models.dataprep import CropRecord, DataPrepConfig, FrameRecord, GroupBy, SetName
from stope.models.vision import Box, Rectangle
from stope.vision.sets import assign_sets, groups_of, sets_of

GROUPS = {f"subject{number}": {f"picture{number}", f"other{number}"} for number in range(20)}


def held(sets: dict[str, SetName]) -> set[str]:
    return {name for name, where in sets.items() if where is SetName.VALIDATION}


def test_a_fifth_of_the_groups_is_held_back() -> None:
    assert len(held(assign_sets(GROUPS, 0.2, seed=1))) == 4
    assert len(held(assign_sets(GROUPS, 0.5, seed=1))) == 10


def test_the_draw_hangs_on_the_seed_and_not_on_the_order() -> None:
    turned = dict(reversed(GROUPS.items()))

    assert assign_sets(GROUPS, 0.2, seed=1) == assign_sets(turned, 0.2, seed=1)
    draws = [frozenset(held(assign_sets(GROUPS, 0.2, seed=seed))) for seed in range(10)]
    assert len(set(draws)) > 5


@pytest.mark.parametrize("seed", range(12))
def test_groups_with_a_picture_in_common_are_on_the_same_side(seed: int) -> None:
    groups = GROUPS | {"twin": {"picture0", "new"}, "cousin": {"new"}}
    sets = assign_sets(groups, 0.2, seed)

    assert sets["subject0"] == sets["twin"] == sets["cousin"]
    for one, two in itertools.combinations(groups, 2):
        if sets[one] != sets[two]:
            assert not groups[one] & groups[two]
    assert held(sets)


def test_of_two_groups_one_is_on_each_side() -> None:
    for seed, share in itertools.product(range(5), (0.01, 0.2, 0.99)):
        assert len(held(assign_sets({"a": {"1"}, "b": {"2"}}, share, seed))) == 1


def test_a_group_alone_is_learned_from() -> None:
    assert assign_sets({"a": {"1"}}, 0.2, 0) == {"a": SetName.TRAIN}
    assert not held(assign_sets({"a": {"1"}, "b": {"1"}}, 0.2, 0))
    assert assign_sets({}, 0.2, 0) == {}


@pytest.mark.timeout(60)
def test_very_many_groups_are_gone_through_once() -> None:
    groups = {str(number): {f"own{number}", f"of{number // 10}"} for number in range(100_000)}
    sets = assign_sets(groups, 0.2, seed=1)

    assert len(held(sets)) == 20_000
    assert all(sets[str(number)] == sets[str(number // 10 * 10)] for number in range(100_000))
    chain = {str(number): {str(number), str(number + 1)} for number in range(100_000)}
    assert not held(assign_sets(chain, 0.2, seed=1))


FRAMES = [
    FrameRecord(
        video=0, index=number, time=number, pts=number, width=320, height=180, digest="f" * 64
    )
    for number in range(20)
]


def crop(frame: int, subject: int, rectangle: Rectangle) -> CropRecord:
    x, y, width, height = rectangle
    number = 100 * frame + subject
    return CropRecord(
        id=f"crop{number}",
        frame=frame,
        box=Box(frame=frame, x=x, y=y, width=width, height=height, score=1, label="person"),
        rectangle=rectangle,
        digest=f"{number:064x}",
        look=(),
        subject=f"subject{subject}",
    )


@pytest.mark.parametrize("seed", range(12))
def test_subjects_whose_crops_show_the_same_pixels_are_on_the_same_side(seed: int) -> None:
    # Pairs stand side by side: their boxes differ, and so do their pictures, but not by much.
    crops = [
        crop(number, subject, (40 + 8 * (subject % 2), 20, 40, 90))
        for number in range(20)
        for subject in (2 * number, 2 * number + 1)
    ]
    sets = sets_of(crops, FRAMES, DataPrepConfig(by=GroupBy.SUBJECT, seed=seed))

    assert len(held(sets)) == 8
    for number in range(20):
        assert sets[f"subject{2 * number}"] == sets[f"subject{2 * number + 1}"]


def test_crops_of_a_frame_share_pixels_where_they_overlap_and_nowhere_else() -> None:
    crops = [
        crop(0, 1, (100, 100, 50, 50)),
        crop(0, 2, (10, 100, 100, 50)),
        crop(0, 3, (145, 100, 50, 50)),
        crop(0, 4, (100, 160, 50, 50)),
        crop(1, 5, (100, 100, 50, 50)),
    ]
    groups = groups_of(crops, FRAMES, GroupBy.SUBJECT)

    together = [
        (one, two) for one, two in itertools.combinations(groups, 2) if groups[one] & groups[two]
    ]
    assert together == [("subject1", "subject2")], "a fifth of the smaller; a tenth is not enough"
    assert [len(shown) for shown in groups.values()] == [2, 2, 1, 1, 1]
