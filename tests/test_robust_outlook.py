"""What is planned against: what may deviate, when and how far, and how the grid may fail."""

from functools import lru_cache

import numpy as np
import pytest

from baselines import POLICIES
from baselines.robust.deviations import PLAYED
from baselines.robust.outlook import (
    DRAWS,
    INSIDE,
    around_each,
    beginnings,
    calm,
    failing,
    misses,
    outlook,
)
from baselines.robust.scenes import entries
from baselines.rolling_horizon import window_at
from baselines.scenarios import balanced, draw
from mmg_env import CommunityEnv, load_system, sample_episode
from mmg_env.layout import X
from tests.random_systems import random_episode, random_system

FAILING = {"episode_h": 48, "source.outage_start_per_h": 0.02}


@lru_cache
def known(name, step, changes=()):
    """Return what is known at a step that idle has reached, in the first test episode."""
    if isinstance(name, int):
        system = random_system(name)
        episode = random_episode(system, name)
    else:
        system = load_system(name, dict(changes))
        episode = sample_episode(system, "test", 0)
    env, idle = CommunityEnv(system), POLICIES["idle"](system)
    observation, info = env.reset(options={"episode": episode})
    for _ in range(step):
        observation, *_, info = env.step(idle.act(observation, info))
    return info["public"]


def failing_grid(step):
    return known("resilience", step, tuple(FAILING.items()))


def found_for(public):
    return misses(public.forecast, np.random.default_rng(0))


def ahead_of(public):
    """Return the outlook of a policy."""
    return outlook(public, found_for(public), PLAYED.steps(public.system))


def by_step(ahead, scene):
    """Return moves by step and series, (steps, series, moves), and the grid's, (steps, moves)."""
    steps, series = len(ahead.rows[0]), 4 * len(ahead.system.members)
    moves = ahead.sets[scene].moves.toarray()
    assert len(moves) == entries(ahead.system, steps)
    return moves[: steps * series].reshape(steps, series, -1), moves[steps * series :]


PLACES = [("s1_3mg", 0), ("s1_3mg", 7), ("community_real", 5), (3, 2), (8, 20)]


@pytest.mark.parametrize(("name", "step"), PLACES)
def test_nothing_deviates_before_the_hour_or_after_a_day(name, step):
    public = known(name, step)
    ahead = ahead_of(public)
    day, hour = public.system.steps_per_day, ahead.window.hour
    own, grid = by_step(ahead, 0)
    moved = np.flatnonzero(np.abs(own).max(axis=(1, 2)) > 0.0)
    assert hour <= moved.min() <= moved.max() < hour + day
    assert moved.max() >= min(len(own), hour + day) - 2
    assert not grid.any()


@pytest.mark.parametrize(("name", "step"), PLACES)
def test_what_may_come_is_physical_and_no_farther_than_the_half_width(name, step):
    public = known(name, step)
    ahead, found = ahead_of(public), found_for(public)
    own, _ = by_step(ahead, 0)
    expected = ahead.rows[0][:, : own.shape[1]]
    up, down = own.max(axis=2, initial=0.0), own.min(axis=2, initial=0.0)
    tiny = 1e-9 * (1.0 + expected)
    assert (expected + up <= found.high + tiny)[up > 0.0].all()
    assert (expected + down >= found.low - tiny)[down < 0.0].all()
    hour = ahead.window.hour
    width = found.half_width[: len(own) - hour]
    assert (up[hour:][: len(width)] <= width + 1e-9).all()
    assert (down[hour:][: len(width)] >= -width - 1e-9).all()
    assert ahead.sets[0].budget.tolist() == PLAYED.steps(public.system).tolist()


def test_a_half_width_keeps_the_share_of_draws_that_it_should():
    public = known("s1_3mg", 0)
    found = found_for(public)
    fresh = public.forecast.scenarios(2000, np.random.default_rng(5)).values
    width = found.half_width.shape[1]
    inside = np.abs(fresh - public.forecast.values)[..., :width] <= found.half_width + 1e-12
    varies = found.half_width[:24] > 0.0
    assert DRAWS >= 20.0 / (1.0 - INSIDE) / 4.0
    assert inside[:, :24][:, varies].mean() == pytest.approx(INSIDE, abs=0.02)


