"""Key figures, added up by hand."""

import dataclasses

import numpy as np
import pytest
from strategies import make_case, make_episode, make_system

from baselines import POLICIES
from mmg_env import CommunityEnv, kpis, rollout
from mmg_env.config import (
    BatteryConfig,
    CarbonConfig,
    CesConfig,
    DemandConfig,
    GridConfig,
    MarketConfig,
    MemberConfig,
    RenewableConfig,
    WearConfig,
)
from mmg_env.kernel import N_STATE
from mmg_env.layout import REAL_COSTS, TRANSFERS, A, F, L, P, S, X
from mmg_env.trajectory import Trajectory, simulate

DT_H = 0.5
LIFE = 5.24e-4  # share of life that one full cycle of depth 1 takes


def battery(**fields):
    values = {"capacity_kwh": 100.0, "power_kw": 100.0, "eta_charge": 1.0, "eta_discharge": 1.0}
    values |= {"soc_min": 0.0, "soc_max": 1.0, "soc_initial": 0.0}
    return BatteryConfig(**(values | fields))


def two_members(segments=1, **fields):
    """Return a system of a member with a battery, one without, and a storage."""
    wear = WearConfig(segments=segments, replacement_cost=300.0)
    load = DemandConfig(peak_kw=100.0, profile="none")
    grid = GridConfig(import_kw=1e4, export_kw=1e4)
    wind = RenewableConfig(capacity_kw=100.0, profile="none")
    first = MemberConfig(
        name="a", link_kw=50.0, load=load, grid=grid, wind=wind, battery=battery(wear=wear)
    )
    second = MemberConfig(name="b", link_kw=50.0, load=load, grid=grid)
    ces = CesConfig(
        battery=battery(capacity_kwh=200.0, wear=wear), market=MarketConfig(price="retail")
    )
    values = {"dt_h": DT_H, "days": 1, "members": (first, second), "ces": ces, "fade": False}
    values["carbon"] = CarbonConfig(price_per_kg=0.1, gas_kg_per_m3=2.0)
    return make_system(0, **(values | fields))


def empty(system, load_kw=0.0, wind_kw=0.0):
    """Return a trajectory in which nothing happens, to be filled in."""
    episode = make_episode(system, 0)
    values = np.zeros_like(episode.values)
    values[:, 4 * len(system.members) + X.carbon_kg_per_kwh] = 0.5
    values[:, 2 * len(system.members) : 3 * len(system.members)] = load_kw
    values[:, 0] = wind_kw
    steps, count = episode.steps, len(system.participants)
    states = np.zeros((steps + 1, system.state_size))
    blocks = states[:, : count * system.block_size].reshape(steps + 1, count, -1)
    blocks[:, :, S.capacity_kwh] = system.column(P.capacity_kwh)
    return Trajectory(
        system,
        dataclasses.replace(episode, values=values),
        np.zeros((steps, system.request_size)),
        states,
        np.zeros((steps, count, len(F))),
        np.zeros((steps, count, len(L))),
        np.full(steps, np.nan),
    )


def test_money_is_summed_by_term_and_transfers_as_the_members_pay_them():
    system = two_members()
    run = empty(system)
    run.ledger[:] = np.arange(run.ledger.size, dtype=float).reshape(run.ledger.shape) % 7
    found = kpis(system, run)
    assert found["cost"] == pytest.approx(sum(found[name] for name in REAL_COSTS))
    for name in REAL_COSTS:
        assert found[name] == pytest.approx(run.ledger[:, :, L[name]].sum())
    for name in TRANSFERS:
        assert found[name] == pytest.approx(run.ledger[:, :2, L[name]].sum())


