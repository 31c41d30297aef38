"""Negotiation: prices where supply meets demand, what is told to whom, when it ends."""

import numpy as np
import pytest
from scipy import sparse

from baselines.highs import SolverError
from baselines.negotiation import ADAPTIVE, PLAIN, RELAXED, Agent, Penalty, Terms, negotiate
from baselines.programme import Programme, numbers_of
from baselines.solution import Stop

STOP = Stop(1e-6, 500)


def trader(costs, widths, sign, weight=1.0):
    """Return an agent whose one power is the sum of steps of some widths, each at a cost."""
    count = len(costs)
    nothing = np.zeros(1)
    numbers = numbers_of(
        np.zeros(count + 1),
        np.append(np.array(widths, dtype=float), np.inf),
        nothing,
        nothing,
        weight * np.append(np.array(costs, dtype=float), 0.0),
    )
    matrix = sparse.csr_array(np.append(np.ones(count), -1.0)[None, :])
    programme = Programme("trader", matrix, numbers)
    return Agent(programme, np.array([count]), np.array([weight]), sign)


def market(weight=1.0):
    """Supply 5 kW at 2, 5 more at 4; demand 3 kW at 10, 4 more at 3: they meet at 5 kW and 3."""
    return trader([2, 4], [5, 5], -1.0, weight), trader([-10, -3], [3, 4], 1.0, weight)


class Listener:
    """Hears what a party is told and what it answers."""

    def __init__(self, party):
        self.party, self.told, self.answers = party, [], []

    def answer(self, terms):
        self.told.append(terms)
        self.answers.append(self.party.answer(terms))
        return self.answers[-1]


@pytest.mark.parametrize("penalty", [PLAIN, ADAPTIVE, RELAXED, Penalty(rho=10.0, factor=2.0)])
@pytest.mark.parametrize("weight", [1.0, 0.05])
def test_price_and_power_are_where_supply_meets_demand(penalty, weight):
    seller, buyer = market(weight)
    found = negotiate(seller, [buyer], [np.array([weight])], Stop(1e-6, 2000), penalty)
    assert found.offered_kw == pytest.approx([5.0], abs=1e-4)
    assert found.price == pytest.approx([3.0], abs=1e-4)
    assert len(found.trace) < 2000


def test_at_any_price_parties_that_need_not_agree_pay_no_more():
    seller, buyer = market()
    optimum = 2 * 5 - 10 * 3 - 3 * 2
    bounds = [seller.least_cost(p) + buyer.least_cost(p) for p in np.arange(2.0, 11.0)[:, None]]
    assert max(bounds) == pytest.approx(optimum)
    assert np.argmax(bounds) == 1  # the price of 3
    assert min(bounds) < optimum - 1.0


@pytest.mark.parametrize("relaxation", [1.0, 1.6])
def test_each_hears_prices_and_the_other_sides_powers_alone(relaxation):
    seller = trader([2, 4], [5, 5], -1.0)
    buyers = [trader([-10, -3], [3, 4], 1.0), trader([-6, -1], [1, 2], 1.0)]

    class Both:
        def answer(self, terms):
            half = [
                seller.answer(Terms(*(v[k : k + 1] for v in terms[:2]), terms.rho)) for k in (0, 1)
            ]
            return np.concatenate(half)

    ears = [Listener(Both()), *(Listener(buyer) for buyer in buyers)]
    penalty = Penalty(0.1, relaxation)
    negotiate(ears[0], ears[1:], [np.ones(1), np.ones(1)], Stop(1e-6, 8), penalty)
    operator = ears[0]
    for k in range(1, 8):
        taken = np.concatenate([ear.answers[k - 1] for ear in ears[1:]])
        assert np.array_equal(operator.told[k].power_kw, taken)
        shown = relaxation * operator.answers[k] + (1.0 - relaxation) * taken
        for n, ear in enumerate(ears[1:]):
            assert ear.told[k].power_kw == pytest.approx(shown[n : n + 1], abs=1e-12)
            assert np.array_equal(ear.told[k].price, operator.told[k].price[n : n + 1])
            assert ear.told[k].rho == operator.told[k].rho == 0.1


def test_balanced_residuals_mend_a_bad_rho():
    def rounds(penalty):
        seller, buyer = market()
        return len(negotiate(seller, [buyer], [np.ones(1)], Stop(1e-5, 3000), penalty).trace)

    for rho in (1e-3, 100.0):
        assert rounds(Penalty(rho, factor=2.0)) < 0.5 * rounds(Penalty(rho))


def test_rho_stays_once_it_is_settled():
    seller, buyer = market()
    penalty = Penalty(1e-3, factor=2.0, settled=3)
    trace = negotiate(seller, [buyer], [np.ones(1)], Stop(1e-9, 30), penalty).trace
    rhos = [line.rho for line in trace]
    assert rhos[3] > rhos[0]
    assert set(rhos[3:]) == {rhos[3]}


def test_it_ends_when_it_may_go_on_no_longer():
    seller, buyer = market()
    assert len(negotiate(seller, [buyer], [np.ones(1)], Stop(1e-12, 7), PLAIN).trace) == 7
    assert len(negotiate(seller, [buyer], [np.ones(1)], Stop(1e-12, 7, 0.0), PLAIN).trace) == 1


def test_a_party_that_cannot_meet_its_own_limits_says_so():
    agent = trader([1.0], [-1.0], -1.0)  # an upper bound below the lower one
    with pytest.raises(SolverError, match="trader"):
        agent.answer(Terms(np.zeros(1), np.zeros(1), 1.0))
