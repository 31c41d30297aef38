"""A test of the tests: each planted bug in the simulator must fail at least one law.

A mutant is the module's source with one text replaced, run as plain Python. A text that no longer
stands in the source exactly once fails too, so that the list stays alive.
"""

import re
import sys
import types
from pathlib import Path

import laws
import pytest
from strategies import fixed_case

from mmg_env import forecasting, kernel, system

SOURCE = Path(kernel.__file__).read_text()
FORECASTING = Path(forecasting.__file__).read_text()
SYSTEM = Path(system.__file__).read_text()
JIT = re.compile(r"from mmg_env\.compilation import .*")
PLAIN = "jit = jit_with_arrays = lambda f: f"
SYSTEM_CASES = range(60)  # compiled, hence quick
CASES = (25, 29, 10, 2, 9)  # together they use every switch and every price rule

MUTANTS = {
    "dearest segment is discharged first": (
        "        for j in range(count):\n            stored = state[p, N_STATE + j]\n",
        "        for j in range(count - 1, -1, -1):\n            stored = state[p, N_STATE + j]\n",
    ),
    "dearest segment is charged first": (
        "    for j in range(N_STATE, N_STATE + count):\n        room = cap - state[p, j]\n",
        "    for j in range(N_STATE + count - 1, N_STATE - 1, -1):\n"
        "        room = cap - state[p, j]\n",
    ),
    "wear is paid per kWh at the bus": (
        "            cost = cost + wear[p, j] * part\n",
        "            cost = cost + wear[p, j] * part * table[p, P.eta_discharge]\n",
    ),
    "wear is paid on charging too": (
        "    state[p, last] = state[p, last] + left  # rounding only: limits bind before\n"
        "    return 0.0, 0.0\n",
        "    state[p, last] = state[p, last] + left\n"
        "    return 0.0, wear[p, 0] * -power_kw * dt_h\n",
    ),
    "discharging is limited without its efficiency": (
        "        high = content * table[p, P.eta_discharge] / dt_h\n",
        "        high = content / dt_h\n",
    ),
    "efficiency of charging is squared": (
        "    left = -power_kw * dt_h * table[p, P.eta_charge]\n",
        "    left = -power_kw * dt_h * table[p, P.eta_charge] ** 2\n",
    ),
    "step length is forgotten in the energy taken": (
        "        taken = power_kw * dt_h / table[p, P.eta_discharge]\n",
        "        taken = power_kw / table[p, P.eta_discharge]\n",
    ),
    "decay is forgotten": (
        "        state[p, j] = table[p, P.retention] * state[p, j]\n",
        "        state[p, j] = 1.0 * state[p, j]\n",
    ),
    "energy below the lower limit is not charged back": (
        "    if content >= 0.0:\n",
        "    content = content if content > 0.0 else 0.0\n    if content >= 0.0:\n",
    ),
    "capacity fades by all of the wear": (
        "    lost = 0.2 * state[p, S.wear_today]",
        "    lost = 1.0 * state[p, S.wear_today]",
    ),
    "faded segments keep their energy": (
        "            state[p, j + 1] = state[p, j + 1] + (state[p, j] - cap)\n"
        "            state[p, j] = cap\n",
        "            pass\n",
    ),
    "wear of the day is never reset": (
        "        state[p, S.wear_today] = 0.0\n",
        "        state[p, S.wear_today] = 1.0 * state[p, S.wear_today]\n",
    ),
    "ramp is 1 kW too wide": (
        "        high = before_kw + table[p, P.chp_ramp_kw]\n",
        "        high = before_kw + table[p, P.chp_ramp_kw] + 1.0\n",
    ),
    "CHP may stop from any output": (
        "        can_stop = before_kw <= table[p, P.chp_edge_kw] + EDGE_TOLERANCE_KW\n",
        "        can_stop = True\n",
    ),
    "CHP starts at once at any output": (
        "        high = table[p, P.chp_edge_kw]\n",
        "        high = table[p, P.chp_kw]\n",
    ),
    "CHP start is charged in each hour": (
        "    if flows[p, F.chp_kw] > 0.0 and state[p, S.chp_kw] == 0.0:\n",
        "    if flows[p, F.chp_kw] > 0.0:\n",
    ),
    "heat of the CHP is forgotten": (
        "    heat = now[3 * members + p] - table[p, P.chp_heat_per_kwh] * flows[p, F.chp_kw]\n",
        "    heat = now[3 * members + p]\n",
    ),
    "boiler burns no gas": (
        "    gas = gas + table[p, P.boiler_gas_m3_per_kwh] * boiler\n",
        "    gas = gas + 0.0 * boiler\n",
    ),
    "backlog is cleared one step too late": (
        "    hours_left = (world[W.steps_per_day] - 1.0 - hour) * dt\n",
        "    hours_left = (world[W.steps_per_day] - hour) * dt\n",
    ),
    "backlog counts kW as kWh": (
        "state[p, S.backlog_kwh] + flows[p, F.flex_kw] * dt\n",
        "state[p, S.backlog_kwh] + flows[p, F.flex_kw]\n",
    ),
    "disutility of flexible load knows no step length": (
        "table[p, P.flex_cost_per_kwh] * abs(flows[p, F.flex_kw]) * dt\n",
        "table[p, P.flex_cost_per_kwh] * abs(flows[p, F.flex_kw])\n",
    ),
    "virtual power ignores the firm pool power on its link": (
        "    return clip(low, -link - pool_kw, 0.0), clip(high, 0.0, link - pool_kw)\n",
        "    return low, high\n",
    ),
    "virtual power ignores the rented power": (
        "    limit = state[p, S.rental_kw] if state[p, S.rental_kw] < link else link\n",
        "    limit = link\n",
    ),
    "virtual energy ignores the rented energy": (
        "    room = state[p, S.rental_kwh] - kept\n",
        "    room = 2.0 * state[p, S.rental_kwh] - kept\n",
    ),
    "virtual energy does not decay": (
        "    kept = table[ces, P.retention] * state[p, S.virtual_kwh]\n",
        "    kept = state[p, S.virtual_kwh]\n",
    ),
    "pool ignores virtual power on its link": (
        "    if high > link - flows[p, F.virtual_kw]:\n",
        "    if high > link:\n",
    ),
    "P2P switch is ignored": (
        "world[W.pool_members] == 0.0",
        "world[W.pool_members] < 0.0",
    ),
    "P2P off blocks the CES as well": (
        "(x < 0.0 and ces <= 0.0) or (x > 0.0 and ces >= 0.0)",
        "(x < 0.0) or (x > 0.0)",
    ),
    "pool_out is ignored": (
        "    if is_ces and world[W.pool_out] == 0.0:\n        low = 0.0\n",
        "    if is_ces and world[W.pool_out] < 0.0:\n        low = 0.0\n",
    ),
    "pool_in is ignored": (
        "    if is_ces and world[W.pool_in] == 0.0:\n",
        "    if is_ces and world[W.pool_in] < 0.0:\n",
    ),
    "member_export is ignored": (
        "    export = up * table[p, P.export_kw] * world[W.member_export]\n",
        "    export = up * table[p, P.export_kw]\n",
    ),
    "markets off still offers reserve": (
        "    if world[W.markets] == 0.0:\n",
        "    if world[W.markets] < 0.0:\n",
    ),
    "rent is not cut to what the CES has": (
        "    share_kwh = cap_kwh / sum_kwh if sum_kwh > cap_kwh else 1.0\n",
        "    share_kwh = 1.0\n",
    ),
    "overbooking is forgotten for power": (
        "    cap_kw = world[W.overbooking] * table[ces, P.battery_kw]\n",
        "    cap_kw = table[ces, P.battery_kw]\n",
    ),
    "rent is created from nothing": (
        "        ledger[ces, L.rental] = ledger[ces, L.rental] - rent\n",
        "        ledger[ces, L.rental] = -rent\n",
    ),
    "loss is taken at the wrong end": (
        "    supply = (1.0 - world[W.pool_loss]) * sent\n",
        "    supply = sent\n    demand = (1.0 - world[W.pool_loss]) * demand\n",
    ),
    "long side is cut by the wrong ratio": (
        "            serve_pro_rata(flows, F.sent_kw, demand / supply)\n",
        "            serve_pro_rata(flows, F.received_kw, demand / supply)\n",
    ),
    "auction serves dear sellers first": (
        "serve_by_quote(flows, F.sent_kw, 1.0, ",
        "serve_by_quote(flows, F.sent_kw, -1.0, ",
    ),
    "auction prices at the cheapest ask": (
        "        if flows[p, F.sent_kw] > 0.0 and quote > ask:\n",
        "        if flows[p, F.sent_kw] > 0.0 and (quote < ask or ask == -np.inf):\n",
    ),
    "supply-demand price uses the wrong ratio": (
        "(supply / demand if supply < demand else 1.0)",
        "(demand / supply if supply > demand else 1.0)",
    ),
    "posted factors of storage are swapped": (
        "            if has_ces > 0 and i == members:\n                factor = world[W.posted_ces",
        "            if has_ces > 0 and j == members:\n                factor = world[W.posted_ces",
    ),
    "senders are paid for what is lost": (
        "(flows[p, F.received_kw] - (1.0 - world[W.pool_loss]) * flows[p, F.sent_kw])",
        "(flows[p, F.received_kw] - flows[p, F.sent_kw])",
    ),
    "quotes are not cut to their range": (
        "    quote = clip(wish, 0.0, world[W.quote_max_per_kwh])\n",
        "    quote = clip(wish, 0.0, 2.0 * world[W.quote_max_per_kwh])\n",
    ),
    "headroom for regulation is forgotten": (
        "    limit = min(0.5 * rating, rating - b, rating + b, 2.0 * up, 2.0 * down)\n",
        "    limit = min(0.5 * rating, rating - b, rating + b)\n",
    ),
    "spinning reserve ignores regulation": (
        "    limit = min(0.5 * rating, rating - b - r_g, (up - 0.5 * r_g) / hold)\n",
        "    limit = min(0.5 * rating, rating - b, up / hold)\n",
    ),
    "a called reserve moves no energy": (
        "        realised = flows[ces, F.battery_kw] + flows[ces, F.called_kw]\n",
        "        realised = flows[ces, F.battery_kw]\n",
    ),
    "reserve is called while the grid is down": (
        "    if now[4 * members + X.spin_call] > 0.0 and up > 0.0:\n",
        "    if now[4 * members + X.spin_call] > 0.0:\n",
    ),
    "regulation wears nothing": (
        "        cost = cost + wear[p, 0] * REGULATION_WEAR * offered\n",
        "        cost = cost + 0.0 * offered\n",
    ),
    "reserve is paid while the grid is down": (
        "    if now[shared + X.grid_up] > 0.0:\n        regulation =",
        "    if now[shared + X.grid_up] >= 0.0:\n        regulation =",
    ),
    "converter is lossless for what the CES receives": (
        "    duty = flows[p, F.sent_kw] / eta - eta * flows[p, F.received_kw]\n",
        "    duty = flows[p, F.sent_kw] / eta - flows[p, F.received_kw]\n",
    ),
    "virtual batteries pass the converter without the pool's loss": (
        "    through = eta * (1.0 - world[W.pool_loss])\n",
        "    through = eta\n",
    ),
    "outage does not reach the CES": (
        "up * table[p, P.import_kw], up * table[p, P.export_kw], 0.0",
        "table[p, P.import_kw], table[p, P.export_kw], 0.0",
    ),
    "outage does not reach imports of members": (
        "    close_bus(p, residual, up * table[p, P.import_kw], export, renewable,",
        "    close_bus(p, residual, table[p, P.import_kw], export, renewable,",
    ),
    "a lack at the CES is free": (
        "    ledger[p, L.unserved] = world[W.unserved_per_kwh] * flows[p, F.unserved_kw] * dt\n",
        "    lack = flows[p, F.unserved_kw] if p < ledger.shape[0] - world[W.has_ces] else 0.0\n"
        "    ledger[p, L.unserved] = world[W.unserved_per_kwh] * lack * dt\n",
    ),
    "spill is free": (
        "    ledger[p, L.spill] = world[W.spill_per_kwh] * flows[p, F.spill_kw] * dt\n",
        "    ledger[p, L.spill] = 0.0\n",
    ),
    "curtailment comes first at any price": (
        "    curtail_first = now[shared + X.price_sell] < 0.0\n",
        "    curtail_first = True\n",
    ),
    "export comes first at any price": (
        "    if curtail_first:\n",
        "    if False and curtail_first:\n",
    ),
    "network fee is forgotten on virtual power received": (
        "        ledger[p, L.pool_fee] = ledger[p, L.pool_fee] + fee * virtual\n",
        "        ledger[p, L.pool_fee] = ledger[p, L.pool_fee] + 0.0 * virtual\n",
    ),
    "network fee of the CES is not reduced by the loss": (
        "        arrived = -(1.0 - world[W.pool_loss]) * virtual\n",
        "        arrived = -virtual\n",
    ),
    "service fee is paid one way only": (
        "    service = world[W.service_fee_per_kwh] * abs(virtual) * dt\n",
        "    service = world[W.service_fee_per_kwh] * max(virtual, 0.0) * dt\n",
    ),
    "import peak is never reset": (
        "            state[p, S.peak_kw] = 0.0\n",
        "            state[p, S.peak_kw] = 1.0 * state[p, S.peak_kw]\n",
    ),
    "import peak is forgotten each hour": (
        "        state[p, S.peak_kw] = flows[p, F.import_kw]\n",
        "        state[p, S.peak_kw] = 0.0\n",
    ),
    "imports of gas emit nothing": (
        "    kg = kg + world[W.gas_kg_per_m3] * flows[p, F.gas_m3]\n",
        "    kg = kg + 0.0\n",
    ),
    "CES buys at the members' price": (
        "    bought = now[shared + X.ces_buy] * flows[p, F.import_kw]\n",
        "    bought = now[shared + X.price_buy] * flows[p, F.import_kw]\n",
    ),
    "imbalance is settled during an outage": (
        "    if now[shared + X.grid_up] == 0.0:\n        return\n",
        "    if now[shared + X.grid_up] < 0.0:\n        return\n",
    ),
    "long and short are swapped": (
        "now[shared + X.short_premium] * d if d > 0.0",
        "now[shared + X.short_premium] * d if d < 0.0",
    ),
    "imbalance is shared equally": (
        "        if exchanged > 0.0:\n",
        "        if exchanged < 0.0:\n",
    ),
    "nomination is read one hour early": (
        "nomination[hour], flows, ledger)\n",
        "nomination[hour - 1], flows, ledger)\n",
    ),
    "virtual energy left is paid at the last hour's price": (
        "        if exogenous[h, column] < lowest:\n",
        "        if exogenous[h, column] < -np.inf:\n",
    ),
    "virtual energy left is charged to the member": (
        "        ledger[p, L.virtual_settlement] = -value\n",
        "        ledger[p, L.virtual_settlement] = value\n",
    ),
    "virtual energy is kept overnight": (
        "        state[p, S.virtual_kwh] = 0.0\n\n\n@jit\ndef value_energy_left",
        "\n\n@jit\ndef value_energy_left",
    ),
    "terminal value has the wrong sign": (
        "        missing = at_reset - stored_kwh(state, p, count)\n",
        "        missing = stored_kwh(state, p, count) - at_reset\n",
    ),
    "energy left is valued each day": (
        "    if t + 1 == int(world[W.episode_steps]):\n",
        "    if hour == day - 1:\n",
    ),
    "kernel looks one hour ahead": (
        "    now = exogenous[t]\n",
        "    now = exogenous[min(t + 1, exogenous.shape[0] - 1)]\n",
    ),
    "battery looks at the prices of the next hour": (
        "    supply, demand = decide_hour(",
        "    request = request + 0.01 * exogenous[(t + 1) % exogenous.shape[0], 0]\n"
        "    supply, demand = decide_hour(",
    ),
    "projection of the battery is not reported": (
        "    flows[p, F.projected_battery_kw] = abs(wish - b)\n",
        "    flows[p, F.projected_battery_kw] = 0.0\n",
    ),
    "the cost leaves out the terminal value": (
        "        for k in range(N_REAL):\n",
        "        for k in range(N_REAL - 1):\n",
    ),
    "initial energy lies in the dearest segments": (
        "        for j in range(N_STATE, N_STATE + count):\n            state[p, j] = left if",
        "        for j in range(N_STATE + count - 1, N_STATE - 1, -1):\n"
        "            state[p, j] = left if",
    ),
}


