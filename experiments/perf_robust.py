"""The command `mmg perf robust`: column and constraint generation beside PyROS, and its seconds.

PyROS decides with recourse that is affine in the moves, so what it finds costs no less. It takes no
binaries: on the small case that both solve, the commitment of the unit may lie between 0 and 1. Its
seconds include those of Pyomo, in which its models are stated.

Source: Isenberg et al. 2021 (PyROS); the comparison is our choice.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from time import perf_counter
from typing import Any, Final, NamedTuple

import numpy as np
import pyomo.environ as pyo
import typer
from numpy.typing import NDArray
from pyomo.common.tee import capture_output
from pyomo.contrib import pyros
from scipy import sparse

from baselines.programme import Programme
from baselines.robust.adversary import Alternating, Exact
from baselines.robust.column_generation import ColumnGeneration
from baselines.robust.day_ahead import alone
from baselines.robust.deviations import Budgets, around, shares
from baselines.robust.master import Master
from baselines.robust.problem import RobustProblem, Scene
from baselines.robust.sets import UncertaintySet
from baselines.robust.typical_days import expected_days, problem_of_days, typical_problem
from baselines.solution import Stop
from mmg_env.system import System, load_system

Array = NDArray[np.float64]
Expression = Any  # Pyomo ships no types

SUITE: Final = "s1_3mg"
GAP: Final = 1e-3
SMALL_GAP: Final = 1e-6
"""Of the small case, so that what affine rules cost more can be seen."""
SMALL_DT_H: Final = 6.0
DEVIATING: Final = (0, 1, 2, 3)
"""Steps of the small case whose load deviates."""
BUDGET_H: Final = 6.0
RATIO_WANTED: Final = 50.0
WANTED_S: Final = 5.0
REPEATS: Final = 3
"""The quick side of the comparison is measured so often; the median counts."""
MOST_ROUNDS: Final = 100
HEAD: Final = (
    f"{'case':<38}{'method':<14}{'seconds':>9}{'rounds':>8}{'lower':>14}{'upper':>14}{'gap':>10}"
)


class Row(NamedTuple):
    """One measurement.

    Attributes:
        case: what is solved.
        method: how.
        seconds: with the making of what solves it, s.
        rounds: of it.
        lower: bound of the optimum, currency; NaN where the method has none.
        upper: what the decision costs at the worst, currency; NaN where that is not proven.
    """

    case: str
    method: str
    seconds: float
    rounds: int
    lower: float
    upper: float

    @property
    def gap(self) -> float:
        """Relative gap between the bounds."""
        return (self.upper - self.lower) / max(1.0, abs(self.upper))

    def line(self) -> str:
        """Return the measurement as a line of the table."""
        return (
            f"{self.case:<38}{self.method:<14}{self.seconds:>9.3f}{self.rounds:>8}"
            f"{_money(self.lower):>14}{_money(self.upper):>14}{_share(self.gap):>10}"
        )


def _money(value: float) -> str:
    return f"{value:,.1f}" if np.isfinite(value) else "-"


def _share(value: float) -> str:
    return f"{value:.1e}" if np.isfinite(value) else "-"


def _percent(value: float) -> str:
    return f"{100.0 * value:.3f} %" if np.isfinite(value) else "nobody knows how much"


def compare_robust(limit_s: float) -> None:
    """Print how long robust days take.

    Args:
        limit_s: time after which a method is given up, s.
    """
    typer.echo(HEAD)
    problem = small_case(load_system(SUITE, {"dt_h": SMALL_DT_H}))
    case = f"{SUITE}, one member, {len(DEVIATING)} moving steps"
    own = _middle([by_generation(problem, case, SMALL_GAP, limit_s) for _ in range(REPEATS)])
    typer.echo(own.line())
    other = by_pyros(problem, case, limit_s)
    typer.echo(other.line())
    rows = list(_told(members(load_system(SUITE), limit_s)))
    at_least = "" if np.isfinite(other.upper) else "more than "
    typer.echo(
        f"PyROS / C&CG  {at_least}{other.seconds / own.seconds:.0f}  "
        f"(wanted: at least {RATIO_WANTED:.0f}); affine rules cost "
        f"{_percent(other.upper / own.upper - 1.0)} more; PyROS' seconds include Pyomo's overhead"
    )
    slowest = max(row.seconds for row in rows)
    closed = sum(row.gap <= GAP for row in rows)
    typer.echo(
        f"{closed} of {len(rows)} days closed to {100 * GAP:g} %, the slowest in {slowest:.1f} s  "
        f"(wanted: all, at most {WANTED_S:.0f})"
    )


def _told(rows: Iterator[Row]) -> Iterator[Row]:
    """Print rows as they come."""
    for row in rows:
        typer.echo(row.line())
        yield row


def _middle(rows: list[Row]) -> Row:
    """Return the row of median time."""
    return sorted(rows, key=lambda row: row.seconds)[len(rows) // 2]


def small_case(system: System) -> RobustProblem:
    """Return the first member's most likely winter day, whose load may deviate in few steps."""
    member = alone(system, 0)
    rows, probability = expected_days(member)
    day = rows[probability.argmax()]
    width = np.zeros((len(day), 4))
    width[list(DEVIATING), 2] = shares(member, day)[list(DEVIATING), 2]
    uncertain = around(member, width, Budgets(0.0, 0.0, BUDGET_H, 0.0))
    problem = problem_of_days(member, day[None], [uncertain], np.ones(1))
    return replace(problem, whole=np.zeros(0, dtype=np.int64))


