"""What the generated days are like, beside what was measured: `python -m` prints it.

Correlations with the price are hourly, less the mean of each month and hour; those between sites
are hourly as they are.

Source: our choice.
"""

import sys
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mmg_env.episode import sample_episode
from mmg_env.layout import X
from mmg_env.sources.days import SITES, price_year
from mmg_env.sources.draw import draw_days
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
    rows, sites = [], []
    members = len(system.members)
    steps = system.episode_steps
    for index in indices:
        episode = sample_episode(system, split, index)
        draw = draw_days(system, split, index)
        spot = episode.values[:, 4 * members + X.spot]
        green = (episode.wind_kw + episode.pv_kw).sum(axis=1)
        cell = (draw.month * 24 + draw.hour)[:steps]
        rows.append(np.column_stack([cell, spot, green, episode.load_kw.sum(axis=1)]))
        sites.append(np.hstack(draw.weather)[:steps])
    table = np.concatenate(rows)
    price, green, load = without_season(table[:, 1:], table[:, 0].astype(np.int64)).T
    found = {
        "price_renewables": np.corrcoef(price, green)[0, 1],
        "price_load": np.corrcoef(price, load)[0, 1],
    }
    daily = np.array([price, green, load]).reshape(3, -1, 24).mean(axis=2)
    between = np.corrcoef(daily)
    found |= {"price_renewables_daily": between[0, 1], "price_load_daily": between[0, 2]}
    between = np.corrcoef(np.concatenate(sites).T)
    for k, kind in enumerate(("wind", "pv")):
        for i, j in ((0, 1), (0, 2), (1, 2)):
            at = k * len(SITES)
            found[f"{kind}_{SITES[i]}{SITES[j]}"] = between[at + i, at + j]
    return {name: float(value) for name, value in found.items()}


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
        "year": price_statistics(spot_of(long, "test", range(8))),
        "weeks": price_statistics(spot_of(system, "test", range(128))),
    }
    write = sys.stdout.write
    write(f"{'price, test split':22s}" + "".join(f"{name:>10s}" for name in columns) + "\n")
    for name in columns["year"]:
        cells = "".join(f"{c.get(name, np.nan):10.4f}" for c in columns.values())
        write(f"{name:22s}{cells}\n")
    for split in ("train", "val", "test"):
        write(f"\ncorrelation, {split}\n")
        count = 64 if split == "val" else 128
        for name, value in coupling(system, split, range(count)).items():
            write(f"{name:22s}{value:10.3f}\n")


if __name__ == "__main__":
    main()
