"""What drawn days are like: statistics of prices, couplings and forecast errors.

Correlations with the price are of values less the mean of their month and hour, the price as a
share of the mean of the four weeks before the episode, so that regimes can be pooled; those
between sites are of the values as they are. Each is given hourly and of daily means.

Source: our choice.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mmg_env.layout import X
from mmg_env.sources.days import SITES, price_year
from mmg_env.sources.draw import draw_days
from mmg_env.splits import sample_episode
from mmg_env.system import System

Array = NDArray[np.float64]


def price_statistics(series: Array) -> dict[str, float]:
    """Return statistics of hourly prices; those of size are relative to the mean.

    Args:
        series: (pieces, hours) of contiguous hours, whole days.
    """
    mean = series.mean()
    deviation = series - mean
    variance = (deviation**2).mean()
    daily = series.reshape(-1, 24)
    spread = daily.max(axis=1) - daily.min(axis=1)
    ramp = np.diff(series, axis=1)
    found = {
        "mean": mean,
        "sd": np.sqrt(variance) / mean,
        "quantile_1": np.quantile(series, 0.01) / mean,
        "quantile_99": np.quantile(series, 0.99) / mean,
        "kurtosis": (deviation**4).mean() / variance**2 - 3.0,
        "negative_share": (series < 0.0).mean(),
        "daily_spread": spread.mean() / mean,
        "daily_spread_sd": spread.std() / mean,
        "ramp_sd": ramp.std() / mean,
        "ramp_99": np.quantile(np.abs(ramp), 0.99) / mean,
    }
    for lag in (1, 24, 168):
        if lag < series.shape[1]:
            product = deviation[:, lag:] * deviation[:, :-lag]
            found[f"autocorrelation_{lag}"] = product.mean() / variance
    return {name: float(value) for name, value in found.items()}


def real_year(year: int) -> Array:
    """Return (1, hours): the measured prices of a year."""
    return price_year(year).hourly.reshape(1, -1)


def coupling(system: System, split: str, indices: Iterable[int]) -> dict[str, float]:
    """Return correlations between price, renewables and load, and between the sites."""
    rows: list[Array] = []
    sites: list[Array] = []
    members = len(system.members)
    steps = system.episode_steps
    for index in indices:
        episode = sample_episode(system, split, index)
        draw = draw_days(system, split, index)
        spot = episode.values[:, 4 * members + X.spot] / draw.level
        green = (episode.wind_kw + episode.pv_kw).sum(axis=1)
        cell = (draw.month * 24 + draw.hour)[:steps]
        rows.append(np.column_stack([cell, spot, green, episode.load_kw.sum(axis=1)]))
        sites.append(np.hstack(draw.weather)[:steps])
    table = np.concatenate(rows)
    price, green, load = without_season(table[:, 1:], table[:, 0].astype(np.int64)).T
    together = np.array([price, green, load])
    found = {}
    for name, series in (("", together), ("_daily", daily_means(together, system))):
        between = np.atleast_2d(np.corrcoef(series))
        found[f"price_renewables{name}"] = float(between[0, 1])
        found[f"price_load{name}"] = float(between[0, 2])
    weather = np.concatenate(sites).T
    found |= between_sites(weather, "")
    return found | between_sites(daily_means(weather, system), "_daily")


def between_sites(weather: Array, ending: str) -> dict[str, float]:
    """Return correlations of (series, times): wind of the sites, then PV."""
    between = np.atleast_2d(np.corrcoef(weather))
    found = {}
    for k, kind in enumerate(("wind", "pv")):
        for i, j in ((0, 1), (0, 2), (1, 2)):
            at = k * len(SITES)
            found[f"{kind}_{SITES[i]}{SITES[j]}{ending}"] = float(between[at + i, at + j])
    return found


def daily_means(series: Array, system: System) -> Array:
    """Return (series, days) of (series, steps)."""
    return np.asarray(series.reshape(len(series), -1, system.steps_per_day).mean(axis=2))


def without_season(values: Array, cell: NDArray[np.int64]) -> Array:
    """Return values less the mean of their cell."""
    count = np.bincount(cell, minlength=288)[:, None]
    total = np.column_stack([np.bincount(cell, column, minlength=288) for column in values.T])
    return np.asarray(values - (total / np.maximum(count, 1))[cell])


def spot_of(system: System, split: str, indices: Iterable[int]) -> Array:
    """Return (episodes, steps) generated wholesale prices."""
    return np.array(
        [draw_days(system, split, index).spot[: system.episode_steps] for index in indices]
    )


def price_errors(system: System, split: str, indices: Iterable[int]) -> tuple[Array, Array]:
    """Return (issues, 24) errors of price forecasts issued as a day begins, and of the naive ones.

    The naive forecast of an hour is the price of the same hour of the day before.
    """
    column = 4 * len(system.members) + X.spot
    day = system.steps_per_day
    errors, naive = [], []
    for index in indices:
        episode = sample_episode(system, split, index)
        for first in range(day, episode.steps, day):
            truth = episode.values[first : first + day, column]
            errors.append(episode.forecast(first).values[:day, column] - truth)
            naive.append(episode.values[first - day : first, column] - truth)
    return np.array(errors), np.array(naive)


def next_day_errors(system: System, split: str, indices: Iterable[int]) -> Array:
    """Return (issues, 24) errors of price forecasts issued a day before the day begins."""
    column = 4 * len(system.members) + X.spot
    day = system.steps_per_day
    errors = []
    for index in indices:
        episode = sample_episode(system, split, index)
        for first in range(day, episode.steps, day):
            truth = episode.values[first : first + day, column]
            errors.append(episode.forecast(first - day).values[day : 2 * day, column] - truth)
    return np.array(errors)


def error_statistics(errors: Array) -> dict[str, float]:
    """Return statistics of (issues, 24) forecast errors by hour of the day."""
    deviation = errors - errors.mean()
    before, after = deviation[:, :-1].ravel(), deviation[:, 1:].ravel()
    size = np.abs(errors).mean(axis=0)
    hour = np.arange(24)
    by_day = (hour >= 6) & (hour < 20)
    return {
        "autocorrelation_1": float(np.corrcoef(before, after)[0, 1]),
        "kurtosis": float((deviation**4).mean() / (deviation**2).mean() ** 2 - 3.0),
        "day_to_night": float(size[by_day].mean() / size[~by_day].mean()),
    }
