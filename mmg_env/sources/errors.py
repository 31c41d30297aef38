"""How forecasts of the real-data suites err: paths, sizes, persistence, imbalance premiums.

One error path per site and renewable, per member's load and heat, for the wholesale price, and for
each imbalance premium. A path is e_h = phi * e_{h-1} + z_h with heavy-tailed z; the size of z_h may
depend on hour h itself, never on later ones.

Source: magnitudes are our choice near published ones (docs/model.md section 8, docs/data.md).
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import AnalogueSource
from mmg_env.data import load_days
from mmg_env.layout import W
from mmg_env.sources.days import SITES, demand_days, in_block, month_of, price_tables
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


def path_names(system: System) -> list[str]:
    """Return the names of the error paths."""
    by_site = [f"{kind}/{site}" for kind in ("wind", "pv") for site in SITES]
    by_member = [f"{kind}/{name}" for kind in ("load", "heat") for name in system.members]
    return [*by_site, *by_member, "spot", "short", "long"]


def persistence(system: System) -> Array:
    """Return phi of each path, per step."""
    kinds = [name.split("/")[0] for name in path_names(system)]
    hourly = np.array([PHI.get(kind, PREMIUM_PHI) for kind in kinds])
    return np.asarray(hourly**system.dt_h)


def draw_errors(system: System, label: tuple[str, int], wind: Array, dearness: Array) -> Array:
    """Return (steps, paths) error paths; those of the premiums are still uncapped.

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
    draws[:, : len(SITES)] *= 0.35 + 2.6 * wind * (1.0 - wind)
    source = system.config.source
    assert isinstance(source, AnalogueSource)
    draws[:, path_names(system).index("spot")] *= 1.0 + source.price_error_spikes * dearness
    draws[0, -2:] += phi[-2:]  # premiums begin at their mean
    errors = autoregressive(draws, phi)
    region = errors[:, : len(SITES)].mean(axis=1) / REGION_SD
    errors[:, -2] *= np.exp(-0.5 * region) / REGION_MEAN
    errors[:, -2:] -= 1.0
    return errors


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
def price_shape(source: AnalogueSource) -> Array:
    """Return (24,) sizes of price errors per unit of the level: the train years' mean day."""
    tables = price_tables(source.prices, "train")
    mean = np.mean([table.hourly.mean(axis=0) for table in tables], axis=0)
    shape = np.maximum(mean / mean.mean(), 0.1) * by_day("spot")
    return np.asarray(source.price_error * shape / np.sqrt((shape**2).mean()))
