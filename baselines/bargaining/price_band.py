"""Prices that carry the agreed payments and lie between what the grid pays and what it takes.

Payments are unique, prices are not. Of all prices that make everyone pay pi, those nearest the
middle of the band are found, each counted by its energy v (a quadratic programme)::

    min  sum |v| (p - mid)^2    subject to    sum_j v[i,j] p[i,j] = pi[i],    sell <= p <= buy

Within the band a pair can move money between two limits only. Where the payments wanted cannot be
had, the best of those that can are taken, which are unique, too. With m[k] what the first of pair
k pays the second, and D the pairs in which each stands::

    max  sum omega[i] ln G[i],    G = a - D m,    low <= m <= high

by Newton's method: G is moved towards the optimum of the quadratic model there for as long as it
does good. At the optimum a pair either has omega/G equal on both sides, or all its prices are at
the end of the band that serves the side where omega/G is larger.

Source: our choice; the band is that of Bian & Ji 2025 (P2). PIQP: Schwan et al. 2023.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import piqp
from numpy.typing import NDArray
from scipy import sparse

from baselines.bargaining.bargain import Bargain
from baselines.bargaining.pair_prices import restricted
from baselines.bargaining.trades import Pairs
from baselines.highs import InfeasibleError, SolverError
from baselines.programme import Programme, numbers_of
from mmg_env.errors import InputError

Array = NDArray[np.float64]

ACCURACY: Final = 1e-10
STEPS: Final = 200
CLOSE: Final = 1e-6  # a last step of G, relative; what is wrong after it is its square
SMALL: Final = 1e-3
ALIKE: Final = 1e-5  # omega/G this close, relative, are equal
LEAST_POWER: Final = 1e-6  # stands for none where the band binds, so that nobody has a loss


@dataclass(frozen=True, eq=False)
class Prices:
    """Prices of the pairs, and what comes of them.

    Attributes:
        per_kwh: (pairs, steps) currency per kWh delivered; the middle where a pair does not trade.
        payments: (participants,) paid > 0, currency; the sum is 0.
        wanted: (participants,) what they would be without the band.
        possible: whether these are the payments wanted.
    """

    per_kwh: Array
    payments: Array
    wanted: Array
    possible: bool


def prices_within(bargain: Bargain, pairs: Pairs, low: Array, high: Array) -> Prices:
    """Return the prices nearest the middle of a band that carry a bargain, as far as it allows.

    Args:
        bargain: savings and powers.
        pairs: who trades.
        low: (steps,) least price, currency per kWh.
        high: (steps,) greatest price, currency per kWh.

    Raises:
        InputError: the band is empty in some step, no prices in it leave everyone a gain, or as in
            `restricted`.
        SolverError: a solver proved no optimum.
    """
    if (low > high).any():
        t = int((low - high).argmax())
        raise InputError(f"prices: in step {t} the least is {low[t]:g}, the greatest {high[t]:g}")
    wanted = restricted(bargain, pairs)
    ends = _ends(pairs, low, high)
    possible = _carries(pairs, ends, wanted)
    power = bargain.power if possible else _at_least(bargain.power)
    at_end = np.zeros(len(pairs.first)) if possible else _ends_reached(bargain, pairs, ends)
    middle = np.tile(0.5 * (low + high), (len(pairs.first), 1))
    towards = np.sign(at_end[:, None] * pairs.kwh)
    price = middle + 0.5 * towards * (high - low)
    # The others share what is left, as if they were alone.
    inner = at_end == 0.0
    left = bargain.savings - pairs.paid(np.where(inner[:, None], 0.0, price))
    rest = replace(
        pairs, first=pairs.first[inner], second=pairs.second[inner], kwh=pairs.kwh[inner]
    )
    paid = restricted(Bargain(left, np.zeros(len(left)), power), rest)
    price[inner] = _nearest(rest, paid, middle[inner], (low, high))
    return Prices(price, pairs.paid(price), wanted, possible)


def _at_least(power: Array) -> Array:
    """Return powers of which none is 0; the sum is 1."""
    power = np.maximum(power, LEAST_POWER)
    return np.asarray(power / power.sum())


def _ends(pairs: Pairs, low: Array, high: Array) -> tuple[Array, Array]:
    """Return the least and most that the first of each pair can pay the second, (pairs,) each."""
    sides = pairs.kwh * low, pairs.kwh * high
    return np.minimum(*sides).sum(axis=1), np.maximum(*sides).sum(axis=1)


def _stands(pairs: Pairs) -> sparse.csr_array:
    """Return D, (participants, pairs): 1 for the first of each pair, -1 for the second."""
    k = np.arange(len(pairs.first))
    at = (np.concatenate([pairs.first, pairs.second]), np.concatenate([k, k]))
    entries = np.repeat([1.0, -1.0], len(k))
    return sparse.csr_array((entries, at), shape=(pairs.participants, len(k)))


def _carries(pairs: Pairs, ends: tuple[Array, Array], wanted: Array) -> bool:
    """Return whether prices in the band can make everyone pay what is wanted."""
    numbers = numbers_of(*ends, wanted, wanted, np.zeros(len(pairs.first)))
    try:
        Programme("payments within the band", _stands(pairs), numbers).solve()
    except InfeasibleError:
        return False
    return True


def _ends_reached(bargain: Bargain, pairs: Pairs, ends: tuple[Array, Array]) -> Array:
    """Return in which pairs the first pays the most (1) or the least (-1) that it can, (pairs,).

    It is 0 for the others, whose two sides are equally well served.
    """
    unit = float(np.abs(bargain.savings).sum())
    trading = np.union1d(pairs.first, pairs.second)
    stands = _stands(pairs)[trading]
    saving, power = bargain.savings[trading] / unit, _at_least(bargain.power)[trading]
    low, high = (side / unit for side in ends)
    gain = _start(stands, saving, (low, high))
    for _ in range(STEPS):
        step = _model(stands, saving, (low, high), power, gain) - gain
        far = float(np.abs(step / gain).max())
        gain = gain + _length(power, gain, step) * step
        if far <= CLOSE:
            break
    else:
        raise SolverError(f"payments within the band: no optimum after {STEPS} steps of Newton's")
    worth = np.zeros(pairs.participants)
    worth[trading] = power / gain
    ahead = worth[pairs.second] - worth[pairs.first]
    return np.where(np.abs(ahead) > ALIKE * worth.max(), np.sign(ahead), 0.0)


def _start(stands: sparse.csr_array, saving: Array, ends: tuple[Array, Array]) -> Array:
    """Return gains of which the least is as large as can be, (trading participants,)."""
    count, width = stands.shape
    matrix = sparse.csr_array(sparse.hstack([stands, np.ones((count, 1))]))
    numbers = numbers_of(
        np.append(ends[0], -np.inf),
        np.append(ends[1], np.inf),
        np.full(count, -np.inf),
        saving,
        np.append(np.zeros(width), -1.0),
    )
    found = Programme("gains within the band", matrix, numbers).solve()
    if found.objective >= 0.0:
        raise InputError(
            "prices: none between what the grid pays and what it takes leave everyone a gain; "
            "without a limit of prices there are payments that do"
        )
    return np.asarray(saving - stands @ found.x[:width])


def _model(
    stands: sparse.csr_array, saving: Array, ends: tuple[Array, Array], power: Array, gain: Array
) -> Array:
    """Return where the quadratic model of the Nash product at some gains is best.

    It is sum power (x/gain - 2)^2 / 2 over gains x that the band allows.
    """
    count, width = stands.shape
    # In x / gain, so that a small gain counts as much as a large one.
    quadratic = np.concatenate([np.zeros(width), power])
    linear = np.concatenate([np.zeros(width), -2.0 * power])
    rows = sparse.hstack([stands, sparse.diags_array(gain)], format="csc")
    bounds = np.append(ends[0], np.zeros(count)), np.append(ends[1], np.full(count, np.inf))
    x = _quadratic(quadratic, linear, rows, saving, bounds)
    return np.asarray(gain * x[width:])


def _length(power: Array, gain: Array, step: Array) -> float:
    """Return how far along a step the Nash product grows well enough, at most 1."""
    relative, length = step / gain, 1.0
    slope = float((power * relative).sum())
    # So small a step is exact but for rounding, which a test of growth would hear instead.
    while np.abs(length * relative).max() > SMALL:
        grown = 1.0 + length * relative
        if (grown > 0.0).all() and (power * np.log(grown)).sum() >= 0.1 * length * slope:
            break
        length *= 0.5
    return length


def _nearest(pairs: Pairs, payments: Array, middle: Array, band: tuple[Array, Array]) -> Array:
    """Return prices nearest the middle that make everyone pay what is wanted, (pairs, steps).

    Args:
        pairs: who trades.
        payments: (participants,) currency.
        middle: (pairs, steps) currency per kWh.
        band: (steps,) least and greatest price.
    """
    traded = pairs.kwh != 0.0
    if not traded.any():
        return middle.copy()
    pair, step = np.nonzero(traded)
    kwh = pairs.kwh[pair, step]
    spread = sparse.csr_array((kwh, (pair, np.arange(len(kwh)))), shape=(len(traded), len(kwh)))
    # In each group one payment follows from the others.
    follows = np.unique(pairs.groups, return_index=True)[1]
    kept = np.setdiff1d(np.arange(pairs.participants), follows)
    unit = np.abs(pairs.kwh).sum() / len(kwh)
    rows = sparse.csc_array(_stands(pairs)[kept] @ spread) / unit
    sides = (payments - pairs.paid(middle))[kept] / unit
    least, most = ((side[step] - middle[pair, step]) for side in band)
    weight = np.abs(kwh) / unit
    price = middle.copy()
    moved = _quadratic(weight, np.zeros(len(kwh)), rows, sides, (least, most))
    price[pair, step] += np.clip(moved, least, most)
    return price


def _quadratic(
    diagonal: Array, linear: Array, rows: Any, sides: Array, bounds: tuple[Array, Array]
) -> Array:
    """Return the optimum of a quadratic programme with equations and bounds, (columns,).

    Raises:
        SolverError: PIQP found no optimum.
    """
    width = len(diagonal)
    solver = piqp.SparseSolver()
    solver.settings.eps_abs = solver.settings.eps_rel = ACCURACY
    solver.settings.max_iter = 1000
    shape = (width, width)
    at = np.arange(width)
    matrix = sparse.csc_matrix((diagonal, (at, at)), shape=shape)
    none = sparse.csc_matrix((0, width))
    nothing = np.zeros(0)
    equations = sparse.csc_matrix(rows)
    solver.setup(matrix, linear, equations, sides, none, nothing, nothing, *bounds)
    status = solver.solve()
    if status != piqp.PIQP_SOLVED:
        raise SolverError(f"prices within the band: PIQP stopped with status {status}")
    return np.array(solver.result.x)
