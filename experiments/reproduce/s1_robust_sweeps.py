"""What the day costs as more may deviate, as tariffs do, and as shedding is dearer.

Source: budgets are Bertsimas & Sim's (2004), uncertain tariffs Bian & Ji's (2025); the sweeps are
our choice.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.robust.problem import Recourse, RobustProblem
from baselines.robust.tariff import protected, with_tariffs
from baselines.robust.typical_days import expected_days, model_of
from experiments.reproduce.s1_robust_cases import (
    TARIFF_BUDGET_H,
    TARIFF_WEIGHTS,
    TARIFFS,
    Size,
    exact_of,
    member_of,
    proven,
    winter,
    with_usual_sets,
)
from experiments.reproduce.s1_robust_methods import ruled
from experiments.reproduce.s1_robust_reality import Reality, lived
from mmg_env.layout import MEMBER_SERIES
from mmg_env.sources.scenes import SHIFT_LOAD
from mmg_env.system import System

Array = NDArray[np.float64]

UNSERVED_KEY: Final = "penalties.unserved_per_kwh"
IMPORT_KEY: Final = "members[*].grid.import_kw"
NARROW_KW: Final = 2500
"""Import limit at which the days with more load cannot always be served."""


class Kind(NamedTuple):
    """A kind of day: factor of the load, and what the system's import limits are instead, kW."""

    load: float
    import_kw: int | None = None


USUAL: Final = "winter"
MORE_LOAD: Final = f"{100 * (SHIFT_LOAD - 1):.0f} % more load"
NARROW: Final = f"{MORE_LOAD}, {NARROW_KW} kW link"
DAYS: Final = {USUAL: Kind(1.0), MORE_LOAD: Kind(SHIFT_LOAD), NARROW: Kind(SHIFT_LOAD, NARROW_KW)}


class Bounds(NamedTuple):
    """Between what the value lies, currency, and whether the upper bound is proven."""

    lower: float
    upper: float
    proven: bool


class Budgeted(NamedTuple):
    """The day at a factor of the budgets.

    Attributes:
        value: of the two-stage problem.
        ruled: what affine rules cost at worst, currency.
        reality: what its commitments come to on realised days.
    """

    value: Bounds
    ruled: float
    reality: Reality


class Shed(NamedTuple):
    """The day at a price of what is not served.

    Attributes:
        value: of the two-stage problem.
        expected_kwh: load that is not served where nothing deviates, mean over the scenes.
        worst_kwh: and in the worst cases.
    """

    value: Bounds
    expected_kwh: float
    worst_kwh: float


def budgeted(member: int, factor: float | None, size: Size) -> Budgeted:
    """Solve a member's day at a factor of the budgets (None: the box), and live with the plan."""
    system = member_of(size, member)
    problem = winter(system, factor)
    found = proven(problem, size)
    exact = exact_of(problem, size)
    answers = [exact.worst(s, found.x, 0.0) for s in range(len(problem.scenes))]
    promised = np.array([np.inf if a.bound is None else a.bound for a in answers])
    return Budgeted(
        Bounds(found.lower, found.upper, found.proven),
        ruled(system, problem, found.x).value,
        lived(system, problem, found.x, promised, size.days),
    )


def tariffed(member: int, deviation: float, size: Size) -> Bounds:
    """Solve a member's day whose tariff may deviate, too."""
    system = member_of(size, member)
    rows, _ = expected_days(system)
    problem = winter(system)
    model = model_of(system)
    return _bounds(protected(problem, system, model, rows, deviation, TARIFF_BUDGET_H), size)


def discrete_tariffs(member: int, size: Size) -> Bounds:
    """Solve a member's day with a few tariffs as scenes."""
    system = member_of(size, member)
    rows, probability = with_tariffs(*expected_days(system), 1, TARIFFS, TARIFF_WEIGHTS)
    return _bounds(with_usual_sets(system, rows, probability), size)


def shed(member: int, kind: str, price: float, size: Size) -> Shed:
    """Solve a member's day at a price of what is not served, currency per kWh."""
    day = DAYS[kind]
    narrow = {} if day.import_kw is None else {IMPORT_KEY: day.import_kw}
    system = member_of(size, member, {UNSERVED_KEY: price, **narrow})
    rows, probability = expected_days(system)
    load = MEMBER_SERIES.index("load_kw")
    rows[:, :, load] *= day.load
    problem = with_usual_sets(system, rows, probability)
    found = proven(problem, size)
    none = tuple(np.zeros(len(scene.least)) for scene in problem.scenes)
    return Shed(
        Bounds(found.lower, found.upper, found.proven),
        _unserved(system, problem, found.x, none),
        _unserved(system, problem, found.x, found.worst),
    )


def _unserved(system: System, problem: RobustProblem, x: Array, moves: tuple[Array, ...]) -> float:
    """Return the load that is not served after each scene's moves, mean over the scenes, kWh."""
    columns = model_of(system).columns["unserved_kw"].ravel()
    columns = columns[columns >= 0]
    found = []
    for scene, z in zip(problem.scenes, moves, strict=True):
        recourse = Recourse(scene, problem.first)
        recourse.decide(x)
        found.append(float(recourse.answer(z).x[columns].sum()) * system.dt_h)
    return float(problem.probability @ found)


def _bounds(problem: RobustProblem, size: Size) -> Bounds:
    found = proven(problem, size)
    return Bounds(found.lower, found.upper, found.proven)
