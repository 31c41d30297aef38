"""Partitions: put together again they are the whole, and the master knows no piece's numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from baselines.highs import InfeasibleError
from baselines.partition import MASTER, partition
from baselines.programme import Programme, numbers_of

INF = np.inf
SEEDS = st.integers(0, 2**31 - 1)


def random_whole(seed):
    """Return a random programme that has solutions, one of them, and random owners."""
    rng = np.random.default_rng(seed)
    rows, columns, pieces = rng.integers(1, 9), rng.integers(1, 10), rng.integers(1, 4)
    matrix = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.5)
    x = rng.normal(size=columns)
    # A column that is free on one side costs something in that direction, so that optima exist.
    cost = rng.normal(size=columns)
    lower, upper = x - rng.uniform(0.1, 2.0, columns), x + rng.uniform(0.1, 2.0, columns)
    open_ = rng.random(columns) < 0.3
    upper[open_ & (cost > 0.0)] = INF
    lower[open_ & (cost < 0.0)] = -INF
    row_lower = matrix @ x - rng.uniform(0.0, 1.0, rows) * (rng.random(rows) < 0.7)
    row_upper = matrix @ x + rng.uniform(0.0, 1.0, rows) * (row_lower < matrix @ x)
    row_lower[rng.random(rows) < 0.2] = -INF
    numbers = numbers_of(lower, upper, row_lower, row_upper, cost, float(rng.normal()))
    whole = Programme("random", sparse.csr_array(matrix), numbers)
    return whole, x, rng.integers(MASTER, pieces, columns), rng


def together(parts, costs=None):
    """Return the parts as one programme again: the master's columns, then those of each piece."""
    width = parts.master.matrix.shape[1]
    programmes = [parts.master, *(piece.programme for piece in parts.pieces)]
    blocks = [parts.master.matrix]
    told = [sparse.csr_array((parts.master.matrix.shape[0], 0))]
    for piece in parts.pieces:
        rows = piece.programme.matrix.shape[0]
        at = sparse.csr_array(
            (np.ones(len(piece.coupled)), (piece.coupled, np.arange(len(piece.coupled)))),
            shape=(rows, len(piece.coupled)),
        )
        told.append(at @ piece.told)
        blocks.append(piece.programme.matrix)
    matrix = sparse.csr_array(sparse.block_diag(blocks))
    left = sparse.vstack([sparse.csr_array((blocks[0].shape[0], width)), *told[1:]])
    rest = sparse.csr_array((matrix.shape[0], matrix.shape[1] - width))
    sides = ("lower", "upper", "row_lower", "row_upper", "cost")
    every = [np.concatenate([getattr(p.numbers, side) for p in programmes]) for side in sides]
    if costs is not None:
        every[-1] = costs
    numbers = numbers_of(*every, parts.master.numbers.offset)
    return Programme("together", matrix + sparse.hstack([left, rest]), numbers)


def laid_out(parts, x):
    """Return a solution of the whole as the parts put together have it."""
    return np.concatenate([parts.asked @ x, *(x[piece.columns] for piece in parts.pieces)])


def priced(whole, cost):
    n = whole.numbers
    numbers = numbers_of(n.lower, n.upper, n.row_lower, n.row_upper, cost, n.offset)
    return Programme(whole.name, whole.matrix, numbers)


def fits(programme, x):
    n, rows = programme.numbers, programme.matrix @ x
    columns = (x >= n.lower - 1e-9).all() and (x <= n.upper + 1e-9).all()
    return columns and (rows >= n.row_lower - 1e-9).all() and (rows <= n.row_upper + 1e-9).all()


def numbers_in(programme):
    """Return every finite number other than 0 of a programme, its matrix left out."""
    n = programme.numbers
    every = np.concatenate([n.lower, n.upper, n.row_lower, n.row_upper, n.cost])
    return set(np.abs(every[np.isfinite(every) & (every != 0.0)]))


@given(SEEDS)
@settings(max_examples=60)
def test_together_the_parts_have_the_optimum_of_the_whole(seed):
    whole, _, owner, _ = random_whole(seed)
    found = together(partition(whole, owner)).solve().objective
    wanted = whole.solve().objective
    assert found == pytest.approx(wanted, abs=1e-6 * (1.0 + abs(wanted)))


@given(SEEDS)
@settings(max_examples=60)
def test_whatever_counts_it_is_the_same(seed):
    """Equal optima under any costs: both have the same solutions."""
    whole, _, owner, rng = random_whole(seed)
    n = whole.numbers
    cost = np.abs(rng.normal(size=len(owner)))
    cost = np.where(np.isinf(n.lower), -cost, cost)
    parts = partition(whole, owner)
    asked = np.zeros(parts.master.matrix.shape[1] - len(parts.columns))
    pieces = [cost[piece.columns] for piece in parts.pieces]
    costs = np.concatenate([cost[parts.columns], asked, *pieces])
    wanted = priced(whole, cost).solve().objective
    found = together(parts, costs).solve().objective
    assert found == pytest.approx(wanted, abs=1e-6 * (1.0 + abs(wanted)))


