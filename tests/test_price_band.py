"""Prices within the band: they carry the bargain, lie in the middle, and do what they can."""

import numpy as np
import pytest
from agreed_days import agreed
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import optimize
from test_pair_prices import random_bargain, two_groups

from baselines.bargaining.bargain import Bargain, uniform
from baselines.bargaining.price_band import prices_within
from mmg_env.errors import InputError

SEEDS = st.integers(0, 2**31 - 1)


def banded(seed, narrow):
    """Return a random bargain and a band; the narrower, the less money it lets through."""
    rng = np.random.default_rng(seed + 1)
    bargain, pairs = random_bargain(seed)
    # Whatever the prices, someone may lose: let them all save something without them.
    middle = rng.uniform(0.2, 0.8, 4)
    saving = bargain.savings * narrow * rng.uniform(0.2, 0.5) + pairs.paid(np.tile(middle, (1, 1)))
    saving += (20.0 - saving.sum()) / len(saving)
    width = narrow * rng.uniform(0.05, 0.4, 4)
    bargain = Bargain(saving, np.zeros_like(saving), bargain.power)
    return bargain, pairs, middle - width, middle + width


def in_band(found, low, high):
    return (found.per_kwh >= low - 1e-12).all() and (found.per_kwh <= high + 1e-12).all()


def by_scipy(bargain, pairs, low, high):
    """Return the gains of the Nash product's optimum over what pairs can pay in the band.

    Below a gain that no optimum here has, the logarithm goes on as a parabola.
    """
    unit, least = np.abs(bargain.savings).sum(), 1e-5
    ends = pairs.kwh * low / unit, pairs.kwh * high / unit
    sides = np.minimum(*ends).sum(axis=1), np.maximum(*ends).sum(axis=1)

    def loss(money):
        gain = bargain.savings / unit - pairs.shared(money)
        safe, short = np.maximum(gain, least), np.maximum(least - gain, 0.0) / least
        value = np.log(safe) - short - 0.5 * short**2
        worth = bargain.power * (1.0 / safe + short / least)
        return -(bargain.power * value).sum(), worth[pairs.first] - worth[pairs.second]

    best = min(
        (
            optimize.minimize(
                loss,
                start,
                jac=True,
                method="L-BFGS-B",
                bounds=list(zip(*sides, strict=True)),
                options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 20_000, "maxfun": 40_000},
            )
            for start in (sides[0], 0.5 * (sides[0] + sides[1]), sides[1])
        ),
        key=lambda found: found.fun,
    )
    return bargain.savings - unit * pairs.shared(best.x)


DAYS = [
    ("s1_3mg", "uniform", True),
    ("s1_3mg", "contribution", True),
    ("s1_4mg", "uniform", False),
    ("s1_4mg", "contribution", True),
]


@pytest.mark.parametrize(("name", "power", "possible"), DAYS)
def test_days_of_s1(name, power, possible):
    """With four microgrids and equal powers MG4 would have to buy for less than the grid pays."""
    day = agreed(name)
    bargain = day.bargain(power)
    found = prices_within(bargain, day.pairs, *day.band)
    assert in_band(found, *day.band)
    assert found.possible == possible
    assert found.wanted == pytest.approx(bargain.payments)
    assert found.payments.sum() == pytest.approx(0.0, abs=1e-6)
    assert found.payments == pytest.approx(day.pairs.paid(found.per_kwh))
    gains = bargain.savings - found.payments
    assert (gains > 0.0).all()
    if possible:
        assert found.payments == pytest.approx(bargain.payments, rel=1e-6)
    else:
        assert np.abs(found.payments - bargain.payments).max() > 1.0
        product = (bargain.power * np.log(gains)).sum()
        assert product < (bargain.power * np.log(bargain.gains)).sum()
        # Nobody's gain grows where the closed form would have it and everyone's is in the band.
        assert gains[3] < bargain.gains[3]


@given(SEEDS)
@settings(max_examples=25)
def test_possible_payments_are_made_at_the_prices_nearest_the_middle(seed):
    """Least squares with equations has a solution in closed form where no limit is met."""
    bargain, pairs = random_bargain(seed)
    low, high = np.full(4, -1e4), np.full(4, 1e4 + 1.0)
    found = prices_within(bargain, pairs, low, high)
    assert found.possible
    assert found.payments == pytest.approx(bargain.payments, rel=1e-6, abs=1e-6)
    there = pairs.kwh != 0.0
    flat = there.ravel().nonzero()[0]
    units = np.eye(pairs.kwh.size)[flat].reshape(-1, *pairs.kwh.shape)
    rows = np.array([pairs.paid(unit) for unit in units]).T
    weight = np.abs(pairs.kwh[there])
    root = np.sqrt(weight)
    lacking = bargain.payments - rows @ np.full(len(flat), 0.5)
    best = 0.5 + np.linalg.pinv(rows / root) @ lacking / root
    assert found.per_kwh[there] == pytest.approx(best, rel=1e-5, abs=1e-5)
    assert (found.per_kwh[~there] == 0.5).all()


