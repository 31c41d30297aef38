"""Affine rules: they keep all rows, cost no more than they promise, and look at nothing to come."""

import logging
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib import pyros
from scipy import sparse

from baselines.extensive_form import deciding_step
from baselines.highs import InfeasibleError
from baselines.programme import Programme, numbers_of
from baselines.robust.adversary import Alternating
from baselines.robust.affine import affine_rules, rules_of_hours
from baselines.robust.column_generation import ColumnGeneration
from baselines.robust.day_ahead import alone
from baselines.robust.master import Master
from baselines.robust.problem import RobustProblem, Scene, recourse_columns
from baselines.robust.scenes import entries
from baselines.robust.sets import UncertaintySet, box, budgeted
from baselines.robust.typical_days import model_of, typical_problem
from baselines.solution import Stop
from mmg_env.errors import InputError
from mmg_env.system import load_system
from tests.robust_cases import (
    KINDS,
    all_moves,
    cost_of,
    generic,
    listed,
    problem_of,
    random_day,
    short_day,
)

EXACT = 1e-6
NONE = np.zeros(0, dtype=np.int64)


def everything(problem):
    """Return rules' sparsity in which all columns look at all entries."""
    width = len(problem.scenes[0].programme.lower)
    return sparse.csr_array(np.ones((width, problem.scenes[0].uncertain.moves.shape[0])))


def nothing(problem):
    return 0.0 * everything(problem)


def committed_to(problem, x):
    return np.round(x[np.searchsorted(problem.first, problem.whole)])


def missed(problem, scene, columns, z):
    """Return by how much columns leave rows and bounds after some moves."""
    own = problem.scenes[scene]
    programme = own.programme
    left = programme.matrix @ columns - own.push @ z
    return max(
        (programme.row_lower - left).max(),
        (left - programme.row_upper).max(),
        (programme.lower - columns).max(),
        (columns - programme.upper).max(),
    )


def paid(problem, scene, columns):
    numbers = problem.scenes[scene].programme.numbers
    return float(numbers.cost @ columns + numbers.offset)


def played(problem, found, scene, z):
    """Return what rules pay after some moves, once they have been seen to keep all rows."""
    columns = found.play(scene, problem.scenes[scene].uncertain.moves @ z)
    assert missed(problem, scene, columns, z) <= EXACT
    assert columns[problem.first] == pytest.approx(found.x, abs=1e-9)
    return paid(problem, scene, columns)


@lru_cache
def case(seed, kind):
    """Return a small problem, its two-stage optimum, and its rules, plain and with up apart."""
    problem = generic(seed, kind)
    best, x = listed(problem)
    on = committed_to(problem, x)
    return problem, best, [affine_rules(problem, everything(problem), on, a) for a in (False, True)]


SMALL = [(seed, kind) for seed in range(4) for kind in KINDS]


# What is promised


@pytest.mark.parametrize(("seed", "kind"), SMALL)
def test_the_value_is_no_less_than_the_two_stage_optimum_and_up_apart_from_down_helps(seed, kind):
    _, best, (plain, apart) = case(seed, kind)
    assert best <= apart.value + EXACT
    assert apart.value <= plain.value + EXACT


@pytest.mark.parametrize(("seed", "kind"), SMALL)
def test_at_every_vertex_the_rules_keep_all_rows_and_the_worst_costs_the_value(seed, kind):
    problem, _, both = case(seed, kind)
    for found in both:
        for s, scene in enumerate(problem.scenes):
            costs = [played(problem, found, s, z) for z in all_moves(scene.uncertain)]
            assert max(costs) == pytest.approx(found.worst[s], abs=EXACT)
        assert problem.probability @ found.worst == pytest.approx(found.value, abs=EXACT)


@pytest.mark.parametrize(("seed", "kind"), SMALL)
def test_between_vertices_they_do_too(seed, kind):
    problem, _, both = case(seed, kind)
    rng = np.random.default_rng(seed)
    for found in both:
        for s, scene in enumerate(problem.scenes):
            for z in scene.uncertain.sample(20, rng):
                assert played(problem, found, s, z) <= found.worst[s] + EXACT


@pytest.mark.parametrize("seed", range(4))
def test_the_best_recourse_to_the_first_stage_costs_no_more_than_the_rules(seed):
    problem, _, (_, found) = case(seed, "budget")
    for s, scene in enumerate(problem.scenes):
        for z in scene.uncertain.vertices(1000)[::7]:
            assert cost_of(problem, s, found.x, z) <= played(problem, found, s, z) + EXACT


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_where_nothing_deviates_it_is_the_optimum_of_the_scenes(seed, apart):
    problem = generic(seed, "budget")
    still = tuple(
        replace(s, uncertain=replace(s.uncertain, budget=0.0 * s.uncertain.budget))
        for s in problem.scenes
    )
    problem = replace(problem, scenes=still)
    best, x = listed(problem)
    found = affine_rules(problem, everything(problem), committed_to(problem, x), apart)
    assert found.value == pytest.approx(best, abs=EXACT)
    assert all(rules.slope.shape[1] == 0 for rules in found.rules)


