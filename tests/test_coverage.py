"""Futures held against the truth: ranks, and how often it lies within an interval."""

from dataclasses import replace

import numpy as np
import pytest
from futures import futures, random_futures, rng
from hypothesis import given
from hypothesis import strategies as st

from baselines import coverage as module
from baselines.coverage import coverage, episode_ranks, ranks
from baselines.reduction import moments
from baselines.scenarios import draw
from mmg_env import InputError, load_system, sample_episode
from mmg_env.series import Scenarios


def test_ranks_by_hand() -> None:
    scenarios = futures([[[1.0]], [[2.0]], [[2.0]], [[5.0]]], [0.1, 0.2, 0.3, 0.4])
    truths = {0.0: 0.0, 1.0: 0.05, 1.5: 0.1, 2.0: 0.35, 4.0: 0.6, 5.0: 0.8, 6.0: 1.0}
    for truth, rank in truths.items():
        assert ranks(scenarios, np.array([[truth]])) == pytest.approx(np.array([[rank]]))


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 3))
def test_ranks_turn_with_the_sign_and_see_no_order(seed: int, n: int, steps: int) -> None:
    draws = rng(seed)
    values, truth = draws.integers(0, 4, (n, 3, 2)), draws.integers(0, 4, (steps, 2))
    probability = draws.dirichlet(np.ones(n))
    found = ranks(futures(values, probability), truth)
    assert found.shape == truth.shape
    assert ranks(futures(-values, probability), -truth) == pytest.approx(1.0 - found)
    order = draws.permutation(n)
    assert ranks(futures(values[order], probability[order]), truth) == pytest.approx(found)


def test_a_truth_of_the_same_law_takes_all_ranks_equally_often() -> None:
    n, columns = 9, 4000
    drawn = rng().normal(size=(n + 1, 1, columns))
    found = np.rint(n * ranks(futures(drawn[:n]), drawn[n])).astype(int)
    often = np.bincount(found.ravel(), minlength=n + 1)
    # Chi-square with 9 degrees of freedom: 27.9 is exceeded once in a thousand.
    assert ((often - columns / 10) ** 2 / (columns / 10)).sum() < 27.9


def test_coverage_by_hand() -> None:
    ranked = {"load": np.array([[0.04, 0.1, 0.5], [0.9, np.nan, 0.97]])}
    found = [coverage(ranked, level)["load"] for level in (0.5, 0.8, 0.93)]
    assert found == pytest.approx([0.2, 0.6, 0.8])


def standard_error(rank: np.ndarray, level: float) -> float:
    """Return that of the share over episodes, within which ranks depend on each other."""
    shares = [coverage({"": one}, level)[""] for one in rank if not np.isnan(one).all()]
    return float(np.std(shares, ddof=1) / np.sqrt(len(shares)))


@pytest.mark.parametrize(
    ("name", "step", "episodes", "kinds"),
    [
        ("s1_3mg", 6, 60, ["wind", "pv", "load", "heat", "price"]),
        ("community_real", 60, 40, ["wind", "pv", "load", "heat", "price", "premium"]),
    ],
)
def test_the_truth_lies_where_scenarios_say(
    name: str, step: int, episodes: int, kinds: list[str]
) -> None:
    """Within 4 standard errors, .04 to .09; where wind and PV are cut, up to .08 more often.

    The middle of an atom at 0 or at capacity lies within the interval more often than not.
    """
    level = 0.8
    found = episode_ranks(load_system(name), "test", episodes, step, 99, rng())
    share = coverage(found, level)
    assert list(share) == kinds
    for kind, value in share.items():
        slack = 4.0 * standard_error(found[kind], level)
        assert slack < 0.1
        assert -slack < value - level < slack + (0.08 if kind in ("wind", "pv") else 0.0), kind


def test_scenarios_that_are_too_sure_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(*arguments: object) -> Scenarios:
        drawn = draw(*arguments)  # type: ignore[arg-type]
        mean = moments(drawn).mean
        return replace(drawn, values=mean + 0.5 * (drawn.values - mean))

    system = load_system("s1_3mg")
    assert coverage(episode_ranks(system, "test", 20, 6, 99, rng()), 0.8)["load"] > 0.7
    monkeypatch.setattr(module, "draw", narrow)
    assert coverage(episode_ranks(system, "test", 20, 6, 99, rng()), 0.8)["load"] < 0.65


def test_what_is_known_has_no_rank() -> None:
    system = load_system("s1_3mg")
    found = episode_ranks(system, "test", 2, 15, 9, rng())
    assert {kind: rank.shape[:2] for kind, rank in found.items()} == dict.fromkeys(found, (2, 9))
    scale = np.array([sample_episode(system, "test", k).scale[15:24] for k in range(2)])
    members = len(system.members)
    dark = scale[..., members : 2 * members] == 0.0
    assert 0 < dark.sum() < dark.size
    assert np.array_equal(np.isnan(found["pv"]), dark)
    assert set(episode_ranks(load_system("tiny"), "test", 1, 0, 9, rng())) == {"load", "price"}


def test_what_does_not_fit_is_refused() -> None:
    system, scenarios = load_system("tiny"), random_futures(0, 4)
    refused = {
        "truth: shape .4, 4": lambda: ranks(scenarios, np.zeros((4, 4))),
        "truth: shape .0": lambda: ranks(scenarios, np.zeros((0, 4))),
        "episodes: 0; it must": lambda: episode_ranks(system, "test", 0, 0, 9, rng()),
        "step: 24 is not in 0..23": lambda: episode_ranks(system, "test", 1, 24, 9, rng()),
        "level: 1.0 is not above": lambda: coverage({}, 1.0),
    }
    for words, call in refused.items():
        with pytest.raises(InputError, match=words):
            call()
