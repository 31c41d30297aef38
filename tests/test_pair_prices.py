"""Payments by prices: they are the closed form's, and nobody hears more than prices."""

from itertools import pairwise

import numpy as np
import pytest
from agreed_days import agreed
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from baselines.bargaining.bargain import Bargain, uniform
from baselines.bargaining.pair_prices import (
    PAPER_PER_KWH,
    Public,
    Trader,
    restricted,
    rounds_of_prices,
    settle_in_parallel,
    settle_in_turns,
    traders_of,
)
from baselines.bargaining.trades import Pairs
from baselines.solution import Stop
from mmg_env.errors import InputError

SEEDS = st.integers(0, 2**31 - 1)
WAYS = [settle_in_turns, settle_in_parallel]
S1 = [(name, power) for name in ("s1_3mg", "s1_4mg") for power in ("uniform", "contribution")]


def random_bargain(seed, count=None, surplus=100.0):
    """Return savings of which some are losses, powers, and trades that connect all."""
    rng = np.random.default_rng(seed)
    count = count or int(rng.integers(2, 6))
    saving = rng.normal(0.0, surplus, count)
    saving += (surplus - saving.sum()) / count
    bargain = Bargain(saving, np.zeros(count), rng.dirichlet(np.full(count, 3.0)))
    first, second = np.triu_indices(count, 1)
    kept = (rng.random(len(first)) < 0.5) | (second == first + 1)
    kwh = rng.normal(0.0, 30.0, (kept.sum(), 4)) * (rng.random((kept.sum(), 4)) < 0.8)
    kwh[:, 0] += rng.uniform(1.0, 2.0, len(kwh))
    return bargain, Pairs(count, first[kept], second[kept], kwh)


def off(found, wanted):
    """Return how far the payment that is worst met is off, relative to itself."""
    return float((np.abs(found - wanted) / np.abs(wanted)).max())


@pytest.mark.parametrize("settle", WAYS)
@pytest.mark.parametrize(("name", "power"), S1)
def test_payments_are_those_of_the_closed_form_within_25_rounds(name, power, settle):
    day = agreed(name)
    bargain = day.bargain(power)
    for start in (day.middle, np.zeros_like(day.middle)):
        found = settle(bargain, day.pairs, start, Stop(0.0, 25, np.inf))
        assert off(found.payments, bargain.payments) <= 1e-4
        assert found.payments.sum() == pytest.approx(0.0, abs=1e-9 * bargain.surplus)


@pytest.mark.parametrize("settle", WAYS)
@pytest.mark.parametrize(("name", "power"), S1)
def test_it_ends_by_itself_when_payments_are_right(name, power, settle):
    day = agreed(name)
    bargain = day.bargain(power)
    found = settle(bargain, day.pairs, day.middle)
    assert len(found.trace) <= 25
    assert off(found.payments, bargain.payments) <= 1e-4
    last = found.trace[-1]
    assert max(last.apart, last.moved) <= 1e-5
    assert last.apart_per_kwh <= PAPER_PER_KWH
    assert found.trace[0].apart > last.apart


@given(SEEDS)
@settings(max_examples=30)
def test_in_parallel_random_bargains_reach_the_closed_form(seed):
    bargain, pairs = random_bargain(seed)
    found = settle_in_parallel(bargain, pairs, np.zeros(4), Stop(1e-9, 20_000, np.inf))
    assert found.payments == pytest.approx(bargain.payments, abs=1e-3)


def public_of(bargain, step=1.0):
    return Public(bargain.surplus, 10.0, step)


@pytest.mark.parametrize("step", [1.0, 0.5])
@given(SEEDS)
@settings(max_examples=15)
def test_an_answer_is_the_optimum_of_the_traders_own_problem(step, seed):
    """The same problem by SciPy, in prices instead of the module's units."""
    rng = np.random.default_rng(seed)
    saving, power = float(rng.normal(0.0, 50.0)), float(rng.uniform(0.05, 0.9))
    kwh, start, told = rng.normal(0.0, 20.0, (2, 3)), *rng.normal(size=(2, 2, 3))
    public = Public(100.0, 10.0, step)
    trader = Trader(saving, power, kwh, start, public)
    trader.answer(told)
    trader.learn(told)
    norm = np.linalg.norm(kwh, axis=1, keepdims=True)
    scale = norm / public.unit
    multiplier = step * public.gamma * scale * (trader.price - told)
    again = rng.normal(size=(2, 3))
    near = again if step == 1.0 else 0.5 * (trader.price + again)

    def loss(prices):
        price = prices.reshape(2, 3)
        gain = (saving - (price * kwh).sum()) / public.unit
        apart = scale * (price - near)
        if gain <= 0.0:
            return np.inf
        return (
            -power * np.log(gain)
            + (multiplier * apart).sum()
            + 0.5 * public.gamma * (apart**2).sum()
        )

    best = trader.answer(again)
    assert trader.gain == pytest.approx(saving - (best * kwh).sum())
    slope = optimize.approx_fprime(best.ravel(), loss, 1e-7)
    assert np.abs(slope).max() <= 1e-4
    nudges = 0.05 * rng.normal(size=(20, 6))
    assert all(loss(best.ravel()) <= loss(best.ravel() + nudge) for nudge in nudges)


