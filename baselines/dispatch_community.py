"""The dispatch model's common part: pool, grid, demand charge, nomination, balances, the bill.

Source: docs/model.md sections 1, 2, 5 and 6.
"""

from typing import Any

import pyomo.environ as pyo

from baselines.dispatch import Dispatch, Expression, Item, at_most
from mmg_env.layout import L, P, W


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

    sent = d.variable("sent_kw", d.hours(rows), lambda p, _: limit(p, W.pool_out))
    received = d.variable("received_kw", d.hours(rows), lambda p, _: limit(p, W.pool_in))
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
        d.rule(f"{name}_limit", d.hours(rows), at_most(power, limit))
    for p, t in d.hours(able["import_kw"]):
        d.supply(p, t, d.model.import_kw[p, t])
        if d.world(W.carbon_per_kg) > 0.0:
            kwh = d.world(W.carbon_per_kg) * d.dt_h * d.model.import_kw[p, t]
            d.charge(Item(L.carbon, p, t, d.series("carbon_kg_per_kwh")[t], kwh))
    for p, t in d.hours(able["export_kw"]):
        d.supply(p, t, -d.model.export_kw[p, t])


def add_demand_charge(d: Dispatch) -> None:
    """Demand charge on each member's import peak, reset every period.

    ::

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
    """The community's nomination g of its net exchange, and the price of deviating.

    ::

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
    """Electric balance of every participant, with slacks that always can close it.

    ::

        supply + wind and PV - curtailed + unserved - spill = load,  curtailed <= wind and PV
    """
    green = [m for m, c in enumerate(d.system.config.members) if c.wind or c.pv]
    unserved = d.variable("unserved_kw", d.hours(d.participants))
    spill = d.variable("spill_kw", d.hours(d.participants))
    available = d.known("renewable_kw", d.hours(green))
    curtailed = d.variable("curtailed_kw", d.hours(green))
    load = d.known("load_kw", d.hours(d.members))
    d.rule("curtailed_limit", d.hours(green), at_most(curtailed, available))
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
    """Energy left at the horizon's end, against the energy at reset.

    ::

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
