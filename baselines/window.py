"""What a model is told, and what its answer means: data in, plan out.

Data: the state, and one row of exogenous values per step of the window, realised or forecast.
Plan: physical wishes in the simulator's own layout, and the money that the model expects.

A solution is first put into the form in which the simulator closes its buses. Where import,
export, curtailment and shedding cost the same, a plan may choose any of them; the simulator
imports what is lacking, and exports a surplus before it curtails (after, if selling costs money).

Source: docs/model.md sections 1 to 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.compiled import Compiled, Numbers, ledger_entries
from baselines.dispatch import wear_groups
from baselines.solution import Plan
from mmg_env.kernel import N_ACTION
from mmg_env.layout import A, F, L, P, S, W, X
from mmg_env.state import State
from mmg_env.system import UNLIMITED_KW, System

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Values:
    """The solution of a model by variable name.

    Attributes:
        compiled: the model.
        x: (columns,) the solution; changed in place by `settle` only.
    """

    compiled: Compiled
    x: Array

    def __getitem__(self, name: str) -> Array:
        """Return a variable over its index; 0 where there is none."""
        columns = self.compiled.columns[name]
        return np.where(columns >= 0, self.x[columns], 0.0)

    def get(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return a variable in an array of this shape; 0 where there is none."""
        out = np.zeros(shape)
        if name in self.compiled.columns:
            found = self[name]
            out[tuple(slice(0, n) for n in found.shape)] = found
        return out

    def put(self, name: str, values: Array) -> None:
        """Change a variable, if there is one."""
        if name not in self.compiled.columns:
            return
        columns = self.compiled.columns[name]
        part = values[tuple(slice(0, n) for n in columns.shape)]
        self.x[columns[columns >= 0]] = part[columns >= 0]


def window_data(system: System, state: State, rows: Array, rates: Array) -> dict[str, Array]:
    """Return the data of a model that starts at a day's first step.

    Args:
        system: the system.
        state: state at the first step.
        rows: (steps, columns) exogenous values of the window's steps.
        rates: (periods,) demand charge of each of the model's periods, currency/kW.
    """
    return _state_data(system, state) | _series_data(system, rows) | {"demand_rate": rates}


def _state_data(system: System, state: State) -> dict[str, Array]:
    """Return what the state says; the import peak starts at what is in it."""
    capacity, energy = state.capacity_kwh, state.energy_kwh
    segments = state.segments_kwh
    room, start = np.zeros_like(segments), np.zeros_like(segments)
    chp_kw = state.column(S.chp_kw)
    for p in range(len(segments)):
        _, share, group = wear_groups(system, p)
        start[p, : len(share)] = np.bincount(group, weights=segments[p])
        room[p, : len(share)] = np.maximum(share * capacity[p], start[p, : len(share)])
    data = {
        "energy_start_kwh": energy,
        "energy_min_kwh": system.column(P.soc_min) * capacity,
        # Fade can leave energy above the limit; it may stay there, but not grow.
        "energy_max_kwh": np.maximum(system.column(P.soc_max) * capacity, energy),
        "segment_start_kwh": start,
        "segment_max_kwh": room,
        "chp_before_kw": chp_kw,
        "chp_was_on": (chp_kw > 0.0).astype(float),
        "backlog_start_kwh": state.column(S.backlog_kwh),
        "virtual_start_kwh": state.column(S.virtual_kwh),
        "peak_before_kw": state.column(S.peak_kw),
    }
    if system.has_ces:
        data["rentable_kwh"] = system.physics.world[W.overbooking] * capacity[-1:]
    return data


def _series_data(system: System, rows: Array) -> dict[str, Array]:
    """Return what the exogenous rows say."""
    members = len(system.members)
    shared = rows[:, 4 * members :]
    up = shared[:, X.grid_up]
    world = system.physics.world
    base = shared[:, X.nomination_base_kw]
    reach = world[W.nomination_range_kw]
    data = {
        "renewable_kw": (rows[:, :members] + rows[:, members : 2 * members]).T,
        "load_kw": rows[:, 2 * members : 3 * members].T,
        "heat_kw": rows[:, 3 * members : 4 * members].T,
        "import_max_kw": up * _link_limit(system, P.import_kw)[:, None],
        "export_max_kw": up * _link_limit(system, P.export_kw)[:, None],
        "price_buy": shared[:, X.price_buy],
        "price_sell": shared[:, X.price_sell],
        "ces_buy": shared[:, X.ces_buy],
        "ces_sell": shared[:, X.ces_sell],
        "rho_regulation": shared[:, X.rho_regulation],
        "rho_spinning": shared[:, X.rho_spinning],
        "carbon_kg_per_kwh": shared[:, X.carbon_kg_per_kwh],
        # A deviation costs nothing while the grid is down.
        "short_premium": np.where(up > 0.0, shared[:, X.short_premium], 0.0),
        "long_premium": np.where(up > 0.0, shared[:, X.long_premium], 0.0),
        "nominated_min_kw": base - reach,
        "nominated_max_kw": base + reach,
    }
    if system.reserve:
        # Reserve is worth nothing while the grid is down: none is offered then.
        half = np.where(up > 0.0, 0.5 * system.column(P.battery_kw)[-1], 0.0)
        called = shared[:, X.spin_call] > 0.0
        data["regulation_max_kw"] = half
        data["spinning_max_kw"] = np.where(called, 0.0, half)
        data["called_max_kw"] = np.where(called, half, 0.0)
    return data


