"""The sets: seeded, 80/20, and nothing of one group, or of an equal picture, in both of them."""

from __future__ import annotations

import itertools

import pytest

from stope.models.dataprep import SetName
from stope.vision.sets import assign_sets

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
