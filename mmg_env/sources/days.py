"""Whole days drawn from history: the calendar, prices by analogues, standard demand.

Prices are a chain of real days: the next one is drawn among the days that are nearest in season
and in what came before them (level and last hour of the day before), and that have the same day
type.

Source: our choice; the series' origins are in docs/data.md.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from mmg_env.config import PricesConfig
from mmg_env.data import load_days
from mmg_env.errors import InputError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Dates = NDArray[np.datetime64]

SITES: Final = ("a", "b", "c")
# Days of the month of each split, so that no weather day serves two; shift differs by its prices.
BLOCKS: Final = MappingProxyType(
    {"train": (1, 18), "val": (19, 24), "test": (25, 31), "shift": (25, 31)}
)
YEAR_DAYS: Final = 365
# Turns of the weeks that a split gets; the week of 15 February 2021 is turn 0.
ERCOT_TEST_WEEK: Final = 2668
TURNS: Final = MappingProxyType({"train": (1, 3), "val": (2,), "test": (0,), "shift": (0,)})
SCORE_WINDOW: Final = 45  # days to either side among which a day is ranked
LIKE_PRICES: Final = 6  # nearest days among which the next price day is drawn
PRICE_SEASON: Final = 30.0  # days that count as much as one sd of the level before
BEFORE_WEIGHT: Final = np.array([25.0, 2.0])  # of the level and of the last hour
PARTS: Final = 3  # parts of the day in which prices and wind are compared
MIDDAY: Final = slice(10, 16)


@dataclass(frozen=True, eq=False)
class PriceDays:
    """The price days from which an episode may draw: a calendar year, or a split's weeks.

    Attributes:
        dates: (days,) calendar dates.
        hourly: (days, 24) currency/kWh.
        season: (days,) day of the year from 0.
        kind: (days,) day type.
        before: (days, 2) mean and last hour of the day before, currency/kWh.
        score: (days, 4) normal scores, among like days of the season, of the mean of the day and of
            its thirds.
        recent: (days,) median of the daily means of the four weeks before, currency/kWh.
    """

    dates: Dates
    hourly: Array
    season: Ints
    kind: Ints
    before: Array
    score: Array
    recent: Array

    @cached_property
    def place(self) -> Array:
        """Return (days, 2): `before` as normal scores.

        By rank, because a day after an extreme one has no near neighbour in money, and the
        extremes would be lost.
        """
        return np.array([self.locate(row) for row in self.before])

    @cached_property
    def _ordered(self) -> Array:
        return np.sort(self.before, axis=0)

    def locate(self, before: Array) -> Array:
        """Return the normal scores of a level and a last hour, (2,)."""
        count = len(self.dates)
        below = [np.searchsorted(self._ordered[:, k], before[k]) for k in (0, 1)]
        return np.asarray(ndtri((np.minimum(below, count - 1) + 0.5) / count))


def day_of_year(dates: Dates) -> Ints:
    """Return 0..364; the last day of a leap year shares the number of the day before."""
    first = dates.astype("datetime64[Y]").astype("datetime64[D]")
    number = (dates.astype("datetime64[D]") - first).astype(np.int64)
    return np.asarray(np.minimum(number, YEAR_DAYS - 1))


def month_of(dates: Dates) -> Ints:
    """Return 0..11."""
    return np.asarray(dates.astype("datetime64[M]").astype(np.int64) % 12)


def in_block(dates: Dates, split: str) -> NDArray[np.bool_]:
    """Return whether the day of the month belongs to a split's weather."""
    low, high = BLOCKS[split]
    first = dates.astype("datetime64[M]").astype("datetime64[D]")
    of_month = (dates - first).astype(np.int64) + 1
    return np.asarray((of_month >= low) & (of_month <= high))


def season_distance(season: Ints, other: int) -> Ints:
    """Return the days between days of the year, the short way round."""
    apart = np.abs(season - other)
    return np.asarray(np.minimum(apart, YEAR_DAYS - apart))


def day_kind(dates: Dates) -> Ints:
    """Return 0 on a work day, 1 on a Saturday, 2 on a Sunday or Dutch public holiday."""
    days = dates.astype("datetime64[D]")
    weekday = (days.astype(np.int64) + 3) % 7  # 1 January 1970 was a Thursday
    years = np.unique(days.astype("datetime64[Y]").astype(np.int64)) + 1970
    holidays = np.concatenate([_holidays(int(year)) for year in years])
    kind = np.maximum(weekday - 4, 0)
    return np.asarray(np.where(np.isin(days, holidays), 2, kind))


def _holidays(year: int) -> Dates:
    """Return the Dutch public holidays of a year."""
    easter = np.datetime64(f"{year}-03-01") + np.timedelta64(_easter(year) - 1, "D")
    moving = easter + np.array([0, 1, 39, 49, 50]).astype("timedelta64[D]")
    fixed = [f"{year}-{day}" for day in ("01-01", "04-27", "12-25", "12-26")]
    return np.concatenate([moving, np.array(fixed, dtype="datetime64[D]")])


def _easter(year: int) -> int:
    """Return Easter Sunday as a day of March (32 is 1 April), valid 1900 to 2099.

    Source: Gauss's algorithm with the constants of the 20th and 21st centuries.
    """
    moon = (19 * (year % 19) + 24) % 30
    sunday = (2 * (year % 4) + 4 * (year % 7) + 6 * moon + 5) % 7
    day = 22 + moon + sunday
    if day == 57 or (day == 56 and moon == 28 and year % 19 > 10):
        day -= 7
    return day


