"""The record of an episode: shapes, names, sums."""

import numpy as np
import pytest
from strategies import make_case

from mmg_env.layout import REAL_COSTS, F, L, S
from mmg_env.state import State
from mmg_env.trajectory import simulate

SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_column_has_a_name(seed):
    system, episode, requests = make_case(seed)
    run = simulate(system, episode, requests)
    steps, count = episode.steps, len(system.participants)
    assert run.states.shape == (steps + 1, system.state_size)
    assert run.flows.shape == (steps, count, len(F))
    assert run.ledger.shape == (steps, count, len(L))
    for k, column in enumerate(F):
        assert np.array_equal(run.flow(column), run.flows[:, :, k])
    for k, column in enumerate(L):
        assert np.array_equal(run.account(column), run.ledger[:, :, k])
    for t in (0, steps // 2, steps):
        state = State(system, run.states[t])
        assert np.array_equal(run.blocks[t], state.blocks)
        assert np.array_equal(run.energy_kwh[t], state.energy_kwh)
        for column in S:
            assert np.array_equal(run.state(column)[t], state.column(column))


@pytest.mark.parametrize("seed", SEEDS)
def test_cost_is_the_sum_of_the_real_terms(seed):
    run = simulate(*make_case(seed))
    real = sum(run.account(L[name]).sum() for name in REAL_COSTS)
    size = np.abs(run.ledger).sum()
    assert run.cost == pytest.approx(real, abs=1e-9 * size)
    assert run.step_costs.sum() == pytest.approx(real, abs=1e-9 * size)
    assert run.step_costs.shape == (run.episode.steps,)


def test_what_simulate_returns_cannot_be_written():
    run = simulate(*make_case(0))
    for array in (run.states, run.flows, run.ledger, run.blocks, run.flow(F.chp_kw)):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0
    assert np.isnan(run.decision_ms).all()
