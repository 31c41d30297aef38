"""Scenarios to decide on and to be judged on: drawn, thinned out, and held against what came true.

*Drawn.* The forecast draws weather, loads and prices; the grid follows its own law. With a start
a = outage_start_per_h dt and an end b = dt / outage_mean_h, a grid that is up fails in the next
step with probability a; one that is down is back with b (1 - a), for another outage may follow at
once. Days of which nothing has been announced are derated with derated_day_share. The step of the
grid's first change and the derating of a day come from systematic samples::

    u_s = (pi(s) + v) / n,  s = 0..n-1,  pi a random permutation, v uniform in 0..1

Each u_s is uniform, so each scenario follows the law, and means over scenarios are right in
expectation. Together they are 1 / n apart, so how many of n grids have changed by an hour is never
off its expectation by 1 or more. What follows a first change is drawn independently. Calls of
spinning reserve stay as the forecast has them: none.

*Thinned out* by fast forward selection: keep, again and again, the future that leaves the least ::

    D(J) = sum_i p_i min_{j in J} d(i, j),   d(i, j) = sum_{lead, x} w_x |value_i - value_j|

and give the probability of each dropped future to the nearest one kept. D is then the Kantorovich
distance between all futures and those kept. One future kept is the best one; of several, another
set may leave less. What is kept lies in the middle, so rare events lose probability: ten futures
kept of 500 may hold no outage though a quarter of all do. Where outages matter, draw few instead.

*Held against the truth*, whose rank among n futures of its own law takes each of n + 1 values
equally often, if values have no atoms.

Source: Heitsch & Roemisch 2003 (forward selection); Dupacova, Groewe-Kuska & Roemisch 2003 (D);
Madow 1949 (systematic sampling); Hamill 2001 (ranks); docs/model.md section 7 (the grid). The
weights w_x are our choice.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from mmg_env.config import AnalogueSource
from mmg_env.errors import InputError
from mmg_env.layout import MEMBER_SERIES, X
from mmg_env.series import Forecast, Scenarios
from mmg_env.sources.prices import PRICES
from mmg_env.splits import sample_episode
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

ROUNDING: Final = 1e-12  # of sums over scenarios, relative


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
    columns, wanted = forecast.values.shape[1], system.exogenous_size
    if columns != wanted:
        raise InputError(f"forecast: it has {columns} columns; {system.name} needs {wanted}")
    drawn = forecast.scenarios(count, rng)
    source = system.config.source
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


def reduce(scenarios: Scenarios, count: int, weight: Array | None = None) -> Scenarios:
    """Keep what forward selection picks, in its old order, with the probability of the rest.

    Args:
        scenarios: what is to be thinned out; returned as it is if there are no more than `count`.
        count: number of scenarios to keep, at least 1.
        weight: (columns,) what a unit of difference counts; None for `even_weight`.

    Raises:
        InputError: count is below 1, or the weights are not one number >= 0 per column.
    """
    if count < 1:
        raise InputError(f"reduce: count is {count}; it must be at least 1")
    if count >= len(scenarios.values):
        return scenarios
    features = _features(scenarios, scenarios, weight)
    distance = cdist(features, features, "cityblock")
    kept = np.sort(_forward_selection(distance, scenarios.probability, count))
    goes_to = np.argmin(distance[:, kept], axis=1)
    goes_to[kept] = np.arange(count)  # also where another one kept is the same
    probability = np.zeros(count)
    np.add.at(probability, goes_to, scenarios.probability)
    return Scenarios(scenarios.values[kept], probability, scenarios.member_count)


def even_weight(scenarios: Scenarios) -> Array:
    """Return one over each column's mean absolute deviation, (columns,), 0 where futures agree."""
    away = np.abs(scenarios.values - moments(scenarios).mean)
    deviation = np.tensordot(scenarios.probability, away, 1).mean(axis=0)
    varies = deviation > ROUNDING * np.abs(scenarios.values).max(axis=(0, 1))
    return np.asarray(np.divide(1.0, deviation, out=np.zeros(len(deviation)), where=varies))


def _forward_selection(distance: Array, probability: Array, count: int) -> Integers:
    """Return the numbers of the futures kept, (count,), in the order in which they are picked."""
    nearest = np.full(len(distance), np.inf)
    kept = np.empty(count, dtype=np.int64)
    for k in range(count):
        left = probability @ np.minimum(distance, nearest[:, None])
        left[kept[:k]] = np.inf
        kept[k] = np.argmin(left)
        nearest = np.minimum(nearest, distance[:, kept[k]])
    return kept


def kantorovich(scenarios: Scenarios, kept: Scenarios, weight: Array | None = None) -> float:
    """Return how far probability is moved if that of each future goes to the nearest one kept.

    For what `reduce` returns it is the Kantorovich distance, for other probabilities of `kept`,
    which are not read, a bound below it. `weight` is that of `reduce`; None is `even_weight` of
    `scenarios`.

    Raises:
        InputError: the futures differ in shape, or the weights are not one number >= 0 per column.
    """
    shape, wanted = kept.values.shape[1:], scenarios.values.shape[1:]
    if shape != wanted:
        raise InputError(f"kept: leads and columns are {shape}; they must be {wanted}")
    origin, target = (_features(scenarios, futures, weight) for futures in (scenarios, kept))
    return float(scenarios.probability @ cdist(origin, target, "cityblock").min(axis=1))


