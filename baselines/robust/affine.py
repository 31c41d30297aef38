"""Affine rules: recourse that answers in proportion to what has deviated so far.

Factors v are the entries that may deviate, as shares of their largest deviation. With x the first
stage, a scene's recourse follows rules of which some coefficients are 0::

    y = y0 + Y v

Rows, bounds and cost must hold for every move of the set. Where a row or bound is an inequality, a
factor in full adds d = a Y - f to its left side, f being what it adds to the right; then a move j
adds d_j, and the worst that all moves add is by duality::

    max over U of sum_j d_j z_j  =  min  sum_g budget_g eta_g + sum_j mu_j
                                    with eta_g(j) + mu_j >= d_j,  eta, mu >= 0

In equations d is 0. All of it is one linear programme. Rules that wait for what they look at can be
carried out, so the value is an upper bound of what the multi-stage problem costs, and so of the
two-stage problem. Scenes are known before their hours: each has rules of its own.

Source: Ben-Tal, Goryashko, Guslitzer & Nemirovski 2004 (affinely adjustable counterparts); Bertsimas
& Sim 2004 (budgets).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Sparse
from baselines.highs import Solver
from baselines.programme import Programme, numbers_of
from baselines.robust.problem import RobustProblem, Scene, recourse_columns
from mmg_env.errors import InputError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

OPTIONS: Final[Mapping[str, Any]] = {"solver": "ipm"}
SAME: Final = 1e-9  # relative difference that is rounding


@dataclass(frozen=True, eq=False)
class Affine:
    """A first stage, and rules for the rest.

    Attributes:
        x: (decisions,).
        constant: (scenes, columns) what the rules do where nothing deviates; x where it is the
            first stage's.
        slope: (scenes,) of (columns, entries) what they add per unit of each entry's deviation.
        worst: (scenes,) what the rules cost at worst, currency.
        value: its mean, weighted by the scenes' probabilities: no less than the robust optimum.
        size: rows and columns of the programme that was solved.
    """

    x: Array
    constant: Array
    slope: tuple[Sparse, ...]
    worst: Array
    value: float
    size: tuple[int, int]

    def play(self, scene: int, deviation: Array) -> Array:
        """Return what is done in a scene, (columns,).

        Args:
            scene: its number.
            deviation: (entries,) from what is expected.
        """
        return np.asarray(self.constant[scene] + self.slope[scene] @ deviation)


class Factors(NamedTuple):
    """What may deviate in a scene, entry by entry.

    Attributes:
        entry: (factors,) number of each factor's entry.
        size: (factors,) its largest deviation either way, in the entry's unit.
        shift: (rows, factors) what a factor of 1 adds to both sides of the rows.
        factor: (moves,) which factor each move changes; only moves that can be made.
        share: (moves,) to what share of its size, -1..1.
        group: (moves,) which budget the move counts for.
        slot: (moves,) an entry's move up and its move down have one number.
        budget: (groups,).
        symmetric: whether each entry deviates as far up as down.
    """

    entry: Integers
    size: Array
    shift: Sparse
    factor: Integers
    share: Array
    group: Integers
    slot: Integers
    budget: Array
    symmetric: bool


class Lines(NamedTuple):
    """A scene's inequalities and equations over first stage, recourse and cost.

    Attributes:
        told: (lines, decisions) coefficients of the first stage.
        own: (lines, recourse + 1) of the recourse, then of the scene's cost.
        shift: (lines, factors) what a factor of 1 adds to both sides.
        low: (lines,).
        high: (lines,).
    """

    told: Sparse
    own: Sparse
    shift: Sparse
    low: Array
    high: Array


class Part(NamedTuple):
    """A scene's part of the programme.

    Attributes:
        matrix: (rows, decisions + own columns).
        low: (rows,).
        high: (rows,).
        lower: (own columns,) recourse, cost, coefficients, eta, mu.
        upper: (own columns,).
        rule: (coefficients, 2) recourse column and factor of each coefficient.
    """

    matrix: Sparse
    low: Array
    high: Array
    lower: Array
    upper: Array
    rule: Integers


def affine_rules(
    problem: RobustProblem,
    depends: Sparse,
    commitment: Array | None = None,
    options: Mapping[str, Any] = OPTIONS,
) -> Affine:
    """Return the best first stage and rules for a given commitment.

    Args:
        problem: its recourse is linear, its moves change one entry each.
        depends: (columns, entries) nonzero where a column of the recourse may depend on an entry.
        commitment: (whole,) values of the first stage's columns that are 0 or 1; None if there
            are none.
        options: of HiGHS, by name.

    Raises:
        InputError: the recourse is not linear, probability is moved, a move changes several
            entries, or something has another shape.
        InfeasibleError: no such rules keep all rows.
        SolverError: HiGHS proved no optimum.
    """
    _check(problem, depends, commitment)
    factors = [factors_of(scene) for scene in problem.scenes]
    parts = [_part(problem, s, own, depends) for s, own in enumerate(factors)]
    programme = _side_by_side(problem, parts, commitment)
    solver = Solver(programme, options)
    solver.load(programme.numbers)
    answer = solver.solve_lp()
    decisions = len(problem.first)
    x = answer.x[:decisions]
    begin = np.cumsum([decisions, *(len(part.lower) for part in parts)])
    columns = len(problem.scenes[0].programme.lower)
    constant, slope, worst = np.empty((len(parts), columns)), [], np.empty(len(parts))
    for s, (part, own) in enumerate(zip(parts, factors, strict=True)):
        values = answer.x[begin[s] :]
        at = recourse_columns(problem, s)
        constant[s, problem.first], constant[s, at] = x, values[: len(at)]
        worst[s] = values[len(at)]
        column, factor = part.rule.T
        ratio = values[len(at) + 1 : len(at) + 1 + len(column)] / own.size[factor]
        place = (at[column], own.entry[factor])
        slope.append(sparse.csr_array((ratio, place), shape=(columns, depends.shape[1])))
    return Affine(x, constant, tuple(slope), worst, answer.objective, programme.matrix.shape)


def _check(problem: RobustProblem, depends: Sparse, commitment: Array | None) -> None:
    """Refuse what has no such rules."""
    if len(problem.recourse_whole):
        raise InputError(
            f"recourse_whole: {len(problem.recourse_whole)} columns; affine rules need none"
        )
    if problem.reach is not None:
        raise InputError(f"reach: {problem.reach}; affine rules need None, as no probability moves")
    given = 0 if commitment is None else len(commitment)
    if given != len(problem.whole):
        raise InputError(f"commitment: {given} values; it must be {len(problem.whole)}")
    for scene in problem.scenes:
        wanted = (len(scene.programme.lower), scene.uncertain.moves.shape[0])
        if depends.shape != wanted:
            raise InputError(f"depends: shape {depends.shape}; it must be {wanted}")


def factors_of(scene: Scene) -> Factors:
    """Return what may deviate in a scene, entry by entry.

    Raises:
        InputError: a move changes several entries or none, or two moves of an entry shift rows
            differently.
    """
    uncertain = scene.uncertain
    moves = sparse.csc_array(uncertain.moves)
    moves.eliminate_zeros()
    wrong = np.flatnonzero(np.diff(moves.indptr) != 1)
    if len(wrong):
        raise InputError(
            f"uncertainty set: move {wrong[0]} changes {np.diff(moves.indptr)[wrong[0]]} entries; "
            "affine rules need moves that change one entry each"
        )
    budget = np.floor(uncertain.budget) if uncertain.whole else uncertain.budget
    able = np.flatnonzero(budget[uncertain.group] > 0.0)
    amount, group = moves.data[able], uncertain.group[able]
    entry, first, factor = np.unique(moves.indices[able], return_index=True, return_inverse=True)
    size = np.zeros(len(entry))
    np.maximum.at(size, factor, np.abs(amount))
    share = amount / size[factor]
    push = sparse.csc_array(scene.push)[:, able]
    shift = push[:, first] @ sparse.diags_array(1.0 / share[first])
    _check_shift(push, shift, factor, share)
    key = np.stack([factor, group, np.sign(amount)]).astype(np.int64)
    doubled = len(np.unique(key, axis=1).T) < len(able)
    slot = np.arange(len(able)) if doubled else np.unique(key[:2], axis=1, return_inverse=True)[1]
    balance, count = np.bincount(slot, share), np.bincount(slot)
    symmetric = bool((np.abs(balance) <= SAME).all() and (count == 2).all())
    return Factors(
        entry.astype(np.int64),
        size,
        sparse.csr_array(shift),
        factor.astype(np.int64),
        share,
        group,
        slot.ravel().astype(np.int64),
        budget,
        symmetric,
    )


def _check_shift(push: Sparse, shift: Sparse, factor: Integers, share: Array) -> None:
    """Refuse moves of one entry that shift rows each in its own way."""
    missed = abs(push - shift[:, factor] @ sparse.diags_array(share))
    if missed.nnz and missed.max() > SAME * (1.0 + abs(push).max()):
        raise InputError(
            f"push: two moves of one entry differ by {missed.max()} in what a row is shifted by; "
            "affine rules need shifts in proportion to the entry"
        )


def _part(problem: RobustProblem, number: int, factors: Factors, depends: Sparse) -> Part:
    """State one scene."""
    columns = recourse_columns(problem, number)
    may = sparse.csr_array(sparse.csr_array(depends != 0)[columns][:, factors.entry])
    may.sort_indices()
    lines = _lines(problem, number, factors, np.diff(may.indptr) > 0)
    return counterpart(lines, may, factors, problem.scenes[number].programme, columns)


def _lines(
    problem: RobustProblem, number: int, factors: Factors, answers: NDArray[np.bool_]
) -> Lines:
    """Return a scene's rows, bounds of the columns that depend on something, and its cost."""
    programme = problem.scenes[number].programme
    columns = recourse_columns(problem, number)
    bounded = np.flatnonzero(answers)
    matrix = sparse.csr_array(programme.matrix)
    cost = programme.numbers.cost
    unit = sparse.csr_array(
        (np.ones(len(bounded)), (np.arange(len(bounded)), bounded)),
        shape=(len(bounded), len(columns)),
    )
    nothing = sparse.csr_array((len(bounded), len(problem.first)))
    told = sparse.vstack(
        [matrix[:, problem.first], nothing, sparse.csr_array(cost[None, problem.first])],
        format="csr",
    )
    own = sparse.vstack(
        [matrix[:, columns], unit, sparse.csr_array(cost[None, columns])], format="csr"
    )
    theta = sparse.csr_array(([-1.0], ([own.shape[0] - 1], [0])), shape=(own.shape[0], 1))
    shift = sparse.vstack(
        [factors.shift, sparse.csr_array((len(bounded) + 1, len(factors.entry)))], format="csr"
    )
    at = columns[bounded]
    low = np.concatenate([programme.row_lower, programme.lower[at], [-np.inf]])
    high = np.concatenate([programme.row_upper, programme.upper[at], [-programme.numbers.offset]])
    return Lines(told, sparse.hstack([own, theta], format="csr"), shift, low, high)


