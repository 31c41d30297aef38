"""Climatology: what is to be expected of an hour by someone who has no forecast.

For every uncertain column and step of the day, a season and a kind of day::

    clim = a + b cos(2 pi d / 365) + c sin(2 pi d / 365) + w [weekend]

with d the day of the year, fitted by least squares to train episodes. What is left, over its
standard deviation at that step of the day, is a residual that fades as phi ** n over n steps; phi
minimises the squared error over the next 24 hours. So the expectation has the form of a forecast,
center + scale * phi ** n * e, with a path of its own for every column.

Source: our choice (climatology and persistence of the last residual).
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.episode import Episode, physical_bounds
from mmg_env.forecasting import make_rows_consistent
from mmg_env.layout import X
from mmg_env.series import ErrorModel, Forecast
from mmg_env.splits import sample_episode
from mmg_env.system import System, build_system

Array = NDArray[np.float64]

FITTING_DAYS: Final = 400  # days of train episodes, at least
FADING: Final = np.linspace(0.0, 0.995, 200)  # values of phi among which the best is taken
SEASONAL: Final = slice(1, 3)  # features that tell the season
LONGEST_GAP_DAYS: Final = 120  # longest part of the year without an episode that seasons may span
PERSISTENCE_H: Final = 24  # leads over which phi is chosen
# Set by the tariff, the state of the grid or chance alone: there is nothing to learn about them.
GIVEN: Final = (
    X.rho_regulation,
    X.rho_spinning,
    X.spin_call,
    X.grid_up,
    X.derating,
    X.carbon_kg_per_kwh,
    X.nomination_base_kw,
)


@dataclass(frozen=True, eq=False)
class Climatology:
    """What train episodes say about any hour.

    Attributes:
        coefficients: (steps of a day, 4, columns) constant, cosine, sine, weekend.
        scale: (steps of a day, columns) standard deviation of what is left.
        model: how it errs; one path per column, -1 where a column is given.
        members: number of members.
        dt_h: length of a step, h.
    """

    coefficients: Array
    scale: Array
    model: ErrorModel
    members: int
    dt_h: float

    def expected(self, start: np.datetime64, first: int, rows: int) -> tuple[Array, Array]:
        """Return the expectation and the size of one residual, (rows, columns) each.

        Args:
            start: first hour of the episode on the calendar.
            first: step of the episode.
            rows: number of steps.
        """
        step, features = _features(start, np.arange(first, first + rows), self.dt_h)
        center = np.einsum("rf,rfc->rc", features, self.coefficients[step])
        return np.asarray(center), self.scale[step]

    def residuals(self, start: np.datetime64, values: Array) -> Array:
        """Return (steps, columns) standardised residuals of what was realised; 0 where none is."""
        center, scale = self.expected(start, 0, len(values))
        known = (self.model.path >= 0) & (scale > 0.0)
        return np.where(known, (values - center) / np.where(known, scale, 1.0), 0.0)

    def foresee(self, history: Episode, public: Forecast) -> Forecast:
        """Return what is expected at the public forecast's issue without reading it.

        Only what is no forecast is taken from it: tariffs of reserve, the state of the grid and its
        announcement, and the base to which a nomination is an offset.

        Args:
            history: what was realised before the issue.
            public: the forecast issued now.
        """
        first, leads = public.issue, len(public.values)
        center, scale = self.expected(history.start, first, leads)
        values = np.array(center)
        if first > 0:
            last = self._last_residual(history)
            fading = self.model.phi ** np.arange(1, leads + 1)[:, None]
            values += scale * fading * last
        given = self.model.path < 0
        values[:, given] = public.values[:, given]
        kept = values[:, given].copy()
        make_rows_consistent(public.world, self.model.low, self.model.high, values)
        values[:, given] = kept
        values.flags.writeable = False
        return replace(public, values=values, scale=scale, model=self.model)

    def _last_residual(self, history: Episode) -> Array:
        last = history.steps - 1
        center, scale = self.expected(history.start, last, 1)
        known = (self.model.path >= 0) & (scale[0] > 0.0)
        deviation = history.values[last] - center[0]
        return np.where(known, deviation / np.where(known, scale[0], 1.0), 0.0)


@lru_cache(maxsize=8)
def climatology(system: System) -> Climatology:
    """Return what the train episodes of a system's source say about any hour."""
    # How good the forecasts are does not change the truth; asking for `none` here would recurse.
    source = system.config.source
    if source is not None and source.forecast != "good":
        plain = source.model_copy(update={"forecast": "good"})
        system = build_system(system.config.model_copy(update={"source": plain}))
    count = int(np.ceil(24 * FITTING_DAYS / system.config.episode_h))
    episodes = [sample_episode(system, "train", index) for index in range(count)]
    located = [_features(e.start, np.arange(e.steps), system.dt_h) for e in episodes]
    step = np.concatenate([steps for steps, _ in located])
    features = np.concatenate([rows for _, rows in located])
    values = np.concatenate([e.values for e in episodes])
    if not _all_seasons([e.start for e in episodes]):
        features[:, SEASONAL] = 0.0  # their coefficients come out as 0
    coefficients = np.empty((system.steps_per_day, features.shape[1], values.shape[1]))
    residual = np.empty_like(values)
    scale = np.empty((system.steps_per_day, values.shape[1]))
    for k in range(system.steps_per_day):
        at = step == k
        coefficients[k] = np.linalg.lstsq(features[at], values[at], rcond=None)[0]
        residual[at] = values[at] - features[at] @ coefficients[k]
        scale[k] = residual[at].std(axis=0)
    members = len(system.members)
    path = np.arange(values.shape[1])
    path[4 * members + np.array(GIVEN)] = -1
    # A column that never leaves its expectation but for rounding has nothing to persist.
    still = scale.max(axis=0) <= 1e-9 * np.maximum(np.abs(values).max(axis=0), 1.0)
    path[still] = -1
    scale[:, path < 0] = 0.0
    scale[scale <= 1e-9 * np.abs(values).max()] = 0.0
    standard = np.where(
        scale[step] > 0.0, residual / np.where(scale[step] > 0.0, scale[step], 1), 0
    )
    pieces = standard.reshape(count, system.episode_steps, -1)
    phi = _persistence(pieces, round(PERSISTENCE_H / system.dt_h))
    bank = (pieces[:, 1:] - phi * pieces[:, :-1]).reshape(-1, pieces.shape[2])
    model = ErrorModel(path, phi, bank, *physical_bounds(system))
    return Climatology(coefficients, scale, model, members, system.dt_h)


