"""Robust counterparts: what moves add at most, as a linear programme says it."""

import numpy as np
import pytest
from scipy import sparse

from baselines.programme import Programme, numbers_of
from baselines.robust.counterpart import Lines, counterpart, expanded, factors_of
from baselines.robust.problem import Scene
from baselines.robust.sets import UncertaintySet, budgeted
from mmg_env.errors import InputError

ENTRIES = 4


def scene_of(uncertain, by_entry=None):
    """Return a scene whose rows are shifted by the entries themselves, unless stated."""
    push = uncertain.moves if by_entry is None else sparse.csr_array(by_entry @ uncertain.moves)
    rows, moves = push.shape
    none, free = np.zeros(1), np.full(rows, np.inf)
    programme = Programme(
        "none", sparse.csr_array((rows, 1)), numbers_of(none, none, -free, free, none)
    )
    return Scene(programme, push, uncertain, np.zeros(moves), np.zeros(moves))


def drawn(seed):
    """Return a random set over the entries; every third deviates as far up as down."""
    rng = np.random.default_rng(seed)
    up, down = rng.uniform(0.2, 2.0, (2, ENTRIES))
    down = up if seed % 3 == 0 else down * (rng.random(ENTRIES) < 0.7)
    budget = np.array([rng.choice([0.0, 1.0, 1.5]), rng.choice([1.0, 1.7, 2.0])])
    return rng, budgeted(up, down, np.array([0, 0, 1, 1]), budget, whole=seed % 2 == 1)


def reached(factors, gain, side):
    """Return how far a line goes at most whose left side each factor of 1 raises by its gain.

    The line is gain . v - t <= 0 (side 1) or gain . v + t >= 0 (side -1), and t is least.
    """
    count = len(factors.entry)
    line = Lines(
        sparse.csr_array([[-1.0 * side]]),
        np.array([-np.inf if side > 0 else 0.0]),
        np.array([0.0 if side > 0 else np.inf]),
        np.zeros(count, dtype=np.int64),
        np.arange(count),
        sparse.eye_array(count, format="csr"),
        np.zeros(count),
    )
    found = counterpart(line, factors)
    numbers = numbers_of(
        np.concatenate([[-np.inf], gain, np.zeros(found.duals)]),
        np.concatenate([[np.inf], gain, np.full(found.duals, np.inf)]),
        found.low,
        found.high,
        np.concatenate([[1.0], np.zeros(count + found.duals)]),
    )
    return Programme("reach", found.matrix, numbers).solve().objective


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("seed", range(12))
def test_a_line_goes_as_far_as_the_set_does(seed, side):
    rng, uncertain = drawn(seed)
    factors = factors_of(scene_of(uncertain), apart=False)
    gain = rng.normal(size=len(factors.entry))
    direction = np.zeros(ENTRIES)
    direction[factors.entry] = gain / factors.size
    assert reached(factors, gain, side) == pytest.approx(uncertain.support(side * direction)[0])
    assert factors.most(gain) == pytest.approx(uncertain.support(direction)[0])


@pytest.mark.parametrize("seed", range(12))
def test_told_apart_up_and_down_go_as_far_as_the_vertices_do(seed):
    rng, uncertain = drawn(seed)
    factors = factors_of(scene_of(uncertain), apart=True)
    gain = rng.normal(size=len(factors.entry))
    seen = [factors.seen(uncertain.moves @ z) for z in uncertain.vertices(1000)]
    furthest = max(float(gain @ v) for v in seen)
    assert reached(factors, gain, 1) == pytest.approx(furthest)
    assert factors.most(gain) == pytest.approx(furthest)
    assert all(((v >= 0.0) & (v <= 1.0 + 1e-12)).all() for v in seen)


def test_a_budget_that_limits_nothing_has_no_column():
    group = np.zeros(ENTRIES, dtype=np.int64)
    sizes = np.ones(ENTRIES)
    narrow, wide = (
        factors_of(scene_of(budgeted(sizes, sizes, group, np.array([budget]))), apart=False)
        for budget in (2.0, 4.0)
    )
    line = Lines(
        sparse.csr_array([[1.0]]),
        np.array([-1.0]),
        np.array([1.0]),
        np.zeros(ENTRIES, dtype=np.int64),
        np.arange(ENTRIES),
        sparse.eye_array(ENTRIES, format="csr"),
        np.zeros(ENTRIES),
    )
    assert counterpart(line, wide).duals == ENTRIES
    assert counterpart(line, narrow).duals == ENTRIES + 1


def test_an_equation_holds_factor_by_factor():
    _, uncertain = drawn(3)
    factors = factors_of(scene_of(uncertain), apart=False)
    count = len(factors.entry)
    line = Lines(
        sparse.csr_array([[1.0]]),
        np.array([2.0]),
        np.array([2.0]),
        np.zeros(count, dtype=np.int64),
        np.arange(count),
        sparse.eye_array(count, format="csr"),
        np.arange(1.0, count + 1.0),
    )
    found = counterpart(line, factors)
    assert found.duals == 0
    solution = np.concatenate([[2.0], np.arange(1.0, count + 1.0)])
    assert found.matrix @ solution == pytest.approx(found.low)
    assert (found.low == found.high).all()


def test_factors_are_shares_of_the_largest_deviation():
    up, down = np.array([2.0, 0.0, 1.0, 0.5]), np.array([1.0, 4.0, 1.0, 0.0])
    uncertain = budgeted(up, down, np.array([0, 0, 0, 1]), np.array([2.0, 0.0]))
    by_entry = np.diag([1.0, -2.0, 3.0, 5.0])
    whole = factors_of(scene_of(uncertain, by_entry), apart=False)
    assert whole.entry.tolist() == [0, 1, 2]  # the last has no budget
    assert np.abs(whole.size).tolist() == [2.0, 4.0, 1.0]
    deviation = np.array([-1.0, -2.0, 0.5, 0.0])
    shifted = whole.shift @ whole.seen(deviation)
    assert shifted == pytest.approx(by_entry @ deviation)
    apart = factors_of(scene_of(uncertain, by_entry), apart=True)
    assert apart.entry.tolist() == [0, 0, 1, 2, 2]
    assert apart.size.tolist() == [2.0, -1.0, -4.0, 1.0, -1.0]
    assert apart.seen(deviation).tolist() == [0.0, 1.0, 0.5, 0.5, 0.0]
    assert apart.shift @ apart.seen(deviation) == pytest.approx(by_entry @ deviation)
    assert not apart.symmetric
    assert not whole.symmetric


def test_elements_of_rows_come_one_after_another():
    which, number = expanded(np.array([0, 2, 2, 5]), np.array([2, 0, 1, 2]))
    assert which.tolist() == [0, 0, 0, 1, 1, 3, 3, 3]
    assert number.tolist() == [2, 3, 4, 0, 1, 2, 3, 4]


def test_moves_must_change_one_entry_each_in_proportion():
    group, budget = np.zeros(2, dtype=np.int64), np.ones(1)
    empty = UncertaintySet(sparse.csr_array([[1.0, 0.0]]), group, budget)
    with pytest.raises(InputError, match="move 1 changes 0 entries"):
        factors_of(scene_of(empty), apart=False)
    opposed = UncertaintySet(sparse.csr_array([[1.0, -1.0]]), group, budget)
    scene = scene_of(opposed)
    crooked = Scene(
        scene.programme, sparse.csr_array([[1.0, -0.5]]), opposed, scene.least, scene.most
    )
    for apart in (False, True):
        with pytest.raises(InputError, match=r"differ by 0\.5"):
            factors_of(crooked, apart)
