"""Episodes laid out in rows of memory that compiled code reads.

Source: our choice.
"""

import numpy as np
from numpy.typing import NDArray

from mmg_env.episode import Episode
from mmg_env.observation import ObservationCodec
from mmg_env.splits import sample_episode
from mmg_env.system import System

Array = NDArray[np.float64]


class Bank:
    """The episodes of a batch: a row for each slot, and rows for episodes that come again.

    Sampling an episode costs more than playing it, so the first `kept` episodes of a split are
    sampled once, when they are first asked for.

    Attributes:
        values: (slots + kept, steps, columns) exogenous values.
        parts: (steps + 1, slots + kept, entries) the observations' part that follows from them;
            by step, because the slots of a batch are mostly at the same one.
    """

    def __init__(
        self, system: System, observations: ObservationCodec, slots: int, kept: int
    ) -> None:
        """Reserve the rows; pages that are never written take no memory.

        Args:
            system: the system.
            observations: how an episode is shown.
            slots: rows that belong to a slot.
            kept: rows that belong to an episode.
        """
        rows, steps = slots + kept, system.episode_steps
        entries = observations.size - len(observations.state_features)
        self.values: Array = np.empty((rows, steps, system.exogenous_size))
        self.parts: NDArray[np.float32] = np.empty((steps + 1, rows, entries), np.float32)
        self._system = system
        self._observations = observations
        self._slots = slots
        self._kept = kept
        self._episodes: dict[int, Episode] = {}

    def numbered(self, slot: int, split: str, index: int) -> int:
        """Return the row of episode `index` of a split, sampled if it is not there yet.

        Raises:
            InputError: the split has no such episode.
        """
        if not 0 <= index < self._kept:
            return self.given(slot, sample_episode(self._system, split, index))
        row = self._slots + index
        if row not in self._episodes:
            self._lay_out(row, sample_episode(self._system, split, index))
        return row

    def given(self, slot: int, episode: Episode) -> int:
        """Return a slot's own row, with this episode in it."""
        self._lay_out(slot, episode)
        return slot

    def episode(self, row: int) -> Episode:
        """Return the episode in a row."""
        return self._episodes[row]

    def _lay_out(self, row: int, episode: Episode) -> None:
        self.values[row] = episode.values
        self.parts[:, row] = self._observations.exogenous_part(episode)
        self._episodes[row] = episode
