"""What scenarios, foresight and fear are worth: the textbook's farmer, and the order of costs."""

from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
import pytest
from houses import AVERSE, problem_of
from hypothesis import given, settings
from hypothesis import strategies as st
from random_systems import random_config, random_episode
from test_cuts import PROFIT, SEASONS, STOCHASTIC_SOLUTION, farmer

from baselines.day_ahead import with_risk
from baselines.deterministic import first_state
from baselines.extensive_form import committed
from baselines.programme import Programme
from baselines.risk import NEUTRAL, Risk
from baselines.scenarios import draw
from baselines.value_of_information import (
    Worth,
    committed_to,
    costs_after,
    frontier,
    worth,
)
from mmg_env import load_system, sample_episode
from mmg_env.public import PublicInfo
from mmg_env.series import Scenarios
from mmg_env.system import build_system

# Birge & Louveaux 2011, sections 1.1 and 4.1, as printed there.
WAIT_AND_SEE = 115_406.0
PERFECT_INFORMATION = 7_016.0
BETAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def public_of(system, episode):
    forecast, past = episode.forecast(0), partial(episode.until, 0)
    return PublicInfo(system, 0, first_state(system), forecast, past)


@lru_cache
def day(name):
    system = load_system(name)
    public = public_of(system, sample_episode(system, "test", 0))
    return public, draw(system, public.forecast, 4, np.random.default_rng(0))


@lru_cache
def houses():
    system = load_system("s2_crh")
    return problem_of(system, sample_episode(system, "test", 0), 6)


def slack(found, share=1e-7):
    return share * max(1.0, abs(found.stochastic), abs(found.expected_value))


def test_the_farmer_is_worth_what_the_book_says():
    whole, _ = farmer()
    acres = farmer(np.ones(1))[0].solve().x[:3]
    lower, upper = whole.lower.copy(), whole.upper.copy()
    lower[:3] = upper[:3] = acres
    fixed = Programme("mean", whole.matrix, replace(whole.numbers, lower=lower, upper=upper))
    foreseen = [farmer(np.array([season]))[0].solve().objective for season in SEASONS]
    found = Worth(whole.solve().objective, fixed.solve().objective, float(np.mean(foreseen)))
    assert -found.stochastic == pytest.approx(PROFIT, abs=0.5)
    assert -found.wait_and_see == pytest.approx(WAIT_AND_SEE, abs=0.5)
    assert found.of_stochastic_solution == pytest.approx(STOCHASTIC_SOLUTION, abs=0.5)
    assert found.of_perfect_information == pytest.approx(PERFECT_INFORMATION, abs=0.5)


@pytest.mark.parametrize("name", ["s2_crh", "s1_3mg"])
def test_scenarios_and_foresight_are_worth_something(name):
    found = worth(*day(name))
    assert found.of_stochastic_solution > 1.0
    assert found.of_perfect_information > 1.0


@given(st.integers(0, 10_000))
@settings(max_examples=8)
def test_foreseen_planned_for_all_planned_for_the_mean_is_the_order_of_costs(seed):
    system = build_system(random_config(seed).model_copy(update={"episode_h": 24}))
    public = public_of(system, random_episode(system, seed))
    drawn = draw(system, public.forecast, 3, np.random.default_rng(seed))
    weights = np.random.default_rng(seed).dirichlet(np.full(3, 2.0))
    found = worth(public, replace(drawn, probability=weights))
    assert found.wait_and_see <= found.stochastic + slack(found)
    assert found.stochastic <= found.expected_value + slack(found)


@pytest.mark.parametrize("name", ["s2_crh", "s1_3mg"])
def test_where_all_scenarios_are_equal_there_is_nothing_to_gain(name):
    public, drawn = day(name)
    values = np.repeat(drawn.values[:1], 3, axis=0)
    found = worth(public, Scenarios(values, np.array([0.2, 0.3, 0.5]), drawn.member_count))
    assert found.of_stochastic_solution == pytest.approx(0.0, abs=slack(found))
    assert found.of_perfect_information == pytest.approx(0.0, abs=slack(found))


def test_the_more_scenarios_are_told_apart_the_more_foresight_is_worth():
    """Scenarios moved half-way to their mean are less different."""
    public, drawn = day("s1_3mg")
    mean = drawn.values.mean(axis=0)
    calm = worth(public, replace(drawn, values=0.5 * (drawn.values + mean)))
    assert worth(public, drawn).of_perfect_information > 1.5 * calm.of_perfect_information


