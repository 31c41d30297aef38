"""What a scene's recourse costs, and what a move would change."""

import numpy as np
import pytest
from scipy import optimize

from baselines.highs import InfeasibleError
from baselines.programme import Programme, numbers_of
from baselines.robust.problem import Recourse, Scene, met_by_recourse, recourse_columns
from baselines.robust.sets import box
from tests.robust_cases import KINDS, all_moves, cost_of, decisions_of, generic

SEEDS = range(4)


def drawn(seed, kind="budget", **rest):
    """Return a problem, decisions in it, and each scene's recourse to them."""
    problem = generic(seed, kind, **rest)
    x = decisions_of(problem, np.random.default_rng(seed))
    recourse = [Recourse(scene, problem.first) for scene in problem.scenes]
    for own in recourse:
        own.decide(x)
    return problem, x, recourse


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_recourse_costs_what_scipy_says(seed, kind):
    problem, x, recourse = drawn(seed, kind)
    for s, scene in enumerate(problem.scenes):
        for z in all_moves(scene.uncertain)[:: 1 + seed]:
            assert recourse[s].answer(z).objective == pytest.approx(cost_of(problem, s, x, z))


@pytest.mark.parametrize("seed", SEEDS)
def test_binary_recourse_costs_what_scipy_says_and_no_less_than_linear(seed):
    problem, x, recourse = drawn(seed, "whole", recourse_binaries=3)
    for s, scene in enumerate(problem.scenes):
        for z in all_moves(scene.uncertain)[::7]:
            found = recourse[s].answer(z, problem.recourse_whole).objective
            assert found == pytest.approx(cost_of(problem, s, x, z), rel=2e-4)
            assert found >= recourse[s].answer(z).objective - 1e-9


@pytest.mark.parametrize("seed", range(8))
def test_gains_support_the_cost_from_below_and_lie_within_the_ranges(seed):
    problem, _, recourse = drawn(seed)
    for own, scene in zip(recourse, problem.scenes, strict=True):
        moves = all_moves(scene.uncertain)[::5]
        answers = [own.answer(z) for z in moves]
        for z, answer in zip(moves, answers, strict=True):
            gain = own.gain(answer)
            assert (gain <= scene.most + 1e-7).all()
            assert (gain >= scene.least - 1e-7).all()
            for other, there in zip(moves, answers, strict=True):
                assert there.objective >= answer.objective + gain @ (other - z) - 1e-7


def test_one_recourse_answers_again_what_it_answered_before():
    problem, x, recourse = drawn(0)
    moves = all_moves(problem.scenes[0].uncertain)
    before = recourse[0].answer(moves[-1]).objective
    recourse[0].answer(moves[0])
    recourse[0].decide(np.clip(x + 0.1, 0.0, 1.0))
    recourse[0].answer(moves[1])
    recourse[0].decide(x)
    assert recourse[0].answer(moves[-1]).objective == pytest.approx(before, rel=1e-12)


def test_decisions_beyond_their_bounds_by_rounding_are_taken_for_the_bounds():
    problem, x, recourse = drawn(1)
    z = np.zeros(len(problem.scenes[0].least))
    exact = recourse[0].answer(z).objective
    recourse[0].decide(np.where(x == 0.0, -1e-9, x))
    assert recourse[0].answer(z).objective == pytest.approx(exact, rel=1e-12)


def test_columns_are_of_the_first_stage_or_of_the_recourse():
    problem = generic(2)
    own = recourse_columns(problem, 1)
    width = problem.scenes[1].programme.matrix.shape[1]
    assert np.array_equal(np.sort(np.concatenate([own, problem.first])), np.arange(width))


def test_a_row_of_the_first_stage_alone_is_not_the_recourses_to_meet():
    problem, x, recourse = drawn(3)
    met = met_by_recourse(problem.scenes[0], problem.first)
    assert not met[-1]
    assert met[:-1].all()
    # The row asks for one unit of decisions in all; none at all is still answered.
    recourse[0].decide(0.0 * x)
    assert np.isfinite(recourse[0].answer(np.zeros(len(problem.scenes[0].least))).objective)


def test_what_no_recourse_can_meet_is_refused():
    """x + y = 1 + u with y <= 1 cannot follow a move up once x is 0 and u is more than 0."""
    numbers = numbers_of(np.zeros(2), np.ones(2), np.ones(1), np.ones(1), np.array([1.0, 2.0]))
    uncertain = box(np.array([0.5]), np.zeros(1))
    programme = Programme("tight", np.ones((1, 2)), numbers)
    scene = Scene(programme, uncertain.moves, uncertain, np.zeros(1), np.ones(1))
    recourse = Recourse(scene, np.array([0]))
    recourse.decide(np.array([0.5]))
    answer = recourse.answer(np.ones(1))
    by_hand = optimize.linprog([1.0, 2.0], A_eq=[[1, 1]], b_eq=[1.5], bounds=[(0.5, 0.5), (0, 1)])
    assert answer.objective == pytest.approx(by_hand.fun) == pytest.approx(2.5)
    recourse.decide(np.zeros(1))
    with pytest.raises(InfeasibleError, match="tight"):
        recourse.answer(np.ones(1))
