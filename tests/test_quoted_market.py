"""Lies as margins: the plan is best by quotes, gains are what payments leave, lies on the grid."""

from itertools import product

import numpy as np
import pytest

from baselines.bargaining.bargain import Bargain, uniform
from baselines.bargaining.coalition import coalition_of
from baselines.bargaining.margins import margins
from baselines.bargaining.quoted_market import (
    COARSE,
    QuotedMarket,
    against_audits,
    equilibria,
    find_equilibrium,
    regret_of,
)
from baselines.bargaining.quoting import DECEPTIVE, SUPPRESSED, fines
from mmg_env import load_system, nominal_episode
from mmg_env.errors import InputError
from tests.random_systems import random_episode, random_system

POWER = np.array([0.4, 0.3, 0.2, 0.1])


@pytest.fixture(scope="module")
def coalition():
    system = load_system("s1_3mg")
    return coalition_of(system, nominal_episode(system))


@pytest.fixture(scope="module")
def market(coalition):
    return QuotedMarket(coalition)


def worth(coalition, outcome):
    """Return what each trades, each kWh at half the spread, (participants,)."""
    half = margins(coalition.system, np.ones(len(coalition.pieces)), coalition.rows)
    return (half * (outcome.sent_kwh + outcome.received_kwh)).sum(axis=1)


def best_deviation(market, lies, power, audits, grid):
    """Return by how much the best other lie pays, by brute force."""
    now, most = market.gains(lies, power, audits), 0.0
    for p, lie in product(range(len(lies)), grid):
        other = np.array([lie if q == p else lies[q] for q in range(len(lies))])
        most = max(most, market.gains(other, power, audits)[p] - now[p])
    return most


def test_the_honest_share_the_surplus_of_the_whole(coalition, market):
    surplus = coalition.relaxed_cost(frozenset()) - coalition.relaxed_cost(frozenset(range(4)))
    assert market.honest.surplus == pytest.approx(surplus)
    assert not market.honest.hidden.any()
    np.testing.assert_allclose(market.gains(np.zeros(4), POWER, SUPPRESSED), POWER * surplus)


def test_no_plan_is_cheaper_by_quotes_than_the_one_that_is_taken(coalition, market):
    rng = np.random.default_rng(0)
    lies = [np.zeros(4), np.full(4, 0.9), *rng.uniform(0.0, 0.9, (20, 4))]
    plans = [market.outcome(told) for told in lies]
    for told, taken in zip(lies, plans, strict=True):
        quoted = [told @ worth(coalition, plan) - plan.surplus for plan in plans]
        mine = told @ worth(coalition, taken) - taken.surplus
        assert mine <= min(quoted) + 1e-4 * market.honest.surplus
        np.testing.assert_allclose(taken.hidden, told * worth(coalition, taken))


def test_what_is_traded_is_the_slope_of_the_quoted_cost(coalition, market):
    lies, step = np.array([0.23, 0.41, 0.12, 0.37]), 1e-4

    def quoted(told):
        return told @ worth(coalition, market.outcome(told)) - market.outcome(told).surplus

    traded = worth(coalition, market.outcome(lies))
    for p in range(4):
        up, down = (lies + sign * step * (np.arange(4) == p) for sign in (1.0, -1.0))
        assert (quoted(up) - quoted(down)) / (2 * step) == pytest.approx(traded[p], rel=1e-3)


def test_the_outcome_depends_on_lies_alone(coalition, market):
    tried = [np.array(lies) for lies in product((0.0, 0.3, 0.6), repeat=4)]
    other = QuotedMarket(coalition)
    for k in np.random.default_rng(1).permutation(len(tried)):
        other.outcome(tried[k])
    for lies in tried:
        a, b = market.outcome(lies), other.outcome(lies)
        np.testing.assert_allclose(a.hidden, b.hidden, atol=1e-6)
        assert a.surplus == pytest.approx(b.surplus, abs=1e-6)


