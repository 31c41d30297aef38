"""Cuts: the farmer's problem, bounds that only tighten, and what is told when they do not meet."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from baselines.cuts import Cuts, Cutting, Separation, close
from baselines.partition import partition
from baselines.programme import Programme, numbers_of, widened
from baselines.solution import Stop

# Birge & Louveaux 2011, section 1.1: wheat, corn, sugar beets; tons per acre in a fair season.
YIELDS = np.array([2.5, 3.0, 20.0])
SEASONS = np.array([1.2, 1.0, 0.8])
PLANTING = np.array([150.0, 230.0, 260.0])
PROFIT = 108_390.0  # of the best plan, as printed there
STOCHASTIC_SOLUTION = 1_150.0


def farmer(seasons=SEASONS):
    """Return the farmer's programme, acres first, and the season that owns each column."""
    count = len(seasons)
    # A season: buy wheat, corn; sell wheat, corn, beets under and over the quota.
    prices = np.array([238.0, 210.0, -170.0, -150.0, -36.0, -10.0])
    upper = np.array([np.inf, np.inf, np.inf, np.inf, 6000.0, np.inf])
    trades = np.array([[1, 0, -1, 0, 0, 0], [0, 1, 0, -1, 0, 0], [0, 0, 0, 0, -1, -1]])
    rows = [np.concatenate([np.ones(3), np.zeros(6 * count)])]
    for s, season in enumerate(seasons):
        own = np.zeros((3, 6 * count))
        own[:, 6 * s : 6 * s + 6] = trades
        rows.append(np.hstack([np.diag(season * YIELDS), own]))
    matrix = sparse.csr_array(np.vstack(rows))
    need = np.tile([200.0, 240.0, 0.0], count)
    numbers = numbers_of(
        np.zeros(3 + 6 * count),
        np.concatenate([np.full(3, 500.0), np.tile(upper, count)]),
        np.concatenate([[-np.inf], need]),
        np.concatenate([[500.0], np.full(3 * count, np.inf)]),
        np.concatenate([PLANTING, np.tile(prices, count) / count]),
    )
    owner = np.concatenate([np.full(3, -1), np.repeat(np.arange(count), 6)])
    return Programme("farmer", matrix, numbers), owner


def by_cuts(whole, owner, stop, separation):
    parts = partition(whole, owner)
    count = len(parts.pieces)
    free = np.full(count, np.inf)
    master = widened(parts.master, -free, free, np.ones(count)).solver()
    solvers = [piece.programme.solver() for piece in parts.pieces]
    width = parts.master.matrix.shape[1]

    def respond(x):
        values, slopes = [], []
        for piece, solver in zip(parts.pieces, solvers, strict=True):
            n, at, told = piece.programme.numbers, piece.coupled, piece.told @ x
            solver.set_sides(at, n.row_lower[at] - told, n.row_upper[at] - told)
            answer = solver.solve_lp()
            values.append(answer.objective)
            slopes.append(-answer.row_dual[at] @ piece.told)
        return Cuts(np.array(values), sparse.csr_array(np.array(slopes)))

    def paid(x, values):
        return float(parts.master.numbers.cost @ x + values.sum())

    theta = width + np.arange(count)
    return close(Cutting(master, theta, respond, paid), np.zeros(width), stop, separation)


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("core", [False, True])
def test_the_farmer_earns_what_the_book_says(share, core):
    whole, owner = farmer()
    found = by_cuts(whole, owner, Stop(1e-9, 200), Separation(share, core))
    assert found.within(1e-9)
    assert -found.upper == pytest.approx(PROFIT, abs=0.5)
    assert -whole.solve().objective == pytest.approx(PROFIT, abs=0.5)
    assert found.x == pytest.approx([170.0, 80.0, 250.0], abs=1e-3)


def test_planning_for_the_mean_season_costs_the_farmer_what_the_book_says():
    mean, _ = farmer(np.ones(1))
    acres = mean.solve().x[:3]
    whole, _ = farmer()
    n = whole.numbers
    lower, upper = n.lower.copy(), n.upper.copy()
    lower[:3] = upper[:3] = acres
    fixed = numbers_of(lower, upper, n.row_lower, n.row_upper, n.cost)
    planned = Programme("mean season", whole.matrix, fixed).solve().objective
    assert planned + PROFIT == pytest.approx(STOCHASTIC_SOLUTION, abs=0.5)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_bounds_only_tighten_and_hold_the_optimum(share):
    whole, owner = farmer(np.linspace(0.5, 1.5, 9))
    best = whole.solve().objective
    found = by_cuts(whole, owner, Stop(1e-9, 200), Separation(share))
    assert len(found.trace) > 2
    for earlier, later in pairwise(found.trace):
        assert later.lower >= earlier.lower
        assert later.upper <= earlier.upper
    for round_ in found.trace:
        assert round_.lower <= best + 1e-6 * abs(best)
        assert round_.upper >= best - 1e-6 * abs(best)


def test_stopped_early_the_gap_is_told():
    whole, owner = farmer()
    found = by_cuts(whole, owner, Stop(1e-9, 2), Separation())
    assert len(found.trace) == 2
    assert not found.within(1e-9)
    assert found.lower < found.upper


def test_time_ends_it_too():
    whole, owner = farmer()
    found = by_cuts(whole, owner, Stop(-1.0, 1000, time_s=0.0), Separation())
    assert len(found.trace) == 1