def test_energies_are_powers_times_hours():
    system = two_members()
    run = empty(system, load_kw=10.0, wind_kw=4.0)
    for column, where, power in (
        (F.import_kw, (3, 0), 100.0),
        (F.import_kw, (3, 2), 50.0),
        (F.import_kw, (4, 1), 120.0),
        (F.export_kw, (5, 1), 30.0),
        (F.export_kw, (5, 2), 20.0),
        (F.unserved_kw, (1, 0), 2.0),
        (F.unserved_heat_kw, (1, 1), 3.0),
        (F.spill_kw, (2, 2), 4.0),
        (F.curtailed_kw, (2, 0), 6.0),
        (F.received_kw, (7, 1), 8.0),
        (F.pool_cut_kw, (7, 0), 9.0),
        (F.gas_m3, (8, 0), 11.0),
        (F.projected_chp_kw, (9, 0), 12.0),
        (F.projected_pool_kw, (9, 2), 13.0),
    ):
        run.flows[where[0], where[1], column] = power
    found = kpis(system, run)
    load, wind = 2 * 10.0 * 24.0, 4.0 * 24.0
    expected = {
        "unserved_kwh": 1.0,
        "unserved_heat_kwh": 1.5,
        "spill_kwh": 2.0,
        "curtailed_kwh": 3.0,
        "import_kwh": 135.0,
        "export_kwh": 25.0,
        "peak_import_kw": 150.0,
        "pool_kwh": 4.0,
        "pool_cut_kwh": 4.5,
        "co2_kg": 135.0 * 0.5 + 11.0 * 2.0,
        "self_sufficiency": 1.0 - 135.0 / load,
        "self_consumption": 1.0 - (15.0 + 3.0) / wind,
        "projection_kw": 25.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_without_load_or_renewables_the_shares_are_one():
    system = two_members()
    found = kpis(system, empty(system))
    assert found["self_sufficiency"] == found["self_consumption"] == 1.0


def with_soc(path, other=0.0):
    """Return a trajectory whose first battery follows `path`, and whose storage stands still."""
    system = two_members()
    run = empty(system)
    soc = np.full(len(run.states), path[-1])
    soc[: len(path)] = path
    run.blocks[:, 0, N_STATE] = 100.0 * soc
    run.blocks[:, 2, N_STATE] = 200.0 * other
    return kpis(system, run)


def test_full_cycles_are_counted_as_such():
    found = with_soc([0.1, 0.9] * 3 + [0.1])
    assert found["equivalent_full_cycles"] == pytest.approx(3 * 0.8 / 2)  # mean of two batteries
    assert found["cycle_loss"] == pytest.approx(3 * LIFE * 0.8**2.03 / 2)


def test_a_small_cycle_within_a_large_one_counts_apart():
    found = with_soc([0.0, 0.6, 0.4, 1.0, 0.0])
    assert found["equivalent_full_cycles"] == pytest.approx((0.2 + 1.0) / 2)
    assert found["cycle_loss"] == pytest.approx(LIFE * (0.2**2.03 + 1.0) / 2)


def test_half_a_cycle_is_half_a_cycle():
    assert with_soc([0.2, 0.7])["equivalent_full_cycles"] == pytest.approx(0.25 / 2)


def test_a_battery_at_rest_has_no_cycles():
    found = with_soc([0.5], other=0.5)
    assert found["equivalent_full_cycles"] == found["cycle_loss"] == 0.0
    assert found["capacity_left"] == 1.0


def test_capacity_left_is_the_mean_over_batteries():
    system = two_members()
    run = empty(system)
    run.blocks[-1, 0, S.capacity_kwh] = 90.0
    assert kpis(system, run)["capacity_left"] == pytest.approx((0.9 + 1.0) / 2)


def test_a_system_without_batteries_has_neutral_figures():
    members = tuple(m.model_copy(update={"battery": None}) for m in two_members().config.members)
    system = two_members(members=members, ces=None)
    found = kpis(system, empty(system))
    names = ("equivalent_full_cycles", "cycle_loss", "capacity_left")
    assert [found[name] for name in names] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("depth", [0.125, 0.5, 1.0])
def test_wear_paid_in_the_simulator_is_what_rainflow_says(depth):
    system = two_members(segments=8, day_ahead={"pool": False, "grid": False})
    episode = make_episode(system, 0)
    requests = np.zeros((episode.steps, system.request_size))
    energy = np.tile([-depth, depth], 5) * 100.0  # five full cycles
    power = np.repeat(energy / 2 / DT_H, 2)  # each way takes two steps
    requests[: len(power), A.battery_kw] = power
    run = simulate(system, episode, requests)
    assert np.abs(run.energy_kwh[:, 0]).max() == pytest.approx(100.0 * depth)
    found = kpis(system, run)
    lost = 5 * LIFE * depth**2.03
    assert found["cycle_loss"] == pytest.approx(lost / 2)
    assert found["wear"] == pytest.approx(300.0 * 100.0 * lost)


@pytest.mark.parametrize("seed", range(8))
def test_figures_of_random_episodes_are_finite_and_agree_with_the_rewards(seed):
    system, episode, _ = make_case(seed)
    env = CommunityEnv(system)
    run = rollout(env, POLICIES["random"](system), options={"episode": episode})
    found = kpis(system, run)
    assert all(type(value) is float and np.isfinite(value) for value in found.values())
    assert found["cost"] == pytest.approx(run.step_costs.sum())
    assert len(found) == len(set(found)) == 1 + len(L) + 13 + 3
    assert found["peak_import_kw"] == run.flow(F.import_kw).sum(axis=1).max()
    assert 0.0 < found["capacity_left"] <= 1.0