def _all_seasons(starts: list[np.datetime64]) -> bool:
    """Say whether the starts of episodes leave no long part of the year unseen."""
    date = np.array(starts).astype("datetime64[D]")
    number = (date - date.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)
    seen = np.unique(number)
    return bool(np.diff(np.append(seen, seen[0] + 366)).max() <= LONGEST_GAP_DAYS)


def _features(
    start: np.datetime64, steps: NDArray[np.int64], dt_h: float
) -> tuple[NDArray[np.int64], Array]:
    """Return the step of the day and (rows, 4) features of an episode's steps."""
    per_day = round(24.0 / dt_h)
    date = start.astype("datetime64[D]") + steps // per_day
    first = date.astype("datetime64[Y]").astype("datetime64[D]")
    turn = 2.0 * np.pi * (date - first).astype(np.int64) / 365.0
    weekend = (date.astype(np.int64) + 3) % 7 >= 5  # 1 January 1970 was a Thursday
    return steps % per_day, np.column_stack(
        [np.ones(len(steps)), np.cos(turn), np.sin(turn), weekend]
    )


def _persistence(pieces: Array, leads: int) -> Array:
    """Return the phi of every column that errs least over the leads; (columns,).

    The mean squared error at lead n is c_0 - 2 phi**n c_n + phi**(2n) c_0, c_n the autocovariance.
    """
    leads = min(leads, pieces.shape[1] - 1)
    error = np.zeros((len(FADING), pieces.shape[2]))
    level = (pieces**2).mean(axis=(0, 1))
    for n in range(1, leads + 1):
        together = (pieces[:, n:] * pieces[:, :-n]).mean(axis=(0, 1))
        fading = FADING[:, None] ** n
        error += fading**2 * level - 2.0 * fading * together
    return np.asarray(FADING[np.argmin(error, axis=0)])
