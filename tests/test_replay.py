"""Law 2: the plan of an exact model, stepped through the environment, costs what was planned."""

import numpy as np
import pytest
from random_systems import random_episode, random_system

from baselines import perfect_foresight, replay
from mmg_env.errors import InputError
from mmg_env.layout import REAL_COSTS, F, L
from mmg_env.splits import nominal_episode, sample_episode
from mmg_env.system import load_system

SEEDS = range(45)
# An exact plan replays whatever its gap; a loose one is found sooner.
LOOSE = 1e-2


def check(system, episode, gap=1e-4):
    """Compare plan and replay term by term; return the record."""
    solution = perfect_foresight(system, episode, gap)
    record = replay(system, episode, solution.plan)
    kinds = len(REAL_COSTS)
    planned = solution.plan.ledger[:, :, :kinds].sum(axis=(0, 1))
    real = record.ledger[:, :, :kinds].sum(axis=(0, 1))
    scale = np.abs(record.ledger[:, :, :kinds]).sum()
    assert np.abs(real - planned).max() <= 1e-6 * scale, dict(
        zip(REAL_COSTS, real - planned, strict=True)
    )
    assert abs(record.cost - solution.objective) <= 1e-6 * scale
    return record, solution


@pytest.fixture(scope="module")
def records():
    found = {}
    for seed in SEEDS:
        system = random_system(seed)
        episode = random_episode(system, seed)
        found[seed] = (system, *check(system, episode, LOOSE))
    return found


def test_random_systems_replay_to_the_cent(records):
    assert len(records) == len(SEEDS)


def test_the_random_systems_use_every_device_and_switch(records):
    every = [(system, record) for system, record, _ in records.values()]
    used = [
        F.battery_kw,
        F.chp_kw,
        F.flex_kw,
        F.virtual_kw,
        F.sent_kw,
        F.boiler_kw,
        F.export_kw,
        F.curtailed_kw,
        F.unserved_kw,
        F.unserved_heat_kw,
        F.spill_kw,
        F.regulation_kw,
        F.spinning_kw,
        F.called_kw,
    ]
    for flow in used:
        assert sum(bool(record.flow(flow).any()) for _, record in every) >= 3, flow.name
    for term in range(len(REAL_COSTS)):
        if L(term) is L.imbalance:
            continue  # who foresees everything nominates what comes
        assert sum(bool(record.account(L(term)).any()) for _, record in every) >= 3, L(term).name
    for switch in ("rental", "reserve", "day_ahead_pool", "day_ahead_grid"):
        assert {getattr(system, switch) for system, _ in every} == {False, True}
    assert {system.segments for system, _ in every} == {1, 4}
    assert {system.dt_h for system, _ in every} == {0.5, 1.0}


def test_plans_are_nearly_not_projected(records):
    # A wish that the simulator has to move by more than rounding would be a row that is missing.
    for system, record, _ in records.values():
        moved = record.flows[:, :, F.projected_battery_kw : F.projected_nomination_kw + 1]
        assert np.abs(moved).max() < 1e-4, system.name


def test_the_shipped_day_replays():
    system = load_system("s1_3mg")
    check(system, nominal_episode(system))
    check(system, sample_episode(system, "shift", 3))


def test_the_shipped_week_replays():
    system = load_system("community_real")
    check(system, sample_episode(system, "test", 0))


def test_rent_by_the_day_replays_where_it_is_the_only_way():
    closed = {"ces.pool_in": False, "ces.pool_out": False, "episode_h": 48}
    system = load_system("community_real", closed)
    record, _ = check(system, sample_episode(system, "test", 1))
    assert record.flow(F.virtual_kw).any()


def test_a_plan_of_another_length_is_refused():
    system = load_system("s1_3mg")
    plan = perfect_foresight(system, nominal_episode(system)).plan
    longer = load_system("s1_3mg", {"episode_h": 48})
    with pytest.raises(InputError, match=r"the plan has shape \(24, \d+\).*need \(48, "):
        replay(longer, nominal_episode(longer), plan)
