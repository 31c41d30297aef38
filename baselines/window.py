"""What a model is told: the state, and one row of exogenous values per step.

The rows may be realised or forecast; a model cannot tell.

Source: docs/model.md sections 1 to 6.
"""

import numpy as np
from numpy.typing import NDArray

from baselines.dispatch import wear_groups
from mmg_env.layout import P, S, W, X
from mmg_env.state import State
from mmg_env.system import UNLIMITED_KW, System

Array = NDArray[np.float64]


def window_data(system: System, state: State, rows: Array, rates: Array) -> dict[str, Array]:
    """Return the data of a model that starts at a day's first step.

    Args:
        system: the system.
        state: state at the first step.
        rows: (steps, columns) exogenous values of the window's steps.
        rates: (periods,) demand charge of each of the model's periods, currency/kW.
    """
    return state_data(system, state) | series_data(system, rows) | {"demand_rate": rates}


def state_data(system: System, state: State) -> dict[str, Array]:
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


def series_data(system: System, rows: Array) -> dict[str, Array]:
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
        "import_max_kw": up * link_limit(system, P.import_kw)[:, None],
        "export_max_kw": up * link_limit(system, P.export_kw)[:, None],
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


def link_limit(system: System, column: P) -> Array:
    """Return grid limits, (participants,), kW; for "none" the most that can ever flow."""
    limit = system.column(column).copy()
    if system.has_ces and limit[-1] >= UNLIMITED_KW:
        eta = system.physics.world[W.eta_converter] * (1.0 - system.physics.world[W.pool_loss])
        links = system.column(P.link_kw).sum() / eta
        limit[-1] = 2.0 * system.column(P.battery_kw)[-1] + links
    return limit
