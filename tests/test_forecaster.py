"""Learning to read forecasts: errs less on days not seen, and leaves good forecasts alone."""

from functools import cache

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from baselines import policy_named
from baselines.agent import read_agent
from baselines.learned_forecast import AS_IT_IS, LearnedForecast, uncertain
from experiments.cli import app
from experiments.forecaster import costs_of, fit
from mmg_env import CommunityEnv, load_system, rollout
from mmg_env.climatology import climatology
from mmg_env.public import PublicInfo
from mmg_env.splits import sample_episode


@cache
def learned_of(suite, quality="good", episodes=12):
    system = load_system(suite, {"source.forecast": quality})
    return system, fit(system, 0, episodes, 1e-3)


def errors(system, learned, index):
    """Return squared errors of public and learned forecast, (2, columns), of a val episode."""
    episode, climate = sample_episode(system, "val", index), climatology(system)
    found = np.zeros((2, system.exogenous_size))
    for t in range(1, episode.steps, 5):
        state = CommunityEnv(system, "val").reset(options={"episode": index})[1]["public"].state
        public = PublicInfo(system, t, state, episode.forecast(t), lambda t=t: episode.until(t))
        ahead = min(24, episode.steps - t)
        truth = episode.values[t : t + ahead]
        _, scale = climate.expected(episode.start, t, ahead)
        for k, forecast in enumerate((public.forecast, learned(public))):
            miss = (forecast.values[:ahead] - truth) / np.where(scale > 0, scale, 1.0)
            found[k] += (miss**2).sum(axis=0)
    return found


@pytest.mark.parametrize(("suite", "share"), [("community_real", 0.9), ("resilience", 0.9)])
def test_a_learned_forecast_errs_less_on_days_that_it_has_not_seen(suite, share):
    system, learned = learned_of(suite)
    public, ours = sum(errors(system, learned, index) for index in range(3))
    varies = uncertain(climatology(system), sample_episode(system, "val", 0).forecast(0))
    varies &= public > 0.0
    assert (ours[varies] / public[varies]).mean() < share


def test_a_perfect_forecast_is_left_alone():
    system, learned = learned_of("community_real", "perfect", 4)
    varies = uncertain(climatology(system), sample_episode(system, "val", 0).forecast(0))
    public, ours = errors(system, learned, 0)
    assert public[varies] == pytest.approx(0.0, abs=1e-12)
    assert (ours[varies] < 1e-2).all()


def test_leads_that_no_episode_reaches_are_left_alone():
    system, learned = learned_of("s1_3mg")
    assert learned.weights[system.episode_steps :] == pytest.approx(
        np.broadcast_to(AS_IT_IS, learned.weights[system.episode_steps :].shape)
    )


def test_seeds_learn_from_different_episodes():
    system = load_system("tiny")
    first, again, other = (fit(system, n, 5, 1e-3).weights for n in (0, 0, 5))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_what_was_trained_is_played(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "learner.yaml"
    file.write_text(yaml.safe_dump({"algorithm": "forecast", "fitting": {"episodes": 5}}))
    line = ["train", "--suite", "tiny", "--algo", "forecast", "--agent", str(file), "--seed", "2"]
    done = CliRunner().invoke(app, [*line, "--workers", "1", "--out", "run"])
    assert done.exit_code == 0, done.output
    system = load_system("tiny")
    facts, learned = read_agent(tmp_path / "run" / "agent")
    assert isinstance(learned, LearnedForecast)
    assert learned.weights.tobytes() == fit(system, 10, 5, 1e-3).weights.tobytes()
    costs = costs_of(system, learned, 16, 1)
    assert facts.training["val_cost"] == pytest.approx(costs.mean())
    policy = policy_named(str(tmp_path / "run" / "agent"))(system)
    env = CommunityEnv(system, "val")
    assert rollout(env, policy, options={"episode": 4}).cost == pytest.approx(costs[4])
