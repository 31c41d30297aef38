"""The day-ahead problem: whose columns are whose, when they happen, and what risk makes of them."""

from functools import partial

import numpy as np
import pytest
from random_systems import random_config, random_episode

from baselines.day_ahead import (
    COMMUNITY,
    day_ahead,
    member_of_columns,
    scenario_of_columns,
    step_of_columns,
    with_risk,
)
from baselines.deterministic import first_state
from baselines.extensive_form import committed
from baselines.risk import NEUTRAL, Risk
from baselines.scenarios import draw
from mmg_env import load_system, sample_episode
from mmg_env.public import PublicInfo
from mmg_env.series import Scenarios
from mmg_env.system import build_system

SYSTEMS = {"s2_crh": {}, "s1_3mg": {}, "community_real": {"episode_h": 24}}
# Every variable of the model: whose it is, and whether it has a value per step, per moment
# (one more than steps), or spans the horizon. What is `one`'s is the storage's where the first
# index says so.
EXPECTED = {
    "charge_kw": ("one", "step"),
    "discharge_kw": ("one", "step"),
    "energy_kwh": ("one", "moment"),
    "segment_kwh": ("one", "moment"),
    "taken_kwh": ("one", "step"),
    "chp_kw": ("one", "moment"),
    "chp_on": ("one", "moment"),
    "chp_start": ("one", "step"),
    "boiler_kw": ("one", "step"),
    "unserved_heat_kw": ("one", "step"),
    "flex_up_kw": ("one", "step"),
    "flex_down_kw": ("one", "step"),
    "backlog_kwh": ("one", "moment"),
    "sent_kw": ("all", "step"),
    "received_kw": ("all", "step"),
    "rental_kwh": ("all", "span"),
    "rental_kw": ("all", "span"),
    "virtual_in_kw": ("all", "step"),
    "virtual_out_kw": ("all", "step"),
    "virtual_kwh": ("all", "moment"),
    "import_kw": ("one", "step"),
    "export_kw": ("one", "step"),
    "planned_kw": ("all", "step"),
    "regulation_kw": ("all", "step"),
    "spinning_kw": ("all", "step"),
    "called_more_kw": ("all", "step"),
    "called_less_kw": ("all", "step"),
    "level_kw": ("one", "span"),
    "nominated_kw": ("all", "step"),
    "short_kw": ("all", "step"),
    "long_kw": ("all", "step"),
    "unserved_kw": ("one", "step"),
    "spill_kw": ("one", "step"),
    "curtailed_kw": ("one", "step"),
    "shortfall_kwh": ("one", "span"),
    "surplus_kwh": ("one", "span"),
}
SCENARIOS = 3
RISKS = [Risk(0.3, 0.9), Risk(0.6, 0.4), Risk(1.0, 0.0), Risk(1.0, 0.8)]


def problem_of(system, episode, count=SCENARIOS):
    forecast, past = episode.forecast(0), partial(episode.until, 0)
    rng = np.random.default_rng(0)
    drawn = draw(system, forecast, count, rng)
    unequal = Scenarios(drawn.values, rng.dirichlet(np.full(count, 3.0)), drawn.member_count)
    return day_ahead(PublicInfo(system, 0, first_state(system), forecast, past), unequal)


@pytest.fixture(scope="module", params=SYSTEMS)
def problem(request):
    system = load_system(request.param, SYSTEMS[request.param])
    return problem_of(system, sample_episode(system, "test", 0))


@pytest.fixture(scope="module")
def small():
    system = load_system("s2_crh")
    return problem_of(system, sample_episode(system, "test", 0))


def owner_of(kind, index, members):
    return index[0] if kind == "one" and index[0] < members else COMMUNITY


def step_of(kind, index):
    return index[-1] if kind == "step" else -1


def test_every_column_has_the_owner_step_and_scenario_that_its_name_says(problem):
    member, step = member_of_columns(problem), step_of_columns(problem)
    scenario, members = scenario_of_columns(problem), len(problem.system.members)
    shared = committed(problem.compiled, problem.system)
    for name, numbers in problem.compiled.columns.items():
        whose, when = EXPECTED[name]
        for index in np.argwhere(numbers >= 0):
            one = numbers[tuple(index)]
            for s, merged in enumerate(problem.form.column[:, one]):
                place = (name, *index, s)
                assert member[merged] == owner_of(whose, index, members), place
                assert step[merged] == step_of(when, index), place
                assert scenario[merged] == (0 if shared[one] else s), place


