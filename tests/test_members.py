"""A member answers whatever the operator may ask, with one number and one slope per request."""

import dataclasses

import numpy as np
import pytest
from houses import AVERSE, KINDS, houses, random_problem, real

from baselines.compact_benders import Operator
from baselines.division import divide
from baselines.members import Request
from baselines.programme import Programme
from baselines.risk import NEUTRAL


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


def test_one_number_and_one_weighted_slope_per_request_leave_a_member():
    wanted = {"single": 1, "scenario": 3, "hour": 3 * 24}
    for kind, values in wanted.items():
        split = divide(houses(), kind, AVERSE)
        request = Request(np.zeros((3, split.told[0].shape[0] // 3)))
        offer = split.members[0].respond(request)
        assert offer.values.shape == (values,)
        assert offer.slopes.shape == request.told.shape
        assert len(split.scenario_of_group) == 3 * values
