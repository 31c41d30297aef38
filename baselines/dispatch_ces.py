"""The community storage in the dispatch model, and the whole model.

Converter, virtual batteries, reserve, energy market.

Source: docs/model.md sections 1 to 3; the converter is that of Bian & Ji 2025 (BdC), reserve that
of Bayat et al. 2026 ("multi-market"), the formulas are our choice.
"""

from baselines.dispatch import Dispatch, Expression, Horizon, Item
from baselines.dispatch_community import (
    add_balance,
    add_cost,
    add_demand_charge,
    add_grid,
    add_nomination,
    add_pool,
    add_terminal,
)
from baselines.dispatch_devices import add_chp, add_flex, add_heat, add_storage
from mmg_env.layout import L, P, W
from mmg_env.system import System

# Share of offered regulation that is discharged, times the wear of its shallow cycles.
REGULATION_WEAR = 0.25 * 0.08


def build_dispatch(system: System, horizon: Horizon) -> Dispatch:
    """Return the whole model; its data variables are 0 and not fixed."""
    d = Dispatch(system, horizon)
    add_storage(d)
    add_chp(d)
    add_heat(d)
    add_flex(d)
    add_pool(d)
    add_virtual(d)
    add_grid(d)
    add_reserve(d)
    add_ces(d)
    add_demand_charge(d)
    add_nomination(d)
    add_balance(d)
    add_terminal(d)
    add_cost(d)
    return d