@given(SEEDS)
@settings(max_examples=60)
def test_a_solution_of_the_whole_is_one_of_the_parts_and_no_other_is(seed):
    whole, x, owner, rng = random_whole(seed)
    parts = partition(whole, owner)
    joined = together(parts)
    for other in (x, *(x + rng.normal(size=(6, len(x))) * rng.choice([0.05, 0.5], 6)[:, None])):
        assert fits(joined, laid_out(parts, other)) == fits(whole, other)


@given(SEEDS)
@settings(max_examples=30)
def test_every_column_and_row_stands_in_one_place(seed):
    whole, _, owner, _ = random_whole(seed)
    parts = partition(whole, owner)
    columns = [parts.columns, *(piece.columns for piece in parts.pieces)]
    assert np.sort(np.concatenate(columns)).tolist() == list(range(len(owner)))
    for number, piece in enumerate(parts.pieces):
        assert (owner[piece.columns] == number).all()
    own = [piece.rows[: len(piece.rows) - asked(parts, piece)] for piece in parts.pieces]
    kept = sum(map(len, own)) + parts.master.matrix.shape[0]
    assert kept == whole.matrix.shape[0]


def asked(parts, piece):
    """Return how many of a piece's rows say what it does in the community's."""
    return int((piece.told.tocsc()[:, len(parts.columns) :] != 0.0).sum())


@given(SEEDS)
@settings(max_examples=60)
def test_the_master_holds_no_sides_bounds_or_costs_of_a_piece(seed):
    whole, _, owner, _ = random_whole(seed)
    parts = partition(whole, owner)
    known = numbers_in(parts.master)
    for piece in parts.pieces:
        assert not known & numbers_in(piece.programme)
    n, mine = whole.numbers, parts.columns
    public = np.concatenate([n.lower[mine], n.upper[mine], n.cost[mine]])
    assert known >= set(np.abs(public[np.isfinite(public)]))


@given(SEEDS)
@settings(max_examples=60)
def test_a_row_of_several_pieces_stays_with_the_master(seed):
    whole, _, owner, _ = random_whole(seed)
    parts = partition(whole, owner)
    stand = whole.matrix.toarray() != 0.0
    several = [len(set(owner[row]) - {MASTER}) != 1 for row in stand]
    n = whole.numbers
    assert parts.master.numbers.row_lower.tolist() == n.row_lower[several].tolist()
    assert parts.master.numbers.row_upper.tolist() == n.row_upper[several].tolist()
    own = parts.master.matrix[:, : len(parts.columns)].toarray()
    assert np.array_equal(own, whole.matrix.toarray()[several][:, parts.columns])


@given(SEEDS)
@settings(max_examples=60)
def test_rows_said_to_be_common_stay_there_though_one_piece_stands_in_them(seed):
    whole, x, owner, rng = random_whole(seed)
    common = rng.random(whole.matrix.shape[0]) < 0.5
    parts = partition(whole, owner, common)
    n = whole.numbers
    assert set(n.row_lower[common]) <= set(parts.master.numbers.row_lower)
    wanted = whole.solve().objective
    assert together(parts).solve().objective == pytest.approx(wanted, abs=1e-6 * (1 + abs(wanted)))
    assert fits(together(parts), laid_out(parts, x))


def two_pieces(lower, upper):
    """Return a row in which two pieces stand, 2 a - 3 b <= 4, and a column of the master's."""
    numbers = numbers_of(lower, upper, np.array([-INF]), np.array([4.0]), np.zeros(3))
    matrix = sparse.csr_array(np.array([[2.0, -3.0, 1.0]]))
    return partition(Programme("two", matrix, numbers), np.array([0, 1, MASTER]))


def test_what_is_asked_of_a_piece_lies_within_what_its_bounds_allow():
    parts = two_pieces(np.array([-1.0, 0.0, 0.0]), np.array([5.0, 7.0, 1.0]))
    assert parts.master.lower.tolist() == [0.0, -2.0, -21.0]
    assert parts.master.upper.tolist() == [1.0, 10.0, 0.0]


def test_where_a_bound_is_infinite_what_is_asked_is_free_on_that_side():
    parts = two_pieces(np.array([-INF, 0.0, 0.0]), np.array([5.0, INF, 1.0]))
    assert parts.master.lower.tolist() == [0.0, -INF, -INF]
    assert parts.master.upper.tolist() == [1.0, 10.0, 0.0]


def test_what_has_no_solution_has_none_in_parts():
    numbers = numbers_of(np.zeros(2), np.ones(2), np.array([3.0]), np.array([INF]), np.zeros(2))
    whole = Programme("none", sparse.csr_array(np.ones((1, 2))), numbers)
    for owner in ([0, 1], [0, 0], [MASTER, 0], [MASTER, MASTER]):
        with pytest.raises(InfeasibleError):
            together(partition(whole, np.array(owner))).solve()


def test_all_may_belong_to_the_master_or_to_one_piece_or_a_number_be_left_out():
    whole, x, owner, _ = random_whole(5)
    for alike in (np.full_like(owner, MASTER), np.zeros_like(owner), np.full_like(owner, 2)):
        parts = partition(whole, alike)
        assert len(parts.pieces) == alike[0] + 1
        assert fits(together(parts), laid_out(parts, x))
        assert together(parts).solve().objective == pytest.approx(whole.solve().objective)
