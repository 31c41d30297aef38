"""Robust model predictive control: every hour, what is firm now must meet the worst of a day.

The first stage is the hour's wishes, the state after them and, where a day begins, the day's
commitments. The budget shrinks: what series have missed since the day began, in half-widths of what
was foreseen then, is spent.

Source: robust rolling horizon with a shrinking budget, our form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from baselines.committed_mpc import firm_from
from baselines.exclusivity import find_pairs
from baselines.mpc import commitments, directed, rent
from baselines.plans import Values, requests
from baselines.robust.adversary import Alternating
from baselines.robust.column_generation import ColumnGeneration
from baselines.robust.day_ahead import scenes_of
from baselines.robust.deviations import PLAYED
from baselines.robust.master import Master
from baselines.robust.outlook import Misses, Outlook, misses, outlook
from baselines.robust.problem import Recourse, RobustProblem
from baselines.solution import Stop
from baselines.stochastic_mpc import firm, keep_shifts_possible
from mmg_env.actions import ActionCodec
from mmg_env.public import PublicInfo
from mmg_env.system import System

Array = NDArray[np.float64]

# By rounds alone: what is decided must not depend on how fast a machine is.
STOP: Final = Stop(gap=1e-3, iterations=2, time_s=np.inf)
STARTS: Final = 2
GAP: Final = 1e-3
NODES: Final = 10
# Linear programmes of an hour are solved in a seventh of the time that they take with presolve.
AS_STATED: Final[Mapping[str, Any]] = {"presolve": "off"}


@dataclass(frozen=True, eq=False)
class Foreseen:
    """What was believed when the day began.

    Attributes:
        values: (leads, 4 * members) kW.
        half_width: (leads, 4 * members) kW.
    """

    values: Array
    half_width: Array


class RobustMpc:
    """Robust model predictive control as a policy."""

    def __init__(self, system: System) -> None:
        """Take the system."""
        self._system = system
        self._codec = ActionCodec(system)
        self._rng = np.random.default_rng(0)
        self._day: Foreseen | None = None
        self._spent = np.zeros(4 * len(system.members))

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the last episode."""
        self._rng = rng
        self._day = None

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return this hour's wishes and, at a day's first step, its commitments."""
        public: PublicInfo = info["public"]
        found = misses(public.forecast, self._rng)
        self._remember(public, found)
        left = np.maximum(PLAYED.steps(self._system) - self._spent, 0.0)
        request = worst_case_plan(outlook(public, found, left))
        return np.clip(self._codec.encode(request), -1.0, 1.0)

    def _remember(self, public: PublicInfo, found: Misses) -> None:
        """Keep what was foreseen when the day began, and count what has been missed since."""
        width = len(self._spent)
        if public.day_begins or self._day is None:
            self._spent = np.zeros(width)
            self._day = Foreseen(public.forecast.values[:, :width], found.half_width)
            return
        lead = public.step % self._system.steps_per_day - 1
        actual = public.history.values[public.step - 1, :width]
        half = self._day.half_width[lead]
        missed = np.abs(actual - self._day.values[lead])
        self._spent += np.minimum(1.0, np.divide(missed, half, out=0.0 * half, where=half > 0.0))


def hour_of(ahead: Outlook) -> RobustProblem:
    """Return the problem of an hour, all of it continuous."""
    system, compiled, hour = ahead.system, ahead.compiled, ahead.window.hour
    for numbers in ahead.blocks:
        keep_shifts_possible(system, compiled, numbers, hour)
    scenes = scenes_of(system, compiled, ahead.blocks, ahead.rows, ahead.sets)
    none = np.zeros(0, dtype=np.int64)
    return RobustProblem(scenes, ahead.probability, firm(compiled, system, hour), none, none)


def worst_case_plan(ahead: Outlook) -> Array:
    """Return the wishes of one step, (request_size,), planned against the worst.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    problem = hour_of(ahead)
    master = Master(problem, STOP, AS_STATED)
    found = ColumnGeneration(problem, master, Alternating(problem, STARTS)).run(STOP)
    x = _with_choices(ahead, problem, master)
    return _wishes(ahead, problem, found.x if x is None else x)


def _with_choices(ahead: Outlook, problem: RobustProblem, master: Master) -> Array | None:
    """Return decisions with the hour's commitments and directions made; None if none is found."""
    compiled, window = ahead.compiled, ahead.window
    place = np.full(compiled.matrix.shape[1], -1)
    place[problem.first] = np.arange(len(problem.first))
    units = place[commitments(compiled, window.hour, 1)]
    pairs = find_pairs(compiled, ahead.blocks[0], directed(ahead.system, window))
    return master.searched(units, pairs.among(problem.first).placed(place), GAP, NODES)


def _wishes(ahead: Outlook, problem: RobustProblem, x: Array) -> Array:
    """Return the wishes of the hour, as the first scene carries them out if nothing deviates."""
    system, compiled, hour = ahead.system, ahead.compiled, ahead.window.hour
    recourse = Recourse(problem.scenes[0], problem.first)
    recourse.decide(x)
    answer = recourse.answer(np.zeros(len(problem.scenes[0].least)), problem.recourse_whole)
    solution = answer.x[: compiled.matrix.shape[1]]
    wishes: Array = requests(system, Values(compiled, solution), ahead.rows[0])[hour].copy()
    if hour == 0:
        rent(system, wishes, firm_from(system, compiled, solution).rental)
    return wishes
