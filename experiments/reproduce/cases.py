"""The cases of `mmg reproduce s2`, and what a day of one of them is worth to everybody.

A day is planned day-ahead under scenarios, with the system's risk, and every scenario of the plan
is then lived through in the simulator, whose ledger tells who pays what. Every case meets the same
days and scenarios. The features are::

    bidirectional   the storage takes from the houses' pool, and houses may sell to the grid
    markets         the storage sells regulation and spinning reserve
    peer_to_peer    houses trade with one another
    rental          houses rent virtual batteries

Source: the abstract of Bayat et al. 2026 names the four features and has three cases; what exactly
a case switches is our choice.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.day_ahead import DayAhead, day_ahead, with_risk
from baselines.day_plan import DayPlan, least_exchange, plans_of, solve_day
from baselines.deterministic import first_public
from baselines.risk import Risk
from baselines.scenarios import draw
from baselines.solution import Plan
from experiments.reproduce.sharing import Account, profit_range, storage_account
from mmg_env.layout import F
from mmg_env.public import PublicInfo
from mmg_env.series import Scenarios
from mmg_env.sources.random import stream
from mmg_env.splits import sample_episode
from mmg_env.system import System, load_system
from mmg_env.trajectory import Trajectory, simulate

Array = NDArray[np.float64]

SYSTEM: Final = "s2_crh"
SPLIT: Final = "test"
RISK: Final = Risk(beta=0.3, alpha=0.9)
TOLERANCE: Final = 1e-6  # of what a replay may differ from its plan, as a share of sum |terms|

FEATURES: Final[Mapping[str, Mapping[str, Any]]] = {
    "bidirectional": {"ces.pool_in": False, "member_export": False},
    "markets": {"ces.markets": False},
    "peer_to_peer": {"pool.members": False},
    "rental": {"ces.rental": False},
}
"""What each feature's absence overrides."""


def without(*features: str) -> dict[str, Any]:
    """Return the overrides that take features away."""
    return {key: value for name in features for key, value in FEATURES[name].items()}


ENERGY_ONLY: Final = without(*FEATURES)
COMBINATIONS: Final[Mapping[frozenset[str], Mapping[str, Any]]] = {
    frozenset(name for name, there in zip(FEATURES, present, strict=True) if there): without(
        *(name for name, there in zip(FEATURES, present, strict=True) if not there)
    )
    for present in product((False, True), repeat=len(FEATURES))
}
"""Overrides by the features that are there."""

NO_STORAGE: Final = "no storage"
RESALE: Final = "resale only"
ONE: Final = "case 1"
ONE_FEED_IN: Final = "case 1 with feed-in"
TWO: Final = "case 2"
THREE: Final = "case 3"
CASES: Final[Mapping[str, Mapping[str, Any]]] = {
    NO_STORAGE: {"ces": None},
    RESALE: {**ENERGY_ONLY, "ces.battery.capacity_kwh": 1e-3},
    ONE: ENERGY_ONLY,
    ONE_FEED_IN: {**ENERGY_ONLY, "member_export": True},
    TWO: without("peer_to_peer", "rental"),
    THREE: {},
}
"""Overrides by the name of a case, in the order in which they are shown."""


class Outcome(NamedTuple):
    """A day of a case, expected over its scenarios.

    Attributes:
        ledger: (participants, terms) money, currency; the storage comes last.
        storage_kw: (steps, flows) what the storage does.
        objective: risk of the system's cost, currency.
        bound: proven lower bound of it.
        shared: (3, 2) the storage's profit and the houses' cost, currency, in the plan itself and
            in the equally cheap plans in which the storage earns least and most; NaN without
            storage, and where the range is not asked for.
    """

    ledger: Array
    storage_kw: Array
    objective: float
    bound: float
    shared: Array


@lru_cache(maxsize=32)
def system_of(overrides: tuple[tuple[str, Any], ...]) -> System:
    """Return the system with overrides; each is built once."""
    return load_system(SYSTEM, dict(overrides))


def case_system(overrides: Mapping[str, Any]) -> System:
    """Return the system of a case."""
    return system_of(tuple(sorted(overrides.items())))


