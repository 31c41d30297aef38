"""Bargains: the optimum of the Nash product, and what powers mean."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from baselines.bargaining.bargain import (
    MOST_FOR_SHAPLEY,
    Bargain,
    by_contribution,
    by_marginal,
    by_shapley,
    uniform,
)
from mmg_env.errors import InputError

SEEDS = st.integers(0, 2**31 - 1)


def random_bargain(seed, sign=1.0):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 7))
    alone = rng.normal(0.0, 1000.0, count)
    saving = rng.normal(0.0, 300.0, count)
    saving += (sign * rng.uniform(1.0, 500.0) - saving.sum()) / count
    return Bargain(alone, alone - saving, rng.dirichlet(np.full(count, 2.0)))


def random_game(seed, superadditive=False):
    """Return a saving of every coalition of some participants; of one alone it is 0."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 6))
    players = range(count)
    value = {frozenset(): 0.0, **{frozenset([p]): 0.0 for p in players}}
    for size in range(2, count + 1):
        for some in map(frozenset, combinations(players, size)):
            least = max(
                value[frozenset(part)] + value[some - frozenset(part)]
                for k in range(1, size)
                for part in combinations(sorted(some), k)
            )
            value[some] = (least if superadditive else 0.0) + float(rng.uniform(0.1, 5.0))
    return count, value


def shapley_by_orders(count, value):
    """Return the mean of what each adds as it comes, over all orders of coming."""
    shares, orders = np.zeros(count), list(permutations(range(count)))
    for order in orders:
        for k, p in enumerate(order):
            shares[p] += value[frozenset(order[: k + 1])] - value[frozenset(order[:k])]
    return shares / len(orders)


@given(SEEDS)
@settings(max_examples=100)
def test_what_is_paid_is_received(seed):
    for sign in (1.0, -1.0):
        bargain = random_bargain(seed, sign)
        scale = np.abs(bargain.disagreement).sum()
        assert bargain.payments.sum() == pytest.approx(0.0, abs=1e-12 * scale)
        assert bargain.final == pytest.approx(bargain.cooperation + bargain.payments)
        assert bargain.gains == pytest.approx(bargain.disagreement - bargain.final)
        assert bargain.gains.sum() == pytest.approx(bargain.surplus)
        assert np.sign(bargain.gains).tolist() == [sign] * len(bargain.gains)


@given(SEEDS)
@settings(max_examples=40)
def test_no_other_payments_have_a_greater_nash_product(seed):
    bargain = random_bargain(seed)
    rng = np.random.default_rng(seed)

    def product(payments):
        return float((bargain.power * np.log(bargain.savings - payments)).sum())

    best = product(bargain.payments)
    for size in (1e-3, 0.1, 0.5):
        for _ in range(10):
            shift = rng.normal(size=len(bargain.power))
            shift -= shift.mean()
            shift *= size * bargain.gains.min() / np.abs(shift).max()
            assert product(bargain.payments + shift) < best


@given(SEEDS)
@settings(max_examples=25)
def test_a_numeric_search_finds_the_same_payments(seed):
    bargain = random_bargain(seed)

    def loss(free):
        gain = bargain.savings / bargain.surplus - np.append(free, -free.sum())
        return np.inf if (gain <= 0.0).any() else -float(bargain.power @ np.log(gain))

    # Everyone gains alike to begin with.
    start = (bargain.savings / bargain.surplus - 1.0 / len(bargain.power))[:-1]
    found = optimize.minimize(
        loss, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-13, "maxiter": 20000}
    )
    assert bargain.surplus * found.x == pytest.approx(
        bargain.payments[:-1], abs=2e-3 * bargain.surplus
    )


@given(SEEDS)
@settings(max_examples=40)
def test_powers_are_shares(seed):
    rng = np.random.default_rng(seed)
    count, value = random_game(seed)
    every = [uniform(count)]
    every.append(by_contribution(rng.uniform(0, 9, count), rng.uniform(0, 9, count)))
    every += [by_marginal(count, value.__getitem__), by_shapley(count, value.__getitem__)]
    for power in every:
        assert power.shape == (count,)
        assert (power >= 0.0).all()
        assert power.sum() == pytest.approx(1.0, abs=1e-12)
        Bargain(np.ones(count), np.zeros(count), power)


@given(SEEDS)
@settings(max_examples=40)
def test_with_shapley_powers_everyone_gains_its_shapley_value(seed):
    count, value = random_game(seed, superadditive=True)
    power = by_shapley(count, value.__getitem__)
    surplus = value[frozenset(range(count))]
    assert power * surplus == pytest.approx(shapley_by_orders(count, value))


