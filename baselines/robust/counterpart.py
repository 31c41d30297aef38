"""Robust counterparts: rows that hold for every move of a set, as rows of a linear programme.

Factors v are what rules look at: each entry's deviation as a share of its largest; or, where rules
tell up from down, its part above 0 and its part below. A row bounds a . y where y = y0 + Y v, so a
factor of 1 adds d = a Y - f to its left side, with f what it adds to the sides. In an equation all
d are 0. In an inequality a move j adds d_j, its share of its factor's, and by duality::

    max over U of sum_j d_j z_j  =  min  sum_g budget_g eta_g + sum_k mu_k
                                    with eta_g(j) + mu_k(j) >= d_j,  eta, mu >= 0

A move up and a move down of one entry, of which one is made, share their mu. Where all factors
deviate as far up as down, the least and the most of a row are one number. A budget that no row's
moves can exceed has no eta.

Source: Ben-Tal & Nemirovski 1999; Bertsimas & Sim 2004 (budgets); Chen, Sim, Sun & Zhang 2008 (up
and down told apart).
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Sparse
from baselines.robust.problem import Scene
from baselines.robust.sets import UncertaintySet
from mmg_env.errors import InputError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SAME: Final = 1e-9  # relative difference that is rounding


class Factors(NamedTuple):
    """What rules look at in a scene.

    Attributes:
        entry: (factors,) the entry of each factor.
        size: (factors,) the deviation of the entry at which the factor is 1.
        apart: whether a factor is 0 where the entry deviates the other way.
        shift: (rows, factors) what a factor of 1 adds to both sides of the rows.
        factor: (moves,) which factor each move changes, in order; only moves that can be made.
        share: (moves,) by how much.
        slot: (moves,) an entry's move up and its move down have one number.
        group: (slots,) which budget each counts for.
        budget: (groups,).
        symmetric: whether each factor moves as far down as up.
    """

    entry: Integers
    size: Array
    apart: bool
    shift: Sparse
    factor: Integers
    share: Array
    slot: Integers
    group: Integers
    budget: Array
    symmetric: bool

    def seen(self, deviation: Array) -> Array:
        """Return the factors, (factors,), of a deviation, (entries,)."""
        seen = deviation[self.entry] / self.size
        return np.maximum(seen, 0.0) if self.apart else seen

    def most(self, gain: Array) -> float:
        """Return what moves add at most if each factor of 1 adds its gain, (factors,)."""
        best = np.zeros(len(self.group))
        np.maximum.at(best, self.slot, self.share * gain[self.factor])
        each = sparse.eye_array(len(best), format="csr")
        return UncertaintySet(each, self.group, self.budget).support(best)[0]


class Lines(NamedTuple):
    """Rows low <= matrix . columns <= high, and what factors do to them.

    Attributes:
        matrix: (lines, columns).
        low: (lines,).
        high: (lines,).
        line: (pairs,) a line that a factor can move; each pair once.
        factor: (pairs,) the factor.
        slope: (pairs, coefficients) by how much a unit of a rule's coefficient raises what a factor
            of 1 adds to the line.
        shift: (pairs,) what a factor of 1 adds to the line's sides.
    """

    matrix: Sparse
    low: Array
    high: Array
    line: Integers
    factor: Integers
    slope: Sparse
    shift: Array


class Counterpart(NamedTuple):
    """Rows that hold for every move.

    Attributes:
        matrix: (rows, columns + coefficients + duals).
        low: (rows,).
        high: (rows,).
        duals: number of eta and mu; they are not negative.
    """

    matrix: Sparse
    low: Array
    high: Array
    duals: int


def factors_of(scene: Scene, apart: bool) -> Factors:
    """Return what rules look at in a scene.

    Args:
        scene: the scene.
        apart: whether they tell up from down.

    Raises:
        InputError: a move changes several entries or none, or two moves of an entry shift rows
            differently.
    """
    uncertain = scene.uncertain
    moves = sparse.csc_array(uncertain.moves)
    moves.eliminate_zeros()
    many = np.diff(moves.indptr)
    if (many != 1).any():
        wrong = int(np.argmax(many != 1))
        raise InputError(
            f"uncertainty set: move {wrong} changes {many[wrong]} entries; "
            "affine rules need moves that change one entry each"
        )
    budget = np.floor(uncertain.budget) if uncertain.whole else uncertain.budget
    able = np.flatnonzero(budget[uncertain.group] > 0.0)
    key = 2 * moves.indices[able].astype(np.int64) + (apart & (moves.data[able] < 0.0))
    able = able[np.argsort(key, kind="stable")]
    amount = moves.data[able]
    found, first, factor = np.unique(np.sort(key), return_index=True, return_inverse=True)
    size = np.zeros(len(found))
    np.maximum.at(size, factor, np.abs(amount))
    size *= np.where(found % 2, -1.0, 1.0)
    share = amount / size[factor]
    push = sparse.csc_array(scene.push)[:, able]
    shift = sparse.csr_array(push[:, first] @ sparse.diags_array(1.0 / share[first]))
    _check_shift(push, moves.indices[able], amount)
    slot, group = _slots(found[factor] // 2, uncertain.group[able], amount)
    paired = (np.bincount(slot) == 2).all() and (np.abs(np.bincount(slot, share)) <= SAME).all()
    symmetric = bool(paired) and not apart
    return Factors(found // 2, size, apart, shift, factor, share, slot, group, budget, symmetric)


def _check_shift(push: Sparse, entry: Integers, amount: Array) -> None:
    """Refuse moves of one entry that shift rows each in its own way."""
    _, first, of_entry = np.unique(entry, return_index=True, return_inverse=True)
    ratio = amount / amount[first][of_entry]
    missed = abs(push - push[:, first[of_entry]] @ sparse.diags_array(ratio))
    if missed.nnz and missed.max() > SAME * (1.0 + abs(push).max()):
        raise InputError(
            f"push: two moves of one entry differ by {missed.max()} in what a row is shifted by; "
            "affine rules need shifts in proportion to the entry"
        )


def _slots(entry: Integers, group: Integers, amount: Array) -> tuple[Integers, Integers]:
    """Return the slot of each move, (moves,), and the group of each slot, (slots,)."""
    key = np.stack([entry, group, (amount > 0.0).astype(np.int64)])
    if len(np.unique(key, axis=1).T) < len(entry):
        return np.arange(len(entry)), group
    found, slot = np.unique(key[:2], axis=1, return_inverse=True)
    return slot.ravel(), found[1]


def counterpart(lines: Lines, factors: Factors) -> Counterpart:
    """Return rows that hold for every move if lines and rules do, and only then."""
    width = len(lines.low)
    exact = (lines.low == lines.high)[lines.line]
    pair, down = np.flatnonzero(~exact), np.zeros((~exact).sum(), dtype=np.bool_)
    if not factors.symmetric:
        down = np.repeat([False, True], len(pair))
        pair = np.tile(pair, 2)
        side = np.where(down, lines.low[lines.line[pair]], lines.high[lines.line[pair]])
        pair, down = pair[np.isfinite(side)], down[np.isfinite(side)]
    dual = _dual(lines, factors, pair, down)
    most, least = dual.total[:width], dual.total[(0 if factors.symmetric else width) :][:width]
    moved = np.zeros(width, dtype=np.bool_)
    moved[lines.line[~exact]] = True
    still = np.flatnonzero(~moved)
    below = np.flatnonzero(moved & np.isfinite(lines.high))
    above = np.flatnonzero(moved & np.isfinite(lines.low))
    matrix = sparse.block_array(
        [
            [lines.matrix[still], None, None],
            [lines.matrix[below], None, most[below]],
            [lines.matrix[above], None, -least[above]],
            [None, lines.slope[np.flatnonzero(exact)], None],
            [None, dual.slope, dual.matrix],
        ],
        format="csr",
    )
    met = lines.shift[exact]
    low = [lines.low[still], np.full(len(below), -np.inf), lines.low[above], met, dual.low]
    none = np.full(len(above), np.inf)
    high = [lines.high[still], lines.high[below], none, met, np.full(len(dual.low), np.inf)]
    return Counterpart(matrix, np.concatenate(low), np.concatenate(high), most.shape[1])


class _Dual(NamedTuple):
    """Duals of how far moves move lines.

    Attributes:
        total: (2 * lines, duals) what moves add at most to each line, then what they take away.
        slope: (rows, coefficients) of eta + mu - d >= 0.
        matrix: (rows, duals) likewise.
        low: (rows,).
    """

    total: Sparse
    slope: Sparse
    matrix: Sparse
    low: Array


def _dual(lines: Lines, factors: Factors, pair: Integers, down: NDArray[np.bool_]) -> _Dual:
    """Return the duals of some pairs of line and factor, each upwards or downwards."""
    begin = np.searchsorted(factors.factor, np.arange(len(factors.entry) + 1))
    which, move = expanded(begin, lines.factor[pair])
    of_pair = pair[which]
    reach = (lines.line[pair] + len(lines.low) * down)[which]
    slots, groups = max(1, len(factors.group)), max(1, len(factors.budget))
    mu, at_mu = np.unique(reach * slots + factors.slot[move], return_inverse=True)
    used = mu // slots * groups + factors.group[mu % slots]
    eta, at_eta, count = np.unique(used, return_inverse=True, return_counts=True)
    limits = count > factors.budget[eta % groups]
    column = len(mu) + np.cumsum(limits) - 1
    rows, row_eta = np.arange(len(move)), at_eta[at_mu]
    bound = limits[row_eta]
    duals = len(mu) + int(limits.sum())
    matrix = sparse.csr_array(
        (
            np.ones(len(rows) + bound.sum()),
            (
                np.concatenate([rows, rows[bound]]),
                np.concatenate([at_mu, column[row_eta[bound]]]),
            ),
        ),
        shape=(len(rows), duals),
    )
    total = sparse.csr_array(
        (
            np.concatenate([np.ones(len(mu)), factors.budget[eta[limits] % groups]]),
            (np.concatenate([mu // slots, eta[limits] // groups]), np.arange(duals)),
        ),
        shape=(2 * len(lines.low), duals),
    )
    weight = np.where(down[which], -1.0, 1.0) * factors.share[move]
    slope = -sparse.diags_array(weight) @ lines.slope[of_pair]
    return _Dual(total, sparse.csr_array(slope), matrix, -weight * lines.shift[of_pair])


def expanded(begin: Integers, rows: Integers) -> tuple[Integers, Integers]:
    """Return the elements of some rows of a compressed array, one after another.

    Args:
        begin: (rows + 1,) where each row begins.
        rows: (chosen,) which rows.

    Returns:
        (elements,) which of the chosen rows each is of, and (elements,) its number.
    """
    length = np.diff(begin)[rows]
    which = np.repeat(np.arange(len(rows)), length)
    ahead = np.cumsum(length) - length
    return which, np.arange(len(which)) + (begin[rows] - ahead)[which]
