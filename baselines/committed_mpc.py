"""A day committed for scenarios by cuts, its hours played by model predictive control.

At a day's first step scenarios are drawn, and compact Benders (`compact_benders.py`) finds what to
commit to: rent, pool schedule, nomination. These are then fixed in the plan against the point
forecast, which decides the hour, as it does in all other hours of the day.

Cuts meet within seconds where a member's hours stand alone, or where all that members are asked for
is firm for the day. With batteries and a pool by the hour, a minute of cuts leaves the bounds of a
day further apart than it costs, while the whole problem takes seconds. There, and wherever rounds
run out, it is solved whole: nothing is committed on bounds that have not met.

Source: docs/model.md section 2: rolling horizon with the day's commitments fixed; when cuts are
left for the whole problem is our choice, from measurement.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from baselines.compact_benders import benders, separation_for
from baselines.compiled import Compiled
from baselines.day_ahead import DayAhead, day_ahead, with_risk
from baselines.division import Kind
from baselines.extensive_form import committed
from baselines.mpc import Firm, Solvers, plan_from
from baselines.risk import Risk
from baselines.scenarios import balanced
from baselines.solution import Stop
from mmg_env.actions import ActionCodec
from mmg_env.kernel import clear_pool
from mmg_env.layout import F, P, W
from mmg_env.public import PublicInfo
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SCENARIOS: Final = 10
# By rounds alone: what is committed must not depend on how fast a machine is.
STOP: Final = Stop(gap=1e-3, iterations=100, time_s=np.inf)


def kind_for(system: System) -> Kind | None:
    """Return the cuts by which a system's days are committed; None where none meet in time.

    `hour` where nothing but flexible load ties a member's hours together; `scenario` where members
    are asked for nothing but what is firm for the day.
    """
    if _hours_stand_alone(system):
        return "hour"
    asked_by_the_hour = system.rental or system.day_ahead_grid
    asked_by_the_hour |= system.config.pool.enabled and not system.day_ahead_pool
    return None if asked_by_the_hour else "scenario"


def _hours_stand_alone(system: System) -> bool:
    """Return whether no member has a battery, a unit or a demand charge."""
    members = slice(len(system.members))
    stores = system.column(P.capacity_kwh)[members] > 0.0
    units = system.column(P.chp_kw)[members] > 0.0
    charged = system.column(P.import_kw)[members] > 0.0
    charged &= system.physics.world[W.demand_charge_per_kw] > 0.0
    return not (stores | units | charged).any()


def commit(problem: DayAhead, kind: Kind | None, risk: Risk, stop: Stop = STOP) -> Array:
    """Return what a day is committed to, (columns,) of one scenario's model; 0 where nothing is.

    Args:
        problem: the day's problem.
        kind: of cuts; None to solve the problem whole.
        risk: what is minimised; of each party alone with `single`.
        stop: when cuts end; where they have not met by then, the problem is solved whole.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    form = problem.form
    shared = np.flatnonzero(committed(problem.compiled, problem.system))
    at = form.column[0, shared]
    x = _by_cuts(problem, kind, risk, stop, at) if kind is not None else None
    if x is None:
        x = with_risk(problem, risk, by_party=kind == "single").solve().x[at]
    found = np.zeros(form.column.shape[1])
    # The solver leaves bounds by rounding.
    found[shared] = np.clip(x, form.lower[at], form.upper[at])
    return found


def _by_cuts(
    problem: DayAhead, kind: Kind, risk: Risk, stop: Stop, columns: Integers
) -> Array | None:
    """Return some merged columns of the plan that cuts find, or None where bounds have not met."""
    closed, _, split = benders(problem, kind, risk, stop, separation_for(kind))
    if not closed.within(stop.gap):
        return None
    return np.asarray(closed.x[np.searchsorted(split.parts.columns, columns)])


def firm_from(system: System, compiled: Compiled, x: Array) -> Firm:
    """Return the commitments of a plan as another plan is held to them.

    Args:
        system: whose plan it is.
        compiled: the model of the plan in one scenario.
        x: (columns,) the plan in it.
    """
    shared = np.flatnonzero(committed(compiled, system))
    held = x.copy()
    if system.day_ahead_pool:
        _clear(system, compiled, held)
    return Firm(shared, held[shared], _rental(system, compiled, x))


def _clear(system: System, compiled: Compiled, x: Array) -> None:
    """Let the pool's schedule be what the pool will make of it: balanced, and never both ways."""
    columns = compiled.columns
    if "sent_kw" not in columns:
        return
    sent, received = columns["sent_kw"], columns["received_kw"]
    there = sent >= 0
    net = np.where(there, x[received] - x[sent], 0.0)
    flows = np.zeros((net.shape[1], len(system.participants), len(F)))
    flows[:, : len(net), F.nominated_kw] = net.T
    for hour in flows:
        clear_pool(system.physics.world, int(system.has_ces), hour)
    x[sent[there]] = flows[:, : len(net), F.sent_kw].T[there]
    x[received[there]] = flows[:, : len(net), F.received_kw].T[there]


def _rental(system: System, compiled: Compiled, x: Array) -> Array:
    """Return what is rented for the day, (participants, 2), kWh and kW."""
    rental = np.zeros((len(system.participants), 2))
    for k, name in enumerate(("rental_kwh", "rental_kw")):
        if name in compiled.columns:
            numbers = compiled.columns[name][:, 0]
            there = numbers >= 0
            rental[np.flatnonzero(there), k] = x[numbers[there]]
    return rental


class CommittedMpc:
    """Commits each day for scenarios; decides its hours against the point forecast."""

    def __init__(
        self, system: System, kind: Kind | None, risk: Risk, scenarios: int = SCENARIOS
    ) -> None:
        """Take the system, the kind of cuts, what is minimised, the number of scenarios."""
        self._system = system
        self._kind = kind
        self._risk = risk
        self._count = scenarios
        self._codec = ActionCodec(system)
        self._solvers = Solvers()
        self._rng = np.random.default_rng(0)

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the last episode's warm starts."""
        self._rng = rng
        self._solvers = Solvers()

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return this hour's wishes and, at a day's first step, its commitments."""
        public: PublicInfo = info["public"]
        firm = self._commit(public) if public.day_begins else None
        request = plan_from(self._system, public.state, public.forecast, self._solvers, firm=firm)
        return np.clip(self._codec.encode(request), -1.0, 1.0)

    def _commit(self, public: PublicInfo) -> Firm:
        """Return the day's commitments."""
        scenarios = balanced(self._system, public.forecast, self._count, self._rng)
        problem = day_ahead(public, scenarios)
        return firm_from(self._system, problem.compiled, commit(problem, self._kind, self._risk))
