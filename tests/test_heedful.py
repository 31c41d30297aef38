"""Which entries of an action weigh in PPO: those that the environment reads."""

from functools import cache

import numpy as np
import pytest
import torch
from strategies import make_episode, make_system

from baselines.team import Team
from experiments.heedful import Reading
from mmg_env import CommunityEnv


@cache
def played(suite):
    """Return a day's observations, and which of them begin a day."""
    env = CommunityEnv(suite, "train")
    seen = [env.reset(options={"episode": 0})[0]]
    for _ in range(env.system.steps_per_day + 3):
        observation, _, _, truncated, _ = env.step(np.zeros(env.action_space.shape))
        if truncated:
            break
        seen.append(observation)
    begins = np.arange(len(seen)) % env.system.steps_per_day == 0
    return env, np.array(seen), begins


@pytest.mark.parametrize("suite", ["tiny", "s1_3mg", "community_real"])
def test_a_community_is_read_day_ahead_at_midnight_only(suite):
    env, seen, begins = played(suite)
    read = Reading(env.system, None)(torch.from_numpy(seen)).numpy()
    assert read.tolist() == (begins[:, None] | ~env.actions.day_ahead[None, :]).tolist()


@pytest.mark.parametrize("dt_h", [12.0, 0.25, 1 / 12, 1 / 60])
def test_midnight_is_one_step_whatever_the_clock(dt_h):
    system = make_system(0, days=1, dt_h=dt_h)
    env = CommunityEnv(system)
    seen = [env.reset(options={"episode": make_episode(system, 0)})[0]]
    day = system.steps_per_day
    seen += [env.step(np.zeros(env.action_space.shape))[0] for _ in range(min(day - 1, 5))]
    read = Reading(system, None)(torch.from_numpy(np.array(seen))).numpy()
    assert env.actions.day_ahead.any()
    begins = read[:, env.actions.day_ahead].all(axis=1)
    assert begins.tolist() == [True] + [False] * (len(seen) - 1)


@pytest.mark.parametrize("suite", ["s1_3mg", "community_real"])
def test_an_agent_is_read_where_the_community_is_and_never_beyond_its_entries(suite):
    env, seen, _ = played(suite)
    team = Team(env.system)
    whole = Reading(env.system, None)(torch.from_numpy(seen))
    rows = torch.from_numpy(team.split(seen))
    parts = Reading(env.system, team)(rows.flatten(0, 1)).reshape(*rows.shape[:2], -1)
    for agent, decides in enumerate(team.decides):
        assert torch.equal(parts[:, agent, : len(decides)], whole[:, decides.tolist()])
        assert not parts[:, agent, len(decides) :].any()