@given(SEEDS)
@settings(max_examples=40)
def test_who_adds_nothing_has_no_power_and_alike_have_alike(seed):
    count, value = random_game(seed)

    def with_null(some):
        return value[some - {count}]

    power = by_shapley(count + 1, with_null)
    assert power[count] == pytest.approx(0.0, abs=1e-12)
    assert power[:count] == pytest.approx(by_shapley(count, value.__getitem__))
    missed = [
        value[frozenset(range(count))] - value[frozenset(range(count)) - {p}] for p in range(count)
    ]
    if max(missed) > 0.0:
        assert by_marginal(count + 1, with_null)[count] == pytest.approx(0.0, abs=1e-12)

    def twins(some):
        """Let the new participant stand for 0 where that one is missing."""
        return value[some - {count} | ({0} if count in some else set())] + 0.7 * (
            {0, count} <= some
        )

    for rule in (by_shapley, by_marginal):
        power = rule(count + 1, twins)
        assert power[0] == pytest.approx(power[count])


def test_marginal_powers_by_hand():
    value = {(): 0, (0,): 0, (1,): 0, (2,): 0, (0, 1): 6, (0, 2): 2, (1, 2): 0, (0, 1, 2): 10}
    saving = {frozenset(k): float(v) for k, v in value.items()}.__getitem__
    assert by_marginal(3, saving) == pytest.approx(np.array([10.0, 8.0, 4.0]) / 22.0)
    # 0, 1, 2 come in 6 orders: 0 adds 0 0 6 10 2 10, 1 adds 6 8 0 0 8 0, 2 adds 4 2 4 0 0 0.
    assert by_shapley(3, saving) == pytest.approx(np.array([28.0, 22.0, 10.0]) / 60.0)


def test_who_is_not_missed_has_no_power_and_a_loss_is_none():
    saving = {0: 0.0, 1: 0.0, 2: 5.0, 3: 4.0}
    assert by_marginal(3, lambda some: saving[len(some)]) == pytest.approx(uniform(3))
    assert by_marginal(2, lambda some: float(len(some) == 2)) == pytest.approx([0.5, 0.5])


def test_powers_from_energy_by_hand():
    power = by_contribution(np.array([10.0, 5.0, 0.0]), np.array([0.0, 4.0, 8.0]))
    weight = np.array([np.e - 1.0, np.exp(0.5) - np.exp(-0.5), 1.0 - np.exp(-1.0)])
    assert power == pytest.approx(weight / weight.sum())
    # Only shares of the greatest count.
    again = by_contribution(np.array([1.0, 0.5, 0.0]), np.array([0.0, 40.0, 80.0]))
    assert again == pytest.approx(power)
    assert by_contribution(np.zeros(4), np.zeros(4)) == pytest.approx(uniform(4))


@given(SEEDS)
@settings(max_examples=30)
def test_more_energy_is_more_power(seed):
    rng = np.random.default_rng(seed)
    sent, received = rng.uniform(0.0, 9.0, (2, 4))
    more = sent.copy()
    p = int(np.argsort(sent)[1])
    more[p] = 0.5 * (more[p] + more.max())
    assert by_contribution(more, received)[p] > by_contribution(sent, received)[p]


def test_too_many_coalitions_are_refused():
    with pytest.raises(InputError, match="11 participants have 2048 coalitions; at most 10"):
        by_shapley(MOST_FOR_SHAPLEY + 1, lambda _: 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cooperation": np.zeros(2)}, "cooperation has shape"),
        ({"power": np.full((3, 1), 1 / 3)}, "power has shape"),
        ({"disagreement": np.array([1.0, np.nan, 0.0])}, "disagreement is .* must be finite"),
        ({"power": np.array([0.5, 0.6, -0.1])}, "none is negative, the sum is 1"),
        ({"power": np.full(3, 0.3)}, "none is negative, the sum is 1"),
    ],
)
def test_what_makes_no_bargain_is_refused(change, message):
    fine = {"disagreement": np.ones(3), "cooperation": np.zeros(3), "power": uniform(3)}
    Bargain(**fine)
    with pytest.raises(InputError, match=message):
        Bargain(**{**fine, **change})


def test_arrays_are_read_only():
    bargain = Bargain(np.ones(2), np.zeros(2), uniform(2))
    with pytest.raises(ValueError, match="read-only"):
        bargain.power[0] = 1.0
