"""Which entries of an action weigh in PPO: those that the environment reads."""

from functools import cache

import numpy as np
import pytest
import torch

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
