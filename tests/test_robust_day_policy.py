"""Days committed against the worst: what is committed, what of it is done, and what it is worth."""

from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
import pytest

from baselines.deterministic import first_state
from baselines.extensive_form import two_stage
from baselines.highs import Solver
from baselines.programme import held
from baselines.robust.adversary import Alternating, Exact
from baselines.robust.column_generation import ColumnGeneration
from baselines.robust.day_ahead import alone
from baselines.robust.day_policy import (
    HEDGING,
    HEDGING_STOP,
    RobustDay,
    by_affine_rules,
    by_generation,
    by_hedging,
    day_of,
    doubtful,
    several,
    units_of,
    usual,
    without_failures,
)
from baselines.robust.hedging import Hedged
from baselines.robust.master import Master
from baselines.robust.outlook import calm, misses
from baselines.solution import Stop
from mmg_env import CommunityEnv, load_system, rollout, sample_episode
from mmg_env.kernel import N_ACTION
from mmg_env.layout import A, F, S, X
from mmg_env.public import PublicInfo
from tests.robust_cases import FINE, generic

GAP = 3e-3  # of decisions by a search of few nodes


@lru_cache
def case(name, changes=(), member=None):
    """Return a system and its first test episode."""
    system = load_system(name, dict(changes))
    system = system if member is None else alone(system, member)
    return system, sample_episode(system, "test", 0)


def begins(system, episode):
    """Return what is known when an episode begins."""
    past = partial(episode.until, 0)
    return PublicInfo(system, 0, first_state(system), episode.forecast(0), past)


def without_budget(public):
    """Return an outlook in which nothing deviates."""
    nothing = np.zeros(4 * len(public.system.members))
    return calm(public, misses(public.forecast, np.random.default_rng(0)), nothing)


WAYS = {"generation": by_generation, "hedging": by_hedging, "affine": by_affine_rules}
CASES = [("s1_3mg", None), ("s2_crh", None), ("s1_3mg", 0), ("tiny", None)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "member"), CASES)
def test_where_nothing_deviates_it_commits_what_the_best_plan_does(name, member, way):
    system, episode = case(name, (), member)
    ahead = without_budget(begins(system, episode))
    x, numbers = WAYS[way](ahead), ahead.blocks[0]
    first = day_of(ahead).first
    solver = Solver(ahead.compiled)
    solver.load(numbers)
    best = solver.solve_mip(ahead.compiled.binary, 1e-4)
    solver.load(held(numbers, first, x[first]))
    mine = solver.solve_mip(ahead.compiled.binary, 1e-4)
    assert mine.objective >= best.bound - 1e-6 * abs(best.bound)
    assert mine.objective <= best.objective + GAP * abs(best.objective)
    assert not np.delete(x, first).any()


NOMINATING = (("day_ahead.grid", True),)


@lru_cache
def played(way, name, changes=(), ahead=usual):
    """Return a system, its outlook, what is committed, and an episode that was played with it."""
    system, episode = case(name, changes)
    policy = RobustDay(system, WAYS[way], ahead)
    record = rollout(CommunityEnv(system), policy, seed=7, options={"episode": episode})
    seen = ahead(begins(system, episode), np.random.default_rng(np.random.SeedSequence([7])))
    return system, seen, WAYS[way](seen), record


@pytest.mark.parametrize(("way", "name"), [("generation", "s1_3mg"), ("affine", "s1_3mg")])
def test_units_run_all_day_as_was_decided(way, name):
    system, ahead, x, record = played(way, name)
    units = units_of(ahead, x)
    columns = ahead.compiled.columns["chp_on"][:, : system.steps_per_day + 1]
    there = np.flatnonzero((columns[:, 1:] >= 0).all(axis=1))
    assert len(there) > 0
    assert set(np.unique(units)) <= {0.0, 1.0}
    assert units[there].any()
    runs = record.state(S.chp_kw)[1:, there].T > 1e-6
    assert np.array_equal(runs, units[there][:, 1:] == 1.0)


