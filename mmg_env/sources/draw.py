"""One episode's days by step: calendar, wholesale price, weather of the sites, the loads' noise.

Source: docs/model.md section 7.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import AnalogueSource
from mmg_env.episode import lead_steps
from mmg_env.sources import days, weather
from mmg_env.sources.days import SITES
from mmg_env.sources.random import autoregressive, stream
from mmg_env.system import System

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

PRICE_LOAD: Final = 0.7  # latent correlation of daily price and the region's load noise
REGION_PHI: Final = 0.5
SHIFT_LOAD: Final = 1.15  # the `shift` split: other price regimes, and more load


@dataclass(frozen=True, eq=False)
class Draw:
    """The days of one episode, by step.

    Attributes:
        split: name of the split.
        index: number of the episode in it.
        start: first calendar day.
        hour: (steps,) hour of the day.
        month: (steps,) 0..11.
        spot: (steps,) wholesale price, currency/kWh.
        level: mean price of the weeks before, currency/kWh.
        weather: (wind, pv), each (steps, sites) per unit.
        days: (sites, days) numbers of the weather days in the typical year.
        kind: (days,) day types.
        growth: factor on all electric loads.
        region: (steps,) standardised common noise of the loads; None: no noise on any series.
    """

    split: str
    index: int
    start: np.datetime64
    hour: Ints
    month: Ints
    spot: Array
    level: float
    weather: tuple[Array, Array]
    days: Ints
    kind: Ints
    growth: float
    region: Array | None


def draw_days(system: System, split: str, index: int) -> Draw:
    """Draw the days of an episode."""
    rows = system.episode_steps + lead_steps(system)
    count = int(np.ceil(rows * system.dt_h / 24))
    calendar = stream(system.name, split, index, "calendar")
    source = system.config.source
    assert isinstance(source, AnalogueSource)
    tables = days.price_tables(source.prices, split)
    table = tables[calendar.integers(len(tables))]
    # A long episode begins early enough to stay within its year, if it can.
    length = system.config.episode_h // 24
    latest = len(table.dates) - (length if length > 7 else 1)
    first = int(calendar.integers(max(latest, 0) + 1))
    dates = table.dates[first] + np.arange(count).astype("timedelta64[D]")
    price = days.draw_prices(table, first, dates, stream(system.name, split, index, "prices"))
    score = table.score[price]
    wanted = weather.regional_scores(score, stream(system.name, split, index, "weather"))
    rngs = {site: stream(system.name, split, index, f"weather/{site}") for site in SITES[1:]}
    sky = weather.weather_days(split)
    chosen = weather.draw_weather(sky, days.day_of_year(dates), wanted, rngs)
    number = np.arange(len(SITES))[:, None]
    wind, pv = (
        by_step(system, series[number, chosen].reshape(len(SITES), -1).T)[:rows]
        for series in (sky.wind, sky.pv)
    )
    step_h = np.arange(rows, dtype=np.float64) * system.dt_h
    hour = (step_h + 1e-9).astype(np.int64)  # a third of an hour, three times, is an hour
    return Draw(
        split,
        index,
        table.dates[first],
        hour % 24,
        days.month_of(dates)[hour // 24],
        by_step(system, table.hourly[price].ravel())[:rows],
        max(float(table.recent[first]), 0.01),
        (wind, pv),
        sky.day[chosen],
        days.day_kind(dates),
        SHIFT_LOAD if split == "shift" else 1.0,
        _region(score[:, 0], stream(system.name, split, index, "noise/region"), step_h),
    )


def by_step(system: System, hourly: Array) -> Array:
    """Return means over steps of a series that is constant within the hour, time first."""
    if system.dt_h == 1.0:
        return hourly
    total = np.concatenate([np.zeros((1, *hourly.shape[1:])), np.cumsum(hourly, axis=0)])
    edges = np.arange(round(len(hourly) / system.dt_h) + 1) * system.dt_h
    whole = np.minimum(edges.astype(np.int64), len(hourly) - 1)
    part = (edges - whole).reshape(-1, *[1] * (hourly.ndim - 1))
    energy = total[whole] + part * hourly[whole]
    return np.asarray(np.diff(energy, axis=0) / system.dt_h)


def _region(price_score: Array, rng: np.random.Generator, step_h: Array) -> Array:
    """Return the loads' common noise: daily, moving with the price, joined from noon to noon."""
    own = rng.standard_normal(len(price_score))
    own[1:] *= np.sqrt(1.0 - REGION_PHI**2)
    own = autoregressive(own, REGION_PHI)
    daily = PRICE_LOAD * price_score + np.sqrt(1.0 - PRICE_LOAD**2) * own
    return np.asarray(np.interp(step_h, 24.0 * np.arange(len(daily)) + 12.0, daily))
