"""Trades: what goes into the pool comes out of it, pair by pair."""

import numpy as np
import pytest
from agreed_days import agreed, random_day
from hypothesis import given, settings
from hypothesis import strategies as st
from random_systems import random_episode, random_system

from baselines.bargaining.trades import LEAST_KWH, Pairs, pairs_of, trades_of
from mmg_env import load_system, rollout
from mmg_env.env import CommunityEnv
from mmg_env.errors import InputError
from mmg_env.layout import F, L, W
from mmg_env.trajectory import simulate

SEEDS = st.integers(0, 2**31 - 1)


def played(seed):
    """Return a random system and what random wishes come to in it."""
    system = random_system(seed)
    episode = random_episode(system, seed)
    wishes = np.random.default_rng(seed).normal(0.0, 60.0, (episode.steps, system.request_size))
    return system, simulate(system, episode, wishes)


def sums_up(system, flows, tolerance):
    trades = trades_of(system, flows)
    through = 1.0 - system.physics.world[W.pool_loss]
    sent, received = (system.dt_h * flows[:, :, column].T for column in (F.sent_kw, F.received_kw))
    assert trades.sum(axis=1) == pytest.approx(through * sent, abs=tolerance)
    assert trades.sum(axis=0) == pytest.approx(received, abs=tolerance)
    assert (trades >= 0.0).all()
    return trades


@given(SEEDS)
@settings(max_examples=40)
def test_trades_of_a_trajectory_sum_up_to_what_was_sent_and_received(seed):
    system, trajectory = played(seed)
    trades = sums_up(system, trajectory.flows, 1e-9)
    # Nobody trades with itself, and nobody both ways in the same hour.
    assert np.all(trades * trades.transpose(1, 0, 2) == 0.0)


@pytest.mark.parametrize("name", ["s1_3mg", "s1_4mg"])
def test_trades_of_a_plan_sum_up_likewise(name):
    day = agreed(name)
    trades = sums_up(day.coalition.system, day.plan.flows, 1e-4)
    assert trades.sum() > 1000.0


def test_without_peer_to_peer_trade_the_storage_is_everyones_counterpart():
    seen = 0
    for seed in range(60):
        system, trajectory = played(seed)
        if system.has_ces and not system.config.pool.members:
            trades = trades_of(system, trajectory.flows)
            assert trades[:-1, :-1].sum() == 0.0
            seen += trades.sum() > 1.0
    assert seen >= 3


def test_with_posted_prices_the_pool_is_paid_for_pair_by_pair():
    """The simulator pays pairs where prices are posted; it must mean the same pairs."""
    system = load_system("s1_3mg", {"pool.price_rule": "posted"})
    rng = np.random.default_rng(1)
    env = CommunityEnv(system, split="test")

    class Anything:
        def reset(self, _):
            pass

        def act(self, *_):
            return rng.uniform(-1.0, 1.0, env.action_space.shape)

    trajectory = rollout(env, Anything(), seed=0)
    trades = trades_of(system, trajectory.flows)
    assert trades.sum() > 1000.0
    posted = system.config.pool.posted
    factor = np.full((4, 4), posted.member_to_member)
    factor[3, :], factor[:, 3] = posted.ces_to_member, posted.member_to_ces
    money = factor[:, :, None] * trades * trajectory.episode.price_buy
    paid = (money.sum(axis=0) - money.sum(axis=1)).T
    assert trajectory.account(L.pool_payment) == pytest.approx(paid, abs=1e-9)


def test_by_hand():
    """10 and 30 kW are sent, 1 in 100 is lost, 19.8 are received by each of two."""
    system = load_system("s1_3mg")
    flows = np.zeros((1, 4, len(F)))
    flows[0, :2, F.sent_kw] = 10.0, 30.0
    flows[0, 2:, F.received_kw] = 19.8
    trades = trades_of(system, flows)[:, :, 0]
    wanted = np.zeros((4, 4))
    wanted[0, 2:], wanted[1, 2:] = 4.95, 14.85
    assert trades == pytest.approx(wanted)


def test_what_does_not_balance_is_refused():
    system = load_system("s1_3mg")
    flows = np.zeros((3, 4, len(F)))
    flows[2, 0, F.sent_kw] = 10.0
    with pytest.raises(InputError, match=r"in step 2 9.9 kW arrive in the pool and 0 are received"):
        trades_of(system, flows)


@given(SEEDS)
@settings(max_examples=40)
def test_payments_of_pairs_sum_to_zero_and_are_those_of_the_trades(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 6))
    trades = rng.uniform(0.0, 9.0, (count, count, 3)) * (rng.random((count, count, 3)) < 0.3)
    trades = np.where(trades >= trades.transpose(1, 0, 2), trades, 0.0)
    trades[np.diag_indices(count)] = 0.0
    pairs = pairs_of(trades)
    price = rng.normal(size=pairs.kwh.shape)
    table = pairs.matrix(price)
    money = np.nan_to_num(table) * trades
    paid = money.sum(axis=(0, 2)) - money.sum(axis=(1, 2))
    assert pairs.paid(price) == pytest.approx(paid)
    assert pairs.paid(price).sum() == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(table[(trades + trades.transpose(1, 0, 2)) == 0.0]).all()
    for p in range(count):
        own = pairs.signs(p)[:, None] * pairs.kwh[pairs.of(p)]
        assert own.sum() == pytest.approx(trades[:, p].sum() - trades[p].sum())


def test_groups_are_those_whom_trades_connect():
    kwh = np.ones((3, 1))
    pairs = Pairs(6, np.array([0, 1, 3]), np.array([1, 4, 5]), kwh)
    group = pairs.groups
    assert group[0] == group[1] == group[4]
    assert group[3] == group[5]
    assert len(set(group)) == 3


def test_rounding_is_no_trade():
    trades = np.zeros((3, 3, 2))
    trades[0, 1] = 1.0
    trades[2, 1] = LEAST_KWH / 2
    pairs = pairs_of(trades)
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([0], [1])
    assert pairs.kwh.tolist() == [[-1.0, -1.0]]


def test_who_stands_alone_trades_nothing():
    system, _, coalition = random_day(12)
    plan = coalition.plan(coalition.solve(frozenset()))
    assert len(pairs_of(trades_of(system, plan.flows)).first) == 0
