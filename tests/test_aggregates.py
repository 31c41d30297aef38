"""Statistics over training seeds: laws, cases by hand, and what rliable makes of the scores."""

import json
import tracemalloc
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from experiments import aggregates
from experiments.aggregates import (
    holm,
    improvement_interval,
    interquartile_mean,
    interquartile_means,
    means,
    paired_p_value,
    performance_profile,
    probability_of_improvement,
    two_level_difference,
    two_level_interval,
    two_level_ratio,
)
from experiments.statistics import RESAMPLES, Interval, mean_difference, ratio_interval

NUMBERS = st.floats(-1e4, 1e4)
P_VALUES = st.lists(st.floats(0.0, 1.0), max_size=8)
REFERENCE = json.loads(
    (Path(__file__).parent / "reference" / "rliable_outputs.json").read_text(encoding="utf-8")
)
SCORES = {name: np.array(table) for name, table in REFERENCE["scores"].items()}
COLUMNS = sorted(REFERENCE["mean_interval"])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def width(found: Interval) -> float:
    return found.high - found.low


def same_on_all(column: np.ndarray, episodes: int = 4) -> np.ndarray:
    """Return a table where only seeds differ: drawing episodes changes nothing."""
    return np.repeat(column, episodes, axis=1)


def learned(
    draw: np.random.Generator, seeds: int, episodes: int, by_seed: float, by_episode: float
) -> np.ndarray:
    """Return a table of effects of seeds, of episodes and of both, whose expectation is 0."""
    effects = by_seed * draw.normal(size=(seeds, 1)) + by_episode * draw.normal(size=(1, episodes))
    return effects + draw.normal(size=(seeds, episodes))


# What rliable says


@pytest.mark.parametrize("name", SCORES)
def test_point_estimates_are_those_of_rliable(name: str) -> None:
    scores, thresholds = SCORES[name], REFERENCE["thresholds"]
    exact = {"rel": 0.0, "abs": 1e-12}
    assert interquartile_mean(scores) == pytest.approx(REFERENCE["iqm"][name], **exact)
    assert means(scores[np.newaxis])[0] == pytest.approx(REFERENCE["mean"][name], **exact)
    shares = performance_profile(scores, thresholds, rng()).shares
    assert shares == pytest.approx(REFERENCE["profile"][name], **exact)


@pytest.mark.parametrize(("first", "second", "expected"), REFERENCE["improvement"])
def test_probability_of_improvement_is_that_of_rliable(
    first: str, second: str, expected: float
) -> None:
    found = probability_of_improvement(SCORES[first], SCORES[second])
    assert found == pytest.approx(expected, rel=0.0, abs=1e-12)


@pytest.mark.parametrize("name", COLUMNS)
def test_where_only_seeds_differ_intervals_are_those_of_rliable(name: str) -> None:
    scores = same_on_all(SCORES[name])
    for key, statistic in (("mean_interval", means), ("iqm_interval", interquartile_means)):
        found = two_level_interval(scores, rng(), statistic)
        # A bound of a mean has a standard error of .7 % of the width.
        assert found[1:] == pytest.approx(REFERENCE[key][name], abs=0.03 * width(found))


@pytest.mark.parametrize("name", COLUMNS)
def test_where_only_episodes_differ_the_interval_is_the_same(name: str) -> None:
    found = two_level_interval(SCORES[name].T, rng())
    expected = REFERENCE["mean_interval"][name]
    assert found[1:] == pytest.approx(expected, abs=0.03 * width(found))


def test_bounds_of_improvement_and_profile_are_those_of_rliable() -> None:
    first, second = (same_on_all(SCORES[name]) for name in COLUMNS)
    assert list(REFERENCE["mean_interval"]) == COLUMNS
    found = improvement_interval(first, second, rng())
    # Half a step of the ratio, which has 8 * 12 pairs.
    assert found[1:] == pytest.approx(REFERENCE["improvement_interval"], abs=0.5 / 96)
    for name in COLUMNS:
        profile = performance_profile(same_on_all(SCORES[name]), [REFERENCE["profiled"]], rng())
        bounds = [profile.low[0], profile.high[0]]
        assert bounds == pytest.approx(REFERENCE["profile_interval"][name], abs=1e-12)


