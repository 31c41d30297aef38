"""A learned forecast: the public one, corrected by what was learned of how it errs.

A forecast that is the truth less an error of its own varies more than the truth does, so it pays to
draw it towards what the season, the day before and its own neighbours let expect. Per column and
lead, with all values as deviations from climate in units of a residual's spread::

    expected = w . (value at the lead, mean of the leads around it, mean of its day ahead,
                    last residual, mean residual of the day before)

What the public forecast knows for certain stays as it is. Plans are made against it by `Mpc`.

Source: Glahn and Lowry 1972 (model output statistics); the choice of predictors is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from baselines.mpc import Mpc
from mmg_env.climatology import Climatology, climatology
from mmg_env.episode import Episode
from mmg_env.forecasting import make_rows_consistent
from mmg_env.public import PublicInfo
from mmg_env.series import Forecast
from mmg_env.system import System

Array = NDArray[np.float64]

AS_IT_IS: Final = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
"""Weights that leave a forecast alone."""
PREDICTORS: Final = len(AS_IT_IS)
AROUND: Final = 2
"""Leads before and after that count as neighbours."""


@dataclass(frozen=True, eq=False)
class LearnedForecast:
    """Weights of the predictors.

    Attributes:
        weights: (leads, columns, predictors).
    """

    weights: Array

    def arrays(self) -> dict[str, Array]:
        """Return what is kept of it."""
        return {"weights": self.weights}

    def __call__(self, public: PublicInfo) -> Forecast:
        """Return the public forecast, corrected."""
        forecast, system = public.forecast, public.system
        climate = climatology(system)
        seen = predictors(climate, public.history, forecast, system.steps_per_day)
        center, scale = climate.expected(public.history.start, forecast.issue, len(seen))
        values = center + scale * (self.weights[: len(seen)] * seen).sum(axis=-1)
        known = ~uncertain(climate, forecast)
        values[:, known] = forecast.values[:, known]
        make_rows_consistent(forecast.world, forecast.model.low, forecast.model.high, values)
        values[:, known] = forecast.values[:, known]
        values.flags.writeable = False
        return replace(forecast, values=values)


class ForecastAgent:
    """Model predictive control on a learned forecast, as a policy."""

    def __init__(self, system: System, learned: LearnedForecast) -> None:
        """Take the system, and the forecast to plan against."""
        self._mpc = Mpc(system, learned)

    def reset(self, rng: np.random.Generator) -> None:
        """Begin an episode."""
        self._mpc.reset(rng)

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:
        """Return MPC's action, (entries,)."""
        return self._mpc.act(observation, info)


def uncertain(climate: Climatology, forecast: Forecast) -> NDArray[np.bool_]:
    """Return the columns that vary and that the forecast does not know for certain, (columns,)."""
    return np.asarray((climate.model.path >= 0) & (forecast.model.path >= 0))


def predictors(climate: Climatology, history: Episode, forecast: Forecast, day: int) -> Array:
    """Return what is known of every lead, (leads, columns, predictors), in units of residuals.

    Args:
        climate: of the system.
        history: what was realised before the issue.
        forecast: issued now.
        day: steps of a day.
    """
    center, scale = climate.expected(history.start, forecast.issue, len(forecast.values))
    spread = np.where(scale > 0.0, scale, 1.0)
    ahead = (forecast.values - center) / spread
    past = climate.residuals(history.start, history.values)[-day:]
    seen = np.zeros((*ahead.shape, PREDICTORS))
    seen[..., 0] = ahead
    seen[..., 1] = _around(ahead)
    seen[..., 2] = ahead[:day].mean(axis=0)
    if len(past):
        seen[..., 3] = past[-1]
        seen[..., 4] = past.mean(axis=0)
    return seen


def _around(ahead: Array) -> Array:
    """Return running means over the leads around each lead; fewer at the ends."""
    sums = np.concatenate([np.zeros((1, ahead.shape[1])), np.cumsum(ahead, axis=0)])
    leads = np.arange(len(ahead))
    first, last = np.maximum(leads - AROUND, 0), np.minimum(leads + AROUND + 1, len(ahead))
    return np.asarray((sums[last] - sums[first]) / (last - first)[:, None])
