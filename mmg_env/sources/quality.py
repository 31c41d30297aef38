"""How good forecasts are: a source's own, scaled, or none at all.

A forecast errs by what is still to be revealed. With the truth kept as it is::

    perfect   center = truth, scale = 0
    good      as the source says
    poor      errors POOR times as large: center = truth - POOR * scale * e
    none      climatology and persistence (mmg_env/climatology.py), fitted to train

All are martingales of the same form. Outages and calls are never foreseen.

Source: our choice.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.climatology import climatology
from mmg_env.episode import Belief
from mmg_env.forecasting import make_rows_consistent
from mmg_env.series import ErrorModel
from mmg_env.system import System

Array = NDArray[np.float64]

POOR: Final = 1.5


def regarded(
    system: System, start: np.datetime64, model: ErrorModel, belief: Belief, truth: Array
) -> tuple[ErrorModel, Belief]:
    """Return error model and belief at the quality that the system's source asks for.

    Args:
        system: the system; `source.forecast` says which.
        start: first hour of the episode on the calendar.
        model: how the source's forecasts err.
        belief: what the source believes.
        truth: (steps + leads, columns) raw values.
    """
    source = system.config.source
    quality = "good" if source is None else source.forecast
    if quality == "good":
        return model, belief
    if quality == "none":
        return _climatological(system, start, belief, truth)
    share = {"perfect": 0.0, "poor": POOR}[quality]
    errors = np.where(model.path >= 0, belief.errors[:, model.path], 0.0)
    scale = share * belief.scale
    center = np.where(model.path >= 0, truth - scale * errors, belief.center)
    return model, Belief(center, scale, belief.errors)


def _climatological(
    system: System, start: np.datetime64, belief: Belief, truth: Array
) -> tuple[ErrorModel, Belief]:
    """Return the belief of someone who knows the climate and the last residual only."""
    known = climatology(system)
    values = np.array(truth)
    make_rows_consistent(system.physics.world, known.model.low, known.model.high, values)
    center, scale = known.expected(start, 0, len(truth))
    given = known.model.path < 0
    center[:, given] = belief.center[:, given]
    return known.model, Belief(center, scale, known.residuals(start, values))
