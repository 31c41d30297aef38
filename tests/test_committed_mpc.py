"""Committed MPC: it commits what the scenarios' plan says, and plays the hours as MPC would."""

from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
import pytest
from houses import problem_of, random_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from random_systems import random_episode, random_system

from baselines import committed_mpc
from baselines.committed_mpc import CommittedMpc, commit, firm_from, kind_for
from baselines.day_ahead import day_ahead, with_risk
from baselines.division import divide
from baselines.extensive_form import committed
from baselines.mpc import Solvers, plan_from
from baselines.risk import NEUTRAL, Risk
from baselines.scenarios import balanced
from baselines.solution import Stop
from baselines.value_of_information import committed_to, costs_after
from mmg_env import CommunityEnv, load_system, rollout, sample_episode
from mmg_env.actions import ActionCodec
from mmg_env.errors import InputError
from mmg_env.kernel import N_ACTION
from mmg_env.layout import A, F, S, X
from mmg_env.public import PublicInfo
from mmg_env.state import State

COUNT = 3


def play(system, kind, episode, rng=None):
    policy = CommittedMpc(system, kind, NEUTRAL, COUNT)
    options = {"episode": episode}
    return rollout(CommunityEnv(system), policy, seed=rng, options=options)


def public_at(system, episode, record, t):
    forecast, past = episode.forecast(t), partial(episode.until, t)
    return PublicInfo(system, t, State(system, record.states[t]), forecast, past)


def planned(system, episode, record, kind, seed):
    """Return the first day's problem as the policy met it, and what is committed."""
    public = public_at(system, episode, record, 0)
    rng = np.random.default_rng(np.random.SeedSequence([seed]))
    problem = day_ahead(public, balanced(system, public.forecast, COUNT, rng))
    return problem, commit(problem, kind, NEUTRAL)


@lru_cache
def houses(changes=()):
    """Return houses that also nominate, an episode, and what the policy made of it."""
    system = load_system("s2_crh", {"day_ahead.grid": True, **dict(changes)})
    episode = sample_episode(system, "test", 0)
    return system, episode, play(system, "hour", episode, rng=7)


def split(system, request):
    """Return wishes (participants, len(A)), pool schedule and offsets of one request."""
    count, day = len(system.participants), system.steps_per_day
    wishes, pool, offset = np.split(request, [count * N_ACTION, count * (N_ACTION + day)])
    return wishes.reshape(count, -1), pool.reshape(count, day), offset


def test_commitments_of_cuts_are_asked_for_when_the_day_begins_and_stay():
    system, episode, record = houses()
    problem, x = planned(system, episode, record, "hour", 7)
    columns, members = problem.compiled.columns, len(system.members)
    wishes, pool, offset = split(system, record.requests[0])
    net = x[columns["received_kw"]] - x[columns["sent_kw"]]
    base = episode.forecast(0).values[: system.steps_per_day, 4 * members + X.nomination_base_kw]
    assert np.abs(net).max() > 10.0
    assert pool == pytest.approx(net, abs=1e-4)
    assert offset + base == pytest.approx(x[columns["nominated_kw"]], abs=1e-3)
    for k, name in ((A.rental_kwh, "rental_kwh"), (A.rental_kw, "rental_kw")):
        assert wishes[:members, k] == pytest.approx(x[columns[name][:, 0]], abs=1e-4)
    assert record.flows[:, :, F.nominated_kw] == pytest.approx(net.T, abs=1e-4)
    rented = record.state(S.rental_kwh)[1:, :members]
    assert np.ptp(rented, axis=0) == pytest.approx(0.0)
    assert rented[0] == pytest.approx(x[columns["rental_kwh"][:, 0]], abs=1e-4)


def test_what_is_committed_costs_what_the_best_plan_costs():
    system, episode, record = houses()
    problem, x = planned(system, episode, record, "hour", 7)
    best = problem.form.solve().objective
    cost = committed_to(problem, x).solve().objective
    assert best - 1e-6 * abs(best) <= cost <= best + 1e-3 * abs(best)


