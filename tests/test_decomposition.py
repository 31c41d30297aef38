"""Cuts from scenarios that leave a trunk: the same optimum as side by side, and from below."""

import numpy as np
import pytest

from baselines.decomposition import expected_cost
from baselines.deterministic import known_model
from baselines.extensive_form import extensive_form
from baselines.highs import SolverError
from baselines.outage_bound import draw_outages, with_grid
from mmg_env import load_system, sample_episode
from mmg_env.layout import X

SYSTEM = load_system("resilience", {"episode_h": 24, "source.outage_start_per_h": 0.05})


def scenarios(index, count):
    episode = sample_episode(SYSTEM, "test", index)
    down, probability = draw_outages(SYSTEM, 24, count, np.random.default_rng(index))
    grid_up = np.where(down, 0.0, episode.shared(X.derating))
    blocks = [with_grid(SYSTEM, episode, up) for up in grid_up]
    return known_model(SYSTEM, episode)[0], blocks, probability, grid_up, np.argmax(down[:-1], 1)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_it_is_the_optimum_of_the_scenarios_side_by_side(index):
    compiled, blocks, probability, grid_up, steps = scenarios(index, 5)
    wanted = extensive_form(compiled, SYSTEM, blocks, probability, grid_up).solve().objective
    found = expected_cost(compiled, SYSTEM, blocks, probability, steps, gap=1e-6)
    assert found.lower <= wanted * (1.0 + 1e-7)
    assert found.upper >= wanted * (1.0 - 1e-6)
    assert found.upper - found.lower <= 1e-6 * found.upper


def test_stopped_early_it_is_below():
    compiled, blocks, probability, grid_up, steps = scenarios(0, 5)
    wanted = extensive_form(compiled, SYSTEM, blocks, probability, grid_up).solve().objective
    rough = expected_cost(compiled, SYSTEM, blocks, probability, steps, gap=0.05)
    assert rough.lower < wanted < rough.upper


def test_branches_that_never_leave_the_trunk_cost_what_it_costs():
    """Equal numbers everywhere: to be told apart is worth nothing."""
    compiled, blocks, probability, grid_up, steps = scenarios(0, 3)
    same = [blocks[-1]] * 4
    alone = extensive_form(compiled, SYSTEM, same[:1], np.ones(1), grid_up[-1:]).solve().objective
    found = expected_cost(compiled, SYSTEM, same, probability, steps, gap=1e-6)
    assert found.lower == pytest.approx(alone, rel=1e-5)


def test_a_gap_that_is_never_reached_is_told():
    compiled, blocks, probability, _, steps = scenarios(0, 2)
    with pytest.raises(SolverError, match="rounds of cuts left"):
        expected_cost(compiled, SYSTEM, blocks, probability, steps, gap=-1.0)
