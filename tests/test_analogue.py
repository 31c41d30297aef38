"""The semi-synthetic episodes: split without overlap, and like what was measured."""

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mmg_env.config import AnalogueSource, NlPrices
from mmg_env.data import load_days
from mmg_env.episode import Episode
from mmg_env.errors import InputError
from mmg_env.layout import W, X
from mmg_env.sources import days, errors, statistics, weather
from mmg_env.sources.draw import draw_days
from mmg_env.splits import sample_episode
from mmg_env.system import System, load_system

Array = NDArray[np.float64]
SPLITS = ("train", "val", "test", "shift")


@lru_cache(maxsize=8)
def community(**overrides: Any) -> System:
    return load_system("community_real", dict(overrides))


@lru_cache(maxsize=4)
def episodes(split: str, count: int) -> tuple[Episode, ...]:
    return tuple(sample_episode(community(), split, index) for index in range(count))


# Days


def test_indices_differ_even_from_one_day_on() -> None:
    weeks = [draw_days(community(), "test", index) for index in range(128)]
    assert len({week.spot.tobytes() for week in weeks}) == 128
    assert len({week.start for week in weeks}) > 60
    table = days.price_year(2024)
    dates = table.dates[:9]
    drawn = [days.draw_prices(table, 0, dates, np.random.default_rng(i)) for i in range(9)]
    assert len({rows.tobytes() for rows in drawn}) == 9


# Splits


@pytest.mark.parametrize("split", SPLITS)
def test_prices_and_weather_are_real_days_of_the_split(split: str) -> None:
    source = community().config.source
    assert isinstance(source, AnalogueSource)
    assert isinstance(source.prices, NlPrices)
    years = getattr(source.prices.years, split)
    of_split = [days.price_year(year).hourly for year in years]
    known = {row.tobytes() for table in of_split for row in table}
    dates = load_days("sites")["date"]
    low, high = days.BLOCKS[split]
    for index in range(30):
        draw = draw_days(community(), split, index)
        assert all(row.tobytes() in known for row in draw.spot.reshape(-1, 24))
        of_month = [int(str(dates[day])[8:]) for day in draw.days.ravel()]
        assert min(of_month) >= low
        assert max(of_month) <= high
        season = days.day_of_year(draw.start + np.arange(9).astype("timedelta64[D]"))
        apart = [
            days.season_distance(row, int(s)) for row, s in zip(draw.days.T, season, strict=True)
        ]
        assert np.max(apart) <= weather.WEATHER_SEASON


def test_train_val_and_test_share_no_day() -> None:
    blocks = [days.BLOCKS[split] for split in ("train", "val", "test")]
    assert blocks[0][1] < blocks[1][0] <= blocks[1][1] < blocks[2][0]


def test_day_types_are_those_of_the_demand_table() -> None:
    table = load_days("demand")
    assert np.array_equal(days.day_kind(table["date"]), table["day_type"][:, 0])


@pytest.mark.parametrize(
    "easter", ["2000-04-23", "2016-03-27", "2019-04-21", "2022-04-17", "2024-03-31", "2025-04-20"]
)
def test_easter(easter: str) -> None:
    monday = np.array([easter], dtype="datetime64[D]") + 1
    assert days.day_kind(monday)[0] == 2


# Forecasts


@lru_cache(maxsize=1)
def misses() -> tuple[Array, Array]:
    """Return errors (issues, leads, paths' first column) and values of spot, wind, PV and load."""
    system = community()
    members = len(system.members)
    columns = [4 * members + X.spot, 0, members + 1, 2 * members + 2]
    found, forecasts = [], []
    for episode in episodes("test", 64):
        for t in (24, 72, 96):
            forecast = episode.forecast(t).values[:, columns]
            truth = episode.values[t : t + 48, columns]
            found.append(truth - forecast)
            forecasts.append(forecast)
    return np.array(found), np.array(forecasts)


