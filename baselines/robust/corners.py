"""The corners of a set of moves with budgets.

Source: our choice.
"""

from collections.abc import Iterator
from itertools import combinations, product, zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Sparse

Integers = NDArray[np.int64]


class Slot(NamedTuple):
    """A move, or two opposed moves of which one is made.

    Attributes:
        group: their group.
        moves: one or two numbers of moves.
    """

    group: int
    moves: tuple[int, ...]


def slots_of(moves: Sparse, group: Integers, groups: int) -> list[list[Slot]]:
    """Return the moves of each group, opposed ones together.

    Args:
        moves: (entries, moves) what each move changes.
        group: (moves,) the group of each.
        groups: their number.
    """
    columns = sparse.csc_array(moves, copy=True)
    columns.sum_duplicates()  # which sorts them, too
    columns.eliminate_zeros()
    lines: dict[tuple[int, bytes, bytes], tuple[list[int], list[int]]] = {}
    for move, own in enumerate(group.tolist()):
        part = slice(columns.indptr[move], columns.indptr[move + 1])
        entries, sizes = columns.indices[part], columns.data[part]
        largest = sizes[np.argmax(np.abs(sizes))] if len(sizes) else 1.0
        line = (own, entries.tobytes(), (sizes / largest).tobytes())
        lines.setdefault(line, ([], []))[int(largest < 0.0)].append(move)
    slots: list[list[Slot]] = [[] for _ in range(groups)]
    for (own, *_), (up, down) in lines.items():
        for both in zip_longest(up, down):
            slots[own].append(Slot(own, tuple(move for move in both if move is not None)))
    return slots


def corner_count(slots: list[Slot], budget: float) -> int:
    """Return how many vertices a group has whose budget is no more than it has slots."""
    ways = [1]  # of making so many moves
    for slot in slots:
        ways = [
            same + len(slot.moves) * one_less
            for same, one_less in zip([*ways, 0], [0, *ways], strict=True)
        ]
    most = int(budget)
    partly = (most + 1) * ways[most + 1] if budget > most else 0
    return sum(ways[: most + 1]) + partly


def corners_of(slots: list[Slot], budget: float) -> Iterator[tuple[tuple[int, ...], list[float]]]:
    """Yield the vertices of a group: which moves are made, and how far."""
    most = int(budget)
    for count in range(most + 1):
        for chosen in combinations(slots, count):
            for moves in product(*(slot.moves for slot in chosen)):
                yield moves, [1.0] * count
    if budget == most:
        return
    for chosen in combinations(slots, most + 1):
        for moves in product(*(slot.moves for slot in chosen)):
            for partly in range(most + 1):
                yield moves, [budget - most if k == partly else 1.0 for k in range(most + 1)]
