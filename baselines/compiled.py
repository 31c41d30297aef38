"""A Pyomo model turned once into sparse matrices, to be filled with data and solved many times.

Pyomo states the model; it is too slow to state it anew every hour. So the data variables are left
free while Pyomo's standard-form compiler runs, and end up as columns. With x the decisions and d
the data, what it returns splits into::

    row_lower <= A x + D d <= row_upper          bounds of x likewise, from rows with one entry
    quantities = Q x + R d + q,  cost = price(d) . quantities

so that new data means new right-hand sides, bounds and costs, never a new matrix.

`highs` solves what comes out.

Source: our choice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.errors import InputError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Sparse = Any  # SciPy ships no types

BOUND_SLACK: Final = 1e-7  # crossed bounds up to this are rounding, and closed


@dataclass(frozen=True, eq=False)
class Compiled:
    """A model as matrices that are linear in the data.

    Attributes:
        name: for messages.
        steps: steps of the model.
        periods: demand-charge period of each day.
        columns: column numbers by variable name, in an array over its index; -1 where absent.
        binary: columns that are 0 or 1.
        row_step: (rows,) step of each row; -1 where a row spans more than its step.
        rows: names of the row families, and the number of the family of each row.
        matrix: (rows, columns) A.
        data_matrix: (rows, data) D.
        row_lower: (rows,) at d = 0.
        row_upper: (rows,) at d = 0.
        lower: (columns,) constant bounds.
        upper: (columns,) constant bounds.
        single: rows with one entry, which become bounds.
        bill: quantities and their prices.
        slots: position of every data variable in d, and its shape.
    """

    name: str
    steps: int
    periods: tuple[int, ...]
    columns: Mapping[str, Integers]
    binary: Integers
    row_step: Integers
    rows: tuple[tuple[str, ...], Integers]
    matrix: Sparse
    data_matrix: Sparse
    row_lower: Array
    row_upper: Array
    lower: Array
    upper: Array
    single: "Singles"
    bill: "Bill"
    slots: Mapping[str, "Slot"]


@dataclass(frozen=True, eq=False)
class Singles:
    """Rows with one entry: x[column] (<=, =, >=) rhs - D d, already divided by the entry."""

    column: Integers
    is_lower: NDArray[np.bool_]
    is_upper: NDArray[np.bool_]
    rhs: Array
    data_matrix: Sparse


@dataclass(frozen=True, eq=False)
class Bill:
    """Quantities Q x + R d + q, their prices and their place in the ledger."""

    matrix: Sparse
    data_matrix: Sparse
    constant: Array
    price: Array
    price_slot: Integers
    term: Integers
    participant: Integers
    step: Integers


@dataclass(frozen=True, eq=False)
class Slot:
    """Where a data variable stands in d.

    Attributes:
        index: its Pyomo indices, in order.
        position: (values,) positions in d.
    """

    index: tuple[Any, ...]
    position: Integers

    @cached_property
    def indexer(self) -> tuple[Integers, ...]:
        """The indices as one array per dimension."""
        return tuple(np.array([i if isinstance(i, tuple) else (i,) for i in self.index]).T)


@dataclass(frozen=True, eq=False)
class Numbers:
    """A model with its data filled in: what the solver gets.

    Attributes:
        lower: (columns,) bounds.
        upper: (columns,) bounds.
        row_lower: (rows,).
        row_upper: (rows,).
        cost: (columns,) currency per unit.
        offset: constant part of the objective.
        price: (items,) of the bill.
        constant: (items,) quantities at x = 0.
    """

    lower: Array
    upper: Array
    row_lower: Array
    row_upper: Array
    cost: Array
    offset: float
    price: Array
    constant: Array


def data_vector(compiled: Compiled, data: Mapping[str, Array]) -> Array:
    """Lay named arrays out as d.

    Args:
        compiled: the model.
        data: an array over each data variable's index, by name; others are ignored.

    Raises:
        InputError: a data variable is missing or not finite.
    """
    vector = np.empty(sum(len(slot.position) for slot in compiled.slots.values()))
    for name, slot in compiled.slots.items():
        if not slot.index:
            continue
        if name not in data:
            raise InputError(f"model {compiled.name}: data {name!r} is missing")
        values = np.asarray(data[name], dtype=np.float64)[slot.indexer]
        if not np.isfinite(values).all():
            raise InputError(f"model {compiled.name}: data {name!r} must be finite numbers")
        vector[slot.position] = values
    return vector


def fill(compiled: Compiled, data: Mapping[str, Array]) -> Numbers:
    """Return the model's numbers for this data.

    Raises:
        InputError: data is missing, or makes a bound contradict another.
    """
    d = data_vector(compiled, data)
    lower, upper = compiled.lower.copy(), compiled.upper.copy()
    single = compiled.single
    limit = single.rhs - single.data_matrix @ d
    np.maximum.at(lower, single.column[single.is_lower], limit[single.is_lower])
    np.minimum.at(upper, single.column[single.is_upper], limit[single.is_upper])
    crossed = lower > upper
    if crossed.any():
        if (lower - upper).max() > BOUND_SLACK * (1.0 + np.abs(upper[crossed]).max()):
            k = int(np.argmax(lower - upper))
            name = column_name(compiled, k)
            raise InputError(f"model {compiled.name}: {name} is in [{lower[k]}, {upper[k]}]")
        lower[crossed] = upper[crossed]
    shift = compiled.data_matrix @ d
    bill = compiled.bill
    price = np.where(bill.price_slot >= 0, d[bill.price_slot], bill.price)
    constant = bill.constant + bill.data_matrix @ d
    return Numbers(
        lower,
        upper,
        compiled.row_lower - shift,
        compiled.row_upper - shift,
        bill.matrix.T @ price,
        float(price @ constant),
        price,
        constant,
    )


def column_name(compiled: Compiled, column: int) -> str:
    """Return a column's name and index, for messages."""
    for name, numbers in compiled.columns.items():
        found = np.argwhere(numbers == column)
        if len(found):
            return f"{name}{[int(i) for i in found[0]]}"
    return f"column {column}"


def ledger_entries(compiled: Compiled, numbers: Numbers, x: Array) -> Array:
    """Return the money of every line of the bill, (items,), currency."""
    return np.asarray(numbers.price * (compiled.bill.matrix @ x + numbers.constant))
