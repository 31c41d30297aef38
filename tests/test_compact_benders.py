"""Compact Benders: the optimum of the extensive form, from numbers that hold no member's data."""

import dataclasses
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_systems import random_config, random_episode

from baselines.compact_benders import Member, Operator, Request, Split, benders, divide
from baselines.cuts import HALFWAY, Separation
from baselines.day_ahead import DayAhead, day_ahead, with_risk
from baselines.deterministic import first_state
from baselines.extensive_form import ExtensiveForm, committed
from baselines.highs import Solver
from baselines.partition import Partition, Piece
from baselines.programme import Programme
from baselines.risk import NEUTRAL, Risk
from baselines.scenarios import draw
from baselines.solution import Stop
from mmg_env import load_system, sample_episode
from mmg_env.config import SystemConfig
from mmg_env.errors import InputError
from mmg_env.layout import X
from mmg_env.public import PublicInfo
from mmg_env.series import Scenarios
from mmg_env.system import System, build_system

KINDS = ("hour", "scenario", "single")
AVERSE = Risk(0.3)
ALL_THE_WAY = Separation(1.0)
# Sizes that occur nowhere else, so that a number that is met tells whose it is.
PECULIAR = {
    f"members[{m}].{key}": value + 1.7 * m
    for m in range(3)
    for key, value in {
        "grid.import_kw": 203.171,
        "grid.export_kw": 151.273,
        "flex.power_kw": 3.071,
        "flex.cost_per_kwh": 0.05123,
    }.items()
}


def problem_of(system, episode, count=3, probability=None):
    forecast, past = episode.forecast(0), partial(episode.until, 0)
    drawn = draw(system, forecast, count, np.random.default_rng(0))
    if probability is not None:
        drawn = Scenarios(drawn.values, np.array(probability), drawn.member_count)
    return day_ahead(PublicInfo(system, 0, first_state(system), forecast, past), drawn)


@lru_cache
def houses(changes=(), count=3, probability=None):
    system = load_system("s2_crh", dict(changes))
    return problem_of(system, sample_episode(system, "test", 0), count, probability)


@lru_cache
def real():
    system = load_system("community_real", {"episode_h": 24})
    return problem_of(system, sample_episode(system, "test", 0), 2)


def random_problem(seed, count=2):
    system = build_system(random_config(seed).model_copy(update={"episode_h": 24}))
    weights = np.random.default_rng(seed).dirichlet(np.full(count, 2.0))
    return problem_of(system, random_episode(system, seed), count, tuple(weights))


def optimum(problem, kind, risk):
    return with_risk(problem, risk, by_party=kind == "single").solve().objective


def hold(found, best, tolerance=1e-6):
    """Return whether the bounds hold the optimum."""
    slack = tolerance * max(1.0, abs(best))
    return found.lower <= best + slack and found.upper >= best - slack


def rounds(count):
    """Return when to end: by rounds alone, however slow the machine."""
    return Stop(1e-6, count, np.inf)


@lru_cache
def found_by(kind, risk):
    """Return what cuts find for the houses; with one number per member they end with a gap."""
    separation = ALL_THE_WAY if kind == "hour" else HALFWAY
    return benders(houses(), kind, risk, rounds(25 if kind == "single" else 300), separation)


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
    for earlier, later in pairwise(found.trace):
        assert later.lower >= earlier.lower
        assert later.upper <= earlier.upper
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


def test_cuts_by_the_hour_are_refused_where_more_than_shifts_tie_hours_together():
    system = load_system("s1_3mg")
    problem = problem_of(system, sample_episode(system, "test", 0), 2)
    for risk in (NEUTRAL, AVERSE):
        with pytest.raises(InputError, match=r"tie the hours of member MG1 together; single or"):
            divide(problem, "hour", risk)
    charged = houses((("tariff.demand_charge_per_kw", 0.5),), 2)
    for other in (real(), charged):
        with pytest.raises(InputError, match=r"cuts: hour is not possible, .* a demand charge"):
            divide(other, "hour", NEUTRAL)


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


# Whatever is asked has an answer


def some_decisions(master, rng):
    """Return a random solution of the master's programme, inside or at its edge."""
    n = master.numbers
    points = []
    for _ in range(2):
        cost = rng.normal(size=len(n.cost))
        cost = np.where(np.isinf(n.upper), np.abs(cost), cost)
        cost[np.isinf(n.lower)] = 0.0
        numbers = dataclasses.replace(n, cost=cost)
        points.append(Programme("some", master.matrix, numbers).solve().x)
    share = rng.choice([0.0, 0.3, 0.5])
    return share * points[0] + (1.0 - share) * points[1]


def answers(problem, kind, seed):
    split = divide(problem, kind, AVERSE)
    rng = np.random.default_rng(seed)
    x = some_decisions(split.parts.master, rng)
    for told, member in zip(split.told, split.members, strict=True):
        request = np.reshape(told @ x, (len(problem.rows), -1))
        offer = member.respond(Request(request))
        assert np.isfinite(offer.values).all()
        assert np.isfinite(offer.slopes).all()


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_operator_may_decide_members_can_answer(seed):
    for kind in KINDS:
        answers(houses(), kind, seed)
    answers(real(), "scenario", seed)
    answers(random_problem(seed), "scenario", seed)
    answers(random_problem(2), "single", seed)