def test_errors_grow_with_lead_to_the_stated_size() -> None:
    sd = misses()[0].std(axis=0)
    for k in (0, 1, 3):
        assert sd[:3, k].mean() < 0.75 * sd[21:24, k].mean()
    capacity, peak = 1200.0, 1500.0
    assert 0.07 < sd[24:, 1].mean() / capacity < 0.17  # .17 times what .35 + 2.6 p (1 - p) leaves
    assert 0.06 < sd[24:, 3].mean() / peak < 0.09
    level = np.mean([episode.shared(X.spot).mean() for episode in episodes("test", 64)])
    assert 0.17 < sd[24:, 0].mean() / level < 0.27


def test_errors_are_unbiased_where_nothing_is_clipped() -> None:
    error = misses()[0][:, :24]
    standard = error.std(axis=(0, 1)) / np.sqrt(len(error))
    assert np.all(np.abs(error.mean(axis=(0, 1)))[[0, 3]] < 4.0 * standard[[0, 3]])


def test_price_errors_are_autocorrelated_heavy_tailed_and_larger_by_day() -> None:
    error = misses()[0][:, :, 0]
    later, earlier = error[:, 13:37].ravel(), error[:, 12:36].ravel()
    assert 0.45 < np.corrcoef(later, earlier)[0, 1] < 0.95
    assert error[:, 30:42].std() > 1.2 * error[:, 24:29].std()  # hours 6..17 against 0..4
    fresh = errors_of("train", 40)[:, :, errors.path_names(community()).index("spot")]
    innovation = fresh[:, 1:] - errors.PHI["spot"] * fresh[:, :-1]
    scaled = innovation / innovation.std()
    assert (scaled**4).mean() > 4.0


def errors_of(split: str, count: int) -> Array:
    return np.array([episode.errors for episode in episodes(split, count)])


@pytest.mark.parametrize("column", [16 + X.spot, 10])
def test_two_issues_say_no_more_than_the_last(column: int) -> None:
    """Regress the truth on two consecutive issues: the older one has no weight of its own."""
    rows = []
    for episode in episodes("train", 200):
        for t in (9, 33, 57, 81, 105, 129):
            old = episode.forecast(t).values[7, column]
            new = episode.forecast(t + 1).values[6, column]
            rows.append((1.0, new, old, episode.values[t + 7, column]))
    table = np.array(rows)
    design, truth = table[:, :3], table[:, 3]
    weight, residual, *_ = np.linalg.lstsq(design, truth, rcond=None)
    variance = residual[0] / len(table) * np.linalg.inv(design.T @ design)
    assert abs(weight[2]) < 4.0 * np.sqrt(variance[2, 2])
    # Eight hours of innovations are still to come: nobody can solve for the truth.
    left = np.sqrt(residual[0] / len(table))
    assert left > 0.5 * np.std(truth - table[:, 1])


def test_errors_so_far_do_not_depend_on_later_weather() -> None:
    system = community()
    wind = draw_days(system, "test", 0).weather[0]
    other = wind.copy()
    other[100:] = 0.5
    calm = np.zeros(len(wind))
    before, after = (errors.draw_errors(system, ("test", 0), w, calm) for w in (wind, other))
    assert np.array_equal(before[:100], after[:100])
    assert not np.array_equal(before[100:], after[100:])


def test_there_is_no_pv_at_night() -> None:
    for episode in episodes("test", 64):
        night = np.arange(168) % 24 < 3
        assert not episode.pv_kw[night].any()
        for t in (0, 50):
            forecast = episode.forecast(t)
            assert not forecast.pv_kw[(np.arange(t, t + 48) % 24) < 3].any()
            assert np.all(forecast.pv_kw >= 0.0)


def test_scenarios_spread_like_the_errors() -> None:
    spread, error = [], []
    rng = np.random.default_rng(0)
    for episode in episodes("test", 24):
        forecast = episode.forecast(48)
        drawn = forecast.scenarios(100, rng)
        spread.append(drawn.load_kw[:, 23].std(axis=0))
        error.append(episode.load_kw[71] - forecast.load_kw[23])
    ratio = np.sqrt((np.array(error) ** 2).mean() / (np.array(spread) ** 2).mean())
    assert 0.75 < ratio < 1.3


