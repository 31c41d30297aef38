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
from baselines.highs import Solver
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
class ExtensiveForm:
    """A stacked model and its numbers.

    Attributes:
        name: for messages.
        matrix: (rows, merged columns).
        numbers: bounds, sides and costs; its bill is empty.
        column: (scenarios, columns) number of the merged column behind each scenario's column.
    """

    name: str
    matrix: Sparse
    numbers: Numbers
    column: Integers

    @property
    def lower(self) -> Array:
        """Bounds of the columns."""
        return self.numbers.lower

    @property
    def upper(self) -> Array:
        """Bounds of the columns."""
        return self.numbers.upper

    @property
    def row_lower(self) -> Array:
        """Sides of the rows."""
        return self.numbers.row_lower

    @property
    def row_upper(self) -> Array:
        """Sides of the rows."""
        return self.numbers.row_upper

    def solve(self) -> float:
        """Return the optimal expected cost of the linear relaxation.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        solver = Solver(self)
        solver.load(self.numbers)
        return solver.solve_lp().objective


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
    count, columns = len(blocks), compiled.matrix.shape[1]
    alone = np.arange(count)[:, None]
    # One step more at either end: when all is known none are alike, before the first all are.
    leader = np.hstack([same_history(seen), alone, np.zeros_like(alone)])
    decided = deciding_step(compiled, system)
    keys = leader[:, decided] * columns + np.arange(columns)
    unique, place = np.unique(keys.ravel(), return_index=True)
    number = np.searchsorted(unique, keys)
    bounds = []
    for side in ("lower", "upper"):
        every = np.concatenate([getattr(block, side) for block in blocks])
        bounds.append(_alike(every, every[place], number.ravel(), f"{side} bounds"))
    # A row is a copy if all its columns are: if the last of them is decided alike.
    leads = leader[:, last_decided(compiled, decided)]
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
    costs = [p * block.cost for p, block in zip(probability, blocks, strict=True)]
    total = np.asarray(np.bincount(number.ravel(), np.concatenate(costs)), dtype=np.float64)
    offset = float(probability @ np.array([block.offset for block in blocks]))
    nothing = np.zeros(0)
    numbers = Numbers(bounds[0], bounds[1], sides[0], sides[1], total, offset, nothing, nothing)
    return ExtensiveForm(f"{count} scenarios of {compiled.name}", matrix, numbers, number)


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
