"""Episodes from real days: prices, weather and standard loads, joined; semi-synthetic.

Days of Dutch day-ahead prices, of the weather of a typical year and of standard load and heat
profiles are drawn by `days`, each split from its own years and days of the month. A member's truth
is capacity times its site's series, or peak times its profile, with AR(1) noise of its own. The
forecasts are the truth less an error path, see `errors`.

Source: docs/model.md sections 7 and 8; where the series come from: docs/data.md.
"""

from collections.abc import Callable
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import AnalogueSource, HistorySource, MemberConfig
from mmg_env.episode import Belief, Episode, assemble_episode, physical_bounds
from mmg_env.errors import InputError
from mmg_env.layout import MEMBER_SERIES, W, X
from mmg_env.series import ErrorModel
from mmg_env.sources import days, errors
from mmg_env.sources.days import SITES
from mmg_env.sources.draw import Draw, by_step, draw_days
from mmg_env.sources.grid import derated_days, outages
from mmg_env.sources.prices import PRICES, price_rule
from mmg_env.sources.quality import regarded
from mmg_env.sources.random import autoregressive, stream, student
from mmg_env.sources.scenes import spin_calls
from mmg_env.system import System

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Drawer = Callable[[System, str, int], Draw]

# Whose temperature a heat profile was computed from; the load profile keeps it company.
SITE_OF_DEMAND: Final = MappingProxyType(
    {"village": "a", "suburb": "b", "works": "a", "estate": "c"}
)
NOISE_SD: Final = (0.04, 0.03, 0.05, 0.04)  # of wind, PV, load, heat, as a share of the value
NOISE_BOUND: Final = 2.0  # sd; leaves peaks within the ratings of links and boilers
NOISE_PHI: Final = 0.8
REGION_SHARE: Final = 0.6  # variance of the noise of loads that the region shares
FITTING_STEPS: Final = 2500  # innovations kept for drawing scenarios, at least


def sample(system: System, split: str, index: int) -> Episode:
    """Return episode `index` of a split."""
    return episode_of_days(system, draw_days, split, index)


def episode_of_days(system: System, drawn: Drawer, split: str, index: int) -> Episode:
    """Return the episode of the days that `drawn` says."""
    draw = drawn(system, split, index)
    model = _error_model(system, drawn)
    truth = _truth(system, draw)
    paths = _capped_errors(system, draw, truth)
    scale = _scale(system, draw)
    premiums = errors.premium_columns(system)
    # A premium's path is that of its own value.
    truth[:, premiums] = scale[:, premiums] * (1.0 + paths[:, -2:])  # its mean is its scale
    center = truth - scale * np.where(model.path >= 0, paths[:, model.path], 0.0)
    center[:, 4 * len(system.members) + X.spin_call] = 0.0
    label = (system.name, split, index)
    start = draw.start.astype("datetime64[h]")
    model, belief = regarded(system, start, model, Belief(center, scale, paths), truth)
    return assemble_episode(system, label, start, model, belief, truth)


def _source(system: System) -> AnalogueSource | HistorySource:
    """Return the source's configuration."""
    source = system.config.source
    assert isinstance(source, AnalogueSource | HistorySource)
    return source


def _truth(system: System, draw: Draw) -> Array:
    """Return the raw values of all columns; those of the premiums stay 0."""
    members = len(system.members)
    truth = np.zeros((len(draw.hour), system.exogenous_size))
    for m, member in enumerate(system.config.members):
        profiles = _profiles(system, member, draw)
        for kind, (size, series) in enumerate(profiles):
            if size > 0.0:
                noise = _noise(system, draw, kind, member.name)
                truth[:, kind * members + m] = size * series * (1.0 + noise)
    shared = truth[:, 4 * members :]
    known_columns(system, shared, draw.spot, draw.hour)
    derating = derated_days(system, draw.split, draw.index, len(truth))
    shared[:, X.derating] = derating
    shared[:, X.grid_up] = np.where(
        outages(system, draw.split, draw.index, len(truth)), 0, derating
    )
    if system.has_ces:
        shared[:, X.spin_call] = spin_calls(system, draw.split, draw.index, len(truth))
    return truth


def known_columns(system: System, shared: Array, spot: Array, hour: Ints) -> None:
    """Write the shared columns that follow from the wholesale price or stand in the system file.

    Args:
        system: the system.
        shared: (steps, len(X)) receives prices, pay for reserve and carbon intensity.
        spot: (steps,) wholesale price, currency/kWh.
        hour: (steps,) hour of the day.
    """
    factor, adder = price_rule(system)
    shared[:, list(PRICES)] = spot[:, None] * factor + adder[hour]
    shared[:, X.carbon_kg_per_kwh] = system.config.carbon.grid_kg_per_kwh
    ces = system.config.ces
    if ces is not None:
        shared[:, X.rho_regulation] = np.array(ces.regulation_per_kw_h)[hour]
        shared[:, X.rho_spinning] = np.array(ces.spinning_per_kw_h)[hour]


