"""Statistics of learned agents: pure functions of arrays, a row per training seed.

Another training seed gives another policy, and all seeds meet the same episodes. So a table (seeds,
episodes) is crossed, and the two-level bootstrap draws both margins with replacement: seeds, and
episodes that are common to all drawn seeds and to both algorithms that are compared. In a table of
entries m + seed + episode + rest, the mean over S seeds and E episodes has::

    variance = var(seed) / S + var(episode) / E + var(rest) / (S E)

The bootstrap counts (S - 1) / S of the first term, so its intervals are too narrow where few seeds
explain most: at five they cover about 87 % instead of 95 %. It counts the rest three times, so they
are too wide where that explains most. One seed says nothing about others: that is right for a
deterministic policy only.

`paired_p_value` measures every resampled difference in its own standard errors, which mends the
first: with five normal seeds it rejects 3 to 5 % at a level of 5 %, with three up to 9 %. Where it
and an interval disagree, believe it. Flipping the signs of episodes instead holds the seeds fixed:
it rejects half of all true hypotheses where five seeds differ as much as episodes do.

Source: Agarwal et al. 2021 (interquartile mean, probability of improvement, profiles of runs; they
draw runs and keep tasks); Owen 2007 (drawing both margins, and its variance); Hall & Wilson 1991
(bootstrap tests: centred, studentised); Davison & Hinkley 1997 (the data count as one resample);
Mann & Whitney 1947; Holm 1979. The figures on coverage are our own, from simulations.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.statistics import RESAMPLES, Array, Interval, percentile_interval

Statistic = Callable[[Array], Array]

_CELLS: Final = 2**21  # numbers that are resampled at once: tens of megabytes


class Profile(NamedTuple):
    """Shares of runs above thresholds, (thresholds,) each; bounds are NaN where there are none."""

    shares: Array
    low: Array
    high: Array


def means(tables: Array) -> Array:
    """Return the mean of every table: (tables, seeds, episodes) -> (tables,)."""
    return np.asarray(tables.mean(axis=(1, 2)))


def interquartile_means(tables: Array) -> Array:
    """Return the interquartile mean of every table: (tables, seeds, episodes) -> (tables,).

    A quarter of all runs is left out at each end, rounded down to whole runs.
    """
    runs = tables.reshape(len(tables), -1)
    cut = runs.shape[1] // 4
    kept = slice(cut, runs.shape[1] - cut)
    return np.asarray(np.partition(runs, (kept.start, kept.stop - 1), axis=1)[:, kept].mean(axis=1))


def interquartile_mean(values: Array) -> float:
    """Return the mean of the middle half of all values, of whatever shape; NaN without any."""
    values = np.asarray(values, dtype=np.float64)
    return float(interquartile_means(values.reshape(1, 1, -1))[0]) if values.size else float("nan")


def two_level_interval(
    values: Array, rng: np.random.Generator, statistic: Statistic = means
) -> Interval:
    """Return a statistic with a two-level bootstrap interval, from two episodes on.

    Args:
        values: (seeds, episodes) costs or scores; a deterministic policy has one seed.
        rng: draws the resamples.
        statistic: of all runs of a table, such as `interquartile_means`.
    """
    values = _table(values)
    value = float(statistic(values[np.newaxis])[0])
    if values.shape[1] < 2:
        return Interval(value, np.nan, np.nan)
    drawn = [
        statistic(values[seeds[:, :, np.newaxis], episodes[:, np.newaxis, :]])
        for seeds, episodes in _draws(rng, values.size, *values.shape)
    ]
    return percentile_interval(value, np.concatenate(drawn))


def two_level_difference(first: Array, second: Array, rng: np.random.Generator) -> Interval:
    """Return mean first - mean second with a two-level bootstrap interval, from two episodes on.

    A resample's episodes are common to both, its seeds are drawn for each.

    Args:
        first: (seeds, episodes) one algorithm's costs or scores.
        second: (other seeds, episodes) another's, on the same episodes.
        rng: draws the resamples.
    """
    (value,), _, drawn, _ = _differences(first, second, rng)
    if not len(drawn):
        return Interval(float(value), np.nan, np.nan)
    return percentile_interval(float(value), drawn)


def two_level_ratio(part: Array, whole: Array, rng: np.random.Generator) -> Interval:
    """Return mean part / mean whole with a two-level bootstrap interval, from two episodes on.

    A resample's episodes are common to both; with one seed it is `statistics.ratio_interval`.
    Without interval where some resample's mean of `whole` is not positive.

    Args:
        part: (seeds, episodes) numerators, such as what every run saves.
        whole: (episodes,) what they are a share of; if its mean is not positive, nothing is known.
        rng: draws the resamples.
    """
    part, whole = _paired(part, np.asarray(whole)[np.newaxis])
    value = float(part.mean() / whole.mean()) if whole.mean() > 0.0 else float("nan")
    if np.isnan(value) or part.shape[1] < 2:
        return Interval(value, np.nan, np.nan)
    drawn = []
    for draws in _draws(rng, part.size, *part.shape[::-1]):
        common, ours = map(_counts, draws)
        parts = _mean(common @ part.T, ours)[0]
        wholes = (common @ whole.T)[:, 0]
        if not (wholes > 0.0).all():
            return Interval(value, np.nan, np.nan)
        drawn.append(parts / wholes)
    return percentile_interval(value, np.concatenate(drawn))


def paired_p_value(first: Array, second: Array, rng: np.random.Generator) -> float:
    """Return the two-sided p-value of mean first = mean second; NaN below two episodes.

    With d the difference, e its standard error and a star for a resample's::

        p = (1 + #{|d* - d| / e* >= |d| / e}) / (1 + resamples)

    The arguments are those of `two_level_difference`.
    """
    (value,), (error,), drawn, errors = _differences(first, second, rng)
    if not len(drawn):
        return float("nan")
    if error == 0.0:  # the same difference in every run
        return 1.0 if value == 0.0 else 1.0 / (1.0 + RESAMPLES)
    beyond = np.abs(drawn - value) * error >= np.abs(value) * errors
    return float((1.0 + beyond.sum()) / (1.0 + RESAMPLES))


def probability_of_improvement(first: Array, second: Array) -> float:
    """Return how probably a run of `first` has the larger value on an episode.

    It is the Mann-Whitney U of the seeds over the number of pairs, ties counted half, as a mean
    over episodes. For costs, where less is better, exchange the two.

    Args:
        first: (seeds, episodes) one algorithm's scores.
        second: (other seeds, episodes) another's, on the same episodes.
    """
    return float(_wins(*_paired(first, second)).mean())


def improvement_interval(first: Array, second: Array, rng: np.random.Generator) -> Interval:
    """Return the probability of improvement with its interval, as `two_level_difference` does."""
    first, second = _paired(first, second)
    wins = _wins(first, second)
    value, episodes = float(wins.mean()), wins.shape[-1]
    if episodes < 2:
        return Interval(value, np.nan, np.nan)
    pairs = wins.reshape(-1, episodes)
    drawn = []
    for draws in _draws(rng, pairs.size, episodes, len(first), len(second)):
        common, ours, theirs = map(_counts, draws)
        both = (ours[:, :, np.newaxis] * theirs[:, np.newaxis, :]).reshape(-1, len(pairs))
        drawn.append((both * (common @ pairs.T)).sum(axis=1) / pairs.size)
    return percentile_interval(value, np.concatenate(drawn))


def performance_profile(
    scores: Array, thresholds: Sequence[float] | Array, rng: np.random.Generator
) -> Profile:
    """Return the share of runs above every threshold, with pointwise two-level bootstrap bounds.

    A run is a seed on an episode. Bounds hold for each threshold, not for all of them at once.

    Args:
        scores: (seeds, episodes) scores.
        thresholds: (thresholds,) which a score must exceed.
        rng: draws the resamples.
    """
    scores, limits = _table(scores), np.asarray(thresholds, dtype=np.float64)
    if limits.ndim != 1 or not len(limits) or not np.isfinite(limits).all():
        raise ValueError(f"thresholds must be a row of finite numbers; they are {thresholds}")
    seeds, episodes = scores.shape
    above = (scores[:, :, np.newaxis] > limits).astype(np.float64)
    shares = above.mean(axis=(0, 1))
    if episodes < 2:
        return Profile(shares, *np.full((2, len(limits)), np.nan))
    columns = above.transpose(1, 0, 2).reshape(episodes, -1)
    drawn = []
    for draws in _draws(rng, max(scores.size, columns.shape[1]), seeds, episodes):
        ours, common = map(_counts, draws)
        found = (common @ columns).reshape(-1, seeds, len(limits))
        drawn.append(np.einsum("ns,nsk->nk", ours, found) / scores.size)
    band = np.array(list(map(percentile_interval, shares, np.concatenate(drawn).T)))
    return Profile(shares, band[:, 1], band[:, 2])


def holm(p_values: Sequence[float] | Array) -> Array:
    """Return Holm's adjusted p-values in the order given.

    Of m, the i-th smallest is multiplied by m - i + 1, is at least as large as those before it, and
    at most 1. To reject all below a level errs anywhere with at most that probability.

    Raises:
        ValueError: a p-value is not in [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0.0) & (values <= 1.0)).all():
        raise ValueError(f"p-values are {p_values}; they must be one row of numbers in [0, 1]")
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1.0)
    return adjusted


