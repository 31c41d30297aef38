"""The L-shaped method of mpi-sppy on a two-stage programme, as an independent measure.

With f the mean costs of what is decided in common, g_s the costs of the rest in scenario s, ::

    min over x of  f x + sum_s p_s V_s(x),   V_s(x) = min g_s y_s,  rows and bounds of scenario s

mpi-sppy is handed one Pyomo model per scenario. Its master has one cost-to-go per scenario; it ends
when no scenario's exceeds what the master holds by more than a tolerance.

Source: Knueven et al. 2023 (mpi-sppy); Van Slyke & Wets 1969 (the method).
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from time import perf_counter
from typing import Any, Final, NamedTuple

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pyomo.contrib.benders import benders_cuts
from pyomo.core.expr.numeric_expr import LinearExpression
from scipy import sparse

from baselines.day_ahead import DayAhead
from baselines.extensive_form import committed
from baselines.programme import Programme
from baselines.solution import Stop

with redirect_stdout(StringIO()):
    from mpisppy import MPI
    from mpisppy.opt.ef import ExtensiveForm
    from mpisppy.opt.lshaped import LShapedMethod
    from mpisppy.utils.sputils import attach_root_node

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SOLVER: Final = "highs"


@dataclass(frozen=True, eq=False)
class TwoStage:
    """A two-stage programme by scenario.

    Attributes:
        scenarios: each scenario's programme alone; what is in common costs the same in all, and no
            programme has a constant cost.
        shared: numbers of the columns that are decided in common.
        probability: (scenarios,).
        offset: constant cost of the whole, currency.
    """

    scenarios: tuple[Programme, ...]
    shared: Integers
    probability: Array
    offset: float = 0.0


class Reached(NamedTuple):
    """Where the method ended.

    Attributes:
        lower: bound of the optimum, currency.
        x: (shared,) what the master decided last.
        rounds: number of masters solved.
        build_s: spent on making models, s.
        solve_s: spent on the rest, s.
    """

    lower: float
    x: Array
    rounds: int
    build_s: float
    solve_s: float


def two_stage_of(problem: DayAhead) -> TwoStage:
    """Return a day-ahead problem by scenario."""
    form = problem.form
    shared = np.flatnonzero(committed(problem.compiled, problem.system))
    programmes = []
    for number, block in enumerate(problem.blocks):
        cost = block.cost.copy()
        cost[shared] = form.numbers.cost[form.column[0, shared]]
        numbers = replace(block, cost=cost, offset=0.0)
        programmes.append(Programme(f"scenario {number}", problem.compiled.matrix, numbers))
    return TwoStage(tuple(programmes), shared, form.probability, form.numbers.offset)


def lshaped(problem: TwoStage, tolerance: float, stop: Stop) -> Reached:
    """Solve a two-stage programme by the L-shaped method of mpi-sppy, in one process.

    Args:
        problem: the programme.
        tolerance: of each scenario's cost-to-go, currency.
        stop: most rounds, and the time after which no further round begins.
    """
    options = {
        "root_solver": SOLVER,
        "sp_solver": SOLVER,
        "root_solver_options": {"threads": 1},
        "sp_solver_options": {"threads": 1},
        "tol": tolerance,
        "max_iter": stop.iterations,
        "verbose": False,
    }
    names, create = _handed_over(problem)
    with _alone():
        began = perf_counter()
        method = _Timed(options, names, create)
        method.build_s = perf_counter() - began
        method.lshaped_algorithm(_ends_after(stop.time_s))
        spent = perf_counter() - began
    return Reached(
        float(method._LShaped_bound) + problem.offset,
        np.array([pyo.value(x) for x in method.root_vars]),
        method.iter + 1,
        method.build_s,
        spent - method.build_s,
    )


def side_by_side(problem: TwoStage) -> float:
    """Return the optimum as the extensive form of mpi-sppy has it, currency."""
    names, create = _handed_over(problem)
    with _alone():
        whole = ExtensiveForm({"solver": SOLVER}, names, create)
        whole.solve_extensive_form()
    return float(whole.get_objective_value()) + problem.offset


@contextmanager
def _alone() -> Iterator[None]:
    """Let mpi-sppy work in one process and say nothing; what that changes elsewhere is restored.

    Pyomo's cuts ask for mpi4py even where there is one process; mpi-sppy's stand-in will do.
    """
    logger = logging.getLogger("mpisppy")
    before = benders_cuts.mpi4py_available, benders_cuts.MPI, logger.level
    benders_cuts.mpi4py_available, benders_cuts.MPI = True, MPI
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        benders_cuts.mpi4py_available, benders_cuts.MPI, level = before
        logger.setLevel(level)


class _Timed(LShapedMethod):  # type: ignore[misc]  # mpi-sppy has no types
    """Counts the time that goes into models."""

    build_s = 0.0

    def create_root(self) -> None:
        """Make the master."""
        began = perf_counter()
        super().create_root()
        self.build_s += perf_counter() - began

    def create_subproblem(self, scenario_name: str) -> Any:
        """Make a scenario's model, and bound its cost from below."""
        began = perf_counter()
        made = super().create_subproblem(scenario_name)
        self.build_s += perf_counter() - began
        return made


