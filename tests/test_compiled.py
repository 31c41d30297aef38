"""Matrices and HiGHS: the same optimum as Pyomo's own way, new data without a new matrix."""

import highspy
import numpy as np
import pyomo.environ as pyo
import pytest
from random_systems import random_episode, random_system

from baselines.compiled import column_name, fill, ledger_entries
from baselines.deterministic import compiled_model, first_state, horizon_of
from baselines.dispatch_ces import build_dispatch
from baselines.highs import InfeasibleError, Solver, SolverError
from baselines.window import window_data
from mmg_env.errors import InputError
from mmg_env.layout import W


def case(seed, episode_seed=None):
    """Return a random system's compiled model and the data of an episode."""
    system = random_system(seed)
    episode = random_episode(system, seed if episode_seed is None else episode_seed)
    compiled = compiled_model(system, horizon_of(system, 0, episode.steps // system.steps_per_day))
    rate = system.physics.world[W.demand_charge_per_kw]
    rates = np.full(len(set(compiled.periods)), rate)
    return system, compiled, window_data(system, first_state(system), episode.values, rates)


def by_pyomo(system, compiled, data):
    """Return the optimum of the relaxation by Pyomo's own interface."""
    dispatch = build_dispatch(system, horizon_of(system, 0, len(compiled.periods)))
    for name in dispatch.data:
        variable = dispatch.model.component(name)
        for index in variable:
            variable[index].fix(float(data[name][index]))
    pyo.TransformationFactory("core.relax_integer_vars").apply_to(dispatch.model)
    pyo.SolverFactory("appsi_highs").solve(dispatch.model)
    return pyo.value(dispatch.model.component("cost"))


@pytest.mark.parametrize("seed", range(8))
def test_the_optimum_is_that_of_pyomo(seed):
    system, compiled, data = case(seed)
    solver = Solver(compiled)
    numbers = fill(compiled, data)
    solver.load(numbers)
    answer = solver.solve_lp()
    assert answer.objective == pytest.approx(by_pyomo(system, compiled, data), rel=1e-7, abs=1e-6)
    bill = ledger_entries(compiled, numbers, answer.x)
    assert bill.sum() == pytest.approx(answer.objective, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("seed", [0, 5, 7])
def test_new_data_warm_is_new_data_cold(seed):
    _, compiled, first = case(seed)
    _, _, second = case(seed, seed + 1000)
    warm, cold = Solver(compiled), Solver(compiled)
    warm.load(fill(compiled, first))
    warm.solve_lp()
    warm.load(fill(compiled, second))
    cold.load(fill(compiled, second))
    assert warm.solve_lp().objective == pytest.approx(cold.solve_lp().objective, rel=1e-8)


def test_the_matrix_is_built_once():
    _, first, _ = case(3)
    system = random_system(3)
    horizon = horizon_of(system, 0, len(first.periods))
    assert compiled_model(system, horizon) is compiled_model(system, horizon)


@pytest.fixture(scope="module")
def small():
    _, compiled, data = case(2)
    return compiled, data


def test_missing_data_is_refused_by_name(small):
    compiled, data = small
    with pytest.raises(InputError, match="'load_kw' is missing"):
        fill(compiled, {name: values for name, values in data.items() if name != "load_kw"})


def test_data_must_be_finite(small):
    compiled, data = small
    load = data["load_kw"].copy()
    load[0, 0] = np.nan
    with pytest.raises(InputError, match="'load_kw' must be finite"):
        fill(compiled, data | {"load_kw": load})


def test_bounds_that_cross_are_refused_by_name(small):
    compiled, data = small
    limit = data["import_max_kw"].copy()
    limit[:, 3] = -5.0
    with pytest.raises(InputError, match=r"import_kw\[0, 3\] is in \[0.0, -5.0\]"):
        fill(compiled, data | {"import_max_kw": limit})


def test_a_column_is_named(small):
    compiled, _ = small
    column = int(compiled.columns["unserved_kw"][0, 4])
    assert column_name(compiled, column) == "unserved_kw[0, 4]"


def test_an_option_that_highs_does_not_know_is_refused(small):
    with pytest.raises(SolverError, match="option no_such_option"):
        Solver(small[0], {"no_such_option": 1})


def test_a_model_without_solution_says_so(small):
    compiled, data = small
    solver = Solver(compiled)
    solver.load(fill(compiled, data))
    columns = np.array([compiled.columns[name][0, 0] for name in ("unserved_kw", "spill_kw")])
    solver.set_bounds(columns, np.full(2, 0.0), np.full(2, 0.0))
    more = np.array([compiled.columns["import_kw"][0, 0]])
    solver.set_bounds(more, np.full(1, 1e5), np.full(1, 1e5))
    with pytest.raises(InfeasibleError, match=r"dispatch of random2, .* 'Infeasible'"):
        solver.solve_lp()


def test_a_time_limit_is_an_error_and_not_a_result():
    _, compiled, data = case(0)
    solver = Solver(compiled, limit_s=0.0)
    solver.load(fill(compiled, data))
    with pytest.raises(SolverError, match="Time limit reached"):
        solver.solve_lp()
    with pytest.raises(SolverError, match="Time limit reached"):
        solver.solve_mip(compiled.columns["charge_kw"].max(axis=0))


class LostOnce:
    """A HiGHS object that says once that it has lost its way."""

    def __init__(self, highs):
        self.highs = highs
        self.lost = True
        self.cleared = 0

    def __getattr__(self, name):
        return getattr(self.highs, name)

    def getModelStatus(self):  # noqa: N802 - HiGHS's name
        if self.lost:
            self.lost = False
            return highspy.HighsModelStatus.kUnknown
        return self.highs.getModelStatus()

    def clearSolver(self):  # noqa: N802 - HiGHS's name
        self.cleared += 1
        return self.highs.clearSolver()


def test_a_solve_that_loses_its_way_from_a_basis_starts_again_without_one(small):
    compiled, data = small
    solver = Solver(compiled)
    solver.load(fill(compiled, data))
    wanted = solver.solve_lp().objective
    lost = solver._highs = LostOnce(solver._highs)
    assert solver.solve_lp().objective == pytest.approx(wanted, rel=1e-9)
    assert lost.cleared == 1
