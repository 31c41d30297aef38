"""Dynamic programming on `tiny`: the best of all policies, and how far the others are from it."""

from itertools import product

import numpy as np
import pytest

from baselines import POLICIES, perfect_foresight
from baselines.dynamic_programming import DynamicProgramming, solve
from mmg_env import CommunityEnv, InputError, load_system, rollout, sample_episode
from mmg_env.layout import P, X
from mmg_env.sources.markov import expectation, markov_source, state_values, transition_matrix
from mmg_env.trajectory import simulate

EPISODES = 300


@pytest.fixture(scope="module")
def system():
    return load_system("tiny")


@pytest.fixture(scope="module")
def costs(system):
    env = CommunityEnv(system, split="test")
    names = ("dynamic_programming", "time_of_use", "self_consumption", "idle")
    return {
        name: np.array(
            [
                rollout(env, POLICIES[name](system), options={"episode": index}).cost
                for index in range(EPISODES)
            ]
        )
        for name in names
    }


def test_the_value_is_what_the_policy_costs(system, costs):
    """Within the 99 % interval of the simulation."""
    played = costs["dynamic_programming"]
    error = played.std(ddof=1) / np.sqrt(EPISODES)
    assert solve(system).value == pytest.approx(played.mean(), abs=2.58 * error)


def test_no_rule_is_better(costs):
    best = costs["dynamic_programming"]
    for name in ("time_of_use", "self_consumption", "idle"):
        difference = costs[name] - best
        assert difference.mean() > 2.58 * difference.std() / np.sqrt(EPISODES)


def test_mpc_lies_between_the_best_policy_and_the_rules(system, costs):
    env = CommunityEnv(system, split="test")
    count = 120
    mpc = np.array(
        [
            rollout(env, POLICIES["mpc"](system), options={"episode": index}).cost
            for index in range(count)
        ]
    )
    assert costs["dynamic_programming"][:count].mean() < mpc.mean()
    assert mpc.mean() < costs["time_of_use"][:count].mean()


def test_perfect_foresight_is_below_on_every_episode(system, costs):
    for index in range(40):
        bound = perfect_foresight(system, sample_episode(system, "test", index)).bound
        assert bound <= costs["dynamic_programming"][index] + 1e-6


def test_the_recursion_equals_enumeration():
    """The last two hours over all plans that react to all states, powers twice as fine.

    Written a second time, from the statement of the problem; that powers between the lattice's
    gain nothing shows as well.
    """
    small = load_system(
        "tiny",
        {
            "members[0].battery.capacity_kwh": 4,
            "members[0].battery.power_kw": 2,
            "members[0].load.peak_kw": 10,
        },
    )
    solved = solve(small)
    source = markov_source(small)
    first, steps = 22, 24
    start = 2.0
    finer = 0.5

    def hour(t, i, j, power):
        center, scale = expectation(small, steps)
        v, w = state_values(5)[i], state_values(3)[j]
        buy = center[t, 4 + X.price_buy] + scale[t, 4 + X.price_buy] * v
        sell = center[t, 4 + X.price_sell] + scale[t, 4 + X.price_sell] * v
        net = center[t, 2] + scale[t, 2] * w - power
        return buy * max(net, 0.0) - sell * max(-net, 0.0) + 0.02 * max(power, 0.0)

    price = transition_matrix(5, source.spot_persistence)
    load = transition_matrix(3, source.load_persistence)
    row = small.physics.table[0]
    powers = np.arange(-2.0, 2.0 + finer / 2, finer)

    def cheapest(t, i, j, energy):
        if t == steps:
            missing = start - energy
            buy, sell = row[P.terminal_buy_per_kwh], row[P.terminal_sell_per_kwh]
            return buy * max(missing, 0.0) - sell * max(-missing, 0.0)
        return min(
            sum(
                price[i, a] * load[j, b] * (hour(t, a, b, p) + cheapest(t + 1, a, b, energy - p))
                for a, b in product(range(5), range(3))
            )
            for p in powers
            if -1e-9 <= energy - p <= 4.0 + 1e-9
        )

    k = int(np.argmin(np.abs(solved.energy_kwh - start)))
    for i, j in ((2, 1), (0, 0), (4, 2)):
        assert solved.cost[first, i, j, k] == pytest.approx(cheapest(first, i, j, start))


def test_other_powers_in_an_hour_are_no_better_on_average(system):
    """A policy that deviates at random pays for it."""
    solved = solve(system)
    rng = np.random.default_rng(3)
    extra = []
    for index in range(60):
        episode = sample_episode(system, "val", index)
        requests = np.zeros((episode.steps, system.request_size))
        requests[:, 0] = np.clip(rng.normal(0.0, 4.0, episode.steps), -10.0, 10.0)
        extra.append(simulate(system, episode, requests).cost)
    assert np.mean(extra) > solved.value


@pytest.mark.parametrize(
    ("suite", "overrides", "sentence"),
    [
        ("s1_3mg", {}, "needs the source `markov`"),
        ("tiny", {"members[0].battery.eta_charge": 0.9}, "lossless battery"),
        ("tiny", {"tariff.demand_charge_per_kw": 0.1}, "no demand charge"),
        ("tiny", {"members[0].load.peak_kw": 9.8765}, "multiples of no unit"),
    ],
)
def test_what_it_cannot_solve_is_refused(suite, overrides, sentence):
    system = load_system(suite, overrides)
    policy = DynamicProgramming(system)
    info = CommunityEnv(system, split="test").reset(options={"episode": 0})[1]
    with pytest.raises(InputError, match=sentence):
        policy.act(np.zeros(0), info)
