"""An uncertainty set fitted to how the errors of past days go together.

With zeta the errors of a day in units of half-widths, the set is, in the same units::

    zeta = mu + L eta + r
    |eta_k| <= kappa,   sum over k of |eta_k| / kappa <= budget
    |r_e| <= rho_e,     sum over the entries e of a series of |r_e| / rho_e <= a third of them

Series whose errors correlate stand in one block. The columns of L are the principal components of
each block, in units of their standard deviations, that explain `explained` of its variance; rho is
proportional to the standard deviations of what they leave. One factor on kappa and rho is the least
at which `inside` of the days are in the set. Correlations between hours and series are those of the
components, not bands that are stated for each pair.

Source: the name is Bian & Ji's (2025, data-correlated uncertainty sets); the form is our choice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from baselines.robust.sets import NOTHING, UncertaintySet, budgeted
from mmg_env.errors import InputError
from mmg_env.series import Forecast
from mmg_env.splits import sample_episode
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SHARES: Final = np.array([0.20, 0.15, 0.10, 0.10])  # half-widths of wind, PV, load, heat
LINKED: Final = 0.3  # correlation from which on two series are in one block
COMPONENTS_AT_ONCE: Final = 0.25  # share of the components that may be at kappa, unless stated
ENTRIES_AT_ONCE: Final = 1.0 / 3.0  # share of a series' entries that may be at rho
RESIDUAL: Final = 3.0  # rho over kappa, both in standard deviations
ROUNDING: Final = 1e-6  # by how much the set is larger than the days ask for


@dataclass(frozen=True, eq=False)
class Correlated:
    """A set fitted to past days; the deviation is `mean` and what the set adds to it.

    Attributes:
        set: deviations from the mean, kW; group 0 are the components, 1 + s what they leave of
            series s.
        mean: (entries,) mean deviation, kW.
        half_width: (entries,) by which shares become kW.
        explained: share of the variance that the components explain.
        coverage: share of the days it was fitted to that are inside.
        components: number of components.
    """

    set: UncertaintySet
    mean: Array
    half_width: Array
    explained: float
    coverage: float
    components: int


def expected_share(forecast: Forecast) -> Array:
    """Return the half-widths that go with a forecast: `SHARES` of it, (leads, series), kW."""
    share = np.repeat(SHARES, forecast.member_count)
    return np.asarray(share * forecast.values[:, : len(share)])


def historical_errors(
    system: System,
    split: str,
    days: int,
    hours: int = 24,
    width: Callable[[Forecast], Array] = expected_share,
) -> Array:
    """Return by how much days missed the forecast issued at their first step, in half-widths.

    Entry step * series + s is series s in a step; the series are wind, PV, load and heat of the
    members, in the order of an episode's columns. Where the half-width is 0, so is the error.

    Args:
        system: a system with a source.
        split: whose episodes.
        days: how many: the beginnings of the first episodes.
        hours: length of a day, h.
        width: half-widths of a forecast, (leads, series), kW.

    Returns:
        (days, entries).

    Raises:
        InputError: days or hours are below 1, or the episodes are shorter than that or too few.
    """
    steps, series = round(hours / system.dt_h), 4 * len(system.members)
    if days < 1:
        raise InputError(f"days: {days}; it must be at least 1")
    if not 1 <= steps <= system.episode_steps:
        raise InputError(f"hours: {hours}; it must lie in 1..{system.config.episode_h:g}")
    errors = np.zeros((days, steps * series))
    for day in range(days):
        episode = sample_episode(system, split, day)
        forecast = episode.forecast(0)
        missed = (episode.values[:steps, :series] - forecast.values[:steps, :series]).ravel()
        unit = width(forecast)[:steps].ravel()
        np.divide(missed, unit, out=errors[day], where=unit > NOTHING)
    return errors


def fit(
    errors: Array,
    half_width: Array,
    series: int,
    explained: float = 0.9,
    inside: float = 0.95,
    budget: int | None = None,
) -> Correlated:
    """Fit a set to past days.

    Args:
        errors: (days, entries) in half-widths, as `historical_errors` returns them.
        half_width: (entries,) of the day that the set is for, kW.
        series: number of series; entry step * series + s is series s in a step.
        explained: share of each block's variance that its components explain at least, 0..1.
        inside: share of the days that are in the set at least, above 0 and at most 1.
        budget: how many components may be at their limit at once, at least 1; None for a quarter.

    Raises:
        InputError: an argument is outside its range, or the shapes do not go together.
        SolverError: HiGHS could not say how far out a day is.
    """
    _check(errors, half_width, series, budget)
    for name, share in (("explained", explained), ("inside", inside)):
        if not 0.0 < share <= 1.0:
            raise InputError(f"{name}: {share}; it must be above 0 and at most 1")
    mean = errors.mean(axis=0)
    gone_by = _no_rounding(errors - mean)
    components, left = _components(gone_by, blocks(errors, series), explained)
    count = components.shape[1]
    at_once = int(np.ceil(COMPONENTS_AT_ONCE * count)) if budget is None else budget
    unscaled = _assembled(components, RESIDUAL * left.std(axis=0), series, at_once)
    distance = unscaled.gauge(gone_by)
    reach = np.sort(distance)[int(np.ceil(inside * len(errors))) - 1] * (1.0 + ROUNDING)
    size = sparse.diags_array(reach * half_width)
    fitted = UncertaintySet(
        sparse.csr_array(size @ unscaled.moves), unscaled.group, unscaled.budget
    )
    variance = float((gone_by**2).sum())
    return Correlated(
        set=fitted,
        mean=mean * half_width,
        half_width=half_width,
        explained=1.0 - float((left**2).sum()) / variance if variance > 0.0 else 1.0,
        coverage=float(np.mean(distance <= reach)),
        components=count,
    )


def coverage(correlated: Correlated, errors: Array) -> float:
    """Return the share of days that are in a set, 0..1.

    Args:
        correlated: the set.
        errors: (days, entries) in half-widths, of days that it need not be fitted to.

    Raises:
        InputError: there are no days, or they have another number of entries.
        SolverError: HiGHS could not say how far out a day is.
    """
    if errors.ndim != 2 or not len(errors):
        raise InputError(f"errors: shape {errors.shape}; it must be (days, entries)")
    deviations = _no_rounding(errors * correlated.half_width - correlated.mean)
    return float(np.mean(correlated.set.gauge(deviations) <= 1.0 + ROUNDING))


def blocks(errors: Array, series: int) -> Integers:
    """Return the block of each series, (series,): those that correlate, also by way of others.

    Args:
        errors: (days, entries).
        series: number of series.
    """
    by_series = errors.reshape(-1, series)
    centred = by_series - by_series.mean(axis=0)
    size = np.linalg.norm(centred, axis=0)
    unit = np.divide(centred, size, out=np.zeros_like(centred), where=size > NOTHING)
    linked = sparse.csr_array(np.abs(unit.T @ unit) >= LINKED)
    return np.asarray(connected_components(linked, directed=False)[1], dtype=np.int64)


def _components(deviations: Array, block: Integers, explained: float) -> tuple[Array, Array]:
    """Return (entries, components) and (days, entries) what they leave of the deviations."""
    left, found = np.array(deviations), []
    of_entry = np.tile(block, deviations.shape[1] // len(block))
    for number in range(block.max() + 1):
        at = of_entry == number
        days, size, directions = np.linalg.svd(deviations[:, at], full_matrices=False)
        if size[0] <= NOTHING:
            continue
        share = np.cumsum(size**2) / np.sum(size**2)
        count = int(np.searchsorted(share, explained - NOTHING)) + 1
        along = np.zeros((deviations.shape[1], count))
        along[at] = directions[:count].T * size[:count] / np.sqrt(len(deviations))
        found.append(along)
        left[:, at] -= (days[:, :count] * size[:count]) @ directions[:count]
    together = np.hstack([np.zeros((deviations.shape[1], 0)), *found])
    return _no_rounding(together), _no_rounding(left)


def _assembled(components: Array, rho: Array, series: int, at_once: int) -> UncertaintySet:
    """Return the set whose kappa is 1."""
    entries = len(rho)
    of_series = np.tile(np.arange(series), entries // series)
    most = np.full(series, max(1.0, np.floor(ENTRIES_AT_ONCE * entries / series)))
    rest = budgeted(rho, rho, of_series, most)
    both_ways = sparse.csr_array(np.hstack([components, -components]))
    return UncertaintySet(
        sparse.hstack([both_ways, rest.moves], format="csr"),
        np.concatenate([np.zeros(both_ways.shape[1], dtype=np.int64), 1 + rest.group]),
        np.concatenate([[float(at_once)], rest.budget]),
    )


def _no_rounding(values: Array) -> Array:
    """Return values with 0 for what is no more than rounding."""
    return np.where(np.abs(values) > NOTHING, values, 0.0)


def _check(errors: Array, half_width: Array, series: int, budget: int | None) -> None:
    """Refuse shapes that do not go together, and numbers that are none."""
    if errors.ndim != 2 or len(errors) < 2 or not np.isfinite(errors).all():
        raise InputError(
            f"errors: shape {errors.shape}; it must be (days, entries) with 2 days or more, and "
            "every error a finite number"
        )
    entries = errors.shape[1]
    if series < 1 or entries % series:
        raise InputError(f"series: {series}; it must divide the number of entries, {entries}")
    good = half_width.shape == (entries,) and np.isfinite(half_width).all()
    if not good or (half_width < 0.0).any():
        raise InputError(
            f"half_width: shape {half_width.shape}; it must be ({entries},), finite and at least 0"
        )
    if budget is not None and budget < 1:
        raise InputError(f"budget: {budget}; it must be at least 1")
