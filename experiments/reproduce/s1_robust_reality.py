"""What a robust plan's commitments come to on days as they happen.

A realised day is one of the system's own episodes, of the season and the typical day that a scene
stands for. Its wind, PV, load and heat are taken as they came; the tariff stays as expected, for
the promise does not cover it. Commitments are held, and recourse knows the whole day, as it does
where the promise is made.

Source: our choice.
"""

from functools import lru_cache
from itertools import count
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.robust.deviations import around
from baselines.robust.problem import Recourse, RobustProblem
from baselines.robust.sets import UncertaintySet
from baselines.robust.typical_days import WINTER, expected_days, problem_of_days
from mmg_env.sources.scenes import SEASON_STARTS
from mmg_env.splits import sample_episode
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SPLIT: Final = "train"
ROUNDING: Final = 1e-6  # of a promise that rounding may add
ALIKE: Final = 0.05  # how far a day's last hours may be from those of its typical day, relative


class Days(NamedTuple):
    """Realised days.

    Attributes:
        scene: (days,) the typical day of each.
        rows: (days, steps, columns) what came, at the expected tariff.
    """

    scene: Integers
    rows: Array


class Reality(NamedTuple):
    """A plan on realised days.

    Attributes:
        promised: (days,) what the worst case of each day's scene costs at most, currency.
        cost: (days,) what it cost.
        inside: (days,) whether the day was in the set of its scene.
    """

    promised: Array
    cost: Array
    inside: NDArray[np.bool_]

    @property
    def dearer(self) -> NDArray[np.bool_]:
        """(days,) whether it cost more than promised."""
        return np.asarray(self.cost > self.promised + ROUNDING * np.abs(self.promised))


@lru_cache(maxsize=16)
def realised_days(system: System, number: int) -> Days:
    """Return the first winter days of the split.

    Args:
        system: one member alone.
        number: how many.

    Raises:
        RuntimeError: a day is like none of the typical days, or like two.
    """
    expected, _ = expected_days(system)
    start = np.datetime64(SEASON_STARTS[WINTER])
    series, steps = 4 * len(system.members), system.steps_per_day
    scenes: list[int] = []
    rows: list[Array] = []
    for index in count():
        if len(scenes) == number:
            break
        episode = sample_episode(system, SPLIT, index)
        if episode.start != start:
            continue
        scenes.append(_typical(episode.forecast(0).values[:steps, :series], expected))
        row = np.array(episode.values[:steps])
        row[:, series:] = expected[scenes[-1]][:, series:]
        rows.append(row)
    return Days(np.array(scenes), np.array(rows))


def _typical(forecast: Array, expected: Array) -> int:
    """Return the typical day that a day was drawn from.

    What the hour before the day has left fades over the day, so the forecast of its last hour is
    that of the typical day, and typical days differ by more than what is left of it.
    """
    last = expected[:, len(forecast) - 1, : forecast.shape[1]]
    scale = np.where(last > 0.0, last, 1.0)
    off = np.abs(forecast[-1] - last)
    far = (off / scale).max(axis=1)
    best, second = np.argsort(far, kind="stable")[:2]
    if not far[best] < min(ALIKE, 0.5 * far[second]):
        raise RuntimeError(f"typical day: nearest are {best} and {second}, {far} off")
    return int(best)


def lived(
    system: System, problem: RobustProblem, x: Array, promised: Array, number: int
) -> Reality:
    """Return what commitments cost on realised days.

    Args:
        system: one member alone.
        problem: its winter days.
        x: (decisions,) what is committed.
        promised: (scenes,) what each scene costs at most, currency.
        number: of days.
    """
    days = realised_days(system, number)
    expected, _ = expected_days(system)
    still = around(system, np.zeros((system.steps_per_day, 4 * len(system.members))))
    weight = np.full(number, 1.0 / number)
    real = problem_of_days(system, days.rows, [still] * number, weight)
    cost, inside = np.empty(number), np.empty(number, dtype=np.bool_)
    for day, (scene, own) in enumerate(zip(days.scene, real.scenes, strict=True)):
        recourse = Recourse(own, real.first)
        recourse.decide(x)
        cost[day] = recourse.answer(np.zeros(len(own.least))).objective
        gone_by = days.rows[day] - expected[scene]
        inside[day] = _holds(problem.scenes[scene].uncertain, gone_by, len(system.members))
    return Reality(promised[days.scene], cost, inside)


def _holds(uncertain: UncertaintySet, gone_by: Array, members: int) -> bool:
    """Return whether a set holds a day's deviations; the grid is up."""
    own = gone_by[:, : 4 * members].ravel()
    return uncertain.contains(np.concatenate([own, np.zeros(len(gone_by))]))
