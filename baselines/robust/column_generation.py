"""Column and constraint generation: a master that decides, an adversary that finds the worst case.

Each worst case gives the master a copy of the recourse to meet it with. The master bounds the
optimum from below. What a decision costs at its worst bounds it from above, if the adversary proves
that nothing is worse. A quick adversary looks first; only what it no longer improves is proven.

Source: Zeng & Zhao 2013; Bian & Ji 2025, algorithm 1 (outer loop).
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from baselines.cuts import closes
from baselines.robust.adversary import Adversary, Found
from baselines.robust.master import Decided
from baselines.robust.problem import RobustProblem
from baselines.solution import Iteration, Stop

Array = NDArray[np.float64]


class Decides(Protocol):
    """A master: it learns of worst cases, and decides against them."""

    def add(self, scene: int, z: Array) -> None:
        """Say that a scene costs no less than it does after some moves, (moves,)."""

    def decide(self) -> Decided:
        """Return the best decisions against what has been found."""


@dataclass(frozen=True, eq=False)
class Robust:
    """What was decided, and what is known of it.

    Attributes:
        x: (decisions,) the best that was found.
        lower: bound of the optimum.
        upper: cost of x at the worst, or what a heuristic takes for it, as the last entry of the
            trace says.
        worst: (scenes,) the worst moves of each scene that were found for x.
        cases: (scenes,) all moves that the master knows of.
        trace: one entry per round.
    """

    x: Array
    lower: float
    upper: float
    worst: tuple[Array, ...]
    cases: tuple[tuple[Array, ...], ...]
    trace: tuple[Iteration, ...]

    def within(self, gap: float) -> bool:
        """Return whether the bounds have met and both are proven."""
        return self.trace[-1].upper_kind == "proven" and closes(self.lower, self.upper, gap)


class ColumnGeneration:
    """The loop over master and adversaries."""

    def __init__(
        self,
        problem: RobustProblem,
        master: Decides,
        quick: Adversary,
        exact: Adversary | None = None,
        threads: int = 1,
    ) -> None:
        """Take a problem and who solves its parts.

        Args:
            problem: what is solved.
            master: knows no case yet.
            quick: looks first.
            exact: proves what `quick` no longer improves; None to prove nothing.
            threads: scenes in parallel.
        """
        self._problem, self._master = problem, master
        self._quick, self._exact = quick, exact
        self._threads = threads
        self._cases: list[list[Array]] = [[] for _ in problem.scenes]

    def run(self, stop: Stop) -> Robust:
        """Iterate until the bounds have met, or for as long as is allowed.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        began = time.perf_counter()
        for scene, own in enumerate(self._problem.scenes):
            self._learn(scene, np.zeros(len(own.least)))
        best = _Best()
        trace: list[Iteration] = []
        for number in range(stop.iterations):
            decided = self._master.decide()
            best.raise_lower(decided.lower)
            found = self._ask(self._quick, decided)
            helps = self._improves(decided, found, stop.gap) and self._any_new(found)
            proves = self._exact is not None and not helps
            if self._exact is not None and proves:
                found = self._ask(self._exact, decided)
            best.offer(decided, found, self._cost(decided, found), proves)
            spent = time.perf_counter() - began
            trace.append(Iteration(number, best.lower, best.upper, best.kind, spent))
            met = closes(best.lower, best.upper, stop.gap)
            if (met and (proves or self._exact is None)) or spent > stop.time_s:
                break
            if not any([self._learn(s, f.z) for s, f in enumerate(found)]):
                break
        cases = tuple(tuple(known) for known in self._cases)
        return Robust(best.x, best.lower, best.upper, best.worst, cases, tuple(trace))

    def _ask(self, adversary: Adversary, decided: Decided) -> list[Found]:
        """Return each scene's worst case of what is decided."""

        def worst(scene: int) -> Found:
            return adversary.worst(scene, decided.x, decided.price)

        scenes = range(len(self._problem.scenes))
        if self._threads == 1:
            return [worst(scene) for scene in scenes]
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(worst, scenes))

    def _improves(self, decided: Decided, found: list[Found], gap: float) -> bool:
        """Return whether cases are worse than the master knows, by a tenth of the gap."""
        return not closes(decided.upper, self._cost(decided, found), 0.1 * gap)

    def _any_new(self, found: list[Found]) -> bool:
        """Return whether the master does not know one of these cases."""
        return not all(self._knows(scene, own.z) for scene, own in enumerate(found))

    def _knows(self, scene: int, z: Array) -> bool:
        """Return whether the master knows a case."""
        return any(np.array_equal(z, known) for known in self._cases[scene])

    def _cost(self, decided: Decided, found: list[Found]) -> float:
        """Return what the decision costs at these cases, or at most where that is proven."""
        known = [f.value if f.bound is None else f.bound for f in found]
        worst = np.maximum(known, decided.theta)
        moved = decided.price * (self._problem.reach or 0.0)
        return float(self._problem.probability @ worst) + moved

    def _learn(self, scene: int, z: Array) -> bool:
        """Tell the master of a case that it does not know; return whether it was new."""
        if self._knows(scene, z):
            return False
        self._cases[scene].append(z)
        self._master.add(scene, z)
        return True


class _Best:
    """The best decision so far: of those that are proven, once there is one."""

    def __init__(self) -> None:
        """Know nothing."""
        self.lower, self.upper = -np.inf, np.inf
        self.kind: Literal["proven", "heuristic"] = "heuristic"
        self.x: Array = np.zeros(0)
        self.worst: tuple[Array, ...] = ()

    def raise_lower(self, lower: float) -> None:
        """Take a bound from below."""
        self.lower = max(self.lower, lower)

    def offer(self, decided: Decided, found: list[Found], cost: float, proven: bool) -> None:
        """Take a decision if it is better, or the first that is proven."""
        first_proof = proven and self.kind == "heuristic"
        # What a heuristic finds says little of a decision; the last one has met most cases.
        better = cost < self.upper if proven else self.kind == "heuristic"
        if first_proof or better:
            self.upper, self.x = cost, decided.x
            self.worst = tuple(f.z for f in found)
            self.kind = "proven" if proven else "heuristic"
