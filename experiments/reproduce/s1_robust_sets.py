"""A set fitted to past errors beside box and budget set, and what protection against each costs.

The fitted set has moves that change many entries at once, and the exact search proves little of
these. So its value lies between the master's bound and that of a budget set around it::

    |u_e| <= h_e,   sum over a series of |u_e| / h_e <= B

with h_e the farthest that entry e can deviate and B the most that the sum can be, rounded up.

Source: the idea of a set fitted to data is Bian & Ji's (2025); all else is our choice.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.robust.correlated import ROUNDING, coverage, fit, historical_errors
from baselines.robust.deviations import HALF_WIDTHS, Budgets, around, deviating, shares
from baselines.robust.problem import RobustProblem
from baselines.robust.sets import NOTHING, UncertaintySet, budgeted
from baselines.robust.typical_days import expected_days, problem_of_days
from baselines.solution import Stop
from experiments.reproduce.s1_robust_cases import (
    GAP,
    Size,
    budgets,
    exact_of,
    member_of,
    proven,
    solve,
)
from experiments.reproduce.s1_robust_sweeps import Bounds
from mmg_env.system import System

Array = NDArray[np.float64]

KINDS: Final = len(HALF_WIDTHS)
INSIDE: Final = 0.95  # share of the past days that fitted and scaled sets hold
CORRELATED: Final = "fitted to errors"
WIDENED: Final = 1  # place of the widened budget set among the sets


class Priced(NamedTuple):
    """A set and what it costs.

    Attributes:
        name: which.
        train: share of the days of the fit that it holds.
        test: share of other days.
        value: of the two-stage problem.
    """

    name: str
    train: float
    test: float
    value: Bounds


class Fitted(NamedTuple):
    """The fitted set beside others.

    Attributes:
        components: of it.
        explained: share of the variance that they explain.
        heuristic: what its worst case costs as far as the heuristic sees, currency.
        by_search: bound that the exact search proves in its time, currency.
        by_enclosing: bound by the budget set around it, currency.
        sets: all sets, the fitted one last.
    """

    components: int
    explained: float
    heuristic: float
    by_search: float
    by_enclosing: float
    sets: tuple[Priced, ...]


class _Errors(NamedTuple):
    """Errors in half-widths, (days, entries), of the days of the fit and of others."""

    train: Array
    test: Array


def fitted(member: int, size: Size) -> Fitted:
    """Fit a set to a member's past errors and price it beside the others."""
    system = member_of(size, member)
    errors = _Errors(
        historical_errors(system, "train", size.fit_days),
        historical_errors(system, "test", size.test_days),
    )
    others = [
        _budget_set(system, factor, scaled, errors, size)
        for factor in (1.0, None)
        for scaled in (False, True)
    ]
    rows, probability = expected_days(system)
    found = [fit(errors.train, shares(system, day).ravel(), KINDS, inside=INSIDE) for day in rows]
    # What errors are on average belongs to what is expected.
    rows[:, :, :KINDS] += np.array([one.mean.reshape(-1, KINDS) for one in found])
    sets = [_on_scene(one.set, day[:, :KINDS]) for one, day in zip(found, rows, strict=True)]
    problem = problem_of_days(system, rows, sets, probability)
    guess = solve(problem, Stop(GAP, size.rounds, size.time_s), None)
    outside = [_enclosing(uncertain, system.steps_per_day) for uncertain in sets]
    enclosing = proven(problem_of_days(system, rows, outside, probability), size)
    by_enclosing = enclosing.upper if enclosing.proven else np.inf
    by_search = _searched(problem, guess.x, size)
    value = Bounds(guess.lower, min(by_search, by_enclosing), proven=True)
    own = Priced(CORRELATED, found[0].coverage, coverage(found[0], errors.test), value)
    return Fitted(
        found[0].components,
        found[0].explained,
        guess.upper,
        by_search,
        by_enclosing,
        (*others, own),
    )


