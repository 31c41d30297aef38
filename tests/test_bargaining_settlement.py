"""Whoever played an episode, bargaining divides what it saved, and nothing is made or lost."""

import laws
import numpy as np
import pytest
from hypothesis import given, settings
from strategies import make_case, seeds

from baselines import POLICIES
from baselines.bargaining.bargain import by_contribution
from baselines.bargaining.settlement import (
    Power,
    Settled,
    alone,
    contributed_power,
    equal_power,
    hidden,
    settle,
)
from mmg_env import CommunityEnv, load_system, rollout, sample_episode
from mmg_env.config_file import suite_names
from mmg_env.errors import InputError
from mmg_env.layout import TRANSFERS, F, L
from mmg_env.system import System
from mmg_env.trajectory import Trajectory, simulate

Array = np.ndarray


def played(seed: int) -> tuple[System, Trajectory, Array]:
    """Return a random episode under random wishes, and what it costs alone and idle."""
    system, episode, requests = make_case(seed)
    apart = alone(system)
    idle = simulate(apart, episode, np.zeros((episode.steps, apart.request_size)))
    return system, simulate(system, episode, requests), idle.costs


def sizes(run: Trajectory, disagreement: Array) -> float:
    """Return the sum of all |terms|, against which rounding is measured."""
    return float(np.abs(run.ledger).sum() + np.abs(disagreement).sum())


@pytest.fixture(scope="module")
def s1() -> tuple[System, Trajectory, Array]:
    """Return a day of s1_3mg under its tuned rule, and what it costs alone."""
    system = load_system("s1_3mg")
    apart = alone(system)
    runs = [
        rollout(CommunityEnv(s, split="test"), POLICIES["tuned_rule"](s), options={"episode": 0})
        for s in (system, apart)
    ]
    return system, runs[0], runs[1].costs


# Honest


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_what_is_settled_is_divided_by_power_and_sums_to_zero(seed: int) -> None:
    system, run, disagreement = played(seed)
    scale = sizes(run, disagreement)
    for power in (equal_power, contributed_power):
        found = settle(system, run, disagreement, power)
        surplus = disagreement.sum() - run.cost
        shares = power(run)
        assert shares.sum() == pytest.approx(1.0)
        assert found.trajectory.cost == run.cost
        assert found.gains == pytest.approx(shares * surplus, abs=1e-6 * scale)
        assert found.payments.sum() == pytest.approx(0.0, abs=1e-9 * scale)
        assert found.final.sum() == pytest.approx(run.cost, abs=1e-9 * scale)
        if surplus >= 0.0:
            assert (found.final <= disagreement + 1e-9 * scale).all()
        check_books(found, run, scale)


def check_books(found: Settled, run: Trajectory, scale: float) -> None:
    """Everyone's books say what it pays in the end, whatever prices of the hour had moved."""
    paid = found.trajectory
    assert paid.ledger.sum(axis=(0, 2)) == pytest.approx(found.final, abs=1e-9 * scale)
    assert paid.transfers == pytest.approx(found.payments, abs=1e-9 * scale)
    others = [column for column in L if column is not L.settlement]
    assert np.array_equal(paid.ledger[:, :, others], run.ledger[:, :, others])
    for name in TRANSFERS:
        assert paid.account(L[name]).sum(axis=1) == pytest.approx(0.0, abs=1e-9 * scale)


@pytest.mark.parametrize("seed", range(6))
def test_a_settled_episode_obeys_the_law_of_transfers(seed: int) -> None:
    system, run, disagreement = played(seed)
    paid = settle(system, run, disagreement).trajectory
    arrays = (paid.requests, paid.states, paid.flows, paid.ledger, paid.step_costs)
    laws.check_transfers(laws.Run(system, paid.episode, *arrays))


def test_the_price_of_the_hour_does_not_matter(s1: tuple[System, Trajectory, Array]) -> None:
    _, run, disagreement = s1
    finals, before = [], []
    for rule in ("mid_market", "sdr", "posted", "none"):
        system = load_system("s1_3mg", {"pool.price_rule": rule})
        same = simulate(system, run.episode, run.requests)
        before.append(same.transfers)
        finals.append(settle(system, same, disagreement).final)
    assert np.ptp(before, axis=0).min() > 1.0
    assert np.ptp(finals, axis=0).max() < 1e-6


def test_to_settle_again_changes_nothing(s1: tuple[System, Trajectory, Array]) -> None:
    system, run, disagreement = s1
    once = settle(system, run, disagreement)
    other = settle(system, run, disagreement, contributed_power).trajectory
    again = settle(system, other, disagreement)
    assert again.payments == pytest.approx(once.payments)
    assert again.trajectory.ledger == pytest.approx(once.trajectory.ledger)


