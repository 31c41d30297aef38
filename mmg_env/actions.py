"""Actions: named physical wishes, and the normalised vector that stands for them.

Every entry of the vector lies in [-1, 1] and is affine to a physical range. Entries that may have
either sign map 0 to exactly 0. One-sided entries have 0 at one end, exactly: at -1, or at 1 where
the range is negative (a storage that may only send).

Source: our choice.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmg_env.errors import InputError
from mmg_env.kernel import N_ACTION
from mmg_env.layout import A, P, W
from mmg_env.system import System

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Entry:
    """One number of an action.

    Attributes:
        name: `member.quantity`, with `[h]` for the hour of the day of a commitment.
        unit: kW, kWh or currency per kWh.
        low: physical value at -1, or of the far negative end.
        high: physical value at 1.
        slot: position in the physical request that the kernel reads.
        day_ahead: whether it is read at the first step of a day only.
    """

    name: str
    unit: str
    low: float
    high: float
    slot: int
    day_ahead: bool = False


@dataclass(frozen=True, eq=False)
class Action:
    """The wishes of all participants for one step, by name.

    Attributes:
        wishes: (participants, len(A)); see the properties.
        pool_plan_kw: (participants, steps_per_day) pool schedule of the day, or (participants, 0).
        nomination_offset_kw: (steps_per_day,) grid nomination less forecast net load, or (0,).
    """

    wishes: Array
    pool_plan_kw: Array
    nomination_offset_kw: Array

    @classmethod
    def idle(cls, system: System) -> "Action":
        """Return the action that asks for nothing: a writable sheet to fill in."""
        count = len(system.participants)
        plan = system.steps_per_day if system.day_ahead_pool else 0
        grid = system.steps_per_day if system.day_ahead_grid else 0
        return cls(np.zeros((count, N_ACTION)), np.zeros((count, plan)), np.zeros(grid))

    @classmethod
    def from_request(cls, system: System, request: Array) -> "Action":
        """Return the named view of a physical request."""
        count = len(system.participants)
        plan = system.steps_per_day if system.day_ahead_pool else 0
        hourly, scheduled = count * N_ACTION, count * plan
        return cls(
            request[:hourly].reshape(count, N_ACTION),
            request[hourly : hourly + scheduled].reshape(count, plan),
            request[hourly + scheduled :],
        )

    def to_request(self) -> Array:
        """Return the flat physical request that the kernel reads, (request_size,)."""
        return np.concatenate(
            [self.wishes.ravel(), self.pool_plan_kw.ravel(), self.nomination_offset_kw]
        )

    def __getitem__(self, column: A) -> Array:
        """Return one column of the wishes, (participants,), as a writable view."""
        return self.wishes[:, column]


class ActionCodec:
    """The exact map between normalised vectors and physical requests of one system."""

    def __init__(self, system: System) -> None:
        """List the entries that this system has; what is absent or switched off has none."""
        self.system = system
        self.entries = tuple(_entries(system))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the entries in order."""
        return tuple(entry.name for entry in self.entries)

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Units of the entries in order."""
        return tuple(entry.unit for entry in self.entries)

    @cached_property
    def slots(self) -> NDArray[np.int64]:
        """Position of each entry in the request."""
        return np.array([entry.slot for entry in self.entries], dtype=np.int64)

    @cached_property
    def gain(self) -> Array:
        """Physical value per unit of x, so that value = gain * x + offset."""
        return np.array([0.5 * (e.high - e.low) for e in self.entries])

    @cached_property
    def offset(self) -> Array:
        """Physical value at x = 0: exactly 0 (two-sided) or half the far end (one-sided)."""
        return np.array([0.5 * (e.high + e.low) for e in self.entries])

    @cached_property
    def day_ahead(self) -> NDArray[np.bool_]:
        """Whether an entry is read at the first step of a day only."""
        return np.array([e.day_ahead for e in self.entries], dtype=np.bool_)

    def encode(self, request: ArrayLike | Action) -> Array:
        """Return the vector (float64, entries) of a physical request (request_size,) or Action.

        Wishes outside the physical range give numbers outside [-1, 1].
        """
        flat = request.to_request() if isinstance(request, Action) else np.asarray(request)
        if flat.shape != (self.system.request_size,):
            raise InputError(
                f"action: shape {flat.shape} of the physical request; "
                f"it must be ({self.system.request_size},)"
            )
        return np.asarray((flat[self.slots] - self.offset) / self.gain)

    def decode(self, vector: ArrayLike) -> Array:
        """Return the physical request (request_size,) of a vector."""
        x = np.asarray(vector, dtype=np.float64)
        self.check(x)
        request = np.zeros(self.system.request_size)
        request[self.slots] = self.gain * x + self.offset
        return request

    def action(self, vector: ArrayLike) -> Action:
        """Return the named wishes of a vector."""
        return Action.from_request(self.system, self.decode(vector))

    def check(self, vector: Array) -> None:
        """Refuse a vector of a wrong shape or with a number that is not finite.

        Raises:
            InputError: naming the shape, or the entry and its value.
        """
        if vector.shape != (len(self.entries),):
            raise InputError(
                f"action: shape {vector.shape}; it must be ({len(self.entries)},), "
                f"one number per entry of {self.system.name}"
            )
        wrong = np.flatnonzero(~np.isfinite(vector))
        if len(wrong):
            i = int(wrong[0])
            raise InputError(
                f"action: entry {i} ({self.names[i]}) is {vector[i]}; "
                "every entry must be a finite number"
            )


def _entries(system: System) -> list[Entry]:
    """Return all entries: those of every hour first, then the day's commitments."""
    entries: list[Entry] = []
    for p, name in enumerate(system.participants):
        for column, low, high, unit, day_ahead in _participant_ranges(system, p):
            slot = p * N_ACTION + column
            entries.append(Entry(f"{name}.{column.name}", unit, low, high, slot, day_ahead))
    return sorted(entries + _schedule_entries(system), key=lambda entry: entry.day_ahead)


