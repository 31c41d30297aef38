"""The data-correlated set: days that it holds, and how far it reaches."""

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.robust.correlated import (
    SHARES,
    blocks,
    coverage,
    expected_share,
    fit,
    historical_errors,
)
from baselines.robust.sets import box
from mmg_env import load_system, nominal_episode, sample_episode
from mmg_env.errors import InputError

SYSTEM = load_system("s1_3mg")
ENTRIES = (np.arange(24)[:, None] * 12 + np.array([0, 3, 6, 9])).ravel()  # of the first member


@lru_cache
def errors(split, days):
    return historical_errors(SYSTEM, split, days)[:, ENTRIES]


@lru_cache
def half_width():
    return expected_share(nominal_episode(SYSTEM).forecast(0))[:24].ravel()[ENTRIES]


@lru_cache
def fitted():
    return fit(errors("train", 100), half_width(), 4)


def only(series):
    """Return the direction in which one series is up in every hour."""
    return np.tile(np.eye(4)[series], 24)


def test_errors_are_what_came_true_less_the_first_forecast_in_half_widths():
    found = historical_errors(SYSTEM, "val", 3)
    episode = sample_episode(SYSTEM, "val", 2)
    forecast = episode.forecast(0)
    assert found.shape == (3, 24 * 12)
    for step, kind, name in ((5, 0, "wind_kw"), (12, 1, "pv_kw"), (19, 2, "load_kw")):
        for member in range(3):
            expected = getattr(forecast, name)[step, member]
            missed = getattr(episode, name)[step, member] - expected
            entry = found[2, step * 12 + 3 * kind + member]
            assert entry == pytest.approx(missed / (SHARES[kind] * expected))
    assert not found[:, 3:6].any()  # PV at midnight


def test_a_shorter_day_is_the_beginning_of_the_day():
    assert np.array_equal(historical_errors(SYSTEM, "val", 2, 6), errors_of_all()[:, : 6 * 12])


def errors_of_all():
    return historical_errors(SYSTEM, "val", 2)


def test_other_half_widths_can_be_handed_in():
    halved = historical_errors(SYSTEM, "val", 2, width=lambda f: 2.0 * expected_share(f))
    assert np.allclose(2.0 * halved, errors_of_all())


def test_it_holds_the_days_it_was_fitted_to_and_most_others():
    history, other = errors("train", 100), errors("test", 60)
    found = fitted()
    assert 0.95 <= found.coverage <= 0.96
    assert coverage(found, history) == pytest.approx(found.coverage)
    assert 0.7 < coverage(found, other) <= 1.0
    assert coverage(found, 5.0 * other) < 0.1


def test_a_day_is_counted_if_and_only_if_the_set_contains_it():
    found = fitted()
    for day in errors("test", 12):
        inside = found.set.contains(day * half_width() - found.mean, 1e-4)
        assert inside == (coverage(found, day[None]) == 1.0)


@pytest.mark.parametrize("series", [0, 2, 3])
def test_it_reaches_less_far_than_the_box_that_holds_as_many_days(series):
    found, history = fitted(), errors("train", 100)
    largest = np.sort(np.abs(history).max(axis=1))[94]
    sizes = largest * half_width()
    reach = box(sizes, sizes).support(only(series))[0]
    assert 0.0 < found.set.support(only(series))[0] < 0.75 * reach


def test_it_reaches_less_far_than_the_box_of_half_widths_which_holds_few_days():
    found, history = fit(errors("train", 200), half_width(), 4), errors("train", 200)
    widths = box(half_width(), half_width())
    assert (np.abs(history).max(axis=1) <= 1.0).mean() < 0.5
    assert found.set.support(only(2))[0] < widths.support(only(2))[0]


def test_hours_that_go_together_reach_farther_together_than_against_each_other():
    both = np.zeros((2, 96))
    for hour, sign in ((12, 1.0), (13, -1.0)):
        both[:, hour * 4 + 2] = 1.0, sign
    together, against = (fitted().set.support(direction)[0] for direction in both)
    assert together > 1.3 * against


