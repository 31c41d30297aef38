"""The dispatch model's devices: battery, CHP, boiler, flexible load.

Source: docs/model.md sections 1 and 4.
"""

from collections.abc import Sequence
from typing import Any

import pyomo.environ as pyo

from baselines.dispatch import Dispatch, Expression, Item, wear_groups
from mmg_env.layout import L, P, W


def add_storage(d: Dispatch) -> None:
    """Batteries: energy, and wear by depth of discharge in segments of rising cost.

    With retention rho, segments j and taken[j] the kWh drawn from segment j::

        energy[t+1] = rho * energy[t] + (eta_c * charge[t] - discharge[t] / eta_d) * dt
        energy[t] = sum_j segment[j, t]
        discharge[t] * dt / eta_d = sum_j taken[j, t]
        segment[j, t+1] >= rho * segment[j, t] - taken[j, t]       (the difference is charged)
        wear = sum_j cost[j] * taken[j, t]

    A battery with one segment needs the first line only.
    """
    stores = d.having(P.capacity_kwh)
    power = d.variable("charge_kw", d.hours(stores), d.rated(P.battery_kw))
    out = d.variable("discharge_kw", d.hours(stores), d.rated(P.battery_kw))
    energy = d.variable("energy_kwh", d.moments(stores))
    low, high = d.known("energy_min_kwh", stores), d.known("energy_max_kwh", stores)
    start = d.known("energy_start_kwh", stores)
    later = [(p, t + 1) for p, t in d.hours(stores)]
    d.rule("energy_low", later, lambda p, t: energy[p, t] >= low[p])
    d.rule("energy_high", later, lambda p, t: energy[p, t] <= high[p])
    d.rule("energy_start", stores, lambda p: energy[p, 0] == start[p])

    def balance(p: int, t: int) -> Expression:
        gain = d.fact(p, P.eta_charge) * d.dt_h * power[p, t]
        gain -= d.dt_h / d.fact(p, P.eta_discharge) * out[p, t]
        return energy[p, t + 1] - d.fact(p, P.retention) * energy[p, t] == gain

    d.rule("energy_balance", d.hours(stores), balance)
    for p, t in d.hours(stores):
        d.supply(p, t, out[p, t] - power[p, t])
    _add_wear(d, stores)


def _add_wear(d: Dispatch, stores: Sequence[int]) -> None:
    """Wear: one price, or the segments of `add_storage`."""
    costs = {p: wear_groups(d.system, p)[0] for p in stores}
    deep = [(p, j) for p in stores for j in range(len(costs[p])) if len(costs[p]) > 1]
    out, energy = d.model.discharge_kw, d.model.energy_kwh
    dt = d.dt_h
    for p, t in d.hours(p for p in stores if len(costs[p]) == 1):
        taken_kwh = dt / d.fact(p, P.eta_discharge) * out[p, t]
        d.charge(Item(L.wear, p, t, float(costs[p][0]), taken_kwh))
    if not deep:
        return
    parts = [(p, j, t) for p, j in deep for t in d.steps]
    segment = d.variable("segment_kwh", [(*q, t) for q in deep for t in range(len(d.steps) + 1)])
    taken = d.variable("taken_kwh", parts)
    room, start = d.known("segment_max_kwh", deep), d.known("segment_start_kwh", deep)
    rows = sorted({p for p, _ in deep})
    number = {p: range(len(costs[p])) for p in rows}
    d.rule("segment_high", parts, lambda p, j, t: segment[p, j, t + 1] <= room[p, j])
    d.rule("segment_start", deep, lambda p, j: segment[p, j, 0] == start[p, j])
    d.rule(
        "segment_sum",
        [(p, t + 1) for p, t in d.hours(rows)],
        lambda p, t: energy[p, t] == sum(segment[p, j, t] for j in number[p]),
    )
    d.rule(
        "taken_sum",
        d.hours(rows),
        lambda p, t: (
            dt / d.fact(p, P.eta_discharge) * out[p, t] == sum(taken[p, j, t] for j in number[p])
        ),
    )
    d.rule(
        "segment_charge",
        parts,
        lambda p, j, t: (
            segment[p, j, t + 1] + taken[p, j, t] >= d.fact(p, P.retention) * segment[p, j, t]
        ),
    )
    for p, j, t in parts:
        d.charge(Item(L.wear, p, t, float(costs[p][j]), taken[p, j, t]))