def test_gains_are_what_payments_on_quotes_and_fines_leave(market):
    lies = np.array([0.3, 0.0, 0.6, 0.9])
    outcome = market.outcome(lies)
    paid = Bargain(outcome.savings - outcome.hidden, np.zeros(4), POWER).payments
    fined = fines(lies, market.honest.surplus, 2.0)
    gains = market.gains(lies, POWER, 2.0)
    np.testing.assert_allclose(outcome.savings - paid - fined, gains)
    assert gains.sum() == pytest.approx(outcome.surplus)


def test_lies_kill_trades(market):
    surplus = [market.outcome(np.full(4, lie)).surplus for lie in (0.0, 0.3, 0.6, 0.9)]
    traded = [market.outcome(np.full(4, lie)).traded_kwh.sum() for lie in (0.0, 0.3, 0.6, 0.9)]
    assert surplus == sorted(surplus, reverse=True)
    assert traded == sorted(traded, reverse=True)
    assert surplus[-1] < 0.9 * surplus[0]


@pytest.mark.parametrize("audits", [DECEPTIVE, SUPPRESSED])
@pytest.mark.parametrize("power", [uniform(4), POWER])
def test_where_turns_end_no_lie_on_the_grid_pays(market, audits, power):
    found = find_equilibrium(market, power, audits, COARSE)
    if found.settled:
        assert found.regret <= 1e-6 * market.honest.surplus
    assert found.regret == pytest.approx(
        best_deviation(market, found.lies, power, audits, COARSE), abs=1e-9
    )
    np.testing.assert_allclose(found.gains, market.gains(found.lies, power, audits))


@pytest.mark.parametrize("audits", [2.0, SUPPRESSED])
def test_on_tenths_no_lie_pays_under_audits(market, audits):
    grid = tuple(k / 10 for k in range(10))
    found = find_equilibrium(market, uniform(4), audits)
    assert found.settled
    assert best_deviation(market, found.lies, uniform(4), audits, grid) <= (
        1e-6 * market.honest.surplus
    )
    assert 0.0 < found.lies.max() < 0.9


def test_where_turns_go_in_a_circle_the_least_regretted_lies_are_found_and_said_so(market):
    found = find_equilibrium(market, uniform(4), 0.0, COARSE)
    assert not found.settled
    assert found.compared
    every = [np.array(lies) for lies in product(COARSE, repeat=4)]
    regrets = [best_deviation(market, lies, uniform(4), 0.0, COARSE) for lies in every]
    assert found.regret == pytest.approx(min(regrets))
    assert found.regret > 1e-3 * market.honest.surplus
    ranked = equilibria(market, uniform(4), 0.0, COARSE)
    np.testing.assert_allclose([regret for _, regret in ranked], np.sort(regrets), atol=1e-9)
    assert regret_of(market, ranked[0][0], uniform(4), 0.0, COARSE) == pytest.approx(min(regrets))


def test_audits_make_lies_and_losses_smaller(market):
    found = against_audits(market, uniform(4), (0.0, 1.0, 10.0), COARSE)
    assert (np.diff([f.lies.sum() for f in found]) < 0.0).all()
    assert (np.diff([f.welfare_loss for f in found]) < 0.0).all()
    assert (np.diff([f.redistributed for f in found]) < 0.0).all()
    assert found[0].welfare_loss > 0.02


def test_too_many_cases_are_refused(market):
    with pytest.raises(InputError, match="160000 cases"):
        equilibria(market, uniform(4), 0.0, tuple(k / 20 for k in range(20)))


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_on_any_day_gains_add_up_to_the_surplus(seed):
    system = random_system(seed)
    market = QuotedMarket(coalition_of(system, random_episode(system, seed)))
    count = market.participants
    lies = np.random.default_rng(seed).uniform(0.0, 0.9, count)
    gains = market.gains(lies, uniform(count), 1.0)
    assert gains.sum() == pytest.approx(market.outcome(lies).surplus, abs=1e-6)
    assert market.honest.surplus >= market.outcome(lies).surplus - 1e-6
    assert find_equilibrium(market, uniform(count), 1.0, (0.0, 0.5)).regret >= 0.0
