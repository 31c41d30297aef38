"""A robust day means something: its worst cases, lived through, cost what it says."""

from dataclasses import replace

import numpy as np
import pytest

from baselines.branching import Search
from baselines.exclusivity import find_pairs
from baselines.highs import Solver
from baselines.plans import Values, make_plan, settle
from baselines.programme import held
from baselines.replay import replay
from baselines.robust.adversary import Alternating
from baselines.robust.day_ahead import alone, directed, first_stage
from baselines.robust.nested import Nested
from baselines.robust.problem import Recourse
from baselines.robust.typical_days import expected_days, model_of, typical_problem
from baselines.solution import Stop
from mmg_env.splits import nominal_episode
from mmg_env.system import load_system
from tests.random_systems import random_system
from tests.robust_cases import (
    cost_of,
    decisions_of,
    deviated,
    directly,
    listed,
    member,
    problem_of,
    random_day,
    short_day,
    solved,
)

COARSE = Stop(gap=1e-3, iterations=30, time_s=30.0)


@pytest.fixture(scope="module")
def day():
    """Return a member of `s1_3mg` with its hours, its problem, and a robust day."""
    system = alone(load_system("s1_3mg"), 1)
    problem = typical_problem(system)
    return system, problem, solved(problem, COARSE)


def lived_through(system, rows, first, x):
    """Return what a model filled with what happens costs after decisions, relaxed and played.

    Returns:
        The relaxation's cost, that of the best plan in which no device runs both ways, and what
        this plan costs in the simulator.
    """
    compiled, numbers = model_of(system), directly(system, rows)
    numbers = held(numbers, first, x)
    solver = Solver(compiled)
    solver.load(numbers)
    relaxed = solver.solve_lp().objective
    search = Search(solver, numbers, compiled.binary, find_pairs(compiled, numbers))
    assert search.run(1e-7, 400)
    values = Values(compiled, search.best.x.copy())
    settle(system, numbers, values, rows)
    plan = make_plan(system, numbers, values, rows)
    assert plan.cost == pytest.approx(search.best.objective, rel=1e-7)
    episode = replace(nominal_episode(system), values=rows)
    return relaxed, plan.cost, replay(system, episode, plan).step_costs.sum()


def check_worst_cases(system, problem, found, rows):
    for scene, z in enumerate(found.worst):
        recourse = Recourse(problem.scenes[scene], problem.first)
        recourse.decide(found.x)
        answer = recourse.answer(z)
        deviation = problem.scenes[scene].uncertain.moves @ z
        assert problem.scenes[scene].uncertain.contains(deviation)
        happens = deviated(system, rows[scene], deviation)
        relaxed, planned, paid = lived_through(system, happens, problem.first, found.x)
        assert answer.objective == pytest.approx(relaxed, rel=1e-6)
        assert answer.objective <= planned * (1.0 + 1e-7)
        assert paid == pytest.approx(planned, rel=1e-6)


def test_the_worst_days_of_a_member_cost_in_the_simulator_what_the_plan_says(day):
    system, problem, found = day
    assert found.within(COARSE.gap)
    check_worst_cases(system, problem, found, expected_days(system)[0])


@pytest.mark.parametrize("number", range(3))
def test_so_do_those_of_short_days(number):
    system, rows, problem = short_day(number, kinds=(0, 1, 2, 3))
    check_worst_cases(system, problem, solved(problem), rows)


@pytest.mark.parametrize("seed", [4, 6, 10, 12])
def test_a_random_systems_day_with_outages_costs_what_the_model_says(seed):
    system, rows, uncertain = random_day(seed)
    assert not system.reserve
    assert not system.day_ahead_grid
    problem = problem_of(system, rows, uncertain)
    x = decisions_of(problem, np.random.default_rng(seed))
    found = Alternating(problem).worst(0, x, 0.0)
    numbers = directly(system, deviated(system, rows, uncertain.moves @ found.z))
    solver = Solver(model_of(system))
    solver.load(held(numbers, problem.first, x))
    assert found.value == pytest.approx(solver.solve_lp().objective, rel=1e-6)
    assert found.value > cost_of(problem, 0, x, 0.0 * found.z)


def test_what_is_decided_first_is_what_the_day_commits_to_and_the_units():
    system = member(0)
    compiled = model_of(system)
    first, units = first_stage(compiled, system)
    names = {
        name
        for name, columns in compiled.columns.items()
        if np.isin(first, columns[columns >= 0]).any()
    }
    assert units.tolist() == compiled.columns["chp_on"][0, 1:].tolist()
    assert np.isin(units, first).all()
    assert np.array_equal(first, np.unique(first))
    assert "chp_on" in names
    assert names <= {"chp_on", "sent_kw", "received_kw", "nominated_kw"}
    assert ("sent_kw" in names) == bool(system.day_ahead_pool)


def test_a_system_without_units_has_none():
    seeds = [s for s in range(40) if not any(m.chp for m in random_system(s).config.members)]
    system = random_system(seeds[0])
    _, units = first_stage(model_of(system), system)
    assert len(units) == 0
    assert units.dtype == np.int64


def test_a_member_alone_is_a_system_of_one():
    whole = load_system("s1_3mg")
    own = alone(whole, 2)
    assert own.config.members == (whole.config.members[2],)
    assert not own.has_ces
    assert own.config.tariff == whole.config.tariff


# Directions


def test_directions_forbid_that_a_device_runs_both_ways():
    system, _, problem = short_day(0, kinds=(2,))
    problem = replace(
        problem,
        scenes=tuple(
            replace(own, uncertain=replace(own.uncertain, whole=True)) for own in problem.scenes
        ),
    )
    compiled = model_of(system)
    both = directed(problem, compiled)
    pairs = find_pairs(compiled, problem.scenes[0].programme.numbers)
    assert len(both.recourse_whole) == len(pairs.first) > 0
    x = decisions_of(problem, np.random.default_rng(0))
    recourse = Recourse(both.scenes[0], both.first)
    recourse.decide(x)
    z = np.ones(len(both.scenes[0].least))
    answer = recourse.answer(z, both.recourse_whole)
    assert (pairs.overlap(answer.x) <= 1e-6).all()
    assert answer.objective == pytest.approx(cost_of(both, 0, x, z), rel=2e-4)
    assert answer.objective >= cost_of(problem, 0, x, z) - 1e-6


def test_directions_cost_no_less_and_what_listing_them_says():
    system, _, problem = short_day(2, kinds=(2,))
    whole = tuple(
        replace(own, uncertain=replace(own.uncertain, whole=True)) for own in problem.scenes
    )
    problem = directed(replace(problem, scenes=whole), model_of(system))
    exact = Nested(problem, Stop(gap=1e-5, iterations=30, time_s=10.0))
    found = solved(problem, Stop(gap=1e-3, iterations=20, time_s=30.0), proof=exact)
    wanted, _ = listed(problem)
    assert found.within(1e-3)
    assert found.lower <= wanted * (1.0 + 1e-6)
    assert found.upper >= wanted * (1.0 - 1e-6)
