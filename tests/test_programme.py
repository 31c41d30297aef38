"""Programmes: they grow without losing what they hold, and two stages of them side by side."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import sparse

from baselines.day_ahead import scenario_numbers
from baselines.deterministic import first_state
from baselines.extensive_form import committed, deciding_step, extensive_form, two_stage
from baselines.highs import InfeasibleError
from baselines.programme import Programme, held, lengthened, numbers_of, widened
from baselines.rolling_horizon import window_at
from baselines.scenarios import draw
from mmg_env import load_system, sample_episode
from mmg_env.public import PublicInfo

INF = np.inf


def corner():
    """Return: minimise 2 a + 3 b + 7 with a + b >= 4, a in 0..3, b in 0..5."""
    numbers = numbers_of(
        np.zeros(2), np.array([3.0, 5.0]), np.array([4.0]), np.array([INF]), np.array([2.0, 3.0]), 7
    )
    return Programme("corner", sparse.csr_array(np.ones((1, 2))), numbers)


def test_held_columns_stay_where_they_are_put_but_within_their_bounds():
    numbers = corner().numbers
    found = held(numbers, np.array([1, 0]), np.array([2.0, 3.0 + 1e-9]))
    assert found.lower.tolist() == found.upper.tolist() == [3.0, 2.0]
    assert numbers.lower.tolist() == [0.0, 0.0]
    answer = Programme("held", corner().matrix, found).solve()
    assert answer.objective == pytest.approx(2.0 * 3.0 + 3.0 * 2.0 + 7.0)


def test_it_is_solved_with_its_constant():
    answer = corner().solve()
    assert answer.objective == pytest.approx(16.0)
    assert answer.x == pytest.approx([3.0, 1.0])


def test_new_columns_stand_in_no_row_and_cost_what_they_cost():
    wide = widened(corner(), np.array([-1.0]), np.array([9.0]), np.array([10.0]))
    assert wide.matrix.toarray().tolist() == [[1.0, 1.0, 0.0]]
    answer = wide.solve()
    assert answer.objective == pytest.approx(6.0)
    assert answer.x == pytest.approx([3.0, 1.0, -1.0])


def test_new_rows_bind():
    row = sparse.csr_array(np.array([[1.0, 0.0]]))
    long = lengthened(corner(), row, np.array([-INF]), np.array([1.0]))
    assert long.solve().objective == pytest.approx(18.0)
    assert corner().solve().objective == pytest.approx(16.0)
    with pytest.raises(InfeasibleError, match="corner"):
        lengthened(long, row, np.array([2.0]), np.array([INF])).solve()


@pytest.fixture(scope="module")
def day():
    """Return s2_crh, the model of its day, and its numbers in three scenarios."""
    system = load_system("s2_crh")
    episode = sample_episode(system, "test", 0)
    forecast, past = episode.forecast(0), partial(episode.until, 0)
    public = PublicInfo(system, 0, first_state(system), forecast, past)
    drawn = draw(system, forecast, 3, np.random.default_rng(0))
    compiled, blocks, _ = scenario_numbers(public, window_at(system, 0), drawn)
    return system, compiled, blocks


WEIGHTS = np.array([0.5, 0.2, 0.3])


def test_one_scenario_in_two_stages_is_the_model_itself(day):
    system, compiled, blocks = day
    alone = two_stage(compiled, blocks[:1], np.ones(1), committed(compiled, system))
    itself = Programme(compiled.name, compiled.matrix, blocks[0])
    assert alone.matrix.shape == compiled.matrix.shape
    assert alone.solve().objective == pytest.approx(itself.solve().objective, rel=1e-7)


def test_scenarios_share_exactly_what_is_committed(day):
    system, compiled, blocks = day
    shared = committed(compiled, system)
    names = ("rental_kwh", "rental_kw", "sent_kw", "received_kw")
    columns = np.concatenate([compiled.columns[name].ravel() for name in names])
    assert np.flatnonzero(shared).tolist() == np.sort(columns[columns >= 0]).tolist()
    column = two_stage(compiled, blocks, WEIGHTS, shared).column
    assert ((column == column[0]).all(axis=0) == shared).all()
    own = column[:, ~shared]
    assert len(np.unique(own)) == own.size


def test_it_is_the_extensive_form_in_which_all_is_seen_after_the_first_step(day):
    system, compiled, blocks = day
    seen = np.repeat(np.arange(3.0)[:, None], compiled.steps, axis=1)
    seen[:, 0] = 0.0
    at_first = deciding_step(compiled, system) <= 0
    wanted = extensive_form(compiled, system, blocks, WEIGHTS, seen).solve().objective
    found = two_stage(compiled, blocks, WEIGHTS, at_first).solve().objective
    assert found == pytest.approx(wanted, rel=1e-9)
    less = two_stage(compiled, blocks, WEIGHTS, committed(compiled, system)).solve().objective
    nothing = two_stage(compiled, blocks, WEIGHTS, np.zeros_like(at_first)).solve().objective
    assert nothing < less - 1.0
    assert less <= found + 1e-6


def test_costs_are_told_by_scenario(day):
    system, compiled, blocks = day
    form = two_stage(compiled, blocks, WEIGHTS, committed(compiled, system))
    answer = form.solve()
    costs = form.costs @ answer.x + form.offsets
    wanted = [n.cost @ form.of_scenario(answer.x, s) + n.offset for s, n in enumerate(blocks)]
    assert costs == pytest.approx(wanted)
    assert WEIGHTS @ costs == pytest.approx(answer.objective)


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_what_is_shared_must_have_the_same_bounds(day, side):
    system, compiled, blocks = day
    shared = committed(compiled, system)
    changed = getattr(blocks[1], side).copy()
    changed[np.flatnonzero(shared)[0]] += 0.1
    other = replace(blocks[1], **{side: changed})
    with pytest.raises(ValueError, match=f"{side} bounds"):
        two_stage(compiled, [blocks[0], other], np.array([0.5, 0.5]), shared)


@pytest.mark.parametrize("side", ["row_lower", "row_upper"])
def test_rows_of_what_is_shared_must_have_the_same_sides(day, side):
    system, compiled, blocks = day
    shared = committed(compiled, system)
    alone = sparse.csr_array(compiled.matrix)[:, ~shared]
    row = np.flatnonzero(np.diff(alone.indptr) == 0)[0]
    changed = getattr(blocks[1], side).copy()
    changed[row] = 123.0
    other = replace(blocks[1], **{side: changed})
    with pytest.raises(ValueError, match=side):
        two_stage(compiled, [blocks[0], other], np.array([0.5, 0.5]), shared)
