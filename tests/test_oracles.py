"""Two-stage programmes as others solve them: mpi-sppy, PyROS, and scipy on every scenario."""

import itertools
import logging

import numpy as np
import pyomo.environ as pyo
import pytest
from houses import problem_of, rounds
from pyomo.contrib import pyros
from scipy import sparse
from scipy.optimize import linprog
from test_cuts import PLANTING, PROFIT, SEASONS, YIELDS, by_cuts, farmer

from baselines.compact_benders import benders
from baselines.cuts import Separation
from baselines.day_ahead import with_risk
from baselines.extensive_form import committed
from baselines.programme import Programme, numbers_of
from baselines.risk import NEUTRAL, Risk
from baselines.solution import Stop
from baselines.value_of_information import committed_to
from experiments.lshaped import TwoStage, lshaped, side_by_side, two_stage_of
from mmg_env import load_system, sample_episode

ENOUGH = Stop(1e-6, 100, np.inf)
MEAN_SEASON = -107_240.0  # cost of the plan for the mean season; Birge & Louveaux 2011, section 1.1
WORST = Risk(beta=1.0, alpha=0.999)


def seasons():
    """Return the farmer's problem by season, as others take it."""
    alone = [farmer([season])[0] for season in SEASONS]
    return TwoStage(tuple(alone), np.arange(3), np.full(3, 1.0 / 3.0))


@pytest.fixture(scope="module")
def small():
    """Return a day of four steps, with three scenarios that are not equally likely."""
    system = load_system("s2_crh", {"dt_h": 6.0})
    return problem_of(system, sample_episode(system, "test", 0), 3, (0.2, 0.3, 0.5))


@pytest.fixture(scope="module")
def theirs(small):
    """Return where mpi-sppy ends on that day."""
    return lshaped(two_stage_of(small), 1e-6, ENOUGH)


def by_scipy(programme):
    """Return the optimum of a programme as scipy's own call of a solver finds it."""
    n = programme.numbers
    matrix = programme.matrix.tocsr()
    low, high = np.isfinite(n.row_lower), np.isfinite(n.row_upper)
    same = low & high & (n.row_lower == n.row_upper)
    above, below = low & ~same, high & ~same
    found = linprog(
        n.cost,
        A_ub=sparse.vstack([-matrix[above], matrix[below]]),
        b_ub=np.concatenate([-n.row_lower[above], n.row_upper[below]]),
        A_eq=matrix[same],
        b_eq=n.row_lower[same],
        bounds=np.stack([n.lower, n.upper], axis=1),
        method="highs-ipm",
    )
    assert found.success
    return found.fun + n.offset


# The farmer


def test_the_farmer_earns_the_same_by_our_cuts_and_by_those_of_mpi_sppy():
    ours = by_cuts(*farmer(), Stop(1e-9, 200), Separation())
    theirs = lshaped(seasons(), 1e-6, ENOUGH)
    assert theirs.rounds < ENOUGH.iterations
    assert theirs.lower == pytest.approx(ours.upper, rel=1e-6)
    assert -theirs.lower == pytest.approx(PROFIT, abs=0.5)
    assert side_by_side(seasons()) == pytest.approx(ours.upper, rel=1e-6)
    assert theirs.x == pytest.approx(ours.x, abs=1e-3)


def test_planning_for_the_mean_season_costs_the_same_by_mpi_sppy():
    (mean, _), given = farmer([1.0]), seasons()
    acres = lshaped(TwoStage((mean,), np.arange(3), np.ones(1)), 1e-6, ENOUGH).x
    assert acres == pytest.approx(mean.solve().x[:3], abs=1e-3)
    fixed = TwoStage(
        tuple(fix(programme, acres) for programme in given.scenarios),
        given.shared,
        given.probability,
    )
    assert side_by_side(fixed) == pytest.approx(MEAN_SEASON, abs=0.5)


def fix(programme, x):
    """Return a programme with its first columns fixed."""
    n = programme.numbers
    lower, upper = n.lower.copy(), n.upper.copy()
    lower[: len(x)] = upper[: len(x)] = x
    numbers = numbers_of(lower, upper, n.row_lower, n.row_upper, n.cost)
    return Programme(programme.name, programme.matrix, numbers)


# A day


def test_a_day_costs_the_same_by_everybody(small, theirs):
    wanted = small.form.solve().objective
    ours, _, _ = benders(small, "hour", NEUTRAL, rounds(50), Separation(1.0))
    assert theirs.rounds < ENOUGH.iterations
    apart = side_by_side(two_stage_of(small))
    for value in (ours.lower, ours.upper, theirs.lower, apart, by_scipy(small.form)):
        assert value == pytest.approx(wanted, rel=1e-6)


