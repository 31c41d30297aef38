"""Statistics of a benchmark: pure functions of arrays of costs, one entry per episode.

All policies meet the same episodes, so everything is paired: a bootstrap draws episodes, and
takes each policy's cost on the drawn ones. With z the policy whose score is 0 and o the oracle::

    score  = sum (z - c) / sum (z - o)          a ratio of sums: long episodes weigh more
    regret = sum (c - o) / |sum o|
    CVaR   = mean of the worst 1 - alpha of the episodes

Source: Efron & Tibshirani 1993 (percentile bootstrap); Rockafellar & Uryasev 2000 (CVaR of a
discrete distribution, where the boundary episode counts in part); Kendall 1938 (tau).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 10_000
LEVEL = 0.95


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval; NaN where there is none."""

    value: float
    low: float
    high: float


def mean_difference(costs: Array, others: Array, rng: np.random.Generator) -> Interval:
    """Return the mean of costs - others with a paired bootstrap interval, from two episodes on.

    Args:
        costs: (episodes,) one policy's costs.
        others: (episodes,) another's, on the same episodes.
        rng: draws the resamples.
    """
    _paired(costs, others)
    difference = costs - others
    if len(costs) < 2:
        return Interval(float(difference.sum()) if len(costs) else np.nan, np.nan, np.nan)
    drawn = rng.integers(len(costs), size=(RESAMPLES, len(costs)))
    return percentile_interval(float(difference.mean()), difference[drawn].mean(axis=1))


def score(costs: Array, zero: Array, oracle: Array) -> float:
    """Return the share of the possible saving that a policy realises; NaN if none is possible."""
    _paired(costs, zero, oracle)
    return _ratio(float((zero - costs).sum()), float((zero - oracle).sum()))


def score_interval(costs: Array, zero: Array, oracle: Array, rng: np.random.Generator) -> Interval:
    """Return the score with a paired bootstrap interval, from two episodes on.

    Args:
        costs: (episodes,) the policy's costs.
        zero: (episodes,) costs of the policy whose score is 0.
        oracle: (episodes,) the lower bounds.
        rng: draws the resamples.
    """
    _paired(costs, zero, oracle)
    return ratio_interval(zero - costs, zero - oracle, rng)


def ratio_interval(part: Array, whole: Array, rng: np.random.Generator) -> Interval:
    """Return sum part / sum whole with a paired bootstrap interval, from two episodes on.

    Without interval where some resample's sum of `whole` is not positive: the ratio is unbounded.

    Args:
        part: (episodes,) numerators.
        whole: (episodes,) denominators; if their sum is not positive, nothing is known.
        rng: draws the resamples.
    """
    _paired(part, whole)
    value = _ratio(float(part.sum()), float(whole.sum()))
    if np.isnan(value) or len(part) < 2:
        return Interval(value, np.nan, np.nan)
    drawn = rng.integers(len(part), size=(RESAMPLES, len(part)))
    parts, wholes = part[drawn].sum(axis=1), whole[drawn].sum(axis=1)
    if not (wholes > 0.0).all():
        return Interval(value, np.nan, np.nan)
    return percentile_interval(value, parts / wholes)


def regret(costs: Array, oracle: Array) -> float:
    """Return the cost above the oracle's, as a share of the oracle's absolute cost."""
    _paired(costs, oracle)
    return _ratio(float((costs - oracle).sum()), abs(float(oracle.sum())))


def regret_interval(
    costs: Array, oracle: Array, constant: Array, rng: np.random.Generator
) -> Interval:
    """Return the regret beside what a policy can influence, with a paired bootstrap interval.

    ::

        sum (c - o) / |sum (o - k)|

    Args:
        costs: (episodes,) the policy's costs.
        oracle: (episodes,) the lower bounds.
        constant: (episodes,) k, the part of the cost that is the same for every policy.
        rng: draws the resamples.
    """
    _paired(costs, oracle, constant)
    sign = -1.0 if (oracle - constant).sum() < 0.0 else 1.0
    return ratio_interval(costs - oracle, sign * (oracle - constant), rng)


