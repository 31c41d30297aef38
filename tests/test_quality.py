"""Forecast quality: perfect, good, poor, none, over the same truth."""

import numpy as np
import pytest

from mmg_env import load_system, sample_episode
from mmg_env.climatology import climatology
from mmg_env.layout import X
from mmg_env.sources.quality import POOR

SUITES = ("community_real", "s1_3mg")


def variants(suite, quality, **more):
    return load_system(suite, {"source.forecast": quality, "episode_h": 24, **more})


def uncertain(episode):
    """Return the columns with an error path, less what follows from the forecast itself."""
    columns = np.flatnonzero(episode.model.path >= 0)
    return columns[columns < 4 * episode.member_count]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("quality", ["perfect", "poor", "none"])
def test_the_truth_is_the_same(suite, quality):
    for split in ("train", "test", "shift"):
        good = sample_episode(variants(suite, "good"), split, 2)
        other = sample_episode(variants(suite, quality), split, 2)
        base = 4 * good.member_count + X.nomination_base_kw
        np.testing.assert_array_equal(
            np.delete(good.values, base, axis=1), np.delete(other.values, base, axis=1)
        )


@pytest.mark.parametrize("suite", SUITES)
def test_perfect_forecasts_are_the_truth(suite):
    episode = sample_episode(variants(suite, "perfect"), "test", 1)
    for t in (0, 5, 23):
        ahead = episode.forecast(t).values[: 24 - t]
        columns = uncertain(episode)
        assert ahead[:, columns] == pytest.approx(episode.values[t:, columns], abs=1e-9)


@pytest.mark.parametrize("suite", SUITES)
def test_poor_forecasts_err_that_many_times_as_much(suite):
    """Exactly, wherever neither forecast was cut to the physical range."""
    good = sample_episode(variants(suite, "good"), "test", 1)
    poor = sample_episode(variants(suite, "poor"), "test", 1)
    for t in (0, 7):
        columns = uncertain(good)
        truth = good.values[t:, columns]
        errors = [e.forecast(t).values[: 24 - t][:, columns] - truth for e in (good, poor)]
        low, high = good.model.low[columns], good.model.high[columns]
        views = [e.forecast(t).values[: 24 - t][:, columns] for e in (good, poor)]
        free = np.all([(v > low + 1e-6) & (v < high - 1e-6) for v in [*views, truth]], axis=0)
        assert free.mean() > 0.2
        assert errors[1][free] == pytest.approx(POOR * errors[0][free], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("suite", SUITES)
def test_worse_forecasts_err_more(suite):
    # Typical days of `scenes` are known as they begin, to a forecast; not to the climate.
    wrong = {}
    for quality in ("perfect", "good", "poor", "none"):
        system = variants(suite, quality)
        episodes = [sample_episode(system, "test", i) for i in range(24)]
        errors = [e.forecast(0).net_load_kw[:24] - e.net_load_kw for e in episodes]
        wrong[quality] = float(np.abs(errors).mean())
    assert wrong["perfect"] < wrong["good"] < wrong["poor"]
    assert wrong["good"] < wrong["none"]


@pytest.mark.parametrize("suite", SUITES)
def test_none_is_what_a_policy_without_a_forecast_expects(suite):
    system = variants(suite, "none")
    episode = sample_episode(system, "test", 0)
    for t in (0, 1, 9, 23):
        told = episode.forecast(t)
        expected = climatology(system).foresee(episode.until(t), told)
        assert expected.values == pytest.approx(told.values, rel=1e-9, abs=1e-9)