# Interquartile mean


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], 7.0),
        ([1.0, 2.0, 6.0], 3.0),  # a quarter of three is no whole run: nothing is left out
        ([100.0, 3.0, 5.0, -100.0], 4.0),
        ([[9.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 99.0]], 4.5),  # 3, 4, 5, 6 are kept
    ],
)
def test_interquartile_mean_by_hand(values: list[float], expected: float) -> None:
    assert interquartile_mean(np.array(values)) == expected


def test_interquartile_mean_of_nothing_is_unknown() -> None:
    assert np.isnan(interquartile_mean(np.empty((0, 3))))


@given(arrays(np.float64, array_shapes(max_dims=2, max_side=9), elements=NUMBERS), st.randoms())
def test_interquartile_mean_sees_neither_order_nor_shape(values: np.ndarray, shuffle) -> None:
    order = list(range(values.size))
    shuffle.shuffle(order)
    found = interquartile_mean(values)
    assert interquartile_mean(values.ravel()[order]) == pytest.approx(found, abs=1e-9)
    assert values.min() - 1e-9 <= found <= values.max() + 1e-9


@given(arrays(np.float64, st.integers(4, 30), elements=NUMBERS))
def test_interquartile_mean_ignores_an_outlier(values: np.ndarray) -> None:
    worse = values.copy()
    worse[values.argmax()] = 1e12
    assert interquartile_mean(worse) == pytest.approx(interquartile_mean(values), abs=1e-6)


# Intervals


def test_one_seed_gives_the_interval_over_episodes() -> None:
    draw = rng(1)
    costs, others = draw.normal(5.0, 2.0, 60), draw.normal(4.0, 2.0, 60)
    expected = mean_difference(costs, others, rng(2))
    found = two_level_difference(costs[np.newaxis], others[np.newaxis], rng(3))
    assert found == pytest.approx(expected, abs=0.04 * width(expected))
    alone = two_level_interval((costs - others)[np.newaxis], rng(4))
    assert alone == pytest.approx(expected, abs=0.04 * width(expected))


def test_an_interval_depends_on_the_generator_alone() -> None:
    values = rng(1).normal(size=(3, 20))
    assert two_level_interval(values, rng()) == two_level_interval(values, rng())
    assert two_level_interval(values, rng()) != two_level_interval(values, rng(1))


def test_pieces_of_any_size_draw_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    values = rng(1).normal(size=(3, 20))
    whole = two_level_difference(values, values[:1], rng())
    monkeypatch.setattr(aggregates, "_CELLS", 7 * values.size)
    seen = []

    def counted(tables: np.ndarray) -> np.ndarray:
        seen.append(len(tables))
        return means(tables)

    found = two_level_interval(values, rng(), counted)
    assert (max(seen), sum(seen)) == (7, RESAMPLES + 1)  # one of them is the data
    assert found.value == pytest.approx(values.mean())
    pieces = two_level_difference(values, values[:1], rng())
    assert pieces == pytest.approx(whole, abs=0.05 * width(whole))


def test_the_spread_of_seeds_widens_an_interval() -> None:
    draw = rng(5)
    alike = learned(draw, 5, 40, by_seed=0.0, by_episode=1.0)
    unlike = alike + np.linspace(-2.0, 2.0, 5)[:, np.newaxis]
    assert width(two_level_interval(unlike, rng())) > 2.0 * width(two_level_interval(alike, rng()))
    # The mean of the seeds on every episode, taken for one policy, hides that.
    averaged = two_level_interval(unlike.mean(axis=0, keepdims=True), rng())
    assert width(two_level_interval(unlike, rng())) > 2.0 * width(averaged)


def test_common_episodes_make_a_difference_narrow() -> None:
    draw = rng(6)
    episodes = draw.normal(0.0, 100.0, 40)
    first = episodes + draw.normal(3.0, 1.0, (5, 40))
    second = episodes + draw.normal(0.0, 1.0, (4, 40))
    found = two_level_difference(first, second, rng())
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert 2.0 < found.low < found.high < 4.0
    assert 50.0 * width(found) < width(two_level_interval(first, rng()))


def test_a_difference_turns_with_its_sides() -> None:
    draw = rng(7)
    first, second = draw.normal(1.0, 1.0, (5, 30)), draw.normal(0.0, 1.0, (3, 30))
    found, turned = (
        two_level_difference(*sides, rng()) for sides in ((first, second), (second, first))
    )
    slack = 0.05 * width(found)
    assert turned.value == pytest.approx(-found.value)
    assert (-turned.high, -turned.low) == pytest.approx(found[1:], abs=slack)


