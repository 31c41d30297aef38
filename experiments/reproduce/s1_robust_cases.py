"""The problems of `mmg reproduce s1-robust`, and one way to solve and to measure them.

A member stands alone: it has nobody to trade with. Its scenes are the five typical days of winter,
unless stated, each with its own uncertainty set.

Source: the questions are those of Bian & Ji 2025; sizes, profiles and half-widths are our choice.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from time import perf_counter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.robust.adversary import Adversary, Alternating, Exact
from baselines.robust.column_generation import ColumnGeneration, Decides, Robust
from baselines.robust.day_ahead import alone
from baselines.robust.deviations import BUDGETS, Budgets, around, shares
from baselines.robust.hedging import Hedged
from baselines.robust.master import Decided, Master
from baselines.robust.problem import RobustProblem
from baselines.robust.sets import UncertaintySet
from baselines.robust.typical_days import expected_days, problem_of_days, typical_problem
from baselines.solution import Stop
from experiments.reproduce.jobs import Key
from mmg_env.system import System, load_system

Array = NDArray[np.float64]

SYSTEM: Final = "s1_3mg"
GAP: Final = 1e-3
"""To which the loop closes."""
MASTER_GAP: Final = 5e-4
EXACT_GAP: Final = 2.5e-4
HEDGING_ROUNDS: Final = 3
BOX: Final = Budgets(24.0, 24.0, 24.0, 24.0)
BOX_LABEL: Final = "box"
TARIFF_BUDGET_H: Final = 6.0
TARIFFS: Final = (0.85, 1.0, 1.15)
TARIFF_WEIGHTS: Final = (0.25, 0.5, 0.25)


class Size(NamedTuple):
    """How much is computed.

    Attributes:
        members: numbers of those that are looked at.
        dt_h: step, h.
        rounds: most rounds of the loop.
        time_s: longest time of a loop, s.
        exact_s: longest exact search in a scene, s.
        nested_s: longest search in a scene whose recourse has binaries, s.
        scenes: numbers of scenes of which progressive hedging is tried.
        factors: of the budgets; the box comes last anyway.
        tariffs: deviations of the tariff.
        unserved: prices of what is not served, currency per kWh.
        days: realised days per member.
        fit_days: past days that a set is fitted to.
        test_days: other days.
        quick: whether this is but a first look.
    """

    members: tuple[int, ...]
    dt_h: float
    rounds: int
    time_s: float
    exact_s: float
    nested_s: float
    scenes: tuple[int, ...]
    factors: tuple[float, ...]
    tariffs: tuple[float, ...]
    unserved: tuple[float, ...]
    days: int
    fit_days: int
    test_days: int
    quick: bool


FULL: Final = Size(
    members=(0, 1, 2),
    dt_h=1.0,
    rounds=30,
    time_s=90.0,
    exact_s=10.0,
    nested_s=10.0,
    scenes=(5, 20, 100),
    factors=(0.0, 0.25, 0.5, 0.75, 1.0, 1.5),
    tariffs=(0.0, 0.05, 0.10, 0.15, 0.20, 0.30),
    unserved=(5.0, 10.0, 20.0, 40.0),
    days=200,
    fit_days=200,
    test_days=128,
    quick=False,
)
QUICK: Final = FULL._replace(
    members=(1,),
    time_s=3.0,
    exact_s=0.5,
    nested_s=0.3,
    scenes=(5, 20),
    factors=(0.0, 1.0),
    tariffs=(0.0, 0.15),
    unserved=(5.0, 20.0),
    days=10,
    fit_days=40,
    test_days=20,
    quick=True,
)


class Step(NamedTuple):
    """One round of the loop: bounds so far, currency, whether the upper is proven, and s."""

    lower: float
    upper: float
    proven: bool
    time_s: float


class Solved(NamedTuple):
    """How a problem was solved.

    Attributes:
        x: (decisions,) the best that was found.
        lower: proven bound, currency.
        upper: cost at the worst, currency.
        proven: whether nothing is worse; else it is what a heuristic found.
        rounds: what was known round by round.
        worst: (scenes,) worst moves of each scene.
        master_s: time in the master, s.
        seconds: time of everything, s.
    """

    x: Array
    lower: float
    upper: float
    proven: bool
    rounds: tuple[Step, ...]
    worst: tuple[Array, ...]
    master_s: float
    seconds: float

    @property
    def gap(self) -> float:
        """Relative gap between the bounds."""
        return (self.upper - self.lower) / max(1.0, abs(self.upper))


class _Timed:
    """A master whose decisions are timed."""

    def __init__(self, master: Decides) -> None:
        """Take a master."""
        self._master = master
        self.seconds = 0.0

    def add(self, scene: int, z: Array) -> None:
        """Pass on a worst case."""
        self._master.add(scene, z)

    def decide(self) -> Decided:
        """Return the master's decision."""
        began = perf_counter()
        decided = self._master.decide()
        self.seconds += perf_counter() - began
        return decided


