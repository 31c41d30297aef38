"""The worst case where the recourse has binaries: column and constraint generation once more.

With the binaries fixed to a pattern the recourse is linear and has a dual. The upper problem finds
the moves that are worst if only the patterns found so far can be answered with; the lower problem
answers these moves as well as it can::

    upper:  max over z  of  min over patterns k  of  the recourse's cost at z with pattern k
    lower:  the recourse's cost at z

The upper problem bounds the worst case from above, the lower one from below.

Source: Zhao & Zeng 2012 (nested column and constraint generation); Bian & Ji 2025, algorithm 1.
"""

import time

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.cuts import closes
from baselines.highs import Answer, Solver
from baselines.programme import Programme, numbers_of
from baselines.robust.adversary import Found, check_whole
from baselines.robust.duality import SEARCHING, Dual
from baselines.robust.problem import Recourse, RobustProblem, Scene
from baselines.solution import Stop

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


class Nested:
    """An exact adversary of binary recourse; what time does not allow stays a gap."""

    def __init__(self, problem: RobustProblem, stop: Stop) -> None:
        """Take a problem.

        Args:
            problem: its sets are whole.
            stop: of each search in a scene.

        Raises:
            InputError: a set is not whole.
        """
        check_whole(problem)
        self._problem, self._stop = problem, stop
        self._recourse = [Recourse(scene, problem.first) for scene in problem.scenes]
        none: list[Array] = []
        self._patterns = [list(none) for _ in problem.scenes]

    def worst(self, scene: int, x: Array, price: float) -> Found:
        """Return the worst case, proven to a gap or for as long as is allowed."""
        problem, recourse, stop = self._problem, self._recourse[scene], self._stop
        began = time.perf_counter()
        recourse.decide(x)
        upper = _Upper(problem.scenes[scene], problem.first, problem.recourse_whole, x, price)
        for pattern in self._patterns[scene]:
            upper.allow(pattern)
        z = np.zeros(len(problem.scenes[scene].most))
        best, bound = Found(z, -np.inf, None), np.inf
        for _ in range(stop.iterations):
            answer = recourse.answer(z, problem.recourse_whole)
            value = answer.objective - price * z.sum()
            if value > best.value:
                best = Found(z, value, None)
            left_s = stop.time_s - (time.perf_counter() - began)
            if closes(best.value, bound, stop.gap) or left_s <= 0.0:
                break
            pattern = np.round(answer.x[problem.recourse_whole])
            if not any(np.array_equal(pattern, known) for known in self._patterns[scene]):
                self._patterns[scene].append(pattern)
                upper.allow(pattern)
            before = z
            z, proven = upper.worst(stop.gap / 2, left_s)
            bound = min(bound, proven)
            if np.array_equal(z, before):  # bounds differ by what the searches leave open
                break
        return best._replace(bound=max(bound, best.value))


class _Upper:
    """The worst moves against the patterns allowed so far: the moves, theta, and a dual each."""

    def __init__(
        self, scene: Scene, first: Integers, whole: Integers, x: Array, price: float
    ) -> None:
        """Allow none."""
        self._dual = Dual(scene, np.concatenate([first, whole]))
        self._x = x
        spent, budget = self._dual.budgets()
        moves = len(self._dual.able)
        numbers = numbers_of(
            np.append(np.zeros(moves), -np.inf),
            np.append(np.ones(moves), np.inf),
            np.full(len(budget), -np.inf),
            budget,
            np.append(np.full(moves, price), -1.0),
        )
        nothing = sparse.csr_array((len(budget), 1))
        rows = sparse.hstack([spent, nothing], format="csr")
        programme = Programme("worst case", rows, numbers)
        self._solver = Solver(programme, SEARCHING)
        self._solver.load(numbers)

    def allow(self, pattern: Array) -> None:
        """Say that theta is no more than what the recourse costs with a pattern."""
        dual, moves = self._dual, len(self._dual.able)
        told = np.concatenate([self._x, pattern])
        rows, low, high = dual.with_gains()
        size, before = dual.size, self._solver.columns
        nothing = sparse.csr_array((rows.shape[0], before - moves))
        own = sparse.hstack(
            [rows[:, size : size + moves], nothing, rows[:, :size], rows[:, size + moves :]],
            format="csr",
        )
        worth = np.zeros(before + size + moves)
        worth[moves] = 1.0
        worth[before : before + size] = -dual.values(told)
        worth[before + size :] = -1.0
        self._solver.add(
            np.concatenate([np.full(size, np.inf), dual.most]),
            np.append(low, -np.inf),
            np.append(high, dual.paid(told)),
            sparse.vstack([own, sparse.csr_array(worth[None])], format="csr"),
            lower=np.concatenate([np.zeros(size), np.full(moves, -np.inf)]),
        )

    def worst(self, gap: float, limit_s: float) -> tuple[Array, float]:
        """Return the worst moves that were found, and a bound of what moves can cost."""
        moves = len(self._dual.able)
        answer: Answer = self._solver.search_mip(np.arange(moves), gap, limit_s)
        found = answer.x[:moves] if len(answer.x) else np.zeros(moves)
        return self._dual.moves(found), -answer.bound