def _ends_after(time_s: float) -> Callable[..., Any]:
    """Return what mpi-sppy asks after each round whether to go on."""
    began = perf_counter()

    class Clock:
        def __init__(self, *_: Any) -> None:
            """Take what mpi-sppy tells of itself."""

        def convergence_value(self) -> None:
            """Compute nothing."""

        def is_converged(self) -> bool:
            """Return whether time is up."""
            return perf_counter() - began > time_s

    return Clock


def _handed_over(problem: TwoStage) -> tuple[list[str], Callable[[str], Any]]:
    """Return the scenarios' names, and what makes the model of one."""
    names = [f"scenario{number}" for number in range(len(problem.scenarios))]
    by_name = dict(zip(names, range(len(names)), strict=True))

    def create(name: str) -> Any:
        number = by_name[name]
        model = _model(name, problem.scenarios[number], problem.shared)
        model._mpisppy_probability = float(problem.probability[number])
        return model

    return names, create


def _model(name: str, programme: Programme, shared: Integers) -> Any:
    """Return one scenario's programme in Pyomo, with what is in common declared."""
    n = programme.numbers
    model = pyo.ConcreteModel(name)
    model.x = pyo.Var(range(len(n.cost)))
    for variable, low, high in zip(model.x.values(), n.lower, n.upper, strict=True):
        variable.setlb(_bound(low))
        variable.setub(_bound(high))
    every = list(model.x.values())
    rows = sparse.csr_array(programme.matrix)
    model.rows = pyo.ConstraintList()
    for row, (low, high) in enumerate(zip(n.row_lower, n.row_upper, strict=True)):
        part = slice(rows.indptr[row], rows.indptr[row + 1])
        body = _sum(every, rows.indices[part], rows.data[part])
        model.rows.add((low, body, low) if low == high else (_bound(low), body, _bound(high)))
    rest = np.setdiff1d(np.flatnonzero(n.cost), shared)
    first = _sum(every, shared, n.cost[shared])
    model.cost = pyo.Objective(expr=first + _sum(every, rest, n.cost[rest]))
    attach_root_node(model, first, [model.x[int(column)] for column in shared])
    return model


def _sum(variables: list[Any], columns: Integers, weights: Array) -> Any:
    """Return a weighted sum of variables."""
    chosen = [variables[column] for column in columns]
    return LinearExpression(constant=0.0, linear_coefs=weights.tolist(), linear_vars=chosen)


def _bound(value: float) -> float | None:
    """Return a bound as Pyomo has it: none is None."""
    return float(value) if np.isfinite(value) else None
