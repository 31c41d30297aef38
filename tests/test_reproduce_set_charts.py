"""Uncertainty sets in two dimensions: outlines are right, and the chart says what it shows."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.robust.correlated import historical_errors
from baselines.robust.sets import box, budgeted
from experiments.reproduce.s1_set_charts import outline, set_chart, sets_of_a_day
from mmg_env import load_system
from mmg_env.errors import InputError

SYSTEM = load_system("s1_3mg")


@lru_cache
def shown():
    return sets_of_a_day(SYSTEM, "MG2", 4.0, fit_days=30, other_days=20)


@lru_cache
def chart():
    return set_chart(shown())


def corners(points):
    return {tuple(point) for point in np.round(points, 6).tolist()}


def test_the_outline_of_a_box_are_its_corners():
    found = outline(box(np.array([2.0, 5.0]), np.array([1.0, 3.0])), np.eye(2))
    assert corners(found) == {(2.0, 5.0), (2.0, -3.0), (-1.0, 5.0), (-1.0, -3.0)}


def test_the_outline_of_a_budget_set_are_its_single_deviations():
    one = np.ones(2)
    found = outline(budgeted(one, 2.0 * one, np.zeros(2, int), np.ones(1)), np.eye(2))
    assert corners(found) == {(1.0, 0.0), (0.0, 1.0), (-2.0, 0.0), (0.0, -2.0)}


def test_directions_in_very_different_units_have_all_corners():
    one = np.ones(2)
    uncertain = budgeted(one, one, np.zeros(2, int), np.ones(1))
    found = outline(uncertain, np.diag([1.0, 1e5]))
    assert corners(found) == {(1.0, 0.0), (0.0, 1e5), (-1.0, 0.0), (0.0, -1e5)}


def test_a_set_that_cannot_move_is_a_point():
    assert outline(box(np.zeros(2), np.zeros(2)), np.eye(2)).tolist() == [[0.0, 0.0]]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_no_deviation_is_outside_the_outline(seed):
    rng = np.random.default_rng(seed)
    up, down = rng.uniform(0.0, 2.0, (2, 6))
    uncertain = budgeted(up, down, rng.integers(2, size=6), np.array([1.0, 2.0]))
    directions = rng.normal(size=(2, 6))
    around = outline(uncertain, directions)
    inside = uncertain.sample(50, rng) @ uncertain.moves.toarray().T @ directions.T
    for way in rng.normal(size=(20, 2)):
        # An edge between two of the angles may cut off a sliver.
        assert (inside @ way).max() <= 1.01 * (around @ way).max() + 1e-9


def test_the_sets_are_those_of_one_member():
    found, width = shown(), shown().box.uncertain.support
    night_pv = np.tile([0.0, 1.0, 0.0, 0.0], 24) * (np.arange(96) < 16)
    load = np.tile([0.0, 0.0, 1.0, 0.0], 24)
    profile = SYSTEM.config.source.profiles["el2"]
    assert width(night_pv)[0] == 0.0
    assert width(load)[0] == pytest.approx(0.1 * 3360.0 * sum(profile))
    largest = np.sort(0.1 * 3360.0 * np.array(profile))[-4:]
    assert found.budget.uncertain.support(load)[0] == pytest.approx(largest.sum())
    assert found.fitted_days.shape == (30, 96)
    own = (np.arange(24)[:, None] * 12 + np.array([1, 4, 7, 10])).ravel()
    others = historical_errors(SYSTEM, "test", 20)[:, own]
    width_kw = box_sizes(found.box.uncertain)
    assert np.allclose(found.other_days, others * width_kw)


def box_sizes(uncertain):
    """Return how far each entry of a box reaches, (entries,)."""
    return np.asarray(uncertain.moves.max(axis=1).todense()).ravel()


def test_coverages_are_those_of_days_that_were_not_fitted():
    found = shown()
    for region in (found.box, found.budget, found.correlated):
        inside = [region.uncertain.contains(d - region.center, 1e-4) for d in found.other_days]
        assert region.coverage == pytest.approx(np.mean(inside))
    assert found.budget.coverage <= found.box.coverage < found.correlated.coverage


def test_the_discrete_set_reaches_as_far_as_the_budget_set():
    for view in shown().views:
        for direction in view.directions:
            reach = [s.support(direction)[0] for s in (shown().discrete, shown().budget.uncertain)]
            assert reach[0] == pytest.approx(reach[1])


def test_the_chart_names_every_set_and_its_share_of_days():
    text = chart()
    assert text.startswith("<svg")
    for region in (shown().box, shown().budget, shown().correlated):
        share = f"{100.0 * region.coverage:.0f} %"
        assert f"{region.label} (holds {share} of other days)" in text
    for words in (
        "days of the fit",
        "budget: 4 hours",
        "points farthest out",
        "MG2",
        "before noon",
    ):
        assert words in text


def test_other_days_make_another_chart():
    assert set_chart(replace(shown(), other_days=0.5 * shown().other_days)) != chart()


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(InputError, match="member: 'MG9' is not one of MG1, MG2, MG3"):
        sets_of_a_day(SYSTEM, "MG9")
