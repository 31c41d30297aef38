"""Dynamic programming: the best of all policies, where a system is small enough to know it.

One member with a lossless battery, a load and a grid link, under the source `markov`. With i, j
the states of price and load in the hour before and e the stored energy::

    V_t(i, j, e) = min_b  E[ cost_t(i', j', b) + V_{t+1}(i', j', e - b dt) | i, j ]

The battery's power b is decided before the hour is revealed. Cost is convex and piecewise linear
in b; its kinks, the limits and the first energy are multiples of one unit (`_lattice`), and so is
every optimal b by induction: for given e the objective is piecewise linear in b with kinks at
multiples of the unit only, so a minimum lies at one of them, and V is piecewise linear with kinks
there too. Searching the lattice is therefore exact, although b is continuous.

Source: Bellman 1957; that the lattice suffices is argued above.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.actions import Action, ActionCodec
from mmg_env.config import MarkovSource
from mmg_env.episode import Episode
from mmg_env.errors import InputError
from mmg_env.layout import A, P, W, X
from mmg_env.public import PublicInfo
from mmg_env.sources.markov import (
    LOAD_STATES,
    PRICE_STATES,
    expectation,
    markov_source,
    state_values,
    transition_matrix,
)
from mmg_env.system import System

Array = NDArray[np.float64]

FINEST_KWH: Final = 1e-3  # units below this are no lattice
LARGEST: Final = 1000  # energies on the lattice


@dataclass(frozen=True, eq=False)
class ValueFunction:
    """The cost that is still to come under the best policy, and that policy.

    Attributes:
        energy_kwh: (energies,) the lattice.
        cost: (steps + 1, price states, load states, energies) expected cost from a step on.
        power_kw: (steps, price states, load states, energies) battery power at the bus.
        first: number of the energy at reset.
    """

    energy_kwh: Array
    cost: Array
    power_kw: Array
    first: int

    @property
    def value(self) -> float:
        """Expected cost of an episode."""
        return float(self.cost[0, PRICE_STATES // 2, LOAD_STATES // 2, self.first])


@lru_cache(maxsize=8)
def solve(system: System) -> ValueFunction:
    """Return the value function of a system under the source `markov`.

    Raises:
        InputError: the system has parts that the recursion does not know, or is on no lattice.
    """
    _check(system)
    unit, energy = _lattice(system)
    source = markov_source(system)
    price = transition_matrix(PRICE_STATES, source.spot_persistence)
    load = transition_matrix(LOAD_STATES, source.load_persistence)
    row = system.physics.table[0]
    reach = round(float(row[P.battery_kw]) * system.dt_h / unit)
    k = np.arange(len(energy))
    moved = k[:, None] - k[None, :]  # units discharged from energy k to energy l
    power: Array = np.asarray(moved * unit / system.dt_h, dtype=np.float64)
    wear = system.physics.wear[0, 0] * np.maximum(moved * unit, 0.0)
    wear = np.where(np.abs(moved) <= reach, wear, np.inf)
    first = int(np.argmin(np.abs(energy - row[P.soc_initial] * row[P.capacity_kwh])))
    steps = system.episode_steps
    cost = np.empty((steps + 1, PRICE_STATES, LOAD_STATES, len(energy)))
    plan = np.empty((steps, PRICE_STATES, LOAD_STATES, len(energy)))
    cost[steps] = _terminal(system, energy, float(energy[first]))
    for t in range(steps - 1, -1, -1):
        hour = _hour_cost(system, t, power)
        hour = np.einsum("ia,jb,abkl->ijkl", price, load, hour)
        after = np.einsum("ia,jb,abl->ijl", price, load, cost[t + 1])
        total = wear + hour + after[:, :, None, :]
        best = np.argmin(total, axis=3)
        cost[t] = np.take_along_axis(total, best[..., None], axis=3)[..., 0]
        plan[t] = power[k, best]
    return ValueFunction(energy, cost, plan, first)


def _hour_cost(system: System, t: int, power: Array) -> Array:
    """Return the cost of the grid in an hour, (price states, load states, energies, energies)."""
    center, scale = expectation(system, t + 1)
    v = state_values(PRICE_STATES)[:, None, None, None]
    w = state_values(LOAD_STATES)[None, :, None, None]
    shared = len(center[t]) - len(X)

    def price(x: X) -> Array:
        return np.asarray(center[t, shared + x] + scale[t, shared + x] * v)

    world, row, dt = system.physics.world, system.physics.table[0], system.dt_h
    net = center[t, 2] + scale[t, 2] * w - power
    imported = np.minimum(np.maximum(net, 0.0), row[P.import_kw])
    exported = np.minimum(np.maximum(-net, 0.0), row[P.export_kw])
    short = np.maximum(net, 0.0) - imported
    spilled = np.maximum(-net, 0.0) - exported
    carbon = world[W.carbon_per_kg] * center[t, shared + X.carbon_kg_per_kwh]
    paid = (price(X.price_buy) + carbon) * imported - price(X.price_sell) * exported
    penalty = world[W.unserved_per_kwh] * short + world[W.spill_per_kwh] * spilled
    return np.asarray((paid + penalty) * dt)


def _terminal(system: System, energy: Array, first: float) -> Array:
    row = system.physics.table[0]
    buy, sell = row[P.terminal_buy_per_kwh], row[P.terminal_sell_per_kwh]
    short, over = np.maximum(first - energy, 0.0), np.maximum(energy - first, 0.0)
    return np.asarray(buy * short - sell * over)


def _check(system: System) -> None:
    """Refuse what the recursion does not know."""
    config = system.config
    member = config.members[0]
    battery = member.battery
    if not isinstance(config.source, MarkovSource):
        raise InputError(f"system {system.name}: dynamic programming needs the source `markov`")
    known = {
        "one member": len(config.members) == 1,
        "no community storage": config.ces is None,
        "a grid link": member.grid is not None,
        "no CHP unit": member.chp is None,
        "no flexible load": member.flex is None,
        "no demand charge": config.tariff.demand_charge_per_kw == 0.0,
        "no day-ahead commitment": not (config.day_ahead.pool or config.day_ahead.grid),
        "no fade": not config.fades,
        "a lossless battery with one price of wear": battery is not None
        and battery.eta_charge == battery.eta_discharge == 1.0
        and battery.self_discharge_per_h == 0.0
        and system.physics.wear.shape[1] == 1,
    }
    missing = [part for part, there in known.items() if not there]
    if missing:
        raise InputError(
            f"system {system.name}: dynamic programming needs {', '.join(missing)}; "
            "the suite `tiny` is an example"
        )


def _lattice(system: System) -> tuple[float, Array]:
    """Return the unit, kWh, of which loads, limits and energies are multiples, and the energies.

    Raises:
        InputError: there is no such unit, or it is too small.
    """
    row, dt = system.physics.table[0], system.dt_h
    center, scale = expectation(system, system.episode_steps)
    loads = (center[:, 2, None] + scale[:, 2, None] * state_values(LOAD_STATES)).ravel()
    capacity = row[P.capacity_kwh]
    energies = capacity * np.array([row[P.soc_min], row[P.soc_max], row[P.soc_initial]])
    powers = np.array([row[P.battery_kw], row[P.import_kw], row[P.export_kw]])
    amounts = np.concatenate([loads * dt, powers * dt, energies, [energies[1] - energies[0]]])
    finest = np.round(amounts / FINEST_KWH).astype(np.int64)
    unit = float(np.gcd.reduce(finest)) * FINEST_KWH
    off = np.abs(amounts / FINEST_KWH - finest).max() > 1e-6
    count = round((energies[1] - energies[0]) / unit) + 1
    if off or count > LARGEST:
        finest_kwh = (energies[1] - energies[0]) / (LARGEST - 1)
        raise InputError(
            f"system {system.name}: loads, limits and energies are multiples of no unit of at "
            f"least {finest_kwh:.3g} kWh, so dynamic programming is not exact"
        )
    return unit, energies[0] + unit * np.arange(count)


class DynamicProgramming:
    """The best policy of a system under the source `markov`."""

    def __init__(self, system: System) -> None:
        """Take the system; it is solved when first needed."""
        self._system = system
        self._codec = ActionCodec(system)

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget."""

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return this hour's battery power."""
        public: PublicInfo = info["public"]
        solved = solve(self._system)
        i, j = states_before(self._system, public.history)
        energy = float(public.state.energy_kwh[0])
        k = int(np.argmin(np.abs(solved.energy_kwh - energy)))
        action = Action.idle(self._system)
        action[A.battery_kw][0] = solved.power_kw[public.step, i, j, k]
        return self._codec.encode(action)


def states_before(system: System, history: Episode) -> tuple[int, int]:
    """Return the states of price and load in the last hour; the middle ones before the first."""
    t = history.steps - 1
    if t < 0:
        return PRICE_STATES // 2, LOAD_STATES // 2
    center, scale = expectation(system, t + 1)
    columns = (len(center[t]) - len(X) + X.spot, 2)
    found = [
        int(np.argmin(np.abs(center[t, c] + scale[t, c] * state_values(n) - history.values[t, c])))
        for c, n in zip(columns, (PRICE_STATES, LOAD_STATES), strict=True)
    ]
    return found[0], found[1]
