"""Failures of the public grid: outages that nobody announces, and derated days that are announced.

An outage begins in any hour in which the grid is up with a constant probability, and lasts a
geometric number of steps; imports and exports are then 0. On a derated day both links keep a share
of their ratings.

Source: our choice.
"""

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import AnalogueSource
from mmg_env.sources.random import stream
from mmg_env.system import System


def outages(system: System, split: str, index: int, steps: int) -> NDArray[np.bool_]:
    """Return in which steps the grid is down, (steps,)."""
    source = system.config.source
    down = np.zeros(steps, dtype=np.bool_)
    if not isinstance(source, AnalogueSource) or source.outage_start_per_h == 0.0:
        return down
    rng = stream(system.name, split, index, "outage")
    starts = rng.random(steps) < source.outage_start_per_h * system.dt_h
    lengths = rng.geometric(min(1.0, system.dt_h / source.outage_mean_h), steps)
    t = 0
    while t < steps:
        lasts = int(lengths[t]) if starts[t] else 0
        down[t : t + lasts] = True
        t += max(lasts, 1)
    return down


def derated_days(system: System, split: str, index: int, steps: int) -> NDArray[np.float64]:
    """Return the share of the grid links that each step's day has, (steps,)."""
    source = system.config.source
    if not isinstance(source, AnalogueSource):
        return np.ones(steps)
    days = -(-steps // system.steps_per_day)
    drawn = stream(system.name, split, index, "derating").random(days)
    share = np.where(drawn < source.derated_day_share, source.derated_to, 1.0)
    return np.asarray(np.repeat(share, system.steps_per_day)[:steps])