def _link_limit(system: System, column: P) -> Array:
    """Return grid limits (participants,); for "none" the most that can ever flow."""
    limit = system.column(column).copy()
    if system.has_ces and limit[-1] >= UNLIMITED_KW:
        eta = system.physics.world[W.eta_converter] * (1.0 - system.physics.world[W.pool_loss])
        links = system.column(P.link_kw).sum() / eta
        limit[-1] = 2.0 * system.column(P.battery_kw)[-1] + links
    return limit


# --- the simulator's order of closing a bus -----------------------------------------------------


def settle(system: System, numbers: Numbers, values: Values, rows: Array) -> None:
    """Choose among equally cheap ways to close the buses the one that the simulator takes."""
    count, steps = len(system.participants), len(rows)
    shape = (count, steps)
    bought, sold = values.get("import_kw", shape), values.get("export_kw", shape)
    curtailed = values.get("curtailed_kw", shape)
    data = _series_data(system, rows)
    both = np.minimum(bought, sold)
    bought, sold = bought - both, sold - both
    both = np.minimum(bought, curtailed)
    bought, curtailed = bought - both, curtailed - both
    limit = _upper(values.compiled, numbers, "export_kw", shape)
    paid = data["price_sell"] >= 0.0
    more = np.where(paid, np.minimum(curtailed, np.maximum(limit - sold, 0.0)), 0.0)
    available = np.zeros(shape)
    available[: len(system.members)] = data["renewable_kw"]
    less = np.where(paid, 0.0, np.minimum(sold, np.maximum(available - curtailed, 0.0)))
    less[len(system.members) :] = 0.0
    values.put("import_kw", bought)
    values.put("export_kw", sold + more - less)
    values.put("curtailed_kw", curtailed - more + less)
    _settle_peaks(values, numbers)
    _settle_nomination(system, values, numbers)


def _upper(
    compiled: Compiled, numbers: Numbers, name: str, shape: tuple[int, ...]
) -> Array:
    """Return a variable's upper bound in an array of this shape; 0 where there is none."""
    return Values(compiled, numbers.upper).get(name, shape)


def _settle_peaks(values: Values, numbers: Numbers) -> None:
    """Let every demand-charge level be the peak itself, also where it is free."""
    if "level_kw" not in values.compiled.columns:
        return
    columns = values.compiled.columns["level_kw"]
    bought = values["import_kw"]
    periods = _period_of_steps(values.compiled)
    level = np.zeros(columns.shape)
    for k in range(columns.shape[1]):
        level[:, k] = bought[: len(columns), periods == k].max(axis=1)
    lower = numbers.lower[columns]
    values.put("level_kw", np.maximum(level, np.where(columns >= 0, lower, 0.0)))


