"""Whether a user's series can be what they are said to be: units, signs, limits, prices.

A wrong unit is the usual slip, and shows as a value that is too large or too small by far.

Source: our choice; what a price may be is section 5 of docs/model.md.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import MemberConfig
from mmg_env.episode import physical_bounds
from mmg_env.forecasting import make_rows_consistent
from mmg_env.layout import MEMBER_SERIES, W, X
from mmg_env.sources.clock import Fault
from mmg_env.sources.tables import Table
from mmg_env.system import System

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

KINDS: Final = tuple(name.removesuffix("_kw") for name in MEMBER_SERIES)
ABOVE_CAPACITY: Final = 1.001  # a share of capacity that may be rounding, and is cut
ABOVE_PEAK: Final = 20.0
BELOW_RATING: Final = 0.01  # share of capacity or peak that the highest value must reach
LOWEST_PRICE: Final = 0.001  # currency/kWh that a wholesale price has on average, at least
ROUNDING: Final = 1e-6


def value_faults(system: System, table: Table, truth: Array) -> Iterator[Fault]:
    """Yield what is implausible in a file.

    Args:
        system: the system that the file is for.
        table: the file.
        truth: (steps, columns) its whole days as the system's columns, nothing clipped.
    """
    members = len(system.members)
    for m, member in enumerate(system.config.members):
        for kind, series in enumerate(KINDS):
            if f"{member.name}.{series}" in table.values:
                values = truth[:, kind * members + m]
                yield from _power_faults(system, table, member, series, values)
    odd = list(_spot_faults(system, table))
    yield from odd or _price_faults(system, table, truth)


def rating_kw(member: MemberConfig, series: str) -> float:
    """Return a member's capacity or peak of one kind of series, kW."""
    device = getattr(member, series)
    rating: float = device.capacity_kw if series in ("wind", "pv") else device.peak_kw
    return rating


def _at(system: System, table: Table, wrong: Flags) -> tuple[tuple[int, ...], int, str]:
    """Return the rows where something is wrong, the first such step, and its hour."""
    t = int(np.argmax(wrong))
    moment = table.start + np.timedelta64(round(t * system.dt_h * 60), "m")
    return tuple(table.row[wrong].tolist()), t, str(moment)


def _power_faults(
    system: System, table: Table, member: MemberConfig, series: str, values: Array
) -> Iterator[Fault]:
    """Yield what is wrong with one member's wind, PV, load or heat (kW)."""
    name = f"{member.name}.{series}"
    rating = rating_kw(member, series)
    key = "capacity_kw" if series in ("wind", "pv") else "peak_kw"
    most = ABOVE_CAPACITY if key == "capacity_kw" else ABOVE_PEAK
    times = "" if key == "capacity_kw" else f"{ABOVE_PEAK:g} times "
    flex_kw = member.flex.power_kw if member.flex is not None and series == "load" else 0.0
    unit = f"is the unit {_unit(system, name)} right?"
    for wrong, sentence in (
        (values < 0.0, "it must be at least 0"),
        (values > most * rating, f"above {times}{series}.{key} {rating:g}; {unit}"),
        (
            (values >= 0.0) & (values < flex_kw - ROUNDING),
            f"below flex.power_kw {flex_kw:g}, which must be load at any time; lower flex.power_kw",
        ),
    ):
        if wrong.any():
            rows, t, hour = _at(system, table, wrong)
            yield Fault(rows, f"{name} is {values[t]:.6g} kW at {hour}; {sentence}")
    if 0.0 < values.max() < BELOW_RATING * rating:
        sentence = f"{name} is never above {values.max():.6g} kW, a hundredth of {key} {rating:g}"
        yield Fault((), f"{sentence}; {unit}")


def _unit(system: System, name: str) -> str:
    source = system.config.source
    assert source is not None
    assert source.kind == "csv"
    return source.columns[name].unit