# Like what was measured


def test_prices_are_like_those_of_2024() -> None:
    real = statistics.price_statistics(statistics.real_year(2024))
    weeks = statistics.price_statistics(statistics.spot_of(community(), "test", range(128)))
    year = community(episode_h=8760)
    long = statistics.price_statistics(statistics.spot_of(year, "test", range(4)))
    assert abs(weeks["mean"] / real["mean"] - 1.0) < 0.1
    assert abs(weeks["sd"] / real["sd"] - 1.0) < 0.15
    assert 8.0 < weeks["kurtosis"] < 35.0
    assert abs(weeks["negative_share"] - real["negative_share"]) < 0.02
    assert abs(weeks["daily_spread"] / real["daily_spread"] - 1.0) < 0.12
    assert abs(weeks["daily_spread_sd"] / real["daily_spread_sd"] - 1.0) < 0.2
    for found in (weeks, long):
        assert abs(found["autocorrelation_1"] - real["autocorrelation_1"]) < 0.04
        assert abs(found["autocorrelation_24"] - real["autocorrelation_24"]) < 0.08
    assert abs(long["autocorrelation_168"] - real["autocorrelation_168"]) < 0.1


@pytest.mark.parametrize("split", ["train", "test"])
def test_prices_weather_and_load_move_together(split: str) -> None:
    found = statistics.coupling(community(), split, range(128))
    assert -0.68 < found["price_renewables_daily"] < -0.48
    assert 0.47 < found["price_load_daily"] < 0.67
    assert -0.60 < found["price_renewables"] < -0.33
    assert 0.37 < found["price_load"] < 0.60
    assert 0.58 < found["wind_ac_daily"] < 0.85
    for pair in ("ab", "ac", "bc"):
        assert 0.74 < found[f"pv_{pair}"] < 0.92


def test_wind_is_as_persistent_as_measured_within_the_day() -> None:
    wind = np.array([draw_days(community(), "test", i).weather[0][:168, 0] for i in range(64)])
    lagged = np.corrcoef(wind[:, 1:].ravel(), wind[:, :-1].ravel())[0, 1]
    assert 0.84 < lagged < 0.95


# Money


def test_shedding_and_spilling_never_pay() -> None:
    world = community().physics.world
    for split, count in (("train", 120), ("test", 40), ("shift", 40)):
        for episode in episodes(split, count):
            energy = np.maximum(episode.price_buy, episode.shared(X.ces_buy))
            dearest = energy + episode.shared(X.short_premium) + world[W.demand_charge_per_kw]
            assert dearest.max() < world[W.unserved_per_kwh]
            assert -episode.price_sell.min() < world[W.spill_per_kwh]
            assert np.all(episode.price_long <= episode.shared(X.spot))
            assert np.all(episode.price_short >= episode.shared(X.spot))


def test_premiums_are_capped_where_the_penalty_is_near() -> None:
    close = community(**{"penalties.unserved_per_kwh": 4.0, "source.imbalance_short_per_kwh": 0.5})
    for index in range(20):
        sample_episode(close, "test", index)  # raises where shedding would pay


def test_premiums_have_their_mean_and_a_heavy_tail() -> None:
    scales = {X.short_premium: 0.06, X.long_premium: 0.025}
    drawn = episodes("train", 200)
    for column, scale in scales.items():
        premium = np.array([episode.shared(column) for episode in drawn])
        assert abs(premium.mean() / scale - 1.0) < 0.08
        assert premium.min() > 0.0
        deviation = premium - premium.mean()
        assert (deviation**4).mean() / (deviation**2).mean() ** 2 > 6.0
        lagged = np.corrcoef(deviation[:, 1:].ravel(), deviation[:, :-1].ravel())[0, 1]
        assert 0.7 < lagged < 0.9
    # Short is dear when wind stays behind its forecast.
    wind = errors_of("train", 200)[:, 24:, :3].mean(axis=2)
    short = np.array([episode.shared(X.short_premium)[24:] for episode in drawn])
    assert np.corrcoef(wind.ravel(), np.log(short).ravel())[0, 1] < -0.3