# A shop of three products, with rows that close


def shop(uncertain, priced=(1.5, 1.8, 2.0)):
    """Return: stock two products, and buy what lacks of three when the demand is known."""
    matrix = np.array(
        [[1.0, 0.0, 1.0, 0.0, 0.0], [0.0, 1.0, -0.5, 1.0, 0.0], [0.3, 0.3, 0.0, 0.0, 1.0]]
    )
    by_entry = sparse.csr_array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 1.0]])
    numbers = numbers_of(
        np.zeros(5),
        np.array([3.0, 3.0, np.inf, np.inf, np.inf]),
        np.array([1.0, 2.0, 1.5]),
        np.full(3, np.inf),
        np.array([1.0, 1.1, *priced]),
    )
    moves = uncertain.moves.shape[1]
    scene = Scene(
        Programme("shop", sparse.csr_array(matrix), numbers),
        sparse.csr_array(by_entry @ uncertain.moves),
        uncertain,
        np.full(moves, -10.0),
        np.full(moves, 10.0),
    )
    return RobustProblem((scene,), np.ones(1), np.arange(2), NONE, NONE)


SHOPS = {
    "box": (
        box(np.array([0.5, 0.7, 0.4]), np.array([0.5, 0.7, 0.4])),
        pyros.BoxSet([(-0.5, 0.5), (-0.7, 0.7), (-0.4, 0.4)]),
    ),
    "uneven": (
        box(np.array([0.5, 0.2, 0.4]), np.array([0.1, 0.7, 0.8])),
        pyros.BoxSet([(-0.1, 0.5), (-0.7, 0.2), (-0.8, 0.4)]),
    ),
    "budget": (
        budgeted(np.ones(3), np.zeros(3), np.zeros(3, dtype=np.int64), np.array([1.5])),
        pyros.BudgetSet(np.vstack([np.ones((1, 3)), np.eye(3)]), [1.5, 1.0, 1.0, 1.0]),
    ),
}


def by_pyros(problem, region):
    """Return the value that PyROS finds with affine rules."""
    logging.getLogger("pyomo").setLevel(logging.ERROR)
    scene = problem.scenes[0]
    n, matrix = scene.programme.numbers, scene.programme.matrix.toarray()
    moved = scene.push.toarray() @ np.linalg.pinv(scene.uncertain.moves.toarray())
    model = pyo.ConcreteModel()
    model.u = pyo.Param(range(moved.shape[1]), initialize=0.0, mutable=True)
    model.x = pyo.Var(range(5), bounds=lambda _, k: (n.lower[k], min(n.upper[k], 1e3)))
    model.rows = pyo.ConstraintList()
    for row, low, moves in zip(matrix, n.row_lower, moved, strict=True):
        left = sum(a * model.x[k] for k, a in enumerate(row) if a)
        model.rows.add(left >= low + sum(f * model.u[e] for e, f in enumerate(moves) if f))
    model.cost = pyo.Objective(expr=sum(c * model.x[k] for k, c in enumerate(n.cost)))
    solver, columns = pyo.SolverFactory("appsi_highs"), list(model.x.values())
    found = pyo.SolverFactory("pyros").solve(
        model,
        columns[:2],
        columns[2:],
        list(model.u.values()),
        region,
        solver,
        solver,
        objective_focus=pyros.ObjectiveType.worst_case,
        solve_master_globally=True,
        decision_rule_order=1,
        progress_logger=logging.getLogger("silent"),
    )
    assert found.pyros_termination_condition == pyros.pyrosTerminationCondition.robust_optimal
    return found.final_objective_value


@pytest.mark.parametrize("kind", list(SHOPS))
def test_it_agrees_with_pyros(kind):
    uncertain, region = SHOPS[kind]
    problem = shop(uncertain)
    found = affine_rules(problem, everything(problem), apart=False)
    assert found.value == pytest.approx(by_pyros(problem, region), abs=1e-4)


@pytest.mark.parametrize("kind", list(SHOPS))
def test_rules_that_look_at_nothing_cost_no_less(kind):
    problem = shop(SHOPS[kind][0])
    static = affine_rules(problem, nothing(problem))
    assert static.rules[0].slope.nnz == 0
    plain, apart = (affine_rules(problem, everything(problem), None, a) for a in (False, True))
    assert static.value > plain.value + 1e-3
    assert plain.value >= apart.value - EXACT
    assert apart.value >= listed(problem, [problem.scenes[0].uncertain.vertices(99)])[0] - EXACT


