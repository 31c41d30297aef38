"""Outages and derated days: how often, how long, announced or not."""

import numpy as np
import pytest

from mmg_env import load_system, sample_episode
from mmg_env.layout import X
from mmg_env.sources.grid import derated_days, outages


@pytest.fixture(scope="module")
def system():
    return load_system("resilience")


def test_outages_begin_and_last_as_the_file_says(system):
    """A chain: an hour that is up fails with p; one that is down stays so with 1 - (1 - p) / m."""
    down = np.array([outages(system, "train", i, 720) for i in range(400)])
    before, now = down[:, :-1], down[:, 1:]
    p, mean = 0.006, 4.0
    up = ~before
    # Four standard errors of a share of so many hours.
    assert now[up].mean() == pytest.approx(p, abs=4 * np.sqrt(p / up.sum()))
    stay = 1.0 - (1.0 - p) / mean
    assert now[before].mean() == pytest.approx(stay, abs=4 * np.sqrt(0.2 / before.sum()))


def test_derated_days_are_whole_days(system):
    share = np.array([derated_days(system, "train", i, 720) for i in range(200)])
    days = share.reshape(-1, 24)
    assert set(np.unique(days)) == {0.6, 1.0}
    assert (days == days[:, :1]).all()
    assert (days[:, 0] == 0.6).mean() == pytest.approx(0.15, abs=0.02)


def test_without_either_the_grid_is_always_up():
    system = load_system("community_real")
    assert not outages(system, "test", 0, 500).any()
    assert (derated_days(system, "test", 0, 500) == 1.0).all()


def test_a_derated_day_is_announced_and_an_outage_is_not(system):
    derated = outage = 0
    for index in range(40):
        episode = sample_episode(system, "train", index)
        for day in range(3):
            share = episode.shared(X.derating)[24 * day]
            foreseen = episode.forecast(24 * day).grid_up
            assert (foreseen[3:24] == share).all()
            assert (foreseen[24:] == 1.0).all()
            derated += share < 1.0
        for t in np.flatnonzero(np.diff(episode.grid_up == 0.0, prepend=False) > 0):
            if t == 0 or episode.grid_up[t] > 0.0:
                continue
            assert episode.forecast(t - 1).grid_up[1] > 0.0
            assert (episode.forecast(t).grid_up[:3] == 0.0).all()
            outage += 1
    assert derated > 5
    assert outage > 5


def test_a_step_of_a_quarter_hour_has_as_many_hours_of_outage():
    hourly = load_system("resilience", {"tariff.demand_charge_per_kw": 0.3})
    finer = load_system("resilience", {"tariff.demand_charge_per_kw": 0.3, "dt_h": 0.25})
    shares = [
        np.mean([outages(system, "train", i, n).mean() for i in range(400)])
        for system, n in ((hourly, 720), (finer, 2880))
    ]
    assert shares[0] == pytest.approx(shares[1], rel=0.1)
