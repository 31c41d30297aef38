"""The tariff as an uncertain quantity: a price of protection, or scenes of its own.

The tariff of hour t is that expected times 1 + e_t, with |e_t| <= d and at most `budget` hours at
the full deviation d. With B_t what hour t pays to the grid, the worst of it costs as much as::

    min over eta, mu >= 0 of  budget eta + sum_t mu_t,   eta + mu_t >= d |B_t|

which stands in the recourse: linear recourse costs the same whether it is chosen before or after
the tariff is known, for what is paid is linear in both.

Source: Bertsimas & Sim 2004 (protection); that the tariff is uncertain is Bian & Ji's (2025).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Compiled, Sparse
from baselines.programme import lengthened, widened
from baselines.robust.problem import RobustProblem, Scene
from mmg_env.errors import InputError
from mmg_env.layout import X
from mmg_env.system import System

Array = NDArray[np.float64]

BUDGET_H: Final = 6.0
DEVIATION: Final = 0.15
TARIFF: Final = (X.price_buy, X.price_sell, X.ces_buy, X.ces_sell)  # they move together


def protected(
    problem: RobustProblem,
    system: System,
    compiled: Compiled,
    rows: Array,
    deviation: float = DEVIATION,
    budget_h: float = BUDGET_H,
) -> RobustProblem:
    """Return a problem whose scenes pay for the worst tariff, too.

    Args:
        problem: of a system whose storage, if any, pays the members' tariff.
        system: whose problem it is.
        compiled: the model of its scenes.
        rows: (scenes, steps, columns) what is expected.
        deviation: d, at least 0.
        budget_h: hours at the full deviation, at least 0.

    Raises:
        InputError: a number is out of range, or the storage's market has a price of its own.
    """
    if not (0.0 <= deviation <= 1.0 and np.isfinite(budget_h) and budget_h >= 0.0):
        raise InputError(
            f"tariff: deviation is {deviation}, it must lie in 0..1; "
            f"budget_h is {budget_h}, it must be at least 0"
        )
    if system.config.ces is not None and system.config.ces.market.price != "retail":
        raise InputError(f"tariff: the storage of {system.name} has a market of its own")
    width = len(problem.scenes[0].programme.lower)
    scenes = tuple(
        _protected(own, deviation * _bills(system, compiled, day, width), budget_h / system.dt_h)
        for own, day in zip(problem.scenes, rows, strict=True)
    )
    return replace(problem, scenes=scenes)


def _bills(system: System, compiled: Compiled, rows: Array, width: int) -> Sparse:
    """Return what each column pays to the grid in each hour, (steps, columns), per unit."""
    shared = rows[:, 4 * len(system.members) :] * system.dt_h
    storage = len(system.members)
    parts = []
    for name, own, market, sign in (
        ("import_kw", X.price_buy, X.ces_buy, 1.0),
        ("export_kw", X.price_sell, X.ces_sell, -1.0),
    ):
        for participant, columns in enumerate(compiled.columns[name]):
            there = np.flatnonzero(columns >= 0)
            price = sign * shared[there, market if participant == storage else own]
            at = (there, columns[there])
            parts.append(sparse.coo_array((price, at), shape=(compiled.steps, width)))
    return sparse.csr_array(sum(parts[1:], parts[0]))


def _protected(own: Scene, bills: Sparse, budget: float) -> Scene:
    """Add eta, mu and their rows to a scene."""
    steps = bills.shape[0]
    free = np.full(steps + 1, np.inf)
    cost = np.append(np.ones(steps), budget)
    wide = widened(own.programme, np.zeros(steps + 1), free, cost)
    price = sparse.hstack([sparse.eye_array(steps), np.ones((steps, 1))], format="csr")
    above = sparse.hstack([-bills, price])
    below = sparse.hstack([bills, price])
    programme = lengthened(
        wide, sparse.vstack([above, below], format="csr"), np.zeros(2 * steps), np.tile(free[1:], 2)
    )
    push = sparse.csr_array(own.push, copy=True)
    push.resize((programme.matrix.shape[0], push.shape[1]))
    return replace(own, programme=programme, push=push)


def with_tariffs(
    rows: Array,
    probability: Array,
    members: int,
    factors: Sequence[float],
    weights: Sequence[float],
) -> tuple[Array, Array]:
    """Return each scene under each of some tariffs, which are known when the day begins.

    Args:
        rows: (scenes, steps, columns) what is expected.
        probability: (scenes,).
        members: of the system.
        factors: of the whole tariff.
        weights: their probabilities.

    Returns:
        (scenes * factors, steps, columns) and (scenes * factors,).

    Raises:
        InputError: there are not as many weights as factors.
    """
    if len(factors) != len(weights):
        raise InputError(
            f"tariff: {len(factors)} factors and {len(weights)} weights; there must be as many"
        )
    at = 4 * members + np.array(TARIFF)
    every = np.repeat(rows, len(factors), axis=0)
    every[..., at] *= np.tile(factors, len(rows))[:, None, None]
    return every, np.outer(probability, weights).ravel()