FORECAST_MUTANTS = {
    "the hour itself is known": (
        "        carry[k] = errors[t - 1, k] if t > 0 else 0.0\n",
        "        carry[k] = errors[t, k]\n",
    ),
    "errors do not fade at the first lead": (
        "            carry[k] = phi[k] * carry[k]\n",
        "            carry[k] = phi[k] * carry[k] if lead > 0 else carry[k]\n",
    ),
    "errors are forgotten": (
        "            out[lead, x] = center[h, x] + (scale[h, x] * carry[k] if k >= 0 else 0.0)\n",
        "            out[lead, x] = center[h, x]\n",
    ),
    "values may leave the physical range": (
        "        elif row[x] > high[x]:\n",
        "        elif row[x] > 2.0 * high[x]:\n",
    ),
    "sale may be dearer than purchase": (
        "    if buy < sell:\n",
        "    if False and buy < sell:\n",
    ),
    "wholesale may be sold above its cap": (
        "    cap = (buy / through + fee) / eta\n",
        "    cap = (buy / through + fee) / eta + 1.0\n",
    ),
    "wholesale may be bought below the members' sale": (
        "    floor = eta * through * (sell - fee)\n",
        "    floor = -1e9\n",
    ),
    "wholesale may be bought for less than it is sold": (
        "    if row[shared + X.ces_buy] < row[shared + X.ces_sell]:\n",
        "    if False:\n",
    ),
    "the nomination forgets the wind": (
        "(row[2 * members + m] - row[m] - row[members + m])",
        "(row[2 * members + m] - row[members + m])",
    ),
    "derating is expected to last over midnight": (
        "        share = announced if h // day == t // day else 1.0\n",
        "        share = announced\n",
    ),
    "an outage is expected to be over at once": (
        "        row[shared + X.grid_up] = 0.0 if now_up == 0.0 and lead <= 2 else share\n",
        "        row[shared + X.grid_up] = share\n",
    ),
    "the grid's future is known": (
        "        row[shared + X.grid_up] = 0.0 if now_up == 0.0 and lead <= 2 else share\n",
        "        row[shared + X.grid_up] = values[h, shared + X.grid_up]"
        " if h < values.shape[0] else share\n",
    ),
}


