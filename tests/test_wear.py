"""Wear by cycle depth: the formula, the greedy order against a linear program, rainflow."""

import laws
import numpy as np
import pytest
import rainflow
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from strategies import make_episode
from test_kernel import episode_of, member, system_of, wish

from mmg_env.config import BatteryConfig, WearConfig
from mmg_env.layout import A, F, L
from mmg_env.wear import cycle_loss, segment_costs


def phi(depth):
    return 5.24e-4 * depth**2.03


def lossless(segments, **fields):
    given = {
        "capacity_kwh": 80.0,
        "power_kw": 80.0,
        "eta_charge": 1.0,
        "eta_discharge": 1.0,
        "soc_min": 0.0,
        "soc_max": 1.0,
        "soc_initial": 1.0,
        "wear": WearConfig(segments=segments, replacement_cost=400.0),
    }
    return system_of(member("a", battery=BatteryConfig(**(given | fields))))


def follow(system, levels):
    """Drive a lossless battery along states of charge (share of capacity); return the run."""
    steps = np.diff(np.array(levels) * 80.0)
    asked = [(t, 0, A.battery_kw, -step) for t, step in enumerate(steps)]
    r = laws.run(system, episode_of(system), wish(system, *asked))
    assert r.cells[: len(levels)].sum(axis=(1, 2)) == pytest.approx(80.0 * np.array(levels))
    return r


def test_costs_rise_along_the_segments_and_add_up_to_a_full_cycle():
    costs = segment_costs(WearConfig(segments=8, replacement_cost=400.0))
    assert costs.shape == (8,)
    assert (np.diff(costs) > 0.0).all()
    assert costs.sum() / 8 == pytest.approx(400.0 * 5.24e-4)
    assert costs[0] == pytest.approx(400.0 * 8 * phi(1 / 8))
    assert cycle_loss(0.5) == pytest.approx(phi(0.5))


def test_one_price_is_one_segment():
    assert segment_costs(WearConfig(cost_per_kwh=0.1)) == pytest.approx([0.1])
    assert segment_costs(WearConfig(cost_per_kwh=0.1, replacement_cost=9.0)) == pytest.approx([0.1])
    assert segment_costs(WearConfig()) == pytest.approx([0.0])
    one = segment_costs(WearConfig(segments=1, replacement_cost=400.0))
    assert one == pytest.approx([400.0 * 5.24e-4])


@pytest.mark.parametrize("segments", [1, 4, 8])
def test_a_full_cycle_of_depth_k_segments_costs_what_the_formula_says(segments):
    for k in range(1, segments + 1):
        r = follow(lossless(segments), [1.0, 1.0 - k / segments, 1.0])
        assert r.account(L.wear).sum() == pytest.approx(80.0 * 400.0 * phi(k / segments))


def test_many_small_steps_cost_as_much_as_one_deep_one():
    r = follow(lossless(8), [*np.linspace(1.0, 0.0, 9), 1.0])
    assert r.account(L.wear).sum() == pytest.approx(80.0 * 400.0 * phi(1.0))


@settings(max_examples=25)
@given(st.lists(st.integers(0, 8), min_size=2, max_size=20))
def test_a_closed_profile_costs_what_rainflow_counts(eighths):
    levels = [1.0, *(x / 8 for x in eighths), 0.0, 1.0]
    r = follow(lossless(8), levels)
    counted = sum(phi(depth) * count for depth, _, count, _, _ in rainflow.extract_cycles(levels))
    assert r.account(L.wear).sum() == pytest.approx(80.0 * 400.0 * counted, abs=1e-9)


def cheapest_wear(costs, cap, cells, taken, stored):
    """Return the least wear with which segments can follow energy taken and stored."""
    steps, count = len(taken), len(costs)
    size = steps * count
    # Variables: discharge of each step and segment, then charge; energy follows by summing.
    upper = np.tril(np.ones((steps, steps)))
    energy = np.kron(upper, np.eye(count))
    bounds_above = np.vstack([np.hstack([-energy, energy]), np.hstack([energy, -energy])])
    room = np.concatenate([np.tile(cap - cells, steps), np.tile(cells, steps)])
    rows = np.kron(np.eye(steps), np.ones((1, count)))
    none = np.zeros_like(rows)
    balance = np.vstack([np.hstack([rows, none]), np.hstack([none, rows])])
    result = linprog(
        np.concatenate([np.tile(costs, steps), np.zeros(size)]),
        A_ub=bounds_above,
        b_ub=room + 1e-9,
        A_eq=balance,
        b_eq=np.concatenate([taken, stored]),
    )
    assert result.status == 0, result.message
    return result.fun


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_cheapest_segment_first_is_optimal_from_any_segment_state(seed):
    rng = np.random.default_rng(seed)
    segments = int(rng.integers(1, 9))
    system = lossless(segments, eta_charge=0.9, eta_discharge=0.8, soc_initial=float(rng.random()))
    requests = wish(system)
    requests[:, A.battery_kw] = rng.normal(0.0, 30.0, 24)
    r = laws.run(system, make_episode(system, seed), requests)
    costs = segment_costs(WearConfig(segments=segments, replacement_cost=400.0))
    begin = int(rng.integers(0, 12))
    power = r.flow(F.battery_kw)[begin:, 0]
    taken, stored = np.maximum(power, 0.0) / 0.8, np.maximum(-power, 0.0) * 0.9
    best = cheapest_wear(costs, 80.0 / segments, r.cells[begin, 0], taken, stored)
    assert r.account(L.wear)[begin:].sum() == pytest.approx(best, abs=1e-5)


def test_fading_takes_a_fifth_of_the_wear_paid_over_the_replacement_cost():
    wear = WearConfig(segments=4, replacement_cost=0.01)
    battery = BatteryConfig(capacity_kwh=100.0, power_kw=100.0, wear=wear)
    system = system_of(member("a", battery=battery), episode_h=48, fade=True)
    asked = [(t, 0, A.battery_kw, 40.0 * (-1) ** t) for t in range(24)]
    r = laws.run(system, episode_of(system), wish(system, *asked))
    laws.check_all(r)
    paid = r.account(L.wear)[:24].sum()
    assert paid > 0.0
    assert r.opening.capacity[24, 0] == pytest.approx(100.0 - 0.2 * paid / 0.01)
