"""The master knows what decisions cost at the worst that it has been told of."""

from dataclasses import replace

import numpy as np
import pytest

from baselines.robust.master import Master
from baselines.solution import Stop
from tests.robust_cases import KINDS, all_moves, cost_of, generic, listed

EXACT = Stop(gap=1e-8)


def told(problem, cases):
    master = Master(problem, EXACT)
    for scene, some in enumerate(cases):
        for z in some:
            master.add(scene, z)
    return master.decide()


@pytest.mark.parametrize("reach", [None, 0.4])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_told_of_everything_it_finds_the_optimum(seed, kind, reach):
    problem = replace(generic(seed, kind), reach=reach)
    decided = told(problem, [all_moves(scene.uncertain) for scene in problem.scenes])
    wanted, _ = listed(problem)
    assert decided.lower == pytest.approx(wanted, rel=1e-6)
    assert decided.upper == pytest.approx(wanted, rel=1e-6)
    assert set(np.round(decided.x[np.isin(problem.first, problem.whole)], 12)) <= {0.0, 1.0}


def test_told_of_everything_it_finds_the_optimum_of_binary_recourse():
    problem = generic(0, "whole", recourse_binaries=2)
    cases = [all_moves(scene.uncertain)[::4] for scene in problem.scenes]
    decided = told(problem, cases)
    assert decided.lower == pytest.approx(listed(problem, cases)[0], rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_theta_is_what_each_scene_costs_at_the_worst_it_was_told_of(seed):
    problem = generic(seed)
    cases = [all_moves(scene.uncertain)[::9] for scene in problem.scenes]
    decided = told(problem, cases)
    for scene, some in enumerate(cases):
        worst = max(cost_of(problem, scene, decided.x, z) for z in some)
        assert decided.theta[scene] == pytest.approx(worst, rel=1e-6)
    assert decided.upper == pytest.approx(problem.probability @ decided.theta, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_its_bound_rises_with_every_case(seed):
    problem = generic(seed)
    master = Master(problem, EXACT)
    for scene, own in enumerate(problem.scenes):
        master.add(scene, np.zeros(len(own.least)))
    bounds = [master.decide().lower]
    for z in all_moves(problem.scenes[0].uncertain)[1::11]:
        master.add(0, z)
        bounds.append(master.decide().lower)
    assert (np.diff(bounds) >= -1e-7).all()
    assert bounds[-1] > bounds[0] + 1e-3


def test_the_price_of_moving_probability_falls_as_it_may_move_further():
    problem = generic(1)
    cases = [all_moves(scene.uncertain) for scene in problem.scenes]
    found = [told(replace(problem, reach=reach), cases) for reach in (0.0, 0.2, 0.6, 2.0, 9.0)]
    values = [decided.lower for decided in found]
    prices = [decided.price for decided in found]
    assert (np.diff(values) >= -1e-7).all()
    assert (np.diff(prices[1:]) <= 1e-7).all()
    nothing = [np.zeros((1, len(scene.least))) for scene in problem.scenes]
    assert values[0] == pytest.approx(listed(problem, nothing)[0], rel=1e-6)
    assert values[-1] == pytest.approx(listed(problem)[0], rel=1e-6)
    assert told(problem, cases).price == 0.0