def _participant_ranges(system: System, p: int) -> list[tuple[A, float, float, str, bool]]:
    """Return (column, low, high, unit, day_ahead) of the wishes that participant p may have."""
    row = system.physics.table[p]
    is_ces = p == len(system.members)
    battery, chp, flex = row[P.battery_kw], row[P.chp_kw], row[P.flex_kw]
    low, high = pool_range_kw(system, p)
    ranges = [
        (A.battery_kw, -battery, battery, "kW", False),
        (A.chp_kw, 0.0, chp, "kW", False),
        (A.flex_kw, -flex, flex, "kW", False),
    ]
    if system.rental and not is_ces:
        rented = min(row[P.rental_max_kw], row[P.link_kw])
        if row[P.rental_max_kwh] > 0.0:
            ranges.append((A.virtual_kw, -rented, rented, "kW", False))
    if not system.day_ahead_pool:
        ranges.append((A.pool_kw, low, high, "kW", False))
    if system.config.pool.price_rule == "auction" and high > low:
        dearest = system.price_scale
        unit = f"{system.config.currency}/kWh"
        ranges.append((A.quote_per_kwh, 0.0, dearest, unit, system.day_ahead_pool))
    if system.reserve and is_ces:
        ranges += [
            (A.regulation_kw, 0.0, battery / 2, "kW", False),
            (A.spinning_kw, 0.0, battery / 2, "kW", False),
        ]
    if system.rental and not is_ces:
        ranges += [
            (A.rental_kwh, 0.0, row[P.rental_max_kwh], "kWh", True),
            (A.rental_kw, 0.0, row[P.rental_max_kw], "kW", True),
        ]
    return [entry for entry in ranges if entry[2] > entry[1]]


def pool_range_kw(system: System, p: int) -> tuple[float, float]:
    """Return the pool nominations (kW) that participant p's link and switches allow."""
    link = float(system.physics.table[p, P.link_kw])
    if p < len(system.members):
        alone = not system.has_ces and len(system.members) == 1
        return (0.0, 0.0) if alone else (-link, link)
    out, into = system.physics.world[W.pool_out], system.physics.world[W.pool_in]
    return (-link if out else 0.0), (link if into else 0.0)


def _schedule_entries(system: System) -> list[Entry]:
    """Return the day's pool schedules and grid nomination, one entry per step of the day."""
    day, count = system.steps_per_day, len(system.participants)
    entries = []
    first = count * N_ACTION
    if system.day_ahead_pool:
        for p, name in enumerate(system.participants):
            low, high = pool_range_kw(system, p)
            if high > low:
                entries += [
                    Entry(f"{name}.pool_plan_kw[{h}]", "kW", low, high, first + p * day + h, True)
                    for h in range(day)
                ]
        first += count * day
    if system.day_ahead_grid:
        limit = float(system.physics.world[W.nomination_range_kw])
        entries += [
            Entry(f"community.nomination_offset_kw[{h}]", "kW", -limit, limit, first + h, True)
            for h in range(day)
        ]
    return entries
