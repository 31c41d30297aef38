"""What the generated days are like, beside what was measured: `python -m` prints it.

Correlations with the price are of values less the mean of their month and hour, the price as a
share of the mean of the four weeks before the episode, so that regimes can be pooled; those
between sites are of the values as they are. Each is given hourly and of daily means.

Source: our choice.
"""

import sys
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mmg_env.layout import X
from mmg_env.sources.days import SITES, price_year
from mmg_env.sources.draw import draw_days
from mmg_env.splits import sample_episode
from mmg_env.system import System, load_system

Array = NDArray[np.float64]


def price_statistics(series: Array) -> dict[str, float]:
    """Return statistics of hourly prices.

    Args:
        series: (pieces, hours) of contiguous hours, whole days.
    """
    deviation = series - series.mean()
    variance = (deviation**2).mean()
    daily = series.reshape(-1, 24)
    spread = daily.max(axis=1) - daily.min(axis=1)
    found = {
        "mean": series.mean(),
        "sd": np.sqrt(variance),
        "lowest": series.min(),
        "highest": series.max(),
        "kurtosis": (deviation**4).mean() / variance**2 - 3.0,
        "negative_share": (series < 0.0).mean(),
        "daily_spread": spread.mean(),
        "daily_spread_sd": spread.std(),
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


def main() -> None:
    """Print the statistics of the main suite's test split beside the year that it is drawn from."""
    system = load_system("community_real")
    long = load_system("community_real", {"episode_h": 8760})
    columns = {
        "2024": price_statistics(real_year(2024)),
        "years": price_statistics(spot_of(long, "test", range(24))),
        "weeks": price_statistics(spot_of(system, "test", range(128))),
    }
    write = sys.stdout.write
    write(f"{'price, test split':22s}" + "".join(f"{name:>10s}" for name in columns) + "\n")
    for name in columns["years"]:
        cells = "".join(f"{c.get(name, np.nan):10.4f}" for c in columns.values())
        write(f"{name:22s}{cells}\n")
    for split in ("train", "val", "test"):
        write(f"\ncorrelation, {split}\n")
        count = 64 if split == "val" else 128
        for name, value in coupling(system, split, range(count)).items():
            write(f"{name:22s}{value:10.3f}\n")


if __name__ == "__main__":
    main()
