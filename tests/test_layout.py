"""Column names, and the arrays of a system that use them."""

import itertools

import numpy as np
import pytest
from strategies import make_system

from mmg_env import layout
from mmg_env.layout import PRICE_RULES, REAL_COSTS, TRANSFERS, A, F, L, P, S, W, X
from mmg_env.system import load_system


@pytest.mark.parametrize("columns", [W, P, A, S, X, F, L])
def test_columns_count_from_zero_without_gaps(columns):
    assert [int(c) for c in columns] == list(range(len(columns)))
    assert columns.names() == tuple(c.name for c in columns)


def test_the_ledger_is_real_costs_then_transfers():
    assert L.names() == REAL_COSTS + TRANSFERS
    hourly = ("pool_payment", "rental", "service_fee", "virtual_settlement")
    assert (*hourly, "settlement") == TRANSFERS


def test_price_rules_have_different_numbers():
    assert sorted(PRICE_RULES.values()) == list(range(len(PRICE_RULES)))


def test_no_name_of_a_column_carries_two_units():
    for columns in (P, A, S, F):
        for name in columns.names():
            assert not name.endswith("_kw_kwh"), name
    assert layout.MEMBER_SERIES == ("wind_kw", "pv_kw", "load_kw", "heat_kw")


def test_every_system_has_arrays_of_the_stated_shape_that_cannot_be_written():
    for seed in range(30):
        system = make_system(seed)
        world, table, wear = system.physics
        count = len(system.participants)
        assert world.shape == (len(W),)
        assert table.shape == (count, len(P))
        assert wear.shape == (count, system.segments)
        assert (np.diff(wear, axis=1) >= 0.0).all()
        for array in (world, table, wear):
            assert np.isfinite(array).all()
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0.0
        plan = system.steps_per_day if system.day_ahead_pool else 0
        grid = system.steps_per_day if system.day_ahead_grid else 0
        assert system.state_size == count * (len(S) + system.segments + plan) + grid
        assert system.request_size == count * (len(A) + plan) + grid
        assert system.exogenous_size == 4 * len(system.members) + len(X)
        assert system.steps_per_day * system.dt_h == pytest.approx(24.0)


def test_segments_of_two_batteries_meet_at_a_common_multiple():
    wear = {"segments": 2, "replacement_cost": 400.0}
    ces = {"segments": 3, "replacement_cost": 400.0}
    system = load_system("s1_3mg", {"members[0].battery.wear": wear, "ces.battery.wear": ces})
    table = system.physics.wear
    assert table.shape[1] == 6
    assert (table[0] == np.repeat(table[0, ::3], 3)).all()
    assert (table[-1] == np.repeat(table[-1, ::2], 2)).all()
    for left, right in itertools.pairwise(table[-1, ::2]):
        assert left < right
