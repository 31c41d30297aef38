"""The loop finds the optimum, and its bounds mean what they say."""

from dataclasses import replace

import numpy as np
import pytest

from baselines.robust.adversary import Alternating, Exact, Vertices
from baselines.robust.column_generation import ColumnGeneration
from baselines.robust.master import Master
from baselines.robust.nested import Nested
from baselines.robust.sets import box
from baselines.solution import Stop
from tests.robust_cases import (
    FINE,
    KINDS,
    all_moves,
    cost_of,
    generic,
    listed,
    short_day,
    solved,
)


def worst_of(problem, x):
    """Return what decisions cost at the worst of all moves."""
    each = [
        max(cost_of(problem, s, x, z) for z in all_moves(scene.uncertain))
        for s, scene in enumerate(problem.scenes)
    ]
    return float(problem.probability @ each)


@pytest.mark.parametrize("reach", [None, 0.5])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_it_finds_the_optimum_over_all_moves(seed, kind, reach):
    problem = replace(generic(seed, kind, scenes=3), reach=reach)
    found = solved(problem)
    wanted, _ = listed(problem)
    assert found.within(FINE.gap)
    assert found.lower == pytest.approx(wanted, rel=1e-5)
    assert found.upper == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("number", range(3))
def test_it_finds_the_optimum_of_a_members_day(number):
    _, _, problem = short_day(number, kinds=(2,), budget=1.0 + number % 2)
    found = solved(problem)
    assert found.within(FINE.gap)
    assert found.upper == pytest.approx(listed(problem)[0], rel=1e-5)


def test_it_finds_the_optimum_of_a_day_of_six_steps():
    _, _, problem = short_day(1, dt_h=4.0, kinds=(0, 3), scenes=1)
    found = solved(problem)
    assert found.within(FINE.gap)
    assert found.upper == pytest.approx(listed(problem)[0], rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_with_vertices_it_finds_the_same(seed):
    problem = generic(seed)
    master = Master(problem, Stop(gap=1e-8))
    found = ColumnGeneration(problem, master, Alternating(problem), Vertices(problem)).run(FINE)
    assert found.within(FINE.gap)
    assert found.upper == pytest.approx(solved(problem).upper, rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_the_optimum_of_binary_recourse(seed):
    problem = generic(seed, "whole", recourse_binaries=1 + seed % 2, symmetric=True)
    master = Master(problem, Stop(gap=1e-7))
    stop = Stop(gap=1e-4, iterations=60, time_s=30.0)
    exact = Nested(problem, Stop(gap=1e-5, iterations=50, time_s=10.0))
    found = ColumnGeneration(problem, master, Alternating(problem), exact).run(stop)
    assert found.within(stop.gap)
    wanted, _ = listed(problem)
    assert found.lower <= wanted * (1.0 + 1e-6)
    assert found.upper == pytest.approx(wanted, rel=2e-4)


@pytest.mark.parametrize("seed", range(6))
def test_its_bounds_close_in_on_what_its_decisions_cost(seed):
    problem = generic(seed, KINDS[seed % 3])
    found = solved(problem)
    lower = [entry.lower for entry in found.trace]
    proven = [entry.upper for entry in found.trace if entry.upper_kind == "proven"]
    assert (np.diff(lower) >= 0.0).all()
    assert (np.diff(proven) <= 0.0).all()
    assert all(entry.lower <= entry.upper + 1e-6 for entry in found.trace)
    assert found.upper == pytest.approx(worst_of(problem, found.x), rel=1e-6)
    paid = [cost_of(problem, s, found.x, z) for s, z in enumerate(found.worst)]
    assert problem.probability @ paid == pytest.approx(found.upper, rel=1e-5)
    for known in found.cases:
        assert not known[0].any()
        assert len(np.unique(known, axis=0)) == len(known)


@pytest.mark.parametrize("seed", range(6))
def test_without_a_proof_it_claims_none(seed):
    problem = generic(seed)
    found = solved(problem, exact=False)
    assert {entry.upper_kind for entry in found.trace} == {"heuristic"}
    assert not found.within(1.0)
    assert found.lower <= listed(problem)[0] * (1.0 + 1e-6)
    assert found.upper <= worst_of(problem, found.x) * (1.0 + 1e-6)


def test_stopped_at_once_it_says_what_it_knows():
    problem = generic(1)
    found = solved(problem, Stop(gap=0.0, iterations=1))
    wanted, _ = listed(problem)
    assert len(found.trace) == 1
    assert found.lower <= wanted
    assert not found.within(1e-6)
    assert found.trace[-1].upper_kind == "heuristic" or found.upper >= wanted - 1e-6


def test_a_proof_that_finds_no_time_is_none():
    problem = generic(2)
    master = Master(problem, Stop(gap=1e-8))
    hasty = Exact(problem, limit_s=0.0)
    found = ColumnGeneration(problem, master, Alternating(problem), hasty).run(FINE)
    wanted, _ = listed(problem)
    assert found.lower <= wanted + 1e-6
    assert found.trace[-1].upper_kind == "heuristic" or found.upper >= wanted - 1e-6


def test_threads_change_nothing():
    problem = generic(0, scenes=3)
    one, two = solved(problem), solved(problem, threads=2)
    assert np.array_equal(one.x, two.x)
    assert (one.lower, one.upper, len(one.trace)) == (two.lower, two.upper, len(two.trace))


# Larger sets cost more


def with_budget(problem, budget):
    scenes = tuple(
        replace(own, uncertain=replace(own.uncertain, budget=np.array(budget)))
        for own in problem.scenes
    )
    return replace(problem, scenes=scenes)


@pytest.mark.parametrize("seed", range(3))
def test_the_cost_grows_with_the_budget_from_that_of_what_is_expected(seed):
    problem = generic(seed)
    values = [solved(with_budget(problem, [float(b), float(b)])).upper for b in range(4)]
    expected, _ = listed(problem, [np.zeros((1, len(own.least))) for own in problem.scenes])
    assert values[0] == pytest.approx(expected, rel=1e-6)
    assert (np.diff(values) >= -1e-6).all()
    assert values[-1] > values[0]


@pytest.mark.parametrize("seed", range(3))
def test_a_box_costs_no_less_than_its_budgets_and_whole_moves_cost_the_same(seed):
    problem = generic(seed, "budget")
    by_entry, whole = [], []
    for own in problem.scenes:
        moves = own.uncertain.moves
        up, down = (
            np.asarray(moves.maximum(0).sum(axis=1)),
            np.asarray(-moves.minimum(0).sum(axis=1)),
        )
        boxed = box(up, down)
        assert np.array_equal(boxed.moves.toarray(), moves.toarray())
        by_entry.append(replace(own, uncertain=boxed))
        whole.append(replace(own, uncertain=replace(own.uncertain, whole=True)))
    budget = solved(problem).upper
    assert solved(replace(problem, scenes=tuple(by_entry))).upper >= budget - 1e-6
    assert solved(replace(problem, scenes=tuple(whole))).upper == pytest.approx(budget, rel=1e-6)
