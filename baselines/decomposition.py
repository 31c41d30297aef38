"""Scenarios that leave a common trunk, solved by cuts instead of side by side.

The last scenario is the trunk. Every other one, a branch, decides as the trunk does until it is
told apart, and then for itself. With x the trunk's decisions and V_k(x) what branch k still costs
after them, the extensive form of the scenarios is ::

    min over x of  sum_d weight_d cost_d x_d + sum_k p_k V_k(x)

where decision d counts for all who share it: weight_d = 1 - sum of p_k over the branches that have
left when d is taken. V_k is convex, and a linear programme gives its value and slope at any x,
hence a cut V_k >= V_k(x) + slope (x' - x). The trunk with the cuts so far bounds the optimum from
below, whenever one stops. New cuts are taken halfway between its solution and the best x so far.

The effort grows with the number of branches only, where that of the extensive form as one
programme grows much faster.

Source: Van Slyke & Wets 1969 (L-shaped method), a cut per scenario as in Birge & Louveaux 1988;
Ben-Ameur & Neto 2007 (cuts from between).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Compiled, Numbers, Sparse
from baselines.extensive_form import deciding_step, last_decided
from baselines.highs import Solver, SolverError
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

GAP: Final = 3e-4  # relative, at which cuts stop
ROUNDS: Final = 100
# Rows that link a branch to the trunk are widened by this (kW, kWh), so that rounding in the
# trunk's decisions leaves it a solution. Wider rows only lower the cost, by less than a cent.
SLACK: Final = 1e-6
ROUNDING: Final = 1e-8  # slopes below this are none; the solver takes no smaller numbers


class Value(NamedTuple):
    """An optimal expected cost of linear programmes lies in lower..upper, currency."""

    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class _Programme:
    """A linear programme as the solver takes it."""

    name: str
    matrix: Sparse
    lower: Array
    upper: Array
    row_lower: Array
    row_upper: Array


class _Branch:
    """What a scenario still decides from the step on at which it is told apart.

    Attributes:
        shared: columns of the trunk that its rows contain.
        offset: constant cost.
    """

    def __init__(
        self, compiled: Compiled, numbers: Numbers, decided: Integers, step: int, name: str
    ) -> None:
        """Cut the scenario's model at a step."""
        rows = np.flatnonzero(last_decided(compiled, decided) >= step)
        own = np.flatnonzero(decided >= step)
        matrix = sparse.csc_array(sparse.csr_array(compiled.matrix)[rows])
        before = np.flatnonzero((decided < step) & (np.diff(matrix.indptr) > 0))
        self.shared = before
        self.offset = numbers.offset
        self._shared_matrix = sparse.csr_array(matrix[:, before])
        slack = SLACK * (np.diff(self._shared_matrix.indptr) > 0)
        self._numbers = Numbers(
            numbers.lower[own],
            numbers.upper[own],
            numbers.row_lower[rows] - slack,
            numbers.row_upper[rows] + slack,
            numbers.cost[own],
            0.0,
            np.zeros(0),
            np.zeros(0),
        )
        self._solver = Solver(_programme(name, matrix[:, own], self._numbers))

    def value(self, x: Array) -> tuple[float, Array]:
        """Return what is still to be paid after the trunk's decisions, and its slope in `shared`.

        Args:
            x: (columns,) the trunk's decisions.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        taken = self._shared_matrix @ x[self.shared]
        n = self._numbers
        low, high = n.row_lower - taken, n.row_upper - taken
        self._solver.load(replace(n, row_lower=low, row_upper=high))
        answer = self._solver.solve_lp()
        slope = -(self._shared_matrix.T @ answer.row_dual)
        return answer.objective, np.where(np.abs(slope) < ROUNDING, 0.0, slope)


def expected_cost(
    compiled: Compiled,
    system: System,
    blocks: Sequence[Numbers],
    probability: Array,
    steps: Integers,
    gap: float = GAP,
) -> Value:
    """Return the expected cost of scenarios that are told from the last one step by step.

    Args:
        compiled: the model of one scenario.
        system: whose model it is.
        blocks: its numbers in each scenario; up to its step a branch has those of the last one.
        probability: (scenarios,).
        steps: (scenarios - 1,) step before which each branch is told from the trunk.
        gap: relative gap at which to stop.

    Raises:
        SolverError: HiGHS proved no optimum, or the gap did not close.
    """
    decided = deciding_step(compiled, system)
    trunk, share = blocks[-1], probability[:-1]
    branches = [
        _Branch(compiled, numbers, decided, int(step), f"branch {k} of {compiled.name}")
        for k, (numbers, step) in enumerate(zip(blocks, steps, strict=False))
    ]
    left = np.array([share[steps <= d].sum() for d in range(-1, compiled.steps + 1)])
    cost = trunk.cost * (1.0 - left[decided + 1])
    offset = float(probability @ np.array([block.offset for block in blocks]))
    columns = len(cost)
    master = _master(compiled, trunk, np.concatenate([cost, share]), offset)
    alone = Solver(compiled)
    alone.load(trunk)
    best, x = np.inf, alone.solve_lp().x
    middle = best_x = x
    lower = -np.inf
    for _ in range(ROUNDS):
        values, slopes = zip(*(branch.value(middle) for branch in branches), strict=True)
        paid = offset + float(cost @ middle + share @ np.array(values))
        if paid < best:
            best, best_x = paid, middle
        if best - lower <= gap * abs(best):
            return Value(lower, best)
        _add_cuts(master, branches, middle, np.array(values), slopes)
        answer = master.solve_lp()
        lower, x = answer.objective, answer.x[:columns]
        middle = 0.5 * (best_x + x)
    raise SolverError(f"model {compiled.name}: {ROUNDS} rounds of cuts left {lower} ... {best}")


def _programme(name: str, matrix: Sparse, numbers: Numbers) -> _Programme:
    """Return a programme with a model's numbers."""
    n = numbers
    return _Programme(name, sparse.csr_array(matrix), n.lower, n.upper, n.row_lower, n.row_upper)


def _master(compiled: Compiled, trunk: Numbers, cost: Array, offset: float) -> Solver:
    """Return the trunk, with a column for what each branch costs."""
    rows, columns = compiled.matrix.shape
    free = np.full(len(cost) - columns, np.inf)
    numbers = replace(
        trunk,
        lower=np.concatenate([trunk.lower, -free]),
        upper=np.concatenate([trunk.upper, free]),
        cost=cost,
        offset=offset,
    )
    nothing = sparse.csr_array((rows, len(free)))
    matrix = sparse.hstack([compiled.matrix, nothing], format="csr")
    solver = Solver(_programme(f"trunk of {compiled.name}", matrix, numbers))
    solver.load(numbers)
    return solver


def _add_cuts(
    master: Solver,
    branches: Sequence[_Branch],
    x: Array,
    values: Array,
    slopes: Sequence[Array],
) -> None:
    """Say that no branch costs less than its tangent at x."""
    first = master.columns - len(branches)
    sizes = [len(slope) for slope in slopes]
    count = np.arange(len(branches))
    rows = np.concatenate([np.repeat(count, sizes), count])
    at = np.concatenate([*(branch.shared for branch in branches), first + count])
    entries = np.concatenate([*(-slope for slope in slopes), np.ones(len(branches))])
    low = values - [s @ x[b.shared] for s, b in zip(slopes, branches, strict=True)]
    shape = (len(branches), master.columns)
    matrix = sparse.csr_array((entries, (rows, at)), shape=shape)
    matrix.eliminate_zeros()
    master.add(np.zeros(0), low, np.full(len(low), np.inf), matrix)
