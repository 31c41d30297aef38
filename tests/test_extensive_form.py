"""The extensive form: what is merged, what it costs, and that nothing is foreseen."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linprog

from baselines.deterministic import known_model
from baselines.dynamic_programming import solve
from baselines.extensive_form import deciding_step, extensive_form, same_history
from baselines.highs import Solver
from baselines.outage_bound import with_grid
from mmg_env import load_system, sample_episode

SYSTEM = load_system("resilience", {"episode_h": 24})
EPISODE = sample_episode(load_system("resilience", {"episode_h": 24}), "test", 3)
FAILS_AT = (24, 10, 18)  # hours in which the grid goes down for three; in the first it never does


def grids():
    """Return what is seen of the grid in three scenarios, (3, 24)."""
    up = np.ones((3, 24))
    for k, hour in enumerate(FAILS_AT):
        up[k, hour : hour + 3] = 0.0
    return up


def blocks(count):
    compiled = known_model(SYSTEM, EPISODE)[0]
    return compiled, [with_grid(SYSTEM, EPISODE, up) for up in grids()[:count]]


def lone_cost(compiled, numbers):
    solver = Solver(compiled)
    solver.load(numbers)
    return solver.solve_lp().objective


def cost_of(compiled, numbers, seen, weights=None, system=SYSTEM):
    weights = np.full(len(numbers), 1.0 / len(numbers)) if weights is None else weights
    return extensive_form(compiled, system, numbers, weights, seen).solve().objective


def test_histories_are_told_apart_from_their_first_difference_on():
    observed = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0, 1]])
    wanted = [[0, 0, 0], [0, 1, 1], [0, 0, 2], [0, 1, 1]]
    assert same_history(observed).tolist() == wanted


def test_states_are_known_a_step_later_and_commitments_when_the_day_begins():
    compiled, _ = blocks(1)
    decided = deciding_step(compiled, SYSTEM)
    columns = compiled.columns
    assert decided[columns["charge_kw"][0]].tolist() == list(range(24))
    assert decided[columns["import_kw"][0]].tolist() == list(range(1, 25))
    assert decided[columns["energy_kwh"][0]].tolist() == list(range(25))
    assert decided[columns["chp_kw"][2]].tolist() == list(range(-1, 24))
    assert set(decided[columns["nominated_kw"]]) == set(decided[columns["rental_kwh"][0]]) == {0}
    assert set(decided[columns["level_kw"][0]]) == {24}


def test_one_scenario_is_the_model_itself():
    compiled, (numbers,) = blocks(1)
    assert cost_of(compiled, [numbers], np.zeros((1, 24))) == pytest.approx(
        lone_cost(compiled, numbers), rel=1e-7
    )


def test_scenarios_told_apart_at_once_share_nothing():
    compiled, numbers = blocks(3)
    weights = np.array([0.5, 0.2, 0.3])
    wanted = weights @ [lone_cost(compiled, n) for n in numbers]
    seen = np.repeat(np.arange(3)[:, None], 24, axis=1)
    assert cost_of(compiled, numbers, seen, weights) == pytest.approx(wanted, rel=1e-7)


def test_the_earlier_scenarios_are_told_apart_the_cheaper():
    compiled, numbers = blocks(3)
    costs = []
    for hours in (10, 4, 0):
        seen = grids() + np.where(np.arange(24) >= hours, 10.0 * np.arange(1, 4)[:, None], 0.0)
        costs.append(cost_of(compiled, numbers, seen))
    costs.insert(0, cost_of(compiled, numbers, grids()))
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1] + 1.0


def test_it_equals_blocks_with_a_row_for_every_decision_that_is_shared():
    """Stated a second time without merging: equality rows instead, solved through SciPy."""
    compiled, numbers = blocks(2)
    shared = np.flatnonzero(deciding_step(compiled, SYSTEM) < FAILS_AT[1])
    size = compiled.matrix.shape[1]
    one, at = np.ones(len(shared)), np.arange(len(shared))
    same = sparse.csr_array(
        (np.concatenate([one, -one]), (np.tile(at, 2), np.concatenate([shared, shared + size]))),
        shape=(len(shared), 2 * size),
    )
    matrix = sparse.csr_array(sparse.block_diag([compiled.matrix] * 2))
    low, high, lower, upper = (
        np.concatenate([getattr(n, side) for n in numbers])
        for side in ("row_lower", "row_upper", "lower", "upper")
    )
    answer = linprog(
        np.concatenate([n.cost for n in numbers]) / 2.0,
        A_ub=sparse.vstack([matrix[np.isfinite(high)], -matrix[np.isfinite(low)]]),
        b_ub=np.concatenate([high[np.isfinite(high)], -low[np.isfinite(low)]]),
        A_eq=same,
        b_eq=np.zeros(len(shared)),
        bounds=np.column_stack([lower, upper]),
    )
    wanted = answer.fun + np.mean([n.offset for n in numbers])
    assert cost_of(compiled, numbers, grids()[:2]) == pytest.approx(wanted, rel=1e-7)


def test_scenarios_that_look_alike_must_be_alike():
    compiled, numbers = blocks(3)
    with pytest.raises(ValueError, match="look alike so far differ"):
        cost_of(compiled, numbers, np.zeros((3, 24)))


def test_on_tiny_it_lies_between_perfect_foresight_and_the_best_policy():
    """Sampled scenarios bound the best policy from below on average, and more so the more they are.

    A scenario is told apart by the states of the hours before a step.
    """
    tiny = load_system("tiny")
    episodes = [sample_episode(tiny, "train", k) for k in range(400)]
    numbers = [known_model(tiny, episode)[1] for episode in episodes]
    compiled = known_model(tiny, episodes[0])[0]
    states = np.array([episode.errors @ [1.0, 100.0] for episode in episodes])
    seen = np.hstack([np.zeros((len(states), 1)), states[:, :-1]])
    means = []
    for count in (1, 20, 200):
        groups = np.arange(len(episodes)).reshape(-1, count)
        costs = [
            cost_of(compiled, [numbers[k] for k in group], seen[group], system=tiny)
            for group in groups
        ]
        means.append(np.mean(costs))
    assert means == sorted(means)
    assert means[0] < means[-1] < solve(tiny).value
