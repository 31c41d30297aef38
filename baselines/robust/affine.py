"""Affine rules: recourse that answers in proportion to what has deviated so far.

With x the first stage and v what rules look at, a scene's recourse follows rules of which some
coefficients are 0::

    min over x, y0, Y  sum_s p_s  max over v in U_s  cost_s . (x, y)     with y = y0_s + Y_s v

and rows and bounds hold for all v. v is the deviation of each entry; or its part up and its part
down, each with a coefficient of its own, for what lacks is bought and what is left over is sold.
It is one linear programme (`counterpart`). Rules that wait for what they look at can be carried
out, so the value is an upper bound of what the robust problem costs hour by hour, and so of the
two-stage problem, whose recourse knows the whole day. Scenes are known before their hours; each
has rules of its own.

Source: Ben-Tal, Goryashko, Guslitzer & Nemirovski 2004; Chen, Sim, Sun & Zhang 2008 (up and down
told apart).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Compiled, Sparse
from baselines.day_ahead import COMMUNITY, STORAGE, TIES
from baselines.extensive_form import OUTPUTS, WISHES, deciding_step
from baselines.programme import Programme, held, numbers_of
from baselines.robust.counterpart import Factors, Lines, counterpart, expanded, factors_of
from baselines.robust.problem import RobustProblem, recourse_columns
from baselines.robust.scenes import entries
from mmg_env.errors import InputError
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

# What the hours so far have added up to; the rest of a rule forgets.
STORED: Final = ("energy_kwh", "segment_kwh", "backlog_kwh", "shortfall_kwh", "surplus_kwh")
STATES: Final = (*STORED, "level_kw")
TOGETHER: Final = ("short_kw", "long_kw")  # what follows from all members' hours
# What follows from the pool's schedule, the rent and the commitment of the units.
STILL: Final = (
    "sent_kw",
    "received_kw",
    "virtual_in_kw",
    "virtual_out_kw",
    "virtual_kwh",
    "chp_on",
    "chp_start",
)


class Rules(NamedTuple):
    """The rules of a scene.

    Attributes:
        factors: what they look at.
        constant: (columns,) what is done where nothing deviates.
        slope: (columns, factors) what a factor of 1 adds.
    """

    factors: Factors
    constant: Array
    slope: Sparse


@dataclass(frozen=True, eq=False)
class Affine:
    """A first stage, and rules for the rest.

    Attributes:
        x: (decisions,).
        rules: (scenes,).
        worst: (scenes,) what the rules cost at worst, currency.
        value: the mean of that, currency: no less than the robust optimum.
        size: rows, columns and entries of the matrix that was solved.
    """

    x: Array
    rules: tuple[Rules, ...]
    worst: Array
    value: float
    size: tuple[int, int, int]

    def play(self, scene: int, deviation: Array) -> Array:
        """Return what is done in a scene, (columns,).

        Args:
            scene: its number.
            deviation: (entries,) from what is expected.
        """
        rules = self.rules[scene]
        return np.asarray(rules.constant + rules.slope @ rules.factors.seen(deviation))


def affine_rules(
    problem: RobustProblem, depends: Sparse, commitment: Array | None = None, apart: bool = True
) -> Affine:
    """Return the best first stage and rules for a given commitment.

    Args:
        problem: its recourse is linear, its moves change one entry each.
        depends: (columns, entries) nonzero where a column of the recourse may depend on an entry.
        commitment: (whole,) values of the first stage's columns that are 0 or 1; None where there
            are none.
        apart: whether a deviation up and one down have coefficients of their own.

    Raises:
        InputError: the recourse has binaries, probability is moved, a move changes several entries,
            or something has another shape.
        InfeasibleError: no such rules keep all rows.
        SolverError: HiGHS proved no optimum.
    """
    fixed = np.zeros(0) if commitment is None else commitment
    _check(problem, depends, fixed)
    factors = [factors_of(scene, apart) for scene in problem.scenes]
    parts = [_part(problem, s, own, depends) for s, own in enumerate(factors)]
    programme = _side_by_side(problem, parts)
    numbers = held(programme.numbers, np.searchsorted(problem.first, problem.whole), fixed)
    answer = replace(programme, numbers=numbers).solve()
    blocks = np.split(answer.x, np.cumsum([len(problem.first), *(len(p.lower) for p in parts)]))
    rules, worst = [], []
    for s, (part, own, values) in enumerate(zip(parts, factors, blocks[1:-1], strict=True)):
        at = recourse_columns(problem, s)
        constant = np.empty(depends.shape[0])
        constant[problem.first], constant[at] = blocks[0], values[: len(at)]
        slope = sparse.csr_array(
            (values[len(at) + 1 :][: len(part.column)], (at[part.column], part.factor)),
            shape=(len(constant), len(own.entry)),
        )
        rules.append(Rules(own, constant, slope))
        n = problem.scenes[s].programme.numbers
        worst.append(n.offset + float(n.cost @ constant) + own.most(np.asarray(slope.T @ n.cost)))
    value = float(problem.probability @ worst)
    size = (*programme.matrix.shape, programme.matrix.nnz)
    return Affine(blocks[0], tuple(rules), np.array(worst), value, size)


def _check(problem: RobustProblem, depends: Sparse, fixed: Array) -> None:
    """Refuse what has no such rules."""
    if len(problem.recourse_whole):
        raise InputError(
            f"recourse_whole: {len(problem.recourse_whole)} columns; affine rules need none"
        )
    if problem.reach is not None:
        raise InputError(f"reach: {problem.reach}; affine rules need None: no probability moves")
    if fixed.shape != problem.whole.shape:
        raise InputError(f"commitment: shape {fixed.shape}; it must be {problem.whole.shape}")
    for scene in problem.scenes:
        wanted = (len(scene.programme.lower), scene.uncertain.moves.shape[0])
        if depends.shape != wanted:
            raise InputError(f"depends: shape {depends.shape}; it must be {wanted}")


class _Part(NamedTuple):
    """A scene's part of the programme.

    Its own columns are the recourse where nothing deviates, the scene's cost, the rules'
    coefficients and the duals.

    Attributes:
        told: (rows, decisions) coefficients of the first stage.
        own: (rows, own columns).
        low: (rows,).
        high: (rows,).
        lower: (own columns,).
        upper: (own columns,).
        column: (coefficients,) the recourse column that each coefficient is of.
        factor: (coefficients,) and its factor.
    """

    told: Sparse
    own: Sparse
    low: Array
    high: Array
    lower: Array
    upper: Array
    column: Integers
    factor: Integers


def _part(problem: RobustProblem, number: int, factors: Factors, depends: Sparse) -> _Part:
    """State one scene."""
    programme, at = problem.scenes[number].programme, recourse_columns(problem, number)
    may = sparse.csr_array(sparse.csr_array(depends != 0)[at][:, factors.entry])
    may.sort_indices()
    found = counterpart(_lines(problem, number, factors, may), factors)
    decisions = len(problem.first)
    open_end, duals = np.full(1 + may.nnz, np.inf), np.zeros(found.duals)
    lower = np.concatenate([programme.lower[at], -open_end, duals])
    upper = np.concatenate([programme.upper[at], open_end, duals + np.inf])
    told, own = found.matrix[:, :decisions], found.matrix[:, decisions:]
    entry = may.tocoo()
    return _Part(told, own, found.low, found.high, lower, upper, entry.row, entry.col)


def _lines(problem: RobustProblem, number: int, factors: Factors, may: Sparse) -> Lines:
    """Return a scene's rows, the bounds of what follows rules, and its cost.

    Args:
        problem: the problem.
        number: of the scene.
        factors: its factors.
        may: (recourse columns, factors) nonzero where a rule has a coefficient.
    """
    programme, at = problem.scenes[number].programme, recourse_columns(problem, number)
    order = np.concatenate([problem.first, at])
    ruled = at[np.diff(may.indptr) > 0]
    matrix, cost = sparse.csr_array(programme.matrix), programme.numbers.cost
    unit = sparse.csr_array(
        (np.ones(len(ruled)), (np.arange(len(ruled)), ruled)), shape=(len(ruled), len(cost))
    )
    left = sparse.vstack([matrix, unit, sparse.csr_array(cost[None])], format="csr")[:, order]
    total = sparse.csr_array(([-1.0], ([left.shape[0] - 1], [0])), shape=(left.shape[0], 1))
    low = [programme.row_lower, programme.lower[ruled], [-np.inf]]
    high = [programme.row_upper, programme.upper[ruled], [-programme.numbers.offset]]
    return Lines(
        sparse.hstack([left, total], format="csr"),
        np.concatenate(low),
        np.concatenate(high),
        *_pairs(left[:, len(problem.first) :], may, factors),
    )


def _pairs(own: Sparse, may: Sparse, factors: Factors) -> tuple[Integers, Integers, Sparse, Array]:
    """Return line, factor, slope and shift of all pairs of a line and a factor that moves it."""
    count = max(1, may.shape[1])
    entry, shift = sparse.coo_array(own), sparse.coo_array(factors.shift)
    which, coefficient = expanded(may.indptr, entry.col)
    by_rule = entry.row[which].astype(np.int64) * count + may.indices[coefficient]
    by_shift = shift.row.astype(np.int64) * count + shift.col
    key, pair = np.unique(np.concatenate([by_rule, by_shift]), return_inverse=True)
    place = (pair[: len(by_rule)], coefficient)
    slope = sparse.csr_array((entry.data[which], place), shape=(len(key), may.nnz))
    moved = np.zeros(len(key))
    moved[pair[len(by_rule) :]] = shift.data
    return key // count, key % count, slope, moved


def _side_by_side(problem: RobustProblem, parts: Sequence[_Part]) -> Programme:
    """Return the programme of all scenes."""
    first = problem.scenes[0].programme
    cost = [np.zeros(len(problem.first))]
    for s, (part, weight) in enumerate(zip(parts, problem.probability, strict=True)):
        own = np.zeros(len(part.lower))
        own[len(recourse_columns(problem, s))] = weight
        cost.append(own)
    numbers = numbers_of(
        np.concatenate([first.lower[problem.first], *(part.lower for part in parts)]),
        np.concatenate([first.upper[problem.first], *(part.upper for part in parts)]),
        np.concatenate([part.low for part in parts]),
        np.concatenate([part.high for part in parts]),
        np.concatenate(cost),
    )
    told = sparse.vstack([part.told for part in parts])
    own_part = sparse.block_diag([part.own for part in parts])
    return Programme("affine rules", sparse.hstack([told, own_part], format="csr"), numbers)


def rules_of_hours(compiled: Compiled, system: System, memory: int = 1) -> Sparse:
    """Return which columns may depend on which entries, for rules that can be carried out.

    A wish of a step looks at its own member's steps before it, recourse at the step itself too,
    neither further back than the memory. States look at all that has been; without memory nothing
    is stored differently. What is committed looks at nothing, and what ties the community is taken
    as committed, but for deviations from the nomination, which look at all members.

    Args:
        compiled: the model of a scene.
        system: whose model it is.
        memory: how many steps before its own a rule looks at.

    Returns:
        (columns, entries) True where a column may depend on an entry of `scenes`.
    """
    count = len(system.members)
    decided = deciding_step(compiled, system)
    entry = np.arange(entries(system, compiled.steps))
    shared = entry >= 4 * count * compiled.steps
    step = np.where(shared, entry - 4 * count * compiled.steps, entry // (4 * count))
    member = np.where(shared, COMMUNITY, entry % count)
    found = [np.zeros((2, 0), dtype=np.int64)]
    for name, numbers in compiled.columns.items():
        if name in STILL or (memory == 0 and name in (*STORED, "taken_kwh")):
            continue
        there = numbers >= 0
        at = numbers[there][:, None]
        sees = step < decided[at]
        if name not in STATES:
            wish = name in WISHES or name in OUTPUTS
            sees &= step >= decided[at] - memory - (not wish)
        if name not in TOGETHER:
            owner = COMMUNITY if name in (*TIES, *STORAGE) else np.indices(numbers.shape)[0][there]
            sees &= shared | (member == np.reshape(owner, (-1, 1)))
        row, column = np.nonzero(sees)
        found.append(np.stack([at[row, 0], column]))
    row, column = np.hstack(found)
    shape = (compiled.matrix.shape[1], len(entry))
    return sparse.csr_array((np.ones(len(row), dtype=np.bool_), (row, column)), shape=shape)