def add_chp(d: Dispatch) -> None:
    """Combined heat and power: commitment, minimum output, ramps, starts.

    With u the commitment, r the ramp per step, edge = max(r, p_min) and stop = start - u + u_prev,
    which is 1 in the hour after the last::

        start >= u - u_prev, start <= u, start <= 1 - u_prev
        p_min * u <= p <= P * u - (P - edge) * start
        p_prev <= P * u_prev - (P - edge) * stop
        p - p_prev <= edge * start + r * (u - start) - p_min * stop
        p_prev - p <= edge * stop + r * (u_prev - stop) - p_min * start

    For u of 0 or 1 this is what docs/model.md says; between them it is closer to the truth.

    Source: the form of the ramps is that of Damci-Kurt, Kucukyavuz, Rajan, Atamturk 2016.
    """
    units = d.having(P.chp_kw)
    if not units:
        return
    power = d.variable("chp_kw", d.moments(units), d.rated(P.chp_kw))
    on = d.add("chp_on", pyo.Var(d.moments(units), domain=pyo.Binary))
    d.variable("chp_start", d.hours(units), lambda *_: 1.0)
    before, was_on = d.known("chp_before_kw", units), d.known("chp_was_on", units)
    d.rule("chp_before", units, lambda m: power[m, 0] == before[m])
    d.rule("chp_committed", units, lambda m: on[m, 0] == was_on[m])
    _commit(d, units)
    _limit_ramps(d, units)
    for m, t in d.hours(units):
        output = power[m, t + 1]
        d.supply(m, t, output)
        d.heat.setdefault((m, t), []).append(d.fact(m, P.chp_heat_per_kwh) * output)
        _charge_gas(d, m, t, d.fact(m, P.chp_gas_m3_per_kwh) * d.dt_h * output)
        d.charge(Item(L.chp_om, m, t, d.fact(m, P.chp_om_per_kwh), d.dt_h * output))
        d.charge(Item(L.chp_start, m, t, d.fact(m, P.chp_start_cost), d.model.chp_start[m, t]))


def _stop(d: Dispatch, m: int, t: int) -> Expression:
    """Return 1 where the unit is off in step t and was on before."""
    on = d.model.chp_on
    return d.model.chp_start[m, t] - on[m, t + 1] + on[m, t]


def _commit(d: Dispatch, units: Sequence[int]) -> None:
    """Commitment, starts and the range of output."""
    hours = d.hours(units)
    power, on, start = d.model.chp_kw, d.model.chp_on, d.model.chp_start

    def high(m: int, t: int) -> Expression:
        lost = (d.fact(m, P.chp_kw) - d.fact(m, P.chp_edge_kw)) * start[m, t]
        return power[m, t + 1] <= d.fact(m, P.chp_kw) * on[m, t + 1] - lost

    def last(m: int, t: int) -> Expression:
        lost = (d.fact(m, P.chp_kw) - d.fact(m, P.chp_edge_kw)) * _stop(d, m, t)
        return power[m, t] <= d.fact(m, P.chp_kw) * on[m, t] - lost

    low = {m: d.fact(m, P.chp_min_kw) for m in units}
    d.rule("chp_started", hours, lambda m, t: start[m, t] >= on[m, t + 1] - on[m, t])
    d.rule("chp_start_on", hours, lambda m, t: start[m, t] <= on[m, t + 1])
    d.rule("chp_start_off", hours, lambda m, t: start[m, t] <= 1.0 - on[m, t])
    d.rule("chp_low", hours, lambda m, t: power[m, t + 1] >= low[m] * on[m, t + 1])
    d.rule("chp_high", hours, high)
    d.rule("chp_last", hours, last)