def test_decisions_that_leave_their_bounds_by_rounding_have_an_answer_too():
    split = divide(real(), "scenario", NEUTRAL)
    operator = Operator(split, NEUTRAL)
    n = split.parts.master.numbers
    x = operator.start()
    bounded = np.isfinite(n.upper)
    x[bounded] = n.upper[bounded] + 1e-6
    for number, member in enumerate(split.members):
        assert np.isfinite(member.respond(operator.request(number, x)).values).all()


# What crosses
#
# Public are: the links and rents that members have agreed with the operator, the retail tariff and
# the penalties, which are one for all members. A slope is a price at the margin, so it often *is*
# the tariff. With cuts by the hour, limits of shifts are known to the operator, who plans shifts.


def private(problem, member):
    """Return what is a member's own, by name: arrays of numbers other than 0."""
    members, rows = len(problem.system.members), problem.rows
    config = problem.system.config.members[member]
    load = rows[:, :, 2 * members + member]
    sun = rows[:, :, member] + rows[:, :, members + member]
    return {
        "load": load,
        "renewables": sun,
        "net load": load - sun,
        "grid limits": np.array([config.grid.import_kw, config.grid.export_kw]),
        "shift limit": np.array([config.flex.power_kw]),
        "shift cost": np.array([config.flex.cost_per_kwh]),
    }


def met(values, numbers):
    """Return how many values are among some numbers, with either sign, to nine digits."""
    values = np.unique(np.abs(values))
    values = values[values > 1e-6]
    there = np.unique(np.abs(numbers[np.isfinite(numbers)]))
    at = np.searchsorted(there, values * (1.0 - 1e-9))
    near = np.append(there, np.inf)[at]
    return int((near <= values * (1.0 + 1e-9)).sum())


def secrets_met(problem, numbers, but=()):
    """Return which private numbers of which members are among some numbers."""
    return [
        (member, name)
        for member in range(len(problem.system.members))
        for name, values in private(problem, member).items()
        if name not in but and met(values, numbers)
    ]


def peculiar():
    return houses(tuple(PECULIAR.items()))


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


def test_one_number_and_one_weighted_slope_per_request_leave_a_member():
    wanted = {"single": 1, "scenario": 3, "hour": 3 * 24}
    for kind, values in wanted.items():
        split = divide(houses(), kind, AVERSE)
        request = Request(np.zeros((3, split.told[0].shape[0] // 3)))
        offer = split.members[0].respond(request)
        assert offer.values.shape == (values,)
        assert offer.slopes.shape == request.told.shape
        assert len(split.scenario_of_group) == 3 * values


def inside(thing):
    """Return what a thing holds: items, fields, what a function closes over, a solver's numbers."""
    if isinstance(thing, Solver):
        lp = thing._highs.getLp()
        names = ("col_cost_", "col_lower_", "col_upper_", "row_lower_", "row_upper_")
        return [np.array(getattr(lp, name)) for name in names]
    if isinstance(thing, np.ndarray):
        return [thing.base]
    if isinstance(thing, list | tuple):
        return list(thing)
    fields = thing if isinstance(thing, dict) else getattr(thing, "__dict__", {})
    closed = getattr(thing, "__closure__", None) or ()
    return [*fields.values(), *(cell.cell_contents for cell in closed)]


def reached(thing, seen):
    """Yield whatever can be reached from a thing."""
    if id(thing) in seen or isinstance(thing, str | int | float | type | None):
        return
    seen[id(thing)] = thing
    yield thing
    for one in inside(thing):
        yield from reached(one, seen)


def held(thing):
    """Return all numbers that a thing can reach, and the classes of what it can reach."""
    everything = list(reached(thing, {}))
    arrays = [one.ravel() for one in everything if isinstance(one, np.ndarray)]
    numbers = [one.astype(float) for one in arrays if one.dtype.kind == "f"]
    return np.concatenate(numbers), {type(one) for one in everything}


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_holds_its_own_data_and_nobody_elses(kind):
    problem = peculiar()
    for number, member in enumerate(divide(problem, kind, AVERSE).members):
        numbers, classes = held(member)
        assert {m for m, _ in secrets_met(problem, numbers)} == {number}
        for name in ("renewables", "net load", "grid limits"):
            assert met(private(problem, number)[name], numbers), name
        assert not classes & {DayAhead, ExtensiveForm, Partition, Split, Operator, System}
        assert not classes & {SystemConfig, Scenarios, PublicInfo}


@pytest.mark.parametrize("kind", KINDS)
def test_the_operator_holds_no_data_of_members(kind):
    problem = peculiar()
    split = divide(problem, kind, AVERSE)
    numbers, classes = held(Operator(split, AVERSE))
    but = ("shift limit",) if kind == "hour" else ()
    assert secrets_met(problem, numbers, but) == []
    assert not classes & {Member, Piece, DayAhead, ExtensiveForm, System, SystemConfig}
    assert secrets_met(problem, held(split.parts.master)[0], but) == []


def test_where_the_community_nominates_the_operator_knows_the_grid_links():
    """It may ask for no more than a link can carry; what a member needs stays with it."""
    problem = houses((*PECULIAR.items(), ("day_ahead.grid", True)))
    split = divide(problem, "scenario", AVERSE)
    met_there = secrets_met(problem, held(Operator(split, AVERSE))[0])
    assert met_there == [(m, "grid limits") for m in range(3)]
