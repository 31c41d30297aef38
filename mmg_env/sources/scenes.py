"""Days of the papers' suites: season times typical day times autocorrelated hourly noise.

Every member's day is its nominal profile times a season (common) times one of five typical days
(its own probabilities; the members' days are joined by a Gaussian copula). On top lies AR(1)
noise with a common factor per kind of series; the grid tariff deviates by at most
`tariff_deviation` with a daily budget. A wholesale price, where one is stated, errs by a slowly
fading path of its own.

Source: the probabilities, and that the tariff is uncertain, are Bian & Ji's (2025); all other
numbers are our choice (docs/model.md section 7).
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from mmg_env.config import ScenesSource
from mmg_env.episode import (
    UNBOUNDED,
    Belief,
    Episode,
    assemble_episode,
    lead_steps,
    physical_bounds,
)
from mmg_env.layout import MEMBER_SERIES, P, X
from mmg_env.series import ErrorModel
from mmg_env.sources.prices import PRICES, price_rule
from mmg_env.sources.quality import regarded
from mmg_env.sources.random import autoregressive, stream, student
from mmg_env.system import System

Array = NDArray[np.float64]

# Multipliers of (wind, PV, load, heat) in the typical days 1..5, and in the four seasons.
SCENES: Final = np.array(
    [
        (0.6, 0.6, 1.0, 1.05),
        (1.0, 1.0, 1.0, 1.0),
        (1.35, 0.7, 1.0, 1.05),
        (0.75, 1.25, 1.02, 0.95),
        (0.9, 0.95, 1.1, 1.1),
    ]
)
# Heat is 1 in winter, so that the nominal day is the coldest: boilers are sized for that day.
SEASONS: Final = np.array(
    [
        (1.1, 1.0, 0.95, 0.53),
        (0.8, 1.2, 1.1, 0.17),
        (1.0, 0.95, 0.95, 0.47),
        (1.15, 0.7, 1.0, 1.0),
    ]
)
WINTER: Final = 3
SEASON_STARTS: Final = ("2025-04-01T00", "2025-07-01T00", "2025-10-01T00", "2025-01-01T00")
SHIFT_LOAD: Final = 1.3  # the `shift` split: winter with 30 % more load
NOISE_SD: Final = np.array([0.10, 0.075, 0.05, 0.05])  # half of the budget sets' half-widths
NOISE_PHI: Final = 0.8
COMMON_SHARE: Final = 0.5  # variance of the noise that members share, per kind of series
TARIFF_PHI: Final = 0.9
WHOLESALE_PHI: Final = 0.95
WHOLESALE_LEAST: Final = 0.1  # of the expected wholesale price
TARIFF_SD: Final = 0.05
TARIFF_BUDGET: Final = 6.0  # hours per day at the full deviation
FITTING_DAYS: Final = 64  # days of innovations kept for drawing scenarios


def nominal(system: System) -> Episode:
    """Return the nominal day: profiles times peaks, known in advance, repeated to fill T."""
    center = _center(system, np.ones((len(system.members), 4)))
    model = _error_model(system)
    paths = len(model.phi)
    rows = len(center)
    belief = Belief(center, np.zeros_like(center), np.zeros((rows, paths)))
    start = np.datetime64("2025-01-01T00")
    return assemble_episode(system, (system.name, "nominal", 0), start, model, belief, center)


def sample(system: System, split: str, index: int) -> Episode:
    """Return episode `index` of a split."""
    season = int(stream(system.name, split, index, "season").integers(4))
    if split == "shift":
        season = WINTER
    factors = SEASONS[season] * _scene_factors(system, split, index)
    if split == "shift":
        factors[:, MEMBER_SERIES.index("load_kw")] *= SHIFT_LOAD
    center = _center(system, factors)
    carried = _carried_over(system, split, index, len(center))
    center = center + _scale(system, center) * carried
    errors = autoregressive(_innovations(system, split, index, len(center)), _phi(system))
    limit = _source(system).tariff_deviation
    errors[:, -1] = _bounded_tariff(errors[:, -1], limit, system)
    _bound_wholesale(system, carried[:, 4 * len(system.members) + X.spot], errors)
    scale = _scale(system, center)
    model = _error_model(system)
    truth = center + scale * np.where(model.path >= 0, errors[:, model.path], 0.0)
    truth[:, 4 * len(system.members) + X.spin_call] = spin_calls(system, split, index, len(truth))
    start = np.datetime64(SEASON_STARTS[season])
    model, belief = regarded(system, start, model, Belief(center, scale, errors), truth)
    return assemble_episode(system, (system.name, split, index), start, model, belief, truth)


def typical_days(system: System, season: int) -> Array:
    """Return the expected day of a season in each typical day, all members having the same one.

    Args:
        system: one of this source.
        season: 0 (spring) to 3 (winter).

    Returns:
        (typical days, steps of an episode and of the forecast's leads, columns).
    """
    probabilities = scene_probabilities(system)
    means = probabilities @ SCENES
    return np.array([_center(system, SEASONS[season] * scene / means) for scene in SCENES])


def scene_probabilities(system: System) -> Array:
    """Return each member's probability of each typical day, (members, typical days)."""
    source = _source(system)
    return np.array([_probabilities(source, name) for name in system.members])


def _carried_over(system: System, split: str, index: int, rows: int) -> Array:
    """Return what the hour before the episode still says about its hours, (rows, columns).

    The noise did not begin with the episode: its last value, drawn from the stationary
    distribution, is known at reset and fades as phi ** (h + 1). The tariff starts as published.
    """
    model = _error_model(system)
    phi = model.phi[:-1]
    last = np.array(
        [
            stream(system.name, split, index, f"before/{path}").standard_normal()
            for path in _paths(system)[:-1]
        ]
    )
    fading = last * phi ** np.arange(1, rows + 1)[:, None]
    noisy = np.column_stack([fading, np.zeros(rows)])
    return np.where(model.path >= 0, noisy[:, model.path], 0.0)


def spin_calls(system: System, split: str, index: int, steps: int) -> Array:
    """Return 1 in the steps in which spinning reserve is called, else 0; nobody foresees a call."""
    ces = system.config.ces
    if ces is None or not ces.markets:
        return np.zeros(steps)
    drawn = stream(system.name, split, index, "spin_call").random(steps)
    return np.asarray(drawn < ces.call_probability * system.dt_h, dtype=np.float64)


def _source(system: System) -> ScenesSource:
    """Return the source's configuration."""
    source = system.config.source
    assert isinstance(source, ScenesSource)
    return source


def _scene_factors(system: System, split: str, index: int) -> Array:
    """Return each member's multipliers of its typical day, (members, 4), mean 1 over the scenes."""
    source = _source(system)
    common = stream(system.name, split, index, "scene").standard_normal()
    factors = np.empty((len(system.members), 4))
    for m, name in enumerate(system.members):
        own = stream(system.name, split, index, f"scene/{name}").standard_normal()
        rho = source.scene_correlation
        level = ndtr(np.sqrt(rho) * common + np.sqrt(1.0 - rho) * own)
        probability = _probabilities(source, name)
        scene = min(int(np.searchsorted(np.cumsum(probability), level)), len(SCENES) - 1)
        factors[m] = SCENES[scene] / (probability @ SCENES)
    return factors


def _probabilities(source: ScenesSource, name: str) -> Array:
    """Return a member's scene probabilities; uniform unless stated."""
    given = source.scene_probabilities.get(name)
    return np.full(len(SCENES), 1.0 / len(SCENES)) if given is None else np.array(given)


def _center(system: System, factors: Array) -> Array:
    """Return the expected values of all columns for T and the forecast's leads."""
    rows = system.episode_steps + lead_steps(system)
    hours = np.arange(rows) * 24 // system.steps_per_day % 24
    members = len(system.members)
    center = np.zeros((rows, system.exogenous_size))
    profiles = {name: np.array(p) for name, p in _source(system).profiles.items()}
    for m, member in enumerate(system.config.members):
        devices = (member.wind, member.pv, member.load, member.heat)
        for kind, device in enumerate(devices):
            if device is None:
                continue
            size = device.peak_kw if hasattr(device, "peak_kw") else device.capacity_kw
            center[:, kind * members + m] = (
                size * profiles[device.profile][hours] * factors[m, kind]
            )
    center[:, 4 * members :] = _prices(system, hours)
    return center


def _wholesale(system: System, hours: NDArray[np.int64]) -> Array:
    """Return the expected wholesale price; the purchase price where none is stated."""
    stated = _source(system).wholesale_per_kwh
    _, adder = price_rule(system)
    return np.asarray(adder[hours, 0] if stated is None else np.array(stated)[hours])


def _prices(system: System, hours: NDArray[np.int64]) -> Array:
    """Return the shared columns by hour of the day: tariff, the CES's market, reserve, grid."""
    config = system.config
    factor, adder = price_rule(system)
    shared = np.zeros((len(hours), len(X)))
    shared[:, list(PRICES)] = _wholesale(system, hours)[:, None] * factor + adder[hours]
    shared[:, X.grid_up] = 1.0
    shared[:, X.derating] = 1.0
    shared[:, X.carbon_kg_per_kwh] = config.carbon.grid_kg_per_kwh
    if config.ces is not None:
        shared[:, X.rho_regulation] = np.broadcast_to(config.ces.regulation_per_kw_h, 24)[hours]
        shared[:, X.rho_spinning] = np.broadcast_to(config.ces.spinning_per_kw_h, 24)[hours]
    return shared


def _paths(system: System) -> list[str]:
    """Return the names of the error paths: four per member, the wholesale price, the tariff."""
    of_members = [f"{kind}/{name}" for kind in MEMBER_SERIES for name in system.members]
    stated = _source(system).wholesale_per_kwh is not None
    return [*of_members, *(["wholesale"] if stated else []), "tariff"]


def _price_paths(system: System) -> NDArray[np.int64]:
    """Return the error path of each of `PRICES`: the wholesale price's, or the tariff's."""
    factor, _ = price_rule(system)
    names = _paths(system)
    wholesale = names.index("wholesale" if "wholesale" in names else "tariff")
    return np.where(factor > 0.0, wholesale, names.index("tariff"))


def _phi(system: System) -> Array:
    """Return the persistence of each path per step."""
    phi = np.full(len(_paths(system)), NOISE_PHI)
    phi[4 * len(system.members) :] = WHOLESALE_PHI
    phi[-1] = TARIFF_PHI
    return np.asarray(phi**system.dt_h)


def _scale(system: System, center: Array) -> Array:
    """Return the size of one unit of error: a share of the expected value."""
    members = len(system.members)
    share = np.zeros(center.shape[1])
    share[: 4 * members] = np.repeat(NOISE_SD, members)
    of_tariff = _price_paths(system) == len(_paths(system)) - 1
    at = 4 * members + np.array(PRICES)
    share[at[of_tariff]] = 1.0
    scale = center * share
    # What moves with the wholesale price moves by its factor, adders aside.
    factor, _ = price_rule(system)
    hours = np.arange(len(center)) * 24 // system.steps_per_day % 24
    unit = _source(system).wholesale_sd * _wholesale(system, hours)
    scale[:, at[~of_tariff]] = unit[:, None] * factor[~of_tariff]
    return np.asarray(scale)


def _innovations(system: System, split: str, index: int, rows: int) -> Array:
    """Return (rows, paths) innovations: unit AR(1) noise with a common factor per kind."""
    phi = _phi(system)
    draws = []
    for kind in MEMBER_SERIES:
        common = student(stream(system.name, split, index, f"noise/{kind}"), rows)
        for name in system.members:
            own = student(stream(system.name, split, index, f"noise/{kind}/{name}"), rows)
            draws.append(np.sqrt(COMMON_SHARE) * common + np.sqrt(1.0 - COMMON_SHARE) * own)
    if "wholesale" in _paths(system):
        draws.append(student(stream(system.name, split, index, "noise/wholesale"), rows))
    draws.append(TARIFF_SD * student(stream(system.name, split, index, "noise/tariff"), rows))
    return np.asarray(np.column_stack(draws) * np.sqrt(1.0 - phi**2))


def _bounded_tariff(path: Array, limit: float, system: System) -> Array:
    """Return the tariff's deviation within its bound and its daily budget, spent as time passes."""
    bounded, dt_h = np.array(path), system.dt_h
    left = 0.0
    for t in range(len(path)):
        if t % system.steps_per_day == 0:
            left = TARIFF_BUDGET * limit
        bound = min(limit, left / dt_h)
        bounded[t] = min(max(path[t], -bound), bound)
        left -= abs(bounded[t]) * dt_h
    return bounded


def _bound_wholesale(system: System, carried: Array, errors: Array) -> None:
    """Keep a stated wholesale price, in place, above `WHOLESALE_LEAST` of what is expected."""
    sd = _source(system).wholesale_sd
    if "wholesale" in _paths(system) and sd > 0.0:
        path = errors[:, _paths(system).index("wholesale")]
        np.maximum(path, (WHOLESALE_LEAST - 1.0) / sd - carried, out=path)


@lru_cache(maxsize=8)
def _error_model(system: System) -> ErrorModel:
    """Return how this system's forecasts err; innovations are those of its first train days."""
    members = len(system.members)
    path = np.full(system.exogenous_size, -1)
    path[: 4 * members] = np.arange(4 * members)
    path[4 * members + np.array(PRICES)] = _price_paths(system)
    low, high = physical_bounds(system)
    boiler_kw = system.column(P.boiler_kw)[:members]
    high[3 * members : 4 * members] = np.where(boiler_kw > 0.0, boiler_kw, UNBOUNDED)
    days = [_innovations(system, "train", i, 24) for i in range(FITTING_DAYS)]
    return ErrorModel(path, _phi(system), np.concatenate(days), low, high)
