"""How far and for how long series deviate."""

import numpy as np
import pytest

from baselines.robust.deviations import (
    BUDGETS,
    HALF_WIDTHS,
    KINDS,
    Budgets,
    around,
    deviating,
    shares,
)
from baselines.robust.typical_days import expected_days
from mmg_env.errors import InputError
from mmg_env.system import load_system
from tests.robust_cases import member


@pytest.fixture(scope="module")
def day():
    system = load_system("s1_3mg")
    rows = expected_days(system)[0][0]
    return system, rows, shares(system, rows)


def test_half_widths_are_shares_of_what_is_expected(day):
    system, rows, width = day
    members = len(system.members)
    for kind, share in enumerate(HALF_WIDTHS):
        at = slice(kind * members, (kind + 1) * members)
        assert width[:, at] == pytest.approx(share * rows[:, at])


@pytest.mark.parametrize("kind", range(4))
def test_each_members_series_has_its_hours(day, kind):
    """The worst of a direction uses each series' hours in full where it counts most."""
    system, _, width = day
    members, steps = len(system.members), len(width)
    uncertain = around(system, width)
    direction = np.zeros((steps, 4 * members))
    direction[:, kind * members + 1] = -1.0
    reach, z = uncertain.support(np.append(direction.ravel(), np.zeros(steps)))
    hours = int(BUDGETS.hours[kind])
    largest = np.sort(width[:, kind * members + 1])[-hours:]
    assert reach == pytest.approx(largest.sum())
    assert z.sum() == np.count_nonzero(largest)


def test_members_and_kinds_deviate_for_themselves(day):
    system, _, width = day
    uncertain = around(system, width)
    reach, _ = uncertain.support(np.append(np.ones(width.size), np.zeros(len(width))))
    hours = np.repeat(BUDGETS.hours, len(system.members)).astype(int)
    wanted = [np.sort(width[:, k])[-hours[k] :].sum() for k in range(width.shape[1])]
    assert reach == pytest.approx(np.sum(wanted))


def test_the_grid_does_not_deviate(day):
    system, _, width = day
    moves = around(system, width).moves.toarray()
    assert not moves[width.size :].any()
    assert moves.shape[0] == width.size + len(width)


def test_hours_are_cut_down_to_whole_steps():
    system = member(0, 4.0)
    assert system.steps_per_day == 6
    assert Budgets(8.0, 6.0, 12.0, 3.0).steps(system).tolist() == [2.0, 1.0, 3.0, 0.0]


def test_a_day_of_hours_is_a_box(day):
    system, _, width = day
    whole = around(system, width, Budgets(24.0, 24.0, 24.0, 24.0))
    reach, _ = whole.support(np.append(np.ones(width.size), np.zeros(len(width))))
    assert reach == pytest.approx(width.sum())


def test_up_and_down_may_differ_and_share_their_hours():
    up, down = np.zeros((3, 4)), np.zeros((3, 4))
    up[:, 2], down[:, 2] = [1.0, 2.0, 3.0], [5.0, 0.0, 1.0]
    uncertain = deviating(up, down, np.array([0.0, 0.0, 2.0, 0.0]))
    towards = np.zeros(15)
    towards[[2, 6, 10]] = [-1.0, 1.0, 1.0]
    assert uncertain.support(towards)[0] == pytest.approx(5.0 + 3.0)


def test_budgets_are_lengthened_by_a_factor():
    assert Budgets(1.0, 2.0, 3.0, 4.0).times(1.5).hours == (1.5, 3.0, 4.5, 6.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hours", [-1.0, np.nan, np.inf])
def test_what_is_no_budget_is_refused(kind, hours):
    with pytest.raises(InputError, match=f"{kind}_h"):
        Budgets(**{f"{kind}_h": hours})