def test_who_does_not_trade_pays_nobody(s1: tuple[System, Trajectory, Array]) -> None:
    apart = alone(s1[0])
    env = CommunityEnv(apart, split="test")
    run = rollout(env, POLICIES["tuned_rule"](apart), options={"episode": 0})
    for power in (equal_power, contributed_power):
        found = settle(apart, run, run.costs, power)
        assert not found.payments.any()
        assert found.gains == pytest.approx(np.zeros(4))


def test_a_loss_is_shared_by_the_same_formula(s1: tuple[System, Trajectory, Array]) -> None:
    system, run, disagreement = s1
    lost = disagreement - 0.5 * np.abs(disagreement)
    found = settle(system, run, lost, lies=np.full(4, 0.5), audits=10.0)
    assert found.bargain.surplus < 0.0
    kept = hidden(system, run, np.full(4, 0.5))
    own = kept + 0.25 * (found.bargain.surplus - kept.sum())
    assert found.gains == pytest.approx(own)  # and no fines


def test_powers_follow_what_was_sent_and_received(s1: tuple[System, Trajectory, Array]) -> None:
    _, run, _ = s1
    sent, received = run.flow(F.sent_kw).sum(axis=0), run.flow(F.received_kw).sum(axis=0)
    found = contributed_power(run)
    assert found == pytest.approx(by_contribution(sent, received))
    assert np.ptp(found) > 0.01


# Lies


@pytest.mark.parametrize("power", [equal_power, contributed_power])
def test_lies_are_paid_for_by_quotes(s1: tuple[System, Trajectory, Array], power: Power) -> None:
    system, run, disagreement = s1
    lies, audits = np.array([0.6, 0.0, 0.3, 0.9]), 2.0
    found = settle(system, run, disagreement, power, lies, audits)
    kept = np.zeros(4)
    for t in range(run.episode.steps):
        spread = run.episode.price_buy[t] - run.episode.price_sell[t]
        for p in range(4):
            traded = run.flows[t, p, F.sent_kw] + run.flows[t, p, F.received_kw]
            kept[p] += lies[p] * 0.5 * spread * traded * system.dt_h
    surplus = disagreement.sum() - run.cost
    fined = audits * surplus * lies**2 / 8.0
    fines = fined - (fined.sum() - fined) / 3.0
    gains = kept + power(run) * (surplus - kept.sum()) - fines
    assert surplus > 0.0
    assert found.gains == pytest.approx(gains)
    assert found.payments.sum() == pytest.approx(0.0, abs=1e-6)
    check_books(found, run, sizes(run, disagreement))


def test_a_lie_pays_without_audits_and_not_under_strong_ones(
    s1: tuple[System, Trajectory, Array],
) -> None:
    system, run, disagreement = s1
    honest = settle(system, run, disagreement).gains
    lies = np.array([0.5, 0.0, 0.0, 0.0])
    for audits, sign in ((0.0, 1.0), (100.0, -1.0)):
        change = settle(system, run, disagreement, lies=lies, audits=audits).gains - honest
        assert (sign * change * [1, -1, -1, -1] > 0.0).all()
        assert change.sum() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    "lies", [np.zeros(3), np.full(4, -0.1), np.full(4, 1.1), np.full(4, np.nan)]
)
def test_lies_that_are_no_shares_are_refused(
    s1: tuple[System, Trajectory, Array], lies: Array
) -> None:
    with pytest.raises(InputError, match=r"4 shares in \[0, 1\] are needed"):
        settle(*s1, lies=lies)


@pytest.mark.parametrize("audits", [-1.0, np.nan, np.inf])
def test_audits_that_are_no_strength_are_refused(
    s1: tuple[System, Trajectory, Array], audits: float
) -> None:
    with pytest.raises(InputError, match=r"audits is .*; it must be a number from 0 on"):
        settle(*s1, audits=audits)


# Alone


@pytest.mark.parametrize("suite", suite_names())
def test_episodes_alone_are_the_same_episodes(suite: str) -> None:
    system = load_system(suite)
    for split, index in (("test", 0), ("shift", 1)):
        whole, apart = (sample_episode(s, split, index) for s in (system, alone(system)))
        assert np.array_equal(whole.values, apart.values)
        assert (whole.label, whole.start) == (apart.label, apart.start)
        for t in (0, whole.steps // 2):
            assert np.array_equal(whole.forecast(t).values, apart.forecast(t).values)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_nobody_trades_or_rents_alone(seed: int) -> None:
    system, episode, _ = make_case(seed)
    apart = alone(system)
    env = CommunityEnv(apart)
    env.reset(options={"episode": episode})
    rng = np.random.default_rng([seed, 4])
    for _ in range(episode.steps):
        env.step(rng.uniform(-1.3, 1.3, env.action_space.shape))
    run = env.trajectory
    for column in (F.sent_kw, F.received_kw, F.virtual_kw):
        assert not run.flow(column).any()
    assert not run.ledger[:, :, [L[name] for name in TRANSFERS]].any()
    assert apart.participants == system.participants
