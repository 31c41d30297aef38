"""Corners: those that are listed are those that are counted, and all that there are."""

from itertools import product

import numpy as np
import pytest
from scipy import sparse

from baselines.robust.corners import Slot, corner_count, corners_of, slots_of
from baselines.robust.sets import UncertaintySet, budgeted


def slots(*sizes):
    """Return slots of one or two moves, numbered in their order."""
    ends = np.cumsum([0, *sizes])
    return [
        Slot(0, tuple(range(a, b)))
        for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    ]


def points(own, budget):
    """Return the corners as rows of moves."""
    count = sum(len(slot.moves) for slot in own)
    found = []
    for moves, sizes in corners_of(own, budget):
        z = np.zeros(count)
        z[list(moves)] = sizes
        found.append(tuple(z))
    return found


def by_definition(own, budget):
    """Return all points with one move a slot, and one in part only if it uses up the budget."""
    part = budget - int(budget)
    count = sum(len(slot.moves) for slot in own)
    found = set()
    for z in product(sorted({0.0, part, 1.0}), repeat=count):
        partly = part > 0.0 and part in z
        exact = z.count(part) == 1 and sum(z) == pytest.approx(budget) if partly else True
        apart = all(sum(z[m] > 0.0 for m in slot.moves) <= 1 for slot in own)
        if exact and apart and sum(z) <= budget + 1e-12:
            found.add(z)
    return found


@pytest.mark.parametrize("sizes", [(1,), (2,), (1, 2), (2, 2, 1), (1, 1, 1, 1), (2, 1, 2, 1)])
@pytest.mark.parametrize("budget", [0.0, 0.25, 1.0, 1.5, 2.0, 2.75, 3.0])
def test_the_listed_are_those_that_are_counted_and_those_by_definition(sizes, budget):
    own = slots(*sizes)
    most = min(budget, float(len(own)))
    found = points(own, most)
    assert len(found) == len(set(found)) == corner_count(own, most)
    assert set(found) == by_definition(own, most)


def test_a_group_without_moves_has_one_corner():
    assert corner_count([], 0.0) == 1
    assert list(corners_of([], 0.0)) == [((), [])]


def test_opposed_moves_share_a_slot_however_far_each_goes():
    up, down = np.array([1.0, 2.0, 3.0]), np.array([0.4, 0.0, 3.0])
    found = budgeted(up, down, np.array([0, 0, 1]), np.array([2.0, 1.0]))
    assert slots_of(found.moves, found.group, 2) == [
        [Slot(0, (0, 3)), Slot(0, (1,))],
        [Slot(1, (2, 4))],
    ]


def test_moves_of_several_entries_are_opposed_if_they_are_multiples():
    moves = np.array([[1.0, -2.0, 1.0, 0.0], [3.0, -6.0, -3.0, 0.0]])
    same, apart = np.zeros(4, int), np.array([0, 1, 0, 0])
    together = slots_of(sparse.csr_array(moves), same, 1)
    assert together == [[Slot(0, (0, 1)), Slot(0, (2,)), Slot(0, (3,))]]
    # Those of two groups are not: each has a budget of its own.
    assert [len(group) for group in slots_of(sparse.csr_array(moves), apart, 2)] == [3, 1]


def test_how_a_matrix_is_stored_does_not_matter():
    row = np.array([0, 1, 1, 0])  # the second column's entries are out of order
    column = np.array([0, 0, 1, 1])
    entry = np.array([1.0, 3.0, -3.0, -1.0])
    shuffled = sparse.csc_array((entry, row, np.array([0, 2, 4])), shape=(2, 2))
    tidy = sparse.csr_array((entry, (row, column)), shape=(2, 2))
    for moves in (shuffled, tidy):
        assert slots_of(moves, np.zeros(2, int), 1) == [[Slot(0, (0, 1))]]
    # The matrix that was handed over stays as it was.
    assert shuffled.indices.tolist() == row.tolist()


@pytest.mark.parametrize("whole", [False, True])
def test_the_vertices_of_a_set_are_the_corners_of_its_groups(whole):
    uncertain = budgeted(
        np.array([1.0, 1.0, 2.0]),
        np.array([0.4, 0.0, 2.0]),
        np.array([0, 0, 1]),
        np.array([1.5, 7.0]),
        whole,
    )
    first, second = slots_of(uncertain.moves, uncertain.group, 2)
    budget = 1.0 if whole else 1.5
    listed = uncertain.vertices(1000)
    assert len(listed) == corner_count(first, budget) * corner_count(second, 1.0)
    assert len({tuple(z) for z in listed}) == len(listed)


def test_of_opposed_moves_a_whole_set_holds_one():
    """Both together would be a deviation of .6, which is neither up, down nor none."""
    sizes = (np.array([1.0]), np.array([0.4]), np.zeros(1, int), np.array([2.0]))
    whole, loose = budgeted(*sizes, whole=True), budgeted(*sizes)
    for deviation, inside in ((1.0, True), (-0.4, True), (0.0, True), (0.6, False)):
        assert whole.contains(np.array([deviation])) == inside
        assert loose.contains(np.array([deviation]))
    assert sorted(whole.moves @ z for z in whole.vertices(9)) == [[-0.4], [0.0], [1.0]]


def test_limits_are_budgets_and_in_whole_sets_one_of_two():
    sizes = (np.ones(2), np.array([0.5, 0.0]), np.zeros(2, int), np.array([1.7]))
    sums, most = budgeted(*sizes).limits()
    assert sums.toarray().tolist() == [[1.0, 1.0, 1.0]]
    assert most.tolist() == [1.7]
    sums, most = budgeted(*sizes, whole=True).limits()
    assert sums.toarray().tolist() == [[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]]
    assert most.tolist() == [1.0, 1.0]
    alone = UncertaintySet(sparse.csr_array(np.eye(2)), np.zeros(2, int), np.ones(1), whole=True)
    assert alone.limits()[0].shape == (1, 2)