@pytest.mark.parametrize("statistic", [means, interquartile_means])
@pytest.mark.parametrize(
    ("by_seed", "by_episode", "least", "most"),
    [
        (0.1, 1.0, 0.90, 0.99),
        (1.0, 1.0, 0.78, 0.93),  # too narrow with five seeds, as the module says
        (0.0, 0.0, 0.97, 1.0),  # too wide where neither explains anything
    ],
)
def test_intervals_cover_about_as_often_as_the_module_says(
    monkeypatch: pytest.MonkeyPatch, statistic, by_seed: float, by_episode: float, least, most
) -> None:
    monkeypatch.setattr(aggregates, "RESAMPLES", 500)
    draw = rng(8)
    found = [
        two_level_interval(learned(draw, 5, 40, by_seed, by_episode), draw, statistic)
        for _ in range(300)
    ]
    assert least <= np.mean([interval.low <= 0.0 <= interval.high for interval in found]) <= most


def test_many_seeds_mend_the_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregates, "RESAMPLES", 500)
    draw = rng(9)
    found = [two_level_interval(learned(draw, 30, 40, 1.0, 1.0), draw) for _ in range(300)]
    assert 0.90 <= np.mean([interval.low <= 0.0 <= interval.high for interval in found]) <= 0.98


def test_the_ratio_of_one_seed_is_that_of_the_benchmark() -> None:
    draw = rng(19)
    whole = draw.normal(4.0, 2.0, 40)
    part = 0.5 * whole + draw.normal(0.0, 0.2, 40)
    expected = ratio_interval(part, whole, rng(1))
    found = two_level_ratio(part[np.newaxis], whole, rng(2))
    assert found == pytest.approx(expected, abs=0.05 * width(expected))
    # Drawing the numerators alone takes what both share for doubt.
    assert 3.0 * width(found) < width(two_level_interval(part[np.newaxis] / whole.mean(), rng()))


def test_the_ratio_of_equals_is_one_without_doubt() -> None:
    whole = rng(20).normal(4.0, 1.0, 31)
    assert two_level_ratio(whole[np.newaxis], whole, rng()) == Interval(1.0, 1.0, 1.0)


def test_the_spread_of_seeds_widens_a_ratio() -> None:
    whole = rng(21).normal(4.0, 1.0, 40)
    shares = np.linspace(0.2, 0.8, 5)[:, np.newaxis]
    found = two_level_ratio(shares * whole, whole, rng())
    # Episodes cancel out, so it is the interval of the seeds' shares.
    expected = two_level_interval(np.repeat(shares, 40, axis=1), rng(1))
    assert found == pytest.approx(expected, abs=0.03 * width(expected))


def test_a_ratio_to_nothing_is_unknown() -> None:
    part = np.ones((2, 4))
    assert np.isnan(two_level_ratio(part, np.array([1.0, -1.0, 1.0, -1.0]), rng())).all()
    unbounded = two_level_ratio(part, np.array([4.0, -1.0, 1.0, -1.0]), rng())
    assert unbounded == pytest.approx((4.0 / 3.0, np.nan, np.nan), nan_ok=True)
    alone = two_level_ratio(part[:, :1], np.array([2.0]), rng())
    assert alone == pytest.approx((0.5, np.nan, np.nan), nan_ok=True)


# p-values


@pytest.mark.parametrize(("seeds", "others"), [(5, 1), (5, 5), (1, 1)])
def test_a_true_hypothesis_is_rejected_as_often_as_the_level_says(
    monkeypatch: pytest.MonkeyPatch, seeds: int, others: int
) -> None:
    monkeypatch.setattr(aggregates, "RESAMPLES", 500)
    draw = rng(10)
    found = []
    for _ in range(400):
        common = draw.normal(0.0, 3.0, 40)
        first, second = (
            learned(draw, n, 40, by_seed=float(n > 1), by_episode=1.0) for n in (seeds, others)
        )
        found.append(paired_p_value(common + first, common + second, draw))
    assert 0.015 <= np.mean(np.array(found) <= 0.05) <= 0.085
    assert 0.35 <= np.mean(np.array(found) <= 0.5) <= 0.65


