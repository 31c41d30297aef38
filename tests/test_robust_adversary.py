"""Adversaries: what they find costs what they say, and nothing exceeds what they prove."""

from dataclasses import replace

import numpy as np
import pytest

from baselines.robust.adversary import Alternating, Exact, Vertices
from baselines.robust.deviations import around, shares
from baselines.robust.sets import budgeted
from baselines.robust.typical_days import expected_days
from mmg_env.errors import InputError
from tests.robust_cases import (
    KINDS,
    all_moves,
    cost_of,
    decisions_of,
    deviating,
    generic,
    member,
    problem_of,
    short_day,
)

PRICES = (0.0, 0.3)


def worst_of_all(problem, scene, x, price):
    moves = all_moves(problem.scenes[scene].uncertain)
    return max(cost_of(problem, scene, x, z) - price * z.sum() for z in moves)


@pytest.mark.parametrize("price", PRICES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_exact_and_vertices_find_the_worst_of_all_moves(seed, kind, price):
    problem = generic(seed, kind)
    x = decisions_of(problem, np.random.default_rng(seed))
    searches = Exact(problem, gap=1e-9), Vertices(problem)
    for scene in range(len(problem.scenes)):
        wanted = worst_of_all(problem, scene, x, price)
        for adversary in searches:
            found = adversary.worst(scene, x, price)
            assert found.value == pytest.approx(wanted, rel=1e-6)
            assert found.bound == pytest.approx(wanted, rel=1e-6)
            replayed = cost_of(problem, scene, x, found.z) - price * found.z.sum()
            assert replayed == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_what_alternation_finds_is_no_worse_than_the_worst_and_no_proof(seed):
    problem = generic(seed, KINDS[seed % 3])
    x = decisions_of(problem, np.random.default_rng(seed))
    quick, exact = Alternating(problem), Vertices(problem)
    for scene in range(len(problem.scenes)):
        for price in PRICES:
            found = quick.worst(scene, x, price)
            assert found.bound is None
            assert found.value <= exact.worst(scene, x, price).value + 1e-6
            replayed = cost_of(problem, scene, x, found.z) - price * found.z.sum()
            assert found.value == pytest.approx(replayed, rel=1e-6)


def test_one_alternation_is_paid_at_the_moves_it_ends_with(monkeypatch):
    monkeypatch.setattr("baselines.robust.adversary.ROUNDS", 1)
    problem = generic(3)
    x = decisions_of(problem, np.random.default_rng(3))
    found = Alternating(problem, starts=2).worst(0, x, 0.0)
    assert found.value == pytest.approx(cost_of(problem, 0, x, found.z), rel=1e-6)


def test_alternation_is_the_same_each_time_and_remembers_the_worst_it_found():
    problem = generic(5)
    x = decisions_of(problem, np.random.default_rng(5))
    once, again = Alternating(problem), Alternating(problem)
    first = once.worst(0, x, 0.0)
    assert np.array_equal(first.z, again.worst(0, x, 0.0).z)
    assert once.worst(0, x, 0.0).value >= first.value - 1e-9


@pytest.mark.parametrize("number", range(3))
def test_exact_finds_the_worst_of_a_members_day(number):
    _, _, problem = short_day(number, kinds=(0, 2))
    x = decisions_of(problem, np.random.default_rng(number))
    exact, vertices = Exact(problem, gap=1e-9), Vertices(problem)
    for scene in range(2):
        wanted = vertices.worst(scene, x, 0.0)
        found = exact.worst(scene, x, 0.0)
        assert found.value == pytest.approx(wanted.value, rel=1e-6)
        assert found.bound == pytest.approx(wanted.value, rel=1e-6)
        assert cost_of(problem, scene, x, found.z) == pytest.approx(wanted.value, rel=1e-6)


@pytest.mark.parametrize("nothing", ["no moves", "no budget"])
def test_where_nothing_can_deviate_the_worst_is_what_is_expected(nothing):
    system = member(0)
    day = expected_days(system)[0][0]
    widths = shares(system, day)
    uncertain = (
        around(system, 0.0 * widths) if nothing == "no moves" else deviating(day, (0, 2), 0.0)
    )
    problem = problem_of(system, day, uncertain)
    z = np.zeros(uncertain.moves.shape[1])
    x = decisions_of(problem, np.random.default_rng(0))
    for adversary in (Alternating(problem), Exact(problem), Vertices(problem)):
        found = adversary.worst(0, x, 0.0)
        assert not found.z.any()
        assert found.value == pytest.approx(cost_of(problem, 0, x, z), rel=1e-6)
        assert found.bound is None or found.bound == pytest.approx(found.value, rel=1e-6)


def test_moves_that_are_rounding_do_not_stop_the_search():
    system = member(0)
    day = expected_days(system)[0][0]
    size = np.zeros(20)
    size[2], size[1], size[5] = 100.0, 1e-11, 1e-14
    uncertain = budgeted(size, size, np.zeros(20, dtype=np.int64), np.array([3.0]))
    problem = problem_of(system, day, uncertain)
    x = decisions_of(problem, np.random.default_rng(0))
    found = Exact(problem, gap=1e-9).worst(0, x, 0.0)
    assert found.bound == pytest.approx(Vertices(problem).worst(0, x, 0.0).value, rel=1e-7)


def test_a_search_without_time_proves_no_less_than_the_worst():
    _, _, problem = short_day(0, kinds=(0, 1, 2, 3), budget=2.0)
    x = decisions_of(problem, np.random.default_rng(0))
    found = Exact(problem, limit_s=0.0).worst(0, x, 0.0)
    wanted = Exact(problem, gap=1e-9).worst(0, x, 0.0)
    assert found.bound >= wanted.value - 1e-6
    assert found.value <= wanted.bound + 1e-6


def test_exact_refuses_what_it_cannot_prove():
    problem = generic(0)
    own = problem.scenes[0]
    part = replace(own, uncertain=replace(own.uncertain, budget=np.array([1.5, 1.0])))
    with pytest.raises(InputError, match="whole numbers"):
        Exact(replace(problem, scenes=(part, *problem.scenes[1:])))
    binary = generic(0, "whole", recourse_binaries=1)
    with pytest.raises(InputError, match="binaries"):
        Exact(binary)


def test_vertices_meet_binary_recourse_in_whole_sets_alone():
    problem = generic(1, "whole", recourse_binaries=2, symmetric=True)
    x = decisions_of(problem, np.random.default_rng(1))
    wanted = worst_of_all(problem, 1, x, 0.0)
    assert Vertices(problem).worst(1, x, 0.0).bound == pytest.approx(wanted, rel=2e-4)
    loose = tuple(
        replace(own, uncertain=replace(own.uncertain, whole=False)) for own in problem.scenes
    )
    with pytest.raises(InputError, match="binaries"):
        Vertices(replace(problem, scenes=loose))
    with pytest.raises(InputError, match="vertices"):
        Vertices(problem, limit=3)
