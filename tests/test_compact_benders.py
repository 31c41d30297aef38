"""Compact Benders: the optimum of the extensive form, and what members tell on the way."""

import dataclasses
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from houses import (
    AVERSE,
    KINDS,
    hold,
    houses,
    met,
    optimum,
    peculiar,
    private,
    random_problem,
    real,
    rounds,
    secrets_met,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from baselines.compact_benders import Operator, benders
from baselines.cuts import HALFWAY, Separation
from baselines.day_ahead import with_risk
from baselines.division import divide
from baselines.extensive_form import committed
from baselines.members import Member
from baselines.programme import Programme, lengthened
from baselines.risk import NEUTRAL, Risk
from baselines.solution import Stop
from mmg_env.errors import InputError
from mmg_env.layout import X

ALL_THE_WAY = Separation(1.0)


@lru_cache
def found_by(kind, risk):
    """Return what cuts find for the houses; with one number per member they end with a gap."""
    separation = ALL_THE_WAY if kind == "hour" else HALFWAY
    return benders(houses(), kind, risk, rounds(25 if kind == "single" else 300), separation)


def only_tightens(found):
    """Return whether no lower bound fell and no upper bound rose."""
    bounds = [(entry.lower, entry.upper) for entry in found.trace] + [(found.lower, found.upper)]
    return all(a[0] <= b[0] and a[1] >= b[1] for a, b in pairwise(bounds))


# The optimum


@pytest.mark.parametrize("risk", [NEUTRAL, AVERSE])
@pytest.mark.parametrize("kind", ["hour", "scenario"])
def test_it_is_the_optimum_of_the_scenarios_side_by_side(kind, risk):
    found, _, _ = found_by(kind, risk)
    best = optimum(houses(), kind, risk)
    assert found.within(1e-6)
    assert found.lower == pytest.approx(best, abs=1e-6 * abs(best))
    assert found.upper == pytest.approx(best, abs=1e-6 * abs(best))


@pytest.mark.parametrize("risk", [NEUTRAL, AVERSE])
def test_with_one_number_per_member_the_bounds_hold_it_and_the_gap_is_told(risk):
    found, _, _ = found_by("single", risk)
    assert hold(found, optimum(houses(), "single", risk))
    assert found.upper - found.lower < 0.5 * (found.trace[2].upper - found.trace[2].lower)
    assert not found.within(1e-6)


@pytest.mark.parametrize("risk", [NEUTRAL, AVERSE])
def test_cuts_by_the_hour_need_ten_rounds_at_most(risk):
    assert len(found_by("hour", risk)[0].trace) <= 10


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_only_tighten(kind):
    found, _, _ = benders(
        houses(), kind, AVERSE, Stop(1e-9, 12, np.inf), Separation(0.5, core=True)
    )
    assert only_tightens(found)
    assert hold(found, optimum(houses(), kind, AVERSE))


CHANGES = [
    {"members[*].flex": None},
    {"ces.rental": False},
    {"pool.members": False},
    {"ces.pool_in": False},
    {"member_export": False},
    {"ces": None},
    {"day_ahead.pool": False},
    {"day_ahead.grid": True},
    {"dt_h": 2.0},
]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda c: "-".join(map(str, *c.items())))
@pytest.mark.parametrize("kind", ["hour", "single"])
def test_whatever_a_community_has_and_has_not(kind, changes):
    problem = houses(tuple(changes.items()), 2, (0.3, 0.7))
    stop = rounds(30 if kind == "hour" else 4)
    found, _, _ = benders(problem, kind, Risk(0.5, 0.5), stop, ALL_THE_WAY)
    assert hold(found, optimum(problem, kind, Risk(0.5, 0.5)))
    assert found.within(1e-6) or kind != "hour"


@pytest.mark.parametrize("probability", [(1.0,), (0.5, 0.0, 0.5), (0.05, 0.15, 0.8)])
@pytest.mark.parametrize("risk", [Risk(1.0, 0.0), Risk(1.0, 0.9)])
def test_whatever_is_likely_and_feared(probability, risk):
    problem = houses((), len(probability), probability)
    found, _, _ = benders(problem, "hour", risk, rounds(20), ALL_THE_WAY)
    assert found.within(1e-6)
    assert hold(found, optimum(problem, "hour", risk))
    single, _, _ = benders(problem, "single", risk, rounds(4))
    assert hold(single, optimum(problem, "single", risk))