def _period_of_steps(compiled: Compiled) -> NDArray[np.int64]:
    """Return the demand-charge period of each step."""
    return np.repeat(compiled.periods, compiled.steps // len(compiled.periods))


def _settle_nomination(system: System, values: Values, numbers: Numbers) -> None:
    """Nominate the net exchange itself where that is free to choose."""
    if "nominated_kw" not in values.compiled.columns:
        return
    columns = values.compiled.columns["nominated_kw"]
    shape = (len(system.participants), len(columns))
    net = (values.get("import_kw", shape) - values.get("export_kw", shape)).sum(axis=0)
    free = numbers.lower[columns] < numbers.upper[columns]
    wish = np.where(free, net, values["nominated_kw"])
    nominated = np.clip(wish, numbers.lower[columns], numbers.upper[columns])
    values.put("nominated_kw", nominated)
    values.put("short_kw", np.maximum(net - nominated, 0.0))
    values.put("long_kw", np.maximum(nominated - net, 0.0))


# --- plans --------------------------------------------------------------------------------------


def make_plan(system: System, numbers: Numbers, values: Values, rows: Array) -> Plan:
    """Return the wishes, powers and money of a settled solution."""
    flows = _flows(system, values, len(rows))
    return Plan(
        requests(system, values, rows), flows, _ledger(system, numbers, values, flows)
    )


def requests(system: System, values: Values, rows: Array) -> Array:
    """Return physical wishes (steps, request_size) in the simulator's layout."""
    steps, count = len(rows), len(system.participants)
    flows = _flows(system, values, steps)
    wishes = np.zeros((steps, count, N_ACTION))
    for wish, flow in (
        (A.battery_kw, F.battery_kw),
        (A.flex_kw, F.flex_kw),
        (A.virtual_kw, F.virtual_kw),
        (A.pool_kw, F.nominated_kw),
        (A.regulation_kw, F.regulation_kw),
        (A.spinning_kw, F.spinning_kw),
        (A.chp_kw, F.chp_kw),
    ):
        wishes[:, :, wish] = flows[:, :, flow]
    day = system.steps_per_day
    if system.rental:
        _rent(values, wishes, flows, day)
    parts = [wishes.reshape(steps, -1)]
    if system.day_ahead_pool:
        parts.append(_by_day(flows[:, :, F.nominated_kw], day))
    if system.day_ahead_grid:
        base = rows[:, 4 * len(system.members) + X.nomination_base_kw]
        parts.append(_by_day((values["nominated_kw"] - base)[:, None], day))
    return np.concatenate(parts, axis=1)


def _by_day(series: Array, day: int) -> Array:
    """Return (steps, columns * day): at each day's first step the day's hours, else 0."""
    steps, columns = series.shape
    out = np.zeros((steps, columns * day))
    for begin in range(0, steps, day):
        out[begin] = series[begin : begin + day].T.ravel()
    return out


def _rent(values: Values, wishes: Array, flows: Array, day: int) -> None:
    """Rent what is used: rent has no real cost, so any more would do as well."""
    if "virtual_kwh" not in values.compiled.columns:
        return
    energy = values["virtual_kwh"]
    for begin in range(0, len(wishes), day):
        peak_kwh = energy[:, begin + 1 : begin + day + 1].max(axis=1)
        peak_kw = np.abs(flows[begin : begin + day, :, F.virtual_kw]).max(axis=0)
        wishes[begin, : len(peak_kwh), A.rental_kwh] = peak_kwh
        wishes[begin, :, A.rental_kw] = peak_kw


def _flows(system: System, values: Values, steps: int) -> Array:
    """Return the powers of the plan, (steps, participants, len(F))."""
    count = len(system.participants)
    shape = (count, steps)
    flows = np.zeros((steps, count, len(F)))

    def take(name: str) -> Array:
        return values.get(name, shape).T

    given = take("discharge_kw") - take("charge_kw")
    flows[:, :, F.battery_kw] = given
    flows[:, :, F.chp_kw] = _chp_kw(system, values, shape).T
    flows[:, :, F.flex_kw] = take("flex_up_kw") - take("flex_down_kw")
    flows[:, :, F.virtual_kw] = take("virtual_out_kw") - take("virtual_in_kw")
    net = take("received_kw") - take("sent_kw")
    flows[:, :, F.nominated_kw] = net
    flows[:, :, F.sent_kw] = np.maximum(-net, 0.0)
    flows[:, :, F.received_kw] = np.maximum(net, 0.0)
    for column, name in (
        (F.boiler_kw, "boiler_kw"),
        (F.import_kw, "import_kw"),
        (F.export_kw, "export_kw"),
        (F.curtailed_kw, "curtailed_kw"),
        (F.unserved_kw, "unserved_kw"),
        (F.unserved_heat_kw, "unserved_heat_kw"),
        (F.spill_kw, "spill_kw"),
    ):
        flows[:, :, column] = take(name)
    if system.reserve:
        called = values["called_more_kw"] + values["called_less_kw"]
        flows[:, -1, F.regulation_kw] = values["regulation_kw"]
        flows[:, -1, F.spinning_kw] = values["spinning_kw"] + called
        flows[:, -1, F.called_kw] = called
        flows[:, -1, F.battery_kw] = given[:, -1] - called
    return flows


# The simulator takes any output above 0 for running. A unit without minimum output that the plan
# keeps on at 0, to save a start, is asked for this much.
KEEP_ON_KW = 1e-7


def _chp_kw(system: System, values: Values, shape: tuple[int, int]) -> Array:
    """Return the output during each step; exactly 0 where the unit is off."""
    later = (shape[0], shape[1] + 1)
    power = values.get("chp_kw", later)[:, 1:]
    on = values.get("chp_on", later)[:, 1:]
    low = np.maximum(system.column(P.chp_min_kw), KEEP_ON_KW)[:, None]
    return np.where(on > 0.5, np.maximum(power, low), 0.0)


def _ledger(system: System, numbers: Numbers, values: Values, flows: Array) -> Array:
    """Return the real costs (steps, participants, len(L)); transfers are NaN."""
    compiled = values.compiled
    steps, count = flows.shape[:2]
    ledger = np.zeros((steps, count, len(L)))
    bill = compiled.bill
    money = ledger_entries(compiled, numbers, values.x)
    np.add.at(ledger, (bill.step, bill.participant, bill.term), money)
    ledger[:, :, L.pool_payment :] = np.nan
    _spread_imbalance(ledger, flows)
    return ledger


def _spread_imbalance(ledger: Array, flows: Array) -> None:
    """Share each hour's imbalance pro rata to |exchange|, equally if there is none."""
    exchange = np.abs(flows[:, :, F.import_kw] - flows[:, :, F.export_kw])
    whole = exchange.sum(axis=1, keepdims=True)
    equal = np.full_like(exchange, 1.0 / exchange.shape[1])
    share = np.divide(exchange, whole, out=equal, where=whole > 0.0)
    ledger[:, :, L.imbalance] = share * ledger[:, :, L.imbalance].sum(axis=1, keepdims=True)
