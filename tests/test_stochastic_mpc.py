"""Planning against scenarios: what is firm is alike in all, optimal, and possible."""

from dataclasses import replace

import numpy as np
import pytest
from random_systems import random_episode, random_system

from baselines import policy_named
from baselines.branching import Search
from baselines.day_ahead import scenario_numbers
from baselines.extensive_form import two_stage
from baselines.highs import Solver
from baselines.mpc import Mpc
from baselines.risk import NEUTRAL, Risk, weigh
from baselines.rolling_horizon import window_at
from baselines.scenarios import draw
from baselines.solution import Stop
from baselines.stochastic_mpc import Hour, StochasticMpc, firm, keep_shifts_possible, plan_under
from mmg_env import CommunityEnv, load_system, rollout
from mmg_env.kernel import N_ACTION, step_hour
from mmg_env.layout import PROJECTED_KW, A, F, L
from mmg_env.splits import nominal_episode, sample_episode
from mmg_env.state import State

TIGHT = Stop(gap=1e-6, iterations=500, time_s=60.0)
FEARFUL = Risk(beta=0.8, alpha=0.7)


def at_hour(system, episode, step):
    """Return what is known at a step that idle has reached."""
    env = CommunityEnv(system)
    observation, info = env.reset(options={"episode": episode})
    idle = policy_named("idle")(system)
    for _ in range(step):
        observation, *_, info = env.step(idle.act(observation, info))
    return info["public"]


def problem_of(public, count, seed=0):
    """Return an hour's problem against scenarios, their probability and their series."""
    system = public.system
    scenarios = draw(system, public.forecast, count, np.random.default_rng(seed))
    values = np.concatenate([scenarios.values, public.forecast.values[None]])
    window = window_at(system, public.step)
    compiled, blocks, rows = scenario_numbers(public, window, replace(scenarios, values=values))
    for numbers in blocks:
        keep_shifts_possible(system, compiled, numbers, window.hour)
    solvers = [Solver(compiled) for _ in blocks]
    return Hour(system, window, compiled, blocks, solvers), compiled, blocks, rows, scenarios


def risk_of(public, compiled, blocks, probability, risk, x=None):
    """Return the least risk of the scenarios side by side, with what is firm fixed to x."""
    shared = np.zeros(compiled.matrix.shape[1], dtype=bool)
    columns = firm(compiled, public.system, window_at(public.system, public.step).hour)
    shared[columns] = True
    form = two_stage(compiled, blocks[:-1], probability, shared)
    whole = weigh(form, form.costs, form.offsets, probability, risk)
    if x is not None:
        lower, upper = whole.lower.copy(), whole.upper.copy()
        lower[form.column[0, columns]] = upper[form.column[0, columns]] = x
        whole = replace(whole, numbers=replace(whole.numbers, lower=lower, upper=upper))
    return whole.solve().objective


CASES = [("s2_crh", 0), ("s2_crh", 9), ("s1_3mg", 0), ("s1_3mg", 7)]


@pytest.mark.parametrize("risk", [NEUTRAL, FEARFUL])
@pytest.mark.parametrize(("name", "step"), CASES)
def test_cuts_find_the_optimum_of_the_scenarios_side_by_side(name, step, risk):
    # Without units to commit the relaxation is the problem itself.
    changes = {"members[*].chp": None} if name == "s1_3mg" else {}
    system = load_system(name, changes)
    public = at_hour(system, sample_episode(system, "val", 1), step)
    hour, compiled, blocks, _, scenarios = problem_of(public, 5)
    x = hour.decide(scenarios.probability, risk, TIGHT)
    least = risk_of(public, compiled, blocks, scenarios.probability, risk)
    found = risk_of(public, compiled, blocks, scenarios.probability, risk, x)
    assert found == pytest.approx(least, rel=2e-3, abs=0.5)
    assert found >= least - 1e-6 * abs(least)


def least_with_choices(hour, compiled, blocks, probability, columns):
    """Return the optimum with commitments and directions, of the scenarios side by side."""
    shared = np.zeros(compiled.matrix.shape[1], dtype=bool)
    shared[columns] = True
    form = two_stage(compiled, blocks[:-1], probability, shared)
    search = Search(form.solver(), form.numbers, *hour._choices(form.column[0]))
    assert search.run(1e-5, 1000)
    return search.best.objective


@pytest.mark.parametrize(("seed", "step"), [(145, 14), (111, 14), (140, 0), (104, 0)])
def test_choices_of_the_hour_are_those_of_branch_and_bound(seed, step):
    """Systems in which the first choice on cuts, or a few nodes for a day, lose per cents."""
    system = random_system(seed)
    public = at_hour(system, random_episode(system, seed), step)
    hour, compiled, blocks, _, scenarios = problem_of(public, 3)
    x = hour.decide(scenarios.probability, NEUTRAL, TIGHT)
    columns = firm(compiled, system, window_at(system, step).hour)
    least = least_with_choices(hour, compiled, blocks, scenarios.probability, columns)
    found = risk_of(public, compiled, blocks, scenarios.probability, NEUTRAL, x)
    assert found == pytest.approx(least, rel=1.5e-3)