def _differences(
    first: Array, second: Array, rng: np.random.Generator
) -> tuple[Array, Array, Array, Array]:
    """Return difference and standard error: of the data (1,), of resamples (0 or RESAMPLES,)."""
    first, second = _paired(first, second)
    sizes = first.shape[1], len(first), len(second)
    value, error = _difference(first, second, *(np.ones((1, size)) for size in sizes))
    if sizes[0] < 2:
        return value, error, np.empty(0), np.empty(0)
    draws = _draws(rng, max(first.size, second.size), *sizes)
    drawn = [_difference(first, second, *map(_counts, drawn)) for drawn in draws]
    differences, errors = map(np.concatenate, zip(*drawn, strict=True))
    return value, error, differences, errors


def _difference(
    first: Array, second: Array, episodes: Array, seeds: Array, others: Array
) -> tuple[Array, Array]:
    """Return mean differences and their standard errors, where rows occur so many times.

    The squared error is the sum of three: of the mean over each one's seeds (0 for a single seed),
    and of the mean over episodes. Each holds the rest of its table, so it errs to the safe side.

    Args:
        first: (seeds, episodes).
        second: (other seeds, episodes).
        episodes: (resamples, episodes) how often each was drawn.
        seeds: (resamples, seeds) likewise.
        others: (resamples, other seeds) likewise.
    """
    mean, square = _mean(episodes @ first.T / first.shape[1], seeds)
    other_mean, other_square = _mean(episodes @ second.T / second.shape[1], others)
    by_episode = seeds @ first / len(first) - others @ second / len(second)
    square = square + other_square + _mean(by_episode, episodes)[1]
    return mean - other_mean, np.sqrt(square)