def _limit_ramps(d: Dispatch, units: Sequence[int]) -> None:
    """Ramps between two steps."""
    power, on, start = d.model.chp_kw, d.model.chp_on, d.model.chp_start

    def limit(m: int, begin: Expression, end: Expression, state: Expression) -> Expression:
        ramp, edge = d.fact(m, P.chp_ramp_kw), d.fact(m, P.chp_edge_kw)
        return edge * begin + ramp * (state - begin) - d.fact(m, P.chp_min_kw) * end

    def climb(m: int, t: int) -> Expression:
        most = limit(m, start[m, t], _stop(d, m, t), on[m, t + 1])
        return power[m, t + 1] - power[m, t] <= most

    def descend(m: int, t: int) -> Expression:
        most = limit(m, _stop(d, m, t), start[m, t], on[m, t])
        return power[m, t] - power[m, t + 1] <= most

    d.rule("chp_climb", d.hours(units), climb)
    d.rule("chp_descend", d.hours(units), descend)


def _charge_gas(d: Dispatch, m: int, t: int, gas_m3: Expression) -> None:
    """Gas and its carbon."""
    d.charge(Item(L.gas, m, t, d.world(W.gas_per_m3), gas_m3))
    carbon = d.world(W.carbon_per_kg) * d.world(W.gas_kg_per_m3)
    d.charge(Item(L.carbon, m, t, carbon, gas_m3))


def add_heat(d: Dispatch) -> None:
    """Heat: the load is covered, surplus heat is free.

    ::

        chp heat + boiler + unserved_heat >= heat load
    """
    warm = [m for m, member in enumerate(d.system.config.members) if member.heat is not None]
    if not warm:
        return
    boilers = d.having(P.boiler_kw, warm)
    boiler = d.variable("boiler_kw", d.hours(boilers), d.rated(P.boiler_kw))
    missing = d.variable("unserved_heat_kw", d.hours(warm))
    load = d.known("heat_kw", d.hours(warm))
    for m, t in d.hours(boilers):
        d.heat.setdefault((m, t), []).append(boiler[m, t])
        _charge_gas(d, m, t, d.fact(m, P.boiler_gas_m3_per_kwh) * d.dt_h * boiler[m, t])
    price = d.world(W.unserved_heat_per_kwh)
    for m, t in d.hours(warm):
        d.charge(Item(L.unserved_heat, m, t, price, d.dt_h * missing[m, t]))
    d.rule(
        "heat_balance",
        d.hours(warm),
        lambda m, t: sum(d.heat.get((m, t), [])) + missing[m, t] >= load[m, t],
    )


def add_flex(d: Dispatch) -> None:
    """Flexible load: the backlog of shifted energy is zero at each day's end.

    ::

        backlog[t+1] = backlog[t] + (up[t] - down[t]) * dt,  backlog[day's end] = 0

    with up the load added and down the load taken away; every kWh moved either way costs the
    disutility.
    """
    rows = d.having(P.flex_kw)
    if not rows:
        return
    day = d.system.steps_per_day
    up = d.variable("flex_up_kw", d.hours(rows), d.rated(P.flex_kw))
    down = d.variable("flex_down_kw", d.hours(rows), d.rated(P.flex_kw))

    def range_kwh(_: Any, __: int, t: int) -> tuple[float | None, float | None]:
        return (0.0, 0.0) if t > 0 and t % day == 0 else (None, None)

    backlog = d.add("backlog_kwh", pyo.Var(d.moments(rows), bounds=range_kwh))
    start = d.known("backlog_start_kwh", rows)
    d.rule("backlog_start", rows, lambda m: backlog[m, 0] == start[m])
    d.rule(
        "backlog_balance",
        d.hours(rows),
        lambda m, t: backlog[m, t + 1] == backlog[m, t] + d.dt_h * (up[m, t] - down[m, t]),
    )
    for m, t in d.hours(rows):
        d.supply(m, t, down[m, t] - up[m, t])
        moved_kwh = d.dt_h * (up[m, t] + down[m, t])
        d.charge(Item(L.flex, m, t, d.fact(m, P.flex_cost_per_kwh), moved_kwh))
