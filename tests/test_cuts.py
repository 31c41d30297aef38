"""Cuts: the farmer's problem, bounds that only tighten, and what is told when they do not meet."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from baselines.cuts import Cuts, Cutting, Separation, close, closes
from baselines.partition import partition
from baselines.programme import Programme, numbers_of, widened
from baselines.risk import NEUTRAL, weigh
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


def by_cuts(whole, owner, stop, separation, risk=NEUTRAL):
    """Solve a programme of equally likely seasons, whose columns cost their share of the mean."""
    parts = partition(whole, owner)
    count = len(parts.pieces)
    free, likely = np.full(count, np.inf), np.full(count, 1.0 / count)
    own = parts.master.numbers.cost
    width = len(own)
    wide = widened(parts.master, -free, free, np.zeros(count))
    costs = sparse.csr_array(np.hstack([np.tile(own, (count, 1)), count * np.eye(count)]))
    master = weigh(wide, costs, np.zeros(count), likely, risk).solver()
    solvers = [piece.programme.solver() for piece in parts.pieces]

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
        return risk.of(own @ x + count * values, likely)

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


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("core", [False, True])
def test_bounds_only_tighten_whatever_the_seasons_and_their_number(seed, core):
    rng = np.random.default_rng(seed)
    whole, owner = farmer(rng.uniform(0.3, 1.7, rng.integers(1, 7)))
    found = by_cuts(whole, owner, Stop(1e-9, 60), Separation(rng.uniform(0.2, 1.0), core))
    bounds = [(entry.lower, entry.upper) for entry in found.trace] + [(found.lower, found.upper)]
    for earlier, later in pairwise(bounds):
        assert later[0] >= earlier[0]
        assert later[1] <= earlier[1]
    assert found.upper == pytest.approx(whole.solve().objective, rel=1e-8)


def test_slopes_that_are_rounding_are_left_out_and_the_cut_is_true_where_it_was_taken():
    """HiGHS refuses entries as small as these; what the parts answered stays as it is."""
    master = Programme(
        "master",
        sparse.csr_array(np.array([[1.0, 1.0, 0.0]])),
        numbers_of(
            np.array([0.0, 0.0, -np.inf]),
            np.array([4.0, 4.0, np.inf]),
            np.array([1.0]),
            np.array([np.inf]),
            np.array([0.0, 0.0, 1.0]),
        ),
    ).solver()
    slopes = sparse.csr_array(np.array([[2.0, 5e-10]]))

    def respond(x):
        return Cuts(np.array([2.0 * x[0] + 5e-10 * x[1] + 3.0]), slopes)

    cutting = Cutting(master, np.array([2]), respond, lambda _, values: float(values.sum()))
    found = close(cutting, np.array([4.0, 4.0]), Stop(1e-9, 5), Separation(1.0))
    assert found.lower == pytest.approx(3.0, abs=1e-8)
    assert found.upper == pytest.approx(3.0, abs=1e-8)
    assert slopes.data.tolist() == [2.0, 5e-10]


def test_bounds_have_not_met_before_there_are_any():
    assert not closes(-np.inf, np.inf, 1e-3)
    assert not closes(5.0, np.inf, 1e-3)
    assert closes(5.0, 5.001, 1e-3)