def test_a_p_value_is_the_share_of_all_resamples() -> None:
    draw = rng(17)
    first, second = draw.normal(0.6, 1.0, (3, 3)), draw.normal(0.0, 0.5, (2, 3))

    def difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
        rows = a.mean(axis=1), b.mean(axis=1), a.mean(axis=0) - b.mean(axis=0)
        return a.mean() - b.mean(), sum(row.var(ddof=1) / len(row) for row in rows) ** 0.5

    value, error = difference(first, second)
    beyond = []
    for seeds, others, episodes in product(
        product(range(3), repeat=3), product(range(2), repeat=2), product(range(3), repeat=3)
    ):
        drawn, spread = difference(first[np.ix_(seeds, episodes)], second[np.ix_(others, episodes)])
        beyond.append(abs(drawn - value) * error >= abs(value) * spread)
    # A share of 10 000 resamples has a standard error of .005 at most.
    assert 0.1 < np.mean(beyond) < 0.9
    assert paired_p_value(first, second, rng()) == pytest.approx(np.mean(beyond), abs=0.015)


def test_a_false_hypothesis_is_rejected() -> None:
    draw = rng(11)
    common = draw.normal(0.0, 30.0, 60)
    first = common + draw.normal(1.0, 0.5, (5, 60))
    second = common + draw.normal(0.0, 0.5, (1, 60))
    assert paired_p_value(first, second, rng()) < 0.001
    # Not without the pairs: which episode is which is all that it knows about them.
    assert paired_p_value(first, draw.permutation(second, axis=1), rng()) > 0.1


def test_a_p_value_is_never_zero_and_one_for_equals() -> None:
    first = rng(12).normal(size=(3, 10))
    assert paired_p_value(first, first, rng()) == 1.0
    assert paired_p_value(np.ones((1, 4)), np.ones((1, 4)), rng()) == 1.0
    assert paired_p_value(np.full((1, 4), 3.0), np.ones((1, 4)), rng()) == 1.0 / (1 + RESAMPLES)


def test_a_p_value_has_no_side_and_no_unit() -> None:
    draw = rng(13)
    first, second = draw.normal(0.3, 1.0, (5, 30)), draw.normal(0.0, 1.0, (1, 30))
    found = paired_p_value(first, second, rng())
    assert 0.001 < found < 0.9
    assert paired_p_value(-first, -second, rng()) == found
    assert paired_p_value(1024.0 * first, 1024.0 * second, rng()) == found
    assert paired_p_value(second, first, rng()) == pytest.approx(found, abs=0.02)


def test_holm_by_hand() -> None:
    # 4 * .005, 3 * .01, 2 * .03, and .04, which may not be below the one before it.
    found = holm([0.01, 0.04, 0.03, 0.005])
    assert found == pytest.approx([0.03, 0.06, 0.06, 0.02], abs=1e-15)
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([0.2]).tolist() == [0.2]
    assert holm([]).tolist() == []


@given(P_VALUES)
def test_holm_lies_between_none_and_bonferroni(p_values: list[float]) -> None:
    found, plain = holm(p_values), np.array(p_values)
    assert (found >= plain).all()
    assert (found <= np.minimum(len(plain) * plain, 1.0)).all()
    order = np.argsort(plain, kind="stable")
    assert (np.diff(found[order]) >= 0.0).all()


@given(P_VALUES, st.floats(0.001, 0.5))
def test_holm_rejects_what_stepping_down_rejects(p_values: list[float], level: float) -> None:
    # Holm's own words: stop at the first p that exceeds level / (how many are left).
    rejected = set()
    for done, i in enumerate(np.argsort(p_values, kind="stable")):
        left = len(p_values) - done
        if left * p_values[i] > level:
            break
        rejected.add(int(i))
    assert set(np.flatnonzero(holm(p_values) <= level).tolist()) == rejected


@pytest.mark.parametrize("p_values", [[0.5, np.nan], [1.1], [-0.1], [[0.5]]])
def test_holm_refuses_what_is_no_probability(p_values) -> None:
    with pytest.raises(ValueError, match=r"must be one row of numbers in \[0, 1\]"):
        holm(p_values)


# Probability of improvement, profiles

TABLES = st.integers(1, 4).flatmap(
    lambda episodes: st.tuples(
        *(
            st.integers(1, 4).flatmap(
                lambda seeds: arrays(
                    np.float64, (seeds, episodes), elements=st.integers(-3, 3).map(float)
                )
            )
            for _ in range(2)
        )
    )
)