def test_without_power_a_trader_asks_for_no_gain():
    bargain, pairs = random_bargain(3, 4)
    power = np.array([0.0, 0.5, 0.25, 0.25])
    bargain = Bargain(bargain.savings, np.zeros(4), power)
    found = settle_in_parallel(bargain, pairs, np.zeros(4), Stop(1e-9, 20_000, np.inf))
    assert found.payments == pytest.approx(bargain.payments, abs=1e-3)
    assert bargain.savings[0] - found.payments[0] == pytest.approx(0.0, abs=1e-3)


class Ear:
    """A trader, and all that is ever handed to it and back."""

    def __init__(self, trader):
        self.trader, self.told, self.said = trader, [], []

    def answer(self, told):
        self.told.append(told.copy())
        self.said.append(self.trader.answer(told))
        return self.said[-1]

    def learn(self, told):
        self.told.append(told.copy())
        self.trader.learn(told)


@pytest.mark.parametrize("step", [1.0, 0.5])
def test_a_trader_hears_its_partners_copies_of_their_prices_and_nothing_else(step):
    day = agreed("s1_3mg")
    bargain, pairs = day.bargain("uniform"), day.pairs
    public = public_of(bargain, step)
    ears = [Ear(trader) for trader in traders_of(bargain, pairs, day.middle, public)]
    rounds = rounds_of_prices(ears, pairs, day.middle, public)
    for _ in range(4):
        next(rounds)
    for p, ear in enumerate(ears):
        partners = [int(pairs.first[k] + pairs.second[k]) - p for k in pairs.of(p)]
        for number in range(4):
            for row, q in enumerate(partners):
                at = [int(pairs.first[k] + pairs.second[k]) - q for k in pairs.of(q)].index(p)
                heard, after = ear.told[2 * number][row], ear.told[2 * number + 1][row]
                latest = number if step == 1.0 and q < p else number - 1
                said = ears[q].said[latest][at] if latest >= 0 else day.middle
                assert np.array_equal(heard, said)
                assert np.array_equal(after, ears[q].said[number][at])


def test_a_trader_holds_nobody_elses_saving_power_or_trades():
    bargain, pairs = random_bargain(11, 4)
    traders = traders_of(bargain, pairs, np.full(4, 0.123), public_of(bargain))
    for p, trader in enumerate(traders):
        held = np.concatenate([np.ravel(v) for v in vars(trader).values() if np.size(v)][:-1])
        own = pairs.of(p)
        others = [k for k in range(len(pairs.first)) if k not in own]
        foreign = [np.delete(bargain.savings, p), np.delete(bargain.power, p)]
        foreign += [np.abs(pairs.kwh[others]).ravel(), np.linalg.norm(pairs.kwh[others], axis=1)]
        secrets = np.concatenate(foreign)
        for secret in secrets[secrets != 0.0]:
            for known in (secret, secret / bargain.surplus):
                assert not np.isclose(np.abs(held), abs(known), rtol=1e-9, atol=0.0).any()


def two_groups():
    """0 and 1 trade, 2 and 3 trade, 4 does not."""
    pairs = Pairs(5, np.array([0, 2]), np.array([1, 3]), np.array([[10.0, 5.0], [-4.0, 0.0]]))
    saving = np.array([30.0, -10.0, 5.0, 7.0, 3.0])
    return Bargain(saving, np.zeros(5), np.array([0.1, 0.3, 0.2, 0.2, 0.2])), pairs


def test_each_group_shares_what_it_saves_and_who_does_not_trade_pays_nothing():
    bargain, pairs = two_groups()
    wanted = [30.0 - 5.0, -10.0 - 15.0, 5.0 - 6.0, 7.0 - 6.0, 0.0]
    assert restricted(bargain, pairs) == pytest.approx(wanted)
    for settle in WAYS:
        found = settle(bargain, pairs, np.zeros(2), Stop(1e-9, 5000, np.inf))
        assert found.payments == pytest.approx(wanted, abs=1e-4)


def test_where_trades_connect_all_nothing_is_restricted():
    bargain, pairs = random_bargain(5)
    assert restricted(bargain, pairs) == pytest.approx(bargain.payments)


def test_a_group_that_saves_nothing_is_refused():
    bargain, pairs = two_groups()
    worse = Bargain(bargain.savings - [25.0, 0.0, 0.0, 0.0, 0.0], np.zeros(5), bargain.power)
    for settle in WAYS:
        with pytest.raises(InputError, match=r"\[0, 1\], who trade with one another, save -5 and"):
            settle(worse, pairs, np.zeros(2))


def test_nobody_trades():
    pairs = Pairs(3, np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros((0, 4)))
    bargain = Bargain(np.ones(3), np.zeros(3), uniform(3))
    found = settle_in_turns(bargain, pairs, np.zeros(4))
    assert found.payments.tolist() == [0.0, 0.0, 0.0]
    assert len(found.trace) == 1


def test_it_ends_when_it_may_go_on_no_longer():
    bargain, pairs = random_bargain(2)
    assert len(settle_in_turns(bargain, pairs, np.zeros(4), Stop(0.0, 7, np.inf)).trace) == 7
    assert len(settle_in_turns(bargain, pairs, np.zeros(4), Stop(0.0, 7, 0.0)).trace) == 1
    trace = settle_in_turns(bargain, pairs, np.zeros(4), Stop(0.0, 7, np.inf)).trace
    assert [line.number for line in trace] == list(range(7))
    assert all(a.time_s <= b.time_s for a, b in pairwise(trace))
