"""The robust cooperative day of `mmg reproduce s1`: who pays what at its worst.

Source: the chain is that of Bian & Ji 2025; typical days and their sets are those of
`baselines.robust.typical_days`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.bargain import Bargain, by_contribution
from baselines.bargaining.robust_cooperation import RobustCooperation, cooperate_robustly
from baselines.bargaining.robust_parts import divided
from baselines.robust.typical_days import model_of, typical_problem
from mmg_env.layout import W
from mmg_env.system import load_system

Array = NDArray[np.float64]


class Chain(NamedTuple):
    """A robust cooperative day.

    Attributes:
        found: what came of the chain.
        supplied_kwh: (participants,) sent into the pool.
        received_kwh: (participants,) taken from it.
    """

    found: RobustCooperation
    supplied_kwh: Array
    received_kwh: Array

    @property
    def bargain(self) -> Bargain:
        """What everyone pays in the end, with powers by contribution."""
        return self.found.bargain(by_contribution(self.supplied_kwh, self.received_kwh))


def chain(name: str, dt_h: float) -> Chain:
    """Return the robust cooperative winter day of a system in steps of some hours."""
    system = load_system(name, {"dt_h": dt_h})
    community = divided(system, model_of(system), typical_problem(system))
    found = cooperate_robustly(community)
    through = 1.0 - float(system.physics.world[W.pool_loss])
    net = found.agreed.exchanged
    return Chain(
        found,
        np.array([dt_h * np.maximum(-y, 0.0).sum() / through for y in net]),
        np.array([dt_h * np.maximum(y, 0.0).sum() for y in net]),
    )