SYSTEM_MUTANTS = {
    "self-discharge knows no step length": (
        "(1.0 - battery.self_discharge_per_h) ** config.dt_h",
        "(1.0 - battery.self_discharge_per_h)",
    ),
    "ramp knows no step length": (
        ") * config.dt_h\n        minimum =",
        ")\n        minimum =",
    ),
    "a start is limited to the minimum": (
        "max(ramp, minimum)",
        "minimum",
    ),
    "gas of the CHP is counted per kWh of heat": (
        "1.0 / (chp.eta_electric * chp.gas_lhv_kwh_per_m3)",
        "1.0 / (chp.eta_heat * chp.gas_lhv_kwh_per_m3)",
    ),
    "heat of the CHP has the ratio upside down": (
        "chp.eta_heat / chp.eta_electric",
        "chp.eta_electric / chp.eta_heat",
    ),
    "boiler has no losses": (
        "1.0 / (boiler.eta * boiler.gas_lhv_kwh_per_m3)",
        "1.0 / boiler.gas_lhv_kwh_per_m3",
    ),
    "link of the storage is its power": (
        "link_kw = ces.battery.power_kw if ces.link_kw is None else ces.link_kw",
        "link_kw = ces.battery.power_kw",
    ),
    "a participant's own terminal prices are ignored": (
        "config.terminal.buy_per_kwh if buy is None else buy",
        "config.terminal.buy_per_kwh",
    ),
    "efficiencies of the battery are swapped": (
        '"eta_charge": battery.eta_charge',
        '"eta_charge": battery.eta_discharge',
    ),
    "pool_in follows pool_out": (
        '"pool_in": ces is not None and ces.pool_in',
        '"pool_in": ces is not None and ces.pool_out',
    ),
    "rental needs no pool": (
        "rented = ces is not None and ces.rental and pool.enabled",
        "rented = ces is not None and ces.rental",
    ),
    "wear of few segments is not spread over more": (
        "np.repeat(c, widest // len(c))",
        "np.append(c, np.repeat(c[-1], widest - len(c)))",
    ),
    "posted prices are swapped": (
        '"posted_ces_to_member": pool.posted.ces_to_member',
        '"posted_ces_to_member": pool.posted.member_to_ces',
    ),
}