@pytest.mark.parametrize("step", [0, 9])
def test_fear_gives_up_some_of_the_mean_for_the_bad_end(step):
    system = load_system("s2_crh")
    public = at_hour(system, sample_episode(system, "val", 1), step)
    hour, compiled, blocks, _, scenarios = problem_of(public, 8)
    plans = {r: hour.decide(scenarios.probability, r, TIGHT) for r in (NEUTRAL, FEARFUL)}
    worth = {
        (plan, measure): risk_of(public, compiled, blocks, scenarios.probability, measure, x)
        for plan, x in plans.items()
        for measure in (NEUTRAL, FEARFUL)
    }
    assert worth[NEUTRAL, NEUTRAL] <= worth[FEARFUL, NEUTRAL] + 1e-3
    assert worth[FEARFUL, FEARFUL] <= worth[NEUTRAL, FEARFUL] + 1e-3


def wishes_of(public, count, risk=NEUTRAL, seed=0):
    scenarios = draw(public.system, public.forecast, count, np.random.default_rng(seed))
    return plan_under(public, scenarios, risk, {}), scenarios


@pytest.mark.parametrize("seed", range(8))
def test_what_is_firm_is_possible_whatever_comes(seed):
    """No wish is cut in any scenario; a pool schedule may be, where members are kept apart."""
    system = random_system(seed)
    episode = random_episode(system, seed)
    for step in (0, 5):
        public = at_hour(system, episode, step)
        request, scenarios = wishes_of(public, 3)
        for values in scenarios.values:
            flows = played(system, public, values, request)[0]
            cut = {n: flows[:, F[n]].max() for n in PROJECTED_KW if "chp" not in n}
            assert max(cut.values()) <= 1e-5, cut


def played(system, public, values, request):
    """Return flows and ledger of the hour in which a scenario comes true."""
    row, count = public.state.row, len(system.participants)
    exogenous = np.zeros((public.step + 1, values.shape[1]))
    exogenous[public.step] = values[0]
    after, flows = np.empty_like(row), np.zeros((count, len(F)))
    ledger = np.zeros((count, len(L)))
    arguments = (public.step, exogenous, request, row.copy(), after, flows, ledger)
    step_hour(system.physics, *arguments)
    return flows, ledger


def test_as_much_is_rented_as_the_most_demanding_scenario_uses():
    system = load_system("s2_crh")
    public = at_hour(system, sample_episode(system, "val", 3), 0)
    hour, compiled, _, rows, scenarios = problem_of(public, 6)
    x = hour.decide(scenarios.probability, NEUTRAL, TIGHT)
    count = len(system.participants)
    rented = hour.wishes(x, rows)[: count * N_ACTION].reshape(count, N_ACTION)
    used = []
    for s in range(6):
        energy = hour._solve(s, x).x[compiled.columns["virtual_kwh"]]
        used.append(energy.max(axis=1))
    assert rented[: len(used[0]), A.rental_kwh] == pytest.approx(np.max(used, axis=0), abs=1e-6)
    assert rented[:, A.rental_kwh].max() > 1.0


def test_where_scenarios_agree_it_costs_what_mpc_costs():
    """The nominal day has no scatter, so all futures are the forecast."""
    system = load_system("s1_3mg", {"source.tariff_deviation": 0.0})
    episode = nominal_episode(system)
    calm = replace(episode, scale=np.zeros_like(episode.scale))
    costs = [
        rollout(CommunityEnv(system), policy, options={"episode": calm}).cost
        for policy in (
            Mpc(system),
            StochasticMpc(system, NEUTRAL, 2),
            StochasticMpc(system, FEARFUL, 2),
        )
    ]
    assert costs[1:] == pytest.approx([costs[0]] * 2, rel=2e-3)


@pytest.mark.parametrize("seed", [20, 22, 23, 24, 25])
def test_it_lives_through_anything(seed):
    system = random_system(seed)
    episode = random_episode(system, seed)
    record = rollout(
        CommunityEnv(system), StochasticMpc(system, FEARFUL, 2), options={"episode": episode}
    )
    assert np.isfinite(record.ledger).all()


def test_units_are_on_or_off_and_nothing_runs_both_ways():
    system = load_system("community_real", {"episode_h": 24})
    episode = sample_episode(system, "val", 0)
    for step in (0, 8):
        public = at_hour(system, episode, step)
        hour, compiled, _, _, scenarios = problem_of(public, 2)
        x = hour.decide(scenarios.probability, NEUTRAL, Stop(1e-3, 60, 60.0))
        place = np.full(compiled.matrix.shape[1], -1)
        place[firm(compiled, system, step)] = np.arange(len(x))
        binary, pairs = hour._choices(place)
        assert np.abs(x[binary] - np.round(x[binary])).max() <= 1e-6
        assert len(pairs.first) > 0
        assert pairs.overlap(x).max() <= 1e-5


def test_the_state_of_the_hour_is_not_changed_by_planning():
    system = load_system("s2_crh")
    public = at_hour(system, sample_episode(system, "val", 3), 4)
    before = public.state.row.copy()
    wishes_of(public, 3)
    assert np.array_equal(State(system, before).row, public.state.row)
