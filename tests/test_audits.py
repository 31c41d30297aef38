"""Finding lies: expectations, flags, what is seized, trust; and days of a real suite."""

import numpy as np
import pytest
from joblib import parallel_config

from baselines.bargaining.audits import (
    detect,
    draw_lies,
    expect,
    next_trust,
    roc_of,
    scores_of,
    seized,
    trusted,
)
from baselines.bargaining.bargain import uniform
from baselines.bargaining.coalition import coalition_of
from baselines.bargaining.known_days import day, days
from baselines.bargaining.quoted_market import QuotedMarket
from mmg_env import load_system, sample_episode
from mmg_env.errors import InputError


def linear_days(count, noise, seed=0):
    """Return features and savings that depend on them, noise apart; all savings are near 100."""
    rng = np.random.default_rng(seed)
    known = rng.normal(size=(count, 3)) * [1.0, 10.0, 0.1] + [5.0, 0.0, 2.0]
    truth = np.random.default_rng(99).normal(size=(3, 4))
    savings = 100.0 + known @ truth + noise * rng.normal(size=(count, 4))
    return known, savings


@pytest.fixture(scope="module")
def system():
    return load_system("s1_3mg")


@pytest.fixture(scope="module")
def audited(system):
    return days(system, "train", 45)


@pytest.fixture(scope="module")
def suspected(system):
    return days(system, "test", 15)


def test_what_depends_on_features_alone_is_expected_exactly():
    known, savings = linear_days(60, 0.0)
    expectation = expect(known, savings, ridge=0.0)
    other, truth = linear_days(20, 0.0, seed=1)
    np.testing.assert_allclose(expectation.savings(other), truth, atol=1e-8)
    assert expectation.sigma.max() < 1e-8


def test_sigma_is_how_far_off_each_day_is_for_who_has_not_seen_it():
    known, savings = linear_days(30, 5.0)
    expectation, missed = expect(known, savings), []
    scaled = np.column_stack([(known - expectation.mean) / expectation.scale, np.ones(30)])
    for k in range(30):
        rest = np.arange(30) != k
        normal = scaled[rest].T @ scaled[rest] + np.diag([1.0, 1.0, 1.0, 0.0])
        weights = np.linalg.solve(normal, scaled[rest].T @ savings[rest])
        missed.append(savings[k] - scaled[k] @ weights)
    np.testing.assert_allclose(expectation.sigma, np.sqrt(np.mean(np.square(missed), axis=0)))


def test_a_feature_that_never_changes_does_no_harm():
    known, savings = linear_days(40, 1.0)
    more = np.column_stack([known, np.full(40, 7.0)])
    np.testing.assert_allclose(
        expect(more, savings).savings(more), expect(known, savings).savings(known)
    )


def test_too_few_days_are_refused():
    with pytest.raises(InputError, match="5 days for 3 features"):
        expect(*linear_days(5, 1.0))


def test_flagged_is_who_lacks_more_than_the_threshold_on_two_of_five_days():
    lacking = np.random.default_rng(0).normal(size=(7, 23, 4)) + 1.0
    flagged = scores_of(lacking) > 2.0
    assert flagged.shape == (7, 4, 4)
    for draw, block, p in np.ndindex(flagged.shape):
        days_over = (lacking[draw, 5 * block : 5 * block + 5, p] > 2.0).sum()
        assert flagged[draw, block, p] == (days_over >= 2)
    assert flagged.any()
    assert not flagged.all()


def test_the_curve_is_that_of_counting_and_its_area_that_of_pairs():
    rng = np.random.default_rng(0)
    scores, liars = rng.integers(0, 6, 60).astype(float), rng.random(60) < 0.4
    roc = roc_of(scores, liars)
    assert (roc.false_rate[0], roc.true_rate[0]) == (0.0, 0.0)
    assert (roc.false_rate[-1], roc.true_rate[-1]) == (1.0, 1.0)
    for threshold, false, true in zip(roc.threshold, roc.false_rate, roc.true_rate, strict=True):
        assert false == pytest.approx((scores[~liars] >= threshold).mean())
        assert true == pytest.approx((scores[liars] >= threshold).mean())
    pairs = scores[liars][:, None] - scores[~liars][None, :]
    assert roc.area == pytest.approx((pairs > 0).mean() + 0.5 * (pairs == 0).mean())


def test_without_liars_there_is_nothing_to_tell_apart():
    with pytest.raises(InputError, match="honest ones are needed"):
        roc_of(np.arange(4.0), np.zeros(4, dtype=bool))


