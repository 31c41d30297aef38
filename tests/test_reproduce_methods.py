"""Methods on one day, and what promises are worth: bounds stand on their sides of the optimum."""

import numpy as np
import pytest

from baselines.highs import SolverError
from experiments.reproduce import methods, promise
from experiments.reproduce.methods import BETAS, bargain, converge, weigh_up
from mmg_env.errors import InputError

DAY, COUNT = 0, 2
ROUNDS = 30


@pytest.mark.parametrize("kind", ["hour", "single"])
def test_bounds_hold_the_optimum_and_are_told_by_their_last_round(kind):
    found = converge(kind, DAY, COUNT, ROUNDS, np.inf)
    slack = 1e-6 * abs(found.optimum)
    assert found.lower <= found.optimum + slack
    assert found.upper >= found.optimum - slack
    assert found.closed == (found.gap <= 1e-6)
    assert found.off >= -1e-6
    assert 1 < len(found.trace) <= ROUNDS


def test_cuts_by_the_hour_close():
    assert converge("hour", DAY, COUNT, ROUNDS, np.inf).closed


def test_those_who_agree_pay_no_less_than_the_optimum_and_prove_no_more():
    found = bargain(DAY, COUNT, 100, np.inf)
    assert found.agreed
    assert found.bound <= found.optimum + 1e-6
    assert found.cost >= found.optimum - 1e-6
    assert found.cost == pytest.approx(found.bound, rel=1e-2)
    assert found.prices.shape == (3, 24)
    assert set(found.posted) == {"from_ces", "to_ces", "from_member", "to_member"}


def test_a_negotiation_that_fails_says_why(monkeypatch):
    def refuse(*_):
        raise SolverError("model of nobody: stopped")

    monkeypatch.setattr(methods, "exchange", refuse)
    found = bargain(DAY, COUNT, ROUNDS, np.inf)
    assert not found.agreed
    assert found.failure == "model of nobody: stopped"
    assert np.isnan(found.cost)


def test_knowledge_is_worth_something_and_fear_costs_on_average():
    found = weigh_up(DAY, 4)
    assert found.worth.of_stochastic_solution >= -1e-6
    assert found.worth.of_perfect_information >= -1e-6
    assert tuple(point.beta for point in found.frontier) == BETAS
    inner = found.frontier[:-1]
    assert inner[0].mean <= inner[-1].mean + 1e-6
    assert inner[0].cvar >= inner[-1].cvar - 1e-6
    assert found.frontier[0].mean == pytest.approx(found.worth.stochastic, abs=1e-4)


def test_a_promise_is_above_its_bound_and_no_way_to_live_beats_the_oracle():
    found = promise.promise(DAY, COUNT)
    assert found.bound <= found.promised + 1e-6
    assert found.oracle <= found.open_loop
    for name in ("idle", "mpc"):
        assert found.oracle <= promise.live(name, DAY)


def test_a_policy_that_is_none_is_refused():
    with pytest.raises(InputError):
        promise.live("nobody", DAY)