def normal_scores(values: Array, season: Ints, kind: Ints) -> Array:
    """Return Phi^-1 of each value's rank among the days of its kind near its season."""
    scores = np.empty(len(values))
    for i, value in enumerate(values):
        like = (season_distance(season, season[i]) <= SCORE_WINDOW) & (kind == kind[i])
        others = values[like]
        rank = (others < value).sum() + 0.5 * (others == value).sum()
        scores[i] = ndtri(rank / len(others))
    return scores


def price_tables(prices: PricesConfig, split: str) -> list[PriceDays]:
    """Return the price days of a split: one table per calendar year, or one of weeks.

    Raises:
        InputError: there are no prices of a year.
    """
    if prices.kind == "ercot":
        return [ercot_weeks(split, prices.cap_per_kwh)]
    return [price_year(year) for year in getattr(prices.years, split)]


@lru_cache(maxsize=32)
def price_year(year: int) -> PriceDays:
    """Return the Dutch price days of a calendar year.

    Raises:
        InputError: there are no prices of that year.
    """
    days = load_days("prices_nl")
    chosen = days["date"].astype("datetime64[Y]") == np.datetime64(str(year), "Y")
    if not chosen.any():
        first, last = days["date"][[0, -1]].astype("datetime64[Y]")
        raise InputError(
            f"source.prices.years: there are no prices of {year}, only of {first} to {last}"
        )
    return _price_days(days["date"], days["spot_eur_per_kwh"], chosen)


@lru_cache(maxsize=8)
def ercot_weeks(split: str, cap_per_kwh: float) -> PriceDays:
    """Return the Texan price days of a split: every fourth week, or every other for `train`.

    Two years are too few to give each split its own. The weeks, Monday to Sunday, are dealt out
    in turn; 14 February 2021, when scarcity prices began, is a Sunday, so that the week after it
    belongs to `test` and the days before it to `train`.
    """
    days = load_days("prices_ercot")
    hourly = np.minimum(days["spot_usd_per_kwh"], cap_per_kwh)
    week = (days["date"].astype(np.int64) + 3) // 7  # 1 January 1970 was a Thursday
    return _price_days(days["date"], hourly, np.isin((week - ERCOT_TEST_WEEK) % 4, TURNS[split]))


def _price_days(date: Dates, hourly: Array, wanted: NDArray[np.bool_]) -> PriceDays:
    """Return some days of a table, with what came before each of them."""
    hourly = np.asarray(hourly, dtype=np.float64)
    mean = hourly.mean(axis=1)
    chosen = np.flatnonzero(wanted)
    earlier = np.maximum(chosen - 1, 0)
    dates = date[chosen]
    season, kind = day_of_year(dates), day_kind(dates)
    parts = [mean[chosen], *hourly[chosen].reshape(-1, PARTS, 24 // PARTS).mean(axis=2).T]
    parts.append(hourly[chosen][:, MIDDAY].mean(axis=1))
    return PriceDays(
        dates,
        hourly[chosen],
        season,
        kind,
        np.column_stack([mean[earlier], hourly[earlier, -1]]),
        np.column_stack([normal_scores(part, season, kind) for part in parts]),
        np.array([np.median(mean[max(0, i - 28) : max(i, 1)]) for i in chosen]),
    )


def draw_prices(table: PriceDays, first: int, dates: Dates, rng: np.random.Generator) -> Ints:
    """Return the rows of the price days for some dates.

    Args:
        table: the year from which days are taken.
        first: row of the first date; what came before it in history is where the chain begins.
        dates: calendar dates, whose season and day type the days must have.
        rng: draws among the nearest days.
    """
    kind, season = day_kind(dates), day_of_year(dates)
    place = table.place
    before = place[first]
    rows = np.empty(len(dates), dtype=np.int64)
    for d in range(len(dates)):
        cost = (place - before) ** 2 @ BEFORE_WEIGHT
        cost += (season_distance(table.season, season[d]) / PRICE_SEASON) ** 2
        cost[table.kind != kind[d]] = np.inf
        nearest = np.argsort(cost, kind="stable")[:LIKE_PRICES]
        rows[d] = nearest[rng.integers(LIKE_PRICES)]
        day = table.hourly[rows[d]]
        before = table.locate(np.array([day.mean(), day[-1]]))
    return rows


@lru_cache(maxsize=1)
def demand_days() -> dict[str, Array]:
    """Return load and heat profiles, (365, 24) per unit of the annual peak."""
    table = load_days("demand")
    names = (name for name in table if name.startswith(("load_", "heat_")))
    return {name: np.asarray(table[name], dtype=np.float64) for name in names}


@lru_cache(maxsize=1)
def nearest_of_kind() -> Ints:
    """Return (3, 365): for a day type and a day of the typical year, the nearest such day."""
    kind = np.asarray(load_days("demand")["day_type"][:, 0], dtype=np.int64)
    number = np.arange(YEAR_DAYS)
    nearest = np.empty((3, YEAR_DAYS), dtype=np.int64)
    for k in range(3):
        for day in range(YEAR_DAYS):
            apart = np.where(kind == k, season_distance(number, day), YEAR_DAYS)
            nearest[k, day] = int(np.argmin(apart))
    return nearest
