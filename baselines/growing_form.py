"""The extensive form of many scenarios, solved from the optimum of half of them.

Let B be an optimal basis of the first k scenarios side by side, x their commitments, and B_s an
optimal basis of scenario s > k when it is committed to x. Then ::

    B + B_(k + 1) + ... + B_n

is a basis of all n scenarios, and feasible: its solution is to commit to x. With many scenarios
that is nearly the best already, so the primal simplex method has little left to do. Of the risk of
`risk.py`, the excess of a new scenario's cost over eta is in the basis where it is positive, its
row where it is not.

Source: our choice; that a smaller set of scenarios is a good start is from Colombo, Gondzio &
Grothey 2011, who start interior points.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import highspy
import numpy as np
from numpy.typing import NDArray

from baselines.day_ahead import DayAhead
from baselines.extensive_form import ExtensiveForm, committed, two_stage
from baselines.highs import Answer, InfeasibleError, Solver
from baselines.programme import Programme, held
from baselines.risk import NEUTRAL, Risk, weigh
from mmg_env.errors import InputError

Statuses = NDArray[Any]

FIRST: Final = 20  # scenarios that are solved from nothing, at most
PRIMAL: Final = {"presolve": "off", "simplex_strategy": 4}
LEAST: Final = 1e-9  # probability of a scenario while only some are looked at
IN: Final = highspy.HighsBasisStatus.kBasic
LOW: Final = highspy.HighsBasisStatus.kLower


class _Stage(NamedTuple):
    """The optimum of the first scenarios.

    Attributes:
        form: these scenarios side by side.
        answer: the optimum, of the risk where something is feared.
        columns: status of each column in the basis.
        rows: status of each row.
    """

    form: ExtensiveForm
    answer: Answer
    columns: Statuses
    rows: Statuses


class _Alone(NamedTuple):
    """The optimum of one scenario that is committed to something.

    Attributes:
        cost: currency.
        columns: status of each column in the basis, (columns,).
        rows: status of each row, (rows,).
    """

    cost: float
    columns: Statuses
    rows: Statuses


def solve_growing(problem: DayAhead, risk: Risk = NEUTRAL, first: int = FIRST) -> Answer:
    """Return the optimum of `with_risk(problem, risk)`, as its own `solve` would.

    Args:
        problem: the day's problem.
        risk: of the system.
        first: number of scenarios that are solved from nothing, at most; at least 1.

    Raises:
        InputError: first is below 1.
        SolverError: HiGHS proved no optimum.
    """
    if first < 1:
        raise InputError(f"solve_growing: first is {first}; it must be at least 1")
    sizes = [len(problem.blocks)]
    while sizes[-1] > first:
        sizes.append((sizes[-1] + 1) // 2)
    stage = _next(problem, risk, sizes.pop(), None)
    while sizes:
        stage = _next(problem, risk, sizes.pop(), stage)
    return stage.answer


def _next(problem: DayAhead, risk: Risk, count: int, before: _Stage | None) -> _Stage:
    """Return the optimum of the first `count` scenarios, from that of some of them if there is."""
    form = _of_first(problem, count)
    feared = risk.beta > 0.0
    whole: Programme = form
    if feared:
        whole = weigh(form, form.costs, form.offsets, form.probability, risk)
    try:
        begin = None if before is None else _begin(problem, form, before, feared)
    except InfeasibleError:  # by rounding in the commitments
        begin = None
    solver = Solver(whole) if begin is None else Solver(whole, PRIMAL)
    solver.load(whole.numbers)
    if begin is not None:
        solver.set_basis(begin)
    answer = solver.solve_lp()
    return _Stage(form, answer, *_statuses(solver))


def _of_first(problem: DayAhead, count: int) -> ExtensiveForm:
    """Return the first scenarios side by side."""
    if count == len(problem.blocks):
        return problem.form
    weight = np.maximum(problem.form.probability[:count], LEAST)
    shared = committed(problem.compiled, problem.system)
    return two_stage(problem.compiled, problem.blocks[:count], weight / weight.sum(), shared)


def _begin(problem: DayAhead, form: ExtensiveForm, before: _Stage, feared: bool) -> Any:
    """Return a basis of more scenarios, in which new ones follow the commitments of the others."""
    old, (height, width) = before.form, form.matrix.shape
    held = old.matrix.shape
    columns = np.full(width, LOW, dtype=object)
    rows = np.full(height, IN, dtype=object)
    columns[form.column[: len(old.column)]] = before.columns[old.column]
    rows[: held[0]] = before.rows[: held[0]]  # rows of a scenario stand where they stood
    recourse = ~committed(problem.compiled, problem.system)
    edges = np.searchsorted(form.scenario, np.arange(len(form.column) + 1))
    costs = []
    for scenario, alone in enumerate(_alone(problem, before, len(form.column)), len(old.column)):
        columns[form.column[scenario, recourse]] = alone.columns[recourse]
        own = slice(edges[scenario], edges[scenario + 1])
        rows[own] = alone.rows[form.row[own]]
        costs.append(alone.cost)
    if feared:
        bad = np.array(costs) > before.answer.x[held[1]]
        excess, row = np.full(len(costs), LOW, dtype=object), np.full(len(costs), IN, dtype=object)
        excess[bad], row[bad] = IN, LOW
        columns = np.concatenate([columns, before.columns[held[1] :], excess])
        rows = np.concatenate([rows, before.rows[held[0] :], row])
    basis = highspy.HighsBasis()
    basis.col_status, basis.row_status = columns.tolist(), rows.tolist()
    basis.valid = basis.alien = True
    return basis


def _alone(problem: DayAhead, before: _Stage, count: int) -> Iterator[_Alone]:
    """Yield what each scenario from the first new one on does after the commitments so far."""
    shared = np.flatnonzero(committed(problem.compiled, problem.system))
    x = before.answer.x[before.form.column[0, shared]]
    solver = Solver(problem.compiled, {"presolve": "off"})
    for numbers in problem.blocks[len(before.form.column) : count]:
        solver.load(held(numbers, shared, x))
        cost = solver.solve_lp().objective
        yield _Alone(cost, *_statuses(solver))


def _statuses(solver: Solver) -> tuple[Statuses, Statuses]:
    """Return the status of each column and row in a solver's basis."""
    basis = solver.basis()
    return np.array(basis.col_status, dtype=object), np.array(basis.row_status, dtype=object)