def test_of_whole_sets_a_part_of_a_move_is_no_move():
    loose = SHOPS["budget"][0]
    values = [
        affine_rules(problem, everything(problem)).value
        for own in (replace(loose, whole=True), replace(loose, budget=np.ones(1)), loose)
        for problem in [shop(own)]
    ]
    assert values[0] == pytest.approx(values[1])
    assert values[0] < values[2] - 1e-3


def test_a_column_looks_at_what_it_may_look_at_and_at_nothing_else():
    problem = shop(SHOPS["box"][0])
    may = np.zeros((5, 3))
    may[2, 0] = may[4, 2] = may[4, 0] = 1.0
    found = affine_rules(problem, sparse.csr_array(may), apart=False)
    seen = found.rules[0].slope.toarray()
    assert not seen[may == 0.0].any()
    assert np.abs(seen[2, 0]) > 1e-3


def test_equations_that_no_rule_can_keep_are_told():
    problem = generic(0, "budget")
    on = committed_to(problem, listed(problem)[1])
    with pytest.raises(InfeasibleError):
        affine_rules(problem, nothing(problem), on)


def test_scenes_are_weighted_and_have_rules_of_their_own():
    cheap = shop(SHOPS["box"][0]).scenes[0]
    dear = shop(SHOPS["budget"][0], priced=(5.0, 5.0, 5.0)).scenes[0]
    problem = replace(shop(SHOPS["box"][0]), scenes=(cheap, dear), probability=np.array([0.7, 0.3]))
    found = affine_rules(problem, everything(problem))
    assert found.value == pytest.approx(0.7 * found.worst[0] + 0.3 * found.worst[1])
    assert found.worst[1] > found.worst[0]
    assert np.abs(found.rules[0].constant - found.rules[1].constant).max() > 1e-3
    assert found.play(0, np.zeros(3))[:2] == pytest.approx(found.play(1, np.zeros(3))[:2])


# Rules that can be carried out


def looks(system, memory):
    """Return name, index, and the steps and members at which each column may look."""
    compiled = model_of(system)
    may = rules_of_hours(compiled, system, memory).toarray()
    count = len(system.members)
    entry = np.arange(may.shape[1])
    return compiled, may, entry // (4 * count), entry % count, entry < 4 * count * compiled.steps


@pytest.mark.parametrize("memory", [0, 2])
def test_no_column_looks_at_a_step_that_is_not_over_when_it_is_decided(memory):
    system = load_system("s1_3mg")
    compiled, may, step, _, own = looks(system, memory)
    column, entry = np.nonzero(may[:, own])
    assert len(column)
    assert (step[entry] < deciding_step(compiled, system)[column]).all()


def test_wishes_remember_so_many_steps_recourse_sees_its_own_too_and_states_forget_nothing():
    compiled, may, step, _, own = looks(alone(load_system("s1_3mg"), 0), 2)

    def steps_of(name, t):
        return sorted(set(step[own & may[compiled.columns[name][0, t]]].tolist()))

    assert steps_of("charge_kw", 5) == [3, 4]
    assert steps_of("chp_kw", 6) == [3, 4]
    assert steps_of("boiler_kw", 5) == steps_of("import_kw", 5) == [3, 4, 5]
    assert steps_of("energy_kwh", 5) == steps_of("backlog_kwh", 5) == [0, 1, 2, 3, 4]
    assert steps_of("charge_kw", 0) == steps_of("chp_kw", 0) == []


def test_members_look_at_themselves_and_only_what_they_all_cause_at_all():
    system = load_system("s1_3mg", {"day_ahead.grid": True})
    compiled, may, _, member, own = looks(system, 1)
    for m in range(len(system.members)):
        seen = may[compiled.columns["import_kw"][m]].any(axis=0)
        assert set(member[own & seen].tolist()) == {m}
        assert seen[~own].all()
    seen = may[compiled.columns["short_kw"]].any(axis=0)
    assert set(member[own & seen].tolist()) == set(range(len(system.members)))
    for name in ("nominated_kw", "sent_kw", "received_kw"):
        assert not may[compiled.columns[name]].any()


