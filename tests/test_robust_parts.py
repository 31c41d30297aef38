"""A robust day divided among participants is the same day."""

from dataclasses import replace

import numpy as np
import pytest

from baselines.bargaining.robust_parts import divided
from baselines.robust.adversary import Exact
from baselines.robust.problem import Recourse
from baselines.robust.typical_days import (
    expected_days,
    model_of,
    typical_problem,
)
from mmg_env.errors import InputError
from mmg_env.splits import nominal_episode
from mmg_env.system import load_system
from tests.robust_cases import deviated
from tests.robust_communities import (
    community,
    few_scenes,
    found,
)
from tests.test_robust_day_ahead import lived_through


def test_what_is_exchanged_balances_and_is_decided_before_anything_deviates():
    chain = found()
    assert sum(chain.agreed.exchanged) == pytest.approx(0.0, abs=1e-6)
    for part, own, exchanged in zip(
        community().parts, chain.decided, chain.agreed.exchanged, strict=True
    ):
        assert own.x[part.place] == pytest.approx(exchanged, abs=1e-5)
    assert max(np.abs(own).max() for own in chain.agreed.exchanged) > 100.0


def test_the_worst_of_all_is_the_sum_of_each_ones_worst():
    whole, chain = community(), found()
    x = whole.decisions([own.x for own in chain.decided])
    for scene, own in enumerate(whole.problem.scenes):
        recourse = Recourse(own, whole.problem.first)
        recourse.decide(x)
        z = whole.moves(scene, [own.worst[scene] for own in chain.decided])
        together = Exact(whole.problem, 1e-5).worst(scene, x, 0.0)
        each = 0.0
        for part, decided in zip(whole.parts, chain.decided, strict=True):
            apart = Recourse(part.problem.scenes[scene], part.problem.first)
            apart.decide(decided.x)
            each += apart.answer(decided.worst[scene]).objective
        assert recourse.answer(z).objective == pytest.approx(each, rel=1e-6)
        assert each == pytest.approx(together.value, rel=2e-4)


def test_the_worst_day_of_all_costs_in_the_simulator_what_the_plan_says():
    whole, chain = community(), found()
    system, problem = whole.form.system, whole.problem
    x = whole.decisions([own.x for own in chain.decided])
    recourse = Recourse(problem.scenes[1], problem.first)
    recourse.decide(x)
    z = whole.moves(1, [own.worst[1] for own in chain.decided])
    happens = deviated(system, expected_days(system)[0][1], problem.scenes[1].uncertain.moves @ z)
    assert nominal_episode(system).values.shape == happens.shape
    directly, planned, paid = lived_through(system, happens, problem.first, x)
    assert recourse.answer(z).objective == pytest.approx(directly, rel=1e-6)
    assert directly == pytest.approx(planned, rel=1e-4)
    assert paid == pytest.approx(planned, rel=1e-6)


@pytest.mark.parametrize("number", range(3))
def test_days_that_cannot_be_told_apart_are_refused(number):
    system = load_system("s1_3mg", {"dt_h": 6.0})
    problem = few_scenes(typical_problem(system), 1)
    if number == 0:
        problem = replace(problem, recourse_whole=np.arange(2))
        message = "no binaries"
    elif number == 1:
        own = problem.scenes[0]
        together = replace(own.uncertain, group=0 * own.uncertain.group)
        problem = replace(problem, scenes=(replace(own, uncertain=together),))
        message = "several participants"
    else:
        problem = replace(problem, first=problem.whole)
        message = "day ahead"
    with pytest.raises(InputError, match=message):
        divided(system, model_of(system), problem)
