"""Wear of a battery by cycle depth: rising marginal costs along segments of its capacity.

A cycle of depth d (share of capacity) uses up the share Phi(d) of a battery's life::

    Phi(d) = 5.24e-4 * d ** 2.03
    c_j = R * J * (Phi(j / J) - Phi((j - 1) / J))        currency per kWh discharged from the cells

Source: the form is that of Xu, Zhao, Zheng, Litvinov, Kirschen 2018 (factoring the cycle aging
cost of batteries); the numbers are our choice.
"""

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import WearConfig

Array = NDArray[np.float64]


def cycle_loss(depth: Array | float) -> Array:
    """Return the share of life that full cycles of `depth` (share of capacity) use up."""
    return np.asarray(5.24e-4 * np.power(depth, 2.03))


def segment_costs(wear: WearConfig) -> Array:
    """Return the marginal wear costs (J,), currency per kWh discharged from the cells."""
    if wear.segments is None or wear.replacement_cost is None:
        return np.array([wear.cost_per_kwh])
    count = wear.segments
    loss = cycle_loss(np.arange(count + 1) / count)
    return np.asarray(wear.replacement_cost * count * np.diff(loss))