def _mean(values: Array, counts: Array) -> tuple[Array, Array]:
    """Return mean and squared standard error along rows: (resamples, n) twice -> (resamples,)."""
    n = values.shape[1]
    mean = (counts * values).sum(axis=1) / n
    squares = (counts * (values - mean[:, np.newaxis]) ** 2).sum(axis=1)
    return mean, squares / (n * max(n - 1, 1))


def _wins(first: Array, second: Array) -> Array:
    """Return 1, 1/2 or 0 where the first is larger, equal or less: (seeds, seeds, episodes)."""
    return 0.5 + 0.5 * np.sign(first[:, np.newaxis] - second)


def _draws(
    rng: np.random.Generator, cells: int, *sizes: int
) -> Iterator[tuple[NDArray[np.int64], ...]]:
    """Yield indices (resamples, size) per size, few enough resamples at once to bound memory."""
    at_once = max(1, _CELLS // cells)
    for done in range(0, RESAMPLES, at_once):
        resamples = min(at_once, RESAMPLES - done)
        yield tuple(rng.integers(size, size=(resamples, size)) for size in sizes)


def _counts(drawn: NDArray[np.int64]) -> Array:
    """Return how often each index was drawn: (resamples, size) -> (resamples, size)."""
    cells = drawn + drawn.shape[1] * np.arange(len(drawn))[:, np.newaxis]
    return np.bincount(cells.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def _table(values: Array) -> Array:
    """Return a table of finite numbers, or refuse it."""
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"values must be (seeds, episodes), one at least; shape is {table.shape}")
    if not np.isfinite(table).all():
        seed, episode = np.argwhere(~np.isfinite(table))[0]
        raise ValueError(f"seed {seed}, episode {episode} is {table[seed, episode]}, not a number")
    return table


def _paired(first: Array, second: Array) -> tuple[Array, Array]:
    """Return two tables on the same episodes, or refuse them."""
    first, second = _table(first), _table(second)
    if first.shape[1] != second.shape[1]:
        shapes = f"{first.shape} and {second.shape}"
        raise ValueError(f"values must be on the same episodes; their shapes are {shapes}")
    return first, second
