"""The dispatch of a community as one linear model with a few binaries, written in Pyomo.

Everything that the simulator does hour by hour stands here a second time, as equations over a
horizon of whole days. Each function adds one family of variables and constraints and puts its
power into the bus and its costs onto the bill; `build_dispatch` calls them all. The community
storage has its own page, `dispatch_ces`.

Conventions. Participants p are members 0..M-1, then the community storage. Step t is 0-based from
the model's first step, which is a day's first. State columns carry the state at the *start* of
step t: `energy[p, t]`, `segment[p, j, t]`, `backlog[m, t]`, `virtual_kwh[m, t]`, and
`chp_kw[m, t]`, `chp_on[m, t]`, which are output and commitment during step t - 1. Everything that
is known and changes from one solve to the next is a *data* variable: fixed in Pyomo, a column of
the right-hand side in `compiled`.

Two rules of the simulator are not linear and not here: devices never run both ways at once
(`exclusivity` adds binaries where a solution breaks that), and a surplus is exported before
renewables are curtailed, which cost-minimal plans do of themselves unless imbalance is priced.

Source: docs/model.md sections 1 to 6.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray

from mmg_env.layout import L, P, W
from mmg_env.system import System

Array = NDArray[np.float64]
Expression = Any  # Pyomo ships no types


class Horizon(NamedTuple):
    """The whole days that a model covers.

    Attributes:
        steps: number of steps, a multiple of the steps of a day.
        periods: for each day, which of the model's demand-charge periods it lies in, 0-based.
    """

    steps: int
    periods: tuple[int, ...]


class Item(NamedTuple):
    """One line of the bill: price times quantity.

    Attributes:
        term: ledger term.
        participant: who pays.
        step: when, step of the model.
        price: a number, or a data variable of currency per unit of quantity.
        quantity: linear expression.
    """

    term: L
    participant: int
    step: int
    price: Expression
    quantity: Expression


@dataclass
class Dispatch:
    """A model under construction.

    Attributes:
        system: what is modelled.
        horizon: which steps.
        model: the Pyomo model.
        data: names of the data variables.
        bill: lines of the objective.
        bus: power into each participant's electric bus by (participant, step), kW.
        heat: heat into each member's heat bus by (member, step), kW.
    """

    system: System
    horizon: Horizon
    model: Any = field(default_factory=pyo.ConcreteModel)
    data: list[str] = field(default_factory=list)
    bill: list[Item] = field(default_factory=list)
    bus: dict[tuple[int, int], list[Expression]] = field(default_factory=dict)
    heat: dict[tuple[int, int], list[Expression]] = field(default_factory=dict)

    @property
    def dt_h(self) -> float:
        """Length of a step, h."""
        return self.system.dt_h

    @property
    def steps(self) -> range:
        """Steps of the model."""
        return range(self.horizon.steps)

    @property
    def members(self) -> range:
        """Rows of the members."""
        return range(len(self.system.members))

    @property
    def participants(self) -> range:
        """Rows of the members, then of the community storage."""
        return range(len(self.system.participants))

    def fact(self, p: int, column: P) -> float:
        """Return one number of the system's table."""
        return float(self.system.physics.table[p, column])

    def world(self, column: W) -> float:
        """Return one number that exists once per system."""
        return float(self.system.physics.world[column])

    def having(self, column: P, rows: Iterable[int] | None = None) -> list[int]:
        """Return the participants whose entry of the table is positive."""
        rows = self.participants if rows is None else rows
        return [p for p in rows if self.fact(p, column) > 0.0]

    def hours(self, rows: Iterable[int]) -> list[tuple[int, int]]:
        """Return all (row, step)."""
        return [(p, t) for p in rows for t in self.steps]

    def moments(self, rows: Iterable[int]) -> list[tuple[int, int]]:
        """Return all (row, t) of a state column, the horizon's end included."""
        return [(p, t) for p in rows for t in range(self.horizon.steps + 1)]

    def add(self, name: str, component: Any) -> Any:
        """Add a Pyomo component under a name and return it."""
        self.model.add_component(name, component)
        return component

    def variable(self, name: str, index: Sequence[Any], upper: Any = None) -> Any:
        """Add non-negative variables; `upper` is a function of the index, or None."""
        bounds = (0.0, None) if upper is None else lambda _, *i: (0.0, upper(*i))
        return self.add(name, pyo.Var(list(index), bounds=bounds))

    def known(self, name: str, index: Iterable[Any]) -> Any:
        """Return data variables, added on first use."""
        if name not in self.data:
            self.data.append(name)
            self.add(name, pyo.Var(list(index), initialize=0.0))
        return self.model.component(name)

    def series(self, name: str) -> Any:
        """Return a data variable with one value per step."""
        return self.known(name, self.steps)

    def rule(self, name: str, index: Iterable[Any], rule: Any) -> None:
        """Add one family of constraints."""
        self.add(name, pyo.Constraint(list(index), rule=lambda _, *i: rule(*i)))

    def supply(self, p: int, t: int, power_kw: Expression) -> None:
        """Put power (kW) into a participant's bus."""
        self.bus.setdefault((p, t), []).append(power_kw)

    def charge(self, item: Item) -> None:
        """Put a line on the bill, unless it is free for good."""
        if not (isinstance(item.price, float) and item.price == 0.0):
            self.bill.append(item)


