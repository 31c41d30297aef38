"""The window that a rolling horizon looks through, and its model at hour k of a day.

At step t the horizon ends with the day that contains the step 24 h after t, less one, and never
after the episode. The model of a window begins at the first step of the day of t, so that all
hours of a day share one model: at hour k the columns of hours that are over are fixed to 0, their
rows set free, the state at k pinned, and what the day committed to is fixed. What changes from
hour to hour is bounds only, and the last basis is a good start.

Source: docs/model.md section 2; the demand charge is prorated by lookahead over the time left in
its period.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from baselines.compiled import Compiled, Numbers, fill
from baselines.deterministic import compiled_model, horizon_of
from baselines.window import window_data
from mmg_env.kernel import clear_pool
from mmg_env.layout import F, S, W, X
from mmg_env.series import Forecast
from mmg_env.state import State
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

# Variables that hold the state at the start of a step, and the data that says what it is.
STATE_COLUMNS: Final = {
    "energy_kwh": "energy_start_kwh",
    "segment_kwh": "segment_start_kwh",
    "chp_kw": "chp_before_kw",
    "chp_on": "chp_was_on",
    "backlog_kwh": "backlog_start_kwh",
    "virtual_kwh": "virtual_start_kwh",
}
# Variables that span a whole day or more.
SPANNING: Final = ("rental_kwh", "rental_kw", "level_kw", "shortfall_kwh", "surplus_kwh")


@dataclass(frozen=True)
class Window:
    """Where the steps of a horizon lie.

    Attributes:
        step: current step of the episode.
        first: step of the episode at which the model begins.
        days: days of the model.
    """

    step: int
    first: int
    days: int

    @property
    def hour(self) -> int:
        """Current step of the model."""
        return self.step - self.first


def window_at(system: System, step: int) -> Window:
    """Return the window of a step."""
    day = system.steps_per_day
    first = step - step % day
    last = min((step + day - 1) // day, system.episode_steps // day - 1)
    return Window(step, first, last - first // day + 1)


def window_model(system: System, window: Window) -> Compiled:
    """Return the compiled model of a window; hours of a day share it."""
    return compiled_model(
        system, horizon_of(system, window.first // system.steps_per_day, window.days)
    )


def demand_rates(system: System, window: Window) -> Array:
    """Return each period's demand charge, prorated by lookahead over time left in the period.

    A week's charge weighs on a day's plan by the day's share of what is left of the week, or of
    the episode where that ends before.
    """
    world = system.physics.world
    length = round(float(world[W.demand_period_steps]))
    end = window.first + window.days * system.steps_per_day
    rates = []
    begin = window.step
    while begin < end:
        period_end = min(begin - begin % length + length, system.episode_steps)
        rates.append((min(period_end, end) - begin) / (period_end - begin))
        begin = period_end
    return np.asarray(world[W.demand_charge_per_kw] * np.array(rates))


def window_rows(system: System, window: Window, forecast: Forecast) -> Array:
    """Return exogenous rows of the window: the forecast, its first row for hours that are over.

    No call of spinning reserve is foreseen.
    """
    ahead = window.days * system.steps_per_day - window.hour
    rows = np.concatenate([np.repeat(forecast.values[:1], window.hour, 0), forecast.values[:ahead]])
    rows[:, 4 * len(system.members) + X.spin_call] = 0.0
    return rows


def window_numbers(
    system: System, window: Window, state: State, rows: Array
) -> tuple[Compiled, Numbers]:
    """Return the model of a window with the numbers of its current hour."""
    compiled = window_model(system, window)
    data = window_data(system, state, rows, demand_rates(system, window))
    if window.step % round(float(system.physics.world[W.demand_period_steps])) == 0:
        data["peak_before_kw"] = np.zeros(len(system.participants))
    numbers = fill(compiled, data)
    if window.hour > 0:
        _cut_off(compiled, numbers, window.hour)
        for name, start in STATE_COLUMNS.items():
            at = _fix(compiled, numbers, name, (..., window.hour), data[start])
            numbers.cost[at] = 0.0  # output of the hour before has been paid
        _fix_commitments(system, compiled, numbers, window.hour, state)
    return compiled, numbers


@lru_cache(maxsize=1024)
def _over(compiled: Compiled, hour: int) -> tuple[Integers, Integers]:
    """Return columns and rows of the hours before an hour."""
    columns = [
        numbers[..., :hour].ravel()
        for name, numbers in compiled.columns.items()
        if name not in SPANNING
    ]
    past = np.concatenate(columns)
    rows = np.flatnonzero((compiled.row_step >= 0) & (compiled.row_step < hour))
    return past[past >= 0], rows


def _cut_off(compiled: Compiled, numbers: Numbers, hour: int) -> None:
    """Fix the columns of hours that are over to 0 and free their rows."""
    columns, rows = _over(compiled, hour)
    numbers.lower[columns] = numbers.upper[columns] = 0.0
    numbers.row_lower[rows], numbers.row_upper[rows] = -np.inf, np.inf


def _fix(
    compiled: Compiled, numbers: Numbers, name: str, part: tuple[Any, ...], values: Array
) -> Integers:
    """Fix part of a variable, if it exists, to values over its leading indices; return columns."""
    if name not in compiled.columns:
        return np.zeros(0, dtype=np.int64)
    columns: Integers = compiled.columns[name][part]
    wanted = values[tuple(slice(0, n) for n in columns.shape)]
    there = columns >= 0
    at: Integers = columns[there]
    numbers.lower[at] = numbers.upper[at] = wanted[there]
    return at


def _fix_commitments(
    system: System, compiled: Compiled, numbers: Numbers, hour: int, state: State
) -> None:
    """Fix what was decided at the day's first step: rent, pool schedule, nomination."""
    rest = slice(hour, system.steps_per_day)
    _fix(compiled, numbers, "rental_kwh", (slice(None), 0), state.column(S.rental_kwh))
    _fix(compiled, numbers, "rental_kw", (slice(None), 0), state.column(S.rental_kw))
    _fix(compiled, numbers, "nominated_kw", (rest,), state.nomination_kw[rest])
    if system.day_ahead_pool:
        sent, received = _scheduled(system, state, hour)
        _fix(compiled, numbers, "sent_kw", (slice(None), rest), sent)
        _fix(compiled, numbers, "received_kw", (slice(None), rest), received)


def _scheduled(system: System, state: State, hour: int) -> tuple[Array, Array]:
    """Return what the day's nominations mean for each hour left, (participants, hours), kW."""
    plan = state.pool_plan_kw[:, hour:]
    count, hours = plan.shape
    flows = np.zeros((hours, count, len(F)))
    flows[:, :, F.nominated_kw] = plan.T
    flows[:, :, F.quote_per_kwh] = state.column(S.quote_per_kwh)
    for now in flows:
        clear_pool(system.physics.world, int(system.has_ces), now)
    return flows[:, :, F.sent_kw].T, flows[:, :, F.received_kw].T