@pytest.mark.parametrize("kind", ["scenario", "single"])
def test_batteries_a_demand_charge_and_a_nomination(kind):
    found, _, _ = benders(real(), kind, AVERSE, rounds(6))
    assert len(found.trace) == 6
    assert hold(found, optimum(real(), kind, AVERSE))


@given(st.integers(0, 10_000))
@settings(max_examples=4)
def test_random_communities(seed):
    problem = random_problem(seed)
    for kind in KINDS:
        try:
            found, _, _ = benders(problem, kind, Risk(0.5, 0.4), rounds(8))
        except InputError:
            assert kind == "hour"
            continue
        assert hold(found, optimum(problem, kind, Risk(0.5, 0.4))), kind
        assert only_tightens(found), kind


def test_one_member_alone_may_stand_in_the_nomination():
    """Its row stays with the operator, whose deviation it is; no request is beyond the member."""
    problem = random_problem(2)
    assert len(problem.system.members) == 1
    assert problem.system.day_ahead_grid
    found, _, _ = benders(problem, "scenario", NEUTRAL, rounds(200))
    assert found.within(1e-6)
    assert hold(found, optimum(problem, "scenario", NEUTRAL))


def test_members_who_have_nothing_to_do_with_one_another():
    """There is nothing to decide, and what members answer is the cost."""
    changes = (("ces", None), ("pool.enabled", False))
    problem = houses(changes)
    found, operator, _ = benders(problem, "scenario", AVERSE, rounds(3))
    assert operator.decisions == 0
    assert found.within(1e-6)
    assert hold(found, optimum(problem, "scenario", AVERSE))


def test_slopes_that_are_rounding_are_none():
    """HiGHS takes no entries as small as 1e-17; this system has such slopes."""
    problem = random_problem(7)
    found, _, _ = benders(problem, "scenario", NEUTRAL, rounds(3))
    assert hold(found, optimum(problem, "scenario", NEUTRAL))


# How it is computed


@pytest.mark.parametrize("kind", KINDS)
def test_however_many_members_answer_at_a_time_the_same_is_found_to_the_last_bit(kind):
    alone, _, _ = benders(houses(), kind, AVERSE, rounds(5))
    together, _, _ = benders(houses(), kind, AVERSE, rounds(5), threads=3)
    assert np.array_equal(alone.x, together.x)
    assert [e.lower for e in alone.trace] == [e.lower for e in together.trace]
    assert [e.upper for e in alone.trace] == [e.upper for e in together.trace]


def test_one_member_at_least_answers_at_a_time():
    with pytest.raises(InputError, match=r"threads is 0; it must be at least 1"):
        benders(houses(), "hour", threads=0)


@pytest.mark.parametrize("kind", KINDS)
def test_cuts_begin_where_nothing_is_exchanged(kind):
    _, operator, split = found_by(kind, NEUTRAL)
    x = operator.start()
    for number in range(len(split.members)):
        assert not operator.request(number, x).told.any()


def test_where_something_must_be_exchanged_they_begin_with_what_is_possible():
    split = divide(houses(), "scenario", NEUTRAL)
    master, told = split.parts.master, split.told[0]
    some = sparse.csr_array(told[[0]])
    bound = lengthened(master, some, np.array([0.5]), np.array([np.inf]))
    operator = Operator(
        dataclasses.replace(split, parts=dataclasses.replace(split.parts, master=bound)), NEUTRAL
    )
    assert operator.request(0, operator.start()).told[0, 0] >= 0.5 - 1e-6