@lru_cache(maxsize=1024)
def wear_groups(system: System, p: int) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return a battery's wear segments with equal neighbours merged.

    Returns:
        (groups,) cost per kWh discharged from the cells, (groups,) share of the capacity, and
        (segments,) the group of each of the simulator's segments.
    """
    wear = system.physics.wear[p]
    group = np.concatenate([[0], np.cumsum(np.diff(wear) != 0.0)]).astype(np.int64)
    costs = wear[np.unique(group, return_index=True)[1]]
    return costs, np.bincount(group) / len(wear), group


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
    power = d.variable("charge_kw", d.hours(stores), lambda p, t: d.fact(p, P.battery_kw))
    out = d.variable("discharge_kw", d.hours(stores), lambda p, t: d.fact(p, P.battery_kw))
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
        lambda p, t: dt / d.fact(p, P.eta_discharge) * out[p, t]
        == sum(taken[p, j, t] for j in number[p]),
    )
    d.rule(
        "segment_charge",
        parts,
        lambda p, j, t: segment[p, j, t + 1] + taken[p, j, t]
        >= d.fact(p, P.retention) * segment[p, j, t],
    )
    for p, j, t in parts:
        d.charge(Item(L.wear, p, t, float(costs[p][j]), taken[p, j, t]))


def add_chp(d: Dispatch) -> None:
    """Combined heat and power: commitment, minimum output, ramps, starts.

    With u the commitment, r the ramp per step, edge = max(r, p_min) and stop = start - u + u_prev,
    which is 1 in the hour after the last::

        start >= u - u_prev,  start <= u,  start <= 1 - u_prev
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
    power = d.variable("chp_kw", d.moments(units), lambda m, _: d.fact(m, P.chp_kw))
    on = d.add("chp_on", pyo.Var(d.moments(units), domain=pyo.Binary))
    d.variable("chp_start", d.hours(units), lambda m, t: 1.0)
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
    """Heat: the load is covered, surplus heat is free::

        chp heat + boiler + unserved_heat >= heat load
    """
    warm = [m for m, member in enumerate(d.system.config.members) if member.heat is not None]
    if not warm:
        return
    boilers = d.having(P.boiler_kw, warm)
    boiler = d.variable("boiler_kw", d.hours(boilers), lambda m, t: d.fact(m, P.boiler_kw))
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

        backlog[t+1] = backlog[t] + (later_off[t] - later_on[t]) * dt,  backlog[day's end] = 0

    with `flex_up` the load added and `flex_down` the load taken away; every kWh moved either way
    costs the disutility.
    """
    rows = d.having(P.flex_kw)
    if not rows:
        return
    day = d.system.steps_per_day
    up = d.variable("flex_up_kw", d.hours(rows), lambda m, t: d.fact(m, P.flex_kw))
    down = d.variable("flex_down_kw", d.hours(rows), lambda m, t: d.fact(m, P.flex_kw))

    def range_kwh(_: Any, m: int, t: int) -> tuple[float | None, float | None]:
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


def add_pool(d: Dispatch) -> None:
    """The community bus: what is sent arrives less the loss.

    With trade among members one balance holds, without it the storage is every member's only
    counterpart::

        sum_p received[p] = (1 - loss) * sum_p sent[p]
        sum_m received[m] = (1 - loss) * sent[ces],  received[ces] = (1 - loss) * sum_m sent[m]
    """
    if d.world(W.pool_enabled) == 0.0:
        return
    ces = len(d.members) if d.system.has_ces else None
    if d.world(W.pool_members) == 0.0 and ces is None:
        return
    rows = d.having(P.link_kw)

    def limit(p: int, switch: W) -> float:
        closed = p == ces and d.world(switch) == 0.0
        return 0.0 if closed else d.fact(p, P.link_kw)

    sent = d.variable("sent_kw", d.hours(rows), lambda p, t: limit(p, W.pool_out))
    received = d.variable("received_kw", d.hours(rows), lambda p, t: limit(p, W.pool_in))
    through = 1.0 - d.world(W.pool_loss)

    def arrives(takers: list[int], senders: list[int]) -> Any:
        return lambda t: (
            sum(received[p, t] for p in takers) == through * sum(sent[p, t] for p in senders)
        )

    if d.world(W.pool_members) > 0.0:
        d.rule("pool_balance", d.steps if rows else [], arrives(rows, rows))
    else:
        members = [p for p in rows if p != ces]
        storage = [p for p in rows if p == ces]
        d.rule("pool_out_balance", d.steps if rows else [], arrives(members, storage))
        d.rule("pool_in_balance", d.steps if rows else [], arrives(storage, members))
    for p, t in d.hours(rows):
        if p != ces:
            d.supply(p, t, received[p, t] - sent[p, t])
        d.charge(Item(L.pool_fee, p, t, d.world(W.pool_fee_per_kwh), d.dt_h * received[p, t]))


def add_grid(d: Dispatch) -> None:
    """Members' grid links: limits that an outage scales, retail prices, carbon of imports."""
    prices = {name: d.series(name) for name in ("price_buy", "price_sell")}
    able = {
        "import_kw": d.having(P.import_kw, d.members),
        "export_kw": d.having(P.export_kw, d.members) if d.world(W.member_export) > 0.0 else [],
    }
    add_exchange(d, able)
    for m, t in d.hours(able["import_kw"]):
        bought_kwh = d.dt_h * d.model.import_kw[m, t]
        d.charge(Item(L.grid_import, m, t, prices["price_buy"][t], bought_kwh))
    for m, t in d.hours(able["export_kw"]):
        sold_kwh = -d.dt_h * d.model.export_kw[m, t]
        d.charge(Item(L.grid_export, m, t, prices["price_sell"][t], sold_kwh))


def add_exchange(d: Dispatch, able: dict[str, list[int]]) -> None:
    """Import and export of every participant with a link, the storage's market included."""
    if d.system.has_ces:
        ces = len(d.members)
        able = {"import_kw": [*able["import_kw"], ces], "export_kw": [*able["export_kw"], ces]}
    for name, rows in able.items():
        power = d.variable(name, d.hours(rows))
        limit = d.known(name.replace("_kw", "_max_kw"), d.hours(rows))
        d.rule(f"{name}_limit", d.hours(rows), _at_most(power, limit))
    for p, t in d.hours(able["import_kw"]):
        d.supply(p, t, d.model.import_kw[p, t])
        if d.world(W.carbon_per_kg) > 0.0:
            kwh = d.world(W.carbon_per_kg) * d.dt_h * d.model.import_kw[p, t]
            d.charge(Item(L.carbon, p, t, d.series("carbon_kg_per_kwh")[t], kwh))
    for p, t in d.hours(able["export_kw"]):
        d.supply(p, t, -d.model.export_kw[p, t])


def _at_most(power: Any, limit: Any) -> Any:
    """Return the rule power <= limit."""
    return lambda p, t: power[p, t] <= limit[p, t]


def add_demand_charge(d: Dispatch) -> None:
    """Demand charge on each member's import peak, reset every period::

        level[period] >= import[t] for t in the period;  level[0] >= the peak so far
        cost = rate[period] * (level[period] - the peak so far)
    """
    payers = d.having(P.import_kw, d.members)
    if d.world(W.demand_charge_per_kw) == 0.0 or not payers:
        return
    day = d.system.steps_per_day
    periods = d.horizon.periods
    numbers = sorted(set(periods))
    level = d.variable("level_kw", [(m, k) for m in payers for k in numbers])
    before, rate = d.known("peak_before_kw", payers), d.known("demand_rate", numbers)
    power = d.model.import_kw
    d.rule("level_start", payers, lambda m: level[m, 0] >= before[m])
    d.rule("level_peak", d.hours(payers), lambda m, t: level[m, periods[t // day]] >= power[m, t])
    for m in payers:
        for k in numbers:
            rise_kw = level[m, k] - (before[m] if k == 0 else 0.0)
            d.charge(Item(L.demand_charge, m, periods.index(k) * day, rate[k], rise_kw))


def add_nomination(d: Dispatch) -> None:
    """The community's nomination g of its net exchange, and the price of deviating::

        sum_p (import[p] - export[p]) - g[t] = short[t] - long[t]
        cost = short_premium * short + long_premium * long

    g lies within a range around the forecast net load; fixed bounds make it a commitment.
    """
    if not d.system.day_ahead_grid:
        return
    g = d.add("nominated_kw", pyo.Var(d.steps))
    low, high = d.series("nominated_min_kw"), d.series("nominated_max_kw")
    d.rule("nominated_low", d.steps, lambda t: g[t] >= low[t])
    d.rule("nominated_high", d.steps, lambda t: g[t] <= high[t])
    short, long = d.variable("short_kw", d.steps), d.variable("long_kw", d.steps)
    bought, sold = d.model.import_kw, d.model.export_kw

    def deviation(t: int) -> Expression:
        net = sum(bought[p, t] for p in d.participants if (p, t) in bought)
        net -= sum(sold[p, t] for p in d.participants if (p, t) in sold)
        return net - g[t] == short[t] - long[t]

    d.rule("deviation", d.steps, deviation)
    for t in d.steps:
        d.charge(Item(L.imbalance, 0, t, d.series("short_premium")[t], d.dt_h * short[t]))
        d.charge(Item(L.imbalance, 0, t, d.series("long_premium")[t], d.dt_h * long[t]))


def add_balance(d: Dispatch) -> None:
    """Electric balance of every participant, with slacks that always can close it::

        supply + wind and PV - curtailed + unserved - spill = load,  curtailed <= wind and PV
    """
    green = [m for m, c in enumerate(d.system.config.members) if c.wind or c.pv]
    unserved = d.variable("unserved_kw", d.hours(d.participants))
    spill = d.variable("spill_kw", d.hours(d.participants))
    available = d.known("renewable_kw", d.hours(green))
    curtailed = d.variable("curtailed_kw", d.hours(green))
    load = d.known("load_kw", d.hours(d.members))
    d.rule("curtailed_limit", d.hours(green), _at_most(curtailed, available))
    for p, t in d.hours(green):
        d.supply(p, t, available[p, t] - curtailed[p, t])
    for p, t in d.hours(d.participants):
        d.supply(p, t, unserved[p, t] - spill[p, t])
        missing_kwh, spilt_kwh = d.dt_h * unserved[p, t], d.dt_h * spill[p, t]
        d.charge(Item(L.unserved, p, t, d.world(W.unserved_per_kwh), missing_kwh))
        d.charge(Item(L.spill, p, t, d.world(W.spill_per_kwh), spilt_kwh))
    d.rule(
        "balance",
        d.hours(d.participants),
        lambda p, t: sum(d.bus[p, t]) == (load[p, t] if p in d.members else 0.0),
    )


def add_terminal(d: Dispatch) -> None:
    """Energy left at the horizon's end, against the energy at reset::

        soc_initial * capacity - energy[T] = shortfall - surplus
        cost = terminal_buy * shortfall - terminal_sell * surplus
    """
    stores = d.having(P.capacity_kwh)
    end = d.horizon.steps
    missing, left = d.variable("shortfall_kwh", stores), d.variable("surplus_kwh", stores)

    def reference(p: int) -> float:
        return d.fact(p, P.soc_initial) * d.fact(p, P.capacity_kwh)

    energy = d.model.energy_kwh
    d.rule("terminal", stores, lambda p: reference(p) - energy[p, end] == missing[p] - left[p])
    for p in stores:
        d.charge(Item(L.terminal, p, end - 1, d.fact(p, P.terminal_buy_per_kwh), missing[p]))
        d.charge(Item(L.terminal, p, end - 1, d.fact(p, P.terminal_sell_per_kwh), -left[p]))


def add_cost(d: Dispatch) -> None:
    """The objective: the bill, price times quantity."""
    d.add("cost", pyo.Objective(expr=sum(item.price * item.quantity for item in d.bill)))

