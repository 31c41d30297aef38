"""Model predictive control: windows, prorated charges, and plans that keep to what they planned."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from random_systems import random_episode, random_system

from baselines import perfect_foresight
from baselines.deterministic import first_state
from baselines.highs import Solver
from baselines.mpc import Mpc, Solvers, as_usual, plan_from
from baselines.rolling_horizon import demand_rates, window_at, window_numbers, window_rows
from mmg_env import CommunityEnv, load_system, rollout
from mmg_env.climatology import climatology
from mmg_env.kernel import step_hour
from mmg_env.layout import REAL_COSTS, F, L, X
from mmg_env.public import PublicInfo
from mmg_env.splits import nominal_episode, sample_episode
from mmg_env.state import State


def play(system, policy, episode):
    return rollout(CommunityEnv(system), policy, options={"episode": episode})


def test_the_window_ends_with_the_day_after_unless_the_day_begins():
    system = load_system("community_real")
    assert (window_at(system, 0).first, window_at(system, 0).days) == (0, 1)
    assert (window_at(system, 1).first, window_at(system, 1).days) == (0, 2)
    assert (window_at(system, 47).first, window_at(system, 47).days) == (24, 2)
    assert (window_at(system, 48).first, window_at(system, 48).days) == (48, 1)
    assert (window_at(system, 167).first, window_at(system, 167).days) == (144, 1)


def test_a_demand_charge_is_prorated_by_lookahead():
    week = load_system("community_real")
    assert demand_rates(week, window_at(week, 0)) == pytest.approx([2.5 * 24 / 168])
    assert demand_rates(week, window_at(week, 30)) == pytest.approx([2.5 * 42 / 138])
    assert demand_rates(week, window_at(week, 150)) == pytest.approx([2.5])
    daily = load_system("community_real", {"tariff.demand_period_days": 1})
    assert demand_rates(daily, window_at(daily, 30)) == pytest.approx([2.5, 2.5])
    short = load_system("community_real", {"episode_h": 48})
    assert demand_rates(short, window_at(short, 30)) == pytest.approx([2.5])


def test_what_is_over_costs_nothing_and_what_is_committed_is_fixed():
    system = load_system("community_real", {"episode_h": 48})
    episode = sample_episode(system, "test", 0)
    record = play(system, Mpc(system), episode)
    state = State(system, record.states[5])
    window = window_at(system, 5)
    rows = window_rows(system, window, episode.forecast(5))
    compiled, numbers = window_numbers(system, window, state, rows)
    solver = Solver(compiled)
    solver.load(numbers)
    x = solver.solve_lp().x
    entries = numbers.price * (compiled.bill.matrix @ x)
    over = compiled.bill.step < 5
    over &= compiled.bill.term != int(L.demand_charge)
    assert entries[over] == pytest.approx(0.0, abs=1e-9)
    nominated = x[compiled.columns["nominated_kw"][5:24]]
    assert nominated == pytest.approx(state.nomination_kw[5:24])
    assert x[compiled.columns["energy_kwh"][-1, 5]] == pytest.approx(state.energy_kwh[-1])
    assert not rows[:, 4 * 4 + X.spin_call].any()


def relaxed_costs(system, episode):
    """Play the relaxation's first hours; return at each hour what was paid plus what is planned."""
    row, sums, paid = first_state(system).row, [], 0.0
    solvers = Solvers()
    count = len(system.participants)
    for t in range(episode.steps):
        window = window_at(system, t)
        state = State(system, row)
        rows = window_rows(system, window, episode.forecast(t))
        compiled, numbers = window_numbers(system, window, state, rows)
        solver = solvers.of(compiled)
        solver.load(numbers)
        sums.append(paid + solver.solve_lp().objective)
        request = plan_from(system, state, episode.forecast(t), solvers)
        after, flows = np.empty_like(row), np.zeros((count, len(F)))
        ledger = np.zeros((count, len(L)))
        paid += step_hour(system.physics, t, episode.values, request, row, after, flows, ledger)
        row = after
    return np.array([*sums, paid])


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"ces.rental": True, "members[*].rental_max_kwh": 500.0, "members[*].rental_max_kw": 90.0},
        {
            "day_ahead.grid": True,
            "members[*].battery.wear": {"segments": 4, "replacement_cost": 90},
        },
        {"pool.members": False, "tariff.demand_charge_per_kw": 1.0},
        {"ces": None, "members[*].battery.self_discharge_per_h": 0.005},
    ],
)
def test_a_plan_that_meets_no_surprise_is_kept(overrides):
    # With exact forecasts and no unit to commit, cost so far plus cost to go never changes.
    system = load_system("s1_3mg", overrides | {"members[*].chp": None})
    sums = relaxed_costs(system, nominal_episode(system))
    assert sums[1:] == pytest.approx(sums[1], rel=1e-6)
    # Without trade among members the first relaxation passes energy on through the storage.
    relayed = not system.config.pool.members
    assert sums[0] < 0.995 * sums[1] if relayed else sums[0] == pytest.approx(sums[1], rel=1e-6)