def test_commitments_of_the_best_plan_cost_what_the_best_plan_costs():
    problem = houses()
    best = problem.form.solve()
    fixed = committed_to(problem, problem.form.of_scenario(best.x, 0))
    assert fixed.solve().objective == pytest.approx(best.objective, rel=1e-9)
    shared = problem.form.column[0, committed(problem.compiled, problem.system)]
    assert (fixed.lower[shared] == fixed.upper[shared]).all()
    assert (fixed.lower[shared] >= problem.form.lower[shared]).all()
    assert (fixed.upper[shared] <= problem.form.upper[shared]).all()


def test_commitments_that_leave_their_bounds_by_rounding_are_taken_back():
    problem = houses()
    x = problem.form.of_scenario(problem.form.solve().x, 0)
    off = np.where(x == 0.0, -1e-9, x)
    fixed = committed_to(problem, off)
    assert (fixed.lower >= problem.form.lower).all()
    best = committed_to(problem, x).solve().objective
    assert fixed.solve().objective == pytest.approx(best, abs=1e-4)
    costs = costs_after(problem, problem.blocks, off)
    assert problem.form.probability @ costs == pytest.approx(best, abs=1e-4)


def test_what_scenarios_cost_after_a_plan_is_what_they_cost_side_by_side():
    problem = houses()
    mean = problem.form.of_scenario(with_risk(problem, AVERSE).solve().x, 0)
    costs = costs_after(problem, problem.blocks, mean)
    whole = committed_to(problem, mean).solve().objective
    assert costs.shape == (6,)
    assert problem.form.probability @ costs == pytest.approx(whole, rel=1e-7)
    assert costs_after(problem, problem.blocks[2:4], mean) == pytest.approx(costs[2:4], rel=1e-7)


def test_judged_on_its_own_scenarios_a_plan_saves_what_it_is_worth():
    public, drawn = day("s2_crh")
    found = worth(public, drawn, drawn)
    assert found.elsewhere == pytest.approx(found.of_stochastic_solution, abs=slack(found))
    assert np.isnan(worth(public, drawn).elsewhere)


def test_judged_on_the_mean_alone_the_plan_for_the_mean_is_the_better_one():
    public, drawn = day("s1_3mg")
    mean = replace(drawn, values=drawn.values.mean(axis=0)[None], probability=np.ones(1))
    assert worth(public, drawn, mean).elsewhere < -1.0


@pytest.mark.parametrize("risk", [NEUTRAL, AVERSE])
def test_costs_after_the_best_plan_have_the_risk_that_is_minimised(risk):
    problem = houses()
    found = with_risk(problem, risk).solve()
    costs = costs_after(problem, problem.blocks, problem.form.of_scenario(found.x, 0))
    assert costs.shape == (6,)
    assert np.ptp(costs) > 1.0
    assert risk.of(costs, problem.form.probability) == pytest.approx(found.objective, rel=1e-6)


def test_the_more_the_bad_end_weighs_the_dearer_the_mean_and_the_cheaper_the_bad_end():
    problem = houses()
    points = frontier(problem, BETAS, alpha=0.5)
    mean, cvar = (np.array([getattr(p, name) for p in points]) for name in ("mean", "cvar"))
    assert [p.beta for p in points] == list(BETAS)
    assert (np.diff(mean) >= -1e-6 * abs(mean[0])).all()
    assert (np.diff(cvar) <= 1e-6 * abs(cvar[0])).all()
    assert mean[-1] > mean[0] + 0.1
    assert cvar[-1] < cvar[0] - 0.1
    assert mean[0] == pytest.approx(problem.form.solve().objective, rel=1e-9)


def test_no_point_of_the_frontier_is_beaten_at_its_own_weight():
    problem = houses()
    for point in frontier(problem, BETAS, alpha=0.5):
        found = (1.0 - point.beta) * point.mean + point.beta * point.cvar
        best = with_risk(problem, Risk(point.beta, 0.5)).solve().objective
        assert found == pytest.approx(best, rel=1e-6)
    for point in frontier(problem, [0.0, 1.0], alpha=0.0):
        assert point.cvar == pytest.approx(point.mean)
        assert point.mean == pytest.approx(with_risk(problem, NEUTRAL).solve().objective)
