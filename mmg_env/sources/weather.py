"""Weather days of the sites, joined with the prices by a rank copula.

Weather comes from a typical year, in which nothing is simultaneous with the prices. Both are
compared by normal scores, x = Phi^-1(rank among like days of the season)::

    g_d = rho * price_d + sqrt(1 - rho ** 2) * n_d,   n_d = phi * n_{d-1} + noise

is the score wanted of the region's wind or PV on day d, and the day with the nearest scores is
taken. The other sites follow the first one's day in the same way.

Source: our choice; what the correlations come to is printed by `mmg realism`.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.data import load_days
from mmg_env.sources.days import (
    PARTS,
    SITES,
    in_block,
    normal_scores,
    season_distance,
)
from mmg_env.sources.random import autoregressive

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

WEATHER_SEASON: Final = 20  # days to either side from which weather is taken
# Latent correlations; what they achieve is printed by `mmg realism`.
PRICE_WIND: Final = -0.98
PRICE_PV: Final = -0.98  # of the price at midday
SITE_WIND: Final = 1.0
SITE_PV: Final = 0.95
REGION_PHI: Final = 0.5  # from day to day
PV_WEIGHT: Final = 0.3  # in the likeness of weather days; wind counts 1
JOIN_WEIGHT: Final = 0.5  # against a jump of wind at midnight
REPEAT_COST: Final = 1.0


@dataclass(frozen=True, eq=False)
class WeatherDays:
    """The days of the typical year that a split may use.

    Attributes:
        day: (days,) number in the typical year.
        wind: (sites, days, 24) per unit.
        pv: (sites, days, 24) per unit.
        score: (sites, days, 4) normal scores of wind in the day's thirds, and of PV.
    """

    day: Ints
    wind: Array
    pv: Array
    score: Array


@lru_cache(maxsize=4)
def weather_days(split: str) -> WeatherDays:
    """Return the weather of the days of the month that belong to a split."""
    table = load_days("sites")
    day = np.flatnonzero(in_block(table["date"], split))
    wind = np.array([table[f"wind_{site}"][day] for site in SITES], dtype=np.float64)
    pv = np.array([table[f"pv_{site}"][day] for site in SITES], dtype=np.float64)
    parts = wind.reshape(len(SITES), len(day), PARTS, -1).mean(axis=3)
    same = np.zeros(len(day), dtype=np.int64)

    def scores(values: Array) -> Array:
        """Return (sites, days) scores of (sites, days) values."""
        return np.array([normal_scores(row, day, same) for row in values])

    sun = scores(pv.mean(axis=2))
    score = np.stack([*(scores(parts[..., k]) for k in range(PARTS)), sun], axis=2)
    return WeatherDays(day, wind, pv, score)


def regional_scores(price_score: Array, rng: np.random.Generator) -> Array:
    """Return (days, 4) scores wanted of the region's weather, given those of the prices.

    Wind in each third of the day goes with the price of that third, PV with the price at midday.
    """
    noise = rng.standard_normal((len(price_score), 2))
    noise[1:] *= np.sqrt(1.0 - REGION_PHI**2)
    own = autoregressive(noise, REGION_PHI)[:, [0] * PARTS + [1]]
    rho = np.array([PRICE_WIND] * PARTS + [PRICE_PV])
    return np.asarray(rho * price_score[:, 1:] + np.sqrt(1.0 - rho**2) * own)


def draw_weather(
    table: WeatherDays, season: Ints, wanted: Array, rngs: dict[str, np.random.Generator]
) -> Ints:
    """Return (sites, days) rows of the weather days.

    Args:
        table: the days that may be used.
        season: (days,) day of the year wanted.
        wanted: (days, 4) regional scores of wind in the thirds of the day, and of PV.
        rngs: one generator for every site but the first, which is the region's reference.
    """
    rows = np.empty((len(SITES), len(season)), dtype=np.int64)
    rows[0] = _follow(table, 0, season, wanted, table.score[0])
    rho = np.array([SITE_WIND] * PARTS + [SITE_PV])
    for s, site in enumerate(SITES[1:], start=1):
        noise = np.sqrt(1.0 - rho**2) * rngs[site].standard_normal((len(season), len(rho)))
        rows[s] = _follow(table, s, season, rho * table.score[0, rows[0]] + noise, table.score[s])
    return rows


def _follow(table: WeatherDays, site: int, season: Ints, wanted: Array, score: Array) -> Ints:
    """Return the rows whose scores are nearest to those wanted, day after day."""
    rows = np.empty(len(season), dtype=np.int64)
    wind = table.wind[site]
    weight = np.array([1.0 / PARTS] * PARTS + [PV_WEIGHT])
    last = -1
    for d in range(len(season)):
        cost = (score - wanted[d]) ** 2 @ weight
        if last >= 0:
            cost += JOIN_WEIGHT * (wind[:, 0] - wind[last, -1]) ** 2
            cost[last] += REPEAT_COST  # the same day twice running is no weather
        cost[season_distance(table.day, season[d]) > WEATHER_SEASON] = np.inf
        rows[d] = last = int(np.argmin(cost))
    return rows
