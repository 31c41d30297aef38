"""How forecasts of the real-data suites err: paths, sizes, persistence, imbalance premiums.

One error path per site and renewable, per member's load and heat, for the wholesale price, and for
each imbalance premium. The sites of a user's series are the profiles that the system names. A path
is e_h = phi * e_{h-1} + z_h with heavy-tailed z; the size of z_h may depend on hour h itself, never
on later ones.

Source: magnitudes are our choice near published ones (docs/model.md section 8, docs/data.md).
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import AnalogueSource, CsvSource, HistorySource
from mmg_env.data import load_days
from mmg_env.layout import W, X
from mmg_env.sources.days import SITES, demand_days, in_block, month_of, price_tables
from mmg_env.sources.prices import PRICES, price_rule
from mmg_env.sources.random import autoregressive, stream, student
from mmg_env.system import System

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

PHI: Final = {"wind": 0.93, "pv": 0.88, "load": 0.88, "heat": 0.90, "spot": 0.85}
PREMIUM_PHI: Final = 0.8
COMMON: Final = {"wind": 0.5, "pv": 0.5, "load": 0.3, "heat": 0.3}  # variance shared in a kind
PREMIUM_TAIL: Final = 1.2  # sd of the logarithm of the premiums' innovations
# Sd of the region's wind error path, and what exp(-z/2) of it is on average over a week.
REGION_SD: Final = 0.52
REGION_MEAN: Final = 1.14
PREMIUM_CAP: Final = 20.0  # times the scale
PENALTY_MARGIN: Final = 0.9  # share of the room below the penalty that a premium may fill
DAY_HOURS: Final = (6, 20)  # first and past-the-last hour of the day, in which errors are larger
BY_DAY: Final = {"spot": 1.4, "load": 1.2}  # ratio to the night's errors


def real_source(system: System) -> AnalogueSource | HistorySource | CsvSource:
    """Return the source's configuration, which says how large errors are."""
    source = system.config.source
    assert isinstance(source, AnalogueSource | HistorySource | CsvSource)
    return source


def sites_of(system: System) -> tuple[str, ...]:
    """Return the sites whose wind and PV have an error path each."""
    if not isinstance(real_source(system), CsvSource):
        return SITES
    plants = [plant for m in system.config.members for plant in (m.wind, m.pv) if plant is not None]
    return tuple(dict.fromkeys(plant.profile for plant in plants))


def path_names(system: System) -> list[str]:
    """Return the names of the error paths."""
    by_site = [f"{kind}/{site}" for kind in ("wind", "pv") for site in sites_of(system)]
    by_member = [f"{kind}/{name}" for kind in ("load", "heat") for name in system.members]
    return [*by_site, *by_member, "spot", "short", "long"]


def persistence(system: System) -> Array:
    """Return phi of each path, per step."""
    kinds = [name.split("/")[0] for name in path_names(system)]
    hourly = np.array([PHI.get(kind, PREMIUM_PHI) for kind in kinds])
    return np.asarray(hourly**system.dt_h)


def column_paths(system: System) -> Ints:
    """Return (columns,): the error path of each column, -1 where nothing is to be foreseen."""
    members = len(system.members)
    names = path_names(system)
    path = np.full(system.exogenous_size, -1)
    for m, member in enumerate(system.config.members):
        for kind, plant in enumerate((member.wind, member.pv)):
            if plant is not None:
                name = f"{('wind', 'pv')[kind]}/{plant.profile}"
                path[kind * members + m] = names.index(name)
        path[2 * members + m] = names.index(f"load/{member.name}")
        if member.heat is not None:
            path[3 * members + m] = names.index(f"heat/{member.name}")
    factor, _ = price_rule(system)
    for x, f in zip(PRICES, factor, strict=True):
        path[4 * members + x] = names.index("spot") if f != 0.0 else -1
    path[premium_columns(system)] = [names.index("short"), names.index("long")]
    return path


def premium_columns(system: System) -> list[int]:
    """Return the columns of the imbalance premiums."""
    return [4 * len(system.members) + x for x in (X.short_premium, X.long_premium)]


def premium_scale(system: System) -> Array:
    """Return the scales of the imbalance premiums, (short, long)."""
    source = real_source(system)
    return np.array([source.imbalance_short_per_kwh, source.imbalance_long_per_kwh])


def draw_errors(system: System, label: tuple[str, int], wind: Array, dearness: Array) -> Array:
    """Return (steps, paths) error paths; those of the premiums go with the wind, still uncapped.

    A premium is scale * m_h, where m is a positive AR(1) of mean 1; being short costs more when
    the region's wind falls behind its forecast, exp(-z_h / 2), z the standardised error path. Its
    path is e = m - 1, so that its forecast is scale * (1 + phi ** n * e_{t-1}).

    Args:
        system: the system.
        label: (split, index).
        wind: (steps, sites) capacity factor of wind, on which the size of its errors depends.
        dearness: (steps,) by how much the price exceeds its level, as a share of the level; its
            errors grow with it by the source's `price_error_spikes`.
    """
    errors = draw_paths(system, label, wind, dearness)
    region = errors[:, : wind.shape[1]].mean(axis=1) / REGION_SD
    errors[:, -2] *= np.exp(-0.5 * region) / REGION_MEAN
    errors[:, -2:] -= 1.0
    return errors


