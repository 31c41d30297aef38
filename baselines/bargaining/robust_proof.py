"""One participant's robust day where what it exchanges is given.

R_p(y) of `robust_parts`, by column and constraint generation: with commitments decided and the
worst case proven, or with commitments relaxed and the worst case looked for by alternation.

Source: Zeng & Zhao 2013; Bian & Ji 2025, algorithm 1.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.robust_parts import Part
from baselines.robust.adversary import Adversary, Alternating, Exact, Found
from baselines.robust.column_generation import ColumnGeneration, Robust
from baselines.robust.master import Master
from baselines.robust.problem import Recourse, RobustProblem
from baselines.solution import Stop

Array = NDArray[np.float64]

PROOF: Final = Stop(gap=5e-4, iterations=30, time_s=np.inf)
SHARE: Final = 0.25  # of the proof's gap: to which masters and worst cases are searched
SEARCH_S: Final = 60.0  # longest exact search in one scene; half a second is the rule


class Certain:
    """Where nothing may deviate, what is expected is the worst, and proven."""

    def __init__(self, problem: RobustProblem) -> None:
        """Take a problem."""
        self._recourse = [Recourse(own, problem.first) for own in problem.scenes]

    def worst(self, scene: int, x: Array, price: float) -> Found:
        """Return what a scene costs."""
        none = np.zeros(0)
        self._recourse[scene].decide(x)
        cost = self._recourse[scene].answer(none).objective - price * none.sum()
        return Found(none, cost, cost)


class Prover:
    """One participant's loop of column and constraint generation, whatever is exchanged."""

    def __init__(self, part: Part, stop: Stop = PROOF, search_s: float = SEARCH_S) -> None:
        """Take a participant.

        Args:
            part: its day.
            stop: of the loop.
            search_s: longest exact search in a scene, s.
        """
        self._part, self._stop, gap = part, stop, SHARE * stop.gap
        certain = not any(len(own.least) for own in part.problem.scenes)
        self._quick: Adversary = Certain(part.problem) if certain else Alternating(part.problem)
        self._exact: Adversary = self._quick
        if not certain:
            self._exact = Exact(part.problem, gap, search_s)

    def run(self, exchanged: Array, cases: Sequence[Sequence[Array]], relaxed: bool) -> Robust:
        """Return the best for what is exchanged.

        Args:
            exchanged: (its couplings,) what it does in common rows.
            cases: (scenes,) moves that are known to be bad.
            relaxed: whether commitments are.

        Raises:
            SolverError: no optimum was proven.
        """
        problem = self._part.fixed(exchanged)
        if relaxed:
            problem = replace(problem, whole=np.zeros(0, dtype=np.int64))
        master = Master(problem, Stop(gap=SHARE * self._stop.gap))
        for scene, known in enumerate(cases):
            for z in known:
                if z.any():  # the loop adds the expected day itself
                    master.add(scene, z)
        exact = None if relaxed else self._exact
        return ColumnGeneration(problem, master, self._quick, exact).run(self._stop)