@pytest.mark.parametrize("apart", [False, True])
def test_days_that_are_alike_so_far_are_played_alike_so_far(apart):
    system, _, problem = short_day(0)
    compiled = model_of(system)
    on = committed_to(problem, listed(problem)[1])
    found = affine_rules(problem, rules_of_hours(compiled, system, 2), on, apart)
    rng = np.random.default_rng(3)
    decided, own = deciding_step(compiled, system), 4 * len(system.members)
    for z, other in rng.permuted(problem.scenes[0].uncertain.sample(20, rng), axis=0).reshape(
        10, 2, -1
    ):
        first, second = (problem.scenes[0].uncertain.moves @ moves for moves in (z, other))
        for known in range(compiled.steps + 1):
            mixed = np.where(np.arange(len(first)) // own < known, first, second)
            apart_by = found.play(0, first) - found.play(0, mixed)
            # What happened before a step decides all that is decided by then.
            assert np.abs(apart_by[: len(decided)][decided <= known]).max() < 1e-9


@pytest.mark.parametrize("member", [0, 2])
def test_a_longer_memory_costs_no_more_and_never_less_than_to_know_the_day(member):
    system, _, problem = short_day(member)
    best, x = listed(problem)
    on = committed_to(problem, x)
    values = [
        affine_rules(problem, rules_of_hours(model_of(system), system, memory), on).value
        for memory in (0, 1, 2, 4)
    ]
    assert all(longer <= shorter + EXACT for shorter, longer in pairwise(values))
    assert best <= values[-1] + EXACT


def test_where_the_grid_fails_twice_a_memory_is_worth_money():
    system, rows, uncertain = random_day(6)
    problem = problem_of(system, rows, replace(uncertain, budget=np.full(2, 2.0)))
    known = problem.scenes[0].programme.solver().solve_mip(problem.whole)
    short, long = (
        affine_rules(
            problem,
            rules_of_hours(model_of(system), system, memory),
            np.round(known.x[problem.whole]),
        )
        for memory in (0, 1)
    )
    assert long.value < short.value - 1.0


@lru_cache
def day():
    """Return a member's day, a lower bound of its two-stage optimum, a commitment, and rules."""
    system = alone(load_system("s1_3mg"), 2)
    problem = typical_problem(system)
    problem = replace(problem, scenes=problem.scenes[:1], probability=np.ones(1))
    master = Master(problem, Stop(gap=1e-4))
    loop = ColumnGeneration(problem, master, Alternating(problem))
    two_stage = loop.run(Stop(gap=1e-3, iterations=20, time_s=20.0))
    on = committed_to(problem, two_stage.x)
    depends = rules_of_hours(model_of(system), system)
    both = [affine_rules(problem, depends, on, apart) for apart in (False, True)]
    return problem, two_stage.lower, both


def test_a_day_of_hours_costs_hardly_more_by_rules_than_if_it_is_known():
    _, lower, (plain, apart) = day()
    assert lower <= apart.value <= plain.value
    assert plain.value <= 1.02 * lower
    assert apart.value <= 1.003 * lower


def test_and_the_rules_keep_it_running_whatever_deviates():
    problem, _, both = day()
    uncertain = problem.scenes[0].uncertain
    for found in both:
        worst = uncertain.best(np.random.default_rng(1).random(len(uncertain.group)))
        for z in [worst, *uncertain.sample(50, np.random.default_rng(2))]:
            assert played(problem, found, 0, z) <= found.value + EXACT


@pytest.mark.parametrize("seed", [1, 2, 6])
def test_random_communities_have_rules_for_every_device_and_for_outages(seed):
    system, rows, uncertain = random_day(seed)
    problem = problem_of(system, rows, uncertain)
    scene = problem.scenes[0]
    known = scene.programme.solver().solve_mip(problem.whole)
    depends = rules_of_hours(model_of(system), system, 0)
    found = affine_rules(problem, depends, np.round(known.x[problem.whole]))
    assert found.value >= known.bound - EXACT
    for z in uncertain.sample(20, np.random.default_rng(seed)):
        assert played(problem, found, 0, z) <= found.value * (1.0 + 1e-9) + EXACT


# What is refused


def test_it_refuses_what_has_no_such_rules():
    problem = shop(SHOPS["box"][0])
    may = everything(problem)
    with pytest.raises(InputError, match="recourse_whole: 1 columns"):
        affine_rules(replace(problem, recourse_whole=np.array([4])), may)
    with pytest.raises(InputError, match=r"reach: 0\.5"):
        affine_rules(replace(problem, reach=0.5), may)
    with pytest.raises(InputError, match=r"commitment: shape \(1,\); it must be \(0,\)"):
        affine_rules(problem, may, np.ones(1))
    with pytest.raises(InputError, match=r"depends: shape \(4, 3\); it must be \(5, 3\)"):
        affine_rules(problem, may[:4])


def test_it_refuses_moves_of_several_entries():
    both = UncertaintySet(sparse.csr_array([[1.0], [1.0], [0.0]]), np.zeros(1, int), np.ones(1))
    problem = shop(both)
    with pytest.raises(InputError, match="move 0 changes 2 entries"):
        affine_rules(problem, everything(problem))


def test_columns_of_the_recourse_and_entries_of_a_day_are_as_the_rules_say():
    system, _, problem = short_day()
    depends = rules_of_hours(model_of(system), system)
    assert depends.shape == (
        len(problem.scenes[0].programme.lower),
        entries(system, model_of(system).steps),
    )
    assert set(np.unique(depends.nonzero()[0])) <= set(recourse_columns(problem, 0).tolist())
