"""Devices that never run both ways at once: found where a solution breaks it, then forbidden.

Charging while discharging, or receiving while sending, burns energy. A linear model does so
wherever energy has a negative value, which needs no negative price. For each such pair and hour
one binary z is added::

    a <= a_max * z,   b <= b_max * (1 - z)

Source: docs/model.md section 10, "Exclusivity".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Compiled, Numbers
from baselines.highs import Solver

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

OVERLAP_KW = 1e-6


@dataclass(frozen=True, eq=False)
class Pairs:
    """Candidates: row k of `first` times x, and of `second`, must not both be positive.

    Attributes:
        first: (pairs, columns) sparse.
        second: (pairs, columns) sparse.
        first_max: (pairs,) most that the first can be.
        second_max: (pairs,) most that the second can be.
        group: (pairs,) device and day; a group is forbidden as a whole when it comes up again.
    """

    first: sparse.csr_array
    second: sparse.csr_array
    first_max: Array
    second_max: Array
    group: Integers


# (first, second): each a sum of variables with signs.
FAMILIES = (
    ({"discharge_kw": 1.0}, {"charge_kw": 1.0}),
    ({"virtual_out_kw": 1.0}, {"virtual_in_kw": 1.0}),
    ({"sent_kw": 1.0}, {"received_kw": 1.0}),
)
# What was nominated before a call of spinning reserve; it differs from the realised pair only then.
NOMINATED = (
    {"discharge_kw": 1.0, "called_more_kw": -1.0},
    {"charge_kw": 1.0, "called_less_kw": 1.0},
)


def find_pairs(compiled: Compiled, numbers: Numbers, steps_per_day: int) -> Pairs:
    """Return all pairs of a model that its bounds leave any choice."""
    width = compiled.matrix.shape[1]
    none = np.zeros(0, dtype=np.int64)
    empty = _select(none, width)
    parts = [Pairs(empty, empty, np.zeros(0), np.zeros(0), none)]
    for number, (first, second) in enumerate(FAMILIES):
        if next(iter(first)) in compiled.columns:
            parts.append(_family(compiled, numbers, (first, second), steps_per_day, number))
    if "called_more_kw" in compiled.columns:
        parts.append(_nominated(compiled, numbers, steps_per_day))
    return Pairs(
        sparse.vstack([p.first for p in parts], format="csr"),
        sparse.vstack([p.second for p in parts], format="csr"),
        np.concatenate([p.first_max for p in parts]),
        np.concatenate([p.second_max for p in parts]),
        np.concatenate([p.group for p in parts]),
    )


def _family(
    compiled: Compiled,
    numbers: Numbers,
    sides: tuple[dict[str, float], dict[str, float]],
    steps_per_day: int,
    number: int,
) -> Pairs:
    """Return the pairs of one kind of device."""
    names = [next(iter(side)) for side in sides]
    first, second = (compiled.columns[name] for name in names)
    rows, steps = np.nonzero((first >= 0) & (second >= 0))
    a, b = first[rows, steps], second[rows, steps]
    free = (numbers.upper[a] > 0.0) & (numbers.upper[b] > 0.0)
    rows, steps, a, b = rows[free], steps[free], a[free], b[free]
    group = (number * 1000 + rows) * 1000 + steps // steps_per_day
    width = compiled.matrix.shape[1]
    return Pairs(
        _select(a, width), _select(b, width), numbers.upper[a], numbers.upper[b], group
    )


def _nominated(compiled: Compiled, numbers: Numbers, steps_per_day: int) -> Pairs:
    """Return the storage's nominated pair in hours with a call."""
    columns = compiled.columns
    called = np.flatnonzero(numbers.upper[columns["called_more_kw"]] > 0.0)
    width = compiled.matrix.shape[1]
    sides = []
    for side in NOMINATED:
        row = sparse.csr_array((len(called), width))
        for name, sign in side.items():
            numbers_of = columns[name][-1] if columns[name].ndim == 2 else columns[name]
            row = row + sign * _select(numbers_of[called], width)
        sides.append(row)
    discharge = columns["discharge_kw"][-1][called]
    most = numbers.upper[discharge]
    return Pairs(sides[0], sides[1], most, most, -1 - called // steps_per_day)


def _select(columns: Integers, width: int) -> sparse.csr_array:
    """Return the matrix that picks columns of x."""
    return _place(np.ones(len(columns)), columns, width)


def _place(values: Array, columns: Integers, width: int) -> sparse.csr_array:
    """Return the matrix with one value per row."""
    count = len(columns)
    return sparse.csr_array((values, columns, np.arange(count + 1)), shape=(count, width))


def overlapping(pairs: Pairs, x: Array) -> Integers:
    """Return the pairs of which both are positive."""
    x = x[: pairs.first.shape[1]]
    both = np.minimum(pairs.first @ x, pairs.second @ x)
    return np.flatnonzero(both > OVERLAP_KW)


def forbid(solver: Solver, pairs: Pairs, chosen: Integers) -> Integers:
    """Add a binary per chosen pair to the model; return their columns."""
    count = len(chosen)
    width = solver.columns
    first, second = pairs.first[chosen], pairs.second[chosen]
    for side in (first, second):
        side.resize(count, width + count)
    at = np.arange(width, width + count)
    first = first - _place(pairs.first_max[chosen], at, width + count)
    second = second + _place(pairs.second_max[chosen], at, width + count)
    matrix = sparse.vstack([first, second], format="csr")
    upper = np.concatenate([np.zeros(count), pairs.second_max[chosen]])
    return solver.add(np.ones(count), np.full(2 * count, -np.inf), upper, matrix)
