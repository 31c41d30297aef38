"""A participant that negotiates about a robust day; nobody else knows its worst cases.

With Z_s the cases of scene s that it has met, and y what it does in common rows, its answer is ::

    min  sum_s p_s theta_s + w price y + rho/2 w (y - power)^2
    theta_s >= cost_s . (x, v_sz),                                  z in Z_s
    low_s + push_s z <= A_s (x, v_sz) <= high_s + push_s z,         z in Z_s

with commitments relaxed. That is a master of column and constraint generation with a quadratic. The
adversary is asked again only where y has moved far since it was last asked; what it finds stays, so
cases are kept from round to round.

Source: Bian & Ji 2025, section 4.3 (column generation within ADMM); when to ask is our choice.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.bargaining.robust_parts import Part
from baselines.negotiation import Agent, Terms
from baselines.programme import Programme, numbers_of
from baselines.robust.adversary import Adversary, Alternating
from baselines.robust.problem import RobustProblem, met_by_recourse, recourse_columns

Array = NDArray[np.float64]

FAR_KW: Final = 100.0
"""How far (root mean square) the exchange moves until the adversary is asked again."""
DIGITS: Final = 6  # of decisions, as the adversary is told them
WORSE: Final = 1e-5  # by how much a case costs more than is known, relative


class _Case(NamedTuple):
    """A scene after some moves, (moves,)."""

    scene: int
    z: Array


class RobustParty:
    """A participant in a negotiation.

    Attributes:
        cases: (scenes,) all moves that it knows of.
        agent: answers against these cases.
        asked: how often a scene's worst case was looked for.
        answers: how often terms were answered.
    """

    def __init__(
        self, part: Part, dt_h: float, cases: Sequence[Sequence[Array]], far_kw: float = FAR_KW
    ) -> None:
        """Take a participant's day.

        Args:
            part: the day.
            dt_h: time for which what it exchanges flows, h.
            cases: (scenes,) moves that it knows of; the expected day is one of them anyway.
            far_kw: how far the exchange moves until the adversary is asked again.
        """
        self._part, self._dt_h, self._far_kw = part, dt_h, far_kw
        self.cases = [
            _distinct([np.zeros(len(own.least)), *known])
            for own, known in zip(part.problem.scenes, cases, strict=True)
        ]
        self._certain = not any(len(own.least) for own in part.problem.scenes)
        self._adversary: Adversary = Alternating(part.problem)
        self._asked_at = np.full(len(part.exchanged), np.inf)
        self.asked = self.answers = 0
        self.agent = self._agent()

    def answer(self, terms: Terms) -> Array:
        """Return what is best to do in common rows on some terms, (couplings,) kW.

        Raises:
            SolverError: no optimum was found.
        """
        self.answers += 1
        said = self.agent.answer(terms)
        moved = float(np.sqrt(np.mean((said - self._asked_at) ** 2)))
        if moved > self._far_kw and self.look():
            said = self.agent.answer(terms)
        return said

    def look(self) -> bool:
        """Look for worse cases of what was answered last; return whether there are any.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        if self._certain:
            return False
        first, scenes = self._part.problem.first, self._part.problem.scenes
        # An interior point's rounding is nothing for a recourse to stumble over.
        x = self.agent.x[: len(first)].round(DIGITS)
        theta = self.agent.x[len(first) : len(first) + len(scenes)]
        self._asked_at = x[self._part.place].copy()
        found = [self._adversary.worst(scene, x, 0.0) for scene in range(len(scenes))]
        self.asked += len(scenes)
        worse = [f.value > t + WORSE * max(1.0, abs(t)) for f, t in zip(found, theta, strict=True)]
        before = self.count
        for known, own, costs_more in zip(self.cases, found, worse, strict=True):
            known[:] = _distinct([*known, own.z]) if costs_more else known
        if self.count > before:
            self.agent = self._agent()
        return self.count > before

    @property
    def count(self) -> int:
        """How many cases it knows of."""
        return sum(len(known) for known in self.cases)

    def _agent(self) -> Agent:
        """Return who answers against the cases that are known."""
        programme = against(self._part.problem, self.cases)
        weight = np.full(len(self._part.exchanged), self._dt_h)
        return Agent(programme, self._part.place, weight, 1.0)


def against(problem: RobustProblem, cases: Sequence[Sequence[Array]]) -> Programme:
    """Return the relaxed programme of deciding against some cases.

    Its columns are the first stage, what each scene costs at the worst of its cases, and the
    recourse to each case.

    Args:
        problem: what is decided.
        cases: (scenes,) moves.
    """
    every = [_Case(scene, z) for scene, known in enumerate(cases) for z in known]
    blocks = [_copied(problem, case, number == 0) for number, case in enumerate(every)]
    first, count = problem.scenes[0].programme, len(problem.scenes)
    x, free = problem.first, np.full(count, np.inf)
    recourse = sparse.block_diag([block.recourse for block in blocks], format="csr")
    matrix = sparse.hstack(
        [sparse.vstack([block.decided for block in blocks]), recourse], format="csr"
    )
    matrix.eliminate_zeros()
    every_column = np.concatenate([block.columns for block in blocks], axis=1)
    sides = np.concatenate([block.sides for block in blocks], axis=1)
    lower = np.concatenate([first.lower[x], -free, every_column[0]])
    upper = np.concatenate([first.upper[x], free, every_column[1]])
    nothing = np.zeros(every_column.shape[1])
    cost = np.concatenate([np.zeros(len(x)), problem.probability, nothing])
    numbers = numbers_of(lower, upper, sides[0], sides[1], cost)
    return Programme(f"{len(every)} cases of {first.name}", matrix, numbers)


class _Copied(NamedTuple):
    """A case in the programme.

    Attributes:
        decided: (rows, first stage and scenes) of its rows, the last of which is its cost.
        recourse: (rows, recourse columns).
        sides: (2, rows) lower and upper.
        columns: (2, recourse columns) lower and upper bounds.
    """

    decided: sparse.csr_array
    recourse: sparse.csr_array
    sides: Array
    columns: Array


def _copied(problem: RobustProblem, case: _Case, with_first_stage: bool) -> _Copied:
    """Return a case's rows; those of the first stage alone are alike in all cases, and so once."""
    own = problem.scenes[case.scene]
    programme, columns = own.programme, recourse_columns(problem, case.scene)
    rows = np.flatnonzero(met_by_recourse(own, problem.first) | with_first_stage)
    matrix, cost = sparse.csr_array(programme.matrix)[rows], programme.numbers.cost
    theta = np.zeros(len(problem.scenes))
    theta[case.scene] = 1.0
    between = sparse.csr_array((len(rows), len(theta)))
    spent = np.concatenate([-cost[problem.first], theta])
    shift = np.asarray(own.push @ case.z)[rows]
    decided = sparse.hstack([matrix[:, problem.first], between])
    return _Copied(
        sparse.csr_array(sparse.vstack([decided, sparse.csr_array(spent[None])])),
        sparse.csr_array(
            sparse.vstack([matrix[:, columns], sparse.csr_array(-cost[columns][None])])
        ),
        np.array(
            [
                np.append(programme.row_lower[rows] + shift, programme.numbers.offset),
                np.append(programme.row_upper[rows] + shift, np.inf),
            ]
        ),
        np.array([programme.lower[columns], programme.upper[columns]]),
    )


def _distinct(cases: Sequence[Array]) -> list[Array]:
    """Return cases, each once, in their order."""
    kept: list[Array] = []
    for z in cases:
        if not any(np.array_equal(z, known) for known in kept):
            kept.append(z)
    return kept