def add_virtual(d: Dispatch) -> None:
    """Virtual batteries: capacity of the storage, rented for the day, empty at its start.

    With K, R the rented energy and power of the day and the storage's own efficiencies::

        virtual[t+1] = rho * virtual[t] + (eta_c * in[t] - out[t] / eta_d) * dt <= K
        in + out <= R;  sum_m K <= kappa * E,  sum_m R <= kappa * P
        -link <= received - sent + out - in <= link          (pool and rent share the link)

    The rent itself is a transfer, and so is what is left in the evening.
    """
    if not d.system.rental:
        return
    ces = len(d.members)
    rows = [m for m in d.having(P.rental_max_kwh, d.members) if d.fact(m, P.rental_max_kw) > 0.0]
    rows = [m for m in rows if d.fact(m, P.link_kw) > 0.0]
    day = d.system.steps_per_day
    days = range(d.horizon.steps // day)

    def most(m: int, _: int) -> float:
        return min(d.fact(m, P.rental_max_kw), d.fact(m, P.link_kw))

    kwh = d.variable("rental_kwh", _by_day(rows, days), d.rated(P.rental_max_kwh))
    kw = d.variable("rental_kw", _by_day(rows, days), d.rated(P.rental_max_kw))
    into = d.variable("virtual_in_kw", d.hours(rows), most)
    out = d.variable("virtual_out_kw", d.hours(rows), most)
    energy = d.variable("virtual_kwh", d.moments(rows))
    start = d.known("virtual_start_kwh", rows)
    d.rule("virtual_start", rows, lambda m: energy[m, 0] == start[m])

    def balance(m: int, t: int) -> Expression:
        kept = 0.0 if t % day == 0 else d.fact(ces, P.retention) * energy[m, t]
        gain = d.fact(ces, P.eta_charge) * d.dt_h * into[m, t]
        return energy[m, t + 1] == kept + gain - d.dt_h / d.fact(ces, P.eta_discharge) * out[m, t]

    d.rule("virtual_balance", d.hours(rows), balance)
    d.rule("virtual_full", d.hours(rows), lambda m, t: energy[m, t + 1] <= kwh[m, t // day])
    d.rule("virtual_power", d.hours(rows), lambda m, t: into[m, t] + out[m, t] <= kw[m, t // day])
    if rows:
        _limit_rent(d, rows, days)
    for m, t in d.hours(rows):
        d.supply(m, t, out[m, t] - into[m, t])
    _share_link(d, rows)
    fee, through = d.world(W.pool_fee_per_kwh), 1.0 - d.world(W.pool_loss)
    for m, t in d.hours(rows):
        d.charge(Item(L.pool_fee, m, t, fee, d.dt_h * out[m, t]))
        d.charge(Item(L.pool_fee, ces, t, fee, through * d.dt_h * into[m, t]))


def _by_day(rows: list[int], days: range) -> list[tuple[int, int]]:
    """Return all (row, day)."""
    return [(m, k) for m in rows for k in days]


def _limit_rent(d: Dispatch, rows: list[int], days: range) -> None:
    """Rented capacity together stays within the overbooked storage."""
    kwh, kw = d.model.rental_kwh, d.model.rental_kw
    stock_kwh = d.known("rentable_kwh", [0])
    stock_kw = d.world(W.overbooking) * d.fact(len(d.members), P.battery_kw)
    d.rule("rent_energy", days, lambda k: sum(kwh[m, k] for m in rows) <= stock_kwh[0])
    d.rule("rent_power", days, lambda k: sum(kw[m, k] for m in rows) <= stock_kw)


def _share_link(d: Dispatch, rows: list[int]) -> None:
    """Pool and virtual power of a member share its link."""
    if d.model.component("sent_kw") is None:
        return
    model = d.model

    def together(m: int, t: int) -> Expression:
        power = model.received_kw[m, t] - model.sent_kw[m, t]
        power += model.virtual_out_kw[m, t] - model.virtual_in_kw[m, t]
        link = d.fact(m, P.link_kw)
        return (-link, power, link)

    d.rule("link", d.hours(rows), together)


def add_reserve(d: Dispatch) -> None:
    """Regulation and spinning reserve within the headroom of the nominated battery power.

    A call of spinning reserve first reduces charging, then adds discharge: the realised pair is
    (discharge, charge), the nominated one (planned, charge + less), and `spinning` is what is
    offered in hours without a call::

        discharge = planned + more,  b = planned - charge - less
        e_nom = energy[t+1] + (more / eta_d + eta_c * less) * dt
        up = (e_nom - e_min) * eta_d,  down = (e_max - e_nom) / eta_c
        r_s = spinning + more + less
        r_g <= min(P/2, P - b, P + b, 2 up, 2 down)
        r_s <= min(P/2, P - b - r_g, (up - r_g/2) / max(1 h, dt))
    """
    if not d.system.reserve:
        return
    ces = len(d.members)
    names = ("regulation_kw", "spinning_kw", "called_more_kw", "called_less_kw")
    d.variable("planned_kw", d.steps, lambda _: d.fact(ces, P.battery_kw))
    offers = {name: d.variable(name, d.steps) for name in names}
    limits = ("regulation_max_kw", "spinning_max_kw", "called_max_kw", "called_max_kw")
    for name, limit in zip(names, limits, strict=True):
        d.rule(f"{name}_limit", d.steps, _most(offers[name], d.series(limit)))
    _add_headroom(d, ces)
    wear = float(d.system.physics.wear[ces, 0])
    for t in d.steps:
        spinning = sum(offers[name][t] for name in names[1:])
        pay = {"rho_regulation": offers["regulation_kw"][t], "rho_spinning": spinning}
        for price, power in pay.items():
            d.charge(Item(L.reserve_revenue, ces, t, d.series(price)[t], -d.dt_h * power))
        cycled = REGULATION_WEAR * d.dt_h / d.fact(ces, P.eta_discharge)
        d.charge(Item(L.wear, ces, t, wear, cycled * offers["regulation_kw"][t]))


def _most(power: Expression, limit: Expression) -> Expression:
    """Return the rule power <= limit."""
    return lambda t: power[t] <= limit[t]


def _add_headroom(d: Dispatch, ces: int) -> None:
    """The rows of `add_reserve`; r_g <= P - b and r_g <= 2 up follow from those of r_s."""
    model, rating = d.model, d.fact(ces, P.battery_kw)
    eta_in, eta_out = d.fact(ces, P.eta_charge), d.fact(ces, P.eta_discharge)
    more, less = model.called_more_kw, model.called_less_kw
    low, high = model.energy_min_kwh[ces], model.energy_max_kwh[ces]

    def nominated_kw(t: int) -> Expression:
        return model.planned_kw[t] - model.charge_kw[ces, t] - less[t]

    def up_kw_h(t: int) -> Expression:
        left = eta_out * model.energy_kwh[ces, t + 1] - eta_out * low
        return left + d.dt_h * more[t] + d.dt_h * eta_in * eta_out * less[t]

    def down_kwh(t: int) -> Expression:
        back = d.dt_h / eta_out * more[t] + d.dt_h * eta_in * less[t]
        return high - model.energy_kwh[ces, t + 1] - back

    def spinning(t: int) -> Expression:
        return model.spinning_kw[t] + more[t] + less[t]

    hold = max(1.0, d.dt_h)
    r_g = model.regulation_kw
    d.rule(
        "called_discharge",
        d.steps,
        lambda t: model.discharge_kw[ces, t] == model.planned_kw[t] + more[t],
    )
    d.rule(
        "reserve_up_power",
        d.steps,
        lambda t: spinning(t) + r_g[t] + nominated_kw(t) <= rating,
    )
    d.rule("reserve_down_power", d.steps, lambda t: r_g[t] - nominated_kw(t) <= rating)
    d.rule("spinning_half", d.steps, lambda t: spinning(t) <= 0.5 * rating)
    d.rule(
        "reserve_up_energy",
        d.steps,
        lambda t: hold * spinning(t) + 0.5 * r_g[t] <= up_kw_h(t),
    )
    d.rule("reserve_down_energy", d.steps, lambda t: 0.5 * eta_in * r_g[t] <= down_kwh(t))


def add_ces(d: Dispatch) -> None:
    """The storage's bus behind its converter, and its energy market.

    With through = eta_B * (1 - loss)::

        duty = sum_m (out[m] / through - through * in[m]) + sent / eta_B - eta_B * received
        import - export + unserved - spill = duty - battery
    """
    if not d.system.has_ces:
        return
    ces = len(d.members)
    eta = d.world(W.eta_converter)
    through = eta * (1.0 - d.world(W.pool_loss))
    model = d.model
    if model.component("virtual_in_kw") is not None:
        for m, t in model.virtual_in_kw:
            given = through * model.virtual_in_kw[m, t]
            d.supply(ces, t, given - 1.0 / through * model.virtual_out_kw[m, t])
    if model.component("sent_kw") is not None and d.fact(ces, P.link_kw) > 0.0:
        for t in d.steps:
            given = eta * model.received_kw[ces, t]
            d.supply(ces, t, given - 1.0 / eta * model.sent_kw[ces, t])
    for t in d.steps:
        bought_kwh = d.dt_h * model.import_kw[ces, t]
        sold_kwh = d.dt_h * model.export_kw[ces, t]
        d.charge(Item(L.market, ces, t, d.series("ces_buy")[t], bought_kwh))
        d.charge(Item(L.market, ces, t, d.series("ces_sell")[t], -sold_kwh))