def members(system: System, limit_s: float) -> Iterator[Row]:
    """Yield what the robust day of each member alone takes, with all typical days as scenes."""
    for number, member in enumerate(system.config.members):
        problem = typical_problem(alone(system, number))
        case = f"{member.name}, {system.steps_per_day} steps, {len(problem.scenes)} scenes"
        yield by_generation(problem, case, GAP, limit_s)


def by_generation(problem: RobustProblem, case: str, gap: float, limit_s: float) -> Row:
    """Measure column and constraint generation with the exact adversary."""
    began = perf_counter()
    exact = Exact(problem, gap=gap / 2, limit_s=limit_s)
    master = Master(problem, Stop(gap=gap / 5))
    loop = ColumnGeneration(problem, master, Alternating(problem), exact)
    found = loop.run(Stop(gap, MOST_ROUNDS, limit_s))
    proven = found.trace[-1].upper_kind == "proven"
    upper = found.upper if proven else np.nan
    return Row(case, "C&CG", perf_counter() - began, len(found.trace), found.lower, upper)


def by_pyros(problem: RobustProblem, case: str, limit_s: float) -> Row:
    """Measure PyROS with affine rules on a problem of one scene without binaries."""
    (scene,) = problem.scenes
    return affine_rules(scene, problem.first, polyhedron(scene.uncertain), case, limit_s)


def affine_rules(
    scene: Scene, first: NDArray[np.int64], uncertain: Any, case: str, limit_s: float
) -> Row:
    """Measure PyROS on one scene.

    Args:
        scene: its programme has no binaries.
        first: columns of the first stage.
        uncertain: a set of moves as PyROS states it.
        case: for the row.
        limit_s: time after which it is stopped, s.
    """
    began = perf_counter()
    model = stated(scene)
    decided = set(first.tolist())
    free = [column for column in model.x if not model.x[column].fixed]
    solver = pyo.SolverFactory("appsi_highs")
    # The solver underneath warns of coefficients that are rounding.
    with capture_output(capture_fd=True):
        found = pyros.PyROS().solve(
            model=model,
            first_stage_variables=[model.x[column] for column in free if column in decided],
            second_stage_variables=[model.x[column] for column in free if column not in decided],
            uncertain_params=[model.z],
            uncertainty_set=uncertain,
            local_solver=solver,
            global_solver=solver,
            decision_rule_order=1,
            objective_focus=pyros.ObjectiveType.worst_case,
            solve_master_globally=True,
            nominal_uncertain_param_vals=[0.0] * scene.push.shape[1],
            time_limit=limit_s,
            progress_logger=_silent(),
        )
    done = found.pyros_termination_condition is pyros.pyrosTerminationCondition.robust_optimal
    upper = found.final_objective_value if done else np.nan
    return Row(case, "PyROS, affine", perf_counter() - began, found.iterations, np.nan, upper)


def _silent() -> logging.Logger:
    """Return a logger that says nothing."""
    logger = logging.getLogger("mmg.pyros")
    logger.setLevel(logging.CRITICAL + 1)
    return logger


def polyhedron(uncertain: UncertaintySet) -> Any:
    """Return the moves of a continuous set as PyROS states them."""
    count = uncertain.moves.shape[1]
    groups = np.unique(uncertain.group)
    used = (uncertain.group == groups[:, None]).astype(float)
    sides = np.vstack([-np.eye(count), np.eye(count), used])
    limits = np.concatenate([np.zeros(count), np.ones(count), uncertain.budget[groups]])
    return pyros.PolyhedralSet(sides.tolist(), limits.tolist())


def stated(scene: Scene) -> Any:
    """Return a scene as a Pyomo model: columns `x`, and moves `z` as uncertain parameters."""
    programme, numbers = scene.programme, scene.programme.numbers
    model = pyo.ConcreteModel()
    model.z = pyo.Param(range(scene.push.shape[1]), initialize=0.0, mutable=True)
    model.x = pyo.Var(range(len(numbers.cost)))
    for column, variable in model.x.items():
        low, high = float(numbers.lower[column]), float(numbers.upper[column])
        # PyROS takes infinite bounds for rows.
        variable.setlb(low if np.isfinite(low) else None)
        variable.setub(high if np.isfinite(high) else None)
        variable.set_value(float(np.clip(0.0, low, high)))
        if low == high:
            variable.fix()
    model.rows = pyo.ConstraintList()
    for row, expression in enumerate(_differences(model, programme, scene)):
        low, high = float(numbers.row_lower[row]), float(numbers.row_upper[row])
        if low == high:
            model.rows.add(expression == low)
            continue
        if np.isfinite(low):
            model.rows.add(expression >= low)
        if np.isfinite(high):
            model.rows.add(expression <= high)
    cost = sum(float(c) * model.x[k] for k, c in enumerate(numbers.cost) if c)
    model.cost = pyo.Objective(expr=cost + numbers.offset)
    return model


def _differences(model: Any, programme: Programme, scene: Scene) -> Iterator[Expression]:
    """Yield each row less what moves push it by."""
    matrix, push = sparse.csr_array(programme.matrix), sparse.csr_array(scene.push)
    for row in range(matrix.shape[0]):
        yield _of_row(matrix, row, model.x) - _of_row(push, row, model.z)


def _of_row(matrix: Any, row: int, values: Any) -> Expression:
    """Return one row of a matrix times values of Pyomo."""
    part = slice(matrix.indptr[row], matrix.indptr[row + 1])
    entries = zip(matrix.indices[part].tolist(), matrix.data[part].tolist(), strict=True)
    return sum(entry * values[column] for column, entry in entries)
