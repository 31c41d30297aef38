"""State: what the community is in at the start of a step, by name.

Source: docs/model.md sections 1-4.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmg_env.kernel import N_STATE
from mmg_env.layout import S
from mmg_env.series import ReadOnly
from mmg_env.system import System

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class State(ReadOnly):
    """A named view of the kernel's flat state; arrays over participants, members first.

    Attributes:
        system: the system it belongs to.
        row: (state_size,) read-only.
    """

    system: System
    row: Array

    @property
    def blocks(self) -> Array:
        """One row per participant, (participants, block_size)."""
        count, size = len(self.system.participants), self.system.block_size
        return self.row[: count * size].reshape(count, size)

    def column(self, column: S) -> Array:
        """Return one column, (participants,)."""
        values: Array = self.blocks[:, column]
        return values

    @property
    def segments_kwh(self) -> Array:
        """Energy in each wear segment, (participants, J), kWh."""
        return self.blocks[:, N_STATE : N_STATE + self.system.segments]

    @property
    def energy_kwh(self) -> Array:
        """Stored energy, (participants,), kWh."""
        return np.asarray(self.segments_kwh.sum(axis=1))

    @property
    def capacity_kwh(self) -> Array:
        """Capacity after fade, (participants,), kWh."""
        return self.column(S.capacity_kwh)

    @property
    def pool_plan_kw(self) -> Array:
        """The day's pool nominations, (participants, steps_per_day or 0), kW."""
        return self.blocks[:, N_STATE + self.system.segments :]

    @property
    def nomination_kw(self) -> Array:
        """The day's nominated net grid exchange, (steps_per_day or 0,), kW."""
        return self.row[len(self.system.participants) * self.system.block_size :]
