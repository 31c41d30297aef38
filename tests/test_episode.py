"""Episodes and forecasts: what is random, what is fixed, what may be known when."""

import dataclasses

import laws
import numpy as np
import pytest
from hypothesis import given, settings
from strategies import error_model, make_case, make_episode, make_system, seeds

from mmg_env.episode import Belief, assemble_episode, lead_steps, physical_bounds
from mmg_env.errors import InputError
from mmg_env.layout import P, X
from mmg_env.series import ErrorModel
from mmg_env.splits import sample_episode
from mmg_env.system import load_system


@pytest.fixture(scope="module")
def s1():
    return load_system("s1_3mg")


# --- arrays ---------------------------------------------------------------------------------------


def test_arrays_of_an_episode_cannot_be_written(s1):
    episode = sample_episode(s1, "val", 0)
    forecast = episode.forecast(3)
    past = episode.until(5)
    model = episode.model
    for array in (
        episode.values,
        episode.center,
        episode.scale,
        episode.errors,
        episode.load_kw,
        forecast.values,
        forecast.scale,
        past.values,
        model.path,
        model.phi,
        model.innovations,
        model.low,
        model.high,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0


def test_the_past_carries_nothing_of_the_future(s1):
    past = sample_episode(s1, "val", 0).until(5)
    for array in (past.values, past.center, past.scale, past.errors):
        assert len(array) == 5
        assert array.base is None or len(array.base) == 5


# --- physical values ------------------------------------------------------------------------------


@settings(max_examples=30)
@given(seeds)
def test_every_value_and_forecast_is_physical(seed):
    system = make_system(seed)
    episode = make_episode(system, seed)
    members = len(system.members)
    flex = system.column(P.flex_kw)[:members]
    drawn = episode.forecast(2).scenarios(5, np.random.default_rng(0))
    for series in (episode, episode.forecast(0), episode.forecast(episode.steps - 1), drawn):
        for m, member in enumerate(system.config.members):
            wind = member.wind.capacity_kw if member.wind else 0.0
            assert (series.wind_kw[..., m] >= 0.0).all()
            assert (series.wind_kw[..., m] <= wind).all()
        assert (series.load_kw >= flex).all()
        assert (series.heat_kw >= 0.0).all()
        assert (series.price_buy >= np.maximum(0.0, series.price_sell)).all()
        if system.has_ces:
            check_no_money_pump(system, series)
        assert (series.price_long <= series.price_short).all()


def check_no_money_pump(system, series):
    eta, pool = system.config.ces.eta_converter, system.config.pool
    keep, fee = 1.0 - pool.loss, pool.fee_per_kwh
    buy, sell = series.shared(X.ces_buy), series.shared(X.ces_sell)
    assert (buy >= sell).all()
    assert (keep * (eta * sell - fee) <= series.price_buy + 1e-9).all()
    assert (eta * keep * (series.price_sell - fee) <= buy + 1e-9).all()


def plain(system, **replaced):
    """Return what assemble_episode takes, with some arrays replaced."""
    episode = make_episode(system, 0)
    given = {
        "truth": np.array(episode.values),
        "center": np.array(episode.center),
        "scale": np.array(episode.scale),
        "errors": np.array(episode.errors),
    }
    given |= replaced
    belief = Belief(given["center"], given["scale"], given["errors"])
    start = np.datetime64("2025-01-01T00")
    return system, ("x", "test", 0), start, episode.model, belief, given["truth"]


@pytest.mark.parametrize("name", ["truth", "center", "scale", "errors"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(name, value):
    system = make_system(7)
    episode = make_episode(system, 0)
    array = np.array(episode.values if name == "truth" else getattr(episode, name))
    array[3, 2] = value
    with pytest.raises(InputError, match=f"{name} is {value} in step 3, column 2"):
        assemble_episode(*plain(system, **{name: array}))


@pytest.mark.parametrize("name", ["truth", "center", "scale", "errors"])
def test_arrays_that_are_too_short_are_refused(name):
    system = make_system(7)
    episode = make_episode(system, 0)
    array = np.array(episode.values if name == "truth" else getattr(episode, name))
    with pytest.raises(InputError, match=f"{name} has shape .*; it must be"):
        assemble_episode(*plain(system, **{name: array[:-1]}))
    with pytest.raises(InputError, match=f"{name} has shape .*; it must be"):
        assemble_episode(*plain(system, **{name: array[:, 1:]}))


def test_what_is_handed_in_stays_writeable_and_unchanged():
    arguments = plain(make_system(7))
    belief, truth = arguments[4], arguments[5]
    truth += 0.125
    copies = [a.copy() for a in (truth, belief.center, belief.scale, belief.errors)]
    assemble_episode(*arguments)
    for array, copy in zip(
        (truth, belief.center, belief.scale, belief.errors), copies, strict=True
    ):
        assert array.flags.writeable
        assert np.array_equal(array, copy)


@pytest.mark.parametrize(("column", "value"), [(X.price_buy, 21.0), (X.ces_sell, -6.0)])
def test_prices_at_which_shedding_or_spilling_would_pay_are_refused(column, value):
    system = make_system(7)
    arguments = plain(system)
    arguments[5][4, 4 * len(system.members) + column] = value
    with pytest.raises(InputError, match=r"step 4.*it must stay below penalties\."):
        assemble_episode(*arguments)


# --- forecasts ------------------------------------------------------------------------------------


def disturbed_future(episode, t, rng):
    """Return the same episode with another future: rows from t on, but for the grid's state now."""
    values, errors = np.array(episode.values), np.array(episode.errors)
    now = values[t].copy()
    values[t:] = rng.uniform(0.0, 90.0, values[t:].shape)
    for column in (X.grid_up, X.derating):
        place = 4 * episode.member_count + column
        values[t, place] = now[place]
    errors[t:] = rng.normal(0.0, 3.0, errors[t:].shape)
    return dataclasses.replace(episode, values=values, errors=errors)


@settings(max_examples=20)
@given(seeds)
def test_a_forecast_knows_nothing_of_its_own_hour_or_later_ones(seed):
    episode = make_episode(make_system(seed), seed)
    rng = np.random.default_rng(seed)
    for t in (0, 1, episode.steps // 2, episode.steps - 1):
        other = disturbed_future(episode, t, rng)
        assert other.forecast(t).values.tobytes() == episode.forecast(t).values.tobytes()


@settings(max_examples=40)
@given(seeds)
def test_every_issue_is_what_the_past_leaves_of_the_belief(seed):
    laws.check_forecasts(make_case(seed))


@settings(max_examples=40)
@given(seeds)
def test_the_truth_is_physical_and_its_prices_are_ordered(seed):
    system, episode, _ = make_case(seed)
    base = 4 * episode.member_count + X.nomination_base_kw
    expected = laws.ordered(system, episode.values)
    expected[:, base] = episode.values[:, base]
    laws.agree(episode.values, expected, 0.0, "truth")


def test_the_check_above_sees_a_forecast_that_peeks():
    episode = make_episode(make_system(7), 7)
    other = disturbed_future(episode, 4, np.random.default_rng(0))
    assert other.forecast(5).values.tobytes() != episode.forecast(5).values.tobytes()


def test_the_grid_is_known_now_and_guessed_later():
    episode = make_episode(make_system(7), 7)
    system = make_system(7)
    place = 4 * episode.member_count
    values = np.array(episode.values)
    day = system.steps_per_day
    values[:, place + X.grid_up] = values[:, place + X.derating] = 1.0
    values[:day, place + X.grid_up] = values[:day, place + X.derating] = 0.6
    values[5:7, place + X.grid_up] = 0.0
    episode = dataclasses.replace(episode, values=values)
    assert episode.forecast(4).grid_up[: day - 4] == pytest.approx(0.6)
    down = episode.forecast(6).grid_up
    assert down[:3] == pytest.approx(0.0)
    assert down[3 : day - 6] == pytest.approx(0.6)
    assert down[day - 6 :] == pytest.approx(1.0)
    assert episode.forecast(0).grid_up[day:] == pytest.approx(1.0)
    assert episode.forecast(episode.steps).grid_up == pytest.approx(1.0)


@pytest.mark.parametrize("t", [-1, 10**6])
def test_a_forecast_of_no_step_of_the_episode_is_refused(t):
    with pytest.raises(InputError, match=rf"step {t} is not in 0\.\."):
        make_episode(make_system(7), 7).forecast(t)


def test_a_day_is_nominated_around_the_net_load_expected_as_it_begins():
    system = make_system(7, days=2)
    episode = make_episode(system, 7)
    base, day = episode.shared(X.nomination_base_kw), system.steps_per_day
    for t in (0, day):
        assert base[t : t + day] == pytest.approx(episode.forecast(t).net_load_kw[:day])


PHI, SIZE = 0.8, 10.0


def long_episode(steps_of_days=2000, seed=0):
    """Return one member's load around 1000 kW with an AR(1) error of PHI, never clipped."""
    system = make_system(38, days=steps_of_days, dt_h=1.0, fade=False, ces=None)
    rng = np.random.default_rng(seed)
    model = error_model(system, rng)
    model = ErrorModel(
        model.path,
        np.full_like(model.phi, PHI),
        rng.normal(0.0, 1.0, (4000, len(model.phi))),
        *physical_bounds(system),
    )
    rows = system.episode_steps + lead_steps(system)
    members = len(system.members)
    center = np.zeros((rows, system.exogenous_size))
    center[:, 2 * members : 3 * members] = 1000.0
    center[:, 4 * members + X.grid_up] = center[:, 4 * members + X.derating] = 1.0
    center[:, 4 * members + X.price_buy] = 1.0
    scale = np.zeros_like(center)
    scale[:, 2 * members : 3 * members] = SIZE
    errors = rng.normal(0.0, 1.0, (rows, len(model.phi)))
    for h in range(1, rows):
        errors[h] += PHI * errors[h - 1]
    truth = center + scale * errors[:, model.path]
    start = np.datetime64("2025-01-01T00")
    label = ("long", "test", 0)
    return assemble_episode(system, label, start, model, Belief(center, scale, errors), truth)


@pytest.fixture(scope="module")
def issues():
    """Truth and the forecasts for it: load of the first member, (issues, leads)."""
    episode = long_episode(150)
    count = episode.steps - 60
    forecasts = np.array([episode.forecast(t).load_kw[:30, 0] for t in range(count)])
    truth = np.array([episode.load_kw[t : t + 30, 0] for t in range(count)])
    return truth, forecasts


def leak(truth, forecasts, lead=6):
    """Return the share of the error left that two consecutive issues explain."""
    earlier, later = forecasts[:-1, lead + 1], forecasts[1:, lead]
    left = truth[1:, lead] - later
    known = np.column_stack([np.ones(len(left)), later, later - earlier])
    fit = known @ np.linalg.lstsq(known, left, rcond=None)[0]
    return 1.0 - np.var(left - fit) / np.var(left)


def test_two_consecutive_issues_say_nothing_about_the_error_left(issues):
    truth, forecasts = issues
    assert len(truth) > 3000
    for lead in (0, 1, 6, 20):
        assert leak(truth, forecasts, lead) < 0.005


def test_a_forecast_made_of_truth_plus_shrinking_noise_is_caught(issues):
    truth, forecasts = issues
    noise = np.random.default_rng(1).normal(0.0, SIZE, len(truth) + 40)
    growth = np.sqrt(np.arange(1, 31) / 30.0)
    planted = np.array([truth[t] + growth * noise[t : t + 30] for t in range(len(truth))])
    assert leak(truth, planted) > 0.9
    early = forecasts + 0.3 * (truth - forecasts)  # a part of the innovations before their hour
    assert leak(truth, early) > 0.2


def test_errors_grow_with_lead_and_have_the_stated_mean_and_variance(issues):
    truth, forecasts = issues
    errors = truth - forecasts
    variance = errors.var(axis=0)
    leads = np.arange(30)
    expected = SIZE**2 * (1.0 - PHI ** (2 * (leads + 1))) / (1.0 - PHI**2)
    assert variance == pytest.approx(expected, rel=0.12)
    assert (np.diff(variance[[0, 1, 3, 8, 20]]) > 0.0).all()
    assert np.abs(errors.mean(axis=0)).max() < 2.0
    revision = forecasts[1:, 4] - forecasts[:-1, 5]
    assert revision.var() == pytest.approx((SIZE * PHI**5) ** 2, rel=0.12)


def test_errors_of_neighbouring_leads_move_together(issues):
    truth, forecasts = issues
    errors = truth - forecasts
    assert np.corrcoef(errors[:, 5], errors[:, 6])[0, 1] > 0.5


# --- scenarios ------------------------------------------------------------------------------------


def test_scenarios_have_the_moments_of_the_error_model():
    forecast = long_episode(2).forecast(7)
    drawn = forecast.scenarios(4000, np.random.default_rng(5))
    bank = forecast.model.innovations[:, forecast.model.path[2 * forecast.member_count]]
    assert drawn.probability == pytest.approx(1.0 / 4000)
    load = drawn.load_kw[:, :, 0]
    for lead in (0, 1, 5, 24, 47):
        weights = PHI ** np.arange(lead + 1)
        mean = forecast.load_kw[lead, 0] + SIZE * bank.mean() * weights.sum()
        sd = SIZE * bank.std() * np.sqrt((weights**2).sum())
        assert load[:, lead].mean() == pytest.approx(mean, abs=4.0 * sd / np.sqrt(4000))
        assert load[:, lead].std() == pytest.approx(sd, rel=0.06)


def test_scenarios_follow_from_the_generator_and_leave_what_is_known():
    episode = make_episode(make_system(7), 7)
    forecast = episode.forecast(3)
    one = forecast.scenarios(4, np.random.default_rng(1)).values
    assert np.array_equal(one, forecast.scenarios(4, np.random.default_rng(1)).values)
    assert not np.array_equal(one, forecast.scenarios(4, np.random.default_rng(2)).values)
    for column in (X.grid_up, X.derating, X.rho_spinning):
        place = 4 * forecast.member_count + column
        assert (one[:, :, place] == forecast.values[:, place]).all()


def test_no_scenarios_are_refused():
    forecast = make_episode(make_system(7), 7).forecast(0)
    with pytest.raises(InputError, match="scenarios: n is 0; it must be at least 1"):
        forecast.scenarios(0, np.random.default_rng(0))
