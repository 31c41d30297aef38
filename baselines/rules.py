"""Rule-based policies: what a careful operator does without an optimiser.

A rule looks at one hour's forecast and the stored energy and says what batteries do; everything
else follows from `rule_hours`: CHP runs where it beats grid and boiler, surplus goes to the pool,
the community storage serves the pool, and the day's commitments are what the rule expects itself
to do.

Source: our choice; thresholds are frozen in the suites' files and fitted to `val` alone, by
`mmg tune-rules`.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from baselines.rule_hours import PlannedHour, Rule, cover_own_need, follow_prices, plan_hour
from baselines.rule_practice import Practice, Prospect
from mmg_env.actions import Action, ActionCodec
from mmg_env.config_rules import Thresholds
from mmg_env.errors import InputError
from mmg_env.layout import A, S, X
from mmg_env.public import PublicInfo
from mmg_env.series import Forecast
from mmg_env.system import System

Array = NDArray[np.float64]

RULES: Final[Mapping[str, Rule]] = {
    "self_consumption": cover_own_need,
    "time_of_use": follow_prices,
}
"""What batteries do, by the names in a suite's file."""


class Idle:
    """Ask for nothing: loads, boilers and the grid do as they must."""

    def __init__(self, system: System) -> None:
        """Remember the one action."""
        self._vector = ActionCodec(system).encode(Action.idle(system))

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget."""

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return the idle action."""
        return self._vector


class Random:
    """Draw every entry uniformly from its range."""

    def __init__(self, system: System) -> None:
        """Remember how many entries there are."""
        self._size = len(ActionCodec(system).entries)
        self._rng = np.random.default_rng(0)

    def reset(self, rng: np.random.Generator) -> None:
        """Take the episode's randomness."""
        self._rng = rng

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return a random action."""
        return self._rng.uniform(-1.0, 1.0, self._size)


class RulePolicy:
    """Play a rule; commit to what the rule expects itself to do."""

    def __init__(self, system: System, rule: Rule, thresholds: Thresholds | None = None) -> None:
        """Take the system, what batteries do, and when; `Thresholds()` where none are given."""
        self._system = system
        self._rule = rule
        self._practice = Practice(system, Thresholds() if thresholds is None else thresholds)
        self._codec = ActionCodec(system)

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget."""

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return this hour's wishes and, at a day's first step, its commitments."""
        public: PublicInfo = info["public"]
        state = public.state
        planned = public.day_begins and (self._system.day_ahead_pool or self._system.day_ahead_grid)
        prospect = Prospect(self._practice, public.forecast, state.column(S.peak_kw))
        hours: list[PlannedHour] = []
        energy, chp_kw = state.energy_kwh, state.column(S.chp_kw)
        for lead in range(self._system.steps_per_day if planned else 1):
            hour = plan_hour(self._practice, prospect, self._rule, energy, chp_kw, lead)
            energy, chp_kw = hour.energy_kwh, hour.chp_kw
            hours.append(hour)
        action = Action.idle(self._system)
        first = hours[0]
        action[A.battery_kw][:] = first.battery_kw
        action[A.chp_kw][: len(self._system.members)] = first.chp_kw
        action[A.regulation_kw][-1], action[A.spinning_kw][-1] = first.offers_kw
        if not self._system.day_ahead_pool:
            action[A.pool_kw][:] = first.pool_kw
        if planned:
            self._commit(action, hours, public.forecast)
        return self._codec.encode(action)

    def _commit(self, action: Action, hours: list[PlannedHour], forecast: Forecast) -> None:
        """Write the day's pool schedule and nomination."""
        base = forecast.shared(X.nomination_base_kw)
        bias = self._practice.thresholds.nomination_bias
        for h, hour in enumerate(hours):
            if self._system.day_ahead_pool:
                action.pool_plan_kw[:, h] = hour.pool_kw
            if self._system.day_ahead_grid:
                bias_kw = bias * forecast.load_kw[h].sum()
                action.nomination_offset_kw[h] = hour.grid_kw + bias_kw - base[h]


def tuned_rule(system: System) -> RulePolicy:
    """Return the rule that was tuned for a suite, with the thresholds of its file.

    Raises:
        InputError: the file has no block `tuned_rule`.
    """
    tuned = system.config.tuned_rule
    if tuned is None:
        raise InputError(
            f"system {system.name}: it has no `tuned_rule`; run "
            f"`mmg tune-rules --suite {system.name}` and paste what it prints into its file, or "
            "score against time_of_use"
        )
    return RulePolicy(system, RULES[tuned.rule], tuned.thresholds)