def solve(
    problem: RobustProblem,
    stop: Stop,
    exact: Adversary | None,
    hedged: bool = False,
    master_gap: float = MASTER_GAP,
) -> Solved:
    """Solve a problem and measure it.

    Args:
        problem: the problem.
        stop: of the loop.
        exact: proves; None to prove nothing.
        hedged: whether the master is decided scene by scene.
        master_gap: to which it is solved.
    """
    began = perf_counter()
    own: Decides = Master(problem, Stop(gap=master_gap))
    if hedged:
        own = Hedged(problem, Stop(gap=master_gap, iterations=HEDGING_ROUNDS))
    master = _Timed(own)
    found = ColumnGeneration(problem, master, Alternating(problem), exact).run(stop)
    return _summed_up(found, master.seconds, perf_counter() - began)


def _summed_up(found: Robust, master_s: float, seconds: float) -> Solved:
    rounds = tuple(
        Step(at.lower, at.upper, at.upper_kind == "proven", at.time_s) for at in found.trace
    )
    return Solved(
        found.x,
        found.lower,
        found.upper,
        rounds[-1].proven,
        rounds,
        found.worst,
        master_s,
        seconds,
    )


def proven(problem: RobustProblem, size: Size) -> Solved:
    """Solve a problem of linear recourse, with proof."""
    return solve(problem, stop_of(size), exact_of(problem, size))


def stop_of(size: Size) -> Stop:
    """Return when a loop ends."""
    return Stop(GAP, size.rounds, size.time_s)


def exact_of(problem: RobustProblem, size: Size) -> Exact:
    """Return who proves."""
    return Exact(problem, EXACT_GAP, size.exact_s)


@lru_cache(maxsize=64)
def _system(dt_h: float, overrides: Key) -> System:
    return load_system(SYSTEM, {"dt_h": dt_h, **dict(overrides)})


def community_of(size: Size, overrides: Mapping[str, Any] | None = None) -> System:
    """Return the whole system; each is built once."""
    return _system(size.dt_h, tuple(sorted((overrides or {}).items())))


@lru_cache(maxsize=64)
def _alone(system: System, member: int) -> System:
    return alone(system, member)


def member_of(size: Size, member: int, overrides: Mapping[str, Any] | None = None) -> System:
    """Return a member alone; each is built once."""
    return _alone(community_of(size, overrides), member)


def name_of(size: Size, member: int) -> str:
    """Return a member's name."""
    return str(community_of(size).members[member])


def winter(system: System, factor: float | None = 1.0, whole: bool = False) -> RobustProblem:
    """Return a system's winter days.

    Args:
        system: the system.
        factor: of the usual budgets; None for the box.
        whole: whether deviations are in full or none.
    """
    return typical_problem(system, budgets=budgets(factor), whole=whole)


def budgets(factor: float | None) -> Budgets:
    """Return budgets that are longer by a factor; None for the box."""
    return BOX if factor is None else BUDGETS.times(factor)


def with_usual_sets(system: System, rows: Array, probability: Array) -> RobustProblem:
    """Return the problem of some expected days, each with the usual set around it."""
    return problem_of_days(system, rows, usual_sets(system, rows), probability)


def usual_sets(system: System, rows: Array) -> Sequence[UncertaintySet]:
    """Return the usual set around each expected day."""
    return [around(system, shares(system, day)) for day in rows]


def many_scenes(system: System, count: int, width: float = 0.2) -> RobustProblem:
    """Return a problem with as many scenes as are asked for.

    5 are the typical days of winter and 20 those of all seasons. Of more, each is one of the 20
    with every series scaled by a factor between 1 - width and 1 + width of its own.
    """
    rows, probability = expected_days(system, (3,) if count <= 5 else (0, 1, 2, 3))
    if count <= len(rows):
        return with_usual_sets(system, rows[:count], _share(probability[:count]))
    rng = np.random.default_rng(count)
    pick, series = np.arange(count) % len(rows), 4 * len(system.members)
    days = rows[pick].copy()
    days[:, :, :series] *= rng.uniform(1.0 - width, 1.0 + width, (count, 1, series))
    return with_usual_sets(system, days, _share(probability[pick]))


def _share(weight: Array) -> Array:
    return np.asarray(weight / weight.sum())
