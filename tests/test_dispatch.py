"""The dispatch model: every family of constraints as text, on two members and three steps.

A step of 8 h makes a day of three steps. To renew the texts after a change that is meant, delete
the file in question and run the test once: it writes what is missing and fails.
"""

from pathlib import Path

import numpy as np
import pyomo.environ as pyo
import pytest

from baselines import dispatch_ces, dispatch_community, dispatch_devices
from baselines.deterministic import first_state
from baselines.dispatch import Dispatch, Horizon, wear_groups
from baselines.dispatch_ces import build_dispatch
from baselines.window import window_data
from mmg_env.config import SystemConfig
from mmg_env.layout import X
from mmg_env.system import build_system

GOLDEN = Path(__file__).parent / "golden"

BATTERY = {"capacity_kwh": 100.0, "power_kw": 10.0}
CONFIG = {
    "name": "two",
    "currency": "EUR",
    "dt_h": 8.0,
    "episode_h": 24,
    "members": [
        {
            "name": "A",
            "link_kw": 20.0,
            "rental_max_kwh": 40.0,
            "rental_max_kw": 8.0,
            "grid": {"import_kw": 50.0, "export_kw": 30.0},
            "load": {"peak_kw": 40.0, "profile": "none"},
            "heat": {"peak_kw": 30.0, "profile": "none"},
            "pv": {"capacity_kw": 25.0, "profile": "none"},
            "chp": {"capacity_kw": 16.0, "ramp_kw_per_h": 0.75},
            "boiler": {"capacity_kw": 35.0},
            "battery": BATTERY | {"wear": {"segments": 2, "replacement_cost": 200.0}},
        },
        {
            "name": "B",
            "link_kw": 20.0,
            "rental_max_kwh": 40.0,
            "rental_max_kw": 8.0,
            "grid": {"import_kw": 60.0, "export_kw": 0.0},
            "load": {"peak_kw": 50.0, "profile": "none"},
            "flex": {"power_kw": 5.0},
        },
    ],
    "ces": {
        "battery": {
            "capacity_kwh": 200.0,
            "power_kw": 24.0,
            "self_discharge_per_h": 0.001,
            "wear": {"segments": 1, "replacement_cost": 200.0},
        },
        "market": {"price": "spot", "import_kw": 90.0, "export_kw": 90.0},
        "rental_per_kwh": 0.1,
    },
    "tariff": {
        "kind": "dynamic",
        "gas_per_m3": 0.5,
        "buy_adder_per_kwh": 0.06,
        "sell_factor": 0.95,
        "sell_adder_per_kwh": -0.005,
        "demand_charge_per_kw": 2.5,
    },
    "carbon": {"price_per_kg": 0.1},
    "day_ahead": {"grid": True},
}

# Each family with those it builds on.
FAMILIES = {
    "storage": (dispatch_devices.add_storage, ()),
    "chp": (dispatch_devices.add_chp, ()),
    "heat": (dispatch_devices.add_heat, ("chp",)),
    "flex": (dispatch_devices.add_flex, ()),
    "pool": (dispatch_community.add_pool, ()),
    "virtual": (dispatch_ces.add_virtual, ("pool",)),
    "grid": (dispatch_community.add_grid, ()),
    "reserve": (dispatch_ces.add_reserve, ("storage",)),
    "ces": (dispatch_ces.add_ces, ("pool", "virtual", "grid")),
    "demand_charge": (dispatch_community.add_demand_charge, ("grid",)),
    "nomination": (dispatch_community.add_nomination, ("grid",)),
    "balance": (
        dispatch_community.add_balance,
        ("storage", "chp", "flex", "pool", "virtual", "grid", "ces"),
    ),
    "terminal": (dispatch_community.add_terminal, ("storage",)),
}


@pytest.fixture(scope="module")
def system():
    return build_system(SystemConfig.model_validate(CONFIG))


def rows_of(system):
    """Return three hand-made steps; the grid is derated in the second."""
    rows = np.zeros((3, system.exogenous_size))
    rows[:, 2] = [0.0, 20.0, 5.0]
    rows[:, 4:6] = [[30.0, 40.0], [35.0, 45.0], [40.0, 50.0]]
    rows[:, 6] = [25.0, 15.0, 20.0]
    shared = rows[:, 8:]
    shared[:, X.price_buy] = [0.2, 0.3, 0.4]
    shared[:, X.price_sell] = [0.1, 0.15, 0.2]
    shared[:, X.ces_buy] = shared[:, X.ces_sell] = [0.12, 0.17, 0.22]
    shared[:, X.short_premium], shared[:, X.long_premium] = 0.06, 0.03
    shared[:, X.rho_regulation], shared[:, X.rho_spinning] = 0.02, 0.01
    shared[:, X.spin_call] = [0.0, 0.0, 1.0]
    shared[:, X.grid_up] = [1.0, 0.5, 1.0]
    shared[:, X.carbon_kg_per_kwh] = 0.4
    shared[:, X.nomination_base_kw] = [70.0, 60.0, 85.0]
    return rows


def fix_data(dispatch, system):
    data = window_data(system, first_state(system), rows_of(system), np.array([2.5]))
    for name in dispatch.data:
        variable = dispatch.model.component(name)
        for index in variable:
            variable[index].fix(float(data[name][index]))


def family_text(system, family, folder):
    """Return one family's rows and bill as LP text."""
    dispatch = Dispatch(system, Horizon(3, (0,)))
    add, before = FAMILIES[family]
    for name in before:
        FAMILIES[name][0](dispatch)
    for rows in dispatch.model.component_objects(pyo.Constraint):
        rows.deactivate()
    dispatch.bill.clear()
    add(dispatch)
    fix_data(dispatch, system)
    dispatch_community.add_cost(dispatch)
    path = folder / f"{family}.lp"
    dispatch.model.write(str(path), io_options={"symbolic_solver_labels": True})
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line and not line.startswith("\\")) + "\n"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_rows_of_a_family_are_those_on_paper(system, family, tmp_path):
    text = family_text(system, family, tmp_path)
    path = GOLDEN / f"{family}.lp"
    if not path.exists():
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{path} was missing and has been written; read it")
    assert text == path.read_text(encoding="utf-8")


def test_every_family_is_in_the_whole_model(system):
    whole = build_dispatch(system, Horizon(3, (0,))).model
    parts = Dispatch(system, Horizon(3, (0,)))
    for name in ("storage", "chp", "heat", "flex", "pool", "virtual", "grid", "reserve", "ces"):
        FAMILIES[name][0](parts)
    for name in ("demand_charge", "nomination", "balance", "terminal"):
        FAMILIES[name][0](parts)

    def names(model):
        return {rows.local_name: len(rows) for rows in model.component_objects(pyo.Constraint)}

    assert names(whole) == names(parts.model)


def test_segments_of_equal_cost_are_merged(system):
    # J is 2 for all because of A; the storage's one segment stands there twice.
    assert system.segments == 2
    costs, share, group = wear_groups(system, 2)
    assert len(costs) == 1
    assert share == pytest.approx([1.0])
    assert group.tolist() == [0, 0]
    costs, share, group = wear_groups(system, 0)
    assert costs[0] < costs[1]
    assert share == pytest.approx([0.5, 0.5])
    assert group.tolist() == [0, 1]
