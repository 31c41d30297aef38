"""Episodes from the user's own series, replayed: nothing is drawn but forecast errors and calls.

Retail prices follow the tariff from the wholesale price. What the file does not tell about the
imbalance premiums is constant at the source's scales. The whole file is checked before the first
episode is made of it. Forecasts err as those of the source `analogue`, with climatologies from the
days of `train`; members that name the same profile share the error paths of their plants.

Source: our choice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import CsvSource
from mmg_env.config_sources import RangesConfig
from mmg_env.episode import Belief, Episode, assemble_episode, lead_steps, physical_bounds
from mmg_env.errors import InputError
from mmg_env.layout import X
from mmg_env.series import ErrorModel
from mmg_env.sources import errors
from mmg_env.sources.analogue import FITTING_STEPS, known_columns
from mmg_env.sources.clock import Fault
from mmg_env.sources.days import month_of
from mmg_env.sources.plausibility import KINDS, rating_kw, value_faults
from mmg_env.sources.prices import PRICES, price_rule
from mmg_env.sources.quality import regarded
from mmg_env.sources.scenes import spin_calls
from mmg_env.sources.starts import episode_days
from mmg_env.sources.tables import Table, read_table, refuse
from mmg_env.system import System

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL_DAYS: Final = 28  # days before the episode whose median is the level of its prices
LOWEST_LEVEL: Final = 0.1  # of the mean size of the price


@dataclass(frozen=True, eq=False)
class Recording:
    """A checked file as the system's columns.

    Attributes:
        start: first day, in standard time.
        days: (days, steps of a day, columns) the truth; spinning calls are 0.
        months: (days,) 0..11.
        is_train: (days,) whether the day belongs to `train`.
    """

    start: np.datetime64
    days: Array
    months: Ints
    is_train: NDArray[np.bool_]

    def by_season(self, column: int) -> Array:
        """Return (12, steps of a day): the mean train day of each month, else of all train days."""
        train = self.days[self.is_train, :, column]
        months = self.months[self.is_train]
        return np.array(
            [train[months == m if m in months else slice(None)].mean(axis=0) for m in range(12)]
        )


def sample(system: System, split: str, index: int) -> Episode:
    """Return episode `index` of a split.

    Raises:
        InputError: the file is not what the system file says; one sentence per fault.
    """
    tape = recording(system)
    number = _numbers(system, tape, split, index)
    truth = _rows(system, tape, number)
    model = _error_model(system)
    calls = spin_calls(system, split, index, len(truth))
    column = 4 * len(system.members) + X.spin_call
    truth[:, column] = calls if system.has_ces else 0.0
    scale = _scale(system, tape, number)
    paths = _paths(system, tape, (split, index), number)
    center = truth - scale * np.where(model.path >= 0, paths[:, model.path], 0.0)
    center[:, column] = 0.0
    start = (tape.start + number[0]).astype("datetime64[h]")
    model, belief = regarded(system, start, model, Belief(center, scale, paths), truth)
    return assemble_episode(system, (system.name, split, index), start, model, belief, truth)


@lru_cache(maxsize=8)
def recording(system: System) -> Recording:
    """Return the file of a system, checked as a whole.

    Raises:
        InputError: one sentence per fault, with file and rows.
    """
    source = _source(system)
    table = read_table(source, system.dt_h)
    truth = _truth(system, table)
    refuse(table.file, [*value_faults(system, table, truth), *_range_faults(system, table)])
    days = truth.reshape(-1, system.steps_per_day, truth.shape[1])
    dates = table.start + np.arange(len(days)).astype("timedelta64[D]")
    first, last = (np.datetime64(day) for day in source.splits.train)
    tape = Recording(table.start, days, month_of(dates), (dates >= first) & (dates <= last))
    for array in (tape.days, tape.months, tape.is_train):
        array.flags.writeable = False
    return tape


def _source(system: System) -> CsvSource:
    """Return the source's configuration."""
    source = system.config.source
    if not isinstance(source, CsvSource):
        kind = "none" if source is None else source.kind
        raise InputError(f"system {system.name}: its source is `{kind}`; it must be `csv`")
    return source


def _truth(system: System, table: Table) -> Array:
    """Return all steps of the file, (steps, columns), as they are: nothing clipped."""
    source = _source(system)
    members = len(system.members)
    steps = len(table.row)
    truth = np.zeros((steps, system.exogenous_size))
    for m, member in enumerate(system.config.members):
        for kind, series in enumerate(KINDS):
            name = f"{member.name}.{series}"
            if name in table.values:
                by_size = source.columns[name].unit == "per_unit"
                factor = rating_kw(member, series) if by_size else 1.0
                truth[:, kind * members + m] = factor * table.values[name]
    hour = (np.arange(steps) % system.steps_per_day * system.dt_h + 1e-9).astype(np.int64)
    shared = truth[:, 4 * members :]
    known_columns(system, shared, table.values.get("spot", np.zeros(steps)), hour)
    shared[:, [X.grid_up, X.derating]] = 1.0
    premiums = errors.premium_scale(system)
    for x, name, usual in zip(
        (X.short_premium, X.long_premium), ("short_premium", "long_premium"), premiums, strict=True
    ):
        shared[:, x] = table.values.get(name, usual)
    return truth


def _range_faults(system: System, table: Table) -> Iterator[Fault]:
    """Yield the splits of which the file does not hold every day."""
    last = table.start + len(table.row) // system.steps_per_day - 1
    for split in RangesConfig.model_fields:
        begin, end = (np.datetime64(day) for day in getattr(_source(system).splits, split))
        if begin < table.start or end > last:
            sentence = f"source.splits.{split} is {begin} to {end}; there are whole days of"
            yield Fault((), f"{sentence} {table.start} to {last}")