def test_retail_follows_spot() -> None:
    episode = episodes("test", 64)[7]
    spot = episode.shared(X.spot)
    assert np.allclose(episode.price_buy, np.maximum(0.0, 1.09 * spot + 0.06))
    raw = np.minimum(0.95 * spot - 0.005, episode.price_buy)
    assert np.allclose(episode.price_sell, raw)
    plain = spot > 0.0
    assert np.allclose(episode.shared(X.ces_buy)[plain], spot[plain] + 0.02)
    assert np.allclose(episode.shared(X.ces_sell)[plain], spot[plain])
    forecast = episode.forecast(30)
    ahead = forecast.shared(X.spot)
    assert np.allclose(forecast.price_buy, np.maximum(0.0, 1.09 * ahead + 0.06))


def test_calls_are_rare_and_nobody_foresees_them() -> None:
    calls = np.array([episode.shared(X.spin_call) for episode in episodes("train", 200)])
    assert set(np.unique(calls)) == {0.0, 1.0}
    assert 0.015 < calls.mean() < 0.025
    assert not episodes("train", 200)[0].forecast(0).shared(X.spin_call).any()


# Other systems


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        ({"episode_h": 24}, 24),
        ({"episode_h": 72}, 72),
        ({"episode_h": 8760}, 8760),
        ({"dt_h": 0.25, "episode_h": 24, "tariff.demand_charge_per_kw": 0.5}, 96),
        ({"dt_h": 2.0, "episode_h": 48}, 24),
        ({"ces": None}, 168),
        ({"ces.market.price": "retail"}, 168),
        ({"ces.markets": False}, 168),
    ],
)
def test_other_lengths_and_markets(overrides: dict[str, Any], steps: int) -> None:
    system = community(**overrides)
    for split in SPLITS:
        episode = sample_episode(system, split, 1)
        assert episode.values.shape[0] == steps
        assert np.isfinite(episode.forecast(steps - 1).values).all()


def test_quarter_hours_keep_the_energy() -> None:
    fine = community(**{"dt_h": 0.25, "episode_h": 24, "tariff.demand_charge_per_kw": 0.5})
    coarse = community(episode_h=24)
    spots = [draw_days(system, "test", 4).spot for system in (fine, coarse)]
    assert np.allclose(spots[0].reshape(-1, 4).mean(axis=1), spots[1])


def test_a_flat_tariff_is_known() -> None:
    tariff = {"kind": "flat", "buy_per_kwh": 0.3, "sell_per_kwh": 0.05, "gas_per_m3": 0.4}
    system = load_system("community_real", {"tariff": tariff})
    episode = sample_episode(system, "test", 0)
    assert np.all(episode.price_buy == 0.3)
    assert np.all(episode.forecast(5).price_buy == 0.3)
    assert np.ptp(episode.shared(X.spot)) > 0.0


def test_loads_and_heat_fit_the_links_and_boilers() -> None:
    config = community().config
    for split in ("train", "val", "test"):
        for episode in episodes(split, 64):
            for m, member in enumerate(config.members):
                assert member.grid is not None
                net = episode.load_kw[:, m] - episode.wind_kw[:, m] - episode.pv_kw[:, m]
                assert (net > member.grid.import_kw).mean() < 0.02
                if member.boiler is not None:
                    assert episode.heat_kw[:, m].max() < member.boiler.capacity_kw


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("members[0].wind.profile", "x", "sites a, b, c"),
        ("members[0].load.profile", "x", "village, suburb, works, estate"),
        ("members[0].heat.profile", "estate", "village, suburb, works"),
        ("source.prices.years.test", [2031], "no prices of 2031"),
    ],
)
def test_what_is_not_there_is_named(path: str, value: object, words: str) -> None:
    system = load_system("community_real", {path: value})
    with pytest.raises(InputError, match=words):
        sample_episode(system, "test", 0)
