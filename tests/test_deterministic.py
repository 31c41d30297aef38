"""Perfect foresight: known values, bounds, directions, and rent without a real cost."""

from functools import cache

import numpy as np
import pytest
from players import PLANNERS, player, players_of
from random_systems import random_episode, random_system

from baselines.compiled import fill
from baselines.deterministic import (
    _solve_by_binaries,
    compiled_model,
    first_state,
    horizon_of,
    perfect_foresight,
    solve_exactly,
)
from baselines.exclusivity import OVERLAP_KW, find_pairs
from baselines.highs import Solver
from baselines.window import window_data
from mmg_env import CommunityEnv, rollout
from mmg_env.layout import A, F, L, P, S, W
from mmg_env.splits import nominal_episode, sample_episode
from mmg_env.system import load_system

ALONE = {"pool.enabled": False}
MEMBERS_ONLY = {"ces": None}
DEEP = {"segments": 8, "replacement_cost": 400}


def deep(overrides):
    """Add wear by depth of discharge to every battery."""
    wear = {"members[*].battery.wear": DEEP}
    return overrides | wear | ({} if "ces" in overrides else {"ces.battery.wear": DEEP})


# docs/model.md section 8: the nominal day of s1_3mg.
REGRESSION = [
    (ALONE, 66315.33),
    (MEMBERS_ONLY, 64102.52),
    ({}, 59976.45),
    (deep(ALONE), 66230.78),
    (deep(MEMBERS_ONLY), 64230.46),
    (deep({}), 60165.05),
]


@pytest.mark.parametrize(("overrides", "value"), REGRESSION)
def test_the_nominal_day_costs_what_it_always_did(overrides, value):
    system = load_system("s1_3mg", overrides)
    solution = perfect_foresight(system, nominal_episode(system))
    assert solution.objective == pytest.approx(value, rel=1e-6)
    assert solution.bound <= solution.objective
    assert solution.bound == pytest.approx(solution.objective, rel=1e-4)


def test_the_members_alone_cost_what_they_always_did():
    system = load_system("s1_3mg", ALONE)
    ledger = perfect_foresight(system, nominal_episode(system)).plan.ledger
    costs = np.nansum(ledger[:, :, : L.pool_payment], axis=(0, 2))
    assert costs[:3] == pytest.approx([24323.5, 26898.4, 15093.4], rel=5e-4)


def test_two_calls_give_the_same_bits():
    system = load_system("s1_3mg")
    episode = sample_episode(system, "test", 1)
    first, second = (perfect_foresight(system, episode) for _ in range(2))
    assert first.plan.requests.tobytes() == second.plan.requests.tobytes()
    assert first.objective == second.objective


