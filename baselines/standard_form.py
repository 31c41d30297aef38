"""From a Pyomo model to the matrices of `compiled`, once per model.

Source: our choice; the conversion itself is Pyomo's `LinearStandardFormCompiler`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler
from scipy import sparse

from baselines.compiled import Bill, Compiled, Singles, Slot
from baselines.dispatch import Dispatch

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Sparse = Any  # SciPy ships no types

ROUNDING: Final = 1e-12  # coefficients below this are terms that cancel


def compile_dispatch(dispatch: Dispatch, name: str) -> Compiled:
    """Turn a model into matrices; its data variables must not be fixed."""
    model = dispatch.model
    slots = _slots(dispatch)
    form = _standard_form(dispatch)
    place = {id(var): k for k, var in enumerate(form.columns)}
    known = np.full(len(form.columns), -1)
    data_vars = [model.component(n)[i] for n, slot in slots.items() for i in slot.index]
    for k, var in enumerate(data_vars):
        if id(var) in place:
            known[place[id(var)]] = k
    free = np.flatnonzero(known < 0)
    number = {id(form.columns[k]): n for n, k in enumerate(free)}
    spread = sparse.csr_array(
        (np.ones(int((known >= 0).sum())), (np.flatnonzero(known >= 0), known[known >= 0])),
        shape=(len(known), len(data_vars)),
    )
    both = sparse.csr_array(form.A)
    decisions, data = both[:, free].tocsr(), (both @ spread).tocsr()
    decisions.data[np.abs(decisions.data) < ROUNDING] = 0.0
    decisions.eliminate_zeros()
    priced = sparse.csr_array(form.c)
    lower, upper, binary = _column_bounds([form.columns[k] for k in free])
    kind = np.array([row.bound_type for row in form.rows])
    one = np.diff(decisions.indptr) == 1
    single = _singles(decisions, data, kind, np.asarray(form.rhs), np.flatnonzero(one))
    rows = _merge_ranges(form, kind, np.flatnonzero(~one))
    bill = _bill(dispatch, slots, priced[:, free], priced @ spread, np.asarray(form.c_offset))
    return Compiled(
        name,
        *dispatch.horizon,
        _column_numbers(dispatch, number),
        binary,
        rows.step,
        (rows.names, rows.family),
        decisions[rows.keep],
        data[rows.keep],
        rows.lower,
        rows.upper,
        lower,
        upper,
        single,
        bill,
        slots,
    )


def _standard_form(dispatch: Dispatch) -> Any:
    """Run Pyomo's compiler with every line of the bill as an objective of its own."""
    model = dispatch.model
    total = model.component("cost")
    total.deactivate()
    lines = pyo.Objective(
        range(len(dispatch.bill)), rule=lambda _, k: dispatch.bill[k].quantity + 0.0
    )
    model.add_component("lines", lines)
    try:
        return LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
    finally:
        model.del_component("lines")
        total.activate()


def _slots(dispatch: Dispatch) -> dict[str, Slot]:
    """Lay the data variables out in one vector."""
    slots, begin = {}, 0
    for name in dispatch.data:
        index = tuple(dispatch.model.component(name))
        slots[name] = Slot(index, np.arange(begin, begin + len(index)))
        begin += len(index)
    return slots


def _column_bounds(variables: list[Any]) -> tuple[Array, Array, Integers]:
    """Return lower and upper bounds and the binary columns."""
    lower = np.array([-np.inf if v.lb is None else v.lb for v in variables])
    upper = np.array([np.inf if v.ub is None else v.ub for v in variables])
    return lower, upper, np.flatnonzero([v.is_binary() for v in variables])


def _column_numbers(dispatch: Dispatch, number: Mapping[int, int]) -> dict[str, Integers]:
    """Return column numbers by variable, in arrays over its index; -1 where absent."""
    columns = {}
    for variable in dispatch.model.component_objects(pyo.Var):
        if variable.local_name in dispatch.data or not variable:
            continue
        index = np.array([i if isinstance(i, tuple) else (i,) for i in variable])
        found = np.full(index.max(axis=0) + 1, -1)
        found[tuple(index.T)] = [number.get(id(variable[i]), -1) for i in variable]
        columns[variable.local_name] = found
    return columns


def _singles(
    decisions: Sparse, data: Sparse, kind: Integers, rhs: Array, rows: Integers
) -> Singles:
    """Turn rows with one entry into bounds."""
    part = decisions[rows]
    entry = part.data
    scaled = sparse.diags_array(1.0 / entry) @ data[rows]
    sign = kind[rows] * np.sign(entry)
    return Singles(
        part.indices.astype(np.int64), sign <= 0, sign >= 0, rhs[rows] / entry, scaled.tocsr()
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of the matrix with both their sides."""

    keep: Integers
    lower: Array
    upper: Array
    step: Integers
    names: tuple[str, ...]
    family: Integers


def _merge_ranges(form: Any, kind: Integers, rows: Integers) -> _Rows:
    """Put the two sides of a range back into one row."""
    rhs = np.asarray(form.rhs)
    lower = np.where(kind <= 0, rhs, -np.inf)
    upper = np.where(kind >= 0, rhs, np.inf)
    keep: list[int] = []
    for row in rows:
        if keep and form.rows[keep[-1]].constraint is form.rows[row].constraint:
            lower[keep[-1]] = max(lower[keep[-1]], lower[row])
            upper[keep[-1]] = min(upper[keep[-1]], upper[row])
        else:
            keep.append(int(row))
    owners = [form.rows[row].constraint for row in keep]
    families = [owner.parent_component().local_name for owner in owners]
    names = tuple(dict.fromkeys(families))
    number = {name: n for n, name in enumerate(names)}
    step = [_step_of(owner) for owner in owners]
    keep_ = np.array(keep, dtype=np.int64)
    family = np.array([number[name] for name in families])
    return _Rows(keep_, lower[keep_], upper[keep_], np.array(step), names, family)


# Rows that belong to no single step: they hold whatever hour of the window it is.
WHOLE_DAY: Final = ("rent_energy", "rent_power", "terminal")


def _step_of(owner: Any) -> int:
    """Return the step of a row: the last index, except for rows over whole days."""
    name = owner.parent_component().local_name
    if name in WHOLE_DAY:
        return -1
    index = owner.index()
    step = int(index[-1] if isinstance(index, tuple) else index)
    return step - 1 if name == "segment_sum" else step


def _bill(
    dispatch: Dispatch, slots: Mapping[str, Slot], matrix: Sparse, data: Sparse, constant: Array
) -> Bill:
    """Sort out prices: constants, and positions in the data."""
    position = {
        id(dispatch.model.component(name)[i]): int(at)
        for name, slot in slots.items()
        for i, at in zip(slot.index, slot.position, strict=True)
    }
    items = dispatch.bill
    return Bill(
        matrix.tocsr(),
        data.tocsr(),
        constant,
        np.array([i.price if isinstance(i.price, float) else 0.0 for i in items]),
        np.array([position.get(id(i.price), -1) for i in items]),
        np.array([int(i.term) for i in items]),
        np.array([i.participant for i in items]),
        np.array([i.step for i in items]),
    )
