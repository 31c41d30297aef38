"""The batch in stable-baselines3: its conventions, and what the wrappers of training change."""

from functools import cache

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecNormalize

from baselines import POLICIES
from baselines.agent import Network
from experiments.sb3_vec import CommunityVecEnv, Correction, Multiplier, Savings, multiplier_of
from mmg_env import CommunityEnv, CommunityVectorEnv, load_system, rollout


@cache
def shipped(name):
    return load_system(name)


def new_env(slots=3, suite="tiny", split="val"):
    batch = CommunityVectorEnv(slots, shipped(suite), split, autoreset_mode="SAME_STEP")
    return CommunityVecEnv(batch)


def draw(env, steps, seed=0):
    shape = (steps, env.num_envs, *env.action_space.shape)
    return np.random.default_rng(seed).uniform(-1.0, 1.0, shape).astype(np.float32)


def test_it_plays_episode_after_episode_as_a_single_environment_does():
    env = new_env()
    env.seed(5)
    single = CommunityEnv(shipped("tiny"), "val")
    shown, alone = env.reset(), single.reset(seed=7)[0]
    assert shown[2].tobytes() == alone.tobytes()
    for action in draw(env, 50):
        shown, rewards, dones, infos = env.step(action)
        alone, reward, _, ended, _ = single.step(action[2])
        assert rewards[2] == np.float32(reward)
        assert dones[2] == ended
        if ended:
            assert infos[2]["terminal_observation"].tobytes() == alone.tobytes()
            alone = single.reset()[0]
        assert shown[2].tobytes() == alone.tobytes()
        assert "TimeLimit.truncated" not in infos[2]


def test_savings_are_what_doing_nothing_costs_more():
    env = Savings(new_env())
    env.seed(1)
    env.reset()
    labels = [env.venv.env.episode(k).label[2] for k in range(3)]
    total = np.zeros(3)
    plain = new_env()
    plain.seed(1)
    plain.reset()
    spent = np.zeros(3)
    for action in draw(env, 24):
        total += env.step(action)[1]
        spent -= plain.step(action)[1]
    single = CommunityEnv(shipped("tiny"), "val")
    idle = POLICIES["idle"](single.system)
    costs = [rollout(single, idle, options={"episode": k}).cost for k in labels]
    assert total == pytest.approx(np.array(costs) - spent, rel=1e-4)


@pytest.mark.parametrize("split", ["train", "val"])
def test_savings_go_on_in_the_next_episode(split):
    env = Savings(new_env(split=split))
    env.seed(1)
    env.reset()
    nothing = env._nothing.astype(np.float64)
    for _ in range(60):
        assert env.step(nothing)[1] == pytest.approx(0.0, abs=1e-6)


def test_a_multiplier_takes_its_price_from_the_reward():
    inner, priced = new_env(), new_env()
    env = Multiplier(priced, priced, 3)
    env.price = 0.5
    for candidate in (inner, env):
        candidate.seed(2)
        candidate.reset()
    single = [CommunityEnv(shipped("tiny"), "val") for _ in range(3)]
    for k, alone in enumerate(single):
        alone.reset(seed=2 + k)
    amounts = 0.0
    for action in draw(env, 24):  # to the last step of the episode
        plain, taxed = inner.step(action)[1], env.step(action)[1]
        told = [alone.step(own)[4] for alone, own in zip(single, action, strict=True)]
        moved = np.array([info["constraints"]["projection_kw"] for info in told])
        amounts += moved.sum()
        assert priced.constraints()[:, 3] == pytest.approx(moved, rel=1e-6)
        assert taxed == pytest.approx(plain - 0.5 * moved, abs=1e-5)
    assert amounts > 0.0
    assert env.suffered == pytest.approx(amounts)
    assert env.episodes == 3
    assert multiplier_of(VecNormalize(env)) is env
    assert multiplier_of(inner) is None


def test_a_correction_of_nothing_is_the_base():
    rng = np.random.default_rng(0)
    base = Network([(rng.normal(0, 0.1, (85, 1)).astype(np.float32), np.zeros(1, "f4"))], "tanh")
    plain = new_env()
    env = Correction(new_env(), base, 0.3)
    assert env.observation_space.shape == (86,)
    for candidate in (plain, env):
        candidate.seed(2)
    shown, both = plain.reset(), env.reset()
    for _ in range(50):
        assert both[:, :-1].tobytes() == shown.tobytes()
        assert both[:, -1:] == pytest.approx(base(shown))
        shown, rewards, _, infos = plain.step(base(shown))
        both, corrected, _, more = env.step(np.zeros((3, 1), np.float32))
        assert corrected == pytest.approx(rewards)
        if infos[0]:
            assert more[0]["terminal_observation"].shape == (86,)
