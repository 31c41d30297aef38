"""The robust day of one season: its typical days are the scenes, with the members' probabilities.

Source: Bian & Ji 2025 (season and typical day as scenes, and the probabilities).
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from baselines.compiled import Compiled
from baselines.deterministic import first_state
from baselines.robust.day_ahead import robust_day
from baselines.robust.deviations import BUDGETS, Budgets, around, shares
from baselines.robust.problem import RobustProblem
from baselines.robust.sets import UncertaintySet
from baselines.rolling_horizon import window_at, window_model, window_numbers
from mmg_env.sources.scenes import scene_probabilities, typical_days
from mmg_env.system import System

Array = NDArray[np.float64]

WINTER: Final = 3


def expected_days(system: System, seasons: Sequence[int] = (WINTER,)) -> tuple[Array, Array]:
    """Return the expected days of some seasons and their probabilities.

    All members have the same typical day; its probability is the mean of theirs. Seasons are
    equally likely.

    Returns:
        (scenes, steps, columns) and (scenes,).
    """
    steps = system.steps_per_day
    rows = np.concatenate([typical_days(system, season)[:, :steps] for season in seasons])
    probability = scene_probabilities(system).mean(axis=0)
    return rows, np.tile(probability, len(seasons)) / len(seasons)


def typical_problem(
    system: System,
    seasons: Sequence[int] = (WINTER,),
    budgets: Budgets = BUDGETS,
    whole: bool = False,
) -> RobustProblem:
    """Return the day-ahead problem of a system's typical days, with the usual half-widths.

    Args:
        system: of the source `scenes`, with episodes of a day.
        seasons: 0 (spring) to 3 (winter).
        budgets: how long what may deviate.
        whole: whether only deviations in full are possible.
    """
    rows, probability = expected_days(system, seasons)
    sets = [around(system, shares(system, day), budgets, whole) for day in rows]
    return problem_of_days(system, rows, sets, probability)


def problem_of_days(
    system: System, rows: Array, sets: Sequence[UncertaintySet], probability: Array
) -> RobustProblem:
    """Return the day-ahead problem of some expected days.

    Args:
        system: with episodes of a day.
        rows: (scenes, steps, columns) what is expected.
        sets: what may deviate from it.
        probability: (scenes,).
    """
    fill = partial(window_numbers, system, window_at(system, 0), first_state(system))
    blocks = [fill(day)[1] for day in rows]
    return robust_day(system, model_of(system), blocks, rows, sets, probability)


def model_of(system: System) -> Compiled:
    """Return the model of a day."""
    return window_model(system, window_at(system, 0))
