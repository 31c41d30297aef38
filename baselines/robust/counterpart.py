"""Robust counterparts: rows that hold for every move of a set, as rows of a linear programme.

Factors v are the entries that may deviate, as shares of their largest deviation. A row bounds a . y
where y = y0 + Y v follows rules, so a factor of 1 adds d = a Y - f to its left side, with f what it
adds to the sides. In an equation all d are 0. In an inequality a move j adds d_j, and by duality::

    max over U of sum_j d_j z_j  =  min  sum_g budget_g eta_g + sum_j mu_j
                                    with eta_g(j) + mu_j >= d_j,  eta, mu >= 0

A move up and a move down of one entry share their mu, for at most one of the two gains. Where all
entries deviate as far up as down, the least and the most of a row are one number. A budget that no
row's moves can exceed has no eta.

Source: Ben-Tal & Nemirovski 1999; Bertsimas & Sim 2004 (budgets).
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Sparse
from baselines.robust.problem import Scene
from mmg_env.errors import InputError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SAME: Final = 1e-9  # relative difference that is rounding


class Factors(NamedTuple):
    """What may deviate in a scene, entry by entry.

    Attributes:
        entry: (factors,) number of each factor's entry.
        size: (factors,) its largest deviation either way, in the entry's unit.
        shift: (rows, factors) what a factor of 1 adds to both sides of the rows.
        factor: (moves,) which factor each move changes, in order; only moves that can be made.
        share: (moves,) to what share of its size, -1..1.
        slot: (moves,) an entry's move up and its move down have one number.
        group: (slots,) which budget each counts for.
        budget: (groups,).
        symmetric: whether each entry deviates as far up as down.
    """

    entry: Integers
    size: Array
    shift: Sparse
    factor: Integers
    share: Array
    slot: Integers
    group: Integers
    budget: Array
    symmetric: bool


class Lines(NamedTuple):
    """Rows low <= matrix . columns <= high, and what factors do to them.

    Attributes:
        matrix: (lines, columns).
        low: (lines,).
        high: (lines,).
        slope: (lines * factors, coefficients) by how much a coefficient of the rules raises what
            a factor of 1 adds to a line.
        shift: (lines * factors,) what it adds to the line's sides.
    """

    matrix: Sparse
    low: Array
    high: Array
    slope: Sparse
    shift: Sparse


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


def factors_of(scene: Scene) -> Factors:
    """Return what may deviate in a scene, entry by entry.

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
    able = able[np.argsort(moves.indices[able], kind="stable")]
    entry, first, factor = np.unique(moves.indices[able], return_index=True, return_inverse=True)
    size = np.zeros(len(entry))
    np.maximum.at(size, factor, np.abs(moves.data[able]))
    share = moves.data[able] / size[factor]
    push = sparse.csc_array(scene.push)[:, able]
    shift = push[:, first] @ sparse.diags_array(1.0 / share[first])
    _check_shift(push, shift, factor, share)
    slot, group = _slots(factor, uncertain.group[able], share)
    paired = (np.bincount(slot) == 2).all() and (np.abs(np.bincount(slot, share)) <= SAME).all()
    number = factor.astype(np.int64)
    shift = sparse.csr_array(shift)
    return Factors(entry, size, shift, number, share, slot, group, budget, bool(paired))


def _check_shift(push: Sparse, shift: Sparse, factor: Integers, share: Array) -> None:
    """Refuse moves of one entry that shift rows each in its own way."""
    missed = abs(push - shift[:, factor] @ sparse.diags_array(share))
    if missed.nnz and missed.max() > SAME * (1.0 + abs(push).max()):
        raise InputError(
            f"push: two moves of one entry differ by {missed.max()} in what a row is shifted by; "
            "affine rules need shifts in proportion to the entry"
        )


def _slots(factor: Integers, group: Integers, share: Array) -> tuple[Integers, Integers]:
    """Return the slot of each move, (moves,), and the group of each slot, (slots,)."""
    key = np.stack([factor, group, share > 0.0])
    if len(np.unique(key, axis=1).T) < len(factor):
        return np.arange(len(factor)), group
    found, slot = np.unique(key[:2], axis=1, return_inverse=True)
    return slot.ravel().astype(np.int64), found[1].astype(np.int64)


def counterpart(lines: Lines, factors: Factors) -> Counterpart:
    """Return rows that say that lines hold for every move."""
    count = len(factors.entry)
    met = np.union1d(_rows(lines.slope), _rows(lines.shift))
    line, factor = met // max(count, 1), met % max(count, 1)
    equal = lines.low == lines.high
    match = met[equal[line]]
    sides = _sides(lines, met[~equal[line]], count, factors.symmetric)
    dual, total, slope = _dual(sides, factors)
    ...
