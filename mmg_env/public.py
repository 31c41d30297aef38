"""PublicInfo: the only physical facts that a policy may read at a step.

Source: our choice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from mmg_env.episode import Episode
from mmg_env.series import Forecast
from mmg_env.state import State
from mmg_env.system import System


def _given(history: Episode) -> Episode:
    return history


@dataclass(frozen=True, eq=False)
class PublicInfo:
    """State, past and forecast at the start of a step; never the future, never the environment.

    Attributes:
        system: the system.
        step: step of the episode, 0-based.
        state: state at the start of the step.
        forecast: forecast issued at this step.
        past: returns what was realised before this step (see `history`).
    """

    system: System
    step: int
    state: State
    forecast: Forecast
    past: Callable[[], Episode]

    def __eq__(self, other: object) -> bool:
        """Return whether two say the same about state, past and forecast."""
        if not isinstance(other, PublicInfo):
            return NotImplemented
        return (
            self.step == other.step
            and self.system.config == other.system.config
            and np.array_equal(self.state.row, other.state.row)
            and np.array_equal(self.forecast.values, other.forecast.values)
            and np.array_equal(self.history.values, other.history.values)
        )

    __hash__ = None  # type: ignore[assignment]  # equal by value, and made of arrays

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy what is public: the past, not the episode that it is taken from."""
        given = partial(_given, self.history)
        return PublicInfo, (self.system, self.step, self.state, self.forecast, given)

    @cached_property
    def history(self) -> Episode:
        """What was realised before this step; copied when first asked for."""
        return self.past()

    @property
    def day_begins(self) -> bool:
        """Whether this step takes the day's commitments."""
        return self.step % self.system.steps_per_day == 0
