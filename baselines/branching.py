"""Search over commitments and directions by warm linear programs.

Best-first branch and bound. A node fixes some binaries and closes one side of some pairs; its LP
starts from the basis of its parent and takes a few hundredths of a second for a week. Solutions
are found by rounding: a unit is committed where the relaxed commitment exceeds a threshold, of
each overlapping pair the smaller side is closed.

Source: textbook branch and bound; branching on pairs instead of binaries after Beale, Tomlin 1970
(special ordered sets).
"""

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from baselines.compiled import Numbers
from baselines.exclusivity import OVERLAP_KW, Pairs
from baselines.highs import Answer, InfeasibleError, Solver

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

INTEGRAL: Final = 1e-7
THRESHOLDS: Final = (0.2, 0.3, 0.4, 0.5)
REPAIRS: Final = 5  # LPs in which a rounded solution may lose its overlaps


@dataclass(order=True)
class Node:
    """An open node: its LP is solved, its children are not."""

    bound: float
    number: int
    lower: Array = field(compare=False)
    upper: Array = field(compare=False)
    basis: Any = field(compare=False)
    x: Array = field(compare=False)


class Search:
    """Branch and bound over one model that a solver holds; the solver's bounds change with it.

    Attributes:
        best: best solution so far, if any; its bound means nothing.
        relaxed: (columns,) solution without commitments and directions.
    """

    def __init__(self, solver: Solver, numbers: Numbers, binary: Integers, pairs: Pairs) -> None:
        """Take a loaded solver.

        Args:
            solver: holds the model with these numbers.
            numbers: of the model.
            binary: columns that are 0 or 1.
            pairs: sides that exclude one another.
        """
        self._solver = solver
        self._binary = binary
        self._pairs = pairs
        # Sorted, because positions are looked up by bisection.
        sides = np.concatenate([binary, pairs.first.ravel(), pairs.second.ravel()])
        self._columns = np.unique(sides[sides >= 0])
        self._numbers = numbers
        self._open: list[Node] = []
        self._ties = count()
        self._cut = np.inf
        self._basis: Any = None
        self.best: Answer | None = None
        self.relaxed: Array = np.zeros(0)

    @property
    def lower(self) -> float:
        """Return the proven lower bound."""
        best = np.inf if self.best is None else self.best.objective
        return float(min([best, self._cut, *(node.bound for node in self._open)]))

    def run(self, gap: float, nodes: int) -> bool:
        """Search until the gap is closed; return False where that takes too many nodes.

        Args:
            gap: relative gap between the best solution and the bound.
            nodes: most LPs for children.

        Raises:
            InfeasibleError: the relaxation has no solution.
            SolverError: an LP failed.
        """
        at = self._columns
        root = self._node(self._numbers.lower[at], self._numbers.upper[at], None)
        self._basis, self.relaxed = root.basis, root.x
        self._keep(root)
        if self._open:
            self._round(root, gap)
        solved = 0
        while self._open and solved < nodes:
            node = heapq.heappop(self._open)
            if self._closes(node.bound, gap):
                self._cut = min(self._cut, node.bound)
                continue
            for lower, upper in self._children(node):
                solved += 1
                try:
                    self._keep(self._node(lower, upper, node.basis))
                except InfeasibleError:
                    continue
        return self.best is not None and self._closes(self.lower, gap)

    def whole(self, x: Array) -> bool:
        """Return whether a solution keeps to all binaries and pairs."""
        commitment = x[self._binary]
        whole = (np.abs(commitment - np.round(commitment)) <= INTEGRAL).all()
        return bool(whole and (self._pairs.overlap(x) <= OVERLAP_KW).all())

    def release(self) -> None:
        """Give the solver its own bounds and the basis of the relaxation back."""
        at = self._columns
        self._solver.set_bounds(at, self._numbers.lower[at], self._numbers.upper[at])
        self._solver.set_basis(self._basis)

    def _closes(self, bound: float, gap: float) -> bool:
        """Return whether nothing below this bound is worth looking for."""
        if self.best is None:
            return False
        return bound >= self.best.objective - gap * abs(self.best.objective)

    def _node(self, lower: Array, upper: Array, basis: Any) -> Node:
        """Solve the LP of a node."""
        answer = self._solve(lower, upper, basis)
        kept = self._solver.basis()
        return Node(answer.objective, next(self._ties), lower, upper, kept, answer.x)

    def _solve(self, lower: Array, upper: Array, basis: Any) -> Answer:
        """Solve the LP within the bounds of a node."""
        self._solver.set_bounds(self._columns, lower, upper)
        if basis is not None:
            self._solver.set_basis(basis)
        return self._solver.solve_lp()

    def _keep(self, node: Node) -> None:
        """Remember a node as open, or as a solution where nothing is left to decide."""
        if self.whole(node.x):
            self._offer(node.bound, node.x)
        else:
            heapq.heappush(self._open, node)

    def _offer(self, objective: float, x: Array) -> None:
        """Take a solution if it is the best so far."""
        if self.best is None or objective < self.best.objective:
            self.best = Answer(x, objective, -np.inf, np.zeros(0), np.zeros(0))

    def _children(self, node: Node) -> list[tuple[Array, Array]]:
        """Split on the most fractional commitment, else on the largest overlap."""
        commitment = node.x[self._binary]
        fraction = np.abs(commitment - np.round(commitment))
        if len(fraction) and fraction.max() > INTEGRAL:
            column = self._binary[[int(fraction.argmax())]]
            return [self._fixed(node, column, 0.0), self._fixed(node, column, 1.0)]
        k = int(self._pairs.overlap(node.x).argmax())
        return [
            self._fixed(node, side[k][side[k] >= 0], 0.0)
            for side in (self._pairs.first, self._pairs.second)
        ]

    def _fixed(self, node: Node, columns: Integers, value: float) -> tuple[Array, Array]:
        """Return a node's bounds with some columns fixed."""
        lower, upper = node.lower.copy(), node.upper.copy()
        at = np.searchsorted(self._columns, columns)
        lower[at] = upper[at] = value
        return lower, upper

    def _round(self, node: Node, gap: float) -> None:
        """Look for solutions near a node's relaxation, until the gap is closed."""
        tried: set[bytes] = set()
        for threshold in THRESHOLDS:
            wish = (node.x[self._binary] > threshold).astype(float)
            if wish.tobytes() not in tried and not self._closes(node.bound, gap):
                tried.add(wish.tobytes())
                self._repair(node, wish)

    def _repair(self, node: Node, commitment: Array) -> None:
        """Fix the commitment, then close the smaller side of pairs until none overlaps."""
        lower, upper = node.lower.copy(), node.upper.copy()
        at = np.searchsorted(self._columns, self._binary)
        lower[at] = upper[at] = commitment
        x = node.x
        for _ in range(REPAIRS):
            first, second = self._pairs.sides(x)
            both = np.minimum(first, second) > OVERLAP_KW
            smaller = np.where((first < second)[:, None], self._pairs.first, self._pairs.second)
            closed = smaller[both]
            upper[np.searchsorted(self._columns, closed[closed >= 0])] = 0.0
            try:
                answer = self._solve(lower, upper, node.basis)
            except InfeasibleError:
                return
            x = answer.x
            if self.whole(x):
                self._offer(answer.objective, x)
                return
