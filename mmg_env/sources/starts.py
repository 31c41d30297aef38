"""On which days the episodes of replayed series start, and which days their forecasts show.

A split is one or more runs of consecutive days. An episode lies within one of them. The frozen
splits take start days that are evenly spread, `train` draws them. A forecast that looks beyond the
run's last day shows the same day of the week before: it belongs to the split, and is past whenever
that forecast is read, so it tells nothing that is still to come.

Source: our choice.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.errors import InputError
from mmg_env.sources.random import stream
from mmg_env.splits import split_size
from mmg_env.system import System

Ints = NDArray[np.int64]
Run = tuple[int, int]  # numbers of its first and last day

WEEK: Final = 7


def start_days(system: System, runs: Sequence[Run]) -> Ints:
    """Return the days on which an episode can start and end within its run."""
    length = -(-system.config.episode_h // 24)
    return np.concatenate([np.arange(first, last + 2 - length) for first, last in runs])


def episode_days(system: System, split: str, index: int, runs: Sequence[Run], count: int) -> Ints:
    """Return the numbers of an episode's days, and of those that its forecasts show; (count,).

    Args:
        system: the system.
        split: name of the split.
        index: number of the episode.
        runs: the split's days.
        count: days wanted.

    Raises:
        InputError: the split has fewer start days than episodes.
    """
    starts = start_days(system, runs)
    size = split_size(system, split) or 1
    if len(starts) < size:
        raise InputError(
            f"system {system.name}: split {split} has {len(starts)} days on which an episode of "
            f"{system.config.episode_h} h can start; it must have {size}"
            + ("" if split == "train" else f", one for each episode (splits.{split})")
        )
    if split == "train":
        row = int(stream(system.name, split, index, "calendar").integers(len(starts)))
    else:
        row = index * len(starts) // size
    first, last = next(run for run in runs if run[0] <= starts[row] <= run[1])
    days = starts[row] + np.arange(count)
    days[days > last] -= WEEK
    return np.asarray(np.maximum(days, first))
