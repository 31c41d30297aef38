"""Exchange by negotiation: near the optimum of the extensive form, and prices that support it."""

from dataclasses import replace

import numpy as np
import pytest

from baselines.day_ahead import day_ahead, with_risk
from baselines.division import divide
from baselines.exchange_admm import exchange, posted_prices
from baselines.members import Request
from baselines.negotiation import ADAPTIVE, PLAIN, RELAXED, Penalty
from baselines.risk import NEUTRAL, Risk
from baselines.solution import Stop
from mmg_env.env import CommunityEnv

SCENARIOS = 3


def problem_of(scenarios):
    _, info = CommunityEnv("s2_crh", split="val").reset(seed=0)
    public = info["public"]
    return day_ahead(public, public.forecast.scenarios(scenarios, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def problem():
    return problem_of(SCENARIOS)


@pytest.fixture(scope="module")
def split(problem):
    return divide(problem, "scenario", NEUTRAL)


@pytest.fixture(scope="module")
def best(problem):
    return with_risk(problem, NEUTRAL).solve().objective


@pytest.fixture(scope="module")
def scale(split):
    """What members pay without any exchange, for the optimum itself is near zero."""
    nothing = Request(np.zeros((SCENARIOS, split.told[0].shape[0] // SCENARIOS)))
    return sum(split.probability @ member.respond(nothing).values for member in split.members)


@pytest.fixture(scope="module")
def found(problem):
    return exchange(problem)


@pytest.mark.parametrize("penalty", [PLAIN, ADAPTIVE, RELAXED])
def test_bounds_hold_the_optimum_and_lie_close(problem, best, scale, penalty):
    found = exchange(problem, penalty=penalty)
    assert best - 1e-5 <= found.cost <= best + 1e-4 * scale
    assert best - 1e-3 * scale <= found.bound <= best + 1e-5
    last = found.trace[-1]
    assert max(last.primal, last.dual) <= 1e-4 < found.trace[0].primal


def test_with_risk_it_is_each_partys_own(problem, scale):
    risk = Risk(0.6, 0.5)
    best = with_risk(problem, risk, by_party=True).solve().objective
    assert best > with_risk(problem, NEUTRAL).solve().objective + 1.0
    found = exchange(problem, risk)
    assert best - 1e-5 <= found.cost <= best + 1e-3 * scale
    assert best - 1e-3 * scale <= found.bound <= best + 1e-5


def test_ended_early_the_bounds_hold_all_the_same(problem, best, scale):
    found = exchange(problem, stop=Stop(1e-4, 3))
    assert found.iterations == 3
    assert found.cost > best + 1e-3 * scale
    assert found.bound < best - 1e-3 * scale


def test_what_is_returned_is_a_solution_of_the_whole_at_that_cost(problem, split, found):
    x = np.zeros(problem.form.matrix.shape[1])
    x[split.parts.columns] = found.x[: len(split.parts.columns)]
    for n, member in enumerate(split.members):
        plans = member.schedule(Request((split.told[n] @ found.x).reshape(SCENARIOS, -1)))
        for s, plan in enumerate(plans):
            x[split.parts.pieces[n * SCENARIOS + s].columns] = plan
    form = problem.form
    rows = form.matrix @ x
    assert (rows >= form.row_lower - 1e-6).all()
    assert (rows <= form.row_upper + 1e-6).all()
    assert (x >= form.lower - 1e-6).all()
    assert (x <= form.upper + 1e-6).all()
    assert form.numbers.cost @ x + form.numbers.offset == pytest.approx(found.cost, abs=1e-5)


def test_powers_are_the_operators_own(split, found):
    for n, told in enumerate(split.told):
        assert found.powers_kw[n].ravel() == pytest.approx(told @ found.x, abs=1e-5)
    assert np.ptp(found.powers_kw) > 50.0


def test_prices_are_what_power_is_worth(problem, split, found):
    """A little more load at a member's bus costs the community the price, where that is unique."""
    solver = problem.form.solver()
    best, step_kw, sharp = solver.solve_lp().objective, 0.05, 0
    chosen = [(n, s, t) for n in range(3) for s in (0, 2) for t in (3, 9, 12, 16, 20)]
    for n, s, t in chosen:
        piece = split.parts.pieces[n * SCENARIOS + s]
        row = piece.rows[piece.coupled[t]][None]
        worth = []
        for sign in (-1.0, 1.0):
            shifted = [
                side[row] + sign * step_kw
                for side in (problem.form.row_lower, problem.form.row_upper)
            ]
            solver.set_sides(row, *shifted)
            change = sign * (solver.solve_lp().objective - best) / step_kw
            worth.append(change / (problem.form.probability[s] * 1.0))  # an hour
        solver.set_sides(row, problem.form.row_lower[row], problem.form.row_upper[row])
        assert worth[0] - 0.01 <= found.prices[n, s, t] <= worth[1] + 0.01
        sharp += worth[1] - worth[0] < 0.02
    assert sharp >= 5


def test_balanced_residuals_need_no_more_rounds_where_rho_is_badly_chosen(problem):
    stop = Stop(1e-4, 120)
    for rho in (0.001, 0.1):
        plain = exchange(problem, stop=stop, penalty=Penalty(rho)).iterations
        assert exchange(problem, stop=stop, penalty=Penalty(rho, factor=2.0)).iterations < plain


def test_twice_is_the_same(problem, found):
    again = exchange(problem)
    assert np.array_equal(again.x, found.x)
    assert np.array_equal(again.prices, found.prices)
    assert again.cost == found.cost
    undated = [[replace(line, time_s=0.0) for line in run.trace] for run in (again, found)]
    assert undated[0] == undated[1]


def test_nothing_returned_can_be_written(found):
    for array in (found.x, found.prices, found.powers_kw, found.probability):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_expected_prices_are_means_over_scenarios(found):
    assert found.expected_prices.shape == found.prices.shape[::2]
    wanted = np.average(found.prices, axis=1, weights=found.probability)
    assert found.expected_prices == pytest.approx(wanted)


def test_posted_prices_are_factors_of_the_purchase_price():
    """docs/model.md section 5 and 8: .92, .60, .60; a fee of .01 and a loss of .01 besides."""
    one = problem_of(1)
    posted = posted_prices(one)
    buy = one.rows[0, :, 4 * 3]  # after four series of each of three members
    assert np.ptp(buy) > 0.5
    assert posted["from_ces"] == pytest.approx(0.92 * buy + 0.01)
    assert posted["to_ces"] == pytest.approx(0.60 * buy * 0.99)
    assert posted["from_member"] == pytest.approx(0.60 * buy + 0.01)
    assert posted["to_member"] == pytest.approx(0.60 * buy * 0.99)
