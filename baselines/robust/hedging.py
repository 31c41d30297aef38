"""A master that is decided scene by scene: progressive hedging.

Each scene s decides for itself, x_s. Multipliers w_s, with sum_s p_s w_s = 0, and a penalty rho on
what differs from the mean decision m = sum_s p_s x_s bring the scenes together::

    x_s = argmin  theta_s + w_s . x_s + sum_j rho_j / 2 (x_sj - m_j)^2
    w_s <- w_s + rho (x_s - m)

The square is linear where x is 0 or 1. The first multipliers are the duals of the relaxation, which
is all scenes in one programme with decisions between 0 and 1. The duals also say what decisions are
worth to the scenes at the margin; rho is proportional to that. Continuous decisions keep their
multipliers and are not penalised: once the binary ones are agreed on, the relaxation says the rest.

Without the square, what the scenes cost together is a lower bound of the master whatever the
multipliers; with it, it is none. Binary decisions that are met on the way, or differ from the best
in one that scenes dispute, are put to all scenes, and so are upper bounds.

Source: Rockafellar & Wets 1991; Watson & Woodruff 2011 (rho in proportion to cost); Gade et al.
2016 (lower bounds); within column generation Bian & Ji 2025, algorithm 2. The start and the changes
to the best decision are our choice.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.compiled import Sparse
from baselines.cuts import closes
from baselines.highs import OPTIONS, TIME_LIMIT_S, Answer, InfeasibleError, SolverError
from baselines.programme import held
from baselines.robust.master import Decided, Known
from baselines.robust.problem import RobustProblem
from baselines.solution import Stop
from mmg_env.errors import InputError

Array = NDArray[np.float64]

STOP: Final = Stop(gap=1e-3, iterations=3)  # later iterations gain little
WHOLE: Final = 1e-6  # by how much a number may miss 0 or 1
LEAST: Final = 1e-3  # of the largest marginal cost: what any penalty is proportional to
FINER: Final = 0.1  # of the gap: to which a scene is solved


@dataclass(frozen=True)
class Hedging:
    """How scenes are brought together.

    Attributes:
        penalty: rho, per marginal cost of a decision.
        start: share of the relaxation's multipliers to start from.
        flips: most disputed decisions that are changed in the best one, per iteration.
        nodes: most nodes of the search in one scene; 0 for its relaxation, None for no limit.
        threads: scenes in parallel.
    """

    penalty: float = 0.3
    start: float = 1.0
    flips: int = 12
    nodes: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if not (np.isfinite(self.penalty) and self.penalty > 0.0):
            raise InputError(f"hedging: penalty is {self.penalty}; it must be finite and above 0")
        if not 0.0 <= self.start <= 1.0:
            raise InputError(f"hedging: start is {self.start}; it must lie in 0..1")
        if self.flips < 0:
            raise InputError(f"hedging: flips is {self.flips}; it must be at least 0")
        if self.nodes is not None and self.nodes < 0:
            raise InputError(f"hedging: nodes is {self.nodes}; it must be at least 0, or None")
        if self.threads < 1:
            raise InputError(f"hedging: threads is {self.threads}; it must be at least 1")


class _Apart(NamedTuple):
    """What scenes decide for themselves.

    Attributes:
        x: (scenes, decisions).
        mean: (decisions,).
        bound: what they cost together, at least.
    """

    x: Array
    mean: Array
    bound: float


class Hedged:
    """All scenes apart, each with a programme that grows by its own worst cases.

    Where no multipliers were found that close the gap, `decide` returns bounds that differ.
    """

    def __init__(
        self,
        problem: RobustProblem,
        stop: Stop = STOP,
        hedging: Hedging | None = None,
        options: Mapping[str, Any] = OPTIONS,
    ) -> None:
        """Start without any case.

        Args:
            problem: what is decided; every scene has a probability above 0.
            stop: when a decision is good enough, or no longer looked for.
            hedging: how scenes are brought together; the usual way unless stated.
            options: HiGHS options by name, for all scenes together.

        Raises:
            InputError: probability may be moved, whose price the scenes would share, or a scene has
                none.
        """
        if problem.reach is not None:
            raise InputError(
                f"reach: it is {problem.reach}; progressive hedging needs None, for scenes "
                "that are decided apart have no common price of moved probability"
            )
        if not (problem.probability > 0.0).all():
            raise InputError(
                f"probability: it is {problem.probability}; progressive hedging needs every "
                "scene's above 0"
            )
        self._stop, self._hedging = stop, hedging or Hedging()
        self._weight, self._decisions = problem.probability, len(problem.first)
        self._binary = np.searchsorted(problem.first, problem.whole)
        self._relaxed = _Relaxed(problem, options)
        self._alone = [
            _Alone(problem, scene, FINER * stop.gap, self._hedging.nodes)
            for scene in range(len(self._weight))
        ]
        self._nested = len(problem.recourse_whole) > 0
        self._lower = -np.inf
        self._last: Array | None = None

    def add(self, scene: int, z: Array) -> None:
        """Say that a scene costs no less than it does after some moves, (moves,)."""
        self._relaxed.add(scene, z)
        self._alone[scene].add(z)

    def decide(self) -> Decided:
        """Return the best decisions that were met, and the best bound.

        More cases only make decisions dearer, so the bound never falls.

        Raises:
            SolverError: HiGHS proved no optimum, or nothing that was met is possible.
        """
        with ThreadPoolExecutor(self._hedging.threads) as pool:
            tried = _Tried(partial(self._cost, pool), self._closes)
            start = self._relaxed.solve()
            self._raise(start.objective)
            tried.offer(np.round(start.x[self._binary]))
            if self._last is not None:
                tried.offer(self._last)
            self._hedge(start, tried, pool)
        if tried.best is None:
            raise SolverError("progressive hedging: no decision that was met is possible")
        self._last = tried.best.x[self._binary]
        return tried.best._replace(lower=self._lower)

    def _hedge(self, start: Answer, tried: "_Tried", pool: ThreadPoolExecutor) -> None:
        """Bring the scenes together, from the relaxation, for as long as is allowed."""
        until = time.perf_counter() + self._stop.time_s
        marginal = self._relaxed.marginal(start)
        w = self._hedging.start * (marginal - self._weight @ marginal)
        rho = self._penalty(marginal)
        for _ in range(self._stop.iterations):
            if tried.closed() or time.perf_counter() > until:
                break
            own = self._apart(w, pool)
            self._raise(own.bound)
            tried.propose(own.mean[self._binary], self._hedging.flips)
            if tried.closed() or self._agreed(own):
                break
            w = w + rho * (own.x - own.mean)
            own = self._apart(w + rho * (0.5 - own.mean), pool)
            tried.propose(own.mean[self._binary], self._hedging.flips)
            w = w + rho * (own.x - own.mean)

    def _agreed(self, own: _Apart) -> bool:
        """Return whether no scene differs in a binary decision, so that multipliers stay."""
        return bool((np.abs(own.x - own.mean)[:, self._binary] <= WHOLE).all())

    def _penalty(self, marginal: Array) -> Array:
        """Return rho, (decisions,): 0 for continuous decisions."""
        worth = (self._weight @ np.abs(marginal))[self._binary]
        rho = np.zeros(marginal.shape[1])
        least = LEAST * worth.max(initial=0.0)
        rho[self._binary] = self._hedging.penalty * np.maximum(worth, least)
        return rho

    def _apart(self, cost: Array, pool: ThreadPoolExecutor) -> _Apart:
        """Return what scenes decide if decisions cost them (scenes, decisions) more."""
        answers = list(pool.map(_Alone.solve, self._alone, cost))
        x = np.array([answer.x[: cost.shape[1]] for answer in answers])
        x[:, self._binary] = np.round(x[:, self._binary])
        bound = self._weight @ np.array([answer.bound for answer in answers])
        return _Apart(x, self._weight @ x, float(bound))

    def _cost(self, pool: ThreadPoolExecutor, binary: Array) -> Decided | None:
        """Return what binary decisions, (binaries,), cost all scenes; None if they cannot be."""
        try:
            answer = self._relaxed.solve(binary)
            decisions, scenes = self._decisions, len(self._weight)
            x = answer.x[:decisions].copy()
            x[self._binary] = binary
            theta = answer.x[decisions : decisions + scenes].copy()
            if self._nested:
                theta = np.array(list(pool.map(_Alone.cost, self._alone, [x] * scenes)))
        except InfeasibleError:
            return None
        return Decided(x, theta, 0.0, -np.inf, float(self._weight @ theta))

    def _raise(self, lower: float) -> None:
        """Take a bound from below."""
        self._lower = max(self._lower, lower)

    def _closes(self, upper: float) -> bool:
        """Return whether a cost is as good as is asked for."""
        return closes(self._lower, upper, self._stop.gap)


class _Tried:
    """The binary decisions that were put to all scenes since the last case."""

    def __init__(
        self, cost: Callable[[Array], Decided | None], closes_at: Callable[[float], bool]
    ) -> None:
        """Take what says what decisions cost, and whether a cost is good enough."""
        self._cost, self._closes_at = cost, closes_at
        self._seen: set[bytes] = set()
        self.best: Decided | None = None
        self._binary: Array = np.zeros(0)

    def closed(self) -> bool:
        """Return whether the best is good enough."""
        return self.best is not None and self._closes_at(self.best.upper)

    def offer(self, binary: Array) -> None:
        """Try binary decisions, (binaries,), unless they have been tried."""
        key = (binary + 0.0).tobytes()  # which makes -0 a 0
        if key in self._seen:
            return
        self._seen.add(key)
        found = self._cost(binary)
        if found is not None and (self.best is None or found.upper < self.best.upper):
            self.best, self._binary = found, binary

    def propose(self, mean: Array, flips: int) -> None:
        """Try a mean of what scenes decide, rounded, and changes of the best one that it suggests.

        Args:
            mean: (binaries,).
            flips: most changes.
        """
        self.offer(np.round(mean))
        if self.best is None:
            return
        dispute = np.abs(mean - self._binary)
        for decision in np.argsort(-dispute, kind="stable")[:flips]:
            if self.closed() or dispute[decision] <= WHOLE:
                break
            changed = self._binary.copy()
            changed[decision] = 1.0 - changed[decision]
            self.offer(changed)


class _Relaxed:
    """All scenes in one programme, with what is 0 or 1 in between or, of the decisions, given."""

    def __init__(self, problem: RobustProblem, options: Mapping[str, Any]) -> None:
        """Start without any case."""
        self._weight = problem.probability
        self._known = Known(problem, range(len(self._weight)), self._weight, options)
        self._binary = self._known.whole
        self._told: list[tuple[int, Sparse]] = []

    def add(self, scene: int, z: Array) -> None:
        """Add the recourse of a scene to some moves, (moves,)."""
        self._told.append((scene, self._known.add(scene, z)))
        self._known.solver.forget()

    def solve(self, binary: Array | None = None) -> Answer:
        """Return the optimum; of the continuous decisions if the binary ones are given."""
        numbers = self._known.numbers
        lower, upper = numbers.lower[self._binary], numbers.upper[self._binary]
        if binary is not None:
            lower = upper = binary
        self._known.solver.set_bounds(self._binary, lower, upper)
        return self._known.solver.solve_lp()

    def marginal(self, answer: Answer) -> Array:
        """Return what decisions save each scene at the margin, (scenes, decisions)."""
        width = len(self._known.numbers.cost) - len(self._weight) - 1
        saved = np.zeros((len(self._weight), width))
        at = 0
        for scene, rows in self._told:
            saved[scene] += rows.T @ answer.row_dual[at : at + rows.shape[0]]
            at += rows.shape[0]
        return np.asarray(saved / self._weight[:, None])


class _Alone:
    """One scene, whose decisions are its own or given."""

    def __init__(self, problem: RobustProblem, scene: int, gap: float, nodes: int | None) -> None:
        """Start without any case.

        Args:
            problem: whose scene it is.
            scene: its number.
            gap: to which it is solved.
            nodes: most nodes of a search.
        """
        self._known = Known(problem, [scene], np.ones(1))
        # Solutions come from all scenes together; of one alone the bound is what counts.
        self._known.solver.set_option("mip_heuristic_effort", 0.0)
        self._scene, self._gap, self._nodes = scene, gap, nodes

    def add(self, z: Array) -> None:
        """Add the recourse to some moves, (moves,)."""
        self._known.add(self._scene, z)

    def solve(self, cost: Array) -> Answer:
        """Return what the scene decides if decisions cost it (decisions,) more."""
        numbers = self._known.numbers
        paid = numbers.cost.copy()
        paid[: len(cost)] += cost
        self._known.solver.load(replace(numbers, cost=paid))
        relaxed = self._known.solver.solve_lp()
        if self._nodes == 0 or self._is_whole(relaxed):
            return relaxed
        found = self._known.solver.search_mip(
            self._known.whole, self._gap, TIME_LIMIT_S, self._nodes
        )
        # Without a solution, that between 0 and 1 says what the scene would like.
        return found if len(found.x) else replace(relaxed, bound=found.bound)

    def cost(self, x: Array) -> float:
        """Return what decisions, (decisions,), cost the scene."""
        solver = self._known.solver
        solver.load(held(self._known.numbers, np.arange(len(x)), x))
        relaxed = solver.solve_lp()
        if self._is_whole(relaxed):
            return relaxed.objective
        return solver.solve_mip(self._known.whole, self._gap).objective

    def _is_whole(self, relaxed: Answer) -> bool:
        """Return whether a relaxation needs no search."""
        binary = relaxed.x[self._known.whole]
        return bool((np.abs(binary - np.round(binary)) <= WHOLE).all())
