"""The nested search finds the worst of all moves, answered with binaries, and bounds it always."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from baselines.programme import Programme, numbers_of
from baselines.robust.day_ahead import directed
from baselines.robust.nested import Nested
from baselines.robust.problem import RobustProblem, Scene
from baselines.robust.sets import budgeted
from baselines.robust.typical_days import model_of
from baselines.solution import Stop
from mmg_env.errors import InputError
from tests.robust_cases import cost_of, decisions_of, generic, listed, short_day, solved

TIGHT = Stop(gap=1e-6, iterations=60, time_s=20.0)
NO_TIME = Stop(gap=1e-6, iterations=60, time_s=0.0)
COARSE = Stop(gap=1e-4, iterations=40, time_s=30.0)
NONE = np.zeros(0, dtype=np.int64)


def vertices(problem, scene):
    """Return all whole moves of a set."""
    return problem.scenes[scene].uncertain.vertices(10_000)


def worst(problem, scene, x, price=0.0):
    """Return what the worst whole moves cost, less their price."""
    paid = (cost_of(problem, scene, x, z) - price * z.sum() for z in vertices(problem, scene))
    return max(paid)


def in_whole(problem):
    """Return a problem with moves that are made in full or not at all."""
    scenes = tuple(
        replace(own, uncertain=replace(own.uncertain, whole=True)) for own in problem.scenes
    )
    return replace(problem, scenes=scenes)


@pytest.mark.parametrize("price", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(5))
def test_it_finds_the_worst_of_all_moves(seed, price):
    problem = generic(seed, "whole", recourse_binaries=1 + seed % 2)
    x = decisions_of(problem, np.random.default_rng(seed))
    nested = Nested(problem, TIGHT)
    for scene in range(len(problem.scenes)):
        wanted = worst(problem, scene, x, price)
        found = nested.worst(scene, x, price)
        assert found.value == pytest.approx(wanted, rel=2e-4)
        assert wanted * (1.0 - 1e-9) <= found.bound <= wanted + 3e-4 * abs(wanted)
        paid = cost_of(problem, scene, x, found.z) - price * found.z.sum()
        assert found.value == pytest.approx(paid, rel=2e-4)
        assert any(np.array_equal(found.z, z) for z in vertices(problem, scene))


def apart(up, down, budget):
    """Return one entry u that costs min(10 u, 10 (1 - u)), whichever a binary chooses, at least 0.

    Columns: the binary b, the cost y >= 10 u - 20 b and y >= 10 (1 - u) - 20 (1 - b).
    """
    matrix = sparse.csr_array(np.array([[20.0, 1.0], [-20.0, 1.0]]))
    free = np.full(2, np.inf)
    numbers = numbers_of(
        np.zeros(2), np.array([1.0, np.inf]), np.array([0.0, -10.0]), free, np.array([0.0, 1.0])
    )
    uncertain = budgeted(np.array([up]), np.array([down]), np.zeros(1, int), np.array([budget]))
    uncertain = replace(uncertain, whole=True)
    push = sparse.csr_array(np.array([[10.0], [-10.0]]) @ uncertain.moves.toarray())
    size = np.abs(uncertain.moves.toarray()[0]) * 10.0
    own = Scene(Programme("apart", matrix, numbers), push, uncertain, -size, size)
    return RobustProblem((own,), np.ones(1), NONE, NONE, np.array([0]))


def test_of_two_opposed_moves_it_makes_one():
    """Up by 1 or down by .4 costs nothing; .6, which both together would be, would cost 4."""
    problem = apart(1.0, 0.4, 2.0)
    found = Nested(problem, TIGHT).worst(0, np.zeros(0), 0.0)
    assert found.value == pytest.approx(0.0, abs=1e-6)
    assert found.bound == pytest.approx(0.0, abs=1e-6)
    # A move that does bring it to .6 is found.
    assert Nested(apart(0.6, 0.4, 2.0), TIGHT).worst(0, np.zeros(0), 0.0).value == pytest.approx(4)


@pytest.mark.parametrize("seed", range(3))
def test_without_time_it_bounds_all_the_same(seed):
    problem = generic(seed, "whole", recourse_binaries=2)
    x = decisions_of(problem, np.random.default_rng(seed))
    wanted = worst(problem, 0, x)
    for stop in (NO_TIME, replace(TIGHT, iterations=1), replace(TIGHT, iterations=2)):
        found = Nested(problem, stop).worst(0, x, 0.0)
        assert found.bound >= wanted * (1.0 - 1e-9)
        assert found.value <= wanted * (1.0 + 2e-4)


def test_what_it_learnt_of_one_decision_is_no_harm_to_the_next():
    problem = generic(3, "whole", recourse_binaries=2)
    nested = Nested(problem, TIGHT)
    for seed in range(4):
        x = decisions_of(problem, np.random.default_rng(seed))
        fresh = Nested(problem, TIGHT).worst(0, x, 0.0)
        found = nested.worst(0, x, 0.0)
        assert found.value == pytest.approx(fresh.value, rel=2e-4)
        assert found.bound >= worst(problem, 0, x) * (1.0 - 1e-9)


def test_where_nothing_can_move_it_is_what_is_expected():
    problem = apart(0.0, 0.0, 1.0)
    found = Nested(problem, TIGHT).worst(0, np.zeros(0), 0.0)
    assert len(found.z) == 0
    assert found.bound == pytest.approx(cost_of(problem, 0, np.zeros(0), found.z), abs=1e-6)


def test_a_set_that_is_not_whole_is_refused():
    problem = generic(0, "budget", recourse_binaries=1)
    with pytest.raises(InputError, match="make the set whole"):
        Nested(problem, TIGHT)


@pytest.mark.parametrize("seed", range(3))
def test_the_loop_with_it_finds_the_optimum_over_all_whole_moves(seed):
    problem = generic(seed, "whole", recourse_binaries=2)
    found = solved(problem, COARSE, proof=Nested(problem, replace(TIGHT, gap=1e-5)))
    wanted, _ = listed(problem, [vertices(problem, s) for s in range(len(problem.scenes))])
    assert found.within(COARSE.gap)
    assert found.lower <= wanted + 1e-6 * abs(wanted)
    assert found.upper == pytest.approx(wanted, rel=2e-4)


@pytest.mark.parametrize(("number", "kinds"), [(0, (2,)), (1, (0, 2)), (2, (2, 3))])
def test_so_it_does_on_days_whose_devices_run_one_way_at_a_time(number, kinds):
    system, _, problem = short_day(number, kinds=kinds, scenes=1)
    problem = directed(in_whole(problem), model_of(system))
    assert len(problem.recourse_whole)
    found = solved(problem, COARSE, proof=Nested(problem, replace(TIGHT, gap=1e-5)))
    wanted, _ = listed(problem, [vertices(problem, 0)])
    assert found.within(COARSE.gap)
    assert found.lower <= wanted + 1e-6 * abs(wanted)
    assert found.upper == pytest.approx(wanted, rel=2e-4)
