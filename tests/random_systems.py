"""Small random systems and episodes: every device and switch there or not, nasty prices, outages.

They come from a seed alone, so a failure can be reproduced by its number.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import SystemConfig
from mmg_env.episode import Belief, Episode, assemble_episode, lead_steps, physical_bounds
from mmg_env.layout import X
from mmg_env.series import ErrorModel
from mmg_env.sources.random import autoregressive
from mmg_env.system import System, build_system

Array = NDArray[np.float64]
Rng = np.random.Generator

PRICES = (X.price_buy, X.price_sell, X.ces_buy, X.ces_sell, X.spot)


def random_config(seed: int) -> SystemConfig:
    """Return a random system of one to three members over one or two days."""
    rng = np.random.default_rng([seed, 1])
    names = ["A", "B", "C"][: int(rng.integers(1, 4))]
    deep = bool(rng.random() < 0.5)
    raw: dict[str, Any] = {
        "name": f"random{seed}",
        "currency": "EUR",
        "dt_h": float(rng.choice([1.0, 1.0, 1.0, 0.5])),
        "episode_h": int(rng.choice([24, 48])),
        "fade": False,
        "member_export": bool(rng.random() < 0.8),
        "members": [_member(rng, name, deep) for name in names],
        "ces": _ces(rng, deep) if rng.random() < 0.7 else None,
        "pool": {
            "enabled": bool(rng.random() < 0.85),
            "members": bool(rng.random() < 0.65),
            "loss": float(rng.choice([0.0, 0.01, 0.05])),
            "fee_per_kwh": float(rng.choice([0.0, 0.01])),
            "price_rule": str(rng.choice(["mid_market", "sdr", "posted", "auction", "none"])),
        },
        "tariff": {
            "kind": "dynamic",
            "gas_per_m3": float(rng.uniform(0.3, 2.5)),
            "buy_adder_per_kwh": 0.06,
            "sell_factor": 0.95,
            "sell_adder_per_kwh": -0.005,
            "demand_charge_per_kw": float(rng.choice([0.0, 1.5])),
            "demand_period_days": int(rng.choice([1, 2])),
        },
        "carbon": {"price_per_kg": float(rng.choice([0.0, 0.08]))},
        "terminal": {"buy_per_kwh": 0.6, "sell_per_kwh": float(rng.choice([0.0, 0.05, 0.2]))},
        "day_ahead": {"pool": bool(rng.random() < 0.4), "grid": bool(rng.random() < 0.4)},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return SystemConfig.model_validate(raw)


def random_system(seed: int) -> System:
    """Return the random system of a seed."""
    return build_system(random_config(seed))


def _battery(rng: Rng, size: float, deep: bool) -> dict[str, Any]:
    wear = {"segments": 4, "replacement_cost": 150.0} if deep else {"cost_per_kwh": 0.03}
    return {
        "capacity_kwh": size,
        "power_kw": size * float(rng.uniform(0.2, 0.6)),
        "eta_charge": float(rng.uniform(0.85, 0.97)),
        "eta_discharge": float(rng.uniform(0.85, 0.97)),
        "self_discharge_per_h": float(rng.choice([0.0, 0.0, 0.004])),
        "wear": wear,
    }


def _member(rng: Rng, name: str, deep: bool) -> dict[str, Any]:
    """Return a member; each device is there with its own probability."""
    peak = float(rng.uniform(50, 150))
    member: dict[str, Any] = {
        "name": name,
        "link_kw": float(rng.choice([0.0, 40.0, 80.0, 200.0])),
        "load": {"peak_kw": peak, "profile": "none"},
        "rental_max_kwh": float(rng.choice([0.0, 80.0])),
        "rental_max_kw": 30.0,
    }
    heat = float(rng.uniform(30, 100))
    devices = {
        "grid": (0.85, _grid(rng, peak)),
        "wind": (0.5, {"capacity_kw": float(rng.uniform(20, 150)), "profile": "none"}),
        "pv": (0.5, {"capacity_kw": float(rng.uniform(20, 250)), "profile": "none"}),
        "heat": (0.6, {"peak_kw": heat, "profile": "none"}),
        "boiler": (0.6, {"capacity_kw": heat * float(rng.uniform(0.6, 1.2))}),
        "chp": (0.5, _chp(rng)),
        "battery": (0.6, _battery(rng, float(rng.uniform(30, 150)), deep)),
        "flex": (0.5, {"power_kw": peak * 0.15, "cost_per_kwh": float(rng.choice([0.0, 0.05]))}),
    }
    return member | {name: d for name, (share, d) in devices.items() if rng.random() < share}


def _grid(rng: Rng, peak: float) -> dict[str, Any]:
    return {
        "import_kw": peak * float(rng.uniform(0.7, 1.6)),
        "export_kw": peak * float(rng.choice([0.0, 0.2, 0.8])),
    }


def _chp(rng: Rng) -> dict[str, Any]:
    return {
        "capacity_kw": float(rng.uniform(30, 90)),
        "min_share": float(rng.choice([0.0, 0.25, 0.5])),
        "ramp_kw_per_h": float(rng.uniform(5, 60)),
        "start_cost": float(rng.choice([0.0, 5.0, 30.0])),
    }


def _ces(rng: Rng, deep: bool) -> dict[str, Any]:
    """Return a community storage with each switch on or off."""
    limit = None if rng.random() < 0.3 else float(rng.uniform(60, 300))
    return {
        "battery": _battery(rng, float(rng.uniform(100, 400)), deep),
        "link_kw": None if rng.random() < 0.5 else 60.0,
        "market": {"price": "spot", "import_kw": limit, "export_kw": limit},
        "markets": bool(rng.random() < 0.6),
        "regulation_per_kw_h": 0.02,
        "spinning_per_kw_h": 0.02,
        "call_probability": 0.1,
        "rental": bool(rng.random() < 0.6),
        "pool_out": bool(rng.random() < 0.75),
        "pool_in": bool(rng.random() < 0.75),
        "overbooking": float(rng.choice([0.2, 1.2])),
    }


def random_episode(system: System, seed: int, certain: bool = False, calm: bool = False) -> Episode:
    """Return a random episode with outages, calls, negative prices.

    Args:
        system: a system of `random_config`.
        seed: of the episode.
        certain: whether forecasts are exact.
        calm: whether there is neither outage nor call, which no forecast foresees.
    """
    rng = np.random.default_rng([seed, 2])
    members = len(system.members)
    steps = system.episode_steps
    rows = steps + lead_steps(system)
    truth = np.zeros((rows, system.exogenous_size))
    for m, config in enumerate(system.config.members):
        sizes = (
            config.wind.capacity_kw if config.wind else 0.0,
            config.pv.capacity_kw if config.pv else 0.0,
            config.load.peak_kw,
            config.heat.peak_kw if config.heat else 0.0,
        )
        for kind, (size, low) in enumerate(zip(sizes, (0.0, 0.0, 0.3, 0.2), strict=True)):
            truth[:, kind * members + m] = size * rng.uniform(low, 1.0, rows)
    truth[:, members : 2 * members] *= _daylight(system, rows)[:, None]
    truth[:, 4 * members :] = _shared(rng, rows)
    if calm:
        truth[:, 4 * members + X.spin_call] = 0.0
        truth[:, 4 * members + X.grid_up] = truth[:, 4 * members + X.derating]
    model, scale, errors = _errors(system, rng, rows, certain)
    deviation = np.where(model.path >= 0, errors[:, model.path], 0.0)
    belief = Belief(truth - scale * deviation, scale, errors)
    label = (system.name, "random", seed)
    start = np.datetime64("2025-01-01T00")
    return assemble_episode(system, label, start, model, belief, truth)


def _daylight(system: System, rows: int) -> Array:
    hour = np.arange(rows) * system.dt_h % 24
    return np.clip(np.sin((hour - 6.0) / 12.0 * np.pi), 0.0, None)


def _shared(rng: Rng, rows: int) -> Array:
    """Return prices (a tenth negative), reserve, calls, outages, carbon."""
    shared = np.zeros((rows, len(X)))
    spot = rng.uniform(0.02, 0.5, rows)
    spot = np.where(rng.random(rows) < 0.15, -rng.uniform(0.0, 0.4, rows), spot)
    shared[:, X.spot] = spot
    shared[:, X.price_buy] = np.maximum(0.0, 1.09 * spot + 0.06)
    shared[:, X.price_sell] = np.minimum(0.95 * spot - 0.005, shared[:, X.price_buy])
    shared[:, X.ces_buy] = spot + rng.choice([0.0, 0.02])
    shared[:, X.ces_sell] = spot
    shared[:, X.short_premium] = rng.uniform(0.0, 0.1, rows)
    shared[:, X.long_premium] = rng.uniform(0.0, 0.1, rows)
    shared[:, X.rho_regulation] = rng.uniform(0.0, 0.05, rows)
    shared[:, X.rho_spinning] = rng.uniform(0.0, 0.05, rows)
    shared[:, X.spin_call] = rng.random(rows) < 0.15
    shared[:, X.derating] = rng.choice([1.0, 1.0, 0.6])
    down = rng.random(rows) < 0.06
    shared[:, X.grid_up] = np.where(down, 0.0, shared[:, X.derating])
    shared[:, X.carbon_kg_per_kwh] = rng.uniform(0.1, 0.6, rows)
    return shared


def _errors(system: System, rng: Rng, rows: int, certain: bool) -> tuple[ErrorModel, Array, Array]:
    """Return an error model with one path per member's series and one for all prices."""
    members = len(system.members)
    paths = 4 * members + 1
    path = np.full(system.exogenous_size, -1)
    path[: 4 * members] = np.arange(4 * members)
    path[4 * members + np.array(PRICES)] = paths - 1
    low, high = physical_bounds(system)
    phi = np.full(paths, 0.8)
    innovations = rng.normal(0.0, 1.0, (rows, paths))
    model = ErrorModel(path, phi, innovations, low, high)
    scale = np.zeros((rows, system.exogenous_size))
    scale[:, : 4 * members] = 5.0
    scale[:, 4 * members + np.array(PRICES)] = 0.02
    errors = autoregressive(innovations, phi)
    return model, scale * (not certain), errors * (not certain)