@given(TABLES)
def test_improvement_counts_pairs(tables: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = tables
    pairs = [
        (a > b) + 0.5 * (a == b)
        for episode in range(first.shape[1])
        for a in first[:, episode]
        for b in second[:, episode]
    ]
    found = probability_of_improvement(first, second)
    assert found == pytest.approx(np.mean(pairs), abs=1e-12)
    assert probability_of_improvement(second, first) == pytest.approx(1.0 - found, abs=1e-12)


def test_improvement_compares_within_an_episode() -> None:
    # The first is always a little better, on episodes that differ far more.
    second = np.arange(0.0, 100.0, 10.0)[np.newaxis]
    found = improvement_interval(second + np.array([[1.0], [2.0]]), second, rng())
    assert found == Interval(1.0, 1.0, 1.0)


def test_improvement_has_an_interval_around_it() -> None:
    draw = rng(14)
    first, second = draw.normal(0.8, 1.0, (5, 40)), draw.normal(0.0, 1.0, (4, 40))
    found = improvement_interval(first, second, rng())
    assert found.value == probability_of_improvement(first, second)
    assert 0.55 < found.low < found.value < found.high < 0.85


def test_improvement_of_one_seed_is_a_share_of_episodes() -> None:
    first, second = rng(18).normal(0.2, 1.0, (2, 1, 50))
    expected = two_level_interval((first > second).astype(float), rng(1))
    found = improvement_interval(first, second, rng())
    assert found == pytest.approx(expected, abs=0.011)  # half a step is .01


def test_a_profile_falls_from_all_to_none() -> None:
    scores = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, 3.0]])
    found = performance_profile(scores, [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0], rng())
    # A score equal to the threshold does not exceed it.
    assert found.shares * 6 == pytest.approx([6.0, 5.0, 5.0, 2.0, 1.0, 0.0])
    assert (found.low <= found.shares).all()
    assert (found.shares <= found.high).all()
    assert (found.low[[0, -1]], found.high[[0, -1]]) == (
        pytest.approx([1.0, 0.0]),
        pytest.approx([1.0, 0.0]),
    )


def test_a_profile_at_a_threshold_is_an_interval_of_shares() -> None:
    scores = learned(rng(15), 5, 40, by_seed=0.5, by_episode=1.0)
    found = performance_profile(scores, [-0.5, 0.5], rng())
    for i, threshold in enumerate((-0.5, 0.5)):
        expected = two_level_interval((scores > threshold).astype(float), rng(1))
        bounds = (found.shares[i], found.low[i], found.high[i])
        assert bounds == pytest.approx(expected, abs=0.01)


# What is refused, what is unknown, what it takes


def test_one_episode_has_neither_interval_nor_p_value() -> None:
    one, two = np.array([[3.0], [5.0]]), np.array([[1.0]])
    assert two_level_interval(one, rng()) == pytest.approx((4.0, np.nan, np.nan), nan_ok=True)
    difference = two_level_difference(one, two, rng())
    assert difference == pytest.approx((3.0, np.nan, np.nan), nan_ok=True)
    assert improvement_interval(one, two, rng()) == pytest.approx(
        (1.0, np.nan, np.nan), nan_ok=True
    )
    assert np.isnan(paired_p_value(one, two, rng()))
    profile = performance_profile(one, [4.0, 9.0], rng())
    assert profile.shares.tolist() == [0.5, 0.0]
    assert np.isnan([profile.low, profile.high]).all()


def test_tables_that_are_none_are_refused() -> None:
    good = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"must be \(seeds, episodes\).*shape is \(3,\)"):
        two_level_interval(np.ones(3), rng())
    with pytest.raises(ValueError, match=r"one at least; shape is \(0, 3\)"):
        paired_p_value(good, np.empty((0, 3)), rng())
    with pytest.raises(ValueError, match=r"same episodes; their shapes are \(2, 3\) and \(2, 4\)"):
        two_level_difference(good, np.ones((2, 4)), rng())
    bad = good.copy()
    bad[1, 2] = np.nan
    with pytest.raises(ValueError, match="seed 1, episode 2 is nan"):
        probability_of_improvement(good, bad)


@pytest.mark.parametrize("thresholds", [[], [[0.5]], [0.5, np.inf]])
def test_thresholds_that_are_none_are_refused(thresholds) -> None:
    with pytest.raises(ValueError, match="thresholds must be a row of finite numbers"):
        performance_profile(np.ones((2, 3)), thresholds, rng())


def test_a_full_study_fits_in_memory() -> None:
    scores = rng(16).normal(size=(5, 640))
    tracemalloc.start()
    try:
        two_level_interval(scores, rng(), interquartile_means)
        two_level_difference(scores, scores[:1], rng())
        performance_profile(scores, np.linspace(-1.0, 1.0, 51), rng())
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()