def known(system: System, day: int) -> PublicInfo:
    """Return what is known when a test day begins."""
    return first_public(system, sample_episode(system, SPLIT, day))


def futures(public: PublicInfo, day: int, count: int) -> Scenarios:
    """Return a day's scenarios: the same in all cases."""
    system = public.system
    # A stream of its own: what is drawn here is no part of the episode.
    return draw(system, public.forecast, count, stream(system.name, SPLIT, day, "reproduce"))


def problem_of(system: System, day: int, scenarios: int) -> DayAhead:
    """Return the day-ahead problem of a test day."""
    public = known(system, day)
    return day_ahead(public, futures(public, day, scenarios))


def planned(problem: DayAhead, risk: Risk) -> DayPlan:
    """Return the day's best plan, of equally cheap ones the one that exchanges least."""
    return least_exchange(problem, solve_day(problem, with_risk(problem, risk)))


def played(problem: DayAhead, day: int, plans: tuple[Plan, ...]) -> list[Trajectory]:
    """Return what the simulator makes of each scenario of a plan.

    Raises:
        RuntimeError: the simulator's cost is not the plan's.
    """
    episode = sample_episode(problem.system, SPLIT, day)
    found = []
    for rows, plan in zip(problem.rows, plans, strict=True):
        lived = simulate(problem.system, replace(episode, values=rows), plan.requests)
        check_same(plan.cost, lived.cost, float(np.abs(lived.ledger).sum()), f"day {day}")
        found.append(lived)
    return found


def check_same(expected: float, found: float, size: float, what: str) -> None:
    """Refuse a replay that costs something else than its plan.

    Raises:
        RuntimeError: they differ by more than rounding.
    """
    if not abs(expected - found) <= TOLERANCE * size:
        raise RuntimeError(
            f"{what}: the plan says {expected}, the simulator {found}; they may differ by "
            f"{TOLERANCE * size:.3g}"
        )


def play(overrides: Mapping[str, Any], day: int, scenarios: int, ranged: bool = True) -> Outcome:
    """Plan a test day of a case and live through its scenarios.

    Args:
        overrides: what the case changes of the system.
        day: number of the test episode.
        scenarios: how many are planned for.
        ranged: whether the ends of the range are looked for, which takes as long as all else.

    Raises:
        RuntimeError: the simulator's ledger is not the plan's.
        SolverError: HiGHS proved no optimum.
    """
    system = case_system(overrides)
    problem = problem_of(system, day, scenarios)
    plan = planned(problem, RISK)
    ledger, flows = expected(problem, day, plan.x)
    storage = flows[:, -1] if system.has_ces else np.zeros((len(flows), len(F)))
    shared = np.full((3, 2), np.nan)
    if ranged and system.has_ces:
        account = storage_account(problem)
        solutions = [plan.x, *profit_range(plan, account)]
        shared = np.array([_shared(problem, day, x, account) for x in solutions])
    return Outcome(ledger, storage, plan.objective, plan.bound, shared)


def expected(problem: DayAhead, day: int, x: Array) -> tuple[Array, Array]:
    """Return ledger (participants, terms) and flows (steps, participants, flows) of a plan."""
    lived = played(problem, day, plans_of(problem, x))
    weights = problem.form.probability
    ledger = np.einsum("s,spl->pl", weights, np.array([one.ledger.sum(axis=0) for one in lived]))
    flows = np.einsum("s,stpf->tpf", weights, np.array([one.flows for one in lived]))
    return ledger, flows


def _shared(problem: DayAhead, day: int, x: Array, account: Account) -> tuple[float, float]:
    """Return the storage's profit, which must be that of its account, and the houses' cost."""
    plans = plans_of(problem, x)
    lived = played(problem, day, plans)
    paid = problem.form.probability @ np.array([one.ledger.sum(axis=(0, 2)) for one in lived])
    size = max(float(np.abs(one.ledger).sum()) for one in lived)
    check_same(account.cost(x, plans[0]), paid[-1], size, f"the storage's ledger of day {day}")
    return -float(paid[-1]), float(paid[:-1].sum())
