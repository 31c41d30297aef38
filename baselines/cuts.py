"""A convex problem solved by cuts: a master that decides, and parts that answer what it costs.

With x the master's decisions and V_g(x) what group g of the parts costs after them, convex in x, ::

    min over x of  F(x, V_1(x), V_2(x), ...)

F rises with every V. A part answers x' with its value and a slope, hence a cut
V_g >= V_g(x') + slope (x - x'). The master, in which theta_g stands for V_g, with the cuts so far
bounds the optimum from below; every x' at which the parts have answered bounds it from above.

Cuts are taken on the way from the best x so far to the master's solution. Those at the master's
solution itself (a share of 1) jump about in many dimensions; half-way is calmer. A core point adds
cuts where the master's solution has been on average.

Source: Benders 1962; Van Slyke & Wets 1969; Ben-Ameur & Neto 2007 (cuts from between); Papadakos
2008 (cuts at a core point, after Magnanti & Wong 1981).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Sparse
from baselines.highs import Solver
from baselines.solution import Iteration, Stop

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


class Cuts(NamedTuple):
    """What the parts answered.

    Attributes:
        values: (groups,) V_g at the point, currency.
        slopes: (groups, decisions) sparse.
    """

    values: Array
    slopes: Sparse


@dataclass(frozen=True)
class Separation:
    """Where cuts are taken.

    Attributes:
        share: of the way from the best point to the master's solution, above 0, at most 1.
        core: whether there are cuts at a core point, too.
    """

    share: float = 0.5
    core: bool = False


HALFWAY: Final = Separation()
ROUNDING: Final = 1e-9  # slopes up to this are none; the solver takes no smaller numbers


class Closed(NamedTuple):
    """Where cuts ended.

    Attributes:
        x: (decisions,) the best point.
        lower: bound of the optimum.
        upper: cost of the best point.
        trace: one entry per round.
    """

    x: Array
    lower: float
    upper: float
    trace: tuple[Iteration, ...]

    def within(self, gap: float) -> bool:
        """Return whether the bounds have met."""
        return closes(self.lower, self.upper, gap)


def closes(lower: float, upper: float, gap: float) -> bool:
    """Return whether bounds lie within a gap, relative to the larger of cost and 1."""
    return upper < np.inf and upper - lower <= gap * max(1.0, abs(upper))


@dataclass(frozen=True)
class Cutting:
    """A problem that is solved by cuts.

    Attributes:
        master: holds the programme of decisions and thetas; receives the cuts.
        theta: (groups,) columns of the thetas; the decisions stand before them.
        respond: returns what the parts answer to (decisions,).
        paid: returns F at (decisions,) and (groups,) values.
    """

    master: Solver
    theta: Integers
    respond: Callable[[Array], Cuts]
    paid: Callable[[Array, Array], float]


def close(cutting: Cutting, start: Array, stop: Stop, separation: Separation = HALFWAY) -> Closed:
    """Cut until the bounds have met, or for as long as is allowed.

    Args:
        cutting: the problem.
        start: (decisions,) a solution to begin with.
        stop: when to end.
        separation: where to cut.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    began = time.perf_counter()
    lower, upper = -np.inf, np.inf
    best = point = core = start
    trace: list[Iteration] = []
    for number in range(stop.iterations):
        cuts = cutting.respond(point)
        cost = cutting.paid(point, cuts.values)
        if cost < upper:
            upper, best = cost, point
        spent = time.perf_counter() - began
        trace.append(Iteration(number, lower, upper, time_s=spent))
        if closes(lower, upper, stop.gap) or spent > stop.time_s:
            break
        _add(cutting, cuts, point)
        if separation.core and number:
            _add(cutting, cutting.respond(core), core)
        answer = cutting.master.solve_lp()
        x = answer.x[: len(start)]
        # Where the bound no longer rises, the master's own solution is all but the optimum.
        rises = not closes(lower, answer.objective, stop.gap)
        lower = max(lower, answer.objective)
        core = 0.5 * (core + x)
        point = best + (separation.share if rises else 1.0) * (x - best)
    return Closed(best, lower, upper, tuple(trace))


def _add(cutting: Cutting, cuts: Cuts, x: Array) -> None:
    """Say that no group costs less than its tangent at x, slopes that are rounding left out."""
    theta, master = cutting.theta, cutting.master
    count = np.arange(len(theta))
    ones = sparse.csr_array(
        (np.ones(len(theta)), (count, theta - len(x))),
        shape=(len(theta), master.columns - len(x)),
    )
    slopes = sparse.csr_array(cuts.slopes, copy=True)
    slopes.data[np.abs(slopes.data) <= ROUNDING] = 0.0
    slopes.eliminate_zeros()
    rows = sparse.hstack([-slopes, ones], format="csr")
    low = cuts.values - slopes @ x
    master.add(np.zeros(0), low, np.full(len(low), np.inf), rows)
