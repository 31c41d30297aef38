"""Futures to decide on: drawn around a forecast, with a grid that fails by its own law.

The forecast draws weather, loads and prices. Of the grid, with a start a = outage_start_per_h dt
and an end b = dt / outage_mean_h, one that is up fails in the next step with probability a; one
that is down is back with b (1 - a), for another outage may follow at once. Days of which nothing
has been announced are derated with derated_day_share. The step of the grid's first change and the
derating of a day come from systematic samples::

    u_s = (pi(s) + v) / n,  s = 0..n-1,  pi a random permutation, v uniform in 0..1

Each u_s is uniform, so each scenario follows the law, and means over scenarios are right in
expectation. Together they are 1 / n apart, so how many of n grids have changed by an hour is never
off its expectation by 1 or more. What follows a first change is drawn independently. Calls of
spinning reserve stay as the forecast has them: none.

Where a policy has but a few futures to decide on they are balanced: over them, what errors gain in
each step has a mean of 0 and the right variance.

Source: Madow 1949 (systematic sampling); Hoyland, Kaut & Wallace 2003 (the idea of matching
moments); docs/model.md section 7 (the grid).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import AnalogueSource
from mmg_env.errors import InputError
from mmg_env.layout import X
from mmg_env.series import Forecast, Scenarios
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


def draw(system: System, forecast: Forecast, count: int, rng: np.random.Generator) -> Scenarios:
    """Draw equally likely futures around a forecast, with failures of the grid.

    All columns but `grid_up` and `derating` are those of `forecast.scenarios(count, rng)`, and
    these two as well where the source's grid neither fails nor is derated.

    Args:
        system: the system; its source says how the grid fails.
        forecast: issued for this system; of the grid, lead 0 and the day's derating are known.
        count: number of scenarios, at least 1.
        rng: where the draws come from.

    Raises:
        InputError: count is below 1, or the forecast is another system's.
    """
    _check_fits(system, forecast)
    return _with_grid(system, forecast, forecast.scenarios(count, rng), rng)


def balanced(system: System, forecast: Forecast, count: int, rng: np.random.Generator) -> Scenarios:
    """Draw few futures to decide on, which together err as little as the forecast.

    What errors gain in a step is shifted to a mean of 0 over the futures and widened by the root of
    n / (n - 1), which keeps its variance. So a plan for them does not follow the luck of the draw;
    a single future is the forecast itself. The grid's failures are those of `draw`.

    Args:
        system: as in `draw`, like the next three.
        forecast: the forecast.
        count: number of futures.
        rng: where the draws come from.

    Raises:
        InputError: count is below 1, or the forecast is another system's.
    """
    _check_fits(system, forecast)
    gains = forecast.innovations(count, rng)
    wider = np.sqrt(count / max(count - 1, 1))
    centred = wider * (gains - gains.mean(axis=0))
    return _with_grid(system, forecast, forecast.along(centred), rng)


def _check_fits(system: System, forecast: Forecast) -> None:
    """Refuse the forecast of another system."""
    columns, wanted = forecast.values.shape[1], system.exogenous_size
    if columns != wanted:
        raise InputError(f"forecast: it has {columns} columns; {system.name} needs {wanted}")


def _with_grid(
    system: System, forecast: Forecast, drawn: Scenarios, rng: np.random.Generator
) -> Scenarios:
    """Return futures with failures of the grid, where the source's grid fails."""
    source, count = system.config.source, len(drawn.values)
    if not isinstance(source, AnalogueSource):
        return drawn
    if source.outage_start_per_h == 0.0 and source.derated_day_share == 0.0:
        return drawn
    share = _derating(system, source, forecast, count, rng)
    down = _outages(system, source, forecast, count, rng)
    values = np.array(drawn.values)
    first_shared = 4 * drawn.member_count
    values[..., first_shared + X.derating] = share
    values[..., first_shared + X.grid_up] = np.where(down, 0.0, share)
    return replace(drawn, values=values)


def _outages(
    system: System, source: AnalogueSource, forecast: Forecast, count: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return (scenarios, leads): whether the grid is down."""
    start = min(1.0, source.outage_start_per_h * system.dt_h)
    back = min(1.0, system.dt_h / source.outage_mean_h) * (1.0 - start)
    leads = len(forecast.values)
    down = np.empty((count, leads), dtype=np.bool_)
    # Less than announced is an outage; an announced 0 hides whether there is one.
    down[:, 0] = forecast.grid_up[0] < forecast.shared(X.derating)[0]
    leave = back if down[0, 0] else start
    changed_by = 1.0 - (1.0 - leave) ** np.arange(leads)
    first = np.searchsorted(changed_by, _systematic(count, rng), side="right")
    chance = rng.random((count, leads))
    for lead in range(1, leads):
        before = down[:, lead - 1]
        later = chance[:, lead] < np.where(before, 1.0 - back, start)
        down[:, lead] = np.where(lead > first, later, before ^ (lead == first))
    return down


def _derating(
    system: System, source: AnalogueSource, forecast: Forecast, count: int, rng: np.random.Generator
) -> Array:
    """Return (scenarios, leads): the day's share of the grid links, 0..1."""
    share = np.repeat(forecast.shared(X.derating)[None], count, axis=0)
    day = (forecast.issue + np.arange(len(forecast.values))) // system.steps_per_day
    for unannounced in range(day[0] + 1, day[-1] + 1):
        derated = _systematic(count, rng) < source.derated_day_share
        share[:, day == unannounced] = np.where(derated, source.derated_to, 1.0)[:, None]
    return share


def _systematic(count: int, rng: np.random.Generator) -> Array:
    """Return (count,) numbers, each uniform in 0..1, together equally spaced, in random order."""
    return np.asarray((rng.permutation(count) + rng.random()) / count)


def in_and_out(
    system: System, forecast: Forecast, inside: int, outside: int, rng: np.random.Generator
) -> tuple[Scenarios, Scenarios]:
    """Draw `inside` futures to decide on and, apart from them, `outside` ones to judge that on.

    They come from two children of the generator, so neither number changes the other set; a
    second call has other children. The generator must be one made from a seed.

    Raises:
        InputError: a number is below 1, or the forecast is another system's.
    """
    deciding, judging = rng.spawn(2)
    return draw(system, forecast, inside, deciding), draw(system, forecast, outside, judging)
