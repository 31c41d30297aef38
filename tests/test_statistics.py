"""Scores, intervals and tails on numbers that can be checked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.statistics import (
    Interval,
    cvar,
    cvar_difference,
    episodes_needed,
    mean_difference,
    rank_stability,
    ratio_interval,
    regret,
    regret_interval,
    score,
    score_interval,
)

COSTS = arrays(np.float64, st.integers(1, 12), elements=st.floats(-1e4, 1e4))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_score_is_a_ratio_of_sums() -> None:
    zero, oracle = np.array([10.0, 100.0]), np.array([0.0, 0.0])
    # The mean of the ratios would be (1 + 0) / 2.
    assert score(np.array([0.0, 100.0]), zero, oracle) == pytest.approx(10.0 / 110.0)


def test_score_of_the_references() -> None:
    zero, oracle = np.array([3.0, 5.0, 9.0]), np.array([1.0, 4.0, 2.0])
    assert score(zero, zero, oracle) == 0.0
    assert score(oracle, zero, oracle) == 1.0


def test_score_without_possible_saving_is_unknown() -> None:
    same = np.array([3.0, 5.0])
    assert np.isnan(score(same, same, same))
    assert np.isnan(score_interval(same, same, same, rng()).low)


def test_score_interval_encloses_the_score_and_repeats() -> None:
    draw = rng(1)
    zero = draw.normal(100.0, 20.0, 30)
    oracle = zero - draw.uniform(10.0, 20.0, 30)
    costs = zero - draw.uniform(2.0, 12.0, 30)
    found = score_interval(costs, zero, oracle, rng())
    assert found.low < found.value < found.high
    assert found.value == score(costs, zero, oracle)
    assert found == score_interval(costs, zero, oracle, rng())


def test_difference_is_paired() -> None:
    # Costs spread over 1000, their difference over 1: only a paired interval is narrow.
    others = np.linspace(0.0, 1000.0, 20)
    found = mean_difference(others + np.tile([4.5, 5.5], 10), others, rng())
    assert found.value == pytest.approx(5.0)
    assert 4.5 < found.low < 5.0 < found.high < 5.5


def test_interval_covers_about_as_often_as_it_says() -> None:
    draw = rng(2)
    samples = draw.normal(1.0, 3.0, (200, 40))
    zero = np.zeros(40)
    found = [mean_difference(sample, zero, draw) for sample in samples]
    covered = np.mean([interval.low <= 1.0 <= interval.high for interval in found])
    assert 0.88 <= covered <= 0.99


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        (0.0, 5.5),
        (0.5, 8.0),
        (0.8, 9.5),
        (0.85, (10.0 + 0.5 * 9.0) / 1.5),
        (0.9, 10.0),
        (0.99, 10.0),
    ],
)
def test_cvar_of_one_to_ten(alpha: float, expected: float) -> None:
    assert cvar(rng().permutation(np.arange(1.0, 11.0)), alpha) == pytest.approx(expected)


@given(COSTS, st.floats(0.0, 0.99))
def test_cvar_lies_between_mean_and_maximum(costs: np.ndarray, alpha: float) -> None:
    slack = 1e-6
    assert costs.mean() - slack <= cvar(costs, alpha) <= costs.max() + slack


def test_difference_of_tails_by_hand() -> None:
    costs, others = np.arange(1.0, 11.0), np.arange(10.0, 0.0, -1.0) - 0.5
    found = cvar_difference(costs, others, rng(), alpha=0.8)
    assert found.value == pytest.approx(9.5 - 9.0)
    assert found.low < found.value < found.high
    assert found == cvar_difference(costs, others, rng(), alpha=0.8)


def test_difference_of_tails_is_paired() -> None:
    # Tails spread over hundreds, but one policy costs 3 more in every episode.
    others = rng(4).normal(0.0, 500.0, 40)
    found = cvar_difference(others + 3.0, others, rng())
    assert found == pytest.approx((3.0, 3.0, 3.0))


def test_difference_of_tails_tells_policies_of_equal_means_apart() -> None:
    drawn = rng(5).normal(0.0, 10.0, 400)
    found = cvar_difference(3.0 * drawn - 2.0 * drawn.mean(), drawn, rng(), alpha=0.9)
    assert found.low > 20.0
    assert found.value == pytest.approx(2.0 * (cvar(drawn, 0.9) - drawn.mean()))


def test_difference_of_tails_of_one_episode_has_no_interval() -> None:
    found = cvar_difference(np.array([3.0]), np.array([1.0]), rng())
    assert found.value == 2.0
    assert np.isnan([found.low, found.high]).all()


@given(COSTS, st.floats(0.0, 0.99))
def test_tails_of_many_resamples_are_those_of_each(costs: np.ndarray, alpha: float) -> None:
    table = np.array([costs, costs[::-1], 2.0 * costs])
    wanted = [cvar(row, alpha) for row in table]
    found = [cvar_difference(row, 0.0 * row, rng(), alpha).value for row in table]
    assert found == pytest.approx(wanted, abs=1e-6)


def test_cvar_refuses_a_share_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"alpha is 1\.0; it must be in \[0, 1\)"):
        cvar(np.ones(3), 1.0)


def test_regret_is_relative_to_the_bound_even_where_that_is_a_gain() -> None:
    assert regret(np.array([110.0]), np.array([100.0])) == pytest.approx(0.1)
    assert regret(np.array([-90.0]), np.array([-100.0])) == pytest.approx(0.1)


def test_nothing_known_gives_nothing() -> None:
    none = np.empty(0)
    assert np.isnan(cvar(none))
    assert np.isnan(score(none, none, none))
    assert np.isnan(mean_difference(none, none, rng()).value)


def test_one_episode_has_no_interval() -> None:
    one, two = np.array([3.0]), np.array([5.0])
    assert mean_difference(two, one, rng()).value == 2.0
    assert np.isnan(mean_difference(two, one, rng()).low)
    assert np.isnan(score_interval(one, two, one, rng()).high)


def test_unpaired_costs_are_refused() -> None:
    with pytest.raises(ValueError, match="must be paired"):
        score(np.ones(3), np.ones(2), np.ones(3))


def test_a_ratio_without_a_positive_whole_is_unknown() -> None:
    part = np.array([1.0, 2.0, 3.0])
    assert np.isnan(ratio_interval(part, np.array([1.0, 2.0, -4.0]), rng()).value)
    # The sum is positive, but not in every resample: there is a value and no interval.
    found = ratio_interval(part, np.array([1.0, -2.0, 4.0]), rng())
    assert found.value == 2.0
    assert np.isnan(found.low)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_regret_leaves_out_what_nobody_can_change(sign: float) -> None:
    oracle = np.array([60.0, 40.0]) if sign > 0.0 else np.array([10.0, -10.0])
    constant = np.array([20.0, 30.0])  # 50 can be influenced: of 100, or earned
    found = regret_interval(oracle + 2.5, oracle, constant, rng())
    assert found.value == pytest.approx(0.1)
    assert regret_interval(oracle + 2.5, oracle, np.zeros(2), rng()).value != found.value


def test_regret_without_a_constant_is_the_plain_one() -> None:
    costs, oracle = np.array([12.0, 9.0, 14.0]), np.array([10.0, 8.0, 11.0])
    found = regret_interval(costs, oracle, np.zeros(3), rng())
    assert found.value == pytest.approx(regret(costs, oracle))
    assert found.low < found.value < found.high


def test_rank_stability_is_kendalls_tau_of_the_halves() -> None:
    # Even episodes rank a, b, c; odd ones b, a, c: of three pairs, one is turned round.
    costs = {
        "a": np.array([1.0, 5.0, 2.0, 5.0]),
        "b": np.array([3.0, 4.0, 3.0, 4.0]),
        "c": np.array([9.0, 9.0, 9.0, 9.0]),
    }
    assert rank_stability(costs) == pytest.approx(1.0 / 3.0)
    assert rank_stability({"a": costs["a"], "c": costs["c"]}) == pytest.approx(1.0)


def test_rank_stability_is_unknown_with_one_policy_or_episode() -> None:
    assert np.isnan(rank_stability({}))
    assert np.isnan(rank_stability({"a": np.ones(4)}))
    assert np.isnan(rank_stability({"a": np.ones(1), "b": np.zeros(1)}))


def test_episodes_needed_grow_with_the_square_of_the_precision() -> None:
    found = Interval(0.5, 0.4375, 0.5625)
    assert episodes_needed(found, 25, 0.03125) == 100.0
    assert episodes_needed(found, 25, 0.0625) == 25.0
    assert episodes_needed(found, 25, 0.0626) == 25.0  # a part of an episode is an episode
    assert np.isnan(episodes_needed(Interval(0.5, np.nan, np.nan), 25, 0.01))


def test_episodes_needed_are_about_enough() -> None:
    draw = rng(3)
    zero = draw.normal(100.0, 20.0, 4000)
    oracle = zero - draw.uniform(30.0, 50.0, 4000)
    costs = zero - draw.uniform(5.0, 25.0, 4000)
    found = score_interval(costs[:40], zero[:40], oracle[:40], rng())
    n = int(episodes_needed(found, 40, 0.02))
    wider = score_interval(costs[:n], zero[:n], oracle[:n], rng())
    assert 0.5 * (wider.high - wider.low) == pytest.approx(0.02, rel=0.35)