def load(source):
    """Return a kernel module made from source, as plain Python."""
    module = types.ModuleType("mutant")
    # NamedTuple looks up its module by name while the class is made.
    sys.modules[module.__name__] = module
    try:
        exec(compile(JIT.sub(PLAIN, source), "mutant", "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    return module


def broken_laws(module, cases):
    """Return the first law that a kernel breaks on some case, as (case, law), or None."""
    for seed in cases:
        case = fixed_case(seed)
        try:
            r = laws.run(*case, kernel=module)
            laws.check_causality(case, r, module)
        except AssertionError as error:
            return seed, str(error)
        for check in laws.CHECKS:
            try:
                check(r)
            except AssertionError:
                return seed, check.__name__
    return None


def test_the_shipped_source_as_plain_python_obeys_every_law():
    assert len(JIT.findall(SOURCE)) == 1
    assert broken_laws(load(SOURCE), CASES) is None


def test_the_fixed_systems_use_every_switch_and_price_rule():
    configs = [fixed_case(seed).system.config for seed in CASES]
    with_ces = [c for c in configs if c.ces is not None]
    assert {c.pool.price_rule for c in configs} >= {"sdr", "posted", "auction", "mid_market"}
    assert {c.pool.members for c in with_ces} == {True, False}
    assert {c.ces.pool_out for c in with_ces} == {True, False}
    assert {c.ces.pool_in for c in with_ces} == {True, False}
    assert {c.ces.markets for c in with_ces} == {True, False}
    assert {c.ces.rental for c in with_ces} >= {True}
    assert {c.member_export for c in configs} == {True, False}
    assert {c.day_ahead.pool for c in configs} == {True, False}
    assert {c.day_ahead.grid for c in configs} == {True, False}
    assert any(c.fades and c.episode_h > 24 for c in configs)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_breaks_a_law(name):
    old, new = MUTANTS[name]
    assert SOURCE.count(old) == 1, f"mutant {name!r}: its text stands not once"
    assert broken_laws(load(SOURCE.replace(old, new)), CASES) is not None


def test_the_shipped_forecasts_as_plain_python_obey_their_law():
    for seed in CASES:
        laws.check_forecasts(fixed_case(seed), load(FORECASTING).forecast_into)


@pytest.mark.parametrize("name", FORECAST_MUTANTS)
def test_a_planted_bug_in_the_forecast_breaks_its_law(name):
    old, new = FORECAST_MUTANTS[name]
    assert FORECASTING.count(old) == 1, f"mutant {name!r}: its text stands not once"
    mutant = load(FORECASTING.replace(old, new))

    def check_all():
        for seed in CASES:
            laws.check_forecasts(fixed_case(seed), mutant.forecast_into)

    with pytest.raises(AssertionError):
        check_all()


def law_broken_by_arrays(build_system):
    """Return the first law that a way to build systems breaks, as (case, law), or None."""
    for seed in SYSTEM_CASES:
        shipped, episode, requests = fixed_case(seed)
        r = laws.run(build_system(shipped.config), episode, requests)
        for check in laws.CHECKS:
            try:
                check(r)
            except AssertionError:
                return seed, check.__name__
    return None


@pytest.mark.parametrize("name", SYSTEM_MUTANTS)
def test_a_planted_bug_in_the_arrays_of_a_system_breaks_a_law(name):
    old, new = SYSTEM_MUTANTS[name]
    assert SYSTEM.count(old) == 1, f"mutant {name!r}: its text stands not once"
    mutant = load(SYSTEM.replace(old, new))
    assert law_broken_by_arrays(mutant.build_system) is not None


def test_the_shipped_arrays_obey_every_law():
    assert law_broken_by_arrays(load(SYSTEM).build_system) is None
