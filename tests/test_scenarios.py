"""Futures drawn: the law of the grid, moments, and what thinning them out would lose."""

from dataclasses import replace

import numpy as np
import pytest

from baselines.reduction import moments, reduce
from baselines.scenarios import balanced, draw, in_and_out
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


def free_loads(forecast: Forecast, scenarios: Scenarios) -> np.ndarray:
    """Return which loads no scenario has cut at the flexible rating, (leads, members)."""
    members = forecast.member_count
    low = forecast.model.low[2 * members : 3 * members]
    return np.asarray((scenarios.load_kw > low).all(axis=0))


@pytest.mark.parametrize("count", [2, 8])
def test_balanced_futures_err_no_more_than_the_forecast_in_the_mean(count: int) -> None:
    system = load_system("community_real")
    forecast = sample_episode(system, "test", 0).forecast(5)
    lucky = draw(system, forecast, count, rng())
    found = balanced(system, forecast, count, rng())
    free = free_loads(forecast, found) & free_loads(forecast, lucky)
    assert free.mean() > 0.5
    off = np.abs(found.load_kw.mean(axis=0) - forecast.load_kw)[free]
    assert off.max() < 1e-9
    assert np.abs(lucky.load_kw.mean(axis=0) - forecast.load_kw)[free].mean() > 1.0


def test_balanced_futures_have_the_spread_of_the_law() -> None:
    system = load_system("community_real")
    forecast = sample_episode(system, "test", 0).forecast(5)
    first = np.array([balanced(system, forecast, 2, rng(k)).load_kw[0] for k in range(400)])
    many = draw(system, forecast, 2000, rng())
    free = free_loads(forecast, many)
    variance = ((first - forecast.load_kw) ** 2).mean(axis=0)[free]
    wanted = many.load_kw.var(axis=0)[free]
    assert variance.mean() == pytest.approx(wanted.mean(), rel=0.1)


def test_one_balanced_future_is_the_forecast() -> None:
    system = load_system("s1_3mg")
    forecast = sample_episode(system, "test", 0).forecast(5)
    found = balanced(system, forecast, 1, rng()).values[0]
    assert found == pytest.approx(forecast.values, abs=1e-12)


def test_balance_does_not_touch_the_grid() -> None:
    forecast = forecast_with(FAILING, 1.0)
    for seed in range(10):
        drawn = [f(FAILING, forecast, 8, rng(seed)).grid_up for f in (draw, balanced)]
        assert np.array_equal(*drawn)


# Refusals


def test_what_does_not_fit_is_refused() -> None:
    system = load_system("tiny")
    forecast = sample_episode(system, "test", 0).forecast(0)
    for drawn in (draw, balanced):
        with pytest.raises(InputError, match="n is 0; it must be at least 1"):
            drawn(system, forecast, 0, rng())
        with pytest.raises(InputError, match=r"forecast: it has .* columns"):
            drawn(load_system("s1_3mg"), forecast, 1, rng())
