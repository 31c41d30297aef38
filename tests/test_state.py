"""The named view of the flat state."""

import numpy as np
import pytest
from strategies import make_system

from mmg_env.config import DayAheadConfig
from mmg_env.kernel import reset_state
from mmg_env.layout import S
from mmg_env.state import State


def numbered(system):
    """Return a state whose every number says where it stands."""
    return State(system, np.arange(system.state_size, dtype=float))


@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize("grid", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 5, 17])
def test_the_views_cover_every_number_once(seed, pool, grid):
    system = make_system(seed, day_ahead=DayAheadConfig(pool=pool, grid=grid))
    state = numbered(system)
    count = len(system.participants)
    parts = [np.stack([state.column(c) for c in S], axis=1), state.segments_kwh, state.pool_plan_kw]
    rows = np.concatenate(parts, axis=1)
    whole = np.concatenate([rows.ravel(), state.nomination_kw])
    assert np.array_equal(whole, state.row)
    day = system.steps_per_day
    planned = pool and system.config.pool.enabled
    assert state.pool_plan_kw.shape == (count, day if planned else 0)
    assert state.nomination_kw.shape == (day if grid else 0,)
    assert state.segments_kwh.shape == (count, system.segments)
    assert np.array_equal(state.energy_kwh, state.segments_kwh.sum(axis=1))
    assert np.array_equal(state.capacity_kwh, state.column(S.capacity_kwh))


@pytest.mark.parametrize("seed", range(8))
def test_at_reset_batteries_hold_what_the_configuration_says_and_all_else_is_idle(seed):
    system = make_system(seed)
    row = np.full(system.state_size, np.nan)
    reset_state(system.physics, row)
    state = State(system, row)
    batteries = [m.battery for m in system.config.members]
    if system.config.ces is not None:
        batteries.append(system.config.ces.battery)
    capacity = np.array([b.capacity_kwh if b else 0.0 for b in batteries])
    energy = np.array([b.soc_initial * b.capacity_kwh if b else 0.0 for b in batteries])
    assert state.capacity_kwh == pytest.approx(capacity)
    assert state.energy_kwh == pytest.approx(energy)
    assert (np.diff(state.segments_kwh, axis=1) <= 1e-9).all(), "the cheapest segment fills first"
    for column in S:
        if column is not S.capacity_kwh:
            assert not state.column(column).any()
    assert not state.pool_plan_kw.any()
    assert not state.nomination_kw.any()
