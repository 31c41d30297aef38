"""Uncertainty sets: what is in them, how far they reach, and what lies on their boundary."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog

from baselines.robust.sets import UncertaintySet, box, budgeted
from mmg_env.errors import InputError

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=25, deadline=None)


def drawn(seed, whole=None, dense=None, most_entries=5):
    """Return a small random set; sizes of 0 and fractional budgets are among them."""
    rng = np.random.default_rng(seed)
    entries, groups = int(rng.integers(1, most_entries + 1)), int(rng.integers(1, 3))
    group = rng.integers(groups, size=entries)
    sizes = rng.choice([0.0, 1.0, 1.0, 2.5], size=(2, entries)) * rng.uniform(0.5, 2.0)
    budget = rng.choice([0.0, 1.0, 1.4, 2.0, 7.0], size=groups)
    is_whole = bool(rng.integers(2)) if whole is None else whole
    found = budgeted(sizes[0], sizes[1], group, budget, is_whole)
    if dense if dense is not None else rng.random() < 0.4:
        mixed = rng.normal(size=(entries, entries)) @ found.moves.toarray()
        found = replace(found, moves=sparse.csr_array(mixed))
    return found, rng


def is_in(uncertain, z):
    """Say whether moves are in a set, by its definition."""
    used = np.bincount(uncertain.group, weights=z, minlength=len(uncertain.budget))
    whole = not uncertain.whole or np.isin(z, [0.0, 1.0]).all()
    bounds = (z >= -1e-12).all() and (z <= 1.0 + 1e-12).all()
    return bool(bounds and (used <= uncertain.budget + 1e-9).all() and whole)


def rows_of(uncertain):
    groups = np.arange(len(uncertain.budget))[:, None]
    return (uncertain.group == groups).astype(float)


@FEW
@given(SEEDS)
def test_support_is_the_optimum_of_the_linear_programme(seed):
    uncertain, rng = drawn(seed, whole=False)
    direction = rng.normal(size=uncertain.moves.shape[0])
    value, z = uncertain.support(direction)
    assert is_in(uncertain, z)
    assert value == pytest.approx(direction @ (uncertain.moves @ z), abs=1e-9)
    gain = np.asarray(uncertain.moves.T @ direction)
    if len(gain):
        limits = {"A_ub": rows_of(uncertain), "b_ub": uncertain.budget}
        assert value == pytest.approx(-linprog(-gain, **limits, bounds=(0, 1)).fun, abs=1e-8)


@FEW
@given(SEEDS)
def test_best_beats_every_other_choice_of_moves(seed):
    uncertain, rng = drawn(seed, whole=True, most_entries=4)
    count = uncertain.moves.shape[1]
    gain = rng.normal(size=count)
    z = uncertain.best(gain)
    every = (np.array(choice, float) for choice in product((0, 1), repeat=count))
    assert is_in(uncertain, z)
    assert gain @ z == pytest.approx(max(gain @ c for c in every if is_in(uncertain, c)))


@FEW
@given(SEEDS)
def test_samples_are_in_the_set(seed):
    uncertain, rng = drawn(seed)
    for z in uncertain.sample(20, rng):
        assert is_in(uncertain, z)
        assert uncertain.contains(uncertain.moves @ z)


@FEW
@given(SEEDS)
def test_vertices_are_in_the_set_and_its_support_is_at_one_of_them(seed):
    uncertain, rng = drawn(seed)
    found = uncertain.vertices(100_000)
    assert all(is_in(uncertain, z) for z in found)
    assert len(np.unique(found, axis=0)) == len(found)
    deviations = found @ uncertain.moves.toarray().T
    for direction in rng.normal(size=(5, uncertain.moves.shape[0])):
        reach = uncertain.support(direction)[0]
        assert reach == pytest.approx((deviations @ direction).max(), abs=1e-9)


@FEW
@given(SEEDS)
def test_what_is_beyond_the_support_is_not_in_the_set(seed):
    uncertain, rng = drawn(seed)
    direction = rng.normal(size=uncertain.moves.shape[0])
    reach, z = uncertain.support(direction)
    there = np.asarray(uncertain.moves @ z)
    assert uncertain.contains(there)
    assert not uncertain.contains(there + 0.01 * direction / (direction @ direction))
    assert reach >= 0.0


@FEW
@given(SEEDS)
def test_the_gauge_says_how_far_out_a_deviation_is(seed):
    uncertain, rng = drawn(seed, whole=False)
    z = uncertain.sample(1, rng)[0]
    deviation = np.asarray(uncertain.moves @ z)
    once, twice = uncertain.gauge(np.array([deviation, 2.0 * deviation]))
    assert once <= 1.0 + 1e-7
    assert twice == pytest.approx(2.0 * once, abs=1e-7)
    if once > 1e-3:
        assert uncertain.contains(0.999 / once * deviation)
        assert not uncertain.contains(1.001 / once * deviation, 1e-7)


@FEW
@given(SEEDS)
def test_a_larger_budget_reaches_farther_and_moves_in_full_less_far(seed):
    uncertain, rng = drawn(seed, whole=False)
    larger = replace(uncertain, budget=uncertain.budget + rng.uniform(0.0, 2.0))
    whole = replace(uncertain, whole=True)
    for direction in rng.normal(size=(5, uncertain.moves.shape[0])):
        reach = [s.support(direction)[0] for s in (whole, uncertain, larger)]
        assert reach == sorted(reach)


@FEW
@given(SEEDS)
def test_a_box_holds_what_lies_between_its_ends(seed):
    rng = np.random.default_rng(seed)
    up, down = rng.choice([0.0, 1.0, 3.0], size=(2, 4))
    uncertain = box(up, down)
    inside = rng.uniform(-down, up)
    assert uncertain.contains(inside)
    direction = rng.normal(size=4)
    wanted = (np.maximum(direction, 0.0) * up + np.maximum(-direction, 0.0) * down).sum()
    assert uncertain.support(direction)[0] == pytest.approx(wanted)
    inside[rng.integers(4)] = 3.01
    assert not uncertain.contains(inside)
    assert len(uncertain.vertices(200)) == np.prod(1 + (up > 0.0) + (down > 0.0))


def test_a_discrete_set_holds_full_deviations_alone():
    one = np.ones(3)
    uncertain = budgeted(one, one, np.zeros(3, int), np.array([2.0]), whole=True)
    for point in product((-1.0, -0.5, 0.0, 1.0), repeat=3):
        wanted = -0.5 not in point and np.abs(point).sum() <= 2.0
        assert uncertain.contains(np.array(point)) == wanted
    assert not uncertain.contains(np.array([0.5, 0.5, 0.5]))
    assert replace(uncertain, whole=False).contains(np.array([0.5, 0.5, 0.5]))
    listed = {tuple(v) for v in uncertain.vertices(100) @ uncertain.moves.toarray().T}
    assert len(listed) == 1 + 3 * 2 + 3 * 4
    assert {np.abs(v).sum() for v in listed} == {0.0, 1.0, 2.0}


def test_a_budget_that_is_not_whole_has_vertices_with_one_move_in_part():
    uncertain = budgeted(np.ones(3), np.zeros(3), np.zeros(3, int), np.array([1.5]))
    found = {tuple(z) for z in uncertain.vertices(10)}
    partly = {(1.0, 0.5, 0.0), (1.0, 0.0, 0.5), (0.5, 1.0, 0.0)}
    partly |= {(0.0, 1.0, 0.5), (0.5, 0.0, 1.0), (0.0, 0.5, 1.0)}
    assert found == partly | {(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)}


def test_opposed_moves_are_never_listed_or_drawn_together():
    up, down = np.array([2.0, 1.0]), np.array([1.0, 1.0])
    uncertain = budgeted(up, down, np.zeros(2, int), np.array([2.0]), whole=True)
    drawn_ones = uncertain.sample(200, np.random.default_rng(0))
    for z in (*uncertain.vertices(9), *drawn_ones):
        assert (z[:2] + z[2:] <= 1.0).all()


def test_samples_reach_the_boundary_and_the_inside_both_ways():
    one = np.ones(6)
    uncertain = budgeted(one, one, np.zeros(6, int), np.array([2.0]))
    z = uncertain.sample(400, np.random.default_rng(1))
    used = z.sum(axis=1)
    assert 0.3 < np.isclose(used, 2.0).mean() < 0.9
    assert (used < 1.0).mean() > 0.05
    assert ((z == 0.0) | (z == 1.0)).all(axis=1).mean() > 0.1
    assert np.all(np.abs((z @ uncertain.moves.toarray().T).mean(axis=0)) < 0.1)


def test_the_same_generator_draws_the_same_moves():
    uncertain, _ = drawn(3)
    first, again = (uncertain.sample(5, np.random.default_rng(2)) for _ in range(2))
    assert np.array_equal(first, again)


def test_more_vertices_than_asked_for_are_counted_not_listed():
    large = budgeted(np.ones(96), np.ones(96), np.zeros(96, int), np.array([48.0]))
    with pytest.raises(InputError, match=r"has \d{30,} vertices; at most 1000"):
        large.vertices(1000)


def test_a_set_without_moves_holds_nothing_but_zero():
    none = box(np.zeros(3), np.zeros(3))
    assert none.contains(np.zeros(3))
    assert not none.contains(np.array([0.0, 0.1, 0.0]))
    assert none.support(np.ones(3))[0] == 0.0
    assert none.vertices(1).shape == (1, 0)
    assert none.sample(4, np.random.default_rng(0)).shape == (4, 0)
    assert none.gauge(np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])).tolist() == [0.0, np.inf]


ONE, GROUP, BUDGET = np.ones(2), np.zeros(2, int), np.ones(1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((-ONE, ONE, GROUP, BUDGET), "up: entry 0 is -1.0"),
        ((ONE, np.array([1.0, np.nan]), GROUP, BUDGET), "down: entry 1 is nan"),
        ((ONE, np.array([np.inf, 1.0]), GROUP, BUDGET), "down: entry 0 is inf"),
        ((ONE, np.ones(3), GROUP, BUDGET), r"down: shape \(3,\); it must be \(2,\)"),
        ((ONE, ONE, GROUP, -BUDGET), "budget: .* at least 0"),
        ((ONE, ONE, GROUP, np.array([np.nan])), "budget: .* at least 0"),
        ((ONE, ONE, GROUP + 1, BUDGET), r"group: 1\.\.1; it must lie in 0\.\.0"),
    ],
)
def test_what_makes_no_set_is_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        budgeted(*arguments)


def test_deviations_and_groups_of_another_length_are_refused():
    uncertain = box(ONE, ONE)
    with pytest.raises(InputError, match=r"deviation: shape \(3,\); it must be \(2,\)"):
        uncertain.contains(np.zeros(3))
    with pytest.raises(InputError, match=r"deviations: shape \(1, 3\)"):
        uncertain.gauge(np.zeros((1, 3)))
    with pytest.raises(InputError, match="one number per move"):
        UncertaintySet(uncertain.moves, uncertain.group[:1], uncertain.budget)