# The grid


def test_where_the_grid_cannot_fail_there_is_one_scene():
    for name in ("s1_3mg", "tiny", "community_real"):
        ahead = ahead_of(known(name, 0))
        assert len(ahead.blocks) == len(ahead.sets) == len(ahead.rows) == 1
        assert ahead.probability.tolist() == [1.0]
        assert failing(ahead.system, 24) == 0.0


@pytest.mark.parametrize("step", [0, 9, 24, 30])
def test_the_grid_fails_once_later_and_where_it_is_up(step):
    public = failing_grid(step)
    ahead = ahead_of(public)
    weather, outage = ahead.sets
    own, grid = by_step(ahead, 1)
    fails = np.flatnonzero(outage.group == len(weather.budget))
    share = ahead.rows[1][:, 4 * len(ahead.system.members) + X.grid_up]
    hour, day = ahead.window.hour, public.system.steps_per_day
    first = [int(np.flatnonzero(grid[:, move])[0]) for move in fails]
    assert (
        first
        == [t for t in range(hour + 1, min(len(share), hour + day)) if share[t] > 0.0]
        == beginnings(public.system, ahead.window, ahead.rows[1]).tolist()
    )
    assert outage.budget[-1] == 1.0
    lasting = round(public.system.config.source.outage_mean_h / public.system.dt_h)
    for move, begin in zip(fails, first, strict=True):
        down = slice(begin, begin + lasting)
        assert (share[down] + grid[down, move] == 0.0).all()
        assert not np.delete(grid[:, move], np.arange(len(share))[down]).any()
        assert not own[:, :, move].any()
    assert not grid[:, : fails[0]].any()


def test_an_hour_without_grid_is_none_in_which_it_fails():
    public = failing_grid(0)
    rows = ahead_of(public).rows[0].copy()
    rows[[3, 4], 4 * len(public.system.members) + X.grid_up] = 0.0
    begins = beginnings(public.system, window_at(public.system, 0), rows)
    assert begins.tolist() == [t for t in range(1, 24) if t not in (3, 4)]


def test_how_likely_it_fails_is_the_grids_own_law():
    public = failing_grid(0)
    system = public.system
    ahead = ahead_of(public)
    chance = 1.0 - (1.0 - 0.02 * system.dt_h) ** 23
    assert ahead.probability == pytest.approx([1.0 - chance, chance])
    assert failing(system, 0) == 0.0
    futures = draw(system, public.forecast, 4000, np.random.default_rng(1)).values
    up = futures[:, 1:24, 4 * len(system.members) + X.grid_up] > 0.0
    assert (~up).any(axis=1).mean() == pytest.approx(chance, abs=0.02)


# Several futures


@pytest.mark.parametrize("step", [0, 9])
def test_each_future_is_a_scene_that_may_be_missed(step):
    public = failing_grid(step)
    futures = balanced(public.system, public.forecast, 3, np.random.default_rng(2))
    budget = np.full(4 * len(public.system.members), 5.0)
    found = found_for(public)
    ahead = around_each(public, futures, found, budget)
    hour, width = ahead.window.hour, len(budget)
    assert len(ahead.blocks) == len(ahead.sets) == 3
    assert np.array_equal(ahead.probability, futures.probability)
    assert ahead.reach is None
    for scene, future in enumerate(futures.values):
        rows = ahead.rows[scene][hour:]
        assert np.array_equal(rows[:, :width], future[: len(rows), :width])
        own, grid = by_step(ahead, scene)
        assert not grid.any()
        reach = ahead.rows[scene][:, :width] + own.max(axis=2, initial=0.0)
        assert (reach <= found.high + 1e-6)[own.max(axis=2, initial=0.0) > 0.0].all()
        assert ahead.sets[scene].budget.tolist() == budget.tolist()


@pytest.mark.parametrize("step", [0, 5])
def test_without_budget_nothing_is_done_against_weather(step):
    public = known("s1_3mg", step)
    ahead = calm(public, found_for(public), np.zeros(12))
    assert not ahead.sets[0].best(np.ones(len(ahead.sets[0].group))).any()