@given(SEEDS)
@settings(max_examples=30)
def test_any_other_possible_price_is_farther_from_the_middle(seed):
    bargain, pairs, low, high = banded(seed, 1.0)
    try:
        found = prices_within(bargain, pairs, low, high)
    except InputError:
        assume(False)
    assume(found.possible)
    middle = 0.5 * (low + high)
    rng = np.random.default_rng(seed)
    shape = pairs.kwh.shape
    rows = np.array([pairs.paid(row.reshape(shape)) for row in np.eye(pairs.kwh.size)]).T

    def distance(price):
        return (np.abs(pairs.kwh) * (price - middle) ** 2).sum()

    for _ in range(10):
        wish = rng.uniform(low, high, shape)
        towards = wish - found.per_kwh
        # What changes no payment: the part of the way that is in the null space of the payments.
        flat = towards.ravel() - np.linalg.pinv(rows) @ (rows @ towards.ravel())
        for length in (1e-3, 0.1, 1.0):
            other = found.per_kwh + length * flat.reshape(shape)
            if (other >= low - 1e-9).all() and (other <= high + 1e-9).all():
                assert distance(other) >= distance(found.per_kwh) - 1e-6


@pytest.mark.parametrize("seed", range(14))
def test_where_the_band_binds_the_nash_product_is_the_best_that_it_allows(seed):
    bargain, pairs, low, high = banded(seed, 0.3)
    try:
        found = prices_within(bargain, pairs, low, high)
    except InputError:
        return
    assert in_band(found, low, high)
    gains = bargain.savings - found.payments
    wanted = by_scipy(bargain, pairs, low, high)
    assert gains == pytest.approx(wanted, abs=1e-4 * bargain.surplus)
    ours, theirs = ((bargain.power * np.log(g)).sum() for g in (gains, wanted))
    assert ours >= theirs - 1e-9


def test_the_band_binds_in_enough_of_these_and_not_in_all():
    states = []
    for seed in range(14):
        bargain, pairs, low, high = banded(seed, 0.3)
        try:
            states.append(prices_within(bargain, pairs, low, high).possible)
        except InputError:
            states.append(None)
    assert states.count(False) >= 4
    assert states.count(True) >= 1


@given(SEEDS)
@settings(max_examples=40)
def test_where_the_band_binds_no_pair_could_do_better(seed):
    """Either omega/G is equal on both sides of a pair, or its prices are at the right end."""
    bargain, pairs, low, high = banded(seed, 0.3)
    try:
        found = prices_within(bargain, pairs, low, high)
    except InputError:
        assume(False)
    worth = bargain.power / (bargain.savings - found.payments)
    ahead = worth[pairs.second] - worth[pairs.first]
    for k, kwh in enumerate(pairs.kwh):
        if abs(ahead[k]) > 1e-3 * worth.max():
            end = np.where(ahead[k] * kwh > 0.0, high, low)
            assert found.per_kwh[k, kwh != 0.0] == pytest.approx(end[kwh != 0.0], abs=1e-7)


def test_who_has_no_power_is_left_without_a_loss():
    day = agreed("s1_4mg")
    power = np.array([0.0, 0.25, 0.25, 0.25, 0.25])
    bargain = Bargain(day.alone, day.alone - day.bargain("uniform").savings, power)
    found = prices_within(bargain, day.pairs, *day.band)
    assert not found.possible
    gains = bargain.savings - found.payments
    assert gains[0] == pytest.approx(0.0, abs=1e-4 * bargain.surplus)
    assert (gains >= -1e-9).all()


def test_two_who_trade_once_by_hand():
    """The seller wants 15 for 10 kWh; at 1.2 a kWh it gets 12."""
    saving = np.array([20.0, -10.0])
    bargain = Bargain(saving, np.zeros(2), uniform(2))
    pairs = random_bargain(0, 2)[1]
    pairs = type(pairs)(2, np.array([0]), np.array([1]), np.array([[10.0]]))
    wide = prices_within(bargain, pairs, np.array([0.0]), np.array([2.0]))
    assert wide.possible
    assert wide.per_kwh == pytest.approx(np.array([[1.5]]))
    tight = prices_within(bargain, pairs, np.array([0.0]), np.array([1.2]))
    assert not tight.possible
    assert tight.per_kwh == pytest.approx(np.array([[1.2]]))
    assert tight.payments == pytest.approx([12.0, -12.0])
    assert tight.wanted == pytest.approx([15.0, -15.0])


def test_where_no_price_leaves_everyone_a_gain_it_says_so():
    bargain, pairs = two_groups()
    with pytest.raises(InputError, match="none between what the grid pays and what it takes"):
        prices_within(bargain, pairs, np.full(2, 0.0), np.full(2, 0.1))


def test_a_band_that_is_empty_is_refused():
    bargain, pairs = two_groups()
    with pytest.raises(InputError, match=r"in step 1 the least is 0.5, the greatest 0.4"):
        prices_within(bargain, pairs, np.full(2, 0.5), np.array([0.6, 0.4]))


def test_groups_and_idle_participants():
    bargain, pairs = two_groups()
    found = prices_within(bargain, pairs, np.full(2, 0.0), np.full(2, 3.0))
    assert found.possible
    assert found.payments == pytest.approx([25.0, -25.0, -1.0, 1.0, 0.0])
    assert found.per_kwh[1, 1] == 1.5
