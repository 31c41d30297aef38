"""Thinned out futures: what is kept, and how far probability was moved."""

from itertools import combinations

import numpy as np
import pytest
from futures import futures, random_futures, random_known, rng
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from baselines.reduction import even_weight, kantorovich, moments, reduce
from mmg_env import InputError
from mmg_env.series import Scenarios


def position(scenarios: Scenarios, kept: Scenarios) -> list[int]:
    """Return which of the scenarios were kept."""
    equal = (kept.values[:, None] == scenarios.values[None]).all(axis=(2, 3))
    assert (equal.sum(axis=1) == 1).all()
    return np.argmax(equal, axis=1).tolist()


def left_by(scenarios: Scenarios, kept: tuple[int, ...]) -> float:
    """Return the distance left by a set, from the definition."""
    values, probability = scenarios.values, scenarios.probability
    away = np.abs(values - np.average(values, axis=0, weights=probability))
    scale = np.average(away, axis=0, weights=probability).mean(axis=0)
    distance = [
        min((np.abs(one - values[k])[:, :3] / scale[:3]).sum() for k in kept) for one in values
    ]
    return float(probability @ np.array(distance))


def best(scenarios: Scenarios, count: int) -> tuple[float, tuple[int, ...]]:
    """Return the least distance that any set leaves, and the set."""
    sets = combinations(range(len(scenarios.values)), count)
    return min((left_by(scenarios, chosen), chosen) for chosen in sets)


@given(st.integers(0, 2**32), st.integers(2, 9), st.integers(1, 8))
def test_kept_scenarios_are_originals_in_their_order(seed: int, n: int, count: int) -> None:
    scenarios = random_futures(seed, n)
    kept = reduce(scenarios, count)
    chosen = position(scenarios, kept)
    assert chosen == sorted(chosen)
    assert len(chosen) == min(n, count)
    assert kept.probability.sum() == pytest.approx(1.0)
    assert (kept.probability >= scenarios.probability[chosen] - 1e-12).all()
    assert kantorovich(scenarios, kept) == pytest.approx(left_by(scenarios, tuple(chosen)))


@given(st.integers(0, 2**32), st.integers(2, 7))
def test_the_best_single_future_is_found(seed: int, n: int) -> None:
    scenarios = random_futures(seed, n)
    least, chosen = best(scenarios, 1)
    kept = reduce(scenarios, 1)
    assert position(scenarios, kept) == list(chosen)
    assert kept.probability == pytest.approx([1.0])
    assert kantorovich(scenarios, kept) == pytest.approx(least)


def test_several_futures_leave_little_more_than_the_best_set() -> None:
    """Forward selection is a heuristic: on these, mostly the best set, at worst half again."""
    ratio = []
    for seed in range(60):
        scenarios = random_futures(seed, 7)
        found = kantorovich(scenarios, reduce(scenarios, 3))
        ratio.append(found / best(scenarios, 3)[0])
    assert min(ratio) >= 1.0 - 1e-12
    assert 1.0 + 1e-6 < max(ratio) < 1.5
    assert np.mean(ratio) < 1.1


@given(st.integers(0, 2**32), st.integers(2, 10))
def test_more_scenarios_leave_less(seed: int, n: int) -> None:
    scenarios = random_futures(seed, n)
    left = [kantorovich(scenarios, reduce(scenarios, count)) for count in range(1, n + 1)]
    assert (np.diff(left) < 0.0).all()
    assert left[-1] == 0.0
    assert reduce(scenarios, n) is scenarios