def _spot_faults(system: System, table: Table) -> Iterator[Fault]:
    """Yield a fault where the wholesale price is next to nothing."""
    size = float(np.abs(table.values["spot"]).mean()) if "spot" in table.values else 0.0
    if 0.0 < size < LOWEST_PRICE:
        unit = f"is the unit {_unit(system, 'spot')} right?"
        yield Fault((), f"spot is {size:.3g} {system.config.currency}/kWh on average; {unit}")


def _price_faults(system: System, table: Table, truth: Array) -> Iterator[Fault]:
    """Yield the prices that would make shedding or spilling pay, and those that print money."""
    before = truth[:, 4 * len(system.members) :]
    after = _consistent(system, truth)
    for name, x in (("short_premium", X.short_premium), ("long_premium", X.long_premium)):
        wrong = before[:, x] < 0.0
        if wrong.any():
            rows, t, hour = _at(system, table, wrong)
            sentence = f"{name} is {before[t, x]:.6g} at {hour}; it must be at least 0"
            yield Fault(rows, sentence)
    yield from _penalty_faults(system, table, after)
    pump = money_pumps(system, truth)
    if pump.any() and not system.config.allow_arbitrage:
        rows, t, hour = _at(system, table, pump)
        sentence = (
            f"at {hour} the storage buys at {before[t, X.ces_buy]:.4g} and sells at "
            f"{before[t, X.ces_sell]:.4g}, members at {after[t, X.price_buy]:.4g} and "
            f"{after[t, X.price_sell]:.4g}: passing energy on would earn money (docs/model.md, "
            "section 5); mend prices or tariff, or set allow_arbitrage: true to have them cut"
        )
        yield Fault(rows, sentence)


def _consistent(system: System, truth: Array) -> Array:
    """Return the shared columns as an episode has them, prices in order; (steps, len(X))."""
    values = np.array(truth)
    make_rows_consistent(system.physics.world, *physical_bounds(system), values)
    return values[:, 4 * len(system.members) :]


def money_pumps(system: System, truth: Array) -> Flags:
    """Return in which steps the storage's market and the tariff could be played against each other.

    Args:
        system: the system.
        truth: (steps, columns) prices as they are; nothing clipped.
    """
    if not system.has_ces:
        return np.zeros(len(truth), dtype=np.bool_)
    moved = np.abs(truth[:, 4 * len(system.members) :] - _consistent(system, truth))
    return np.asarray(moved[:, [X.ces_buy, X.ces_sell]].max(axis=1) > ROUNDING)


def _penalty_faults(system: System, table: Table, shared: Array) -> Iterator[Fault]:
    """Yield the prices that a penalty does not dominate."""
    world = system.physics.world
    carbon = world[W.carbon_per_kg] * shared[:, X.carbon_kg_per_kwh]
    dearest = shared[:, [X.price_buy, X.ces_buy]].max(axis=1) + carbon
    dearest = dearest + world[W.demand_charge_per_kw] / system.dt_h
    cheapest = shared[:, [X.price_sell, X.ces_sell]].min(axis=1)
    if system.day_ahead_grid:
        dearest = dearest + shared[:, X.short_premium]
        cheapest = cheapest - shared[:, X.long_premium]
    unit = f"is the unit {_unit(system, 'spot')} right?" if "spot" in table.values else ""
    for cost, penalty, doing in (
        (dearest, "unserved_per_kwh", "energy costs"),
        (-cheapest, "spill_per_kwh", "selling costs"),
    ):
        bound = getattr(system.config.penalties, penalty)
        wrong = cost >= bound
        if wrong.any():
            rows, t, hour = _at(system, table, wrong)
            sentence = (
                f"{doing} {cost[t]:.4g} per kWh at {hour}, premium and demand charge included; "
                f"it must stay below penalties.{penalty}, {bound:g}; {unit}"
            )
            yield Fault(rows, sentence.removesuffix("; "))