def _numbers(system: System, tape: Recording, split: str, index: int) -> Ints:
    """Return the numbers of an episode's days and of those that its forecasts show."""
    rows = system.episode_steps + lead_steps(system)
    ends = getattr(_source(system).splits, split)
    first, last = (int((np.datetime64(day) - tape.start) / np.timedelta64(1, "D")) for day in ends)
    return episode_days(system, split, index, [(first, last)], -(-rows // system.steps_per_day))


def _rows(system: System, tape: Recording, number: Ints) -> Array:
    """Return the truth of an episode and its leads, (steps + leads, columns)."""
    rows = system.episode_steps + lead_steps(system)
    return tape.days[number].reshape(-1, system.exogenous_size)[:rows]


def _scale(system: System, tape: Recording, number: Ints) -> Array:
    """Return the size of one unit of error of every column."""
    source, members = _source(system), len(system.members)
    rows = system.episode_steps + lead_steps(system)
    day = np.arange(rows) // system.steps_per_day
    of_day = np.arange(rows) % system.steps_per_day
    hour = (of_day * system.dt_h + 1e-9).astype(np.int64)
    month = month_of(tape.start + number)[day]
    scale = np.zeros((rows, system.exogenous_size))
    for m, member in enumerate(system.config.members):
        if member.wind is not None:
            scale[:, m] = source.wind_error * member.wind.capacity_kw
        if member.pv is not None:
            expected = tape.by_season(members + m)
            scale[:, members + m] = source.pv_error * expected[month, of_day]
        size = source.load_error * member.load.peak_kw
        scale[:, 2 * members + m] = size * errors.by_day("load")[hour]
        if member.heat is not None:
            highest = tape.by_season(3 * members + m).max(axis=1)
            scale[:, 3 * members + m] = source.load_error * highest[month]
    factor, _ = price_rule(system)
    price = _level(system, tape, number) * _price_shape(system, tape)[hour]
    scale[:, [4 * members + x for x in PRICES]] = price[:, None] * factor
    scale[:, errors.premium_columns(system)] = errors.premium_scale(system)
    return np.where(_column_paths(system) >= 0, scale, 0.0)


def _level(system: System, tape: Recording, number: Ints) -> float:
    """Return the median daily price of the four weeks before an episode, currency/kWh."""
    daily = tape.days[:, :, 4 * len(system.members) + X.spot].mean(axis=1)
    before = daily[max(0, number[0] - LEVEL_DAYS) : number[0]]
    train = daily[tape.is_train]
    level = float(np.median(before if len(before) else train))
    return max(level, LOWEST_LEVEL * float(np.abs(train).mean()))


def _price_shape(system: System, tape: Recording) -> Array:
    """Return (24,) sizes of price errors per unit of the level: the mean train day."""
    column = 4 * len(system.members) + X.spot
    mean = tape.days[tape.is_train, :, column].mean(axis=0)
    hourly = mean[(np.arange(24) / system.dt_h + 1e-9).astype(np.int64)]
    flat = np.ones(24) if hourly.mean() <= 0.0 else hourly
    return errors.shape_of_day(_source(system).price_error, flat)


def _column_paths(system: System) -> Ints:
    """Return the error path of each column; what the file does not tell has none."""
    source, members = _source(system), len(system.members)
    path = errors.column_paths(system)
    for name, columns in (
        ("spot", list(PRICES)),
        ("short_premium", [X.short_premium]),
        ("long_premium", [X.long_premium]),
    ):
        if name not in source.columns:
            path[[4 * members + x for x in columns]] = -1
    return path


def _paths(system: System, tape: Recording, label: tuple[str, int], number: Ints) -> Array:
    """Return the error paths of an episode, (steps + leads, paths)."""
    truth = _rows(system, tape, number)
    members = system.config.members
    share = np.zeros((len(truth), len(errors.sites_of(system))))
    for s, site in enumerate(errors.sites_of(system)):
        plants = [
            m for m, member in enumerate(members) if member.wind and member.wind.profile == site
        ]
        capacity = sum(rating_kw(members[m], "wind") for m in plants)
        if capacity > 0.0:
            share[:, s] = truth[:, plants].sum(axis=1) / capacity
    level = _level(system, tape, number)
    spot = truth[:, 4 * len(members) + X.spot]
    dearness = np.maximum(spot / level - 1.0, 0.0) if level > 0.0 else np.zeros(len(truth))
    paths = errors.draw_paths(system, label, np.minimum(share, 1.0), dearness)
    paths[:, -2:] -= 1.0
    return paths


@lru_cache(maxsize=8)
def _error_model(system: System) -> ErrorModel:
    """Return how forecasts err; innovations are those of the first train episodes."""
    tape = recording(system)
    phi = errors.persistence(system)
    bank = []
    for index in range(int(np.ceil(FITTING_STEPS / system.episode_steps))):
        number = _numbers(system, tape, "train", index)
        paths = _paths(system, tape, ("train", index), number)
        bank.append(paths[: system.episode_steps].copy())
        bank[-1][1:] -= phi * paths[: system.episode_steps - 1]
    low, high = physical_bounds(system)
    premiums = errors.premium_columns(system)
    highest = tape.days[:, :, premiums].max(axis=(0, 1))
    high[premiums] = np.maximum(errors.PREMIUM_CAP * errors.premium_scale(system), highest)
    return ErrorModel(_column_paths(system), phi, np.concatenate(bank), low, high)
