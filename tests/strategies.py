"""Random systems, episodes and wishes: seeded generators, and hypothesis strategies around them.

A seed is an integer, so that a failing example shrinks to a number that can be typed again:
`make_case(seed)`.
"""

import warnings
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from mmg_env.config import (
    BatteryConfig,
    BoilerConfig,
    CarbonConfig,
    CesConfig,
    ChpConfig,
    DayAheadConfig,
    DemandConfig,
    FlatTariff,
    FlexConfig,
    GridConfig,
    MarketConfig,
    MemberConfig,
    PoolConfig,
    RenewableConfig,
    SystemConfig,
    TerminalConfig,
    WearConfig,
)
from mmg_env.episode import Belief, Episode, assemble_episode, lead_steps, physical_bounds
from mmg_env.layout import PRICE_RULES, A, X
from mmg_env.series import ErrorModel
from mmg_env.system import System, build_system

PRICES = (X.price_buy, X.price_sell, X.ces_buy, X.ces_sell, X.spot)


class Case(NamedTuple):
    """A system, what happens to it and what is asked of it."""

    system: System
    episode: Episode
    requests: np.ndarray


def maybe(rng, share=0.5):
    return bool(rng.random() < share)


def wear_config(rng, segments, fade):
    """Wear by price or by depth; cheap cells, so that fading shows within two days."""
    replacement = float(rng.uniform(1.0, 500.0))
    if maybe(rng, 0.35):
        cost = float(rng.uniform(0.0, 0.2))
        return WearConfig(cost_per_kwh=cost, replacement_cost=replacement if fade else None)
    halves = segments % 2 == 0 and maybe(rng, 0.3)
    return WearConfig(segments=segments // 2 if halves else segments, replacement_cost=replacement)


def battery_config(rng, size, segments, fade):
    """A battery of about `size` kW; with fading it may start full, so that it must come down."""
    capacity = float(size * rng.uniform(0.6, 4.0))
    low = float(rng.choice([0.0, 0.1, 0.25]))
    high = float(rng.choice([0.8, 0.9, 1.0]))
    start = float(rng.choice([low, high, 0.5 * (low + high)]))
    leaks = maybe(rng, 0.4)
    own_terminal = maybe(rng, 0.3)
    return BatteryConfig(
        capacity_kwh=capacity,
        power_kw=float(size * rng.uniform(0.7, 1.3)),
        eta_charge=float(rng.uniform(0.8, 1.0)),
        eta_discharge=float(rng.uniform(0.8, 1.0)),
        soc_min=low,
        soc_max=high,
        soc_initial=start,
        self_discharge_per_h=float(rng.uniform(0.0, 0.05)) if leaks else 0.0,
        wear=wear_config(rng, segments, fade),
        terminal_buy_per_kwh=1.5 if own_terminal else None,
        terminal_sell_per_kwh=0.3 if own_terminal else None,
    )


def member_config(rng, name, segments, fade):
    """A member whose link, grid and devices are about equally large, so that limits bind."""
    peak = float(rng.uniform(40.0, 200.0))
    size = {key: float(peak * rng.uniform(0.2, 1.2)) for key in ("wind", "pv", "chp", "battery")}
    flex = FlexConfig(power_kw=float(0.2 * peak), cost_per_kwh=float(rng.uniform(0.0, 0.1)))
    chp = ChpConfig(
        capacity_kw=size["chp"],
        min_share=float(rng.choice([0.0, 0.25, 0.6])),
        ramp_kw_per_h=None if maybe(rng) else float(size["chp"] * rng.uniform(0.05, 1.2)),
        start_cost=float(rng.uniform(0.0, 30.0)),
    )
    return MemberConfig(
        name=name,
        link_kw=float(peak * rng.uniform(0.2, 1.5)),
        rental_max_kwh=float(peak * rng.uniform(0.0, 3.0)),
        rental_max_kw=float(peak * rng.uniform(0.0, 1.5)),
        grid=GridConfig(
            import_kw=float(peak * rng.uniform(0.3, 2.0)),
            export_kw=float(peak * rng.uniform(0.0, 1.0)),
        )
        if maybe(rng, 0.9)
        else None,
        load=DemandConfig(peak_kw=peak, profile="any"),
        heat=DemandConfig(peak_kw=float(0.8 * peak), profile="any") if maybe(rng, 0.7) else None,
        wind=RenewableConfig(capacity_kw=size["wind"], profile="any") if maybe(rng) else None,
        pv=RenewableConfig(capacity_kw=size["pv"], profile="any") if maybe(rng, 0.7) else None,
        chp=chp if maybe(rng) else None,
        boiler=BoilerConfig(capacity_kw=float(0.5 * peak)) if maybe(rng, 0.7) else None,
        battery=battery_config(rng, size["battery"], segments, fade) if maybe(rng, 0.7) else None,
        flex=flex if maybe(rng, 0.6) else None,
    )


def ces_config(rng, segments, fade):
    """A community storage whose link, market and rentable share bind now and then."""
    size = float(rng.uniform(80.0, 400.0))
    bounded = maybe(rng)
    return CesConfig(
        battery=battery_config(rng, size, segments, fade),
        link_kw=None if maybe(rng) else float(size * rng.uniform(0.2, 1.2)),
        market=MarketConfig(
            price="spot",
            import_kw=float(size * rng.uniform(0.2, 1.5)) if bounded else None,
            export_kw=float(size * rng.uniform(0.2, 1.5)) if bounded else None,
        ),
        eta_converter=float(rng.uniform(0.9, 1.0)),
        overbooking=float(rng.uniform(0.1, 1.3)),
        service_fee_per_kwh=float(rng.uniform(0.0, 0.05)),
        markets=maybe(rng, 0.75),
        rental=maybe(rng, 0.8),
        rental_per_kwh=float(rng.uniform(0.0, 0.2)),
        rental_per_kw=float(rng.uniform(0.0, 0.1)),
        pool_out=maybe(rng, 0.8),
        pool_in=maybe(rng, 0.8),
    )


def make_config(seed, days=None, dt_h=None, **fields):
    """Return a random configuration; the same seed gives the same one."""
    rng = np.random.default_rng([seed, 1])
    dt_drawn = float(rng.choice([1.0, 1.0, 1.0, 0.5, 0.25, 2.0]))
    days_drawn = int(rng.choice([1, 2]))
    dt_h = dt_drawn if dt_h is None else dt_h
    days = days_drawn if days is None else days
    fade_drawn = maybe(rng, 0.35)
    fade = fields.get("fade", fade_drawn)
    segments = int(rng.integers(1, 9))
    values = {
        "name": f"random-{seed}",
        "currency": "CNY",
        "dt_h": dt_h,
        "episode_h": 24 * days,
        "reward_scale": float(rng.choice([1.0, 0.01])),
        "member_export": maybe(rng, 0.8),
        "fade": fade,
        "members": tuple(
            member_config(rng, f"m{k}", segments, fade) for k in range(int(rng.integers(1, 5)))
        ),
        "ces": ces_config(rng, segments, fade) if maybe(rng, 0.8) else None,
        "pool": PoolConfig(
            enabled=maybe(rng, 0.92),
            members=maybe(rng, 0.7),
            loss=float(rng.choice([0.0, 0.01, 0.1])),
            fee_per_kwh=float(rng.uniform(0.0, 0.03)),
            price_rule=str(rng.choice(list(PRICE_RULES))),
        ),
        "tariff": FlatTariff(
            kind="flat",
            buy_per_kwh=1.0,
            sell_per_kwh=0.2,
            gas_per_m3=float(rng.uniform(0.3, 3.0)),
            demand_charge_per_kw=float(rng.uniform(0.1, 1.0)) if maybe(rng) else 0.0,
            demand_period_days=int(rng.choice([1, 2, 7])),
        ),
        "carbon": CarbonConfig(price_per_kg=float(rng.uniform(0.0, 0.2)) if maybe(rng) else 0.0),
        "terminal": TerminalConfig(buy_per_kwh=1.14, sell_per_kwh=0.19),
        "day_ahead": DayAheadConfig(pool=maybe(rng, 0.4), grid=maybe(rng)),
    }
    values.update(fields)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tight market links are wanted here
        return SystemConfig(**values)


def make_system(seed, **fields):
    """Return a random system."""
    return build_system(make_config(seed, **fields))


def error_model(system, rng):
    """One error path per member series and one for all prices."""
    members = len(system.members)
    path = np.full(system.exogenous_size, -1)
    path[: 4 * members] = np.arange(4 * members)
    for column in PRICES:
        path[4 * members + column] = 4 * members
    low, high = physical_bounds(system)
    phi = rng.uniform(0.3, 0.95, 4 * members + 1) ** system.dt_h
    bank = rng.standard_t(5, (200, len(phi))) * np.sqrt(0.6)
    return ErrorModel(path, phi, bank, low, high)


def center_of(system, rng):
    """Return what is believed before the episode: rough days with negative prices now and then."""
    rows = system.episode_steps + lead_steps(system)
    members = len(system.members)
    hours = np.arange(rows) * system.dt_h % 24
    center = np.zeros((rows, system.exogenous_size))
    sun = np.maximum(0.0, np.sin((hours - 6.0) * np.pi / 12.0))
    for m, member in enumerate(system.config.members):
        if member.wind:
            center[:, m] = member.wind.capacity_kw * rng.uniform(0.0, 1.0, rows)
        if member.pv:
            center[:, members + m] = member.pv.capacity_kw * sun
        center[:, 2 * members + m] = member.load.peak_kw * rng.uniform(0.3, 1.0, rows)
        if member.heat:
            warm = rng.random(rows) < 0.2
            heat = member.heat.peak_kw * rng.uniform(0.2, 1.0, rows)
            center[:, 3 * members + m] = np.where(warm, 0.0, heat)
    shared = center[:, 4 * members :]
    shared[:, X.spot] = rng.uniform(rng.choice([-0.3, 0.2]), 0.9, rows)
    shared[:, X.price_buy] = np.maximum(0.0, 1.09 * shared[:, X.spot] + 0.06)
    shared[:, X.price_sell] = 0.95 * shared[:, X.spot] - 0.05
    shared[:, X.ces_buy] = shared[:, X.spot] + 0.02
    shared[:, X.ces_sell] = shared[:, X.spot]
    if maybe(rng, 0.4):  # prices that must be put in order
        shared[:, X.price_sell] += rng.uniform(-0.2, 0.5, rows)
        shared[:, X.ces_buy] += rng.uniform(-0.8, 0.5, rows)
        shared[:, X.ces_sell] += rng.uniform(-0.5, 1.5, rows)
    shared[:, X.short_premium] = rng.uniform(0.0, 0.3, rows)
    shared[:, X.long_premium] = rng.uniform(0.0, 0.1, rows)
    shared[:, X.rho_regulation] = rng.uniform(0.0, 0.1, rows)
    shared[:, X.rho_spinning] = rng.uniform(0.0, 0.05, rows)
    shared[:, X.carbon_kg_per_kwh] = rng.uniform(0.1, 0.6, rows)
    shared[:, X.grid_up] = 1.0
    shared[:, X.derating] = 1.0
    return center


def disturb_grid(truth, system, rng):
    """Write outages, derated days and reserve calls into a truth."""
    shared = truth[:, 4 * len(system.members) :]
    steps = system.episode_steps
    for day in range(0, steps, system.steps_per_day):
        if maybe(rng, 0.4):
            shared[day : day + system.steps_per_day, X.derating] = rng.uniform(0.2, 0.8)
    shared[:, X.grid_up] = shared[:, X.derating]
    if maybe(rng, 0.6):
        begin = int(rng.integers(steps))
        shared[begin : begin + int(rng.integers(1, 9)), X.grid_up] = 0.0
    shared[:, X.spin_call] = rng.random(len(truth)) < 0.4


def make_episode(system, seed):
    """Return a random episode of a system."""
    rng = np.random.default_rng([seed, 2])
    model = error_model(system, rng)
    center = center_of(system, rng)
    rows, paths = len(center), len(model.phi)
    errors = rng.standard_t(5, (rows, paths)) * 0.6
    for h in range(1, rows):
        errors[h] += model.phi * errors[h - 1]
    share = np.zeros(center.shape[1])
    share[: 4 * len(system.members)] = 0.15
    share[4 * len(system.members) + np.array(PRICES)] = 0.1
    scale = np.abs(center) * share
    truth = center + scale * np.where(model.path >= 0, errors[:, model.path], 0.0)
    disturb_grid(truth, system, rng)
    label = (system.name, "random", seed)
    start = np.datetime64("2025-01-01T00")
    return assemble_episode(system, label, start, model, Belief(center, scale, errors), truth)


def sizes(system):
    """Return the size of each wish of a participant, (participants, len(A))."""
    config = system.config
    scale = np.full((len(system.participants), len(A)), 20.0)
    for m, member in enumerate(config.members):
        scale[m, A.battery_kw] = member.battery.power_kw if member.battery else 20.0
        scale[m, A.chp_kw] = member.chp.capacity_kw if member.chp else 20.0
        scale[m, A.flex_kw] = member.flex.power_kw if member.flex else 20.0
        scale[m, A.virtual_kw] = member.rental_max_kw
        scale[m, A.pool_kw] = member.link_kw
        scale[m, A.rental_kwh] = member.rental_max_kwh
        scale[m, A.rental_kw] = member.rental_max_kw
    if config.ces is not None:
        scale[-1, :] = config.ces.battery.power_kw
    return scale


def make_requests(system, seed):
    """Return (steps, request_size) wishes: some idle, some mild, some far out of range."""
    rng = np.random.default_rng([seed, 3])
    steps, count, day = system.episode_steps, len(system.participants), system.steps_per_day
    scale = sizes(system)
    drawn = rng.normal(0.0, 0.8, (steps, count, len(A)))
    spread = rng.choice([0.0, 0.5, 1.0, 1.0, 3.0, 1e3], (steps, count, 1))
    wishes = drawn * spread * scale
    wishes[:, :, A.rental_kwh :] = np.abs(wishes[:, :, A.rental_kwh :])
    wishes[::day, :, A.rental_kwh :] = 0.8 * scale[:, A.rental_kwh :]
    wishes[:, :, A.quote_per_kwh] = rng.choice([-1.0, 0.1, 0.2, 0.4, 2.0], (steps, count))
    parts = [wishes.reshape(steps, -1)]
    if system.day_ahead_pool:
        plan = rng.normal(0.0, 0.8, (steps, count, day)) * scale[:, A.pool_kw, None]
        parts.append(plan.reshape(steps, -1))
    if system.day_ahead_grid:
        parts.append(rng.normal(0.0, 100.0, (steps, day)))
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def make_case(seed, **fields):
    """Return a random system with an episode and wishes."""
    system = make_system(seed, **fields)
    return Case(system, make_episode(system, seed), make_requests(system, seed))


@lru_cache(maxsize=64)
def fixed_case(seed, **fields):
    """Return a case that several tests share."""
    return make_case(seed, **fields)


seeds = st.integers(min_value=0, max_value=2**31 - 1)