@pytest.mark.parametrize("seed", [5, 14, 19, 24, 33])
def test_without_surprise_it_is_near_the_oracle(seed):
    system = random_system(seed)
    episode = random_episode(system, seed, certain=True, calm=True)
    record = play(system, Mpc(system), episode)
    solution = perfect_foresight(system, episode, 1e-3)
    scale = np.abs(record.ledger[:, :, : len(REAL_COSTS)]).sum()
    assert -1e-6 * scale <= record.cost - solution.bound <= 0.1 * scale


@pytest.mark.parametrize("seed", range(12))
def test_it_lives_through_anything_and_never_beats_the_bound(seed):
    system = random_system(seed)
    episode = random_episode(system, seed)
    record = play(system, Mpc(system), episode)
    bound = perfect_foresight(system, episode, 1e-2).bound
    scale = np.abs(record.ledger[:, :, : len(REAL_COSTS)]).sum()
    assert record.cost >= bound - 1e-6 * scale


def test_a_day_costs_little_more_than_with_foresight():
    system = load_system("s1_3mg")
    regret = []
    for index in range(3):
        episode = sample_episode(system, "test", index)
        best = perfect_foresight(system, episode).objective
        regret.append(play(system, Mpc(system), episode).cost / best - 1.0)
    assert min(regret) >= 0.0
    assert np.mean(regret) < 0.04


def test_an_episode_does_not_depend_on_those_before():
    system = load_system("s1_3mg")
    policy = Mpc(system)
    first = play(system, policy, sample_episode(system, "test", 0))
    play(system, policy, sample_episode(system, "test", 1))
    again = play(system, policy, sample_episode(system, "test", 0))
    assert first.requests.tobytes() == again.requests.tobytes()


def test_without_a_forecast_it_plays_on_what_the_climate_lets_expect():
    """Nothing in the forecast but the grid's state and the nomination's base is read."""
    system = load_system("community_real", {"episode_h": 24})
    episode = sample_episode(system, "test", 2)
    given = climatology(system).model.path < 0
    lie = np.array(episode.center)
    lie[:, ~given] *= 0.5
    lied_to = replace(episode, center=lie)
    base = 4 * len(system.members) + X.nomination_base_kw
    for t in (0, 3):
        forecasts = [e.forecast(t) for e in (episode, lied_to)]
        values = np.array(forecasts[1].values)
        values[:, base] = forecasts[0].values[:, base]
        infos = [
            PublicInfo(system, t, first_state(system), forecast, partial(episode.until, t))
            for forecast in (forecasts[0], replace(forecasts[1], values=values))
        ]
        told, lied = (Mpc(system, as_usual).act(np.zeros(0), {"public": i}) for i in infos)
        np.testing.assert_array_equal(told, lied)
