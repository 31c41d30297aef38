"""Scenarios of one model side by side, with the decisions that they have in common merged.

The blocks of the scenarios are stacked on the diagonal; then columns that must be equal become one
column whose cost is the sum of the scenarios' costs times their probabilities, and rows that have
become copies are dropped. Nonanticipativity is thereby built in and no row states it.

Source: textbook extensive form of a stochastic programme (Birge & Louveaux 2011, chapter 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Compiled, Numbers, Sparse
from baselines.programme import Programme, numbers_of
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


SAME: Final = 1e-9  # relative difference that is rounding
# What is decided before an hour is revealed; all else of an hour follows from it and the reveal.
WISHES: Final = (
    "charge_kw",
    "discharge_kw",
    "chp_start",
    "flex_up_kw",
    "flex_down_kw",
    "sent_kw",
    "received_kw",
    "virtual_in_kw",
    "virtual_out_kw",
    "regulation_kw",
    "spinning_kw",
)
OUTPUTS: Final = ("chp_kw", "chp_on")
COMMITTED: Final = ("rental_kwh", "rental_kw", "nominated_kw")
SPANNING: Final = ("level_kw", "shortfall_kwh", "surplus_kwh")
SCHEDULED: Final = ("sent_kw", "received_kw")


@dataclass(frozen=True, eq=False)
class ExtensiveForm(Programme):
    """A stacked model and its numbers.

    Attributes:
        column: (scenarios, columns) number of the merged column behind each scenario's column.
        row: (rows,) number of the row of the scenario's model behind each row.
        scenario: (rows,) the scenario that each row is of, the first of those that share it.
        costs: (scenarios, merged columns) cost of each scenario per unit of each column.
        offsets: (scenarios,) constant costs.
        probability: (scenarios,).
    """

    column: Integers
    row: Integers
    scenario: Integers
    costs: Sparse
    offsets: Array
    probability: Array

    def of_scenario(self, x: Array, scenario: int) -> Array:
        """Return (columns,) a solution as the model of one scenario has it."""
        own: Array = x[self.column[scenario]]
        return own


def same_history(observed: Array) -> Integers:
    """Return for each scenario and step the first scenario with the same history up to that step.

    Args:
        observed: (scenarios, steps) what is seen before a step is decided.
    """
    count, steps = observed.shape
    first = np.empty((count, steps), dtype=np.int64)
    for t in range(steps):
        _, where, which = np.unique(
            observed[:, : t + 1], axis=0, return_index=True, return_inverse=True
        )
        first[:, t] = where[which.ravel()]
    return first


def deciding_step(compiled: Compiled, system: System) -> Integers:
    """Return the step before which what is seen decides each column, (columns,).

    Wishes of an hour are decided at its step, what a day commits to at the day's first step, the
    recourse of an hour and the state after it one step later, when the hour has been revealed.
    What spans the episode is known when all is: `steps`. -1 is before the first step.
    """
    steps, day = compiled.steps, system.steps_per_day
    committed = {*COMMITTED, *(SCHEDULED if system.day_ahead_pool else ())}
    decided = np.full(compiled.matrix.shape[1], steps, dtype=np.int64)
    for name, numbers in compiled.columns.items():
        length = numbers.shape[-1]
        if name in committed:
            step = np.arange(0, steps, steps // length) // day * day
        elif name in OUTPUTS:
            step = np.arange(length) - 1  # the first is that of the hour before
        elif name in SPANNING:
            continue
        else:
            step = np.arange(length) + (length == steps and name not in WISHES)
        there = numbers >= 0
        decided[numbers[there]] = np.broadcast_to(step, numbers.shape)[there]
    return decided


def extensive_form(
    compiled: Compiled, system: System, blocks: Sequence[Numbers], probability: Array, seen: Array
) -> ExtensiveForm:
    """Return the stacked model of some scenarios.

    Args:
        compiled: the model of one scenario.
        system: whose model it is.
        blocks: its numbers in each scenario.
        probability: (scenarios,).
        seen: (scenarios, steps) what is seen before a step is decided; scenarios that were equal
            so far decide alike.

    Raises:
        ValueError: scenarios that look alike have different numbers for what they share.
    """
    alone = np.arange(len(blocks))[:, None]
    # One step more at either end: when all is known none are alike, before the first all are.
    leader = np.hstack([same_history(seen), alone, np.zeros_like(alone)])
    return _stacked(compiled, blocks, probability, leader[:, deciding_step(compiled, system)])


def two_stage(
    compiled: Compiled, blocks: Sequence[Numbers], probability: Array, shared: NDArray[np.bool_]
) -> ExtensiveForm:
    """Return the stacked model of scenarios that decide some columns alike, the others alone.

    Args:
        compiled: the model of one scenario.
        blocks: its numbers in each scenario.
        probability: (scenarios,).
        shared: (columns,) whether a column is decided before the scenario is known.

    Raises:
        ValueError: scenarios have different numbers for what they share.
    """
    alone = np.arange(len(blocks))[:, None]
    return _stacked(compiled, blocks, probability, np.where(shared, 0, alone))


def committed(compiled: Compiled, system: System) -> NDArray[np.bool_]:
    """Return which columns are committed when the model's first day begins, (columns,)."""
    day = system.steps_per_day
    found = np.zeros(compiled.matrix.shape[1], dtype=np.bool_)
    for name in (*COMMITTED, *(SCHEDULED if system.day_ahead_pool else ())):
        if name in compiled.columns:
            numbers = compiled.columns[name]
            first = numbers[..., : day * numbers.shape[-1] // compiled.steps]
            found[first[first >= 0]] = True
    return found


def _stacked(
    compiled: Compiled, blocks: Sequence[Numbers], probability: Array, leads: Integers
) -> ExtensiveForm:
    """Merge each scenario's columns with those of the scenario that leads it, (scenarios, columns).

    The later a column is decided, the later is its leader. So a row is a copy of that of the last
    leader among its columns.
    """
    count, columns = len(blocks), compiled.matrix.shape[1]
    keys = leads * columns + np.arange(columns)
    unique, place = np.unique(keys.ravel(), return_index=True)
    number = np.searchsorted(unique, keys)
    lower, upper = (
        _alike(every, every[place], number.ravel(), f"{side} bounds")
        for side in ("lower", "upper")
        for every in [np.concatenate([getattr(block, side) for block in blocks])]
    )
    by_row = sparse.csr_array(compiled.matrix)
    leads = np.maximum.reduceat(leads[:, by_row.indices], by_row.indptr[:-1], axis=1)
    kept = [np.flatnonzero(leads[k] == k) for k in range(count)]
    sides = []
    for side in ("row_lower", "row_upper"):
        rows = np.array([getattr(block, side) for block in blocks])
        _alike(
            rows.ravel(),
            rows.ravel(),
            (leads * rows.shape[1] + np.arange(rows.shape[1])).ravel(),
            side,
        )
        sides.append(np.concatenate([rows[k, at] for k, at in enumerate(kept)]))
    matrix = sparse.vstack(
        [_moved(compiled.matrix[rows], number[k], len(unique)) for k, rows in enumerate(kept)],
        format="csr",
    )
    costs = _costs(blocks, number, len(unique))
    offsets = np.array([block.offset for block in blocks])
    total = np.asarray(costs.T @ probability)
    numbers = numbers_of(lower, upper, sides[0], sides[1], total, float(probability @ offsets))
    return ExtensiveForm(
        f"{count} scenarios of {compiled.name}",
        matrix,
        numbers,
        number,
        np.concatenate(kept),
        np.repeat(np.arange(count), [len(at) for at in kept]),
        costs,
        offsets,
        probability,
    )


def _costs(blocks: Sequence[Numbers], number: Integers, columns: int) -> Sparse:
    """Return each scenario's cost per unit of the merged columns."""
    every = np.concatenate([block.cost for block in blocks])
    scenario = np.repeat(np.arange(len(blocks)), number.shape[1])
    shape = (len(blocks), columns)
    costs = sparse.csr_array((every, (scenario, number.ravel())), shape=shape)
    costs.eliminate_zeros()
    return costs


def _alike(every: Array, merged: Array, place: Integers, what: str) -> Array:
    """Return the merged numbers, or refuse them where those behind one differ."""
    if not np.isclose(every, merged[place], rtol=SAME, atol=SAME).all():
        raise ValueError(f"scenarios that look alike so far differ in their {what}")
    return merged


def last_decided(compiled: Compiled, decided: Integers) -> Integers:
    """Return the step in which the last of each row's columns is decided, (rows,)."""
    entries = sparse.coo_array(compiled.matrix)
    last = np.full(compiled.matrix.shape[0], -1, dtype=np.int64)
    np.maximum.at(last, entries.row, decided[entries.col])
    return last


def _moved(rows: Sparse, number: Integers, columns: int) -> Sparse:
    """Return rows of one scenario over the merged columns."""
    entries = sparse.coo_array(rows)
    at = (entries.row, number[entries.col])
    return sparse.csr_array((entries.data, at), shape=(rows.shape[0], columns))
