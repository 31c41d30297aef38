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
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Compiled, Numbers
from baselines.cuts import Cuts, Cutting, close
from baselines.extensive_form import deciding_step, last_decided
from baselines.highs import Solver, SolverError
from baselines.programme import Programme, numbers_of, widened
from baselines.solution import Stop
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

GAP: Final = 3e-4  # relative, at which cuts stop
ROUNDS: Final = 100
# Rows that link a branch to the trunk are widened by this (kW, kWh), so that rounding in the
# trunk's decisions leaves it a solution. Wider rows only lower the cost, by less than a cent.
SLACK: Final = 1e-6


class Value(NamedTuple):
    """An optimal expected cost of linear programmes lies in lower..upper, currency."""

    lower: float
    upper: float


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
        self._numbers = numbers_of(
            numbers.lower[own],
            numbers.upper[own],
            numbers.row_lower[rows] - slack,
            numbers.row_upper[rows] + slack,
            numbers.cost[own],
        )
        self._solver = Programme(name, sparse.csr_array(matrix[:, own]), self._numbers).solver()

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
        return answer.objective, slope


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
    own = replace(trunk, cost=cost, offset=offset)
    free = np.full(len(share), np.inf)
    master = widened(
        Programme(f"trunk of {compiled.name}", compiled.matrix, own), -free, free, share
    )
    alone = Solver(compiled)
    alone.load(trunk)

    def respond(x: Array) -> Cuts:
        return _answers(branches, x)

    def paid(x: Array, values: Array) -> float:
        return offset + float(cost @ x + share @ values)

    theta = len(cost) + np.arange(len(share))
    start, stop = alone.solve_lp().x, Stop(gap, ROUNDS, np.inf)
    found = close(Cutting(master.solver(), theta, respond, paid), start, stop)
    if not found.within(gap):
        bounds = f"{found.lower} ... {found.upper}"
        raise SolverError(f"model {compiled.name}: {ROUNDS} rounds of cuts left {bounds}")
    return Value(found.lower, found.upper)


def _answers(branches: Sequence[_Branch], x: Array) -> Cuts:
    """Return what every branch costs after the trunk's decisions, and its slope in all of them."""
    values, slopes = zip(*(branch.value(x) for branch in branches), strict=True)
    which = np.repeat(np.arange(len(branches)), [len(slope) for slope in slopes])
    at = np.concatenate([branch.shared for branch in branches])
    shape = (len(branches), len(x))
    return Cuts(
        np.array(values), sparse.csr_array((np.concatenate(slopes), (which, at)), shape=shape)
    )