class _Pairs(NamedTuple):
    """Lines and factors that move them.

    Attributes:
        line: (pairs,) in order.
        factor: (pairs,).
        slope: (pairs, coefficients) what coefficients of the rules add to the line's left side.
        shift: (pairs,) what a factor of 1 adds to its right side.
    """

    line: Integers
    factor: Integers
    slope: Sparse
    shift: Array


def _pairs(lines: Lines, may: Sparse) -> _Pairs:
    """Find which factors move which lines."""
    count = may.shape[1]
    entries = sparse.coo_array(lines.own[:, : may.shape[0]])
    length = np.diff(may.indptr)[entries.col]
    before = np.cumsum(length) - length
    coefficient = np.arange(length.sum()) - np.repeat(before - may.indptr[entries.col], length)
    by_rule = np.repeat(entries.row.astype(np.int64), length) * count + may.indices[coefficient]
    shift = sparse.coo_array(lines.shift)
    by_shift = shift.row.astype(np.int64) * count + shift.col
    key, place = np.unique(np.concatenate([by_rule, by_shift]), return_inverse=True)
    at = (place[: len(by_rule)], coefficient)
    slope = sparse.csr_array((np.repeat(entries.data, length), at), shape=(len(key), may.nnz))
    moved = np.bincount(place[len(by_rule) :], shift.data, minlength=len(key))
    return _Pairs(key // count, key % count, slope, moved)


class _Reach(NamedTuple):
    """What lines can be moved by at most, as columns and rows.

    Attributes:
        line: (reaches,) which line each reach is of.
        sign: (reaches,) 1 of its left side upwards, -1 downwards, 0 both ways alike.
        sum: (reaches, eta + mu) what each reach is the sum of.
        slope: (rows, coefficients) of eta + mu - d >= 0.
        dual: (rows, eta + mu) likewise.
        low: (rows,).
    """

    line: Integers
    sign: Integers
    sum: Sparse
    slope: Sparse
    dual: Sparse
    low: Array


def _reach(lines: Lines, pairs: _Pairs, factors: Factors) -> _Reach:
    """State by how much moves can move the inequalities."""
    width = len(lines.low)
    inexact = (lines.low != lines.high)[pairs.line]
    chosen, sign = _sides(lines, pairs, inexact, factors.symmetric)
    number = (sign + 1) * width + pairs.line[chosen]
    reach, number = np.unique(number, return_inverse=True)
    by_factor = np.argsort(factors.factor, kind="stable")
    begin = np.searchsorted(factors.factor[by_factor], np.arange(len(factors.entry) + 1))
    row, inner = _expanded(begin, pairs.factor[chosen])
    move = by_factor[inner]
    q, pair = number[row], chosen[row]
    weight = np.where(sign[row] < 0, -1.0, 1.0) * factors.share[move]
    slots, groups = factors.slot.max(initial=-1) + 1, len(factors.budget)
    mu, at_mu = np.unique(q * slots + factors.slot[move], return_inverse=True)
    # A budget that covers all slots of a reach limits nothing.
    group_of_slot = np.zeros(slots, dtype=np.int64)
    group_of_slot[factors.slot] = factors.group
    use = mu // slots * groups + group_of_slot[mu % slots]
    eta, count = np.unique(use, return_counts=True)
    eta = eta[count > factors.budget[eta % groups]]
    key = q * groups + factors.group[move]
    at_eta = np.searchsorted(eta, key)
    limited = np.isin(key, eta)
    size = len(eta) + len(mu)
    rows = np.arange(len(row))
    ...
