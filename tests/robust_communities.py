"""A short robust day of `s1_3mg`, divided among its participants, and what they agree on."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from baselines.bargaining.robust_cooperation import cooperate_robustly
from baselines.bargaining.robust_parts import divided
from baselines.bargaining.robust_party import RobustParty
from baselines.robust.adversary import Alternating, Exact
from baselines.robust.column_generation import ColumnGeneration
from baselines.robust.master import Master
from baselines.robust.typical_days import (
    model_of,
    typical_problem,
)
from baselines.solution import Stop
from mmg_env.system import load_system

SCENES = 2
FINE = Stop(gap=1e-4, iterations=30, time_s=30.0)
NEAR = Stop(gap=1e-3, iterations=150, time_s=30.0)


def few_scenes(problem, count=SCENES):
    """Return a problem of its first scenes."""
    weight = problem.probability[:count]
    return replace(problem, scenes=problem.scenes[:count], probability=weight / weight.sum())


@lru_cache(maxsize=4)
def community(dt_h=3.0):
    """Return a short day of `s1_3mg`, divided."""
    system = load_system("s1_3mg", {"dt_h": dt_h})
    return divided(system, model_of(system), few_scenes(typical_problem(system)))


@lru_cache(maxsize=1)
def found():
    """Return what comes of the chain on the short day."""
    return cooperate_robustly(community(), NEAR, FINE)


def unknown(whole):
    """Return parties that have met no case."""
    return [
        RobustParty(part, whole.form.system.dt_h, [()] * len(part.problem.scenes))
        for part in whole.parts
    ]


def solved(problem, gap=1e-5):
    """Return the best of a problem, with proof."""
    loop = ColumnGeneration(
        problem, Master(problem, Stop(gap=0.25 * gap)), Alternating(problem), Exact(problem, gap)
    )
    best = loop.run(Stop(gap=gap, iterations=40, time_s=30.0))
    assert best.trace[-1].upper_kind == "proven"
    return best


def relaxed(problem):
    """Return a problem whose commitments are relaxed."""
    return replace(problem, whole=np.zeros(0, dtype=np.int64))
