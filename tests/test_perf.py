"""The speed commands print their ratios; how large those are is for a quiet machine to say."""

import pytest

from experiments import perf


def test_env_prints_its_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    perf.env(rounds=1, steps=48)
    out = capsys.readouterr().out
    assert "s1_3mg / no-op" in out
    assert "s1_3mg / CartPole" in out
    assert "step 10000 / step 10" in out
    assert "bank / no-op" in out
    assert "sampling / stepping" in out


def test_ppo_prints_what_the_environment_costs_a_learner(
    capsys: pytest.CaptureFixture[str],
) -> None:
    perf.ppo(rounds=1, frames=1)
    out = capsys.readouterr().out
    assert "PPO,  64 x s1_3mg" in out
    assert "a million frames" in out


def test_mpc_prints_its_times_and_the_ratio_to_rebuilding(
    capsys: pytest.CaptureFixture[str],
) -> None:
    perf.mpc(episodes=1, rebuilds=1)
    out = capsys.readouterr().out
    for name in ("mpc ", "mpc_climatology ", "LP, compiled", "rebuilt / compiled"):
        assert f"\n{name}" in f"\n{out}"
    assert "stochastic_mpc" not in out


def test_the_empty_environment_has_the_same_spaces() -> None:
    envs = perf.made_alike()
    for space in ("observation_space", "action_space"):
        assert getattr(envs["no-op"], space) == getattr(envs["s1_3mg"], space)
