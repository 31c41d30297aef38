"""Episodes from history: real days in the order in which they happened, nothing recombined.

Prices are those of the day. Weather is that of the same calendar day of the typical year, at every
member's site; loads are the standard profile of the day's type, heat that of the weather day.
Nothing carries noise. Forecasts err as those of the source `analogue` do.

Source: our choice; where the series come from: docs/data.md.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import HistorySource
from mmg_env.data import load_days
from mmg_env.episode import Episode, lead_steps
from mmg_env.errors import InputError
from mmg_env.sources import analogue, days
from mmg_env.sources.days import SITES
from mmg_env.sources.draw import Draw, by_step
from mmg_env.sources.starts import Run, episode_days
from mmg_env.system import System

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Dates = NDArray[np.datetime64]

LEVEL_DAYS: Final = 28  # days before the episode whose median is the level of its prices


def sample(system: System, split: str, index: int) -> Episode:
    """Return episode `index` of a split."""
    return analogue.episode_of_days(system, draw_history, split, index)


def draw_history(system: System, split: str, index: int) -> Draw:
    """Return the days of an episode."""
    source = system.config.source
    assert isinstance(source, HistorySource)
    rows = system.episode_steps + lead_steps(system)
    count = int(np.ceil(rows * system.dt_h / 24))
    date, price = _prices()
    number = episode_days(system, split, index, _runs(getattr(source.years, split)), count)
    start = date[number[0]]
    calendar = start + np.arange(count).astype("timedelta64[D]")
    sky = typical_day(date[number])
    wind, pv = (
        by_step(system, series[:, sky].reshape(len(SITES), -1).T)[:rows] for series in _weather()
    )
    step_h = np.arange(rows, dtype=np.float64) * system.dt_h
    hour = (step_h + 1e-9).astype(np.int64)
    before = price[max(0, number[0] - LEVEL_DAYS) : max(number[0], 1)].mean(axis=1)
    return Draw(
        split,
        index,
        start,
        hour % 24,
        days.month_of(calendar)[hour // 24],
        by_step(system, price[number].ravel())[:rows],
        max(float(np.median(before)), 0.01),
        (wind, pv),
        np.tile(sky, (len(SITES), 1)),
        days.day_kind(date[number]),
        growth=1.0,
        region=None,
    )


def typical_day(dates: Dates) -> Ints:
    """Return the number in the typical year of the same calendar day; 29 February is the 28th."""
    month = dates.astype("datetime64[M]")
    of_month = (dates - month.astype("datetime64[D]")).astype(np.int64)
    first = load_days("sites")["date"].astype("datetime64[M]")
    starts = np.searchsorted(first, np.unique(first))  # of each month in the typical year
    length = np.diff([*starts, len(first)])
    number = month.astype(np.int64) % 12
    return np.asarray(starts[number] + np.minimum(of_month, length[number] - 1))


@lru_cache(maxsize=1)
def _prices() -> tuple[Dates, Array]:
    """Return dates (days,) and prices (days, 24) in EUR/kWh."""
    table = load_days("prices_nl")
    return table["date"], np.asarray(table["spot_eur_per_kwh"], dtype=np.float64)


@lru_cache(maxsize=1)
def _weather() -> tuple[Array, Array]:
    """Return wind and PV of the typical year, (sites, 365, 24) per unit."""
    table = load_days("sites")
    wind, pv = (
        np.array([table[f"{kind}_{site}"] for site in SITES], dtype=np.float64)
        for kind in ("wind", "pv")
    )
    return wind, pv


@lru_cache(maxsize=32)
def _runs(years: tuple[int, ...]) -> tuple[Run, ...]:
    """Return the runs of consecutive days that make up some years."""
    year = _prices()[0].astype("datetime64[Y]").astype(np.int64) + 1970
    unknown = sorted(set(years) - set(year.tolist()))
    if unknown:
        raise InputError(
            f"source.years: there are no prices of {unknown[0]}, only of {year[0]} to {year[-1]}"
        )
    number = np.flatnonzero(np.isin(year, years))
    pieces = np.split(number, np.flatnonzero(np.diff(number) > 1) + 1)
    return tuple((int(piece[0]), int(piece[-1])) for piece in pieces)
