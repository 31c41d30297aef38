"""Futures held against what came true.

The truth's rank among n futures of its own law takes each of n + 1 values equally often, if values
have no atoms.

Source: Hamill 2001.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from baselines.scenarios import draw
from mmg_env.errors import InputError
from mmg_env.layout import MEMBER_SERIES, X
from mmg_env.series import Scenarios
from mmg_env.sources.prices import PRICES
from mmg_env.splits import sample_episode
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

ROUNDING: Final = 1e-12  # of sums over scenarios


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
