"""Clarke's payments: marginal contributions, no lie that pays, and a deficit."""

from itertools import product

import numpy as np
import pytest

from baselines.bargaining.bargain import Bargain, uniform
from baselines.bargaining.coalition import coalition_of
from baselines.bargaining.quoted_market import QuotedMarket
from baselines.bargaining.vcg import ClarkeMarket
from mmg_env import load_system, nominal_episode


@pytest.fixture(scope="module")
def coalition():
    system = load_system("s1_3mg")
    return coalition_of(system, nominal_episode(system))


@pytest.fixture(scope="module")
def market(coalition):
    return ClarkeMarket(coalition)


def test_the_honest_gain_what_all_would_lose_without_them(coalition, market):
    everyone = frozenset(range(4))
    best = coalition.relaxed_cost(everyone)
    honest = market.settle()
    marginal = [coalition.relaxed_cost(everyone - {p}) - best for p in range(4)]
    np.testing.assert_allclose(honest.gains, marginal, atol=1e-4 * honest.surplus)
    assert honest.surplus == pytest.approx(coalition.relaxed_cost(frozenset()) - best)


def test_it_costs_the_centre_the_gains_beyond_the_surplus(market):
    honest = market.settle()
    assert honest.deficit == pytest.approx(honest.gains.sum() - honest.surplus)
    assert honest.deficit > 0.0


def test_no_margin_pays_whatever_the_others_quote(market):
    rng = np.random.default_rng(0)
    others = [np.zeros(4), np.full(4, 0.6), *rng.uniform(0.0, 0.9, (4, 4))]
    tolerance = 1e-4 * market.settle().surplus
    lost = 0.0
    for told, p in product(others, range(4)):
        gains = []
        for lie in (0.0, 0.2, 0.5, 0.9):
            lies = np.where(np.arange(4) == p, lie, told)
            gains.append(market.settle(lies).gains[p])
        assert gains[0] >= max(gains) - tolerance
        lost = max(lost, gains[0] - min(gains))
    assert lost > 100.0 * tolerance


def test_a_lie_pays_where_payments_are_bargained(coalition, market):
    honest = market.settle()
    equal = Bargain(honest.savings, np.zeros(4), uniform(4)).gains
    lies = np.array([0.0, 0.0, 0.0, 0.3])
    outcome = QuotedMarket(coalition).outcome(lies)
    assert outcome.gains(uniform(4))[3] > equal[3] + 0.01 * honest.surplus
