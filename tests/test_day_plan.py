"""A day's plan: it can be lived through at its price, and stays within what can be proved."""

from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
import pytest
from random_systems import random_config, random_episode

from baselines.day_ahead import day_ahead, with_risk
from baselines.day_plan import (
    equally_cheap,
    exchanged,
    least_exchange,
    merged_binaries,
    merged_pairs,
    plans_of,
    solve_day,
)
from baselines.deterministic import first_state
from baselines.exclusivity import OVERLAP_KW, forbid
from baselines.extensive_form import committed
from baselines.highs import SolverError
from baselines.risk import NEUTRAL, Risk
from baselines.scenarios import draw
from mmg_env import load_system, sample_episode
from mmg_env.kernel import N_ACTION
from mmg_env.layout import A, F
from mmg_env.public import PublicInfo
from mmg_env.system import build_system
from mmg_env.trajectory import simulate

AVERSE = Risk(0.3, 0.9)
NO_TRADE = (("ces.rental", False), ("pool.members", False))
SEEDS = (0, 1, 3, 6, 9, 10, 12)


def problem_of(system, episode, count):
    forecast, past = episode.forecast(0), partial(episode.until, 0)
    drawn = draw(system, forecast, count, np.random.default_rng(0))
    values = np.array(drawn.values)
    # The errors of random episodes give heat to members that have none.
    members = 4 * len(system.members)
    values[..., :members] *= (episode.values[:, :members] != 0.0).any(axis=0)
    drawn = replace(drawn, values=values)
    return day_ahead(PublicInfo(system, 0, first_state(system), forecast, past), drawn)


@lru_cache
def houses(changes=(), count=3):
    """Return a test day of the houses: the truth, the problem, and its plan."""
    system = load_system("s2_crh", dict(changes))
    episode = sample_episode(system, "test", 0)
    problem = problem_of(system, episode, count)
    return episode, problem, solve_day(problem, with_risk(problem, AVERSE))


@lru_cache
def random_day(seed):
    config = random_config(seed).model_copy(update={"episode_h": 24})
    system = build_system(config)
    episode = random_episode(system, seed, calm=True)
    problem = problem_of(system, episode, 2)
    return episode, problem, solve_day(problem, with_risk(problem, NEUTRAL), nodes=40)


def replays(episode, problem, x):
    """Return plan and trajectory of each scenario."""
    found = []
    for rows, plan in zip(problem.rows, plans_of(problem, x), strict=True):
        found.append((plan, simulate(problem.system, replace(episode, values=rows), plan.requests)))
    return found


def assert_replays(episode, problem, x):
    lived = replays(episode, problem, x)
    for plan, trajectory in lived:
        size = np.abs(trajectory.ledger).sum()
        assert trajectory.cost == pytest.approx(plan.cost, abs=1e-6 * size)
    return np.array([trajectory.cost for _, trajectory in lived])


def wishes(problem, plan):
    count = len(problem.system.participants)
    return plan.requests[:, : count * N_ACTION].reshape(-1, count, N_ACTION)


# Replay


@pytest.mark.parametrize("changes", [(), NO_TRADE, (("member_export", False), *NO_TRADE)])
def test_the_simulator_pays_what_the_plan_says(changes):
    episode, problem, plan = houses(changes)
    costs = assert_replays(episode, problem, plan.x)
    risk = AVERSE.of(costs, problem.form.probability)
    assert risk == pytest.approx(plan.objective, abs=1e-6 * np.abs(costs).sum())


@pytest.mark.parametrize("seed", SEEDS)
def test_so_it_does_on_random_systems(seed):
    episode, problem, plan = random_day(seed)
    costs = assert_replays(episode, problem, plan.x)
    expected = problem.form.probability @ costs
    slack = 1e-5 * max(1.0, abs(plan.objective))
    assert expected >= plan.objective - slack
    # A model that has nominated may curtail to keep its word; the simulator exports first.
    if not problem.system.day_ahead_grid:
        assert expected <= plan.objective + slack


def test_random_systems_have_units_nominations_rent_and_schedules():
    """So that the tests above are about all of these."""
    systems = [random_day(seed)[1].system for seed in SEEDS]
    assert any(len(merged_binaries(random_day(seed)[1])) for seed in SEEDS)
    for trait in ("day_ahead_grid", "day_ahead_pool", "rental", "reserve"):
        assert any(getattr(system, trait) for system in systems), trait


# Commitments


def test_rent_pool_and_nomination_are_the_same_in_all_scenarios():
    changes = (("day_ahead.grid", True),)
    _, problem, plan = houses(changes)
    plans = plans_of(problem, plan.x)
    first = [wishes(problem, one)[0] for one in plans]
    tail = [one.requests[0, first[0].size :] for one in plans]
    for own, rest in zip(first[1:], tail[1:], strict=True):
        np.testing.assert_array_equal(
            own[:, [A.rental_kwh, A.rental_kw]], first[0][:, [A.rental_kwh, A.rental_kw]]
        )
        np.testing.assert_allclose(rest, tail[0], atol=1e-9)


