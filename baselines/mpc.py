"""Model predictive control: every hour, plan against the point forecast, do the first hour.

At a day's first step the plan also commits the day: rent, pool schedule, grid nomination. Units
are committed to 0 or 1 for the next three hours only, and directions are decided for the current
hour and for what is scheduled only; later hours are relaxed. On the shipped suites that costs no
more than deciding all of the horizon (differences lie within what equally good plans differ by)
and takes two thirds of the time.

Source: textbook rolling horizon; docs/model.md section 2 for who knows what when.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from baselines.branching import Search
from baselines.compiled import Compiled, Numbers
from baselines.exclusivity import find_pairs
from baselines.highs import Solver
from baselines.plans import Values, requests
from baselines.rolling_horizon import Window, window_at, window_numbers, window_rows
from mmg_env.actions import ActionCodec
from mmg_env.climatology import climatology
from mmg_env.kernel import N_ACTION
from mmg_env.layout import A
from mmg_env.public import PublicInfo
from mmg_env.series import Forecast
from mmg_env.state import State
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

WHOLE_HOURS: Final = 3  # steps in which units are on or off, not in between
GAP: Final = 1e-3
NODES: Final = 10


@dataclass(frozen=True, eq=False)
class Firm:
    """What a day is committed to by another plan than that of the hour.

    Attributes:
        columns: of the model of the day's first step.
        values: (columns,) in that model.
        rental: (participants, 2) rented energy and power, kWh and kW.
    """

    columns: Integers
    values: Array
    rental: Array


@dataclass
class Solvers:
    """Warm solvers by model; a fresh one makes an episode independent of those before."""

    held: dict[Compiled, Solver] = field(default_factory=dict)

    def of(self, compiled: Compiled) -> Solver:
        """Return the solver of a model."""
        if compiled not in self.held:
            self.held[compiled] = Solver(compiled, {"presolve": "off"})
        return self.held[compiled]


def plan_from(
    system: System,
    state: State,
    forecast: Forecast,
    solvers: Solvers,
    firm: Firm | None = None,
    units: Array | None = None,
) -> Array:
    """Return the wishes of one step, (request_size,), planned against a point forecast.

    Args:
        system: the system.
        state: state at the start of the step.
        forecast: issued at the step.
        solvers: warm starts.
        firm: the day's commitments, where the day begins and something else has made them.
        units: (rows of `chp_on`, steps of a day + 1) whether units run, where that is decided.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    window = window_at(system, forecast.issue)
    rows = window_rows(system, window, forecast)
    compiled, numbers = window_numbers(system, window, state, rows)
    if firm is not None:
        numbers.lower[firm.columns] = numbers.upper[firm.columns] = firm.values
    if units is not None:
        _run(compiled, numbers, window.hour, units)
    solver = solvers.of(compiled)
    solver.load(numbers)
    binary = commitments(compiled, window.hour, WHOLE_HOURS)
    pairs = find_pairs(compiled, numbers, directed(system, window))
    search = Search(solver, numbers, binary, pairs)
    search.run(GAP, NODES)
    search.release()
    x = search.relaxed if search.best is None else search.best.x
    wishes: Array = requests(system, Values(compiled, x), rows)[window.hour]
    if firm is not None:
        rent(system, wishes, firm.rental)
    return wishes


def _run(compiled: Compiled, numbers: Numbers, hour: int, units: Array) -> None:
    """Fix whether units run in the rest of the day."""
    if "chp_on" not in compiled.columns:
        return
    rest = slice(hour + 1, units.shape[1])
    columns = compiled.columns["chp_on"][:, rest]
    there = columns >= 0
    numbers.lower[columns[there]] = numbers.upper[columns[there]] = units[:, rest][there]


def rent(system: System, wishes: Array, rental: Array) -> None:
    """Ask for an amount of rent, whatever a plan uses of it.

    Args:
        system: the system.
        wishes: (request_size,) of a day's first step; changed.
        rental: (participants, 2) energy and power, kWh and kW.
    """
    count = len(system.participants)
    actions = wishes[: count * N_ACTION].reshape(count, N_ACTION)
    actions[:, [A.rental_kwh, A.rental_kw]] = rental


def directed(system: System, window: Window) -> slice:
    """Return the steps in which no device may run both ways at once: those that are firm now."""
    last = system.steps_per_day if system.day_ahead_pool and window.hour == 0 else window.hour + 1
    return slice(window.hour, last)


def commitments(compiled: Compiled, hour: int, whole_hours: int) -> Integers:
    """Return the columns of the commitments of the next steps."""
    if "chp_on" not in compiled.columns:
        return np.zeros(0, dtype=np.int64)
    columns = compiled.columns["chp_on"][:, hour + 1 : hour + 1 + whole_hours].ravel()
    found: Integers = columns[columns >= 0]
    return found


def as_forecast(public: PublicInfo) -> Forecast:
    """Return the forecast that everyone is given."""
    return public.forecast


def as_usual(public: PublicInfo) -> Forecast:
    """Return what the climate and the last hour let expect; no forecast is read."""
    return climatology(public.system).foresee(public.history, public.forecast)


class Mpc:
    """Deterministic model predictive control as a policy."""

    def __init__(
        self, system: System, outlook: Callable[[PublicInfo], Forecast] = as_forecast
    ) -> None:
        """Take the system, and what to plan against; models are compiled when first needed."""
        self._system = system
        self._outlook = outlook
        self._codec = ActionCodec(system)
        self._solvers = Solvers()

    def reset(self, rng: np.random.Generator) -> None:  # noqa: ARG002
        """Forget the last episode's warm starts."""
        self._solvers = Solvers()

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return this hour's wishes and, at a day's first step, its commitments."""
        public: PublicInfo = info["public"]
        request = plan_from(self._system, public.state, self._outlook(public), self._solvers)
        return np.clip(self._codec.encode(request), -1.0, 1.0)