def test_what_mpi_sppy_commits_to_costs_no_more(small, theirs):
    x = np.zeros(small.compiled.matrix.shape[1])
    x[committed(small.compiled, small.system)] = theirs.x
    planned = committed_to(small, x).solve().objective
    assert planned == pytest.approx(small.form.solve().objective, rel=1e-6)


@pytest.mark.parametrize("risk", [Risk(0.3, 0.5), Risk(1.0, 0.6)])
def test_risk_is_the_same_by_scipy(small, risk):
    ours, _, _ = benders(small, "hour", risk, rounds(50), Separation(1.0))
    assert by_scipy(with_risk(small, risk)) == pytest.approx(ours.upper, rel=1e-6)


# The worst


def of_the_worst(problem):
    """Return the least cost of the worst scenario, stated with one number above all costs."""
    form, n = problem.form, problem.form.numbers
    costs, count = sparse.csr_array(form.costs), len(form.offsets)
    rows = form.matrix.shape[0]
    matrix = sparse.block_array(
        [[form.matrix, sparse.csr_array((rows, 1))], [costs, -np.ones((count, 1))]]
    )
    whole = numbers_of(
        np.append(n.lower, -np.inf),
        np.append(n.upper, np.inf),
        np.concatenate([n.row_lower, np.full(count, -np.inf)]),
        np.concatenate([n.row_upper, -form.offsets]),
        np.append(np.zeros(len(n.cost)), 1.0),
    )
    return by_scipy(Programme("worst", matrix, whole))


def test_who_fears_the_worst_alone_pays_for_the_worst_scenario(small):
    wanted = of_the_worst(small)
    ours, _, _ = benders(small, "hour", WORST, rounds(50), Separation(1.0))
    assert ours.lower == pytest.approx(wanted, rel=1e-6)
    assert ours.upper == pytest.approx(wanted, rel=1e-6)
    assert wanted > small.form.solve().objective


def test_the_farmer_who_fears_the_worst_earns_what_pyros_says():
    """PyROS is told of the season only that it is one of three."""
    ours = by_cuts(*farmer(), Stop(1e-9, 200), Separation(), WORST)
    model = farmer_who_knows_no_odds()
    solver = pyo.SolverFactory("highs")
    found = pyros.PyROS().solve(
        model=model,
        first_stage_variables=[*model.acres.values(), model.cost],
        second_stage_variables=[],
        uncertain_params=[model.season],
        uncertainty_set=pyros.DiscreteScenarioSet([(float(season),) for season in SEASONS]),
        local_solver=solver,
        global_solver=solver,
        objective_focus=pyros.ObjectiveType.worst_case,
        solve_master_globally=True,
        progress_logger=silent(),
    )
    assert found.pyros_termination_condition is pyros.pyrosTerminationCondition.robust_optimal
    assert found.final_objective_value == pytest.approx(ours.upper, rel=1e-6)
    assert found.final_objective_value > -PROFIT


def silent():
    """Return a logger that says nothing."""
    logger = logging.getLogger("pyros in a test")
    logger.setLevel(logging.CRITICAL)
    return logger


def farmer_who_knows_no_odds():
    """Return the farmer's problem with each crop's trade as the dearer of two prices."""
    model = pyo.ConcreteModel()
    model.season = pyo.Param(initialize=1.0, mutable=True)
    model.acres = pyo.Var(range(3), bounds=(0.0, 500.0), initialize=0.0)
    model.land = pyo.Constraint(expr=sum(model.acres.values()) <= 500.0)
    model.cost = pyo.Var(initialize=1e6)
    grown = [YIELDS[crop] * model.season * model.acres[crop] for crop in range(3)]
    trades = (
        (238.0 * (200.0 - grown[0]), 170.0 * (200.0 - grown[0])),
        (210.0 * (240.0 - grown[1]), 150.0 * (240.0 - grown[1])),
        (-36.0 * grown[2], -36.0 * 6000.0 - 10.0 * (grown[2] - 6000.0)),
    )
    planting = sum(PLANTING[crop] * model.acres[crop] for crop in range(3))
    model.pieces = pyo.ConstraintList()
    for trade in itertools.product(*trades):
        model.pieces.add(planting + sum(trade) <= model.cost)
    model.objective = pyo.Objective(expr=model.cost)
    return model