def test_components_explain_what_was_asked_for():
    few, many = (fit(errors("train", 60), half_width(), 4, explained=e) for e in (0.5, 0.95))
    assert 0.5 <= few.explained < 0.9 < 0.95 <= many.explained <= 1.0
    assert few.components < many.components
    assert fitted().set.budget[0] == np.ceil(fitted().components / 4)
    assert fit(errors("train", 60), half_width(), 4, budget=3).set.budget[0] == 3.0


def test_budgets_are_whole_and_groups_are_the_components_and_the_series():
    found = fitted().set
    assert np.array_equal(found.budget, np.floor(found.budget))
    assert len(found.budget) == 5
    assert (found.group == 0).sum() == 2 * fitted().components
    of_load = found.moves.tocsc()[:, found.group == 3].tocoo()
    assert set(of_load.row % 4) == {2}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_few_causes_are_found_and_hold_the_days_that_they_make(seed):
    """Two series with a cause each, and a mean."""
    rng = np.random.default_rng(seed)
    causes = np.zeros((2, 3, 2))
    causes[[0, 1], :, [0, 1]] = rng.uniform(0.5, 1.5, (2, 3))
    factors = np.linalg.qr(rng.normal(size=(20, 2)))[0]
    days = 0.3 + factors @ causes.reshape(2, 6)
    found = fit(days, np.full(6, 2.0), 2, explained=0.999999, inside=1.0)
    assert found.components == 2
    assert found.explained == pytest.approx(1.0)
    assert found.coverage == coverage(found, days) == 1.0
    assert found.mean == pytest.approx(2.0 * days.mean(axis=0))
    one_more = days[:1] + 10.0 * rng.normal(size=(1, 6))
    assert coverage(found, one_more) == 0.0


def test_series_that_correlate_stand_in_one_block():
    rng = np.random.default_rng(4)
    base = rng.normal(size=(3, 4000))
    series = np.array([base[0], base[1], base[0] + base[2], np.zeros(4000), -base[0]])
    found = blocks(series.T.reshape(50, -1), 5)
    assert found[0] == found[2] == found[4]
    assert len({found[0], found[1], found[3]}) == 3


def test_members_share_the_blocks_of_their_kinds():
    assert blocks(historical_errors(SYSTEM, "train", 60), 12).tolist() == [
        *(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3)
    ]


def test_half_widths_of_zero_take_an_entry_out():
    width = half_width().copy()
    width[only(0) > 0.0] = 0.0
    found = fit(errors("train", 60), width, 4)
    assert found.set.support(only(0))[0] == 0.0
    assert found.set.support(only(2))[0] > 0.0


GOOD = {"errors": np.eye(4), "half_width": np.ones(4), "series": 2}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"errors": np.eye(4)[:1]}, r"errors: shape \(1, 4\)"),
        ({"errors": np.full((3, 4), np.nan)}, "every error a finite number"),
        ({"series": 3}, "series: 3; it must divide the number of entries, 4"),
        ({"half_width": np.ones(3)}, r"half_width: shape \(3,\); it must be \(4,\)"),
        ({"half_width": -np.ones(4)}, "at least 0"),
        ({"explained": 1.1}, r"explained: 1\.1"),
        ({"inside": 0.0}, r"inside: 0\.0"),
        ({"budget": 0}, "budget: 0; it must be at least 1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        fit(**{**GOOD, **change})


def test_days_that_there_are_none_of_are_refused():
    with pytest.raises(InputError, match="days: 0"):
        historical_errors(SYSTEM, "val", 0)
    with pytest.raises(InputError, match=r"hours: 25; it must lie in 1\.\.24"):
        historical_errors(SYSTEM, "val", 1, 25)
    with pytest.raises(InputError, match="errors: shape"):
        coverage(fitted(), np.zeros((0, 96)))
