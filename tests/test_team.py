"""Teams: everybody sees its own part, and together they decide everything once."""

from functools import cache

import numpy as np
import pytest

from baselines.team import Team
from experiments.team_vec import TeamVecEnv
from mmg_env import CommunityEnv, CommunityParallelEnv, CommunityVectorEnv, load_system
from mmg_env.config_file import suite_names


@cache
def shipped(name):
    return load_system(name)


@pytest.mark.parametrize("name", suite_names())
def test_agents_see_and_do_what_the_parallel_environment_says(name):
    system = shipped(name)
    team, env = Team(system), CommunityParallelEnv(system, "val")
    own, _ = env.reset(options={"episode": 1})
    seen = team.split(env.state())
    assert len(team) == len(env.possible_agents)
    for k, agent in enumerate(env.possible_agents):
        assert seen[k, : len(team)].tolist() == [float(k == j) for j in range(len(team))]
        assert seen[k, len(team) : len(team) + len(own[agent])].tobytes() == own[agent].tobytes()
        assert not seen[k, len(team) + len(own[agent]) :].any()
    acts = np.random.default_rng(0).uniform(-1, 1, (len(team), team.depth)).astype(np.float32)
    joint = team.join(acts)
    for k, agent in enumerate(env.possible_agents):
        decides = env.parts[agent].decides
        assert joint[decides].tobytes() == acts[k, : len(decides)].tobytes()


def test_rewards_are_own_savings_and_add_up_to_the_communitys():
    system = shipped("s1_3mg")
    env = TeamVecEnv(CommunityVectorEnv(2, system, "val", autoreset_mode="SAME_STEP"))
    env.seed(3)
    shown = env.reset()
    assert shown.shape == (2 * 4, env.team.width)
    rng = np.random.default_rng(0)
    label = env.env.episode(1).label[2]
    parallel, idle = CommunityParallelEnv(system, "val"), CommunityParallelEnv(system, "val")
    parallel.reset(options={"episode": label})
    idle.reset(options={"episode": label})
    nothing = env._nothing[0]
    for t in range(26):
        actions = rng.uniform(-1, 1, (8, env.team.depth)).astype(np.float32)
        shown, rewards, ended, infos = env.step(actions)
        assert ended.all() == (t == 23)
        if t > 23:
            continue
        joint = env.team.join(actions.reshape(2, 4, -1))[1]
        paid = [
            e.step({a: j[e.parts[a].decides] for a in e.possible_agents})[1]
            for e, j in ((parallel, joint), (idle, nothing))
        ]
        for k, agent in enumerate(parallel.possible_agents):
            assert rewards[4 + k] == pytest.approx(paid[0][agent] - paid[1][agent], rel=1e-4)
        if t == 23:
            last = infos[5]["terminal_observation"]
            assert last.tobytes() == env.team.split(parallel.state())[1].tobytes()


def test_a_team_of_the_single_environment_is_the_community():
    system = shipped("s1_3mg")
    team, env = Team(system), CommunityEnv(system, "val")
    observation, _ = env.reset(options={"episode": 0})
    assert team.join(team.split(observation)[..., : team.depth]).shape == env.action_space.shape
