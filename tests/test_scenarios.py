"""Scenarios: the law of the grid, what thinning them out leaves, and the truth among them."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from baselines import scenarios as module
from baselines.scenarios import (
    coverage,
    draw,
    episode_ranks,
    even_weight,
    in_and_out,
    kantorovich,
    moments,
    ranks,
    reduce,
)
from mmg_env import InputError, load_system, sample_episode
from mmg_env.layout import X
from mmg_env.series import Forecast, Scenarios
from mmg_env.sources.grid import outages
from mmg_env.system import System

START, MEAN_H = 0.03, 4.0
FAILING = load_system(
    "resilience",
    {"source.outage_start_per_h": START, "source.outage_mean_h": MEAN_H},
)
STEP = 10  # 14 hours of the day are left
BACK = (1.0 - START) / MEAN_H  # an outage ends, and no other follows at once


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def forecast_with(system: System, grid_up: float, derating: float = 1.0) -> Forecast:
    """Return a forecast issued at STEP with a grid that is known to be as said."""
    forecast = sample_episode(system, "test", 0).forecast(STEP)
    values = np.array(forecast.values)
    shared = 4 * forecast.member_count
    values[:14, shared + X.derating] = derating
    values[14:, shared + X.derating] = 1.0
    values[0, shared + X.grid_up] = grid_up
    return replace(forecast, values=values)


def grid_columns(system: System) -> list[int]:
    return [4 * len(system.members) + x for x in (X.grid_up, X.derating)]


def futures(values: object, probability: object = None) -> Scenarios:
    """Return scenarios (scenarios, leads, columns) of no system."""
    array = np.array(values, dtype=np.float64)
    equal = np.full(len(array), 1.0 / len(array))
    return Scenarios(array, equal if probability is None else np.array(probability), 0)


def random_futures(seed: int, count: int) -> Scenarios:
    """Return futures of which the fourth column never differs, unequally likely."""
    draws = rng(seed)
    values = draws.normal(size=(count, 3, 4)) * [1.0, 10.0, 0.1, 0.0]
    return futures(values, draws.dirichlet(np.ones(count)))


def random_known(seed: int) -> Scenarios:
    """Return unequally likely futures that do not differ."""
    return futures(np.full((7, 2, 1), 0.1), rng(seed).dirichlet(np.ones(7)))


# Drawing


@pytest.mark.parametrize("name", ["community_real", "s1_3mg", "tiny"])
def test_where_the_grid_never_fails_draws_are_those_of_the_forecast(name: str) -> None:
    system = load_system(name)
    forecast = sample_episode(system, "test", 0).forecast(3)
    first, second = rng(), rng()
    drawn, plain = draw(system, forecast, 7, first), forecast.scenarios(7, second)
    assert np.array_equal(drawn.values, plain.values)
    assert np.array_equal(drawn.probability, plain.probability)
    assert first.random() == second.random()


def test_only_the_grid_differs_from_the_draws_of_the_forecast() -> None:
    forecast = forecast_with(FAILING, 1.0)
    drawn, plain = draw(FAILING, forecast, 30, rng()), forecast.scenarios(30, rng())
    differs = (drawn.values != plain.values).any(axis=(0, 1))
    assert np.flatnonzero(differs).tolist() == sorted(grid_columns(FAILING))
    assert not drawn.shared(X.spin_call).any()
    assert (drawn.probability == 1.0 / 30).all()
    assert np.array_equal(drawn.grid_up[:, 0], np.ones(30))


def test_draws_depend_on_the_generator_alone() -> None:
    forecast = forecast_with(FAILING, 1.0)
    one, same, other = (draw(FAILING, forecast, 20, rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.values, same.values)
    for column in grid_columns(FAILING):
        assert not np.array_equal(one.values[..., column], other.values[..., column])


@pytest.mark.parametrize("dt_h", [1.0, 0.5])
@pytest.mark.parametrize("up", [True, False])
def test_outages_have_the_law_of_the_chain(dt_h: float, up: bool) -> None:
    system = load_system("resilience", {"source.outage_start_per_h": START, "dt_h": dt_h})
    start = START * dt_h
    back = (1.0 - start) * dt_h / MEAN_H
    step = np.array([[1.0 - start, start], [back, 1.0 - back]])
    forecast = forecast_with(system, float(up))
    draws = rng()
    down = np.concatenate([draw(system, forecast, 8, draws).grid_up == 0.0 for _ in range(500)])
    now = np.array([float(up), 1.0 - up])
    law = np.array([now @ np.linalg.matrix_power(step, h) for h in range(down.shape[1])])[:, 1]
    both = law[:-1] * (1.0 - back)
    for happened, share in ((down, law), (down[:, 1:] & down[:, :-1], both)):
        # Of 4000 independent scenarios a share of p has a standard error of sqrt(p (1 - p) / 4000),
        # and these scatter less. 4.5 of them, because all leads are compared.
        slack = 4.5 * np.sqrt(share * (1.0 - share) / len(down)) + 1e-12
        assert (np.abs(happened.mean(axis=0) - share) <= slack).all()


def test_outages_of_scenarios_are_like_those_of_episodes() -> None:
    """Of both 4000, given that the grid was up in the first hour; hours down, and outages begun."""
    truth = np.array([outages(FAILING, "train", index, 48) for index in range(4200)])
    truth = truth[~truth[:, 0]][:4000]
    forecast, draws = forecast_with(FAILING, 1.0), rng()
    drawn = np.concatenate([draw(FAILING, forecast, 20, draws).grid_up == 0.0 for _ in range(200)])
    assert truth.shape == drawn.shape
    for count in (lambda down: down.sum(axis=1), lambda down: (down[:, 1:] > down[:, :-1]).sum(1)):
        true, found = count(truth), count(drawn)
        slack = 4.0 * np.sqrt(2.0 * true.var() / len(true))
        assert found.mean() == pytest.approx(true.mean(), abs=slack)
        assert found.std() == pytest.approx(true.std(), rel=0.1)


def test_few_scenarios_fail_as_often_as_is_expected() -> None:
    """By every hour, to less than one scenario; independent draws have a variance of their own."""
    count, forecast, draws = 10, forecast_with(FAILING, 1.0), rng()
    leads = np.arange(48)
    expected = 1.0 - (1.0 - START) ** leads
    failed = np.array(
        [
            np.logical_or.accumulate(draw(FAILING, forecast, count, draws).grid_up == 0.0, axis=1)
            for _ in range(400)
        ]
    )
    number = failed.sum(axis=1)
    assert (np.abs(number - count * expected) < 1.0).all()
    binomial = count * expected * (1.0 - expected)
    assert (number.var(axis=0)[4:] < 0.35 * binomial[4:]).all()
    # On average there is no bias: a number between two neighbours has an sd of at most .5.
    assert number.mean(axis=0) == pytest.approx(count * expected, abs=4.5 * 0.5 / np.sqrt(400))
    # And no scenario is hit more often than another: sd of a share of 400 draws, .025 at most.
    assert failed.mean(axis=0)[:, 20] == pytest.approx(np.full(count, expected[20]), abs=0.11)


def test_a_grid_that_is_down_stays_down_as_long_as_the_law_says() -> None:
    count = 200
    drawn = draw(FAILING, forecast_with(FAILING, 0.0), count, rng())
    still = np.logical_and.accumulate(drawn.grid_up == 0.0, axis=1)
    law = (1.0 - BACK) ** np.arange(48)
    assert still[:, 0].all()
    assert (np.abs(still.sum(axis=0) - count * law) < 1.0).all()


def test_what_is_known_of_the_grid_is_that_of_the_forecast() -> None:
    episode = next(
        found
        for index in range(64)
        if ((found := sample_episode(FAILING, "test", index)).grid_up == 0.0).any()
    )
    t = int(np.argmin(episode.grid_up))
    for step, up in ((t, 0.0), (t - 1, episode.grid_up[t - 1])):
        forecast = episode.forecast(step)
        assert (draw(FAILING, forecast, 9, rng()).grid_up[:, 0] == up).all()
    assert up > 0.0


def test_days_that_nobody_announced_are_derated_as_often_as_they_are() -> None:
    source = {"derated_day_share": 0.25, "derated_to": 0.6, "outage_start_per_h": 0.02}
    system = load_system("resilience", {f"source.{key}": value for key, value in source.items()})
    count, draws, forecast = 20, rng(), forecast_with(system, 0.6, 0.6)
    both = 0.0
    for _ in range(100):
        drawn = draw(system, forecast, count, draws)
        share = drawn.shared(X.derating)
        assert (share[:, :14] == 0.6).all()
        for day in (slice(14, 38), slice(38, 48)):
            assert (share[:, day] == share[:, day][:, :1]).all()
            assert (share[:, day][:, 0] == 0.6).sum() == 5
        both += ((share[:, 14] == 0.6) & (share[:, 38] == 0.6)).mean() / 100
        up = drawn.grid_up > 0.0
        assert np.array_equal(drawn.grid_up[up], share[up])
        assert not up.all()
    # Days are independent of each other: 1/16 of 2000 pairs, whose standard error is .005.
    assert both == pytest.approx(0.0625, abs=0.02)


def test_a_day_of_no_grid_at_all_is_no_outage() -> None:
    source = {"derated_day_share": 0.0, "outage_start_per_h": 1e-9, "outage_mean_h": 1e3}
    system = load_system("resilience", {f"source.{key}": value for key, value in source.items()})
    drawn = draw(system, forecast_with(system, 0.0, 0.0), 20, rng())
    assert (drawn.grid_up[:, :14] == 0.0).all()
    assert (drawn.grid_up[:, 14:] == 1.0).all()


def test_neither_set_changes_with_the_size_of_the_other() -> None:
    forecast = forecast_with(FAILING, 1.0)
    few, some = in_and_out(FAILING, forecast, 5, 8, rng())
    same, more = in_and_out(FAILING, forecast, 5, 40, rng())
    others, alike = in_and_out(FAILING, forecast, 9, 8, rng())
    assert np.array_equal(few.values, same.values)
    assert np.array_equal(some.values, alike.values)
    assert [len(s.values) for s in (few, some, more, others)] == [5, 8, 40, 9]


def test_the_two_sets_share_no_draw() -> None:
    system = load_system("s1_3mg")
    forecast = sample_episode(system, "test", 0).forecast(0)
    inside, outside = in_and_out(system, forecast, 400, 400, rng())
    # Community load at noon: 400 pairs, whose correlation has a standard error of .05.
    pairs = np.array([s.load_kw[:, 12].sum(axis=1) for s in (inside, outside)])
    assert abs(np.corrcoef(pairs)[0, 1]) < 0.2
    assert not np.isin(inside.load_kw[:, 12], outside.load_kw[:, 12]).any()


# Thinning out


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


def test_few_that_are_drawn_fail_as_often_as_they_should_and_few_that_are_kept_do_not() -> None:
    """What the module warns of: thinned out, futures lose outages, by default weights at least."""
    system = load_system("resilience")
    forecast = forecast_with(system, 1.0)
    expected = 1.0 - (1.0 - 0.006) ** 47

    def failing(scenarios: Scenarios) -> float:
        return float(scenarios.probability @ (scenarios.grid_up == 0.0).any(axis=1))

    drawn = [failing(draw(system, forecast, 10, rng(seed))) for seed in range(20)]
    assert np.abs(np.array(drawn) - expected).max() < 0.1
    many = draw(system, forecast, 500, rng())
    assert failing(many) == pytest.approx(expected, abs=1.0 / 500)
    assert failing(reduce(many, 10)) < expected - 0.1


# Against the truth


def test_even_weights_by_hand() -> None:
    scenarios = futures([[[1.0], [3.0]], [[5.0], [3.0]]], [0.75, 0.25])
    # Deviations of 1 and 3 from the mean 2 at lead 0, none at lead 1: a mean of 1.5 / 2.
    assert even_weight(scenarios) == pytest.approx([1.0 / 0.75])


def test_moments_by_hand() -> None:
    found = moments(futures([[[1.0, 4.0]], [[5.0, 4.0]]], [0.75, 0.25]))
    assert found.mean.tolist() == [[2.0, 4.0]]
    assert found.sd == pytest.approx(np.array([[np.sqrt(3.0), 0.0]]))


def test_drawn_futures_have_the_moments_of_the_forecast() -> None:
    system = load_system("community_real")
    forecast = sample_episode(system, "test", 0).forecast(5)
    count = 2000
    scenarios = draw(system, forecast, count, rng())
    members = len(system.members)
    loads = slice(2 * members, 3 * members)
    # Where no scenario is cut: the flexible rating is a lower bound, which binds in some nights.
    free = (scenarios.load_kw > forecast.model.low[loads]).all(axis=0)
    assert free.mean() > 0.5
    path = forecast.model.path[loads]
    phi, bank = forecast.model.phi[path], forecast.model.innovations[:, path]
    powers = phi ** np.arange(len(forecast.values))[:, None]
    drift = forecast.scale[:, loads] * bank.mean(axis=0) * np.cumsum(powers, axis=0)
    sd = forecast.scale[:, loads] * bank.std(axis=0) * np.sqrt(np.cumsum(powers**2, axis=0))
    found = moments(scenarios)
    off = found.mean[:, loads] - forecast.load_kw
    assert (np.abs(off - drift)[free] < 4.5 * sd[free] / np.sqrt(count)).all()
    # The innovations of `train` have a mean near 0, so the forecast is near the mean.
    assert (np.abs(off)[free] < 0.25 * sd[free]).all()
    # The kurtosis of Student's t with 5 is 9: a standard error of 3 % at lead 0, later less.
    assert found.sd[:, loads][free] == pytest.approx(sd[free], rel=0.13)


def test_ranks_by_hand() -> None:
    scenarios = futures([[[1.0]], [[2.0]], [[2.0]], [[5.0]]], [0.1, 0.2, 0.3, 0.4])
    truths = {0.0: 0.0, 1.0: 0.05, 1.5: 0.1, 2.0: 0.35, 4.0: 0.6, 5.0: 0.8, 6.0: 1.0}
    for truth, rank in truths.items():
        assert ranks(scenarios, np.array([[truth]])) == pytest.approx(np.array([[rank]]))


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 3))
def test_ranks_turn_with_the_sign_and_see_no_order(seed: int, n: int, steps: int) -> None:
    draws = rng(seed)
    values, truth = draws.integers(0, 4, (n, 3, 2)), draws.integers(0, 4, (steps, 2))
    probability = draws.dirichlet(np.ones(n))
    found = ranks(futures(values, probability), truth)
    assert found.shape == truth.shape
    assert ranks(futures(-values, probability), -truth) == pytest.approx(1.0 - found)
    order = draws.permutation(n)
    assert ranks(futures(values[order], probability[order]), truth) == pytest.approx(found)


def test_a_truth_of_the_same_law_takes_all_ranks_equally_often() -> None:
    n, columns = 9, 4000
    drawn = rng().normal(size=(n + 1, 1, columns))
    found = np.rint(n * ranks(futures(drawn[:n]), drawn[n])).astype(int)
    often = np.bincount(found.ravel(), minlength=n + 1)
    # Chi-square with 9 degrees of freedom: 27.9 is exceeded once in a thousand.
    assert ((often - columns / 10) ** 2 / (columns / 10)).sum() < 27.9


def test_coverage_by_hand() -> None:
    ranked = {"load": np.array([[0.04, 0.1, 0.5], [0.9, np.nan, 0.97]])}
    found = [coverage(ranked, level)["load"] for level in (0.5, 0.8, 0.93)]
    assert found == pytest.approx([0.2, 0.6, 0.8])


def standard_error(rank: np.ndarray, level: float) -> float:
    """Return that of the share over episodes, within which ranks depend on each other."""
    shares = [coverage({"": one}, level)[""] for one in rank if not np.isnan(one).all()]
    return float(np.std(shares, ddof=1) / np.sqrt(len(shares)))


@pytest.mark.parametrize(
    ("name", "step", "episodes", "kinds"),
    [
        ("s1_3mg", 6, 60, ["wind", "pv", "load", "heat", "price"]),
        ("community_real", 60, 40, ["wind", "pv", "load", "heat", "price", "premium"]),
    ],
)
def test_the_truth_lies_where_scenarios_say(
    name: str, step: int, episodes: int, kinds: list[str]
) -> None:
    """Within 4 standard errors, .04 to .09; where wind and PV are cut, up to .08 more often.

    The middle of an atom at 0 or at capacity lies within the interval more often than not.
    """
    level = 0.8
    found = episode_ranks(load_system(name), "test", episodes, step, 99, rng())
    share = coverage(found, level)
    assert list(share) == kinds
    for kind, value in share.items():
        slack = 4.0 * standard_error(found[kind], level)
        assert slack < 0.1
        assert -slack < value - level < slack + (0.08 if kind in ("wind", "pv") else 0.0), kind


def test_scenarios_that_are_too_sure_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(*arguments: object) -> Scenarios:
        drawn = draw(*arguments)  # type: ignore[arg-type]
        mean = moments(drawn).mean
        return replace(drawn, values=mean + 0.5 * (drawn.values - mean))

    system = load_system("s1_3mg")
    assert coverage(episode_ranks(system, "test", 20, 6, 99, rng()), 0.8)["load"] > 0.7
    monkeypatch.setattr(module, "draw", narrow)
    assert coverage(episode_ranks(system, "test", 20, 6, 99, rng()), 0.8)["load"] < 0.65


def test_what_is_known_has_no_rank() -> None:
    system = load_system("s1_3mg")
    found = episode_ranks(system, "test", 2, 15, 9, rng())
    assert {kind: rank.shape[:2] for kind, rank in found.items()} == dict.fromkeys(found, (2, 9))
    scale = np.array([sample_episode(system, "test", k).scale[15:24] for k in range(2)])
    members = len(system.members)
    dark = scale[..., members : 2 * members] == 0.0
    assert 0 < dark.sum() < dark.size
    assert np.array_equal(np.isnan(found["pv"]), dark)
    assert set(episode_ranks(load_system("tiny"), "test", 1, 0, 9, rng())) == {"load", "price"}


# Refusals


def test_what_does_not_fit_is_refused() -> None:
    system = load_system("tiny")
    forecast = sample_episode(system, "test", 0).forecast(0)
    scenarios = draw(system, forecast, 4, rng())
    columns = scenarios.values.shape[2]
    refused = {
        "n is 0; it must be at least 1": lambda: draw(system, forecast, 0, rng()),
        "forecast: it has .* columns": lambda: draw(load_system("s1_3mg"), forecast, 1, rng()),
        "count is 0; it must be": lambda: reduce(scenarios, 0),
        f"weight: .* {columns} finite": lambda: reduce(scenarios, 2, np.ones(columns + 1)),
        "weight: it is .*-1": lambda: reduce(scenarios, 2, np.full(columns, -1.0)),
        "weight: it is .*nan": lambda: kantorovich(scenarios, scenarios, np.full(columns, np.nan)),
        "kept: leads and columns": lambda: kantorovich(scenarios, futures([[[1.0]]])),
        "truth: shape .49": lambda: ranks(scenarios, np.zeros((49, columns))),
        "truth: shape .0": lambda: ranks(scenarios, np.zeros((0, columns))),
        "episodes: 0; it must": lambda: episode_ranks(system, "test", 0, 0, 9, rng()),
        "step: 24 is not in 0..23": lambda: episode_ranks(system, "test", 1, 24, 9, rng()),
        "level: 1.0 is not above": lambda: coverage({}, 1.0),
    }
    for words, call in refused.items():
        with pytest.raises(InputError, match=words):
            call()
