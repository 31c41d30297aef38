"""Laws 1, 3 and 5 of docs/model.md, section 10, through the environment."""

import dataclasses
import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import laws
import numpy as np
import pytest
import random_systems
from players import PLANNERS, SLOW, player, players_of
from strategies import make_case

from baselines import POLICIES
from baselines.robust.day_ahead import alone
from mmg_env import CommunityEnv, load_system, sample_episode
from mmg_env.env import Run
from mmg_env.forecasting import make_rows_consistent
from mmg_env.layout import X
from mmg_env.observation import ObservationCodec
from mmg_env.public import PublicInfo
from mmg_env.trajectory import simulate

HERE = Path(__file__).parent
RECORDS = ("states", "flows", "ledger")


@cache
def shipped(name):
    return load_system(name)


def random_actions(env, seed, steps, spread=1.0):
    rng = np.random.default_rng([seed, 9])
    return rng.uniform(-spread, spread, (steps, *env.action_space.shape))


def play(system, episode, actions):
    """Return the env after an episode, its observations and its rewards."""
    env = CommunityEnv(system)
    observations = [env.reset(options={"episode": episode})[0]]
    rewards = []
    for action in actions:
        observation, reward, *_ = env.step(action)
        observations.append(observation)
        rewards.append(reward)
    return env, observations, rewards


# --- law 1 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(100, 125))
def test_an_episode_of_the_env_obeys_the_laws_of_one_hour(seed):
    system, episode, _ = make_case(seed)
    actions = random_actions(CommunityEnv(system), seed, episode.steps, spread=1.3)
    env, _, rewards = play(system, episode, actions)
    run = env.trajectory
    costs = -np.array(rewards) / system.config.reward_scale
    laws.check_all(
        laws.Run(system, episode, run.requests, run.states, run.flows, run.ledger, costs)
    )


# --- law 5 ----------------------------------------------------------------------------------------


def played_batch(seed, batch):
    """Return several episodes of one random system, each with its own actions."""
    system, episode, _ = make_case(seed)
    env = CommunityEnv(system)
    actions = [random_actions(env, k, episode.steps, spread=1.2) for k in range(batch)]
    return system, episode, actions


@pytest.mark.parametrize("seed", range(30))
def test_env_and_simulate_are_bit_equal(seed):
    system, episode, actions = played_batch(seed, 3)
    envs = [play(system, episode, chosen) for chosen in actions]
    codec = CommunityEnv(system).actions
    requests = np.array([[codec.decode(a) for a in chosen] for chosen in actions])
    for (env, _, rewards), asked in zip(envs, requests, strict=True):
        run = simulate(system, episode, asked)
        for name in RECORDS:
            assert getattr(run, name).tobytes() == getattr(env.trajectory, name).tobytes(), name
        assert sum(rewards) == pytest.approx(-run.cost * system.config.reward_scale)


def fingerprint(seeds):
    """Return a digest of everything that an env returns along some episodes."""
    digest = hashlib.sha256()
    for seed in seeds:
        system, episode, actions = played_batch(seed, 1)
        for dtype in (np.float64, np.float32):
            _, observations, rewards = play(system, episode, actions[0].astype(dtype))
            for array in (*observations, np.array(rewards)):
                digest.update(array.tobytes())
    return digest.hexdigest()


def test_the_env_in_plain_python_is_bit_equal_to_compiled_code():
    seeds = [1, 3, 8, 17]
    code = f"from test_env_laws import fingerprint; print(fingerprint({seeds}))"
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    plain = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert plain.stdout.strip() == fingerprint(seeds)


# --- law 3 ----------------------------------------------------------------------------------------


