"""The bound that does not foresee outages."""

import numpy as np
import pytest

from baselines import POLICIES
from baselines.outage_bound import draw_outages, outage_bound
from mmg_env import CommunityEnv, InputError, load_system, rollout, sample_episode

SYSTEM = load_system("resilience", {"episode_h": 24, "source.outage_start_per_h": 0.05})


def test_scenarios_have_the_law_of_the_chain():
    """Weighted, they fail as often as the grid does; the last one never."""
    start, mean, steps = 0.05, 4.0, 24
    rng = np.random.default_rng(0)
    share, first = np.zeros(steps), np.zeros(steps)
    draws = 2000
    for _ in range(draws):
        down, probability = draw_outages(SYSTEM, steps, 6, rng)
        assert probability.sum() == pytest.approx(1.0)
        assert not down[-1].any()
        share += probability @ down / draws
        for k in range(6):
            first[int(np.argmax(down[k]))] += probability[k] / draws
    wanted = np.zeros(steps)
    before = 0.0
    for t in range(steps):
        stays = 1.0 - (1.0 - start) / mean
        before = wanted[t] = before * stays + (1.0 - before) * start
    assert share == pytest.approx(wanted, rel=0.06)
    assert first == pytest.approx(start * (1.0 - start) ** np.arange(steps), rel=0.15)


def test_not_foreseeing_costs_more_and_no_policy_costs_less():
    rng = np.random.default_rng(1)
    env = CommunityEnv(SYSTEM, split="test")
    worth, left = [], []
    for index in range(3):
        found = outage_bound(SYSTEM, sample_episode(SYSTEM, "test", index), rng, 4)
        assert found.unforeseen >= found.foreseen - 1e-6
        played = rollout(env, POLICIES["mpc"](SYSTEM), options={"episode": index})
        worth.append(found.unforeseen - found.foreseen)
        left.append(played.cost - found.bound)
    assert np.mean(worth) > 0.0
    assert np.mean(left) > 0.0


def test_a_scenario_per_hour_leaves_no_hour_to_be_bare_in():
    episode = sample_episode(SYSTEM, "test", 0)
    found = [outage_bound(SYSTEM, episode, np.random.default_rng(0), n) for n in (2, None)]
    worth = [costs.unforeseen - costs.foreseen for costs in found]
    assert worth[1] > 1.5 * worth[0] > 0.0


def test_a_grid_that_never_fails_is_refused():
    system = load_system("community_real", {"episode_h": 24})
    episode = sample_episode(system, "test", 0)
    with pytest.raises(InputError, match="its grid never fails"):
        outage_bound(system, episode, np.random.default_rng(0), 4)