def test_rent_is_the_most_that_any_scenario_uses():
    episode, problem, plan = houses()
    lived = [trajectory for _, trajectory in replays(episode, problem, plan.x)]
    rented = wishes(problem, plans_of(problem, plan.x)[0])[0][:-1]
    used_kw = np.max([np.abs(one.flows[:, :-1, F.virtual_kw]).max(axis=0) for one in lived], axis=0)
    assert rented[:, A.rental_kw].max() > 1.0
    np.testing.assert_allclose(rented[:, A.rental_kw], used_kw, atol=1e-9)


# Value


@pytest.mark.parametrize("seed", SEEDS)
def test_relaxation_bound_and_plan_stand_in_order(seed):
    _, _, plan = random_day(seed)
    slack = 1e-6 * max(1.0, abs(plan.objective))
    assert plan.relaxed <= plan.bound + slack
    assert plan.bound <= plan.objective + slack


@pytest.mark.parametrize("seed", [0, 3, 6])
def test_another_search_over_binaries_finds_nothing_better(seed):
    _, problem, plan = random_day(seed)
    programme = with_risk(problem, NEUTRAL)
    pairs, binary = merged_pairs(problem), merged_binaries(problem)
    solver = programme.solver()
    extra = forbid(solver, pairs, np.arange(len(pairs.first))) if len(pairs.first) else binary[:0]
    found = solver.solve_mip(np.concatenate([binary, extra]), gap=1e-5)
    scale = max(1.0, abs(found.objective))
    assert plan.objective >= found.bound - 1e-5 * scale
    assert plan.bound <= found.objective + 1e-5 * scale


def test_without_trade_among_houses_the_relaxation_overlaps_and_the_plan_does_not():
    _, problem, plan = houses(NO_TRADE, 4)
    pairs = merged_pairs(problem)
    relaxed = with_risk(problem, AVERSE).solve().x
    assert pairs.overlap(relaxed).max() > 1.0
    assert pairs.overlap(plan.x).max() <= OVERLAP_KW
    assert plan.objective > plan.relaxed


def test_a_search_that_may_not_search_says_so():
    _, problem, plan = houses(NO_TRADE, 4)
    tight = with_risk(problem, AVERSE)
    found = solve_day(problem, tight, nodes=1)
    assert found.bound <= plan.objective <= found.objective + 1e-6
    nowhere = np.full(len(tight.upper), 0.0)
    closed = replace(tight, numbers=replace(tight.numbers, lower=nowhere, upper=nowhere))
    with pytest.raises(SolverError):
        solve_day(problem, closed)


# Equally cheap plans


def test_the_plan_of_least_exchange_costs_the_same_and_moves_less():
    episode, problem, plan = houses()
    quiet = least_exchange(problem, plan)
    moved = exchanged(problem)
    assert quiet.objective <= plan.objective + 2e-6 * max(1.0, abs(plan.objective))
    assert moved @ quiet.x[: len(moved)] < moved @ plan.x[: len(moved)] - 1.0
    assert merged_pairs(problem).overlap(quiet.x).max() <= OVERLAP_KW
    assert_replays(episode, problem, quiet.x)


def test_pool_and_rent_weigh_alike_per_kilowatt_and_scenarios_by_probability():
    _, problem, _ = houses()
    moved, columns = exchanged(problem), problem.compiled.columns
    sent = problem.form.column[0, columns["sent_kw"][0, 5]]
    into = problem.form.column[:, columns["virtual_in_kw"][0, 5]]
    assert moved[sent] == pytest.approx(1.0)
    np.testing.assert_allclose(moved[into], 2.0 / 3.0)
    assert moved[problem.form.column[0, columns["charge_kw"][-1, 5]]] == 0.0


def test_each_function_is_least_at_its_own_plan():
    _, problem, plan = houses()
    moved = exchanged(problem)
    least, most = equally_cheap(plan, np.array([moved, -moved]))
    cost = plan.chosen.numbers.cost
    for x in (least, most):
        assert cost @ x + plan.chosen.numbers.offset <= plan.objective * (1.0 + 2e-6)
    assert moved @ least[: len(moved)] < moved @ most[: len(moved)] - 1.0


def test_what_is_committed_is_held_where_a_nomination_is_due():
    episode, problem, plan = houses((("day_ahead.grid", True),))
    shared = committed(problem.compiled, problem.system)
    assert shared[problem.compiled.columns["nominated_kw"]].all()
    assert_replays(episode, problem, plan.x)


def test_nothing_returned_can_be_written():
    _, _, plan = houses()
    with pytest.raises(ValueError, match="read-only"):
        plan.x[0] = 1.0
