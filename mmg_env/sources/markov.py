"""A price and a load that move between a few states: episodes whose law is known exactly.

The price has 5 states, the load of each member 3. Their values are v_i, equally spaced, of
variance 1 under the stationary (binomial) law, and their transition matrices are Rouwenhorst's,
for which E[v' | v] = phi v exactly. So with ::

    spot_h = mean_h (1 + sd v_h),    load_h = peak (profile_h + step k_h),  k in {-1, 0, 1}

the conditional mean given the hour before is center_h + scale_h phi ** n v_{t-1}: the forecast is
not near the conditional mean, it is the conditional mean. The hour before an episode was in the
middle state. The splits differ by their random streams only. Scenarios draw innovations from
train episodes without looking at the state, so they are right in mean and variance only.

Source: Rouwenhorst 1995 (the matrices; their recursion as in Kopecky & Suen 2010); the numbers of
the suite are our choice.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import MarkovSource
from mmg_env.episode import Belief, Episode, assemble_episode, lead_steps, physical_bounds
from mmg_env.layout import X
from mmg_env.series import ErrorModel
from mmg_env.sources.prices import PRICES, price_rule
from mmg_env.sources.quality import regarded
from mmg_env.sources.random import stream
from mmg_env.system import System

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

PRICE_STATES: Final = 5
LOAD_STATES: Final = 3
START: Final = np.datetime64("2025-01-01T00")
FITTING_DAYS: Final = 100  # train days whose innovations are kept for drawing scenarios


def state_values(states: int) -> Array:
    """Return the values of the states: equally spaced, mean 0 and variance 1; (states,)."""
    reach = np.sqrt(states - 1.0)
    return np.linspace(-reach, reach, states)


def transition_matrix(states: int, phi: float) -> Array:
    """Return the probability of each state given the one before, (states, states).

    Args:
        states: at least 2.
        phi: autocorrelation, -1..1.
    """
    p = (1.0 + phi) / 2.0
    matrix = np.array([[p, 1.0 - p], [1.0 - p, p]])
    for n in range(3, states + 1):
        wider = np.zeros((n, n))
        wider[:-1, :-1] += p * matrix
        wider[:-1, 1:] += (1.0 - p) * matrix
        wider[1:, :-1] += (1.0 - p) * matrix
        wider[1:, 1:] += p * matrix
        wider[1:-1] /= 2.0
        matrix = wider
    return matrix


def markov_source(system: System) -> MarkovSource:
    """Return the source's configuration."""
    source = system.config.source
    assert isinstance(source, MarkovSource)
    return source


def sample(system: System, split: str, index: int) -> Episode:
    """Return episode `index` of a split."""
    rows = system.episode_steps + lead_steps(system)
    errors = _paths(system, split, index, rows)
    center, scale = expectation(system, rows)
    model = _error_model(system)
    truth = center + scale * np.where(model.path >= 0, errors[:, model.path], 0.0)
    belief = Belief(center, scale, errors)
    model, belief = regarded(system, START, model, belief, truth)
    return assemble_episode(system, (system.name, split, index), START, model, belief, truth)


def expectation(system: System, rows: int) -> tuple[Array, Array]:
    """Return the mean of all columns in the middle states, and the size of one unit of v."""
    source = markov_source(system)
    members = len(system.members)
    hours = np.arange(rows) % 24
    factor, adder = price_rule(system)
    spot = np.array(source.spot_per_kwh)[hours]
    center = np.zeros((rows, system.exogenous_size))
    scale = np.zeros_like(center)
    prices = 4 * members + np.array(PRICES)
    center[:, prices] = spot[:, None] * factor + adder[hours]
    scale[:, prices] = (source.spot_sd * spot)[:, None] * factor
    for m, member in enumerate(system.config.members):
        center[:, 2 * members + m] = member.load.peak_kw * np.array(source.load_profile)[hours]
        scale[:, 2 * members + m] = member.load.peak_kw * source.load_step / np.sqrt(2.0)
    shared = center[:, 4 * members :]
    shared[:, X.grid_up] = shared[:, X.derating] = 1.0
    shared[:, X.carbon_kg_per_kwh] = system.config.carbon.grid_kg_per_kwh
    return center, scale


def _paths(system: System, split: str, index: int, rows: int) -> Array:
    """Return the values of the states hour by hour: each member's load, then the price."""
    source = markov_source(system)
    loads = transition_matrix(LOAD_STATES, source.load_persistence)
    price = transition_matrix(PRICE_STATES, source.spot_persistence)
    chains = [(f"load/{name}", loads) for name in system.members] + [("spot", price)]
    return np.column_stack(
        [_chain(matrix, rows, stream(system.name, split, index, name)) for name, matrix in chains]
    )


def _chain(matrix: Array, rows: int, rng: np.random.Generator) -> Array:
    """Return the values of the states of a chain that was in the middle before it began."""
    reached = np.cumsum(matrix, axis=1)
    state = len(matrix) // 2
    states = np.empty(rows, dtype=np.int64)
    for h, level in enumerate(rng.random(rows)):
        state = min(int(np.searchsorted(reached[state], level, side="right")), len(matrix) - 1)
        states[h] = state
    return state_values(len(matrix))[states]


@lru_cache(maxsize=8)
def _error_model(system: System) -> ErrorModel:
    """Return how forecasts err; innovations are those of the first train days."""
    source = markov_source(system)
    members = len(system.members)
    path = np.full(system.exogenous_size, -1)
    path[2 * members : 3 * members] = np.arange(members)
    factor, _ = price_rule(system)
    path[4 * members + np.array(PRICES)] = np.where(factor > 0.0, members, -1)
    phi = np.array([source.load_persistence] * members + [source.spot_persistence])
    days = [_paths(system, "train", index, 24) for index in range(FITTING_DAYS)]
    before = [np.vstack([np.zeros((1, members + 1)), day[:-1]]) for day in days]
    bank = np.concatenate([day - phi * last for day, last in zip(days, before, strict=True)])
    return ErrorModel(path, phi, bank, *physical_bounds(system))
