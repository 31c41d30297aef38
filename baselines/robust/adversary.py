"""Who looks for the worst case of a first stage, scene by scene.

An adversary returns moves z, what they cost, and a bound that no moves exceed, or None where it
proves nothing. Three of them:

- `Alternating`: with z fixed the recourse has duals; with these fixed the best z is the one whose
  moves gain most; and so on until z stays, from several starts. A local optimum: **never** a bound.
- `Exact`: the recourse's dual with z as binaries (`duality.py`), searched to a gap.
- `Vertices`: every vertex of a small set.

Linear recourse costs an amount convex in z, so the worst z of a set with whole budgets is a whole
one. Where the recourse has binaries, `nested.py` proves. Where probability is moved, a move in full
costs `price`.

Source: the alternation is Bian & Ji's (2025) "AOP"; duality as in Zeng & Zhao 2013.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.highs import Solver
from baselines.programme import Programme, numbers_of
from baselines.robust.duality import SEARCHING, Dual
from baselines.robust.problem import Recourse, RobustProblem, Scene
from mmg_env.errors import InputError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

ROUNDS: Final = 20  # alternations; two to five are the rule


class Found(NamedTuple):
    """A scene's worst case.

    Attributes:
        z: (moves,).
        value: what they cost the scene, less the price of the moves; currency.
        bound: no moves cost more; None where that is not proven.
    """

    z: Array
    value: float
    bound: float | None


class Adversary(Protocol):
    """Looks for worst cases."""

    def worst(self, scene: int, x: Array, price: float) -> Found:
        """Return a scene's worst case of a first stage, (decisions,)."""


def check_whole(problem: RobustProblem) -> None:
    """Refuse sets whose worst case need not be a vertex, because the recourse has binaries."""
    if len(problem.recourse_whole) and not all(s.uncertain.whole for s in problem.scenes):
        raise InputError(
            "the recourse has binaries, so the worst of a continuous set can lie inside it; "
            "make the set whole"
        )


class Alternating:
    """Moves and duals in turn."""

    def __init__(self, problem: RobustProblem, starts: int = 6) -> None:
        """Take a problem, and the number of starts.

        The starts are the last worst case, the moves that could cost most, and random ones.
        """
        self._scenes = problem.scenes
        self._recourse = [Recourse(scene, problem.first) for scene in problem.scenes]
        self._whole = problem.recourse_whole
        self._last = [np.zeros(len(scene.least)) for scene in problem.scenes]
        self._starts = starts
        self._rng = [np.random.default_rng(s) for s in range(len(problem.scenes))]

    def worst(self, scene: int, x: Array, price: float) -> Found:
        """Return the worst local optimum from all starts."""
        self._recourse[scene].decide(x)
        best = Found(self._last[scene], -np.inf, None)
        for z in self._beginnings(scene):
            found = self._climb(scene, z, price)
            if found.value > best.value:
                best = found
        self._last[scene] = best.z
        return best

    def _beginnings(self, scene: int) -> Sequence[Array]:
        """Return (starts,) moves to start from."""
        own, rng = self._scenes[scene], self._rng[scene]
        wild = [own.most * rng.random(len(own.most)) for _ in range(max(0, self._starts - 2))]
        return [self._last[scene], *(own.uncertain.best(gain) for gain in [own.most, *wild])]

    def _climb(self, scene: int, z: Array, price: float) -> Found:
        """Alternate from some moves until they stay."""
        recourse, uncertain = self._recourse[scene], self._scenes[scene].uncertain
        for _ in range(ROUNDS):
            answer = recourse.answer(z)
            better = uncertain.best(recourse.gain(answer) - price)
            if np.array_equal(better, z):
                break
            z = better
        return Found(z, recourse.answer(z, self._whole).objective - price * z.sum(), None)


class Exact:
    """The dual of the recourse with moves as binaries."""

    def __init__(self, problem: RobustProblem, gap: float = 1e-4, limit_s: float = 60.0) -> None:
        """Take a problem.

        Args:
            problem: its budgets are whole numbers.
            gap: to which the worst case is proven, relative.
            limit_s: longest search in one scene, s; then the bound is what is proven by then.

        Raises:
            InputError: a budget is no whole number, or the recourse has binaries.
        """
        if len(problem.recourse_whole):
            raise InputError("the recourse has binaries; the search for its worst case is nested")
        for scene in problem.scenes:
            budget = scene.uncertain.budget
            if not scene.uncertain.whole and (budget != np.floor(budget)).any():
                raise InputError(f"budget: it is {budget}; the exact search needs whole numbers")
        self._problem = problem
        self._searches = [_Search(scene, problem.first) for scene in problem.scenes]
        self._gap, self._limit_s = gap, limit_s

    def worst(self, scene: int, x: Array, price: float) -> Found:
        """Return the worst case, proven to a gap or for as long as is allowed."""
        return self._searches[scene].run(x, price, self._gap, self._limit_s)


class _Search:
    """The search for one scene's worst case, as a MILP of which only costs change.

    Columns are the dual's, the moves', and what these gain.
    """

    def __init__(self, scene: Scene, first: Integers) -> None:
        """State it."""
        self._dual = Dual(scene, first)
        rows, low, high = self._dual.with_gains()
        moves, size = len(self._dual.able), self._dual.size
        spent, budget = self._dual.budgets()
        matrix = sparse.block_array(
            [[rows[:, :size], rows[:, size:]], [None, sparse.hstack([spent, 0.0 * spent])]],
            format="csr",
        )
        numbers = numbers_of(
            np.concatenate([np.zeros(size + moves), np.full(moves, -np.inf)]),
            np.concatenate([np.full(size, np.inf), np.ones(moves), self._dual.most]),
            np.concatenate([low, np.full(len(budget), -np.inf)]),
            np.concatenate([high, budget]),
            np.zeros(size + 2 * moves),
        )
        self._numbers = numbers
        self._solver = Solver(Programme("worst case", matrix, numbers), SEARCHING)

    def run(self, x: Array, price: float, gap: float, limit_s: float) -> Found:
        """Return the worst case of a first stage."""
        dual, moves = self._dual, len(self._dual.able)
        value = np.concatenate([dual.values(x), np.full(moves, -price), np.ones(moves)])
        numbers = replace(self._numbers, cost=-value, offset=-dual.paid(x))
        self._solver.load(numbers)
        binaries = np.arange(dual.size, dual.size + moves)
        answer = self._solver.search_mip(binaries, gap, limit_s)
        chosen = answer.x[binaries] if len(answer.x) else np.zeros(moves)
        return Found(dual.moves(chosen), -answer.objective, -answer.bound)


class Vertices:
    """Every vertex of sets that have few; for binary recourse, sets of whole moves."""

    def __init__(self, problem: RobustProblem, limit: int = 10_000) -> None:
        """Take a problem.

        Raises:
            InputError: a set has more vertices than the limit, or its moves need not be whole and
                the recourse has binaries.
        """
        check_whole(problem)
        self._recourse = [Recourse(scene, problem.first) for scene in problem.scenes]
        self._whole = problem.recourse_whole
        self._vertices = [scene.uncertain.vertices(limit) for scene in problem.scenes]

    def worst(self, scene: int, x: Array, price: float) -> Found:
        """Return the worst vertex."""
        recourse, vertices = self._recourse[scene], self._vertices[scene]
        recourse.decide(x)
        values = [recourse.answer(z, self._whole).objective - price * z.sum() for z in vertices]
        worst = int(np.argmax(values))
        return Found(vertices[worst], values[worst], values[worst])
