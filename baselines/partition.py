"""A programme divided between a master and pieces that know of it only what they must.

Every column has an owner. A row that holds columns of one piece alone is that piece's own, and what
the master does in it is one number h, so that the piece's sides stay with the piece::

    sides of the piece:   lower <= a z + h <= upper,   h = b x

A row in which several pieces stand, or that is said to be common, is the community's and stays with
the master; what each piece does in it is one number y, which the master asks for::

    sides of the master:  lower <= b x + sum y <= upper,   a z - y = 0

In both cases the piece is told numbers, and answers with its cost and the slope in them.

Source: our choice; it is what "compact" means here.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Sparse
from baselines.programme import Programme, numbers_of

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

MASTER = -1


@dataclass(frozen=True, eq=False)
class Piece:
    """What one owner decides for itself.

    Attributes:
        programme: its columns and rows.
        columns: numbers of its columns in the whole.
        rows: numbers of its rows in the whole.
        coupled: those of its rows, counted from its first, into which numbers are told.
        told: (coupled rows, master's columns) what is told, as sums of the master's columns.
    """

    programme: Programme
    columns: Integers
    rows: Integers
    coupled: Integers
    told: Sparse


@dataclass(frozen=True, eq=False)
class Partition:
    """A whole in parts.

    Attributes:
        master: its columns come first, then what it asks of pieces in the community's rows.
        columns: numbers of its own columns in the whole.
        asked: (master's columns, columns of the whole) a solution of the whole as the master's is
            asked @ solution.
        pieces: one per owner.
    """

    master: Programme
    columns: Integers
    asked: Sparse
    pieces: tuple[Piece, ...]


def partition(
    whole: Programme, owner: Integers, common: NDArray[np.bool_] | None = None
) -> Partition:
    """Divide a programme.

    Args:
        whole: the programme.
        owner: (columns,) number of the piece that decides each column; -1 for the master.
        common: (rows,) rows that are the community's even if one piece alone stands in them.
    """
    entries = sparse.coo_array(whole.matrix)
    keeper = _keepers(entries, owner, whole.matrix.shape[0])
    if common is not None:
        keeper[common] = MASTER
    mine = np.flatnonzero(owner == MASTER)
    # What pieces do in the community's rows: one column for each piece in each such row.
    abroad = (owner[entries.col] != MASTER) & (keeper[entries.row] == MASTER)
    pairs = np.unique(np.stack([owner[entries.col[abroad]], entries.row[abroad]]), axis=1)
    asked = _asked(whole, owner, mine, pairs)
    master = _master(whole, keeper, mine, pairs, asked)
    pieces = _pieces(whole, owner, keeper, mine, pairs)
    return Partition(master, mine, asked, tuple(pieces))


def _keepers(entries: Sparse, owner: Integers, rows: int) -> Integers:
    """Return who keeps each row: the one piece that stands in it, else the master."""
    of_piece = owner[entries.col] != MASTER
    first = np.full(rows, np.iinfo(np.int64).max)
    last = np.full(rows, MASTER)
    np.minimum.at(first, entries.row[of_piece], owner[entries.col[of_piece]])
    np.maximum.at(last, entries.row[of_piece], owner[entries.col[of_piece]])
    return np.where(first == last, last, MASTER)


def _asked(whole: Programme, owner: Integers, mine: Integers, pairs: Integers) -> Sparse:
    """Return the master's columns as sums of those of the whole."""
    width = len(owner)
    own = sparse.csr_array((np.ones(len(mine)), (np.arange(len(mine)), mine)), (len(mine), width))
    parts = sparse.csr_array(whole.matrix)[pairs[1]].tocoo()
    kept = owner[parts.col] == pairs[0][parts.row]
    shape = (pairs.shape[1], width)
    at = (parts.row[kept], parts.col[kept])
    return sparse.vstack([own, sparse.csr_array((parts.data[kept], at), shape=shape)], format="csr")


def _master(
    whole: Programme, keeper: Integers, mine: Integers, pairs: Integers, asked: Sparse
) -> Programme:
    """Return the master's programme."""
    n = whole.numbers
    rows = np.flatnonzero(keeper == MASTER)
    own = sparse.csr_array(whole.matrix)[rows][:, mine]
    place = np.searchsorted(rows, pairs[1])
    count = pairs.shape[1]
    asks = sparse.csr_array((np.ones(count), (place, np.arange(count))), (len(rows), count))
    # A piece can do no more in a row than its own bounds allow.
    parts = sparse.csr_array(asked[len(mine) :])
    up, down = parts.maximum(0), parts.minimum(0)
    low, high = up @ n.lower + down @ n.upper, up @ n.upper + down @ n.lower
    numbers = numbers_of(
        np.concatenate([n.lower[mine], low]),
        np.concatenate([n.upper[mine], high]),
        n.row_lower[rows],
        n.row_upper[rows],
        np.concatenate([n.cost[mine], np.zeros(count)]),
        n.offset,
    )
    return Programme(f"master of {whole.name}", sparse.hstack([own, asks], format="csr"), numbers)


def _pieces(
    whole: Programme, owner: Integers, keeper: Integers, mine: Integers, pairs: Integers
) -> list[Piece]:
    """Return the pieces."""
    by_row = sparse.csr_array(whole.matrix)
    place = np.empty(len(owner), dtype=np.int64)  # of a column among those of its owner
    place[mine] = np.arange(len(mine))
    pieces = []
    for number, (columns, rows) in enumerate(
        zip(_grouped(owner), _grouped(keeper, len(_grouped(owner))), strict=True)
    ):
        place[columns] = np.arange(len(columns))
        asked = np.flatnonzero(pairs[0] == number)
        own = _cut(
            by_row[np.concatenate([rows, pairs[1, asked]])], owner, place, number, len(columns)
        )
        told = _cut(by_row[rows], owner, place, MASTER, len(mine) + pairs.shape[1])
        coupled = np.flatnonzero(np.diff(told.indptr) > 0)
        asks = (-np.ones(len(asked)), (np.arange(len(asked)), len(mine) + asked))
        shape = (len(asked), told.shape[1])
        n, nothing = whole.numbers, np.zeros(len(asked))
        numbers = numbers_of(
            n.lower[columns],
            n.upper[columns],
            np.concatenate([n.row_lower[rows], nothing]),
            np.concatenate([n.row_upper[rows], nothing]),
            n.cost[columns],
        )
        pieces.append(
            Piece(
                Programme(f"piece {number} of {whole.name}", own, numbers),
                columns,
                np.concatenate([rows, pairs[1, asked]]),
                np.concatenate([coupled, len(rows) + np.arange(len(asked))]),
                sparse.vstack([told[coupled], sparse.csr_array(asks, shape=shape)], format="csr"),
            )
        )
    return pieces


def _grouped(number: Integers, count: int | None = None) -> list[Integers]:
    """Return the positions of 0, 1, ... in an array of numbers, those of -1 left out."""
    order = np.argsort(number, kind="stable")
    edges = np.searchsorted(number[order], np.arange((count or int(number.max()) + 1) + 1))
    return [order[a:b] for a, b in itertools.pairwise(edges)]


def _cut(rows: Sparse, owner: Integers, place: Integers, number: int, width: int) -> Sparse:
    """Return the part of some rows that one owner's columns make up, over those columns."""
    entries = rows.tocoo()
    kept = owner[entries.col] == number
    at = (entries.row[kept], place[entries.col[kept]])
    return sparse.csr_array((entries.data[kept], at), shape=(rows.shape[0], width))
