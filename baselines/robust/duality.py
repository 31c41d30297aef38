"""The dual of a scene's linear recourse, as a function of the first stage and of the moves.

With x fixed, the recourse min cost . y over low <= T x + A y <= high, l <= y <= h has the dual::

    max  (low - T x) p - (high - T x) q + l r - h s
    A' (p - q) + r - s = cost,  p, q, r, s >= 0

Moves z shift the sides, hence add sum_j z_j g_j with the gains g = push' (p - q). For z_j of 0 or 1
and g_j within its range, linear rows say the product w_j = z_j g_j::

    w_j <= most_j z_j,  w_j <= g_j - least_j (1 - z_j)

The ranges need not hold for every dual, but a best one must lie within them; the scene says so.

Source: linear programming duality; McCormick 1976.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Sparse
from baselines.robust.problem import Scene, met_by_recourse, others
from baselines.robust.sets import NOTHING, felt

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

# Without presolve a search takes from a third to all of the time that it takes with it.
SEARCHING: Final[Mapping[str, Any]] = {"presolve": "off"}


class Dual:
    """The dual of one scene.

    Attributes:
        size: number of its columns.
        able: moves that can cost anything; the others are never worth their while.
        most: (able,) what they gain at most.
    """

    def __init__(self, scene: Scene, told: Integers) -> None:
        """Take a scene, and the columns that are fixed when the recourse is decided."""
        programme = scene.programme
        matrix = sparse.csr_array(programme.matrix)
        columns = np.flatnonzero(others(matrix.shape[1], told))
        self._scene, self._fixed = scene, told
        self._told, self._recourse = matrix[:, told], matrix[:, columns]
        self._cost = programme.numbers.cost[columns]
        self._lower, self._upper = programme.lower[columns], programme.upper[columns]
        # Rows of fixed columns alone hold up to a rounding that a dual would make endless.
        met = met_by_recourse(scene, told)
        self._below = _finite(np.where(met, programme.row_lower, -np.inf))
        self._above = _finite(np.where(met, programme.row_upper, np.inf))
        self._floor, self._roof = _finite(self._lower), _finite(self._upper)
        counts = [len(part) for part in (self._below, self._above, self._floor, self._roof)]
        self.size = sum(counts)
        self.able = np.flatnonzero(scene.most > NOTHING)
        self.most = scene.most[self.able]

    def with_gains(self) -> tuple[Sparse, Array, Array]:
        """Return rows over dual, moves and gains (all but budgets), and their sides."""
        moves, least = len(self.able), _rounded(np.minimum(self._scene.least[self.able], 0.0))
        identity = sparse.eye_array(self._recourse.shape[0], format="csc")
        unit = sparse.eye_array(self._recourse.shape[1], format="csc")
        sides = sparse.hstack([identity[:, self._below], -identity[:, self._above]], format="csr")
        bounds = sparse.hstack([unit[:, self._floor], -unit[:, self._roof]], format="csr")
        push = felt(sparse.csc_array(self._scene.push)[:, self.able].T)
        gain = sparse.hstack([push @ sides, sparse.csr_array((moves, bounds.shape[1]))])
        one = sparse.eye_array(moves, format="csr")
        rows = sparse.block_array(
            [
                [sparse.hstack([self._recourse.T @ sides, bounds]), None, None],
                [None, -sparse.diags_array(self.most), one],
                [-gain, -sparse.diags_array(least), one],
            ],
            format="csr",
        )
        free = np.full(2 * moves, -np.inf)
        high = np.concatenate([self._cost, np.zeros(moves), -least])
        return rows, np.concatenate([self._cost, free]), high

    def budgets(self) -> tuple[Sparse, Array]:
        """Return rows over the moves, and what they must not exceed."""
        sums, most = self._scene.uncertain.limits()
        return sparse.csr_array(sparse.csc_array(sums)[:, self.able]), most

    def values(self, x: Array) -> Array:
        """Return what each column of the dual is worth after fixed columns x, (size,)."""
        programme, told = self._scene.programme, np.asarray(self._told @ x)
        worth = np.concatenate(
            [
                (programme.row_lower - told)[self._below],
                -(programme.row_upper - told)[self._above],
                self._lower[self._floor],
                -self._upper[self._roof],
            ]
        )
        return _rounded(worth)

    def paid(self, x: Array) -> float:
        """Return what the fixed columns cost, the constant included, currency."""
        numbers = self._scene.programme.numbers
        return numbers.offset + float(numbers.cost[self._fixed] @ x)

    def moves(self, chosen: Array) -> Array:
        """Return all moves, of which (able,) are chosen, as whole numbers."""
        z = np.zeros(len(self._scene.most))
        z[self.able] = np.round(chosen)
        return z


def _finite(sides: Array) -> Integers:
    """Return which sides bind at all."""
    return np.flatnonzero(np.isfinite(sides))


def _rounded(numbers: Array) -> Array:
    """Return numbers of which those that a solver takes for 0 are."""
    return np.where(np.abs(numbers) <= NOTHING, 0.0, numbers)
