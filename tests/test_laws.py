"""Laws 1, 3, 5 and 7 of docs/model.md, section 10, on random systems, episodes and wishes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import laws
import numpy as np
import pytest
from hypothesis import given, settings
from strategies import fixed_case, make_case, make_episode, make_requests, make_system, seeds

from mmg_env.config import WearConfig
from mmg_env.layout import PRICE_RULES, F, L, X
from mmg_env.trajectory import simulate

HERE = Path(__file__).parent


@settings(max_examples=150)
@given(seeds)
def test_any_run_obeys_every_law(seed):
    laws.check_all(laws.run(*make_case(seed)))


@settings(max_examples=40)
@given(seeds)
def test_realised_decisions_are_their_own_projection(seed):
    laws.check_idempotent(laws.run(*make_case(seed)))


@settings(max_examples=30)
@given(seeds)
def test_a_step_reads_nothing_of_later_hours(seed):
    case = make_case(seed)
    laws.check_causality(case, laws.run(*case))


@settings(max_examples=20)
@given(seeds)
def test_simulate_records_the_same_run(seed):
    case = make_case(seed)
    r, trajectory = laws.run(*case), simulate(*case)
    assert trajectory.states.tobytes() == r.states.tobytes()
    assert trajectory.flows.tobytes() == r.flows.tobytes()
    assert trajectory.ledger.tobytes() == r.ledger.tobytes()
    assert trajectory.cost == pytest.approx(r.costs.sum())
    laws.agree(trajectory.step_costs, r.costs, np.abs(r.ledger).sum(axis=(1, 2)))
    laws.agree(trajectory.energy_kwh, r.cells.sum(axis=2))


def test_the_random_systems_are_not_all_alike():
    configs = [fixed_case(seed).system.config for seed in range(60)]
    with_ces = [c for c in configs if c.ces is not None]
    assert {c.pool.price_rule for c in configs} == set(PRICE_RULES)
    assert {c.pool.enabled for c in configs} == {True, False}
    assert {c.dt_h for c in configs} == {0.25, 0.5, 1.0, 2.0}
    for name in ("rental", "markets", "pool_in", "pool_out"):
        assert {getattr(c.ces, name) for c in with_ces} == {True, False}, name
    runs = [laws.run(*fixed_case(seed)) for seed in range(60)]
    for column in F:
        if column is F.projected_nomination_kw:
            continue
        assert any(r.flow(column).any() for r in runs), f"{column.name} is 0 everywhere"
    for account in L:
        moved = any(r.account(account).any() for r in runs)
        assert moved == (account is not L.settlement), account.name
    assert any((r.shared(X.price_sell) < 0.0).any() for r in runs)
    full = [r.batteries[p] for r in runs for p in range(r.count)]
    assert any(b.self_discharge_per_h > 0.0 for b in full)
    assert any(
        (r.retention * r.opening.energy > r.of_battery("soc_max") * r.opening.capacity + 1e-6).any()
        for r in runs
    ), "no battery ever stood above a faded limit"


# --- law 5 ----------------------------------------------------------------------------------------


def fingerprint(chosen):
    """Return a digest of everything that some cases and their runs consist of."""
    digest = hashlib.sha256()
    for seed in chosen:
        case = make_case(seed)
        r = laws.run(*case)
        forecast = case.episode.forecast(case.episode.steps // 2)
        arrays = (case.episode.values, forecast.values, r.states, r.flows, r.ledger, r.costs)
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def test_plain_python_is_bit_equal_to_compiled_code():
    chosen = [2, 7, 10, 29, 38, 41, 44]
    code = f"from test_laws import fingerprint; print(fingerprint({chosen}))"
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    plain = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert plain.stdout.strip() == fingerprint(chosen)


# --- long episodes --------------------------------------------------------------------------------


def test_a_year_of_hours_with_fading_obeys_the_laws():
    case = make_case(38, days=365, dt_h=1.0, fade=True)
    r = laws.run(*case)
    assert r.steps == 8760
    assert (r.opening.capacity[-1] < r.opening.capacity[0])[r.of_battery("power_kw") > 0].all()
    laws.check_all(r)


def test_a_year_of_quarter_hours_obeys_the_laws():
    case = make_case(10, days=365, dt_h=0.25, fade=True)
    r = laws.run(*case)
    assert r.steps == 4 * 8760
    laws.check_all(r)


def test_a_step_length_that_is_no_round_number_counts_whole_days():
    system = make_system(7, days=2, dt_h=24 / 225)
    assert system.steps_per_day == 225
    case = (system, make_episode(system, 7), make_requests(system, 7))
    laws.check_all(laws.run(*case))


# --- law 7 ----------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(seeds)
def test_without_peer_to_peer_trade_members_exchange_with_the_storage_only(seed):
    system = make_system(seed)
    config = system.config
    if config.ces is None or not config.pool.enabled:
        return
    pool = config.pool.model_copy(update={"members": False})
    system = make_system(seed, pool=pool)
    r = laws.run(system, make_episode(system, seed), make_requests(system, seed))
    sent, received = r.flow(F.sent_kw), r.flow(F.received_kw)
    keep = 1.0 - pool.loss
    laws.agree(received[:, :-1].sum(axis=1), keep * sent[:, -1], 0.0, "what the CES sends")
    laws.agree(received[:, -1], keep * sent[:, :-1].sum(axis=1), 0.0, "what the CES receives")


def test_wear_by_price_and_by_depth_may_stand_side_by_side():
    system = make_system(38)
    members = list(system.config.members)
    wears = (WearConfig(cost_per_kwh=0.1, replacement_cost=9.0),
             WearConfig(segments=3, replacement_cost=200.0))  # fmt: skip
    for k, wear in enumerate(wears):
        battery = members[0].battery or system.config.ces.battery
        battery = battery.model_copy(update={"wear": wear})
        members[k] = members[k].model_copy(update={"battery": battery})
    system = make_system(38, members=tuple(members))
    laws.check_all(laws.run(system, make_episode(system, 38), make_requests(system, 38)))
