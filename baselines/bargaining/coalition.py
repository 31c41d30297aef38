"""A community's day divided among its participants, who share nothing but some rows.

Every column of the dispatch model is one participant's own; those of the community (reserve,
deviations from the nomination) are the storage's, which runs it, or the last member's where there
is no storage. A row in which several stand is common: with y[p] = a[p] x[p] what a participant does
in it, and nothing else known of it::

    min  sum_p cost_p(x_p)    subject to    low <= sum_p y[p] <= high,   x_p feasible for p

Common rows are the pool's balance and, where there are such things, those of rent, the storage's
bus, in which rented power flows, and the community's nomination.

Who stands alone neither sends, receives nor rents: so each coalition has a cost, and what it saves
beside everyone alone is its saving.

Source: Bian & Ji 2025, section 4.2 (P1); the division is that of `partition`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Compiled, Numbers
from baselines.day_ahead import STORAGE
from baselines.deterministic import known_model, solve_exactly
from baselines.division import NOMINATION
from baselines.highs import MIP_GAP, Solver
from baselines.partition import Partition, Piece, partition
from baselines.plans import Values, make_plan, settle
from baselines.programme import Programme, held, widened
from baselines.solution import Plan
from mmg_env.episode import Episode
from mmg_env.layout import REAL_COSTS
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

VIRTUAL: Final = ("rental_kwh", "rental_kw", "virtual_in_kw", "virtual_out_kw")
TRADES: Final = ("sent_kw", "received_kw", *VIRTUAL)
POOL: Final = ("pool_balance", "pool_out_balance", "pool_in_balance")
RENT: Final = ("rent_energy", "rent_power")


@dataclass(frozen=True, eq=False)
class Coalition:
    """A known episode, divided.

    Attributes:
        system: whose it is.
        compiled: the model of all together.
        numbers: filled with what happens.
        rows: (steps, columns) what happens.
        parts: a piece per participant; its master holds the common rows alone.
    """

    system: System
    compiled: Compiled
    numbers: Numbers
    rows: Array
    parts: Partition

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What is each participant's own."""
        return self.parts.pieces

    @cached_property
    def common(self) -> Integers:
        """Numbers of the common rows in the model, (couplings,), ascending."""
        return np.unique(np.concatenate([p.rows[p.coupled] for p in self.pieces]))

    def among(self, names: Iterable[str]) -> NDArray[np.bool_]:
        """Return which of the common rows are of some families, (couplings,)."""
        families, family = self.compiled.rows
        numbers = [families.index(name) for name in names if name in families]
        return np.isin(family[self.common], numbers)

    @cached_property
    def limits(self) -> tuple[Array, Array]:
        """Sides of the common rows, (couplings,) each."""
        return self.numbers.row_lower[self.common], self.numbers.row_upper[self.common]

    def place(self, participant: int) -> Integers:
        """Return in which of the common rows a participant stands, (its couplings,)."""
        piece = self.pieces[participant]
        return np.searchsorted(self.common, piece.rows[piece.coupled])

    def joint(self, solutions: Iterable[Array]) -> Array:
        """Return a solution of the model out of those of the pieces, (columns,)."""
        x = np.empty(self.compiled.matrix.shape[1])
        for piece, own in zip(self.pieces, solutions, strict=True):
            x[piece.columns] = own[: len(piece.columns)]
        return x

    def plan(self, x: Array) -> Plan:
        """Return what a solution of the model means."""
        values = Values(self.compiled, x.copy())
        settle(self.system, self.numbers, values, self.rows)
        return make_plan(self.system, self.numbers, values, self.rows)

    def without(self, outsiders: Iterable[int]) -> Numbers:
        """Return the model's numbers where some neither trade nor rent.

        Where the storage stands alone, nobody rents.
        """
        left = list(outsiders)
        closed = np.isin(owners(self.compiled, self.system), left)
        columns = np.intersect1d(np.flatnonzero(closed), columns_of(self.compiled, TRADES))
        if len(self.system.members) in left:
            columns = np.union1d(columns, columns_of(self.compiled, VIRTUAL))
        return held(self.numbers, columns, np.zeros(len(columns)))

    def solve(self, present: frozenset[int], gap: float = MIP_GAP) -> Array:
        """Return the best that some participants do together while the others stand alone.

        Returns:
            (columns,) a solution of the model with commitments and directions decided.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        numbers = self.without(set(range(len(self.pieces))) - present)
        solver = Solver(self.compiled)
        solver.load(numbers)
        return solve_exactly(self.compiled, numbers, solver, self.system.steps_per_day, gap)[0]

    def relaxed_cost(self, present: frozenset[int]) -> float:
        """Return the cost of all where some cooperate, commitments and directions relaxed.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        numbers = self.without(set(range(len(self.pieces))) - present)
        return whole_programme(self.compiled, numbers).solve().objective


def coalition_of(system: System, episode: Episode) -> Coalition:
    """Return a known episode divided among its participants."""
    compiled, numbers = known_model(system, episode)
    return divided(system, compiled, numbers, episode.values)


def divided(system: System, compiled: Compiled, numbers: Numbers, rows: Array) -> Coalition:
    """Return a filled model divided among participants; `rows` is what it was filled with."""
    parts = partition(whole_programme(compiled, numbers), owners(compiled, system))
    return Coalition(system, compiled, numbers, rows, parts)


def columns_of(compiled: Compiled, names: Iterable[str]) -> Integers:
    """Return the columns of some variables, those that a model has, ascending."""
    found = [compiled.columns[name].ravel() for name in names if name in compiled.columns]
    columns = np.concatenate([np.zeros(0, dtype=np.int64), *found])
    return np.unique(columns[columns >= 0])


def whole_programme(compiled: Compiled, numbers: Numbers) -> Programme:
    """Return a filled model as a programme."""
    matrix = sparse.csr_array(compiled.matrix)
    nothing = np.zeros(0)
    return Programme(compiled.name, matrix, replace(numbers, price=nothing, constant=nothing))


def owners(compiled: Compiled, system: System) -> Integers:
    """Return the participant that decides each column, (columns,)."""
    owner = np.full(compiled.matrix.shape[1], len(system.participants) - 1)
    for name, numbers in compiled.columns.items():
        if name in (*STORAGE, *NOMINATION):
            continue
        participant = np.indices(numbers.shape)[0]
        owner[numbers[numbers >= 0]] = participant[numbers >= 0]
    return owner


def telling(piece: Piece) -> tuple[Programme, Integers]:
    """Return a piece's programme with what it does in common rows as columns, and these columns."""
    own, count = piece.programme, len(piece.coupled)
    n, width = own.numbers, own.matrix.shape[1]
    acts = sparse.csr_array(own.matrix)[piece.coupled]
    up, down = acts.maximum(0), acts.minimum(0)
    low, high = up @ n.lower + down @ n.upper, up @ n.upper + down @ n.lower
    wide = widened(own, low, high, np.zeros(count))
    at = (-np.ones(count), (piece.coupled, width + np.arange(count)))
    matrix = wide.matrix + sparse.csr_array(at, shape=wide.matrix.shape)
    return Programme(own.name, sparse.csr_array(matrix), wide.numbers), width + np.arange(count)


def costs_of(plan: Plan) -> Array:
    """Return each participant's real costs of a plan, (participants,), currency."""
    return np.asarray(plan.ledger[:, :, : len(REAL_COSTS)].sum(axis=(0, 2)))
