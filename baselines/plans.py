"""What a model's answer means: wishes in the simulator's own layout, and the money expected.

A solution is first put into the form in which the simulator closes its buses. Where import,
export, curtailment and shedding cost the same, a plan may choose any of them; the simulator
imports what is lacking, and exports a surplus before it curtails (after, if selling costs money).

Source: docs/model.md sections 2 and 6.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from baselines.compiled import Compiled, Numbers, ledger_entries
from baselines.solution import Plan
from baselines.window import series_data
from mmg_env.kernel import N_ACTION
from mmg_env.layout import A, F, L, P, X
from mmg_env.system import System

Array = NDArray[np.float64]

# The simulator takes any output above 0 for running. A unit without minimum output that the plan
# keeps on at 0, to save a start, is asked for this much.
KEEP_ON_KW: Final = 1e-7


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


def settle(system: System, numbers: Numbers, values: Values, rows: Array) -> None:
    """Choose among equally cheap ways to close the buses the one that the simulator takes."""
    count, steps = len(system.participants), len(rows)
    shape = (count, steps)
    bought, sold = values.get("import_kw", shape), values.get("export_kw", shape)
    curtailed = values.get("curtailed_kw", shape)
    data = series_data(system, rows)
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


def _upper(compiled: Compiled, numbers: Numbers, name: str, shape: tuple[int, ...]) -> Array:
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


def make_plan(system: System, numbers: Numbers, values: Values, rows: Array) -> Plan:
    """Return the wishes, powers and money of a settled solution."""
    flows = _flows(system, values, len(rows))
    return Plan(requests(system, values, rows), flows, _ledger(numbers, values, flows))


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


def _chp_kw(system: System, values: Values, shape: tuple[int, int]) -> Array:
    """Return the output during each step; exactly 0 where the unit is off."""
    later = (shape[0], shape[1] + 1)
    power = values.get("chp_kw", later)[:, 1:]
    on = values.get("chp_on", later)[:, 1:]
    low = np.maximum(system.column(P.chp_min_kw), KEEP_ON_KW)[:, None]
    return np.where(on > 0.5, np.maximum(power, low), 0.0)


def _ledger(numbers: Numbers, values: Values, flows: Array) -> Array:
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