def _features(scenarios: Scenarios, futures: Scenarios, weight: Array | None) -> Array:
    """Return (futures, leads * columns that count) values, weighted as `scenarios` say."""
    columns = scenarios.values.shape[2]
    if weight is None:
        weight = even_weight(scenarios)
    if weight.shape != (columns,) or not (np.isfinite(weight) & (weight >= 0.0)).all():
        raise InputError(f"weight: it is {weight}; it must be {columns} finite numbers >= 0")
    counts = weight > 0.0
    return np.asarray((futures.values * weight)[..., counts].reshape(len(futures.values), -1))


class Moments(NamedTuple):
    """Mean and standard deviation over scenarios by probability, (leads, columns), their units."""

    mean: Array
    sd: Array


def moments(scenarios: Scenarios) -> Moments:
    """Return mean and standard deviation of every lead and column."""
    mean = np.tensordot(scenarios.probability, scenarios.values, 1)
    variance = np.tensordot(scenarios.probability, (scenarios.values - mean) ** 2, 1)
    return Moments(mean, np.sqrt(variance))


def ranks(scenarios: Scenarios, truth: Array) -> Array:
    """Return where the truth lies among scenarios, (steps, columns), 0 below and 1 above all.

    A rank is the probability of the scenarios below the truth, and half of that of those equal to
    it: the number of scenarios below, divided by theirs, where they are equally likely.

    Args:
        scenarios: the futures.
        truth: (steps, columns) what came true from lead 0 on; it may end before the last lead.

    Raises:
        InputError: the truth has no steps, more than there are leads, or other columns.
    """
    leads, columns = scenarios.values.shape[1:]
    if truth.ndim != 2 or not 1 <= len(truth) <= leads or truth.shape[1] != columns:
        raise InputError(f"truth: shape {truth.shape}; it must be (1..{leads}, {columns})")
    futures = scenarios.values[:, : len(truth)]
    passed = 0.5 * (futures < truth) + 0.5 * (futures <= truth)
    return np.asarray(np.tensordot(scenarios.probability, passed, 1))


def episode_ranks(
    system: System, split: str, episodes: int, step: int, count: int, rng: np.random.Generator
) -> dict[str, Array]:
    """Return ranks of what came true in episodes, (episodes, steps, columns) per kind of series.

    It reads the truth: it assesses forecasts and is no part of a policy. A rank is NaN where the
    future is known, as that of PV is at night; kinds that are always known are left out.

    Args:
        system: a system with a source.
        split: whose episodes.
        episodes: number of episodes from 0 on, at least 1.
        step: step of each episode at which the forecast is issued.
        count: scenarios per forecast.
        rng: draws the scenarios.

    Raises:
        InputError: there are no such episodes or no such step, or count is below 1.
    """
    if episodes < 1:
        raise InputError(f"episodes: {episodes}; it must be at least 1")
    if not 0 <= step < system.episode_steps:
        raise InputError(f"step: {step} is not in 0..{system.episode_steps - 1}")
    found = []
    for index in range(episodes):
        episode = sample_episode(system, split, index)
        forecast = episode.forecast(step)
        truth = episode.values[step : step + episode.leads]
        rank = ranks(draw(system, forecast, count, rng), truth)
        known = (forecast.model.path < 0) | (forecast.scale[: len(truth)] == 0.0)
        found.append(np.where(known, np.nan, rank))
    table = np.array(found)
    kinds = {kind: table[..., columns] for kind, columns in _kinds(system).items()}
    return {kind: rank for kind, rank in kinds.items() if not np.isnan(rank).all()}


def _kinds(system: System) -> dict[str, Integers]:
    """Return the columns of each kind of series whose forecasts may err."""
    members = len(system.members)
    own = np.arange(4 * members).reshape(4, members)
    kinds = {name.removesuffix("_kw"): own[k] for k, name in enumerate(MEMBER_SERIES)}
    kinds["price"] = 4 * members + np.array(PRICES)
    kinds["premium"] = 4 * members + np.array([X.short_premium, X.long_premium])
    return kinds


def coverage(ranked: Mapping[str, Array], level: float) -> dict[str, float]:
    """Return the share of ranks within the central interval of a level, by kind, 0..1.

    It is the level on average if the law is right, values have no atoms, and of n equally likely
    scenarios (n + 1) (1 - level) / 2 is whole, as for 99 and .8. Where values are cut, as those of
    calm hours are at 0, the middle of the ties counts, and the share is higher.

    Args:
        ranked: ranks by kind, NaN where the future was known (see `episode_ranks`).
        level: probability of the interval, above 0 and below 1.

    Raises:
        InputError: the level is out of its range.
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"level: {level} is not above 0 and below 1")
    width = 0.5 * level + ROUNDING
    return {
        kind: float(np.mean(np.abs(rank[~np.isnan(rank)] - 0.5) <= width))
        for kind, rank in ranked.items()
    }
