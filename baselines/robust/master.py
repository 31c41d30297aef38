"""The master problem: decide against the worst cases found so far.

With theta_s what scene s costs at worst, a copy of the recourse for each worst case z found, and
lambda the price of moving probability where that is bounded (`reach`)::

    min  sum_s p_s theta_s + reach lambda
    theta_s >= cost_s . (x, y_sz) - lambda sum(z)
    low_s + push_s z <= A_s (x, y_sz) <= high_s + push_s z

Its dual bound is a lower bound of the robust problem, for it leaves out what has not been found.

Source: Zeng & Zhao 2013; with lambda, Mohajerin Esfahani & Kuhn 2018 (distance as a sum of moves).
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.programme import Programme, numbers_of
from baselines.robust.problem import RobustProblem, recourse_columns
from baselines.solution import Stop

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

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


class Master:
    """All scenes in one programme, which grows by a copy of the recourse for each worst case."""

    def __init__(self, problem: RobustProblem, stop: Stop) -> None:
        """Start without any case.

        Args:
            problem: what is decided.
            stop: its gap is what binary decisions are solved to, its time the limit of one solve.
        """
        self._problem = problem
        self._gap = stop.gap
        self._decisions, self._scenes = len(problem.first), len(problem.scenes)
        first = problem.scenes[0].programme
        x, count = problem.first, self._scenes
        moved = problem.reach is not None
        numbers = numbers_of(
            np.concatenate([first.lower[x], np.full(count, -np.inf), [0.0]]),
            np.concatenate([first.upper[x], np.full(count, np.inf), [DEAREST if moved else 0.0]]),
            np.zeros(0),
            np.zeros(0),
            np.concatenate([np.zeros(len(x)), problem.probability, [problem.reach or 0.0]]),
        )
        columns = len(numbers.cost)
        nothing = sparse.csr_array((0, columns))
        self._solver = Programme("master", nothing, numbers).solver()
        self._units = np.searchsorted(x, problem.whole)
        self._whole = self._units

    def add(self, scene: int, z: Array) -> None:
        """Say that a scene costs no less than it does after some moves, (moves,)."""
        problem, own = self._problem, self._problem.scenes[scene]
        programme, columns = own.programme, recourse_columns(problem, scene)
        shift = np.asarray(own.push @ z)
        recourse = sparse.csr_array(programme.matrix)[:, columns]
        there = self._solver.columns - self._decisions
        x = sparse.csr_array(programme.matrix)[:, problem.first]
        rows = sparse.hstack([x, sparse.csr_array((x.shape[0], there)), recourse], format="csr")
        cost = np.zeros(self._solver.columns + len(columns))
        cost[: self._decisions] = -programme.numbers.cost[problem.first]
        cost[self._solver.columns :] = -programme.numbers.cost[columns]
        cost[self._decisions + scene] = 1.0
        cost[self._decisions + self._scenes] = z.sum()
        added = self._solver.add(
            programme.upper[columns],
            np.append(programme.row_lower + shift, programme.numbers.offset),
            np.append(programme.row_upper + shift, np.inf),
            sparse.vstack([rows, sparse.csr_array(cost[None])], format="csr"),
            lower=programme.lower[columns],
        )
        own_whole = added[np.searchsorted(columns, problem.recourse_whole)]
        self._whole = np.concatenate([self._whole, own_whole])

    def decide(self) -> Decided:
        """Return the best decisions against what has been found.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        answer = self._solver.solve_mip(self._whole, self._gap)
        end = self._decisions + self._scenes
        theta = answer.x[self._decisions : end]
        x = answer.x[: self._decisions].copy()
        x[self._units] = np.round(x[self._units])
        return Decided(x, theta, float(answer.x[end]), answer.bound, answer.objective)