def _profiles(system: System, member: MemberConfig, draw: Draw) -> list[tuple[float, Array]]:
    """Return size and per-unit series of a member's wind, PV, load and heat."""
    nothing = (0.0, np.zeros(len(draw.hour)))
    found = [nothing] * len(MEMBER_SERIES)
    for kind, plant in enumerate((member.wind, member.pv)):
        if plant is not None:
            site = _site(system, member, plant.profile)
            found[kind] = (plant.capacity_kw, draw.weather[kind][:, site])
    for kind, use in ((2, member.load), (3, member.heat)):
        if use is not None:
            hourly = _demand(system, member, ("load", "heat")[kind - 2], use.profile, draw)
            size = use.peak_kw * (draw.growth if kind == 2 else 1.0)
            found[kind] = (size, by_step(system, hourly)[: len(draw.hour)])
    return found


def _site(system: System, member: MemberConfig, profile: str) -> int:
    """Return the number of a site."""
    if profile not in SITES:
        raise InputError(
            f"system {system.name}: member {member.name} uses the weather profile {profile!r}; "
            f"source `{_source(system).kind}` has the sites {', '.join(SITES)}"
        )
    return SITES.index(profile)


def _demand(system: System, member: MemberConfig, kind: str, profile: str, draw: Draw) -> Array:
    """Return hourly load of the day type, or heat of the weather day, per unit."""
    table = days.demand_days()
    name = f"{kind}_{profile}"
    if name not in table:
        known = [label.removeprefix(f"{kind}_") for label in table if label.startswith(kind)]
        raise InputError(
            f"system {system.name}: member {member.name} uses the {kind} profile {profile!r}; "
            f"source `{_source(system).kind}` has {', '.join(known)}"
        )
    day = draw.days[SITES.index(SITE_OF_DEMAND[profile])]
    if kind == "load":
        day = days.nearest_of_kind()[draw.kind, day]
    return np.asarray(table[name][day].ravel())


def _noise(system: System, draw: Draw, kind: int, name: str) -> Array:
    """Return a member's relative noise of one kind of series."""
    rows = len(draw.hour)
    if draw.region is None:
        return np.zeros(rows)
    phi = NOISE_PHI**system.dt_h
    series = f"noise/{MEMBER_SERIES[kind]}/{name}"
    own = student(stream(system.name, draw.split, draw.index, series), rows)
    own[1:] *= np.sqrt(1.0 - phi**2)
    noise = autoregressive(own, phi)
    if MEMBER_SERIES[kind] == "load_kw":
        noise = np.sqrt(REGION_SHARE) * draw.region + np.sqrt(1.0 - REGION_SHARE) * noise
    return np.asarray(NOISE_SD[kind] * np.clip(noise, -NOISE_BOUND, NOISE_BOUND))


def _scale(system: System, draw: Draw) -> Array:
    """Return the size of one unit of error of every column."""
    source = _source(system)
    members = len(system.members)
    scale = np.zeros((len(draw.hour), system.exogenous_size))
    sun = errors.pv_climatology()
    for m, member in enumerate(system.config.members):
        if member.wind is not None:
            scale[:, m] = source.wind_error * member.wind.capacity_kw
        if member.pv is not None:
            expected = sun[SITES.index(member.pv.profile), draw.month, draw.hour]
            scale[:, members + m] = source.pv_error * member.pv.capacity_kw * expected
        size = source.load_error * member.load.peak_kw
        scale[:, 2 * members + m] = size * errors.by_day("load")[draw.hour]
        if member.heat is not None:
            month = errors.heat_climatology(member.heat.profile)[draw.month]
            scale[:, 3 * members + m] = source.load_error * member.heat.peak_kw * month
    factor, _ = price_rule(system)
    price = draw.level * errors.price_shape(source)[draw.hour]
    scale[:, [4 * members + x for x in PRICES]] = price[:, None] * factor
    scale[:, errors.premium_columns(system)] = errors.premium_scale(system)
    return scale


def _capped_errors(system: System, draw: Draw, truth: Array) -> Array:
    """Return the error paths, the premiums' cut so that shedding never pays."""
    dearness = np.maximum(draw.spot / draw.level - 1.0, 0.0)
    paths = errors.draw_errors(system, (draw.split, draw.index), draw.weather[0], dearness)
    members = len(system.members)
    shared = truth[:, 4 * members :]
    carbon = system.physics.world[W.carbon_per_kg] * shared[:, X.carbon_kg_per_kwh]
    dearest = shared[:, [X.price_buy, X.ces_buy, X.price_sell, X.ces_sell]].max(axis=1) + carbon
    errors.cap_premiums(system, paths, errors.premium_scale(system), dearest)
    return paths


@lru_cache(maxsize=8)
def _error_model(system: System, drawn: Drawer) -> ErrorModel:
    """Return how this system's forecasts err; innovations are those of its first train episodes."""
    phi = errors.persistence(system)
    episodes = int(np.ceil(FITTING_STEPS / system.episode_steps))
    bank = [_innovations(system, drawn(system, "train", index), phi) for index in range(episodes)]
    low, high = physical_bounds(system)
    high[errors.premium_columns(system)] = errors.PREMIUM_CAP * errors.premium_scale(system)
    return ErrorModel(errors.column_paths(system), phi, np.concatenate(bank), low, high)


def _innovations(system: System, draw: Draw, phi: Array) -> Array:
    """Return the innovations of a train episode, (steps, paths)."""
    paths = _capped_errors(system, draw, _truth(system, draw))
    fresh = paths.copy()
    fresh[1:] -= phi * paths[:-1]
    return np.asarray(fresh[: system.episode_steps])
