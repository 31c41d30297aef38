"""One policy through one episode: what it is given, what is recorded, and that it repeats."""

from functools import cache

import gymnasium
import numpy as np
import pytest
from players import SLOW, players_of
from strategies import make_case

from baselines import POLICIES, policy_named
from mmg_env import CommunityEnv, load_system, rollout
from mmg_env.errors import InputError
from mmg_env.trajectory import simulate

RECORDS = ("requests", "states", "flows", "ledger")


@cache
def env_of(name="s1_3mg"):
    return CommunityEnv(load_system(name), split="test")


def equal(left, right):
    pairs = ((getattr(left, name), getattr(right, name)) for name in RECORDS)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


class Listener:
    """A policy that draws its actions and remembers what it was told."""

    def __init__(self, size):
        self.size = size
        self.seen = None

    def reset(self, rng):
        self.rng, self.seen = rng, []

    def act(self, observation, info):
        self.seen.append((observation, info))
        return self.rng.uniform(-1.0, 1.0, self.size)


@pytest.fixture
def listener():
    return Listener(len(env_of().actions.entries))


def test_a_policy_is_told_every_step_once(listener):
    rollout(env_of(), listener, seed=0)
    assert [info["public"].step for _, info in listener.seen] == list(range(24))
    assert all(obs.dtype == np.float32 for obs, _ in listener.seen)
    assert "ledger" not in listener.seen[0][1]
    assert "ledger" in listener.seen[1][1]


def test_the_record_is_what_the_env_paid(listener):
    rewards = []

    class Counted(gymnasium.Wrapper):
        def step(self, action):
            out = self.env.step(action)
            rewards.append(out[1])
            return out

    trajectory = rollout(Counted(env_of()), listener, seed=3)
    assert trajectory.cost == pytest.approx(-sum(rewards), rel=1e-12)
    assert trajectory.step_costs == pytest.approx(-np.array(rewards), rel=1e-12)
    assert trajectory.episode.label[:2] == ("s1_3mg", "test")
    assert trajectory.decision_ms.shape == (24,)
    assert (trajectory.decision_ms >= 0.0).all()
    again = simulate(trajectory.system, trajectory.episode, trajectory.requests)
    assert equal(trajectory, again)


def test_seed_and_options_choose_the_episode(listener):
    env = env_of()
    assert rollout(env, listener, options={"episode": 9}).episode.label == ("s1_3mg", "test", 9)
    label = env.reset(seed=12)[1]["label"]
    assert rollout(env, listener, seed=12).episode.label == label
    nominal = rollout(env, listener, options={"episode": "nominal"})
    assert nominal.episode.steps == 24


PLAYED = [("s1_3mg", name) for name in players_of("s1_3mg", load_system("s1_3mg"))]
PLAYED += [("tiny", name) for name in SLOW if ("s1_3mg", name) not in PLAYED]


@pytest.mark.parametrize(("suite", "name"), PLAYED)
def test_a_rollout_repeats_bit_by_bit(suite, name):
    env = env_of(suite)
    first = rollout(env, policy_named(name)(env.system), options={"episode": 1})
    rollout(env, POLICIES["random"](env.system), options={"episode": 2})
    policy = policy_named(name)(env.system)
    rollout(env, policy, options={"episode": 2})
    assert equal(rollout(env, policy, options={"episode": 1}), first)


def test_a_policys_draws_depend_on_seed_or_episode(listener):
    env = env_of()
    first = rollout(env, listener, options={"episode": 1})
    other = rollout(env, listener, options={"episode": 2})
    seeded = rollout(env, listener, seed=5, options={"episode": 1})
    reseeded = rollout(env, listener, seed=5, options={"episode": 1})
    assert equal(seeded, reseeded)
    assert not np.array_equal(first.requests, other.requests)
    assert not np.array_equal(first.requests, seeded.requests)


def test_a_trajectory_is_not_touched_by_later_episodes(listener):
    env = env_of()
    first = rollout(env, listener, options={"episode": 0})
    before = {name: getattr(first, name).copy() for name in RECORDS}
    rollout(env, listener, options={"episode": 1})
    assert all(np.array_equal(getattr(first, name), before[name]) for name in RECORDS)


def test_it_works_through_gymnasiums_wrappers(listener):
    made = gymnasium.make("mmg/S13mg-v1", split="test")
    made = gymnasium.wrappers.RecordEpisodeStatistics(made)
    assert equal(rollout(made, listener, seed=1), rollout(env_of(), listener, seed=1))
    _, info = listener.seen[-1]
    assert info["public"].step == 23


def test_episodes_of_any_length_and_step_can_be_rolled_out():
    for seed in range(5):
        system, episode, _ = make_case(seed)
        env = CommunityEnv(system)
        policy = POLICIES["random"](system)
        trajectory = rollout(env, policy, options={"episode": episode})
        assert trajectory.episode is episode
        assert len(trajectory.ledger) == episode.steps


def test_another_env_is_refused(listener):
    with pytest.raises(InputError, match="rollout: CartPoleEnv is not a CommunityEnv"):
        rollout(gymnasium.make("CartPole-v1"), listener)
