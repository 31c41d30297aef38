"""Series with names: what all exogenous arrays share, forecasts, and the scenarios around them.

Source: docs/model.md section 7.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmg_env.errors import InputError
from mmg_env.forecasting import make_rows_consistent
from mmg_env.layout import MEMBER_SERIES, X

Array = NDArray[np.float64]


def frozen(array: Array) -> Array:
    """Return a read-only copy."""
    copy = np.array(array)
    copy.flags.writeable = False
    return copy


class ReadOnly:
    """Arrays that stay read-only when they are copied or unpickled."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over the fields; NumPy forgets that an array was read-only."""
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
        self.__dict__.update(state)


class Series(ReadOnly):
    """Names for the columns of an array (..., 4 * members + len(X)) of exogenous values."""

    values: Array
    member_count: int

    def _member(self, kind: str) -> Array:
        first = MEMBER_SERIES.index(kind) * self.member_count
        return self.values[..., first : first + self.member_count]

    def shared(self, column: X) -> Array:
        """Return one shared column, (...)."""
        return self.values[..., 4 * self.member_count + column]

    @property
    def wind_kw(self) -> Array:
        """Available wind power, (..., members), kW."""
        return self._member("wind_kw")

    @property
    def pv_kw(self) -> Array:
        """Available PV power, (..., members), kW."""
        return self._member("pv_kw")

    @property
    def load_kw(self) -> Array:
        """Electric load, (..., members), kW."""
        return self._member("load_kw")

    @property
    def heat_kw(self) -> Array:
        """Heat load, (..., members), kW."""
        return self._member("heat_kw")

    @property
    def price_buy(self) -> Array:
        """Retail purchase price, (...), currency/kWh."""
        return self.shared(X.price_buy)

    @property
    def price_sell(self) -> Array:
        """Retail sale price, (...), currency/kWh."""
        return self.shared(X.price_sell)

    @property
    def price_short(self) -> Array:
        """Imbalance price of a short community, (...), currency/kWh."""
        return np.asarray(self.shared(X.spot) + self.shared(X.short_premium))

    @property
    def price_long(self) -> Array:
        """Imbalance price of a long community, (...), currency/kWh."""
        return np.asarray(self.shared(X.spot) - self.shared(X.long_premium))

    @property
    def grid_up(self) -> Array:
        """Share of the grid links in service, (...), 0..1."""
        return self.shared(X.grid_up)

    @property
    def net_load_kw(self) -> Array:
        """The community's load less wind and PV, (...), kW."""
        return np.asarray((self.load_kw - self.wind_kw - self.pv_kw).sum(axis=-1))


@dataclass(frozen=True, eq=False)
class Scenarios(Series):
    """Equally long futures with probabilities.

    Attributes:
        values: (scenarios, leads, columns).
        probability: (scenarios,), summing to 1.
        member_count: members of the system.
    """

    values: Array
    probability: Array
    member_count: int


@dataclass(frozen=True, eq=False)
class ErrorModel(ReadOnly):
    """How forecasts err: the paths behind the columns.

    Attributes:
        path: (columns,) number of each column's error path, -1 where the future is known.
        phi: (paths,) persistence per step.
        innovations: (draws, paths) innovations seen in the train split, drawn jointly.
        low: (columns,) physical lower bounds.
        high: (columns,) physical upper bounds.
    """

    path: NDArray[np.int64]
    phi: Array
    innovations: Array
    low: Array
    high: Array

    def __post_init__(self) -> None:
        """Freeze the arrays: one model is shared by all episodes of a system."""
        for array in (self.path, self.phi, self.innovations, self.low, self.high):
            array.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Forecast(Series):
    """The forecast issued at one step for the next 48 hours.

    Attributes:
        issue: step at whose start it was issued; that step itself is lead 0.
        values: (leads, columns) point forecast, the columns of an episode.
        scale: (leads, columns) size of one unit of forecast error.
        model: how it errs.
        world: the system's numbers, needed to keep drawn prices consistent.
        member_count: members of the system.
    """

    issue: int
    values: Array
    scale: Array
    model: ErrorModel
    world: Array
    member_count: int

    def scenarios(self, n: int, rng: np.random.Generator) -> Scenarios:
        """Draw n futures from the error model around this forecast.

        Args:
            n: number of scenarios, at least 1.
            rng: where the draws come from.

        Raises:
            InputError: n is below 1.
        """
        return self.along(self.innovations(n, rng))

    def innovations(self, n: int, rng: np.random.Generator) -> Array:
        """Draw what errors gain in each step, (n, leads, paths), in units of `scale`.

        Raises:
            InputError: n is below 1.
        """
        if n < 1:
            raise InputError(f"scenarios: n is {n}; it must be at least 1")
        bank = self.model.innovations
        return np.asarray(bank[rng.integers(len(bank), size=(n, len(self.values)))])

    def along(self, innovations: Array) -> Scenarios:
        """Return the futures in which errors gain this, (futures, leads, paths), equally likely."""
        n, columns = len(innovations), self.values.shape[1]
        error = np.zeros((n, len(self.model.phi)))
        values = np.repeat(self.values[None], n, axis=0)
        uncertain = self.model.path >= 0
        paths = self.model.path[uncertain]
        for lead in range(len(self.values)):
            error = self.model.phi * error + innovations[:, lead]
            values[:, lead, uncertain] += self.scale[lead, uncertain] * error[:, paths]
        rows = values.reshape(-1, columns)
        make_rows_consistent(self.world, self.model.low, self.model.high, rows)
        return Scenarios(values, np.full(n, 1.0 / n), self.member_count)
