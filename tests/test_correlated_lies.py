"""Lies drawn together: known games, and nobody gains by another lie than it is told."""

from itertools import product

import numpy as np
import pytest

from baselines.bargaining.bargain import uniform
from baselines.bargaining.coalition import coalition_of
from baselines.bargaining.correlated_lies import correlated_lies, drawn, temptations_of
from baselines.bargaining.quoted_market import QuotedMarket, find_equilibrium
from mmg_env import load_system, nominal_episode

GRID = (0.0, 0.4, 0.8)


@pytest.fixture(scope="module")
def market():
    system = load_system("s1_3mg")
    return QuotedMarket(coalition_of(system, nominal_episode(system)))


def test_who_plays_rock_paper_scissors_is_told_each_alike():
    first = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    gains = np.stack([first.ravel(), -first.ravel()], axis=1)
    for cost in (np.arange(9.0), -np.arange(9.0)):
        np.testing.assert_allclose(drawn(temptations_of(gains, 3), cost), 1.0 / 9.0, atol=1e-6)


def test_in_a_dilemma_both_betray():
    gains = np.array([[3.0, 3.0], [0.0, 5.0], [5.0, 0.0], [1.0, 1.0]])
    p = drawn(temptations_of(gains, 2), -gains.sum(axis=1))
    np.testing.assert_allclose(p, [0.0, 0.0, 0.0, 1.0], atol=1e-9)


def test_in_a_game_of_chicken_together_is_better_than_alone():
    gains = np.array([[6.0, 6.0], [2.0, 7.0], [7.0, 2.0], [0.0, 0.0]])
    p = drawn(temptations_of(gains, 2), -gains.sum(axis=1))
    assert p @ gains.sum(axis=1) == pytest.approx(10.5)


@pytest.mark.parametrize("audits", [0.0, 1.0])
def test_nobody_gains_by_another_lie_than_it_is_told(market, audits):
    power = uniform(4)
    for found in correlated_lies(market, power, audits, GRID):
        assert found.probability.sum() == pytest.approx(1.0)
        for p, told, other in product(range(4), GRID, GRID):
            gained = 0.0
            for lies, chance in zip(found.lies, found.probability, strict=True):
                if lies[p] == told:
                    instead = np.where(np.arange(4) == p, other, lies)
                    both = [market.gains(tried, power, audits)[p] for tried in (instead, lies)]
                    gained += chance * (both[0] - both[1])
            assert gained <= 1e-6 * market.honest.surplus
        assert found.regret <= 1e-6 * market.honest.surplus
        lost = [market.welfare_loss(lies) for lies in found.lies]
        assert found.welfare_loss == pytest.approx(found.probability @ np.array(lost))
        assert found.gains.sum() == pytest.approx(
            (1.0 - found.welfare_loss) * market.honest.surplus
        )


def test_least_is_at_most_what_any_equilibrium_loses_and_most_at_least(market):
    found = find_equilibrium(market, uniform(4), 10.0, GRID)
    assert found.settled
    least, most = correlated_lies(market, uniform(4), 10.0, GRID)
    assert least.welfare_loss <= found.welfare_loss + 1e-9
    assert most.welfare_loss >= found.welfare_loss - 1e-9
