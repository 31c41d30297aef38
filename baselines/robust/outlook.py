"""What a day or an hour is planned against: scenes, and how far each may deviate.

Of the weather and the loads the forecast is the middle; it may miss by the half-widths that 95 % of
its own draws keep to. Where the grid can fail, there are two scenes: it stays up, or it fails once,
at any later hour of the next day, for as long as failures last on average. Their probabilities are
the grid's own. An outage is a move like others: what deviations from the nomination cost meanwhile,
and what reserve earns, stay in the bill, though the simulator counts neither.

Source: our choice.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Compiled, Numbers
from baselines.day_ahead import scenario_numbers
from baselines.robust.deviations import deviating
from baselines.robust.scenes import entries
from baselines.robust.sets import UncertaintySet
from baselines.rolling_horizon import Window, window_at, window_numbers, window_rows
from mmg_env.config import AnalogueSource
from mmg_env.layout import X
from mmg_env.public import PublicInfo
from mmg_env.series import Forecast, Scenarios
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

DRAWS: Final = 100
INSIDE: Final = 0.95  # of the draws, in each hour and series


@dataclass(frozen=True, eq=False)
class Outlook:
    """What is planned against.

    Attributes:
        system: whose plan it is.
        window: the hours that it looks at.
        compiled: the model of a scene.
        blocks: its numbers in each scene.
        rows: (scenes, steps, columns) what is expected in each.
        sets: what may deviate in each.
        probability: (scenes,).
        reach: how far probability may be moved, see `RobustProblem`.
    """

    system: System
    window: Window
    compiled: Compiled
    blocks: tuple[Numbers, ...]
    rows: Array
    sets: tuple[UncertaintySet, ...]
    probability: Array
    reach: float | None = None


@dataclass(frozen=True, eq=False)
class Misses:
    """By how much wind, PV, load and heat may miss what is expected, either way.

    Attributes:
        half_width: (leads, 4 * members) kW.
        low: (4 * members,) least that is physical, kW.
        high: (4 * members,) most.
    """

    half_width: Array
    low: Array
    high: Array

    def around(self, system: System, window: Window, rows: Array, budget: Array) -> UncertaintySet:
        """Return the set of deviations from some rows: of the next 24 h, none before or after.

        Args:
            system: the system.
            window: where the steps lie.
            rows: (steps, columns) what is expected.
            budget: (4 * members,) steps of deviation in full.
        """
        expected = rows[:, : self.half_width.shape[1]]
        size = np.zeros(expected.shape)
        ahead = min(system.steps_per_day, len(size) - window.hour)
        size[window.hour : window.hour + ahead] = self.half_width[:ahead]
        up = np.clip(self.high - expected, 0.0, size)
        return deviating(up, np.clip(expected - self.low, 0.0, size), budget)


def misses(forecast: Forecast, rng: np.random.Generator) -> Misses:
    """Return by how much a forecast may miss.

    Args:
        forecast: the forecast.
        rng: where its draws come from.
    """
    width = 4 * forecast.member_count
    errors = np.abs(forecast.scenarios(DRAWS, rng).values - forecast.values)[..., :width]
    model = forecast.model
    return Misses(np.quantile(errors, INSIDE, axis=0), model.low[:width], model.high[:width])


def calm(public: PublicInfo, found: Misses, budget: Array) -> Outlook:
    """Return what weather and loads of the next day may do, one scene.

    Args:
        public: what is known.
        found: how far the forecast may miss.
        budget: (4 * members,) steps of deviation in full.
    """
    system, window = public.system, window_at(public.system, public.step)
    rows = window_rows(system, window, public.forecast)
    compiled, numbers = window_numbers(system, window, public.state, rows)
    own = found.around(system, window, rows, budget)
    return Outlook(system, window, compiled, (numbers,), rows[None], (own,), np.ones(1))


def outlook(public: PublicInfo, found: Misses, budget: Array) -> Outlook:
    """Return what the next day may bring; where the grid can fail, as a second scene.

    Args:
        public: what is known, like the next two as in `calm`.
        found: how far the forecast may miss.
        budget: steps of deviation in full.
    """
    alone = calm(public, found, budget)
    system, window, rows = alone.system, alone.window, alone.rows[0]
    begins = beginnings(system, window, rows)
    chance = failing(system, len(begins))
    if chance == 0.0:
        return alone
    fails = with_outage(system, begins, rows, alone.sets[0])
    return replace(
        alone,
        blocks=2 * alone.blocks,
        rows=np.repeat(alone.rows, 2, axis=0),
        sets=(*alone.sets, fails),
        probability=np.array([1.0 - chance, chance]),
    )


def around_each(public: PublicInfo, scenarios: Scenarios, found: Misses, budget: Array) -> Outlook:
    """Return some futures as scenes, each of which may be missed.

    Args:
        public: what is known.
        scenarios: what may come, from this step on.
        found: how far each future may miss.
        budget: (4 * members,) steps of deviation in full.
    """
    system, window = public.system, window_at(public.system, public.step)
    compiled, blocks, rows = scenario_numbers(public, window, scenarios)
    sets = tuple(found.around(system, window, own, budget) for own in rows)
    return Outlook(system, window, compiled, tuple(blocks), rows, sets, scenarios.probability)


def beginnings(system: System, window: Window, rows: Array) -> Integers:
    """Return in which steps of the next day the grid may fail: it is up, and not the current one.

    Args:
        system: the system.
        window: where the steps lie.
        rows: (steps, columns) what is expected.
    """
    share = rows[:, 4 * len(system.members) + X.grid_up]
    later = np.arange(window.hour + 1, min(len(rows), window.hour + system.steps_per_day))
    return later[share[later] > 0.0]


def failing(system: System, steps: int) -> float:
    """Return how likely the grid is to fail in some steps in which it is up."""
    source = system.config.source
    if not isinstance(source, AnalogueSource):
        return 0.0
    stays = 1.0 - min(1.0, source.outage_start_per_h * system.dt_h)
    return float(1.0 - stays**steps)


def with_outage(
    system: System, begins: Integers, rows: Array, calm: UncertaintySet
) -> UncertaintySet:
    """Return a set in which the grid may fail once, too.

    Args:
        system: its grid can fail.
        begins: steps in which that may begin.
        rows: (steps, columns) what is expected.
        calm: the set without failures.
    """
    source = system.config.source
    assert isinstance(source, AnalogueSource)
    steps, first = len(rows), 4 * len(system.members) * len(rows)
    share = rows[:, 4 * len(system.members) + X.grid_up]
    lasting = max(1, round(source.outage_mean_h / system.dt_h))
    fails = sparse.lil_array((entries(system, steps), len(begins)))
    for move, begin in enumerate(begins.tolist()):
        down = np.arange(begin, min(steps, begin + lasting))
        fails[first + down, move] = -share[down]
    group = np.full(len(begins), len(calm.budget))
    return UncertaintySet(
        sparse.hstack([calm.moves, sparse.csr_array(fails)], format="csr"),
        np.concatenate([calm.group, group]),
        np.append(calm.budget, 1.0),
    )
