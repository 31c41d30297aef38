"""Who looks for the worst case of a first stage, scene by scene.

An adversary returns moves z, what they cost, and a bound that no moves exceed, or None where it
proves nothing. Three of them:

- `Alternating`: with z fixed the recourse has duals; with these fixed the best z is the one whose moves
  gain most; and so on until z stays, from several starts. A local optimum: **never** a bound.
- `Exact`: the recourse's dual with z as binaries. Its only products are those of a move and of what
  that move gains, which lies within known ranges, so linear rows say them exactly (McCormick).
- `Vertices`: every vertex of a small set.

The recourse is linear here; `nested` meets binary recourse. Its cost is convex in z, so the worst z
of a set with whole budgets is a whole one. Where probability is moved, a move in full costs `price`.

Source: the alternation is Bian & Ji's (2025) "AOP"; McCormick 1976; duality as in Zeng & Zhao 2013.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.highs import Solver
from baselines.programme import Programme, numbers_of
from baselines.robust.problem import Recourse, RobustProblem, Scene, recourse_columns
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


class Alternating:
    """Moves and duals in turn."""

    def __init__(self, problem: RobustProblem, starts: int = 6) -> None:
        """Take a problem, and the number of starts.

        The starts are no moves, the last worst case, the moves that could cost most, and random ones.
        """
        self._scenes = problem.scenes
        self._recourse = [Recourse(scene, problem.first) for scene in problem.scenes]
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
        value = -np.inf
        for _ in range(ROUNDS):
            answer = recourse.answer(z)
            value = answer.objective - price * z.sum()
            better = uncertain.best(recourse.gain(answer) - price)
            if np.array_equal(better, z):
                break
            z = better
        return Found(z, value, None)


class Exact:
    """The dual of the recourse with moves as binaries."""

    def __init__(self, problem: RobustProblem, gap: float = 1e-4, limit_s: float = 60.0) -> None:
        """Take a problem.

        Args:
            problem: its budgets are whole numbers.
            gap: to which the worst case is proven, relative.
            limit_s: longest search in one scene, s; then the bound is what is proven by then.

        Raises:
            InputError: a budget is no whole number.
        """
        for scene in problem.scenes:
            budget = scene.uncertain.budget
            if not scene.uncertain.whole and (budget != np.floor(budget)).any():
                raise InputError(f"budget: it is {budget}; the exact search needs whole numbers")
        self._problem = problem
        self._duals = [_Dual(scene, problem, s) for s, scene in enumerate(problem.scenes)]
        self._gap, self._limit_s = gap, limit_s

    def worst(self, scene: int, x: Array, price: float) -> Found:
        """Return the worst case, proven to a gap or for as long as is allowed."""
        return self._duals[scene].search(x, price, self._gap, self._limit_s)


class _Dual:
    """The search for one scene's worst case, as a MILP that only costs change.

    Columns are the rows' duals, the bounds' duals below and above, the moves, and their gains.
    """

    def __init__(self, scene: Scene, problem: RobustProblem, number: int) -> None:
        """State it."""
        self._scene, self._first = scene, problem.first
        self._columns = recourse_columns(problem, number)
        programme = scene.programme
        matrix = sparse.csr_array(programme.matrix)
        self._told = matrix[:, problem.first]
        own = matrix[:, self._columns]
        low, high = programme.row_lower, programme.row_upper
        self._below, self._above = (
            np.flatnonzero(np.isfinite(low)),
            np.flatnonzero(np.isfinite(high)),
        )
        lower, upper = programme.lower[self._columns], programme.upper[self._columns]
        self._floor, self._roof = (
            np.flatnonzero(np.isfinite(lower)),
            np.flatnonzero(np.isfinite(upper)),
        )
        self._able = np.flatnonzero(scene.most > 0.0)
        cost = programme.numbers.cost[self._columns]
        # Without presolve the search takes from a third to all of the time it takes with it.
        self._solver = Solver(self._programme(own, cost), {"presolve": "off"})

    def _programme(self, own: sparse.csr_array, cost: Array) -> Programme:
        """Return the dual with moves, minimised; its costs follow."""
        scene, able = self._scene, self._able
        rows, columns, moves = own.shape[0], own.shape[1], len(able)
        identity = sparse.eye_array(rows, format="csc")
        sides = sparse.hstack([identity[:, self._below], -identity[:, self._above]], format="csr")
        unit = sparse.eye_array(columns, format="csc")
        bounds = sparse.hstack([unit[:, self._floor], -unit[:, self._roof]], format="csr")
        gain = sparse.csr_array(sparse.csc_array(scene.push)[:, able].T) @ sides
        one = sparse.eye_array(moves, format="csr")
        groups = len(scene.uncertain.budget)
        at = (np.ones(moves), (scene.uncertain.group[able], np.arange(moves)))
        spent = sparse.csr_array(at, shape=(groups, moves))
        least, most = np.minimum(scene.least[able], 0.0), scene.most[able]
        matrix = sparse.block_array(
            [
                [own.T @ sides, bounds, None, None],
                [None, None, -sparse.diags_array(most), one],
                [-gain, None, -sparse.diags_array(least), one],
                [None, None, spent, None],
            ],
            format="csr",
        )
        free = np.full(moves, -np.inf)
        many = len(self._below) + len(self._above) + len(self._floor) + len(self._roof)
        numbers = numbers_of(
            np.concatenate([np.zeros(many + moves), free]),
            np.concatenate([np.full(many, np.inf), np.ones(moves), np.maximum(most, 0.0)]),
            np.concatenate([cost, free, free, np.full(groups, -np.inf)]),
            np.concatenate([cost, np.zeros(moves), -least, scene.uncertain.budget]),
            np.zeros(many + 2 * moves),
        )
        self._many, self._numbers = many, numbers
        return Programme("worst case", matrix, numbers)

    def search(self, x: Array, price: float, gap: float, limit_s: float) -> Found:
        """Return the worst case of a first stage."""
        programme, moves = self._scene.programme, len(self._able)
        told = np.asarray(self._told @ x)
        paid = programme.numbers.offset + float(programme.numbers.cost[self._first] @ x)
        value = np.concatenate(
            [
                (programme.row_lower - told)[self._below],
                -(programme.row_upper - told)[self._above],
                programme.lower[self._columns][self._floor],
                -programme.upper[self._columns][self._roof],
                np.full(moves, -price),
                np.ones(moves),
            ]
        )
        n = self._numbers
        self._solver.load(numbers_of(n.lower, n.upper, n.row_lower, n.row_upper, -value, -paid))
        binaries = np.arange(self._many, self._many + moves)
        answer = self._solver.search_mip(binaries, gap, limit_s)
        z = np.zeros(len(self._scene.most))
        if len(answer.x):
            z[self._able] = np.round(answer.x[binaries])
        return Found(z, -answer.objective, -answer.bound)


class Vertices:
    """Every vertex of sets that have few."""

    def __init__(self, problem: RobustProblem, limit: int = 10_000) -> None:
        """Take a problem.

        Raises:
            InputError: a set has more vertices than the limit.
        """
        self._recourse = [Recourse(scene, problem.first) for scene in problem.scenes]
        self._vertices = [scene.uncertain.vertices(limit) for scene in problem.scenes]

    def worst(self, scene: int, x: Array, price: float) -> Found:
        """Return the worst vertex."""
        recourse, vertices = self._recourse[scene], self._vertices[scene]
        recourse.decide(x)
        values = [recourse.answer(z).objective - price * z.sum() for z in vertices]
        worst = int(np.argmax(values))
        return Found(vertices[worst], values[worst], values[worst])
