"""How far wind, sun and loads may deviate from what is expected, and for how many hours of a day.

Half-widths are shares of the expected value; budgets are hours of a day at the full half-width, for
each member and kind of series apart.

Source: the sets are Bian & Ji's (2025) idea; the numbers are our choice (docs/model.md section 7).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.robust.sets import UncertaintySet, budgeted
from mmg_env.errors import InputError
from mmg_env.system import System

Array = NDArray[np.float64]

KINDS = ("wind", "pv", "load", "heat")


@dataclass(frozen=True)
class Budgets:
    """Hours of a day in which series may deviate in full; 24 or more is a box.

    Attributes:
        wind_h: of each member's wind.
        pv_h: of its sun.
        load_h: of its electric load.
        heat_h: of its heat load.
    """

    wind_h: float = 8.0
    pv_h: float = 6.0
    load_h: float = 12.0
    heat_h: float = 6.0

    def __post_init__(self) -> None:
        """Refuse what is no budget."""
        for kind, hours in zip(KINDS, self.hours, strict=True):
            if not (np.isfinite(hours) and hours >= 0.0):
                raise InputError(f"budgets: {kind}_h is {hours}; it must be finite, at least 0")

    @property
    def hours(self) -> tuple[float, float, float, float]:
        """Budgets by kind."""
        return self.wind_h, self.pv_h, self.load_h, self.heat_h

    def steps(self, system: System) -> Array:
        """Return the budget of each of a system's series, (4 * members,), in whole steps."""
        return np.floor(np.repeat(self.hours, len(system.members)) / system.dt_h)

    def times(self, factor: float) -> "Budgets":
        """Return budgets that are longer by a factor."""
        return Budgets(*(factor * hours for hours in self.hours))


BUDGETS = Budgets()
# What policies plan with: longer budgets cost more in `val` than they save.
PLAYED = BUDGETS.times(0.25)
HALF_WIDTHS = (0.20, 0.15, 0.10, 0.10)  # of the expected wind, PV, load, heat


def shares(system: System, rows: Array) -> Array:
    """Return half-widths as the usual shares of what is expected, (steps, 4 * members), kW.

    Args:
        system: the system.
        rows: (steps, columns) what is expected.
    """
    members = len(system.members)
    return np.asarray(rows[:, : 4 * members] * np.repeat(HALF_WIDTHS, members))


def around(
    system: System, half_width: Array, budgets: Budgets = BUDGETS, whole: bool = False
) -> UncertaintySet:
    """Return the set of deviations by hour, over the entries of `scenes`.

    Args:
        system: the system.
        half_width: (steps, 4 * members) kW; where it is 0 nothing deviates.
        budgets: in hours, cut down to whole steps.
        whole: whether only deviations in full are possible.
    """
    return deviating(half_width, half_width, budgets.steps(system), whole)


def deviating(up: Array, down: Array, budget: Array, whole: bool = False) -> UncertaintySet:
    """Return a set of deviations by hour, over the entries of `scenes`.

    Args:
        up: (steps, 4 * members) how far each value may rise, kW.
        down: likewise, how far it may fall.
        budget: (4 * members,) steps in full.
        whole: whether only deviations in full are possible.
    """
    steps, width = up.shape
    none = np.zeros(steps)
    group = np.concatenate([np.tile(np.arange(width), steps), np.zeros(steps, dtype=np.int64)])
    rise, fall = (np.concatenate([size.ravel(), none]) for size in (up, down))
    return budgeted(rise, fall, group, budget, whole)
