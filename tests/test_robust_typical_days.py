"""The typical days of a season as scenes."""

import numpy as np
import pytest

from baselines.highs import Solver
from baselines.robust.deviations import Budgets, shares
from baselines.robust.typical_days import (
    expected_days,
    model_of,
    problem_of_days,
    typical_problem,
)
from mmg_env.sources.scenes import SCENES, scene_probabilities
from tests.robust_cases import cost_of, deviating, directly, member, solved


def test_there_is_a_scene_per_season_and_typical_day():
    system = member(0)
    rows, probability = expected_days(system, (0, 3))
    assert rows.shape[:2] == (2 * len(SCENES), system.steps_per_day)
    assert probability.sum() == pytest.approx(1.0)
    assert probability[: len(SCENES)] == pytest.approx(scene_probabilities(system).mean(axis=0) / 2)
    assert np.array_equal(rows[len(SCENES) :], expected_days(system, (3,))[0])


def test_scenes_are_the_model_of_their_day_with_its_half_widths():
    system = member(1)
    problem = typical_problem(system)
    rows, probability = expected_days(system)
    assert np.array_equal(problem.probability, probability)
    for own, day in zip(problem.scenes, rows, strict=True):
        width = shares(system, day)
        reach = own.uncertain.moves @ own.uncertain.best(np.ones(len(own.least)))
        assert (np.abs(reach[: width.size]) <= width.ravel() + 1e-9).all()
        assert own.uncertain.contains(np.zeros(len(reach)))
        solver = Solver(model_of(system))
        solver.load(directly(system, day))
        assert own.programme.solve().objective == pytest.approx(solver.solve_lp().objective)


def test_without_budgets_the_day_costs_what_is_expected():
    system = member(2)
    problem = typical_problem(system, budgets=Budgets(0.0, 0.0, 0.0, 0.0))
    found = solved(problem)
    paid = [cost_of(problem, s, found.x, 0.0 * own.least) for s, own in enumerate(problem.scenes)]
    assert found.upper == pytest.approx(problem.probability @ paid, rel=1e-6)
    assert found.upper < solved(typical_problem(system)).upper


def test_a_whole_set_costs_the_same_where_the_recourse_is_linear():
    system = member(0)
    whole = typical_problem(system, whole=True)
    assert all(own.uncertain.whole for own in whole.scenes)
    assert solved(whole).upper == pytest.approx(solved(typical_problem(system)).upper, rel=1e-5)


def test_scenes_may_have_sets_of_their_own():
    system = member(0)
    rows, probability = expected_days(system)
    calm = [deviating(day, (2,), 0.0) for day in rows]
    one = [deviating(rows[0], (2,), 2.0), *calm[1:]]
    every = [deviating(day, (2,), 2.0) for day in rows]
    values = [
        solved(problem_of_days(system, rows, sets, probability)).upper
        for sets in (calm, one, every)
    ]
    assert values[0] < values[1] < values[2]
