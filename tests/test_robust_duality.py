"""The dual of a recourse says what it costs, whatever was decided and however much moves."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, sparse

from baselines.robust.duality import Dual
from tests.robust_cases import all_moves, cost_of, decisions_of, generic, short_day


def highest(dual, x, z):
    """Return the highest value of the dual at given moves, by scipy."""
    rows, low, high = dual.with_gains()
    moves, size = len(dual.able), dual.size
    made = z[dual.able]
    bounds = optimize.Bounds(
        np.concatenate([np.zeros(size), made, np.full(moves, -np.inf)]),
        np.concatenate([np.full(size, np.inf), made, np.full(moves, np.inf)]),
    )
    worth = np.concatenate([dual.values(x), np.zeros(moves), np.ones(moves)])
    found = optimize.milp(
        -worth, bounds=bounds, constraints=optimize.LinearConstraint(rows, low, high)
    )
    assert found.status == 0, found.message
    return -found.fun + dual.paid(x)


def some(uncertain, rng, count=6):
    """Return a few of all moves that are 0 or 1, none among them."""
    every = all_moves(uncertain)
    return [np.zeros(every.shape[1]), *every[rng.permutation(len(every))[:count]]]


@pytest.mark.parametrize("kind", ["box", "whole"])
@pytest.mark.parametrize("seed", range(4))
def test_its_optimum_is_what_the_recourse_costs(seed, kind):
    problem, rng = generic(seed, kind), np.random.default_rng(seed)
    x = decisions_of(problem, rng)
    for scene, own in enumerate(problem.scenes):
        dual = Dual(own, problem.first)
        for z in some(own.uncertain, rng):
            # A move that can only save is not among those that an adversary makes.
            able = np.zeros(len(z))
            able[dual.able] = z[dual.able]
            wanted = cost_of(problem, scene, x, able)
            assert highest(dual, x, able) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("number", range(3))
def test_so_it_is_on_a_members_day(number):
    _, _, problem = short_day(number, kinds=(0, 1, 2, 3), budget=2.0, scenes=1)
    rng = np.random.default_rng(number)
    x = decisions_of(problem, rng)
    own = problem.scenes[0]
    dual = Dual(own, problem.first)
    for _ in range(5):
        z = np.zeros(len(own.most))
        z[dual.able] = own.uncertain.best(rng.normal(size=len(z)))[dual.able]
        assert highest(dual, x, z) == pytest.approx(cost_of(problem, 0, x, z), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_binaries_that_are_told_count_as_decided(seed):
    problem = generic(seed, "whole", recourse_binaries=2)
    rng = np.random.default_rng(seed)
    x = decisions_of(problem, rng)
    told = np.concatenate([problem.first, problem.recourse_whole])
    none = np.zeros(0, dtype=np.int64)
    for scene, own in enumerate(problem.scenes):
        dual = Dual(own, told)
        z = np.zeros(len(own.most))
        z[dual.able[:1]] = 1.0
        by_pattern = []
        for pattern in np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]):
            both = np.concatenate([x, pattern])
            fixed = replace(problem, first=told, recourse_whole=none)
            wanted = cost_of(fixed, scene, both, z)
            assert highest(dual, both, z) == pytest.approx(wanted, rel=1e-6)
            by_pattern.append(wanted)
        assert min(by_pattern) == pytest.approx(cost_of(problem, scene, x, z), rel=1e-6)


def test_what_can_cost_nothing_is_left_out_and_not_made():
    problem = generic(2, "box")
    own = problem.scenes[0]
    most = own.most.copy()
    most[0] = 0.0
    dual = Dual(replace(own, most=most), problem.first)
    assert 0 not in dual.able
    assert np.array_equal(dual.most, most[dual.able])
    made = dual.moves(np.full(len(dual.able), 0.9999999))
    assert made[0] == 0.0
    assert made.sum() == len(dual.able)


@pytest.mark.parametrize("whole", [False, True])
def test_budgets_are_those_of_the_moves_that_are_left(whole):
    problem = generic(1, "whole")
    own = problem.scenes[0]
    uncertain = replace(own.uncertain, whole=whole)
    dual = Dual(replace(own, uncertain=uncertain), problem.first)
    spent, most = dual.budgets()
    sums, wanted = uncertain.limits()
    assert np.array_equal(spent.toarray(), sums.toarray()[:, dual.able])
    assert np.array_equal(most, wanted)


def test_a_row_that_nothing_else_stands_in_weighs_nothing():
    """It is the master's, which keeps it up to a rounding."""
    problem = generic(0)
    own = problem.scenes[0]
    x = decisions_of(problem, np.random.default_rng(0))
    n = own.programme.numbers
    broken = replace(n, row_lower=np.append(n.row_lower[:-1], x.sum() + 1e-7))
    programme = replace(own.programme, numbers=broken)
    z = np.zeros(len(own.most))
    values = [
        highest(Dual(replace(own, programme=p), problem.first), x, z)
        for p in (own.programme, programme)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    assert sparse.issparse(programme.matrix)
