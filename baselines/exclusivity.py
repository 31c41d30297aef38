"""Devices that never run both ways at once.

Charging while discharging, or receiving while sending, burns energy. A linear model does so
wherever energy has a negative value, which needs no negative price. Overlaps are looked for in a
solution; the search then closes one side of a pair, or a binary z does::

    a <= a_max * z, b <= b_max * (1 - z)

Source: docs/model.md section 10, "Exclusivity".
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Compiled, Numbers, Sparse
from baselines.highs import Solver

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

OVERLAP_KW: Final = 1e-6

# Each side is a sum of variables. The storage's nominated pair differs from the realised one in
# hours with a call of spinning reserve only.
FAMILIES: Final = (
    (("discharge_kw",), ("charge_kw",)),
    (("virtual_out_kw",), ("virtual_in_kw",)),
    (("sent_kw",), ("received_kw",)),
    (("planned_kw",), ("charge_kw", "called_less_kw")),
)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Sums of which not both may be positive.

    Attributes:
        first: (pairs, 2) columns of the one side; -1 where there is none.
        second: (pairs, 2) columns of the other side.
        first_max: (pairs,) most that the first side can be.
        second_max: (pairs,) most that the second side can be.
        group: (pairs,) number of device and day.
    """

    first: Integers
    second: Integers
    first_max: Array
    second_max: Array
    group: Integers

    def overlap(self, x: Array) -> Array:
        """Return how much of both sides of each pair is used at once, (pairs,), kW."""
        return np.minimum(*self.sides(x))

    def placed(self, place: Integers) -> "Pairs":
        """Return the same pairs in another programme.

        Args:
            place: (columns,) number of each column in that programme.
        """
        padded = np.append(place, -1)  # -1 stays -1
        return replace(self, first=padded[self.first], second=padded[self.second])

    def among(self, columns: Integers) -> "Pairs":
        """Return the pairs of which both sides stand in some columns."""
        kept = np.isin(self.first[:, 0], columns) & np.isin(self.second[:, 0], columns)
        return self.chosen(np.flatnonzero(kept))

    def chosen(self, which: Integers) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(
            self.first[which],
            self.second[which],
            self.first_max[which],
            self.second_max[which],
            self.group[which],
        )

    def sides(self, x: Array) -> tuple[Array, Array]:
        """Return the two sums of each pair, (pairs,), kW."""
        padded = np.append(x, 0.0)
        nothing = len(x)
        first, second = (
            padded[np.where(side < 0, nothing, side)].sum(axis=1)
            for side in (self.first, self.second)
        )
        return first, second


def no_pairs() -> Pairs:
    """Return no pairs."""
    none = np.zeros((0, 2), dtype=np.int64)
    return Pairs(none, none, np.zeros(0), np.zeros(0), none[:, 0])


def find_pairs(
    compiled: Compiled, numbers: Numbers, steps: slice = slice(None), steps_per_day: int = 1
) -> Pairs:
    """Return all pairs to which the bounds leave a choice.

    Args:
        compiled: the model.
        numbers: its bounds.
        steps: steps of the model to look at.
        steps_per_day: for the groups.
    """
    first, second, group = [], [], []
    for number, names in enumerate(FAMILIES):
        if names[0][0] not in compiled.columns:
            continue
        sides = [_columns(compiled, side, "planned_kw" in names[0])[..., steps] for side in names]
        rows, hours = np.nonzero((sides[0][0] >= 0) & (sides[1][0] >= 0))
        first.append(sides[0][:, rows, hours].T)
        second.append(sides[1][:, rows, hours].T)
        group.append((number * 1000 + rows) * 1000 + hours // steps_per_day)
    none = np.zeros((0, 2), dtype=np.int64)
    pairs = [np.concatenate([none, *side]) for side in (first, second)]
    most = [_most(numbers, side) for side in pairs]
    free = (most[0] > 0.0) & (most[1] > 0.0)
    # Without a call the nominated pair is the realised one.
    free &= (pairs[1][:, 1] < 0) | (numbers.upper[pairs[1][:, 1]] > 0.0)
    groups = np.concatenate([none[:, 0], *group])
    return Pairs(pairs[0][free], pairs[1][free], most[0][free], most[1][free], groups[free])


def _columns(compiled: Compiled, names: tuple[str, ...], storage_only: bool) -> Integers:
    """Return (2, rows, steps) columns of a side."""
    arrays = [compiled.columns[name] for name in names]
    if storage_only:
        arrays = [a[-1:] if a.ndim == 2 else a[None] for a in arrays]
    if len(arrays) == 1:
        arrays.append(np.full_like(arrays[0], -1))
    return np.stack(arrays)


def _most(numbers: Numbers, columns: Integers) -> Array:
    """Return the largest value of each side: two variables share the rating of the first."""
    return numbers.upper[columns[:, 0]]


def forbid(solver: Solver, pairs: Pairs, chosen: Integers) -> Integers:
    """Add a binary per chosen pair to the model; return their columns."""
    matrix, upper = one_way(pairs.chosen(chosen), solver.columns)
    count = len(chosen)
    return solver.add(np.ones(count), np.full(2 * count, -np.inf), upper, matrix)


def one_way(pairs: Pairs, width: int) -> tuple[Sparse, Array]:
    """Return rows that let a binary per pair decide which side may be used, and their upper sides.

    Args:
        pairs: in a model.
        width: its columns; the binaries stand behind them.
    """
    count = len(pairs.first)
    at = np.arange(width, width + count)
    first = _sum(pairs.first, at, -pairs.first_max)
    second = _sum(pairs.second, at, pairs.second_max)
    upper = np.concatenate([np.zeros(count), pairs.second_max])
    return sparse.vstack([first, second], format="csr"), upper


def _sum(columns: Integers, binary: Integers, factor: Array) -> sparse.csr_array:
    """Return rows: the sum of the columns plus factor times the binary."""
    rows, _ = used = np.nonzero(columns >= 0)
    count = len(columns)
    entries = np.concatenate([np.ones(len(rows)), factor])
    at = np.concatenate([columns[used], binary])
    shape = (count, int(binary[-1]) + 1)
    return sparse.csr_array((entries, (np.concatenate([rows, np.arange(count)]), at)), shape=shape)
