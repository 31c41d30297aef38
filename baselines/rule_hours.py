"""The rules, and one hour as they expect it: what every device does, and what the grid gives.

Source: our choice.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.rule_practice import Practice, Prospect
from mmg_env.layout import P, W

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outlook:
    """What a rule sees of one hour.

    Attributes:
        need_kw: (members,) load less wind, PV and CHP, kW; negative is surplus.
        cheap: whether the hour is among the next day's cheap ones.
        dear: whether it is among the dear ones.
        pays: (participants,) whether a cycle from cheap to dear hours pays.
        room_kw: (participants,) highest charging power, kW.
        content_kw: (participants,) highest discharging power, kW.
        charge_kw: (participants,) highest charging power, kW, that keeps the import level.
        buy_kw: (participants,) the same for energy that is bought because it is cheap.
        discharge_kw: (participants,) highest discharging power, kW, that keeps the reserve.
        shave_kw: (participants,) least discharging power, kW: what exceeds the import level, and
            what the grid cannot give.
    """

    need_kw: Array
    cheap: bool
    dear: bool
    pays: NDArray[np.bool_]
    room_kw: Array
    content_kw: Array
    charge_kw: Array
    buy_kw: Array
    discharge_kw: Array
    shave_kw: Array


@dataclass(frozen=True, eq=False)
class PlannedHour:
    """One hour as a rule expects it.

    Attributes:
        battery_kw: (participants,) kW.
        chp_kw: (members,) kW.
        pool_kw: (participants,) wishes for the pool, kW.
        offers_kw: (2,) regulation and spinning reserve that the CES offers, kW.
        grid_kw: net exchange of the community, kW.
        energy_kwh: (participants,) energy after the hour, kWh.
    """

    battery_kw: Array
    chp_kw: Array
    pool_kw: Array
    offers_kw: tuple[float, float]
    grid_kw: float
    energy_kwh: Array


Rule = Callable[[Outlook], Array]


def cover_own_need(outlook: Outlook) -> Array:
    """Return battery powers (participants,): members discharge into need and store surplus."""
    need, charge, discharge = outlook.need_kw, outlook.charge_kw, outlook.discharge_kw
    members = len(need)
    wish = np.zeros(len(charge))
    wish[:members] = need
    left = need - _within(need, -charge[:members], discharge[:members])
    wish[members:] = left.sum()
    return _shave(_within(wish, -charge, discharge), outlook)


def follow_prices(outlook: Outlook) -> Array:
    """Return battery powers: charge in the day's cheap hours, serve need in its dear ones.

    In between, surplus is stored. Where the day's spread does not pay for a cycle, the battery
    covers its own need instead.
    """
    own = cover_own_need(outlook)
    if outlook.cheap:
        timed = np.minimum(-outlook.buy_kw, own)
    elif outlook.dear:
        timed = own
    else:
        timed = np.minimum(own, 0.0)
    return _shave(np.where(outlook.pays, timed, own), outlook)


def _shave(power_kw: Array, outlook: Outlook) -> Array:
    """Return battery powers that also shave, whatever the hour costs."""
    shaves = outlook.shave_kw > 0.0
    return np.where(shaves, np.maximum(power_kw, outlook.shave_kw), power_kw)


def plan_hour(
    practice: Practice, prospect: Prospect, rule: Rule, energy_kwh: Array, chp_kw: Array, lead: int
) -> PlannedHour:
    """Return what is wished and expected for the hour `lead` ahead.

    energy_kwh (participants,) is there when it begins, chp_kw (participants,) or (members,) the
    output of the hour before.
    """
    chp = practice.chp_kw(prospect.heat_kw[lead], float(prospect.price[lead]), chp_kw)
    need = prospect.load_kw[lead] - (prospect.supply_kw[lead] + chp)
    outlook = _look(practice, prospect, need, energy_kwh, lead)
    battery = rule(outlook)
    residual = need - battery[: practice.members]
    link = practice.table[: practice.members, P.link_kw]
    pool = np.zeros(len(battery))
    pool[: practice.members] = _within(residual, -link, link)
    market = 0.0
    if practice.system.has_ces:
        balance = float(pool.sum())
        pool[-1], market = _serve_pool(practice, prospect, balance, float(battery[-1]), lead)
    grid = float(residual.sum() + pool[practice.members :].sum()) + market
    charge, discharge = np.maximum(-battery, 0.0), np.maximum(battery, 0.0)
    stored = practice.eta_charge * charge - discharge / practice.eta_discharge
    after = np.asarray(energy_kwh + stored * practice.system.dt_h)
    return PlannedHour(battery, chp, pool, _offers(practice, outlook, battery), grid, after)


def _look(
    practice: Practice, prospect: Prospect, need: Array, energy_kwh: Array, lead: int
) -> Outlook:
    """Return what a rule sees of the hour `lead` ahead."""
    members, dt_h, rating = practice.members, practice.system.dt_h, practice.rating_kw
    eta_charge, eta_discharge = practice.eta_charge, practice.eta_discharge
    room = _within((practice.full_kwh - energy_kwh) / dt_h / eta_charge, 0.0, rating)
    filled = _within((practice.filled_kwh - energy_kwh) / dt_h / eta_charge, 0.0, rating)
    below_level = np.full(len(rating), np.inf)
    below_level[:members] = np.maximum(prospect.level_kw - need, 0.0)
    above = (energy_kwh - practice.empty_kwh) / dt_h
    kept = practice.kept_kwh / dt_h
    content = _within(above * eta_discharge, 0.0, rating)
    shave = np.zeros(len(rating))
    shave[:members] = _within(need - prospect.level_kw, 0.0, content[:members])
    lacking = np.maximum(need - prospect.import_kw[lead], 0.0)
    if lacking.any():
        held = np.where(kept > 0.0, content, 0.0)  # without a reserve nothing is held for this
        shave[:members] = np.maximum(shave[:members], np.minimum(lacking, held[:members]))
        left = np.maximum(lacking - shave[:members], 0.0).sum()
        shave[members:] = np.minimum(left / _delivered(practice), held[members:])
    price = float(prospect.price[lead])
    return Outlook(
        need_kw=need,
        cheap=price <= prospect.cheap,
        dear=price >= prospect.dear,
        pays=prospect.pays,
        room_kw=room,
        content_kw=content,
        charge_kw=np.minimum(room, below_level),
        buy_kw=np.minimum(filled, below_level),
        discharge_kw=_within((above - kept) * eta_discharge, 0.0, rating),
        shave_kw=shave,
    )


def _serve_pool(
    practice: Practice, prospect: Prospect, balance_kw: float, battery_kw: float, lead: int
) -> tuple[float, float]:
    """Let the CES take the pool's surplus, or send what its battery and its market spare.

    It relays energy from its market only where that is cheaper than retail. Returns its pool power
    and its market's import, kW.
    """
    world, row = practice.system.physics.world, practice.table[-1]
    eta, loss = float(world[W.eta_converter]), float(world[W.pool_loss])
    delivered_per_kwh = float(prospect.ces_price[lead]) / _delivered(practice)
    cheaper = delivered_per_kwh + world[W.pool_fee_per_kwh] < prospect.price[lead]
    bought = float(row[P.import_kw] * prospect.grid_up[lead]) if cheaper else 0.0
    spare = max(0.0, bought + battery_kw)
    send = min(max(0.0, balance_kw) / (1.0 - loss), eta * spare)
    receive = max(0.0, -balance_kw) * (1.0 - loss)
    low = -float(row[P.link_kw]) if world[W.pool_out] else 0.0
    high = float(row[P.link_kw]) if world[W.pool_in] else 0.0
    pool_kw = min(max(receive - send, low), high)
    sent, received = max(0.0, -pool_kw), max(0.0, pool_kw)
    return pool_kw, sent / eta - eta * received - battery_kw


def _delivered(practice: Practice) -> float:
    """Return the share of the CES's energy that reaches a member."""
    world = practice.system.physics.world
    return float(world[W.eta_converter] * (1.0 - world[W.pool_loss]))


def _offers(practice: Practice, outlook: Outlook, battery: Array) -> tuple[float, float]:
    """Return regulation and spinning reserve that the CES offers, kW.

    They are shares of what rating and energy leave; the hour cuts them to the exact headroom.
    """
    if not practice.system.reserve:
        return 0.0, 0.0
    rating, power, share = float(practice.rating_kw[-1]), float(battery[-1]), practice.thresholds
    content = float(outlook.content_kw[-1])
    possible = min(
        rating / 2.0, rating - abs(power), 2.0 * min(float(outlook.room_kw[-1]), content)
    )
    regulation = share.offer * max(0.0, possible)
    spinning = min(rating / 2.0, rating - power - regulation, content - regulation / 2.0)
    return regulation, share.offer * max(0.0, spinning)


def _within(value: Array, low: Array | float, high: Array) -> Array:
    """Return values cut to a range; `np.clip`, without its overhead."""
    return np.asarray(np.minimum(np.maximum(value, low), high))
