"""Climatology: what an hour is like, without a forecast."""

from dataclasses import replace

import numpy as np
import pytest

from mmg_env import load_system, sample_episode
from mmg_env.climatology import FADING, _all_seasons, climatology
from mmg_env.layout import X


@pytest.fixture(scope="module")
def system():
    return load_system("community_real", {"episode_h": 48})


def test_it_knows_the_mean_day_of_every_season(system):
    """The mean over fresh train episodes is what is expected, hour by hour of the day."""
    known = climatology(system)
    got, expected = [], []
    for index in range(300, 420):
        episode = sample_episode(system, "train", index)
        got.append(episode.values)
        expected.append(known.expected(episode.start, 0, episode.steps)[0])
    difference = np.mean(got, axis=0) - np.mean(expected, axis=0)
    error = np.std(np.array(got) - np.array(expected), axis=0) / np.sqrt(len(got))
    # Hours in which the sun hardly ever shines have hardly any spread to judge by.
    allowed = 5.0 * error + 0.01 * np.max(got, axis=(0, 1))
    assert (np.abs(difference) <= allowed)[:, known.model.path >= 0].all()


def test_residuals_fade_and_phi_is_the_best_of_its_grid(system):
    known = climatology(system)
    episodes = [sample_episode(system, "train", index) for index in range(60)]
    residuals = np.array([known.residuals(e.start, e.values) for e in episodes])
    column = 2 * len(system.members)  # a load
    assert residuals[..., column].std() == pytest.approx(1.0, abs=0.15)

    def error(phi: float) -> float:
        pairs = [(residuals[:, n:, column], residuals[:, :-n, column], n) for n in range(1, 25)]
        return sum(((later - phi**n * now) ** 2).mean() for later, now, n in pairs)

    best = min(FADING, key=error)
    assert known.model.phi[column] == pytest.approx(best, abs=0.06)


def test_an_expectation_reads_the_past_and_no_forecast(system):
    episode = sample_episode(system, "test", 3)
    known = climatology(system)
    for t in (0, 1, 17, 30):
        public = episode.forecast(t)
        seen = known.foresee(episode.until(t), public)
        other = np.array(public.values)
        uncertain = known.model.path >= 0
        other[:, uncertain] = 0.5 * other[:, uncertain] + 1.0
        again = known.foresee(episode.until(t), replace(public, values=other))
        np.testing.assert_array_equal(seen.values[:, uncertain], again.values[:, uncertain])
        given = 4 * len(system.members) + X.nomination_base_kw
        assert (seen.values[:, given] == public.values[:, given]).all()


def test_the_last_residual_persists(system):
    """Right after the last hour the expectation is near it, far ahead it is the climate's."""
    known = climatology(system)
    episode = sample_episode(system, "test", 5)
    t = 20
    seen = known.foresee(episode.until(t), episode.forecast(t))
    column = 4 * len(system.members) + X.spot
    clim, scale = known.expected(episode.start, t, len(seen.values))
    last = known.residuals(episode.start, episode.values)[t - 1, column]
    phi = known.model.phi[column]
    wanted = clim[:, column] + scale[:, column] * phi ** np.arange(1, 49) * last
    assert seen.values[:, column] == pytest.approx(wanted)


def test_a_season_is_not_made_up_from_a_few_weeks():
    whole = np.arange("2023-01-01", "2023-12-31", 30, dtype="datetime64[D]")
    assert _all_seasons(list(whole))
    assert not _all_seasons(list(whole[:3]))
