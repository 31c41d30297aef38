"""Robust problems beside PyROS, which shares no code with us: an independent oracle.

PyROS' recourse is affine in the moves. Over a simplex of moves, or as many scenarios as moves and
one, that is no restriction; over other sets it costs no less than recourse that knows the moves.
"""

from dataclasses import replace

import numpy as np
import pytest
from pyomo.contrib import pyros
from scipy import sparse

from baselines.robust.sets import budgeted
from baselines.robust.typical_days import expected_days
from experiments.perf_robust import affine_rules, by_pyros
from tests.robust_cases import all_moves, generic, listed, member, problem_of, solved

LIMIT_S = 60.0


def continuous(problem):
    """Return a problem without binaries, which PyROS does not take."""
    return replace(problem, whole=np.zeros(0, dtype=np.int64))


@pytest.mark.parametrize("seed", [1, 2])
def test_affine_rules_cost_no_less_and_little_more(seed):
    problem = continuous(generic(seed, "budget", scenes=1))
    other = by_pyros(problem, "generic", LIMIT_S).upper
    found = solved(problem)
    assert found.within(1e-6)
    assert other >= found.lower * (1.0 - 1e-6)
    assert other <= found.upper * 1.02


@pytest.mark.parametrize("seed", range(3))
def test_against_scenarios_pyros_finds_the_same(seed):
    problem = continuous(generic(seed, "budget", scenes=1))
    own = problem.scenes[0]
    cases = all_moves(own.uncertain)[[0, 3, -2, -1]]
    # A parameter per scenario but the first, of which one at most is 1.
    assert not cases[0].any()
    apart = replace(own, push=sparse.csr_array(own.push @ cases[1:].T))
    scenarios = pyros.DiscreteScenarioSet([tuple(row) for row in np.eye(4)[:, 1:]])
    other = affine_rules(apart, problem.first, scenarios, "scenarios", LIMIT_S)
    assert other.upper == pytest.approx(listed(problem, [cases])[0], rel=1e-6)


def test_a_day_whose_load_deviates_in_one_step_costs_what_pyros_says():
    system = member(0, 12.0)
    day = expected_days(system)[0][0]
    size = np.zeros(5 * len(day))
    size[6] = 300.0
    uncertain = budgeted(size, size, np.zeros(len(size), dtype=np.int64), np.ones(1))
    problem = continuous(problem_of(system, day, uncertain))
    found = solved(problem)
    assert found.within(1e-6)
    assert found.upper > listed(problem, [np.zeros((1, 2))])[0] + 1.0
    other = by_pyros(problem, "day", LIMIT_S)
    assert other.upper == pytest.approx(found.upper, rel=1e-6)
