"""Quotes that deceive: the closed forms against brute force, and the laws of who gets what."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from baselines.bargaining.bargain import Bargain, uniform
from baselines.bargaining.quoting import (
    MOST,
    TOLERANCE,
    Game,
    adjust,
    against_audits,
    equilibrium,
    fines,
    hidden,
    lies_of,
)
from mmg_env.errors import InputError

SEEDS = st.integers(0, 2**31 - 1)


def random_game(seed):
    """Return a random game, powers of 0 and extreme strengths among them, and random lies."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 7))
    power = rng.dirichlet(np.full(count, rng.choice([0.3, 1.0, 10.0])))
    if rng.random() < 0.2:
        power[0] = 0.0
        power /= power.sum()
    friction = float(rng.choice([0.0, 0.2, 1.0, rng.random()]))
    audits = float(rng.choice([0.0, 1.0, 10.0, 5.0 * rng.random()]))
    return Game(power, friction, audits), rng.uniform(0.0, MOST, count), rng


def with_lie(lies, participant, lie):
    return np.where(np.arange(len(lies)) == participant, lie, lies)


def by_linear_systems(game):
    """Return all equilibria: whoever is not held at an end of the range solves a linear system."""
    n, w, tau = game.participants, game.power, game.friction
    matrix = np.tile((tau * (1 - 2 * w) / n)[:, None], (1, n))
    np.fill_diagonal(matrix, game.audits + 2 * tau * (1 - w) / n)
    right = (1 - w) - tau * w
    found = []
    for held in product((0.0, MOST, None), repeat=n):
        free = np.array([h is None for h in held])
        lies = np.array([0.0 if h is None else h for h in held])
        if free.any():
            rest = right[free] - matrix[np.ix_(free, ~free)] @ lies[~free]
            if abs(np.linalg.det(matrix[np.ix_(free, free)])) < 1e-14:
                continue
            lies[free] = np.linalg.solve(matrix[np.ix_(free, free)], rest)
        slope = right - matrix @ lies
        inside = (lies >= -1e-9).all() and (lies <= MOST + 1e-9).all()
        content = np.where(lies < MOST - 1e-9, slope <= 1e-9, True)
        content &= np.where(lies > 1e-9, slope >= -1e-9, True)
        if inside and content.all():
            found.append(lies)
    return found


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_the_best_response_is_where_the_gain_is_largest(seed):
    game, lies, rng = random_game(seed)
    surplus = float(rng.uniform(1.0, 1e4))
    answer = game.best_responses(lies)
    for p in range(game.participants):

        def loss(lie, p=p):
            return -game.gains(with_lie(lies, p, lie), surplus)[p]

        found = minimize_scalar(loss, bounds=(0.0, MOST), method="bounded").fun
        least = min(found, loss(0.0), loss(MOST))
        assert loss(answer[p]) <= least + 1e-9 * surplus


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_in_equilibrium_nobody_gains_by_another_lie(seed):
    game, _, _ = random_game(seed)
    lies = equilibrium(game)
    gains = game.gains(lies)
    for p in range(game.participants):
        for lie in np.linspace(0.0, MOST, 91):
            assert game.gains(with_lie(lies, p, lie))[p] <= gains[p] + 1e-12
    np.testing.assert_allclose(game.best_responses(lies), lies, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_there_is_one_equilibrium_and_linear_systems_find_the_same(seed):
    game, _, _ = random_game(seed)
    if game.participants > 4 or game.audits + game.friction == 0.0:
        return
    found = by_linear_systems(game)
    assert found
    for lies in found:
        np.testing.assert_allclose(lies, equilibrium(game), atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_adjusting_half_way_comes_to_the_equilibrium(seed):
    game, _, _ = random_game(seed)
    steps = adjust(game)
    assert steps.settled
    assert (steps.trace[0] == 0.0).all()
    assert np.abs(steps.lies - equilibrium(game)).max() <= 10 * TOLERANCE


def test_a_crowd_without_audits_may_never_settle_but_has_its_equilibrium():
    game = Game(uniform(10), 1.0, 0.0)
    assert not adjust(game).settled
    lies = equilibrium(game)
    np.testing.assert_allclose(lies, 8 / 9)
    np.testing.assert_allclose(game.best_responses(lies), lies, atol=1e-9)


@pytest.mark.parametrize(
    ("friction", "audits", "lie", "lost"),
    [
        (1.0, 0.0, 2 / 3, 2 / 3),
        (0.2, 1.0, 0.609, 0.122),
        (0.2, 4.0, 0.169, 0.034),
        (0.2, 10.0, 0.069, 0.014),
        (0.2, 0.0, 0.9, 0.18),
        (0.0, 0.0, 0.9, 0.0),
        (0.0, 2.0, 0.375, 0.0),
    ],
)
def test_four_equal_participants_lie_as_computed_by_hand(friction, audits, lie, lost):
    game = Game(uniform(4), friction, audits)
    lies = equilibrium(game)
    np.testing.assert_allclose(lies, lie, atol=5e-4)
    assert game.welfare_loss(lies) == pytest.approx(lost, abs=5e-4)
    np.testing.assert_array_equal(lies_of(uniform(4), friction, audits), lies)


def test_who_has_all_the_power_does_not_lie():
    np.testing.assert_array_equal(equilibrium(Game(np.array([1.0]), 0.2, 0.0)), [0.0])
    power = np.array([1.0, 0.0, 0.0])
    np.testing.assert_array_equal(equilibrium(Game(power, 0.2, 0.0)), [0.0, MOST, MOST])


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_gains_are_what_payments_on_quotes_leave(seed):
    game, lies, rng = random_game(seed)
    honest = rng.normal(size=game.participants) + 1.0
    surplus = float(honest.sum())
    left = game.surplus(lies, surplus)
    savings = honest * left / surplus
    paid = Bargain(savings - hidden(lies, left), np.zeros(len(savings)), game.power).payments
    fined = fines(lies, surplus, game.audits)
    assert paid.sum() == pytest.approx(0.0, abs=1e-9)
    if surplus > 0.0:
        np.testing.assert_allclose(savings - paid - fined, game.gains(lies, surplus), atol=1e-9)
        assert game.gains(lies, surplus).sum() == pytest.approx(left)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_fines_sum_up_to_nothing_and_fall_on_who_lies_more_than_the_others(seed):
    game, lies, _ = random_game(seed)
    paid = fines(lies, 100.0, game.audits)
    assert paid.sum() == pytest.approx(0.0, abs=1e-9)
    most, n = int(np.argmax(lies)), game.participants
    assert paid[most] >= -1e-12
    expected = game.audits * 100.0 * lies**2 / (2 * n)
    np.testing.assert_allclose(
        paid, expected - np.array([np.delete(expected, p).mean() for p in range(n)]), atol=1e-9
    )
    assert not fines(lies, -100.0, game.audits).any()
    assert not fines(np.array([0.5]), 100.0, game.audits).any()


def test_honest_participants_get_what_they_bargain_for():
    power = np.array([0.5, 0.3, 0.2])
    bargain = Bargain(np.array([9.0, 5.0, 4.0]), np.array([3.0, 6.0, 4.0]), power)
    nothing = np.zeros(3)
    np.testing.assert_allclose(Game(power).gains(nothing, bargain.surplus), bargain.gains)


def test_stronger_audits_make_lies_and_losses_smaller():
    effects = against_audits(np.array([0.5, 0.3, 0.15, 0.05]), strengths=(0, 0.5, 1, 2, 4, 10, 100))
    lost = [e.welfare_loss for e in effects]
    moved = [e.redistributed for e in effects]
    assert lost == sorted(lost, reverse=True)
    assert moved == sorted(moved, reverse=True)
    assert lost[-1] < 0.01
    for effect in effects:
        assert effect.gains.sum() == pytest.approx(1.0 - effect.welfare_loss)


def test_powers_do_not_change_the_loss_where_nobody_is_at_a_limit():
    lost = [
        against_audits(power, strengths=(2,))[0].welfare_loss
        for power in (uniform(4), np.array([0.5, 0.3, 0.15, 0.05]))
    ]
    assert lost[0] == pytest.approx(lost[1])


def test_the_weak_take_from_the_strong():
    (effect,) = against_audits(np.array([0.7, 0.2, 0.1]), strengths=(1,))
    assert (np.diff(effect.lies) > 0.0).all()
    assert effect.gains[0] < 0.7 * (1.0 - effect.welfare_loss)
    assert effect.gains[2] > 0.1 * (1.0 - effect.welfare_loss)


@pytest.mark.parametrize(
    ("power", "friction", "audits", "said"),
    [
        ([0.5, 0.6], 0.2, 1.0, "power"),
        ([1.5, -0.5], 0.2, 1.0, "power"),
        ([0.5, 0.5], 1.2, 1.0, "friction is 1.2"),
        ([0.5, 0.5], 0.2, -1.0, "audits is -1"),
    ],
)
def test_what_makes_no_game_is_refused(power, friction, audits, said):
    with pytest.raises(InputError, match=said):
        Game(np.array(power), friction, audits)
