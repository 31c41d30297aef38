"""Observations: what a learner sees, physical quantities over fixed scales.

An observation is a part that depends on the state (stored energy, CHP, rent, the day's
commitments) followed by a part that depends on the episode only (calendar, grid, the hour before,
forecasts); the second is written once per episode. The forecasts are those of `Episode.forecast`.

Source: our choice.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmg_env.compilation import jit, jit_with_arrays
from mmg_env.episode import Episode, lead_steps
from mmg_env.forecasting import forecast_into
from mmg_env.kernel import N_SHARED, N_STATE
from mmg_env.layout import MEMBER_SERIES, P, S, X
from mmg_env.system import System

Array = NDArray[np.float64]

SHOWN_LEADS = 24
CALENDAR = (
    "hour_sin",
    "hour_cos",
    "weekday_sin",
    "weekday_cos",
    "year_sin",
    "year_cos",
    "share_of_episode_left",
)


@dataclass(frozen=True)
class Feature:
    """One number of an observation.

    Attributes:
        name: what it is.
        unit: its physical unit.
        scale: the observation is the physical value divided by this.
        index: where the value stands: in the state, or in a row of exogenous values.
    """

    name: str
    unit: str
    scale: float
    index: int


class ObservationCodec:
    """Names, units and scales of a system's observation, and how to compute it."""

    def __init__(self, system: System) -> None:
        """List the features of this system; what it has not is not there."""
        self.system = system
        self.state_features = tuple(_state_features(system))
        self.series = tuple(_series(system))
        committed = system.day_ahead_pool or system.day_ahead_grid
        self.leads = max(
            min(SHOWN_LEADS, lead_steps(system)), system.steps_per_day if committed else 0
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all entries in order."""
        ahead = [f"forecast[{lead}].{f.name}" for lead in range(self.leads) for f in self.series]
        before = [f"last_hour.{f.name}" for f in self.series]
        state = [f.name for f in self.state_features]
        return (*state, *CALENDAR, "grid_up", "derating", *before, *ahead)

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Units of the physical quantities behind the entries."""
        series = [f.unit for f in self.series]
        calendar = ["1"] * (len(CALENDAR) + 2)
        return (*(f.unit for f in self.state_features), *calendar, *series * (1 + self.leads))

    @cached_property
    def scales(self) -> Array:
        """Scale of each entry: physical value = entry * scale."""
        series = [f.scale for f in self.series]
        state = [f.scale for f in self.state_features]
        return np.array(state + [1.0] * (len(CALENDAR) + 2) + series * (1 + self.leads))

    @property
    def size(self) -> int:
        """Length of an observation."""
        return len(self.names)

    @cached_property
    def state_runs(self) -> Array:
        """Where the state features stand in the state, as (position, length) of runs, (runs, 2).

        A position of -1 - p stands for the SoC of participant p.
        """
        index = np.array([f.index for f in self.state_features], dtype=np.int64)
        breaks = np.flatnonzero((np.diff(index) != 1) | (index[1:] <= 0)) + 1
        runs = np.split(index, breaks) if len(index) else []
        return np.array([(run[0], len(run)) for run in runs], np.float64).reshape(-1, 2)

    @cached_property
    def state_per_unit(self) -> Array:
        """Inverse scale of each state feature."""
        return 1.0 / np.array([f.scale for f in self.state_features])

    def exogenous_part(self, episode: Episode) -> NDArray[np.float32]:
        """Return the part that depends on the episode only, (steps + 1, entries)."""
        model = episode.model
        columns = np.array([f.index for f in self.series], dtype=np.int64)
        scale = np.array([f.scale for f in self.series])
        head = len(CALENDAR) + 2
        rows = np.zeros((episode.steps + 1, head + len(columns) * (1 + self.leads)), np.float32)
        rows[:, : len(CALENDAR)] = _calendar(self.system, episode)
        _exogenous_rows(
            episode.world,
            episode.center,
            episode.scale,
            model.path,
            model.phi,
            episode.errors,
            episode.values,
            model.low,
            model.high,
            columns,
            scale,
            np.empty((self.leads, episode.values.shape[1])),
            rows[:, len(CALENDAR) :],
        )
        return rows


@jit_with_arrays
def _exogenous_rows(
    world, center, scale, path, phi, errors, values, low, high, columns, unit, ahead, rows
):
    """Write grid state, the hour before and the forecasts of every step into rows."""
    count = columns.shape[0]
    shared = values.shape[1] - N_SHARED
    for t in range(rows.shape[0]):
        forecast_into(world, t, center, scale, path, phi, errors, values, low, high, ahead)
        rows[t, 0] = ahead[0, shared + X.grid_up]
        rows[t, 1] = ahead[0, shared + X.derating]
        for k in range(count):
            rows[t, 2 + k] = values[t - 1, columns[k]] / unit[k] if t > 0 else 0.0
        for lead in range(ahead.shape[0]):
            for k in range(count):
                rows[t, 2 + count * (1 + lead) + k] = ahead[lead, columns[k]] / unit[k]


@jit
def observe_state(state, segments, block, runs, per_unit, observation):
    """Write the state's part of an observation, run by run; return its length.

    per_unit holds the inverse scales: a division per entry would cost as much as all the rest.
    """
    k = 0
    for r in range(runs.shape[0]):
        position, length = int(runs[r, 0]), int(runs[r, 1])
        if position < 0:
            first = (-1 - position) * block
            energy = 0.0
            for j in range(first + N_STATE, first + N_STATE + segments):
                energy = energy + state[j]
            observation[k] = energy / state[first + S.capacity_kwh]
        else:
            shown, stored = observation[k : k + length], state[position : position + length]
            unit = per_unit[k : k + length]
            for i in range(length):
                shown[i] = stored[i] * unit[i]
        k += length
    return k


def _state_features(system: System) -> list[Feature]:
    """Return the features that are read from the state."""
    features = [
        Feature(f"{name}.soc", "1", 1.0, -1 - p)
        for p, name in enumerate(system.participants)
        if system.physics.table[p, P.capacity_kwh] > 0.0
    ]
    for p, name in enumerate(system.participants):
        features += [
            Feature(f"{name}.{column.name}", unit, scale, p * system.block_size + column)
            for column, unit, scale in _state_columns(system, p)
            if scale > 0.0
        ]
    return features + _commitment_features(system)


def _state_columns(system: System, p: int) -> list[tuple[S, str, float]]:
    """Return (column, unit, scale) of what is shown of participant p; scale 0 where it has none."""
    row = system.physics.table[p]
    columns = [
        (S.capacity_kwh, "kWh", row[P.capacity_kwh] if system.fade else 0.0),
        (S.chp_kw, "kW", row[P.chp_kw]),
        (S.backlog_kwh, "kWh", row[P.flex_kw] * 12.0),
    ]
    if system.day_ahead_pool and system.config.pool.price_rule == "auction":
        columns.append((S.quote_per_kwh, f"{system.config.currency}/kWh", system.price_scale))
    if p == len(system.members):
        return columns
    if system.config.tariff.demand_charge_per_kw > 0.0:
        columns.append((S.peak_kw, "kW", row[P.import_kw]))
    if system.rental:
        columns += [
            (S.virtual_kwh, "kWh", row[P.rental_max_kwh]),
            (S.rental_kwh, "kWh", row[P.rental_max_kwh]),
            (S.rental_kw, "kW", row[P.rental_max_kw]),
        ]
    return columns


def _commitment_features(system: System) -> list[Feature]:
    """Return the day's pool schedules and grid nomination, by hour of the day."""
    day, block = system.steps_per_day, system.block_size
    features = []
    if system.day_ahead_pool:
        for p, name in enumerate(system.participants):
            link = float(system.physics.table[p, P.link_kw])
            first = p * block + N_STATE + system.segments
            if link > 0.0:
                features += [
                    Feature(f"{name}.pool_plan_kw[{h}]", "kW", link, first + h) for h in range(day)
                ]
    if system.day_ahead_grid:
        first = len(system.participants) * block
        scale = net_scale_kw(system)
        features += [
            Feature(f"community.nomination_kw[{h}]", "kW", scale, first + h) for h in range(day)
        ]
    return features


def net_scale_kw(system: System) -> float:
    """Return the scale of the community's net exchange, kW: the sum of its peak loads."""
    return max(1.0, sum(m.load.peak_kw for m in system.config.members))


def _series(system: System) -> list[Feature]:
    """Return the exogenous columns that are shown: devices that exist, prices that matter."""
    members = len(system.members)
    features = []
    for kind, label in enumerate(MEMBER_SERIES):
        for m, member in enumerate(system.config.members):
            device = (member.wind, member.pv, member.load, member.heat)[kind]
            if device is not None:
                size = getattr(device, "peak_kw", None) or getattr(device, "capacity_kw", 0.0)
                column = kind * members + m
                features.append(Feature(f"{member.name}.{label}", "kW", size or 1.0, column))
    return features + _price_features(system)


def _price_features(system: System) -> list[Feature]:
    """Return the shared prices that this system's money depends on."""
    config = system.config
    unit = f"{config.currency}/kWh"
    columns = [X.price_buy, X.price_sell]
    if config.ces is not None and config.ces.market.price == "spot":
        columns += [X.ces_buy, X.ces_sell]
    if system.day_ahead_grid:
        columns += [X.short_premium, X.long_premium]
    if system.reserve:
        columns += [X.rho_regulation, X.rho_spinning]
    first = 4 * len(system.members)
    scale = system.price_scale
    features = [Feature(column.name, unit, scale, first + column) for column in columns]
    if config.carbon.price_per_kg > 0.0:
        features.append(Feature("carbon_kg_per_kwh", "kg/kWh", 1.0, first + X.carbon_kg_per_kwh))
    return features


def _calendar(system: System, episode: Episode) -> Array:
    """Return the calendar features at the start of every step, (steps + 1, len(CALENDAR))."""
    steps = np.arange(episode.steps + 1)
    hours = steps * system.dt_h
    start = episode.start.astype("datetime64[h]")
    first_of_year = start.astype("datetime64[Y]").astype("datetime64[h]")
    since_new_year = float((start - first_of_year) / np.timedelta64(1, "h"))
    weekday = (start.astype("datetime64[D]").astype(np.int64) + 3) % 7  # Monday is 0
    angles = (hours / 24.0, (weekday * 24.0 + hours) / 168.0, (since_new_year + hours) / 8766.0)
    turns = [f(2.0 * np.pi * angle) for angle in angles for f in (np.sin, np.cos)]
    return np.column_stack([*turns, 1.0 - steps / episode.steps])
