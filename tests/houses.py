"""Small day-ahead problems: three houses, a community of real data, random communities."""

from functools import lru_cache, partial

import numpy as np
from random_systems import random_config, random_episode

from baselines.day_ahead import day_ahead, with_risk
from baselines.deterministic import first_state
from baselines.risk import Risk
from baselines.scenarios import draw
from baselines.solution import Stop
from mmg_env import load_system, sample_episode
from mmg_env.public import PublicInfo
from mmg_env.series import Scenarios
from mmg_env.system import build_system

KINDS = ("hour", "scenario", "single")
AVERSE = Risk(0.3)
# Sizes that occur nowhere else, so that a number that is met tells whose it is.
PECULIAR = {
    f"members[{m}].{key}": value + 1.7 * m
    for m in range(3)
    for key, value in {
        "grid.import_kw": 203.171,
        "grid.export_kw": 151.273,
        "flex.power_kw": 3.071,
        "flex.cost_per_kwh": 0.05123,
    }.items()
}


def problem_of(system, episode, count=3, probability=None):
    forecast, past = episode.forecast(0), partial(episode.until, 0)
    drawn = draw(system, forecast, count, np.random.default_rng(0))
    if probability is not None:
        drawn = Scenarios(drawn.values, np.array(probability), drawn.member_count)
    return day_ahead(PublicInfo(system, 0, first_state(system), forecast, past), drawn)


@lru_cache
def houses(changes=(), count=3, probability=None):
    system = load_system("s2_crh", dict(changes))
    return problem_of(system, sample_episode(system, "test", 0), count, probability)


@lru_cache
def real():
    system = load_system("community_real", {"episode_h": 24})
    return problem_of(system, sample_episode(system, "test", 0), 2)


def random_problem(seed, count=2):
    system = build_system(random_config(seed).model_copy(update={"episode_h": 24}))
    weights = np.random.default_rng(seed).dirichlet(np.full(count, 2.0))
    return problem_of(system, random_episode(system, seed), count, tuple(weights))


def optimum(problem, kind, risk):
    return with_risk(problem, risk, by_party=kind == "single").solve().objective


def hold(found, best, tolerance=1e-6):
    """Return whether the bounds hold the optimum."""
    slack = tolerance * max(1.0, abs(best))
    return found.lower <= best + slack and found.upper >= best - slack


def rounds(count):
    """Return when to end: by rounds alone, however slow the machine."""
    return Stop(1e-6, count, np.inf)


def private(problem, member):
    """Return what is a member's own, by name: arrays of numbers other than 0."""
    members, rows = len(problem.system.members), problem.rows
    config = problem.system.config.members[member]
    load = rows[:, :, 2 * members + member]
    sun = rows[:, :, member] + rows[:, :, members + member]
    return {
        "load": load,
        "renewables": sun,
        "net load": load - sun,
        "grid limits": np.array([config.grid.import_kw, config.grid.export_kw]),
        "shift limit": np.array([config.flex.power_kw]),
        "shift cost": np.array([config.flex.cost_per_kwh]),
    }


def met(values, numbers):
    """Return how many values are among some numbers, with either sign, to nine digits."""
    values = np.unique(np.abs(values))
    values = values[values > 1e-6]
    there = np.unique(np.abs(numbers[np.isfinite(numbers)]))
    at = np.searchsorted(there, values * (1.0 - 1e-9))
    near = np.append(there, np.inf)[at]
    return int((near <= values * (1.0 + 1e-9)).sum())


def secrets_met(problem, numbers, but=()):
    """Return which private numbers of which members are among some numbers."""
    return [
        (member, name)
        for member in range(len(problem.system.members))
        for name, values in private(problem, member).items()
        if name not in but and met(values, numbers)
    ]


def peculiar():
    return houses(tuple(PECULIAR.items()))
