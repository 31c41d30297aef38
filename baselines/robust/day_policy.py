"""A day committed against the worst, its hours played by model predictive control.

At a day's first step the robust day is solved: rent, pool schedule, nomination, and when units run.
These are then fixed; the hours are decided against the refreshed point forecast. Worst cases are
looked for by alternation, by rounds alone, so that what is committed does not depend on how fast a
machine is; how far that can be from the proven worst is shown by `mmg reproduce s1-robust`.

Source: docs/model.md section 2 (rolling horizon with the day's commitments fixed); Bian & Ji 2025.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from baselines.branching import INTEGRAL
from baselines.committed_mpc import firm_from
from baselines.exclusivity import no_pairs
from baselines.mpc import Solvers, plan_from
from baselines.robust.adversary import Alternating
from baselines.robust.affine import affine_rules, rules_of_hours
from baselines.robust.column_generation import ColumnGeneration
from baselines.robust.day_ahead import robust_day
from baselines.robust.deviations import PLAYED
from baselines.robust.hedging import Hedged, Hedging
from baselines.robust.master import INTERIOR, Master
from baselines.robust.outlook import Outlook, around_each, calm, misses, outlook
from baselines.robust.problem import RobustProblem
from baselines.scenarios import balanced
from baselines.solution import Stop
from mmg_env.actions import ActionCodec
from mmg_env.public import PublicInfo
from mmg_env.system import System

Array = NDArray[np.float64]

# By rounds alone: what is committed must not depend on how fast a machine is.
STOP: Final = Stop(gap=2e-3, iterations=4, time_s=np.inf)
STARTS: Final = 3
NODES: Final = 10
HEDGING_STOP: Final = Stop(gap=2e-3, iterations=1, time_s=np.inf)
HEDGING: Final = Hedging(flips=2, nodes=0)
SCENARIOS: Final = 4
REACH: Final = 4.0  # moves in full per member and scenario, on average

Ahead = Callable[[PublicInfo, np.random.Generator], Outlook]
Decide = Callable[[Outlook], Array]


def usual(public: PublicInfo, rng: np.random.Generator) -> Outlook:
    """Return the day that the forecast and its usual misses let expect."""
    return outlook(public, misses(public.forecast, rng), PLAYED.steps(public.system))


def without_failures(public: PublicInfo, rng: np.random.Generator) -> Outlook:
    """Return the same day with a grid that does as announced."""
    return calm(public, misses(public.forecast, rng), PLAYED.steps(public.system))


def several(public: PublicInfo, rng: np.random.Generator) -> Outlook:
    """Return a few equally likely futures, each of which may be missed as usual."""
    futures = balanced(public.system, public.forecast, SCENARIOS, rng)
    budget = PLAYED.steps(public.system)
    return around_each(public, futures, misses(public.forecast, rng), budget)


def doubtful(public: PublicInfo, rng: np.random.Generator) -> Outlook:
    """Return a few futures whose probabilities are in doubt."""
    futures = balanced(public.system, public.forecast, SCENARIOS, rng)
    day = np.full(4 * len(public.system.members), float(public.system.steps_per_day))
    ahead = around_each(public, futures, misses(public.forecast, rng), day)
    return replace(ahead, reach=REACH * len(public.system.members))


def day_of(ahead: Outlook) -> RobustProblem:
    """Return the problem of a day's commitments."""
    problem = robust_day(
        ahead.system, ahead.compiled, ahead.blocks, ahead.rows, ahead.sets, ahead.probability
    )
    return replace(problem, reach=ahead.reach)


def by_generation(ahead: Outlook) -> Array:
    """Return what a day commits to, by column and constraint generation.

    Worst cases are found for units that may run in part. Against these it is then decided when
    units run, by a short search.

    Returns:
        (columns,) of a scene's model; 0 for what is not committed.
    """
    problem = day_of(ahead)
    relaxed = replace(problem, whole=problem.whole[:0])
    master = Master(relaxed, STOP, INTERIOR)
    found = ColumnGeneration(relaxed, master, Alternating(relaxed, STARTS)).run(STOP)
    units = np.searchsorted(problem.first, problem.whole)
    x = master.searched(units, no_pairs(), STOP.gap, NODES)
    return placed(ahead, problem, found.x if x is None else x)


def by_hedging(ahead: Outlook) -> Array:
    """Return what a day commits to, its master solved scene by scene, likewise."""
    problem = day_of(ahead)
    master = Hedged(problem, HEDGING_STOP, HEDGING, INTERIOR)
    found = ColumnGeneration(problem, master, Alternating(problem, STARTS)).run(STOP)
    return placed(ahead, problem, found.x)


def by_affine_rules(ahead: Outlook) -> Array:
    """Return what a day commits to if its hours follow rules that look back only, likewise.

    The units run as column and constraint generation would have them.
    """
    problem = day_of(ahead)
    units = by_generation(ahead)[problem.whole]
    rules = rules_of_hours(ahead.compiled, ahead.system, memory=0)
    return placed(ahead, problem, affine_rules(problem, rules, units).x)


def placed(ahead: Outlook, problem: RobustProblem, x: Array) -> Array:
    """Return decisions, (decisions,), among the columns of a scene's model."""
    columns = np.zeros(ahead.compiled.matrix.shape[1])
    columns[problem.first] = x
    return columns


def units_of(ahead: Outlook, x: Array) -> Array | None:
    """Return whether units run, (rows of `chp_on`, steps of a day + 1).

    None without units, and where the search found no way to run them: then the hours decide.
    """
    if "chp_on" not in ahead.compiled.columns:
        return None
    columns = ahead.compiled.columns["chp_on"][:, : ahead.system.steps_per_day + 1]
    runs = np.where(columns >= 0, x[columns], 0.0)
    whole = np.rint(runs).astype(np.float64)
    return whole if np.allclose(runs, whole, atol=INTEGRAL) else None


class RobustDay:
    """Commits each day against the worst; decides its hours against the point forecast."""

    def __init__(self, system: System, decide: Decide, ahead: Ahead = usual) -> None:
        """Take the system, who decides, and what is planned against."""
        self._system = system
        self._decide = decide
        self._ahead = ahead
        self._codec = ActionCodec(system)
        self._solvers = Solvers()
        self._rng = np.random.default_rng(0)
        self._units: Array | None = None

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the last episode's warm starts and commitments."""
        self._rng = rng
        self._solvers = Solvers()
        self._units = None

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return this hour's wishes and, at a day's first step, its commitments."""
        public: PublicInfo = info["public"]
        firm = None
        if public.day_begins:
            ahead = self._ahead(public, self._rng)
            x = self._decide(ahead)
            firm = firm_from(self._system, ahead.compiled, x)
            self._units = units_of(ahead, x)
        request = plan_from(
            self._system,
            public.state,
            public.forecast,
            self._solvers,
            firm=firm,
            units=self._units,
        )
        return np.clip(self._codec.encode(request), -1.0, 1.0)