@pytest.mark.parametrize(
    ("way", "name", "changes"),
    [("generation", "s2_crh", NOMINATING), ("affine", "s2_crh", ()), ("generation", "s1_3mg", ())],
)
def test_what_is_committed_is_asked_for_and_kept(way, name, changes):
    system, ahead, x, record = played(way, name, changes)
    columns, members = ahead.compiled.columns, len(system.members)
    count, day = len(system.participants), system.steps_per_day
    asked = record.requests[0][: count * N_ACTION].reshape(count, N_ACTION)
    if system.day_ahead_pool:
        net = x[columns["received_kw"]] - x[columns["sent_kw"]]
        assert np.abs(net).max() > 1.0
        assert record.flows[:, : len(net), F.nominated_kw] == pytest.approx(net.T, abs=1e-3)
    if system.rental:
        for k, name_ in ((A.rental_kwh, "rental_kwh"), (A.rental_kw, "rental_kw")):
            assert asked[:members, k] == pytest.approx(x[columns[name_][:, 0]], abs=1e-3)
        kept = record.state(S.rental_kwh)[1:, :members]
        assert kept == pytest.approx(np.tile(x[columns["rental_kwh"][:, 0]], (day, 1)), abs=1e-3)
    if system.day_ahead_grid:
        at = 4 * members + X.nomination_base_kw
        base = record.episode.forecast(0).values[:day, at]
        offset = record.requests[0][count * (N_ACTION + day * system.day_ahead_pool) :]
        assert offset + base == pytest.approx(x[columns["nominated_kw"]], abs=1e-3)
    assert system.day_ahead_pool or system.rental or system.day_ahead_grid


def test_the_generator_alone_decides_whatever_was_played_before():
    system, episode = case("tiny")
    env, policy = CommunityEnv(system), RobustDay(system, by_generation, doubtful)
    first = rollout(env, policy, seed=7, options={"episode": episode})
    rollout(env, policy, seed=8, options={"episode": 3})
    again = rollout(env, policy, seed=7, options={"episode": episode})
    assert np.array_equal(first.requests, again.requests)


def test_each_outlook_is_what_it_says():
    system, episode = case("resilience", (("episode_h", 24),), 1)
    public = begins(system, episode)
    rng = np.random.default_rng
    assert len(usual(public, rng(0)).sets) == 2
    assert len(without_failures(public, rng(0)).sets) == 1
    some, doubted = several(public, rng(0)), doubtful(public, rng(0))
    assert np.array_equal(some.rows, doubted.rows)
    assert some.reach is None
    assert day_of(doubted).reach == doubted.reach > 0.0


# Probability that may be moved


@lru_cache
def in_doubt():
    """Return a member's day of four steps under a few futures, all of it continuous."""
    system, episode = case("s1_3mg", (("dt_h", 6.0),), 0)
    ahead = doubtful(begins(system, episode), np.random.default_rng(3))
    problem = day_of(ahead)
    return ahead, replace(problem, whole=problem.whole[:0])


def value(reach):
    """Return what the day costs if probability is moved so far."""
    _, problem = in_doubt()
    problem = replace(problem, reach=reach)
    master = Master(problem, FINE)
    exact = Exact(problem, gap=1e-7)
    found = ColumnGeneration(problem, master, Alternating(problem), exact).run(FINE)
    assert found.within(1e-5)
    return found.upper


def test_without_reach_it_is_the_mean_over_the_futures():
    ahead, problem = in_doubt()
    shared = np.zeros(ahead.compiled.matrix.shape[1], dtype=bool)
    shared[problem.first] = True
    mean = two_stage(ahead.compiled, ahead.blocks, ahead.probability, shared).solve().objective
    assert value(0.0) == pytest.approx(mean, rel=1e-4)


def test_it_grows_with_the_reach_up_to_the_worst_of_each_future():
    values = [value(reach) for reach in (0.0, 0.5, 2.0, 6.0, 100.0)]
    worst = value(None)
    assert (np.diff(values) >= -1e-5 * worst).all()
    assert values[0] < values[1] < values[2]
    assert values[-1] == pytest.approx(worst, rel=1e-5)


# Progressive hedging as policies use it


@pytest.mark.parametrize("binaries", [0, 2])
@pytest.mark.parametrize("seed", range(3))
def test_without_nodes_the_bounds_hold_all_the_same(seed, binaries):
    assert HEDGING.nodes == 0
    problem = generic(seed, "whole", scenes=3, recourse_binaries=binaries)
    hedged, master = Hedged(problem, HEDGING_STOP, HEDGING), Master(problem, Stop(gap=1e-8))
    rng = np.random.default_rng(seed)
    for _ in range(3):
        for scene, own in enumerate(problem.scenes):
            z = own.uncertain.best(rng.normal(size=len(own.most)))
            for learns in (hedged, master):
                learns.add(scene, z)
        found, wanted = hedged.decide(), master.decide()
        slack = 1e-6 * abs(wanted.upper)
        assert found.lower <= wanted.upper + slack
        assert found.upper >= wanted.lower - slack
        assert problem.probability @ found.theta == pytest.approx(found.upper, rel=1e-6)
        assert np.isin(found.x[np.searchsorted(problem.first, problem.whole)], (0.0, 1.0)).all()