@cache
def loaded(seed):
    """Return a random system's model with an episode's numbers, and its pairs."""
    system = random_system(seed)
    episode = random_episode(system, seed)
    compiled = compiled_model(system, horizon_of(system, 0, episode.steps // system.steps_per_day))
    rates = np.full(len(set(compiled.periods)), system.physics.world[W.demand_charge_per_kw])
    numbers = fill(compiled, window_data(system, first_state(system), episode.values, rates))
    return system, compiled, numbers, find_pairs(compiled, numbers)


def relaxation(compiled, numbers):
    solver = Solver(compiled)
    solver.load(numbers)
    return solver, solver.solve_lp()


def overlapping_seeds():
    """Return seeds for which the relaxation runs a device both ways at once."""
    found = []
    for seed in range(25):
        _, compiled, numbers, pairs = loaded(seed)
        if (pairs.overlap(relaxation(compiled, numbers)[1].x) > OVERLAP_KW).any():
            found.append(seed)
    return found


def test_directions_need_deciding_and_are_decided():
    seeds = overlapping_seeds()
    assert len(seeds) >= 5
    for seed in seeds[:6]:
        system, compiled, numbers, pairs = loaded(seed)
        solver = Solver(compiled)
        solver.load(numbers)
        x, bound = solve_exactly(compiled, numbers, solver, system.steps_per_day, 1e-2)
        assert (pairs.overlap(x) <= OVERLAP_KW).all()
        assert set(np.unique(x[compiled.binary])) <= {0.0, 1.0}
        assert bound >= relaxation(compiled, numbers)[1].objective - 1e-6 * abs(bound)


@pytest.mark.parametrize("seed", [0, 3, 8, 13])
def test_both_searches_agree(seed):
    system, compiled, numbers, pairs = loaded(seed)
    gap = 1e-3
    solver = Solver(compiled)
    solver.load(numbers)
    x, bound = solve_exactly(compiled, numbers, solver, system.steps_per_day, gap)
    by_tree = float(numbers.cost @ x) + numbers.offset
    solver, _ = relaxation(compiled, numbers)
    x, other_bound = _solve_by_binaries(solver, numbers, compiled.binary, pairs, gap)
    by_highs = float(numbers.cost @ x[: len(numbers.cost)]) + numbers.offset
    slack = gap * abs(by_highs) + 1e-6
    assert abs(by_tree - by_highs) <= 2.0 * slack
    assert max(bound, other_bound) <= min(by_tree, by_highs) + 1e-6 * abs(by_tree)


RENT = {
    "ces.rental": True,
    "ces.link_kw": 1e5,
    "members[*].rental_max_kwh": 1000.0,
    "members[*].rental_max_kw": 400.0,
}


@pytest.mark.parametrize("name", ["s1_3mg", "community_real"])
def test_rent_changes_no_real_cost(name):
    costs = []
    for overrides in (RENT, RENT | {"ces.rental": False}):
        system = load_system(name, overrides | {"episode_h": 24})
        episode = sample_episode(system, "test", 2)
        costs.append(perfect_foresight(system, episode, 1e-6).objective)
    assert costs[0] == pytest.approx(costs[1], rel=1e-6)


def test_what_is_used_is_rented_and_no_more():
    # Without the pool for the storage, rent is the only way to reach it.
    closed = {"ces.pool_in": False, "ces.pool_out": False}
    system = load_system("community_real", closed | {"episode_h": 48})
    plan = perfect_foresight(system, sample_episode(system, "test", 0)).plan
    day = system.steps_per_day
    count = len(system.participants)
    wishes = plan.requests[:, : count * len(A)].reshape(-1, count, len(A))
    virtual = plan.flows[:, :, F.virtual_kw]
    assert np.abs(virtual).max() > 1.0
    assert not wishes[1:day, :, A.rental_kwh].any()
    for begin in (0, day):
        rented = wishes[begin, :, A.rental_kw]
        assert rented == pytest.approx(np.abs(virtual[begin : begin + day]).max(axis=0))
        assert (wishes[begin, :, A.rental_kwh] <= system.column(P.rental_max_kwh) + 1e-6).all()


def test_a_member_without_trade_partner_trades_nothing():
    system = load_system("s1_3mg", {"pool.members": False})
    flows = perfect_foresight(system, sample_episode(system, "test", 0)).plan.flows
    ces = flows[:, -1]
    members = flows[:, :-1]
    assert members[:, :, F.received_kw].any()
    sending = ces[:, F.sent_kw] > 1e-6
    assert not members[sending][:, :, F.sent_kw].any()
    assert not members[~sending][:, :, F.received_kw].any()


def test_the_state_at_reset_is_the_first_state():
    system = load_system("s1_3mg")
    state = first_state(system)
    assert state.energy_kwh == pytest.approx(0.5 * system.column(P.capacity_kwh))
    assert not state.column(S.chp_kw).any()


PLAYED = [
    (suite, name)
    for suite in ("s1_3mg", "community_real", "resilience", "s2_crh", "tiny")
    for name in players_of(suite, load_system(suite))
]


@pytest.mark.parametrize(("suite", "name"), PLAYED)
def test_no_policy_beats_the_bound(suite, name):
    system = load_system(suite, {"episode_h": 24})
    env = CommunityEnv(system, split="test")
    for index in range(1 if name in PLANNERS else 4):
        trajectory = rollout(env, player(name, system), options={"episode": index})
        solution = perfect_foresight(system, trajectory.episode)
        assert solution.bound <= solution.objective
        assert solution.bound <= trajectory.cost
