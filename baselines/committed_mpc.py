"""A day committed by cuts over scenarios, its hours played by model predictive control.

Source: docs/model.md section 2: rolling horizon with the day's commitments fixed.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from baselines.compact_benders import Kind, benders
from baselines.cuts import Separation
from baselines.day_ahead import DayAhead, day_ahead
from baselines.extensive_form import committed
from baselines.mpc import Firm, Solvers, plan_from
from baselines.risk import Risk
from baselines.scenarios import draw
from baselines.solution import Stop
from mmg_env.actions import ActionCodec
from mmg_env.public import PublicInfo
from mmg_env.system import System

Array = NDArray[np.float64]

SCENARIOS: Final = 10
STOP: Final = Stop(gap=1e-3, iterations=100, time_s=60.0)


class CommittedMpc:
    """Commits each day by compact Benders; decides its hours against the point forecast."""

    def __init__(self, system: System, kind: Kind, risk: Risk, scenarios: int = SCENARIOS) -> None:
        """Take the system, the kind of cuts, what is minimised, the number of scenarios."""
        self._system = system
        self._kind: Kind = kind
        self._risk = risk
        self._count = scenarios
        self._codec = ActionCodec(system)
        self._solvers = Solvers()
        self._rng = np.random.default_rng(0)

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the last episode's warm starts."""
        self._rng = rng
        self._solvers = Solvers()

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return this hour's wishes and, at a day's first step, its commitments."""
        public: PublicInfo = info["public"]
        firm = self._commit(public) if public.day_begins else None
        request = plan_from(self._system, public.state, public.forecast, self._solvers, firm=firm)
        return np.clip(self._codec.encode(request), -1.0, 1.0)

    def _commit(self, public: PublicInfo) -> Firm:
        """Return the day's commitments."""
        scenarios = draw(self._system, public.forecast, self._count, self._rng)
        problem = day_ahead(public, scenarios)
        closed, _, split = benders(problem, self._kind, self._risk, STOP, Separation())
        shared = np.flatnonzero(committed(problem.compiled, self._system))
        place = np.searchsorted(split.parts.columns, problem.form.column[0, shared])
        return Firm(shared, closed.x[place], _rental(problem, closed.x, split.parts.columns))


def _rental(problem: DayAhead, x: Array, columns: NDArray[np.int64]) -> Array:
    """Return what is rented for the first day, (participants, 2), kWh and kW."""
    rental = np.zeros((len(problem.system.participants), 2))
    for k, name in enumerate(("rental_kwh", "rental_kw")):
        if name in problem.compiled.columns:
            numbers = problem.compiled.columns[name][:, 0]
            there = numbers >= 0
            merged = problem.form.column[0, numbers[there]]
            rental[np.flatnonzero(there), k] = x[np.searchsorted(columns, merged)]
    return rental
