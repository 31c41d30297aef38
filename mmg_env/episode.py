"""Episode: one exogenous trajectory and what is believed about it hour by hour.

Its values are the truth; its forecasts are part of it, so that every policy is told the same
things. Both are read-only.

Source: docs/model.md section 7.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmg_env.errors import InputError
from mmg_env.forecasting import forecast_into, make_rows_consistent
from mmg_env.layout import MEMBER_SERIES, P, W, X
from mmg_env.series import ErrorModel, Forecast, Series, frozen
from mmg_env.system import System

Array = NDArray[np.float64]

FORECAST_H = 48
UNBOUNDED = 1e12


@dataclass(frozen=True, eq=False)
class Episode(Series):
    """One exogenous trajectory with its forecasts.

    Attributes:
        label: (suite, split, index), or another name for an episode made by hand.
        start: first hour on the calendar of the source.
        values: (steps, columns) the truth.
        center: (steps + leads, columns) what was believed before the episode began.
        scale: (steps + leads, columns) size of one unit of forecast error.
        errors: (steps, paths) error paths as they came true.
        model: how forecasts err.
        world: the system's numbers.
        member_count: members of the system.
    """

    label: tuple[str, str, int]
    start: np.datetime64
    values: Array
    center: Array
    scale: Array
    errors: Array
    model: ErrorModel
    world: Array
    member_count: int

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.values)

    @cached_property
    def leads(self) -> int:
        """Steps that a forecast covers."""
        return len(self.center) - len(self.values)

    def forecast(self, t: int) -> Forecast:
        """Return the forecast issued at the start of step t, 0..steps.

        Raises:
            InputError: there is no such step.
        """
        if not 0 <= t <= self.steps:
            raise InputError(
                f"forecast: step {t} is not in 0..{self.steps} of episode {self.label}"
            )
        out = np.empty((self.leads, self.values.shape[1]))
        model = self.model
        forecast_into(
            self.world,
            t,
            self.center,
            self.scale,
            model.path,
            model.phi,
            self.errors,
            self.values,
            model.low,
            model.high,
            out,
        )
        out.flags.writeable = False
        scale = self.scale[t : t + self.leads]
        return Forecast(t, out, scale, model, self.world, self.member_count)

    def until(self, t: int) -> "Episode":
        """Return what has been realised before step t: the only part a policy may see."""
        return replace(
            self,
            values=frozen(self.values[:t]),
            center=frozen(self.center[:t]),
            scale=frozen(self.scale[:t]),
            errors=frozen(self.errors[:t]),
        )


@dataclass(frozen=True, eq=False)
class Belief:
    """What a source says before the episode is assembled.

    Attributes:
        center: (steps + leads, columns) belief before the episode.
        scale: (steps + leads, columns) size of one unit of error.
        errors: (steps + leads, paths) or (steps, paths) error paths as they come true.
    """

    center: Array
    scale: Array
    errors: Array


def lead_steps(system: System) -> int:
    """Return how many steps a forecast covers."""
    return round(FORECAST_H / system.dt_h)


def physical_bounds(system: System) -> tuple[Array, Array]:
    """Return lower and upper bounds of every column.

    Renewables lie between 0 and capacity, load is at least the flexible rating (so that a shift
    is always firm), heat, purchase price and premiums are not negative.
    """
    members = len(system.members)
    columns = system.exogenous_size
    low = np.zeros(columns)
    high = np.full(columns, UNBOUNDED)
    configs = system.config.members
    high[:members] = [m.wind.capacity_kw if m.wind else 0.0 for m in configs]
    high[members : 2 * members] = [m.pv.capacity_kw if m.pv else 0.0 for m in configs]
    low[2 * members : 3 * members] = system.column(P.flex_kw)[:members]
    for column in (X.price_sell, X.ces_buy, X.ces_sell, X.spot, X.nomination_base_kw):
        low[4 * members + column] = -UNBOUNDED
    for column in (X.grid_up, X.derating, X.spin_call):
        high[4 * members + column] = 1.0
    return low, high


def assemble_episode(
    system: System,
    label: tuple[str, str, int],
    start: np.datetime64,
    model: ErrorModel,
    belief: Belief,
    truth: Array,
) -> Episode:
    """Make a truth physical, add the base of the nominations, check prices, freeze.

    Args:
        system: the system that will live through it.
        label: (suite, split, index).
        start: first hour on the calendar.
        model: how forecasts err.
        belief: center, scale and errors.
        truth: (steps, columns) raw values; not changed.

    Raises:
        InputError: a value is not a finite number, or a price breaks the rules of section 5.
    """
    steps = system.episode_steps
    check_arrays(system, label, model, belief, truth)
    values = np.array(truth[:steps], dtype=np.float64)
    world = system.physics.world
    make_rows_consistent(world, model.low, model.high, values)
    members = len(system.members)
    center, scale = frozen(belief.center), frozen(belief.scale)
    errors = frozen(belief.errors[:steps])
    episode = Episode(label, start, values, center, scale, errors, model, world, members)
    base = values[:, 4 * members + X.nomination_base_kw]
    for t in range(0, steps, system.steps_per_day):
        base[t : t + system.steps_per_day] = episode.forecast(t).shared(X.nomination_base_kw)[
            : system.steps_per_day
        ]
    values.flags.writeable = False
    check_prices(system, episode)
    return episode


def check_arrays(
    system: System,
    label: tuple[str, str, int],
    model: ErrorModel,
    belief: Belief,
    truth: Array,
) -> None:
    """Refuse arrays of a wrong shape or with numbers that are not finite.

    Raises:
        InputError: naming the array, and its shape or the step and column of the number.
    """
    columns, steps = system.exogenous_size, system.episode_steps
    rows = steps + lead_steps(system)
    wanted = {
        "truth": (truth, (steps, columns)),
        "center": (belief.center, (rows, columns)),
        "scale": (belief.scale, (rows, columns)),
        "errors": (belief.errors, (steps, len(model.phi))),
    }
    for name, (array, shape) in wanted.items():
        if array.ndim != 2 or len(array) < shape[0] or array.shape[1] != shape[1]:
            raise InputError(
                f"episode {label}: {name} has shape {array.shape}; it must be {shape} or longer"
            )
        wrong = np.argwhere(~np.isfinite(array[: shape[0]]))
        if len(wrong):
            t, column = wrong[0]
            raise InputError(
                f"episode {label}: {name} is {array[t, column]} in step {t}, column {column}; "
                "every value must be a finite number"
            )


def check_prices(system: System, episode: Episode) -> None:
    """Refuse an episode in which shedding or spilling would pay.

    Raises:
        InputError: naming the hour, the price and the penalty that it beats.
    """
    world = system.physics.world
    dt = system.dt_h
    carbon = world[W.carbon_per_kg] * episode.shared(X.carbon_kg_per_kwh)
    dearest = np.maximum(episode.price_buy, episode.shared(X.ces_buy)) + carbon
    dearest = dearest + world[W.demand_charge_per_kw] / dt
    if system.day_ahead_grid:
        dearest = dearest + episode.shared(X.short_premium)
    t = int(np.argmax(dearest))
    if dearest[t] >= world[W.unserved_per_kwh]:
        raise InputError(
            f"episode {episode.label}: energy costs up to {dearest[t]:.4g} per kWh in step {t} "
            f"(price, carbon, demand charge, imbalance); it must stay below "
            f"penalties.unserved_per_kwh, {world[W.unserved_per_kwh]:.4g}"
        )
    cheapest = np.minimum(episode.price_sell, episode.shared(X.ces_sell))
    if system.day_ahead_grid:
        cheapest = cheapest - episode.shared(X.long_premium)
    t = int(np.argmin(cheapest))
    if -cheapest[t] >= world[W.spill_per_kwh]:
        raise InputError(
            f"episode {episode.label}: selling costs {-cheapest[t]:.4g} per kWh in step {t}; "
            f"it must stay below penalties.spill_per_kwh, {world[W.spill_per_kwh]:.4g}"
        )


def check_fits(system: System, episode: Episode) -> None:
    """Refuse an episode that was made for another system.

    Raises:
        InputError: naming both shapes.
    """
    wanted = (system.episode_steps, system.exogenous_size)
    rows = system.episode_steps + lead_steps(system)
    if episode.values.shape != wanted or len(episode.center) < rows:
        raise InputError(
            f"episode {episode.label}: {episode.values.shape} values and {len(episode.center)} "
            f"rows of forecast; {system.name} needs {wanted} and {rows}"
        )
    belief = Belief(episode.center, episode.scale, episode.errors)
    check_arrays(system, episode.label, episode.model, belief, episode.values)
    check_values(system, episode)
    check_prices(system, episode)


def check_values(system: System, episode: Episode) -> None:
    """Refuse values outside their physical range, and prices out of order.

    Raises:
        InputError: naming the column, the step, the value and the nearest one allowed.
    """
    allowed = np.array(episode.values)
    low, high = physical_bounds(system)
    make_rows_consistent(system.physics.world, low, high, allowed)
    if system.config.allow_arbitrage:
        pumps = 4 * len(system.members) + np.array([X.ces_buy, X.ces_sell])
        allowed[:, pumps] = episode.values[:, pumps]
    wrong = np.argwhere(allowed != episode.values)
    if len(wrong):
        t, column = (int(k) for k in wrong[0])
        raise InputError(
            f"episode {episode.label}: {column_name(system, column)} is "
            f"{episode.values[t, column]:.6g} in step {t}; the nearest allowed value is "
            f"{allowed[t, column]:.6g}"
        )


def column_name(system: System, column: int) -> str:
    """Return the name of a column of exogenous values: `member.series`, or a shared name."""
    members = len(system.members)
    if column < 4 * members:
        return f"{system.members[column % members]}.{MEMBER_SERIES[column // members]}"
    return X(column - 4 * members).name
