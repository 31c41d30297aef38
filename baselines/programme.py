"""A linear programme: a matrix, and the numbers that go with it.

Source: our choice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Numbers, Sparse
from baselines.highs import OPTIONS, Answer, Solver

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Programme:
    """Minimise cost . x + offset with rows and columns within their bounds.

    Attributes:
        name: for messages.
        matrix: (rows, columns).
        numbers: bounds, sides, costs and offset; its bill is empty.
    """

    name: str
    matrix: Sparse
    numbers: Numbers

    @property
    def lower(self) -> Array:
        """Bounds of the columns, (columns,)."""
        return self.numbers.lower

    @property
    def upper(self) -> Array:
        """Bounds of the columns, (columns,)."""
        return self.numbers.upper

    @property
    def row_lower(self) -> Array:
        """Sides of the rows, (rows,)."""
        return self.numbers.row_lower

    @property
    def row_upper(self) -> Array:
        """Sides of the rows, (rows,)."""
        return self.numbers.row_upper

    def solver(self, options: Mapping[str, Any] = OPTIONS) -> Solver:
        """Return a solver that holds the programme, with HiGHS options by name."""
        solver = Solver(self, options)
        solver.load(self.numbers)
        return solver

    def solve(self) -> Answer:
        """Return the optimum.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        return self.solver().solve_lp()


def numbers_of(
    lower: Array, upper: Array, row_lower: Array, row_upper: Array, cost: Array, offset: float = 0.0
) -> Numbers:
    """Return the numbers of a programme that has no bill."""
    nothing = np.zeros(0)
    return Numbers(lower, upper, row_lower, row_upper, cost, offset, nothing, nothing)


def held(numbers: Numbers, columns: Integers, values: Array) -> Numbers:
    """Return numbers in which some columns are fixed, within their bounds.

    Args:
        numbers: of a model or a programme.
        columns: (fixed,) which columns.
        values: (fixed,) a solver's, which may leave bounds by rounding.
    """
    lower, upper = numbers.lower.copy(), numbers.upper.copy()
    lower[columns] = upper[columns] = np.clip(values, lower[columns], upper[columns])
    return replace(numbers, lower=lower, upper=upper)


def widened(programme: Programme, lower: Array, upper: Array, cost: Array) -> Programme:
    """Return a programme with more columns, which stand in no row yet.

    Args:
        programme: the programme.
        lower: (new columns,).
        upper: (new columns,).
        cost: (new columns,).
    """
    n = programme.numbers
    nothing = sparse.csr_array((programme.matrix.shape[0], len(lower)))
    numbers = replace(
        n,
        lower=np.concatenate([n.lower, lower]),
        upper=np.concatenate([n.upper, upper]),
        cost=np.concatenate([n.cost, cost]),
    )
    matrix = sparse.hstack([programme.matrix, nothing], format="csr")
    return Programme(programme.name, matrix, numbers)


def lengthened(programme: Programme, rows: Sparse, lower: Array, upper: Array) -> Programme:
    """Return a programme with more rows.

    Args:
        programme: the programme.
        rows: (new rows, columns).
        lower: (new rows,).
        upper: (new rows,).
    """
    n = programme.numbers
    numbers = replace(
        n,
        row_lower=np.concatenate([n.row_lower, lower]),
        row_upper=np.concatenate([n.row_upper, upper]),
    )
    matrix = sparse.vstack([programme.matrix, rows], format="csr")
    return Programme(programme.name, matrix, numbers)