def test_where_there_are_as_many_stores_as_steps_what_is_left_in_them_still_spans_all():
    """A step of 6 h makes a day of four steps; three members and the storage make four stores."""
    battery = {"capacity_kwh": 10.0, "power_kw": 5.0}
    changes = {"dt_h": 6.0, "members[*].battery": battery}
    system = load_system("s2_crh", changes)
    problem = problem_of(system, sample_episode(system, "test", 0))
    assert problem.compiled.columns["surplus_kwh"].shape == (problem.compiled.steps,)
    columns = problem.form.column[:, problem.compiled.columns["surplus_kwh"]]
    assert (step_of_columns(problem)[columns] == -1).all()


def test_no_column_of_a_member_is_shared_and_no_row_ties_two_but_the_nomination(problem):
    """What ties participants together is the community's; nominations are its rows."""
    member = member_of_columns(problem)
    shared = problem.form.column[:, committed(problem.compiled, problem.system)]
    assert (member[shared] == COMMUNITY).all()
    matrix = problem.form.matrix.tocsr()
    nominating = problem.compiled.columns.get("short_kw", np.zeros(0, dtype=np.int64))
    allowed = set(matrix.tocsc()[:, problem.form.column[:, nominating].ravel()].indices)
    for row in range(matrix.shape[0]):
        owners = set(member[matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]])
        assert len(owners - {COMMUNITY}) <= 1 or row in allowed


def test_costs_of_the_parties_add_up_to_those_of_the_system(problem):
    costs, offsets = problem.costs_by_party()
    parties = len(problem.system.members) + 1
    x = np.random.default_rng(1).uniform(size=problem.form.matrix.shape[1])
    by_party = (costs @ x + offsets).reshape(parties, SCENARIOS)
    assert by_party.sum(axis=0) == pytest.approx(problem.form.costs @ x + problem.form.offsets)
    assert (np.abs(by_party) > 0.0).all()


def test_a_party_pays_for_its_own_columns_alone(problem):
    costs, _ = problem.costs_by_party()
    member, by_row = member_of_columns(problem), costs.tocsr()
    for row in range(costs.shape[0]):
        party = row // SCENARIOS - 1
        columns = by_row.indices[by_row.indptr[row] : by_row.indptr[row + 1]]
        prices = by_row.data[by_row.indptr[row] : by_row.indptr[row + 1]]
        assert (member[columns[prices != 0.0]] == party).all()


def test_without_fear_it_is_the_mean(small):
    wanted = small.form.solve().objective
    for risk in (NEUTRAL, Risk(0.0, 0.5), Risk(1.0, 0.0)):
        for by_party in (False, True):
            found = with_risk(small, risk, by_party).solve().objective
            assert found == pytest.approx(wanted, rel=1e-7), (risk, by_party)


def value(problem, risk, by_party=False):
    return with_risk(problem, risk, by_party).solve().objective


@pytest.mark.parametrize("risk", RISKS)
def test_the_optimum_is_the_risk_of_its_costs_and_no_mean_plan_has_less(small, risk):
    form = small.form
    answer = with_risk(small, risk).solve()
    costs = form.costs @ answer.x[: form.matrix.shape[1]] + form.offsets
    assert risk.of(costs, form.probability) == pytest.approx(answer.objective, abs=1e-6)
    mean = form.costs @ form.solve().x + form.offsets
    assert risk.of(mean, form.probability) >= answer.objective - 1e-6


@pytest.mark.parametrize("risk", RISKS)
def test_each_for_itself_fears_no_less_than_all_together(small, risk):
    apart, together = value(small, risk, True), value(small, risk)
    assert apart >= together - 1e-6
    costs, offsets = small.costs_by_party()
    answer = with_risk(small, risk, True).solve()
    every = (costs @ answer.x[: costs.shape[1]] + offsets).reshape(-1, SCENARIOS)
    wanted = sum(risk.of(one, small.form.probability) for one in every)
    assert answer.objective == pytest.approx(wanted, abs=1e-6)


def test_each_for_itself_fears_more_where_bad_days_differ():
    """Random members over four futures: their bad ones are not the same."""
    system = build_system(random_config(8).model_copy(update={"episode_h": 24}))
    problem = problem_of(system, random_episode(system, 8), 4)
    assert value(problem, Risk(1.0, 0.7), True) > value(problem, Risk(1.0, 0.7)) + 1.0


def test_the_more_is_feared_the_more_it_costs(small):
    by_beta = [value(small, Risk(beta, 0.8)) for beta in (0.0, 0.3, 0.7, 1.0)]
    by_alpha = [value(small, Risk(0.5, alpha)) for alpha in (0.0, 0.3, 0.6, 0.9)]
    for values in (by_beta, by_alpha):
        assert (np.diff(values) >= -1e-7).all()
        assert values[-1] > values[0] + 1.0
