"""Replayed history: real days in their order, nothing drawn but forecast errors and calls."""

import subprocess
import sys
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmg_env.data import load_days
from mmg_env.episode import Episode, check_fits
from mmg_env.errors import ConfigError, InputError
from mmg_env.layout import X
from mmg_env.sources.days import day_kind
from mmg_env.sources.history import draw_history, typical_day
from mmg_env.sources.starts import episode_days, start_days
from mmg_env.splits import sample_episode
from mmg_env.system import System, load_system

SPLITS = ("train", "val", "test", "shift")
YEARS: dict[str, list[int]] = {
    "train": [2022, 2023],
    "val": [2021],
    "test": [2024],
    "shift": [2018, 2020],
}


def community(**overrides: Any) -> System:
    source = {"kind": "history", "years": YEARS}
    # A year has fewer start days than the suite has test weeks.
    return load_system("community_real", {"source": source, "splits.test": 128, **overrides})


@lru_cache(maxsize=1)
def weekly() -> System:
    return community()


def digest(episode: Episode) -> str:
    arrays = (episode.values, episode.center, episode.scale, episode.errors)
    return sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


@pytest.mark.parametrize("split", SPLITS)
def test_prices_are_those_of_the_days(split: str) -> None:
    table = load_days("prices_nl")
    for index in (0, 1, 17):
        episode = sample_episode(weekly(), split, index)
        first = int(np.searchsorted(table["date"], episode.start.astype("datetime64[D]")))
        days = table["spot_eur_per_kwh"][first : first + 7].astype(float)
        assert np.array_equal(episode.shared(X.spot), days.ravel())
        years = {int(str(day)[:4]) for day in table["date"][[first, first + 6]]}
        assert years <= set(YEARS[split])
        check_fits(weekly(), episode)


def test_weather_is_that_of_the_calendar_day() -> None:
    table = load_days("sites")
    episode = sample_episode(weekly(), "test", 100)
    day = typical_day(episode.start.astype("datetime64[D]") + np.arange(7))
    assert str(table["date"][day[0]])[5:] == str(episode.start)[5:10]
    for member, column, capacity in ((0, "pv_a", 200.0), (1, "pv_b", 1400.0), (3, "pv_c", 600.0)):
        expected = capacity * table[column][day].astype(float).ravel()
        assert np.allclose(episode.pv_kw[:, member], expected, rtol=1e-12)
    expected = 1200.0 * table["wind_a"][day].astype(float).ravel()
    assert np.allclose(episode.wind_kw[:, 0], expected, rtol=1e-12)


def test_a_leap_day_has_the_weather_of_the_day_before() -> None:
    days = np.array(["2024-02-28", "2024-02-29", "2024-03-01", "2024-12-31", "2023-01-01"], "M8[D]")
    assert typical_day(days).tolist() == [58, 58, 59, 364, 0]


def test_loads_are_those_of_the_day_type() -> None:
    table = load_days("demand")
    kind = table["day_type"][:, 0]
    for index in (3, 60):
        episode = sample_episode(weekly(), "shift", index)
        dates = episode.start.astype("datetime64[D]") + np.arange(7)
        for d, wanted in enumerate(day_kind(dates)):
            like = 900.0 * table["load_village"][kind == wanted].astype(float)
            today = episode.load_kw[24 * d : 24 * d + 24, 0]
            assert np.isclose(like, today, rtol=1e-9).all(axis=1).any()


def test_start_days_are_spread_over_the_split() -> None:
    starts = [sample_episode(weekly(), "val", index).start for index in range(64)]
    days = np.diff(np.array(starts, "M8[D]").astype(int))
    assert len(starts) == len(set(starts))
    assert days.min() >= 5
    assert days.max() <= 6
    shift = {str(draw_history(weekly(), "shift", index).start)[:4] for index in range(64)}
    assert shift == {"2018", "2020"}


def test_train_draws_its_days_over_the_end_of_a_year() -> None:
    runs = start_days(weekly(), [(0, 729)])
    assert len(runs) == 724
    starts = {str(draw_history(weekly(), "train", index).start) for index in range(80)}
    assert len(starts) > 60
    assert {day[:4] for day in starts} == {"2022", "2023"}


def test_beyond_the_end_stands_the_week_before() -> None:
    system = load_system("s1_3mg", {"episode_h": 48, "splits.val": 4})
    days = [episode_days(system, "val", i, [(100, 104)], 4).tolist() for i in range(4)]
    assert days[3] == [103, 104, 100, 100]  # the week before is no day of this split
    assert days[0] == [100, 101, 102, 103]
    long = episode_days(system, "val", 3, [(100, 120)], 4).tolist()
    assert long == [115, 116, 117, 118]
    system = load_system("s1_3mg", {"episode_h": 48, "splits.val": 20})
    assert episode_days(system, "val", 19, [(100, 120)], 4).tolist() == [119, 120, 114, 115]
    with pytest.raises(InputError, match="has 4 days on which an episode of 48 h can start"):
        episode_days(system, "val", 0, [(100, 104)], 4)


def test_a_whole_year() -> None:
    system = community(episode_h=8760, **{"splits": {"val": 1, "test": 2, "shift": 3}})
    starts = []
    for split, count in (("val", 1), ("test", 2), ("shift", 3), ("train", 1)):
        for index in range(count):
            episode = sample_episode(system, split, index)
            starts.append(str(episode.start)[:10])
            assert episode.values.shape[0] == 8760
            assert np.isfinite(episode.forecast(8760).values).all()
    assert starts[:3] == ["2021-01-01", "2024-01-01", "2024-01-02"]
    assert starts[3:6] == ["2018-01-01", "2020-01-01", "2020-01-02"]


def test_years_that_hold_too_few_episodes_are_refused() -> None:
    system = community(episode_h=8760)
    with pytest.raises(InputError, match="has 1 days on which an episode of 8760 h can start"):
        sample_episode(system, "val", 0)


def test_a_year_without_prices_is_named() -> None:
    system = community(**{"source.years.test": [2031]})
    with pytest.raises(InputError, match=r"source.years: there are no prices of 2031"):
        sample_episode(system, "test", 0)


def test_years_serve_one_split() -> None:
    with pytest.raises(ConfigError, match="2021 is used by val already"):
        community(**{"source.years.shift": [2021]})


@pytest.mark.parametrize("quality", ["perfect", "poor", "none"])
def test_qualities_of_forecasts(quality: str) -> None:
    system = community(**{"source.forecast": quality, "episode_h": 48})
    good = sample_episode(community(episode_h=48), "test", 5)
    episode = sample_episode(system, "test", 5)
    assert np.array_equal(good.values[:, :-1], episode.values[:, :-1])  # the base is a forecast
    assert not np.array_equal(good.forecast(6).values, episode.forecast(6).values)


def test_quarter_hours_keep_the_energy() -> None:
    fine = community(**{"dt_h": 0.25, "episode_h": 24, "tariff.demand_charge_per_kw": 0.5})
    coarse = community(episode_h=24)
    for name in ("load_kw", "pv_kw", "wind_kw"):
        quarter = getattr(sample_episode(fine, "test", 9), name).reshape(24, 4, -1).mean(axis=1)
        assert np.allclose(quarter, getattr(sample_episode(coarse, "test", 9), name))


def test_an_episode_is_the_same_in_another_process() -> None:
    digests = [digest(sample_episode(weekly(), split, 2)) for split in SPLITS]
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_history import SPLITS, digest, sample_episode, weekly\n"
        "print(*[digest(sample_episode(weekly(), split, 2)) for split in SPLITS])"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == digests