def draw_paths(system: System, label: tuple[str, int], wind: Array, dearness: Array) -> Array:
    """Return (steps, paths) error paths, the premiums' as positive series of mean 1.

    The arguments are those of `draw_errors`.
    """
    split, index = label
    rows = len(wind)
    phi = persistence(system)
    common = {
        kind: student(stream(system.name, split, index, f"error/{kind}"), rows) for kind in COMMON
    }
    draws = np.empty((rows, len(phi)))
    for k, name in enumerate(path_names(system)):
        rng = stream(system.name, split, index, f"error/{name}")
        kind = name.split("/")[0]
        draws[:, k] = student(rng, rows) if kind in PHI else _positive(rng, rows)
        if kind in COMMON:
            share = COMMON[kind]
            draws[:, k] = np.sqrt(share) * common[kind] + np.sqrt(1.0 - share) * draws[:, k]
    draws[:, :-2] *= np.sqrt(1.0 - phi[:-2] ** 2)
    draws[:, -2:] *= 1.0 - phi[-2:]
    draws[:, : wind.shape[1]] *= 0.35 + 2.6 * wind * (1.0 - wind)
    spikes = real_source(system).price_error_spikes
    draws[:, path_names(system).index("spot")] *= 1.0 + spikes * dearness
    draws[0, -2:] += phi[-2:]  # premiums begin at their mean
    return autoregressive(draws, phi)


def _positive(rng: np.random.Generator, size: int) -> Array:
    """Return positive draws of mean 1 with a heavy tail (lognormal)."""
    return np.asarray(np.exp(PREMIUM_TAIL * rng.standard_normal(size) - PREMIUM_TAIL**2 / 2))


def cap_premiums(system: System, paths: Array, scale: Array, dearest: Array) -> None:
    """Cut the premiums' paths in place to what leaves shedding dearer than anything else.

    A premium is at most 20 times its scale, and fills at most 9 tenths of the room between the
    penalty on unserved energy and the hour's energy price, carbon and demand charge.

    Args:
        system: the system.
        paths: (steps, paths) error paths; the last two are the premiums'.
        scale: (2,) scales of the premiums, currency/kWh.
        dearest: (steps,) price of energy with carbon, currency/kWh.
    """
    world = system.physics.world
    room = world[W.unserved_per_kwh] - world[W.demand_charge_per_kw] / system.dt_h - dearest
    room = np.maximum(PENALTY_MARGIN * room, 0.0)
    for k in (0, 1):
        if scale[k] > 0.0:
            highest = np.minimum(room / scale[k], PREMIUM_CAP)
            paths[:, k - 2] = np.minimum(paths[:, k - 2], highest - 1.0)


@lru_cache(maxsize=1)
def pv_climatology() -> Array:
    """Return (sites, 12, 24): mean PV per unit by month and hour over the days of `train`."""
    table = load_days("sites")
    is_train = in_block(table["date"], "train")
    month = month_of(table["date"])
    return np.array(
        [
            [table[f"pv_{site}"][is_train & (month == m)].mean(axis=0) for m in range(12)]
            for site in SITES
        ],
        dtype=np.float64,
    )


@lru_cache(maxsize=16)
def heat_climatology(profile: str) -> Array:
    """Return (12,): the highest hour of the mean day of each month, per unit of the peak."""
    dates = load_days("demand")["date"]
    is_train = in_block(dates, "train")
    month = month_of(dates)
    heat = demand_days()[f"heat_{profile}"]
    return np.array([heat[is_train & (month == m)].mean(axis=0).max() for m in range(12)])


def by_day(kind: str) -> Array:
    """Return (24,) factors of mean square 1, larger by day."""
    hour = np.arange(24)
    factor = np.where((hour >= DAY_HOURS[0]) & (hour < DAY_HOURS[1]), BY_DAY[kind], 1.0)
    return np.asarray(factor / np.sqrt((factor**2).mean()))


@lru_cache(maxsize=8)
def price_shape(source: AnalogueSource | HistorySource) -> Array:
    """Return (24,) sizes of price errors per unit of the level: the train years' mean day."""
    tables = price_tables(source.prices, "train")
    mean = np.mean([table.hourly.mean(axis=0) for table in tables], axis=0)
    return shape_of_day(source.price_error, mean)


def shape_of_day(price_error: float, mean: Array) -> Array:
    """Return (24,) sizes of price errors per unit of the level, given the mean day (24,)."""
    shape = np.maximum(mean / mean.mean(), 0.1) * by_day("spot")
    return np.asarray(price_error * shape / np.sqrt((shape**2).mean()))
