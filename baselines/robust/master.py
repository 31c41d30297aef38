"""The master problem: decide against the worst cases found so far.

With theta_s what scene s costs at worst, a copy of the recourse for each worst case z found, and
lambda the price of moving probability where that is bounded (`reach`)::

    min  sum_s p_s theta_s + reach lambda
    theta_s >= cost_s . (x, y_sz) - lambda sum(z)
    low_s + push_s z <= A_s (x, y_sz) <= high_s + push_s z

Its dual bound is a lower bound of the robust problem, for it leaves out what has not been found.

Source: Zeng & Zhao 2013; with lambda, Mohajerin Esfahani & Kuhn 2018 (distance as a sum of moves).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.branching import Search
from baselines.compiled import Sparse
from baselines.exclusivity import Pairs
from baselines.highs import OPTIONS
from baselines.programme import Programme, numbers_of
from baselines.robust.problem import RobustProblem, recourse_columns
from baselines.solution import Stop

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

# Interior points, with a basis found at the end: a third of the time where scenes are large.
INTERIOR: Final[Mapping[str, Any]] = {"solver": "ipm"}
DEAREST: Final = 1e7  # currency per move: a price of probability that nobody pays


class Decided(NamedTuple):
    """What a master decides.

    Attributes:
        x: (decisions,).
        theta: (scenes,) what each scene costs at the worst that has been found, currency.
        price: of a move in full; 0 where probability is not moved.
        lower: bound of the master's optimum, hence of the robust problem's.
        upper: cost of x at the worst that has been found.
    """

    x: Array
    theta: Array
    price: float
    lower: float
    upper: float


class Known:
    """The decisions, and what some scenes cost in the cases that are known.

    Its columns are the decisions, theta of each scene, lambda, and the recourse to each case.

    Attributes:
        solver: holds the programme.
        whole: all columns that are 0 or 1.
    """

    def __init__(
        self,
        problem: RobustProblem,
        scenes: Sequence[int],
        weight: Array,
        options: Mapping[str, Any] = OPTIONS,
    ) -> None:
        """Start without any case.

        Args:
            problem: what is decided.
            scenes: those that are looked at.
            weight: (their number,) of what each costs.
            options: HiGHS options by name.
        """
        self._problem = problem
        self._place = {scene: len(problem.first) + k for k, scene in enumerate(scenes)}
        self._price = len(problem.first) + len(scenes)
        first = problem.scenes[0].programme
        x, count = problem.first, len(scenes)
        moved = problem.reach is not None
        self.numbers = numbers_of(
            np.concatenate([first.lower[x], np.full(count, -np.inf), [0.0]]),
            np.concatenate([first.upper[x], np.full(count, np.inf), [DEAREST if moved else 0.0]]),
            np.zeros(0),
            np.zeros(0),
            np.concatenate([np.zeros(len(x)), weight, [problem.reach or 0.0]]),
        )
        nothing = sparse.csr_array((0, len(self.numbers.cost)))
        self.solver = Programme("master", nothing, self.numbers).solver(options)
        self.whole = np.searchsorted(x, problem.whole)

    def add(self, scene: int, z: Array) -> Sparse:
        """Add the recourse of a scene to some moves.

        Args:
            scene: its number.
            z: (moves,).

        Returns:
            (rows, decisions) of the rows that were added.
        """
        problem, own = self._problem, self._problem.scenes[scene]
        programme, columns = own.programme, recourse_columns(problem, scene)
        shift = np.asarray(own.push @ z)
        decisions, width = len(problem.first), self.solver.columns
        matrix = sparse.csr_array(programme.matrix)
        x, recourse = matrix[:, problem.first], matrix[:, columns]
        between = sparse.csr_array((x.shape[0], width - decisions))
        rows = sparse.hstack([x, between, recourse], format="csr")
        cost = np.zeros(width + len(columns))
        cost[:decisions] = -programme.numbers.cost[problem.first]
        cost[width:] = -programme.numbers.cost[columns]
        cost[self._place[scene]] = 1.0
        cost[self._price] = z.sum()
        every = sparse.vstack([rows, sparse.csr_array(cost[None])], format="csr")
        added = self.solver.add(
            programme.upper[columns],
            np.append(programme.row_lower + shift, programme.numbers.offset),
            np.append(programme.row_upper + shift, np.inf),
            every,
            lower=programme.lower[columns],
        )
        own_whole = added[np.searchsorted(columns, problem.recourse_whole)]
        self.whole = np.concatenate([self.whole, own_whole])
        return sparse.csr_array(every[:, :decisions])


class Master:
    """All scenes in one programme, which grows by a copy of the recourse for each worst case."""

    def __init__(
        self, problem: RobustProblem, stop: Stop, options: Mapping[str, Any] = OPTIONS
    ) -> None:
        """Start without any case.

        Args:
            problem: what is decided.
            stop: its gap is what binary decisions are solved to.
            options: HiGHS options by name.
        """
        self._known = Known(problem, range(len(problem.scenes)), problem.probability, options)
        self._gap = stop.gap
        self._decisions, self._scenes = len(problem.first), len(problem.scenes)
        self._binaries = self._known.whole

    def add(self, scene: int, z: Array) -> None:
        """Say that a scene costs no less than it does after some moves, (moves,)."""
        self._known.add(scene, z)

    def decide(self) -> Decided:
        """Return the best decisions against what has been found.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        if not len(self._known.whole):
            self._known.solver.forget()  # with many new rows, a linear one's last basis is bad
        answer = self._known.solver.solve_mip(self._known.whole, self._gap)
        end = self._decisions + self._scenes
        theta = answer.x[self._decisions : end]
        x = answer.x[: self._decisions].copy()
        x[self._binaries] = np.round(x[self._binaries])
        return Decided(x, theta, float(answer.x[end]), answer.bound, answer.objective)

    def searched(self, binary: Integers, pairs: Pairs, gap: float, nodes: int) -> Array | None:
        """Return decisions with more of them whole, by a search that is short.

        Args:
            binary: which decisions are 0 or 1, counted from the first.
            pairs: of decisions of which not both are used, counted likewise.
            gap: that is good enough.
            nodes: most linear programmes beyond those of rounding.
        """
        solver = self._known.solver
        solver.set_option("solver", "choose")  # the search is by bases
        search = Search(solver, self._known.numbers, binary, pairs)
        search.run(gap, nodes)
        search.release()
        return None if search.best is None else search.best.x[: self._decisions]