def rank_stability(costs: Mapping[str, Array]) -> float:
    """Return how alike two disjoint halves of the episodes rank the policies.

    It is Kendall's tau of the policies' mean costs on every other episode and on those between: 1
    is the same order, -1 the reverse; NaN with fewer than two policies or episodes.

    Args:
        costs: (episodes,) costs by policy, paired.
    """
    from scipy.stats import kendalltau  # here, because it is slow to import

    table = np.array(list(costs.values()))
    if len(table) < 2 or table.shape[1] < 2:
        return float("nan")
    halves = table[:, 0::2].mean(axis=1), table[:, 1::2].mean(axis=1)
    return float(kendalltau(*halves).statistic)


def episodes_needed(found: Interval, episodes: int, half_width: float) -> float:
    """Return about how many episodes would narrow an interval to +- half_width.

    An interval of means shrinks with the square root of their number.

    Args:
        found: the interval on so many episodes.
        episodes: their number.
        half_width: what is wanted.
    """
    present = 0.5 * (found.high - found.low)
    return float(np.ceil(episodes * (present / half_width) ** 2))


def cvar(costs: Array, alpha: float = 0.95) -> float:
    """Return the mean of the worst 1 - alpha of the costs; NaN without any.

    The tail is exact: where (1 - alpha) * episodes is not a whole number, the boundary episode
    counts in part; below one episode it is the maximum.

    Raises:
        ValueError: alpha is not in [0, 1).
    """
    if not 0.0 <= alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must be in [0, 1)")
    if len(costs) == 0:
        return float("nan")
    return float(_tail_means(np.asarray(costs, dtype=np.float64), alpha))


def cvar_difference(
    costs: Array, others: Array, rng: np.random.Generator, alpha: float = 0.95
) -> Interval:
    """Return cvar(costs) - cvar(others) with a paired bootstrap interval, from two episodes on.

    The worst episodes of the two need not be the same. Where few episodes make up the tail, the
    interval is too narrow: no resample holds an episode worse than those seen.

    Args:
        costs: (episodes,) one policy's costs.
        others: (episodes,) another's, on the same episodes.
        rng: draws the resamples.
        alpha: level, at least 0 and below 1.

    Raises:
        ValueError: alpha is not in [0, 1).
    """
    _paired(costs, others)
    value = cvar(costs, alpha) - cvar(others, alpha)
    if len(costs) < 2:
        return Interval(value, np.nan, np.nan)
    drawn = rng.integers(len(costs), size=(RESAMPLES, len(costs)))
    resampled = _tail_means(costs[drawn], alpha) - _tail_means(others[drawn], alpha)
    return percentile_interval(value, resampled)


def _tail_means(costs: Array, alpha: float) -> Array:
    """Return the mean of the worst 1 - alpha, of one episode at least: (..., episodes) -> (...)."""
    worst = np.sort(costs, axis=-1)[..., ::-1]
    count = worst.shape[-1]
    tail = max(1.0, (1.0 - alpha) * count)
    return np.asarray(worst @ np.clip(tail - np.arange(count), 0.0, 1.0) / tail)


def percentile_interval(value: float, drawn: Array) -> Interval:
    """Return an estimate with percentile bounds.

    Args:
        value: the estimate.
        drawn: (resamples,) what it is on each resample.
    """
    tail = 50.0 * (1.0 - LEVEL)
    low, high = np.percentile(drawn, [tail, 100.0 - tail])
    return Interval(value, float(low), float(high))


def _paired(*costs: Array) -> None:
    """Refuse arrays that do not belong together."""
    shapes = {np.shape(array) for array in costs}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f"costs must be paired, (episodes,) each; their shapes are {shapes}")


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0.0 else float("nan")