@given(st.integers(0, 2**32), st.integers(2, 6))
def test_what_is_left_is_the_cost_of_the_cheapest_transport(seed: int, n: int) -> None:
    """The Kantorovich distance as the linear programme that defines it."""
    scenarios = random_futures(seed, n)
    count = n - 1
    weight = np.array([1.0, 0.2, 3.0, 5.0])
    kept = reduce(scenarios, count, weight)
    apart = np.abs(scenarios.values[:, None] - kept.values[None])
    cost = (apart * weight).sum(axis=(2, 3))
    leaves = np.kron(np.eye(n), np.ones(count))
    arrives = np.kron(np.ones(n), np.eye(count))
    moved = linprog(
        cost.ravel(),
        A_eq=np.vstack([leaves, arrives]),
        b_eq=np.concatenate([scenarios.probability, kept.probability]),
    )
    assert kantorovich(scenarios, kept, weight) == pytest.approx(moved.fun)


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(2, 4))
def test_dropping_doubles_loses_nothing(seed: int, n: int, times: int) -> None:
    one = random_futures(seed, n)
    order = rng(seed).permutation(n * times)
    doubled = futures(
        np.tile(one.values, (times, 1, 1))[order], np.tile(one.probability / times, times)[order]
    )
    kept = reduce(doubled, n)
    assert kantorovich(doubled, kept) == 0.0
    chosen = position(one, kept)
    assert sorted(chosen) == list(range(n))
    assert kept.probability == pytest.approx(one.probability[chosen])
    # Doubles that are kept nevertheless keep their own probability.
    assert (reduce(doubled, n * times - 1).probability > 0.0).all()


def test_units_do_not_matter_and_columns_that_agree_count_nothing() -> None:
    scenarios = random_futures(0, 9)
    kept = reduce(scenarios, 3)
    others = futures(
        scenarios.values * [1e3, 1.0, 1e-3, 1.0] + [0, 0, 0, 0.1], scenarios.probability
    )
    in_other_units = reduce(others, 3)
    assert position(others, in_other_units) == position(scenarios, kept)
    assert kantorovich(others, in_other_units) == pytest.approx(kantorovich(scenarios, kept))
    # A mean of equal numbers may differ from them by rounding; that is no deviation.
    assert [even_weight(random_known(seed)).tolist() for seed in range(20)] == [[0.0]] * 20
    known = random_known(0)
    assert kantorovich(known, reduce(known, 1)) == 0.0


def test_only_columns_with_weight_count() -> None:
    scenarios = futures([[[0.0, 5.0]], [[1.0, 0.0]], [[2.0, 9.0]]])
    kept = reduce(scenarios, 1, np.array([1.0, 0.0]))
    assert kept.values.tolist() == [[[1.0, 0.0]]]
    assert kantorovich(scenarios, kept, np.array([3.0, 0.0])) == pytest.approx(2.0)
    assert reduce(scenarios, 1, np.array([0.0, 1.0])).values.tolist() == [[[0.0, 5.0]]]


def test_even_weights_by_hand() -> None:
    scenarios = futures([[[1.0], [3.0]], [[5.0], [3.0]]], [0.75, 0.25])
    # Deviations of 1 and 3 from the mean 2 at lead 0, none at lead 1: a mean of 1.5 / 2.
    assert even_weight(scenarios) == pytest.approx([1.0 / 0.75])


def test_moments_by_hand() -> None:
    found = moments(futures([[[1.0, 4.0]], [[5.0, 4.0]]], [0.75, 0.25]))
    assert found.mean.tolist() == [[2.0, 4.0]]
    assert found.sd == pytest.approx(np.array([[np.sqrt(3.0), 0.0]]))


def test_what_does_not_fit_is_refused() -> None:
    scenarios = random_futures(0, 4)
    refused = {
        "count is 0; it must be": lambda: reduce(scenarios, 0),
        "weight: .* 4 finite": lambda: reduce(scenarios, 2, np.ones(5)),
        "weight: it is .*-1": lambda: reduce(scenarios, 2, np.full(4, -1.0)),
        "weight: it is .*nan": lambda: kantorovich(scenarios, scenarios, np.full(4, np.nan)),
        "kept: leads and columns": lambda: kantorovich(scenarios, futures([[[1.0]]])),
    }
    for words, call in refused.items():
        with pytest.raises(InputError, match=words):
            call()
