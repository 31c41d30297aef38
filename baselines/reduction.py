"""Many futures thinned out to a few.

Fast forward selection keeps, again and again, the future that leaves the least ::

    D(J) = sum_i p_i min_{j in J} d(i, j),   d(i, j) = sum_{lead, x} w_x |value_i - value_j|

and gives the probability of each dropped future to the nearest one kept. D is then the Kantorovich
distance between all futures and those kept. One future kept is the best one; of several, another
set may leave less. What is kept lies in the middle, so rare events lose probability: ten futures
kept of 500 may hold no outage though a quarter of all do. Where outages matter, draw few instead.

Source: Heitsch & Roemisch 2003 (forward selection); Dupacova, Groewe-Kuska & Roemisch 2003 (D). The
weights w_x are our choice.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from mmg_env.errors import InputError
from mmg_env.series import Scenarios

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

ROUNDING: Final = 1e-12  # of sums over scenarios, relative


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