def test_what_is_seized_is_what_the_flagged_hid_and_goes_to_the_others():
    hidden = np.array([[30.0, 0.0, 12.0, 6.0], [30.0, 0.0, 12.0, 6.0]])
    flagged = np.array([[True, True, False, False], [True, False, True, False]])
    taken = seized(hidden, flagged)
    np.testing.assert_allclose(taken, [[30.0, -10.0, -10.0, -10.0], [26.0, -14.0, 2.0, -14.0]])
    np.testing.assert_allclose(taken.sum(axis=1), 0.0, atol=1e-12)
    assert not seized(np.array([5.0]), np.array([True])).any()


def test_trust_is_lost_faster_than_it_comes_back_and_power_follows_it():
    trust = np.ones(3)
    for _ in range(3):
        trust = next_trust(trust, np.array([True, False, False]))
    np.testing.assert_allclose(trust, [0.125, 1.0, 1.0])
    power = trusted(np.array([0.5, 0.3, 0.2]), trust)
    assert power.sum() == pytest.approx(1.0)
    assert power[0] < 0.5 * 0.5
    assert power[1] / power[2] == pytest.approx(1.5)
    for _ in range(20):
        trust = next_trust(trust, np.zeros(3, dtype=bool))
    np.testing.assert_allclose(
        trusted(np.array([0.5, 0.3, 0.2]), trust), [0.5, 0.3, 0.2], rtol=1e-5
    )


def test_half_are_honest_and_lies_are_as_likely_everywhere():
    lies = draw_lies(5000, 4, np.random.default_rng(0))
    assert (lies == 0.0).mean() == pytest.approx(0.5, abs=0.02)
    assert lies[lies > 0.0].mean() == pytest.approx(0.45, abs=0.02)
    assert lies.max() <= 0.9


def test_who_expects_exactly_finds_every_lie_and_lying_no_longer_pays():
    past, now = linear_days(60, 1e-3), linear_days(50, 1e-3, seed=1)
    found = detect((past[0], now[0]), (past[1], now[1]), uniform(4), np.random.default_rng(0))
    assert found.recall > 0.99
    assert found.roc.area > 0.999
    assert found.precision > 0.9
    assert found.quoted.liars > 1.0 > found.quoted.honest
    assert found.seized.liars < 1.0 < found.seized.honest
    assert found.distrusted.liars < found.seized.liars
    assert found.welfare_loss == pytest.approx(0.2 * found.lies.mean())
    assert found.welfare_loss_after < 0.01 * found.welfare_loss


def test_who_expects_nothing_sure_finds_next_to_nothing():
    past, now = linear_days(60, 1e4), linear_days(50, 1e4, seed=1)
    found = detect((past[0], now[0]), (past[1], now[1]), uniform(4), np.random.default_rng(0))
    assert found.roc.area == pytest.approx(0.5, abs=0.05)


def test_a_day_is_its_episodes_savings_and_figures(system):
    episode = sample_episode(system, "train", 3)
    series, exchange, savings = day(system, "train", 3)
    coalition = coalition_of(system, episode)
    surplus = coalition.relaxed_cost(frozenset()) - coalition.relaxed_cost(frozenset(range(4)))
    assert savings.sum() == pytest.approx(surplus, rel=1e-6)
    net = (episode.load_kw - episode.wind_kw - episode.pv_kw)[:, 1]
    paid = sum(
        kw * (episode.price_buy[t] if kw > 0 else episode.price_sell[t]) for t, kw in enumerate(net)
    )
    assert series[1] == pytest.approx(paid)
    assert series[-1] == pytest.approx(episode.heat_kw[:, 2].sum())
    outcome = QuotedMarket(coalition).honest
    middle = (episode.price_buy + episode.price_sell) / 2
    half = (episode.price_buy - episode.price_sell) / 2
    net, both = (outcome.received_kwh + sign * outcome.sent_kwh for sign in (-1.0, 1.0))
    np.testing.assert_allclose(exchange, [*(net * middle).sum(axis=1), *(both * half).sum(axis=1)])
    assert len(exchange) == 8


def test_days_are_the_same_however_they_are_divided(system, suspected):
    with parallel_config(backend="threading"):
        again = days(system, "test", 4, first=2, jobs=3)
    for name in ("series", "exchange", "savings"):
        np.testing.assert_allclose(getattr(again, name), getattr(suspected, name)[2:6])


def test_a_centre_that_meters_the_exchange_finds_more_lies(audited, suspected):
    found = [
        detect(known, (audited.savings, suspected.savings), uniform(4), np.random.default_rng(0))
        for known in ((audited.known, suspected.known), (audited.series, suspected.series))
    ]
    assert found[0].roc.area > 0.9
    assert found[0].roc.area > found[1].roc.area + 0.05
    assert (found[0].sigma < found[1].sigma).all()
    np.testing.assert_array_equal(found[0].lies, found[1].lies)