# The plan


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("risk", [NEUTRAL, AVERSE])
def test_what_is_committed_costs_no_more_than_was_found(kind, risk):
    problem = houses()
    found, _, split = found_by(kind, risk)
    shared = problem.form.column[0, committed(problem.compiled, problem.system)]
    whole = with_risk(problem, risk, by_party=kind == "single")
    n = whole.numbers
    lower, upper = n.lower.copy(), n.upper.copy()
    plan = found.x[np.searchsorted(split.parts.columns, shared)]
    lower[shared] = upper[shared] = np.clip(plan, lower[shared], upper[shared])
    fixed = dataclasses.replace(n, lower=lower, upper=upper)
    cost = Programme("plan", whole.matrix, fixed).solve().objective
    assert cost <= found.upper + 1e-5
    assert cost >= found.lower - 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_schedules_of_members_and_operator_together_are_a_solution_that_costs_what_was_found(kind):
    problem = houses()
    found, operator, split = benders(problem, kind, AVERSE, rounds(8))
    width = len(problem.form.numbers.cost)
    whole = np.full(max(width, owned(split).max() + 1), np.nan)
    whole[split.parts.columns] = found.x[: len(split.parts.columns)]
    count = len(problem.rows)
    for n, member in enumerate(split.members):
        solutions = member.schedule(operator.request(n, found.x))
        for s, solution in enumerate(solutions):
            whole[split.parts.pieces[n * count + s].columns] = solution
    x, form = whole[:width], problem.form
    rows = form.matrix @ x
    assert (x >= form.lower - 1e-6).all()
    assert (x <= form.upper + 1e-6).all()
    assert (rows >= form.row_lower - 1e-5).all()
    assert (rows <= form.row_upper + 1e-5).all()
    costs, offsets = problem.costs_by_party() if kind == "single" else (form.costs, form.offsets)
    every = (costs @ x + offsets).reshape(-1, count)
    assert sum(AVERSE.of(one, form.probability) for one in every) == pytest.approx(found.upper)


def owned(split):
    parts = split.parts
    return np.concatenate([parts.columns, *(piece.columns for piece in parts.pieces)])


# What crosses
#
# Public are: the links and rents that members have agreed with the operator, the retail tariff and
# the penalties, which are one for all members. A slope is a price at the margin, so it often *is*
# the tariff. With cuts by the hour, limits of shifts are known to the operator, who plans shifts.


@pytest.fixture
def crossing(monkeypatch):
    """Return two lists that fill with all numbers asked and answered."""
    asked, answered = [], []
    respond = Member.respond

    def listen(member, request):
        offer = respond(member, request)
        asked.extend(getattr(request, f.name).ravel() for f in dataclasses.fields(request))
        answered.extend(getattr(offer, f.name).ravel() for f in dataclasses.fields(offer))
        return offer

    monkeypatch.setattr(Member, "respond", listen)
    return asked, answered


@pytest.mark.parametrize("kind", KINDS)
def test_no_member_tells_its_data(crossing, kind):
    benders(peculiar(), kind, AVERSE, rounds(12))
    assert len(crossing[1]) >= 2 * 3 * 5
    assert secrets_met(peculiar(), np.concatenate(crossing[1])) == []


@pytest.mark.parametrize("kind", ["scenario", "single"])
def test_before_bounds_meet_what_is_asked_holds_no_data_of_members_either(crossing, kind):
    found, _, _ = benders(peculiar(), kind, AVERSE, rounds(12))
    assert not found.within(1e-6)
    assert secrets_met(peculiar(), np.concatenate(crossing[0])) == []


@pytest.mark.parametrize("kind", ["hour", "scenario"])
def test_where_bounds_meet_the_plan_tells_what_hours_need(kind):
    """What an hour costs bends where a house begins to buy: many optima lie there."""
    found, operator, _ = found_by(kind, NEUTRAL)
    for m in range(3):
        plan = operator.request(m, found.x).told.ravel()
        assert met(private(houses(), m)["net load"], plan) > 0


def test_slopes_are_the_tariff_unless_they_are_weighted(crossing):
    problem = peculiar()
    buy = problem.rows[:, :, 4 * len(problem.system.members) + X.price_buy]
    found = {}
    for kind in ("scenario", "single"):
        crossing[1].clear()
        benders(problem, kind, AVERSE, rounds(6))
        found[kind] = met(buy, np.concatenate(crossing[1]))
    assert found["scenario"] > 0.9 * np.unique(buy).size
    assert found["single"] == 0
