"""Robust model predictive control: its budget is spent, and without one it is no worse than MPC."""

from dataclasses import replace

import numpy as np
import pytest

from baselines import POLICIES
from baselines.robust import hour_policy
from baselines.robust.deviations import PLAYED, Budgets
from baselines.robust.hour_policy import RobustMpc, hour_of, worst_case_plan
from baselines.robust.outlook import calm, misses
from baselines.stochastic_mpc import firm
from mmg_env import CommunityEnv, load_system, rollout, sample_episode
from mmg_env.actions import ActionCodec
from tests.random_systems import random_episode, random_system

SEED = 7


@pytest.fixture
def budgets(monkeypatch):
    """Let nothing be planned, and return the budgets that plans would have had."""
    found = []

    def noted(ahead):
        found.append(ahead.sets[0].budget.copy())
        codec = ActionCodec(ahead.system)
        return codec.decode(np.zeros(len(codec.entries)))

    monkeypatch.setattr(hour_policy, "worst_case_plan", noted)
    return found


def missed(system, episode, by):
    """Return an episode whose first hours miss the day's first forecast, in half-widths.

    Args:
        system: the system.
        episode: an episode of it.
        by: for each hour, (4 * members,) half-widths.
    """
    foreseen = episode.forecast(0)
    half = misses(foreseen, np.random.default_rng(np.random.SeedSequence([SEED]))).half_width
    truth, width = np.array(episode.values), 4 * len(system.members)
    for hour, share in enumerate(by):
        truth[hour, :width] = foreseen.values[hour, :width] + share * half[hour]
    return replace(episode, values=truth), half


def test_an_hour_that_misses_by_its_half_width_spends_a_step(budgets):
    system = load_system("s1_3mg")
    episode = sample_episode(system, "test", 0)
    whole = PLAYED.steps(system)
    size = np.zeros((3, len(whole)))
    size[0, 6] = -1.0  # a load that is less
    size[1, 6], size[1, 7], size[1, 0] = 0.5, 3.0, 0.25
    happens, half = missed(system, episode, size)
    assert (half[:3][size != 0.0] > 0.0).all()
    rollout(CommunityEnv(system), RobustMpc(system), seed=SEED, options={"episode": happens})
    assert budgets[0] == pytest.approx(whole)
    assert whole[6] - budgets[1][6] == pytest.approx(1.0)
    assert budgets[1] == pytest.approx(whole - np.minimum(1.0, np.abs(size[0])))
    spent = np.minimum(1.0, np.abs(size[:2])).sum(axis=0)
    assert budgets[2] == pytest.approx(np.maximum(whole - spent, 0.0))
    assert (np.diff(budgets, axis=0) <= 1e-12).all()


def test_what_misses_all_day_spends_all_there_is_and_no_more(budgets):
    system = load_system("s1_3mg")
    episode = sample_episode(system, "test", 0)
    loads = np.zeros((system.steps_per_day, 4 * len(system.members)))
    loads[:, 6:9] = 5.0
    happens, _ = missed(system, episode, loads)
    rollout(CommunityEnv(system), RobustMpc(system), seed=SEED, options={"episode": happens})
    whole = PLAYED.steps(system)[6:9]
    for hour, left in enumerate(budgets):
        assert left[6:9] == pytest.approx(np.maximum(whole - hour, 0.0))
    assert min(np.min(b) for b in budgets) == 0.0


def test_a_new_day_or_episode_has_all_its_budget(budgets):
    system = load_system("s1_3mg", {"episode_h": 48})
    policy, whole = RobustMpc(system), PLAYED.steps(system)
    for index in range(2):
        rollout(CommunityEnv(system, split="test"), policy, seed=SEED, options={"episode": index})
    day = system.steps_per_day
    assert len(budgets) == 4 * day
    for begin in range(0, len(budgets), day):
        assert np.array_equal(budgets[begin], whole)
    assert (budgets[day - 1] < whole).any()


def test_without_budget_it_costs_what_mpc_costs(monkeypatch):
    monkeypatch.setattr(hour_policy, "PLAYED", Budgets(0.0, 0.0, 0.0, 0.0))
    system = load_system("s1_3mg")
    env = CommunityEnv(system, split="test")
    mine, other = (
        rollout(env, policy(system), options={"episode": 0}).cost
        for policy in (RobustMpc, POLICIES["mpc"])
    )
    assert mine == pytest.approx(other, rel=0.01)


def ahead_at(system, episode, step, budget):
    """Return an outlook at a step that idle has reached."""
    env, idle = CommunityEnv(system), POLICIES["idle"](system)
    observation, info = env.reset(options={"episode": episode})
    for _ in range(step):
        observation, *_, info = env.step(idle.act(observation, info))
    public = info["public"]
    found = misses(public.forecast, np.random.default_rng(0))
    return calm(public, found, np.full(4 * len(system.members), budget))


@pytest.mark.parametrize("step", [0, 11])
def test_what_is_firm_now_is_decided_before_anything_deviates(step):
    system = load_system("s1_3mg")
    ahead = ahead_at(system, sample_episode(system, "test", 0), step, 2.0)
    problem = hour_of(ahead)
    assert np.array_equal(problem.first, firm(ahead.compiled, system, step))
    assert len(problem.whole) == len(problem.recourse_whole) == 0
    # Of what is decided now, no bound moves.
    pushed = np.unique(problem.scenes[0].push.tocoo().row)
    added = pushed[pushed >= ahead.compiled.matrix.shape[0]]
    bounded = np.unique(problem.scenes[0].programme.matrix[added].tocoo().col)
    assert not np.isin(bounded, problem.first).any()


@pytest.mark.parametrize("seed", [1, 3, 4, 8, 10])
def test_its_wishes_can_be_asked_for_in_any_system(seed):
    system = random_system(seed)
    episode = random_episode(system, seed)
    for step in (0, system.steps_per_day // 2, system.steps_per_day - 1):
        ahead = ahead_at(system, episode, step, 1.0)
        request = worst_case_plan(ahead)
        codec = ActionCodec(system)
        action = codec.encode(request)
        assert np.isfinite(action).all()
        assert np.abs(action).max() <= 1.0 + 1e-5
