"""A robust problem in matrices, and what its recourse answers.

Source: our choice.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Sparse
from baselines.highs import Answer
from baselines.programme import Programme
from baselines.robust.sets import UncertaintySet

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scene:
    """One programme, and what may deviate in it.

    Attributes:
        programme: first stage and recourse; its sides as expected.
        push: (rows, moves) by how much a move in full shifts both sides of each row.
        uncertain: the set of moves.
        least: (moves,) what a move in full adds to the optimal cost at least, currency.
        most: (moves,) and at most.
    """

    programme: Programme
    push: Sparse
    uncertain: UncertaintySet
    least: Array
    most: Array


@dataclass(frozen=True, eq=False)
class RobustProblem:
    """Scenes that share their first stage.

    Attributes:
        scenes: their programmes have the same columns in the same order for the first stage.
        probability: (scenes,).
        first: (decisions,) columns that are decided before anything deviates, in every scene; in
            ascending order, as are those below.
        whole: columns of the first stage that are 0 or 1.
        recourse_whole: columns of the recourse that are 0 or 1.
        reach: how far probability may be moved, in moves in full per scene on average; None where
            each scene is met by the worst of its set.
    """

    scenes: tuple[Scene, ...]
    probability: Array
    first: Integers
    whole: Integers
    recourse_whole: Integers
    reach: float | None = None


def others(width: int, columns: Integers) -> NDArray[np.bool_]:
    """Return which of so many columns are not among some, (width,)."""
    found = np.ones(width, dtype=np.bool_)
    found[columns] = False
    return found


def recourse_columns(problem: RobustProblem, scene: int) -> Integers:
    """Return the columns of a scene that are decided after the moves, (columns,)."""
    width = len(problem.scenes[scene].programme.lower)
    return np.flatnonzero(others(width, problem.first))


def met_by_recourse(scene: Scene, first: Integers) -> NDArray[np.bool_]:
    """Return in which rows of a scene something stands beside the first stage, (rows,)."""
    entries = sparse.coo_array(scene.programme.matrix)
    met = np.zeros(entries.shape[0], dtype=np.bool_)
    met[entries.row[others(entries.shape[1], first)[entries.col]]] = True
    return met


class Recourse:
    """One scene whose first stage is given: what it costs, and what a move would change.

    The solver keeps its basis from one answer to the next.
    """

    def __init__(self, scene: Scene, first: Integers) -> None:
        """Load a scene."""
        self._scene = scene
        self._first = first
        self._solver = scene.programme.solver()
        # Rows of the first stage alone are the master's, up to a rounding not to be stumbled over.
        answerable = met_by_recourse(scene, first)
        closed = np.flatnonzero(~answerable)
        free = np.full(len(closed), np.inf)
        self._solver.set_sides(closed, -free, free)
        pushed = np.unique(sparse.coo_array(scene.push).row)
        self._rows = pushed[answerable[pushed]]

    def decide(self, x: Array) -> None:
        """Fix the first stage, (decisions,)."""
        lower = self._scene.programme.lower[self._first]
        upper = self._scene.programme.upper[self._first]
        # A solver's numbers leave bounds by rounding.
        fixed = np.clip(x, lower, upper)
        self._solver.set_bounds(self._first, fixed, fixed)

    def answer(self, z: Array, whole: Integers | None = None) -> Answer:
        """Return the cheapest recourse to some moves.

        Args:
            z: (moves,).
            whole: recourse columns that are 0 or 1; none for the linear recourse, whose answer has
                duals.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        shift = np.asarray(self._scene.push @ z)[self._rows]
        programme = self._scene.programme
        self._solver.set_sides(
            self._rows,
            programme.row_lower[self._rows] + shift,
            programme.row_upper[self._rows] + shift,
        )
        if whole is not None and len(whole):
            return self._solver.solve_mip(whole)
        return self._solver.solve_lp()

    def gain(self, answer: Answer) -> Array:
        """Return what moves add to a linear recourse's cost, to first order, (moves,)."""
        return np.asarray(self._scene.push.T @ answer.row_dual)
