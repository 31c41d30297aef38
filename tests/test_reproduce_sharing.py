"""The storage's account: the ledger of the simulator, said before it is played."""

from functools import lru_cache

import numpy as np
import pytest

from baselines.day_ahead import with_risk
from baselines.day_plan import plans_of, solve_day
from experiments.reproduce.cases import RISK, case_system, played, problem_of
from experiments.reproduce.sharing import profit_range, storage_account
from mmg_env.errors import InputError
from mmg_env.layout import L


@lru_cache
def day():
    problem = problem_of(case_system({}), 0, 3)
    return problem, solve_day(problem, with_risk(problem, RISK)), storage_account(problem)


def ledger(x):
    """Return the storage's ledger of a plan, (terms,), and its first scenario's plan."""
    problem, _, _ = day()
    plans = plans_of(problem, x)
    lived = np.array([one.ledger[:, -1].sum(axis=0) for one in played(problem, 0, plans)])
    return problem.form.probability @ lived, plans[0]


def ends():
    _, plan, account = day()
    return [plan.x, *profit_range(plan, account)]


@pytest.mark.parametrize("place", range(3))
def test_it_says_what_the_ledger_will_say(place):
    _, _, account = day()
    paid, plan = ledger(ends()[place])
    assert account.cost(ends()[place], plan) == pytest.approx(paid.sum(), abs=1e-5)


def test_every_term_of_it_is_there():
    """So that agreement means something: the plans rent, trade both ways, leave energy."""
    found = np.array([ledger(x)[0] for x in ends()])
    for term in (L.market, L.reserve_revenue, L.pool_payment, L.rental, L.service_fee, L.wear):
        assert np.abs(found[:, term]).max() > 1.0, term.name
    assert found[:, L.virtual_settlement].max() > 0.0


def test_its_ends_are_apart_and_cost_the_same():
    problem, plan, _ = day()
    profits = [-ledger(x)[0].sum() for x in ends()]
    assert profits[1] < profits[0] < profits[2]
    cost = plan.chosen.numbers.cost
    for x in ends():
        assert cost @ x + plan.chosen.numbers.offset <= plan.objective * (1.0 + 2e-6)
    assert problem.system.has_ces


def test_rent_is_the_first_of_what_is_rented():
    problem, _, account = day()
    columns = problem.compiled.columns["rental_kwh"]
    assert account.rent[problem.form.column[0, columns[0, 0]]] == pytest.approx(0.18)
    assert account.slope[problem.form.column[0, columns[0, 0]]] == 0.0


@pytest.mark.parametrize("changes", [{"ces": None}, {"pool.price_rule": "mid_market"}])
def test_other_rules_and_no_storage_are_refused(changes):
    with pytest.raises(InputError, match="no storage that trades at posted prices"):
        storage_account(problem_of(case_system(changes), 0, 2))