def with_another_future(episode, t, day, seed):
    """Return an episode equal up to t - 1, with the same forecast at t and another future.

    What is known of hour t itself stays: whether the grid is up, the day's derating, and, as a
    forecast, the base of the day's nomination.
    """
    rng = np.random.default_rng([seed, t])
    values, errors = np.array(episode.values), np.array(episode.errors)
    shared = 4 * episode.member_count
    noise = rng.uniform(0.0, 300.0, values[t:].shape)
    noise[:, shared:] /= 1000.0  # prices, below any penalty
    noise[:, shared + X.grid_up] = rng.random(len(noise)) < 0.5
    today = (t // day + 1) * day - t
    for column, kept in ((X.grid_up, 1), (X.derating, 1), (X.nomination_base_kw, today)):
        noise[:kept, shared + column] = values[t : t + kept, shared + column]
    make_rows_consistent(episode.world, episode.model.low, episode.model.high, noise)
    values[t:] = noise
    errors[t:] += rng.normal(0.0, 3.0, errors[t:].shape)
    return dataclasses.replace(episode, values=values, errors=errors)


def moment(system, episode, policy, t):
    """Return observation, info and action at step t of an episode that a policy plays."""
    env = CommunityEnv(system)
    observation, info = env.reset(options={"episode": episode})
    policy.reset(np.random.default_rng(7))
    for _ in range(t):
        observation, *_, info = env.step(policy.act(observation, info))
    return observation, info, np.asarray(policy.act(observation, info))


def told(info):
    """Return everything that an info says, as bytes by name."""
    public = info["public"]
    forecast, history = public.forecast, public.history
    said = {
        "state": public.state.row,
        "forecast": forecast.values,
        "forecast_scale": forecast.scale,
        "step": np.array([public.step, forecast.issue, history.steps]),
    }
    for name in ("values", "center", "scale", "errors"):
        said[f"history_{name}"] = getattr(history, name)
    for part in ("ledger", "flows", "projection", "constraints"):
        for name, value in info.get(part, {}).items():
            said[f"{part}_{name}"] = np.asarray(value)
    return {name: array.tobytes() for name, array in said.items()}


def differences(system, episode, policy, t):
    """Return which of observation, info and action depend on what is not yet known at step t."""
    other = with_another_future(episode, t, system.steps_per_day, 0)
    assert other.forecast(t).values.tobytes() == episode.forecast(t).values.tobytes()
    left, right = (moment(system, e, policy, t) for e in (episode, other))
    found = set()
    if left[0].tobytes() != right[0].tobytes():
        found.add("observation")
    if told(left[1]) != told(right[1]) or left[1]["public"] != right[1]["public"]:
        found.add("info")
    if set(left[1]) != set(right[1]) or left[1]["label"] != right[1]["label"]:
        found.add("keys")
    if left[2].tobytes() != right[2].tobytes():
        found.add("action")
    return found


def shipped_case(name):
    system = shipped(name)
    return system, sample_episode(system, "test", 0)


def random_case(seed):
    system = random_systems.random_system(seed)
    return system, random_systems.random_episode(system, seed)


def failing_case():
    """Return a member whose grid fails, for policies that plan for that."""
    system = alone(load_system("resilience", {"episode_h": 24}), 1)
    return system, sample_episode(system, "test", 0)


CASES = {
    "s1_3mg": lambda: shipped_case("s1_3mg"),
    "community_real": lambda: shipped_case("community_real"),
    "resilience": lambda: shipped_case("resilience"),
    "tiny": lambda: shipped_case("tiny"),
    "s2_crh": lambda: shipped_case("s2_crh"),
    "random 3": lambda: random_case(3),
    "random 8": lambda: random_case(8),
    "quarter hours": lambda: make_case(5, dt_h=0.25, days=1)[:2],
}


def times(system, episode):
    """Return steps to look at: first ones, noon, a day's last and first, one in an outage."""
    day = system.steps_per_day
    down = np.flatnonzero(episode.grid_up == 0.0)[:1].tolist()
    chosen = {0, 1, day // 2, day - 1, day, *down}
    return sorted(t for t in chosen if t < min(episode.steps, 2 * day))


class Late:
    """A planner that plays a few hours of the day, somebody idle the others, to be fast.

    Planners remember nothing but where solvers start from and what they committed to.
    """

    def __init__(self, policy, system):
        self.policy = policy
        self.idle = POLICIES["idle"](system)
        self.day = system.steps_per_day
        self.played = {0, 1, self.day // 2 - 1, self.day // 2, self.day - 1, self.day}

    def reset(self, rng):
        self.policy.reset(rng)

    def act(self, observation, info):
        public = info["public"]
        plays = public.step in self.played or public.forecast.grid_up[0] == 0.0
        return (self.policy if plays else self.idle).act(observation, info)


# Slow cases, in which planners differ in nothing that they see.
ONE_OF_A_KIND = {
    ("cvar", "quarter hours"),
    ("cvar", "community_real"),
    ("benders", "quarter hours"),
    ("robust_affine", "s1_3mg"),
}
PLAYED = [
    (name, case)
    for case in CASES
    for name in players_of(case, CASES[case]()[0])
    if (name, case) not in ONE_OF_A_KIND
]
PLAYED += [(name, "failing grid") for name in SLOW if "failing grid" in SLOW[name]]
CASES["failing grid"] = failing_case


@pytest.mark.parametrize(("name", "case"), PLAYED)
def test_no_policy_depends_on_the_future(name, case):
    system, episode = CASES[case]()
    policy = player(name, system)
    if name in PLANNERS:
        policy = Late(policy, system)
    for t in times(system, episode):
        assert differences(system, episode, policy, t) == set(), t


def test_the_episode_with_another_future_really_has_one():
    system, episode = CASES["community_real"]()
    for t in times(system, episode):
        other = with_another_future(episode, t, system.steps_per_day, 0)
        assert np.array_equal(other.values[:t], episode.values[:t])
        assert (other.load_kw[t:] != episode.load_kw[t:]).all()
        played = [moment(system, e, POLICIES["idle"](system), t + 1) for e in (episode, other)]
        assert played[0][0].tobytes() != played[1][0].tobytes()
        assert played[0][1]["ledger"]["gas"].tobytes() != played[1][1]["ledger"]["gas"].tobytes()


class Reader:
    """A policy that does what it read last: the newest row of the past, or the first lead."""

    def __init__(self, system, read):
        self.size = len(CommunityEnv(system).actions.entries)
        self.read = read

    def reset(self, rng):
        pass

    def act(self, observation, info):
        return np.full(self.size, np.tanh(1e-3 * self.read(observation, info["public"])))


def newest(observation, public):  # noqa: ARG001
    return public.history.values[-1].sum() if len(public.history.values) else 0.0


def first_lead(observation, public):  # noqa: ARG001
    return public.forecast.values[0].sum()


def last_seen(observation, public):  # noqa: ARG001
    return float(observation.astype(float).sum())


def leaky_history(self, t):
    shown = PUBLIC(self, t)
    until = min(t + 1, self.episode.steps)
    return PublicInfo(
        shown.system, t, shown.state, shown.forecast, lambda: self.episode.until(until)
    )


def leaky_forecast(self, t):
    shown = PUBLIC(self, t)
    later = self.episode.forecast(min(t + 1, self.episode.steps))
    return PublicInfo(shown.system, t, shown.state, later, shown.past)


def leaky_observation(self, episode):
    return np.roll(EXOGENOUS(self, episode), -1, axis=0)


PUBLIC, EXOGENOUS = Run.public, ObservationCodec.exogenous_part
LEAKS = {
    "the past holds the hour to come": (Run, "public", leaky_history, newest, "info"),
    "the forecast is an hour late": (Run, "public", leaky_forecast, first_lead, "info"),
    "the observation is an hour late": (
        ObservationCodec,
        "exogenous_part",
        leaky_observation,
        last_seen,
        "observation",
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_caught(leak, monkeypatch):
    owner, name, planted, read, channel = LEAKS[leak]
    system, episode = CASES["s1_3mg"]()
    policy = Reader(system, read)
    for t in (1, 12, 23):
        assert differences(system, episode, policy, t) == set()
    monkeypatch.setattr(owner, name, planted)
    for t in (1, 12, 22):
        assert differences(system, episode, policy, t) == {channel, "action"}, t


def test_a_policy_that_holds_the_env_is_caught():
    system, episode = CASES["s1_3mg"]()

    class Peeking(Reader):
        """A policy that has found its way to the episode behind the lazy info."""

        def act(self, observation, info):  # noqa: ARG002
            run = info._run
            return np.full(self.size, np.tanh(1e-3 * run.episode.values[info["public"].step].sum()))

    assert differences(system, episode, Peeking(system, None), 5) == {"action"}