def test_its_hours_are_those_of_mpc_given_what_is_committed():
    system, episode, record = houses()
    problem, x = planned(system, episode, record, "hour", 7)
    codec, solvers = ActionCodec(system), Solvers()
    for t in range(system.steps_per_day):
        public = public_at(system, episode, record, t)
        firm = firm_from(problem.system, problem.compiled, x) if t == 0 else None
        request = plan_from(system, public.state, public.forecast, solvers, firm=firm)
        played = codec.decode(np.clip(codec.encode(request), -1.0, 1.0))
        assert record.requests[t] == pytest.approx(played, abs=1e-6), t


def test_the_generator_alone_decides():
    system, episode, record = houses()
    again, other = (play(system, "hour", episode, rng=seed) for seed in (7, 8))
    np.testing.assert_array_equal(record.requests, again.requests)
    assert np.abs(record.requests[0] - other.requests[0]).max() > 1.0


def test_what_it_commits_does_not_depend_on_what_comes_true():
    system, episode, record = houses()
    truth = np.array(episode.values)
    truth[:, 2 * len(system.members) : 3 * len(system.members)] *= 1.1
    other = play(system, "hour", replace(episode, values=truth), rng=7)
    np.testing.assert_array_equal(other.requests[0], record.requests[0])
    assert other.cost > record.cost + 1.0


def test_risk_is_minimised_where_it_is_asked_for():
    system, episode, record = houses()
    problem, _ = planned(system, episode, record, "hour", 7)
    risk = Risk(1.0, 0.8)
    best = with_risk(problem, risk).solve().objective

    def risk_of(x):
        return risk.of(costs_after(problem, problem.blocks, x), problem.form.probability)

    assert risk_of(commit(problem, "hour", risk)) <= best + 2e-3 * abs(best)
    assert risk_of(commit(problem, None, risk)) == pytest.approx(best, rel=1e-6)


def test_where_rounds_run_out_the_problem_is_solved_whole():
    system, episode, record = houses()
    problem, _ = planned(system, episode, record, "hour", 7)
    best = problem.form.solve().objective
    x = commit(problem, "scenario", NEUTRAL, Stop(1e-3, 2, np.inf))
    assert committed_to(problem, x).solve().objective == pytest.approx(best, rel=1e-6)


def test_time_never_ends_the_cuts():
    """What is committed must be the same on a slow machine."""
    assert np.isinf(committed_mpc.STOP.time_s)


def test_the_kind_of_cuts_of_the_shipped_systems():
    kinds = {
        "s2_crh": "hour",
        "s1_3mg": "scenario",
        "s1_4mg": "scenario",
        "community_real": None,
        "scarcity": None,
    }
    for name, kind in kinds.items():
        assert kind_for(load_system(name)) == kind, name
    assert kind_for(load_system("s2_crh", {"tariff.demand_charge_per_kw": 0.5})) is None
    assert kind_for(load_system("s2_crh", {"pool.enabled": False, "ces.rental": False})) == "hour"


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_cuts_by_the_hour_are_chosen_wherever_they_are_possible(seed):
    problem = random_problem(seed)
    try:
        divide(problem, "hour", NEUTRAL)
    except InputError:
        assert kind_for(problem.system) != "hour"
    else:
        assert kind_for(problem.system) == "hour"


@pytest.mark.parametrize("seed", [0, 3, 4, 7, 9, 12])
def test_it_lives_through_anything(seed):
    system = random_system(seed)
    episode = random_episode(system, seed)
    record = play(system, kind_for(system), episode)
    assert np.isfinite(record.cost)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_fixed_lies_within_bounds_and_the_pool_is_balanced(seed):
    system = load_system("s1_3mg", {"pool.members": bool(seed % 2)})
    problem = problem_of(system, sample_episode(system, "test", seed), 2)
    x = commit(problem, "scenario", NEUTRAL)
    firm = firm_from(problem.system, problem.compiled, x)
    assert (firm.columns == np.flatnonzero(committed(problem.compiled, system))).all()
    block = problem.blocks[0]
    assert (firm.values >= block.lower[firm.columns]).all()
    assert (firm.values <= block.upper[firm.columns]).all()
    whole = np.zeros(problem.compiled.matrix.shape[1])
    whole[firm.columns] = firm.values
    sent, received = (whole[problem.compiled.columns[n]] for n in ("sent_kw", "received_kw"))
    assert (np.minimum(sent, received) == 0.0).all()
    through = 1.0 - system.config.pool.loss
    assert received.sum(axis=0) == pytest.approx(through * sent.sum(axis=0), abs=1e-9)