def _budget_set(
    system: System, factor: float | None, scaled: bool, errors: _Errors, size: Size
) -> Priced:
    """Price a budget set (factor None: the box), as it is or made to hold as many days."""
    rows, probability = expected_days(system)
    width = shares(system, rows[0])
    unit = around(system, width, budgets(factor))
    far = [unit.gauge(_deviations(days, width, system)) for days in errors]
    reach = _reach(far[0]) if scaled else 1.0
    sets = [_scaled(system, day, reach, budgets(factor)) for day in rows]
    found = proven(problem_of_days(system, rows, sets, probability), size)
    name = "box" if factor is None else "budget"
    train, test = (float(np.mean(each <= reach * (1.0 + ROUNDING))) for each in far)
    bounds = Bounds(found.lower, found.upper, found.proven)
    return Priced(f"{name}, {reach:.1f} times as wide" if scaled else name, train, test, bounds)


def _reach(far: Array) -> float:
    """Return the least factor at which enough days are inside."""
    return float(np.sort(far)[int(np.ceil(INSIDE * len(far))) - 1])


def _scaled(system: System, day: Array, reach: float, hours: Budgets) -> UncertaintySet:
    """Return a set that is wider by a factor; nothing falls below 0."""
    up = reach * shares(system, day)
    return deviating(up, np.minimum(up, day[:, :KINDS]), hours.steps(system))


def _deviations(errors: Array, width: Array, system: System) -> Array:
    """Return errors in kW over the entries of a scene, (days, entries); the grid is up."""
    up = np.zeros((len(errors), system.steps_per_day))
    return np.hstack([errors * width.ravel(), up])


def _on_scene(uncertain: UncertaintySet, expected: Array) -> UncertaintySet:
    """Return a set over the entries of a scene: nothing falls below 0, and the grid is up.

    Args:
        uncertain: over wind, PV, load and heat by step.
        expected: (steps, kinds) kW; an entry that could fall below 0 deviates by so much less.
    """
    farthest, steps = _farthest(uncertain), len(expected)
    part = np.divide(expected.ravel(), farthest, out=np.ones(farthest.size), where=farthest > 0.0)
    own = sparse.diags_array(np.minimum(1.0, part)) @ uncertain.moves
    none = sparse.csr_array((steps, own.shape[1]))
    moves = sparse.vstack([own, none], format="csr")
    return UncertaintySet(moves, uncertain.group, uncertain.budget)


def _farthest(uncertain: UncertaintySet) -> Array:
    """Return how far each entry of a set can deviate, (entries,)."""
    return np.array([uncertain.support(at)[0] for at in np.eye(uncertain.moves.shape[0])])


def _enclosing(uncertain: UncertaintySet, steps: int) -> UncertaintySet:
    """Return the budget set around a set over the entries of a scene.

    Args:
        uncertain: of every move it has the opposed one, too.
        steps: of the scene.
    """
    farthest = _farthest(uncertain)
    kind = np.append(np.tile(np.arange(KINDS), steps), np.zeros(steps, dtype=np.int64))
    part = np.divide(1.0, farthest, out=np.zeros(farthest.size), where=farthest > NOTHING)
    # Of two opposed moves one alone reaches what both do.
    columns = sparse.csc_array(uncertain.moves)
    columns.eliminate_zeros()
    used = np.flatnonzero(np.diff(columns.indptr))
    one = np.zeros(columns.shape[1])
    one[used] = columns.data[columns.indptr[used]] > 0.0
    gains = [one * (abs(columns).T @ (part * (kind == k))) for k in range(KINDS)]
    most = np.array([float(gain @ uncertain.best(gain)) for gain in gains])
    return budgeted(farthest, farthest, kind, np.ceil(most))


def _searched(problem: RobustProblem, x: Array, size: Size) -> float:
    """Return what the exact search proves of a decision in its time, currency."""
    exact = exact_of(problem, size)
    answers = [exact.worst(s, x, 0.0).bound for s in range(len(problem.scenes))]
    return float(problem.probability @ [np.inf if bound is None else bound for bound in answers])
