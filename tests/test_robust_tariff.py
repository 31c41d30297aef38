"""An uncertain tariff: what protection costs is what the worst tariff costs."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from baselines.programme import held
from baselines.robust.sets import box
from baselines.robust.tariff import TARIFF, protected, with_tariffs
from baselines.robust.typical_days import expected_days, model_of, problem_of_days
from mmg_env.errors import InputError
from mmg_env.layout import X
from mmg_env.system import load_system
from tests.robust_cases import directly, listed, short_day, solved

STEP_H = 6.0
HOURS = [0.0, 6.0, 12.0, 24.0]


def community():
    """Return a community with a storage, its days of four steps, and their problem."""
    system = load_system("s1_3mg", {"dt_h": STEP_H})
    rows, probability = (part[:2] for part in expected_days(system))
    entries = len(rows[0]) * (4 * len(system.members) + 1)
    calm = box(np.zeros(entries), np.zeros(entries))
    problem = problem_of_days(system, rows, [calm, calm], probability / probability.sum())
    return system, rows, problem


def priced(system, day, errors):
    """Return a day's model under another tariff, with errors by step."""
    own = day.copy()
    own[:, 4 * len(system.members) + np.array(TARIFF)] *= 1.0 + np.asarray(errors)[:, None]
    return directly(system, own)


def tariffs(steps, deviation, most):
    """Return all errors of -d, 0, d of which no more than so many are not 0."""
    every = product((-deviation, 0.0, deviation), repeat=steps)
    return [e for e in every if np.count_nonzero(e) <= most]


def paid_at_worst(own, x):
    """Return what a protected scene costs if all but its protection is decided."""
    numbers = held(own.programme.numbers, np.arange(len(x)), x)
    return replace(own.programme, numbers=numbers).solve().objective


@pytest.mark.parametrize("budget_h", HOURS)
@pytest.mark.parametrize("whose", ["a member", "a community"])
def test_a_plan_pays_for_the_worst_of_all_tariffs(whose, budget_h):
    system, rows, problem = community() if whose == "a community" else short_day(1)
    found = protected(problem, system, model_of(system), rows, 0.15, budget_h)
    for own, safe, day in zip(problem.scenes, found.scenes, rows, strict=True):
        # One plan is the best without protection, the other with.
        for x in (own.programme.solve().x, safe.programme.solve().x[: len(own.programme.lower)]):
            width = len(directly(system, day).cost)
            worst = max(
                numbers.cost @ x[:width] + numbers.offset
                for e in tariffs(len(day), 0.15, budget_h / STEP_H)
                for numbers in [priced(system, day, e)]
            )
            assert paid_at_worst(safe, x) == pytest.approx(worst, rel=1e-7)


def test_a_budget_that_is_not_whole_lies_in_between():
    system, rows, problem = short_day(0)
    x = problem.scenes[0].programme.solve().x
    paid = [
        paid_at_worst(protected(problem, system, model_of(system), rows, 0.1, h).scenes[0], x)
        for h in (6.0, 9.0, 12.0)
    ]
    assert paid[1] == pytest.approx(0.5 * (paid[0] + paid[2]), rel=1e-9)


@pytest.mark.parametrize("number", range(3))
def test_without_deviation_or_budget_nothing_changes_and_more_of_either_costs_more(number):
    system, rows, problem = short_day(number)
    compiled = model_of(system)

    def value(deviation, budget_h):
        return solved(protected(problem, system, compiled, rows, deviation, budget_h)).upper

    plain = solved(problem).upper
    assert value(0.0, 12.0) == pytest.approx(plain, rel=1e-7)
    assert value(0.15, 0.0) == pytest.approx(plain, rel=1e-7)
    by_deviation = [value(d, 12.0) for d in (0.0, 0.05, 0.15, 1.0)]
    by_budget = [value(0.15, h) for h in (0.0, 3.0, 12.0, 24.0)]
    for values in (by_deviation, by_budget):
        assert (np.diff(values) >= -1e-6 * plain).all()
        assert values[-1] > values[0] + 1.0
    assert value(0.15, 48.0) == pytest.approx(by_budget[-1], rel=1e-7)


@pytest.mark.parametrize("number", range(3))
def test_the_loop_still_finds_the_optimum_over_all_moves(number):
    system, rows, problem = short_day(number, kinds=(2,), budget=1.0 + number % 2)
    safe = protected(problem, system, model_of(system), rows, 0.15, 12.0)
    found = solved(safe)
    assert found.within(1e-6)
    assert found.upper == pytest.approx(listed(safe)[0], rel=1e-5)
    assert found.upper > solved(problem).upper


def test_what_moves_is_left_as_it_was():
    system, rows, problem = short_day(2)
    safe = protected(problem, system, model_of(system), rows)
    for own, other in zip(problem.scenes, safe.scenes, strict=True):
        before, after = own.push.toarray(), other.push.toarray()
        assert np.array_equal(after[: len(before)], before)
        assert not after[len(before) :].any()
        assert len(after) == other.programme.matrix.shape[0]
    assert np.array_equal(safe.first, problem.first)


@pytest.mark.parametrize(("deviation", "budget_h"), [(-0.1, 1.0), (1.1, 1.0), (0.1, -1.0)])
def test_what_is_no_deviation_or_budget_is_refused(deviation, budget_h):
    system, rows, problem = short_day(0)
    with pytest.raises(InputError, match="tariff: deviation is"):
        protected(problem, system, model_of(system), rows, deviation, budget_h)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(wrong):
    system, rows, problem = short_day(0)
    for numbers in ((wrong, 6.0), (0.15, wrong)):
        with pytest.raises(InputError, match="tariff"):
            protected(problem, system, model_of(system), rows, *numbers)


def test_a_storage_with_a_market_of_its_own_is_refused():
    wholesale = load_system("s2_crh")
    assert wholesale.config.ces.market.price != "retail"
    _, rows, problem = short_day(0)
    with pytest.raises(InputError, match="market of its own"):
        protected(problem, wholesale, model_of(wholesale), rows)


def test_known_tariffs_scale_the_four_prices_and_nothing_else():
    system = load_system("s1_3mg")
    rows, probability = expected_days(system)
    members, factors, weights = len(system.members), (0.9, 1.0, 1.2), (0.3, 0.5, 0.2)
    before = rows.copy()
    every, chance = with_tariffs(rows, probability, members, factors, weights)
    assert np.array_equal(rows, before)
    assert every.shape == (3 * len(rows), *rows.shape[1:])
    assert chance.sum() == pytest.approx(1.0)
    prices = 4 * members + np.array([X.price_buy, X.price_sell, X.ces_buy, X.ces_sell])
    others = np.setdiff1d(np.arange(rows.shape[2]), prices)
    for s, (day, own) in enumerate(zip(rows, probability, strict=True)):
        for k, (factor, weight) in enumerate(zip(factors, weights, strict=True)):
            found = every[3 * s + k]
            assert np.array_equal(found[:, others], day[:, others])
            assert found[:, prices] == pytest.approx(factor * day[:, prices])
            assert chance[3 * s + k] == pytest.approx(own * weight)
    assert np.array_equal(with_tariffs(rows, probability, members, [1.0], [1.0])[0], rows)


def test_factors_without_a_weight_are_refused():
    rows = np.ones((2, 4, 4 + len(X)))
    with pytest.raises(InputError, match=r"tariff: 3 factors and 2 weights"):
        with_tariffs(rows, np.array([0.5, 0.5]), 1, (0.9, 1.0, 1.1), (0.5, 0.5))
