"""Splits: the numbered episodes of a system's source.

An episode is a function of (suite, split, index) alone: bit-identical for every policy, in every
process and batch.

Source: docs/model.md section 7.
"""

import numpy as np

from mmg_env.episode import Episode
from mmg_env.errors import InputError
from mmg_env.system import System

TRAIN_EPISODES = 2**53  # `train` is as good as unbounded: as many as a float can count
_DRAWN_AT_ONCE = 64  # a draw of many numbers costs little more than a draw of one


class EpisodeNumbers:
    """The episodes that the resets after `reset(seed=...)` pick: a function of the seed alone."""

    def __init__(self, seed: int, episodes: int) -> None:
        """Begin the sequence.

        Args:
            seed: not negative.
            episodes: numbers are drawn from 0..episodes - 1, each as likely as any other.
        """
        self._rng = np.random.default_rng(seed)
        self._episodes = episodes
        self._drawn: list[int] = []

    def __getitem__(self, resets: int) -> int:
        """Return the episode that a reset picks which `resets` others came before."""
        while len(self._drawn) <= resets:
            self._drawn += self._rng.integers(self._episodes, size=_DRAWN_AT_ONCE).tolist()
        return self._drawn[resets]


def sample_episode(system: System, split: str, index: int) -> Episode:
    """Return episode `index` of a split of the system's source.

    The same (suite, split, index) gives bit-identical arrays in every process, for every policy.

    Args:
        system: a system with a source.
        split: `train` (unbounded), `val`, `test` or `shift`.
        index: 0-based.

    Raises:
        InputError: the system has no source, or there is no such split or index.
    """
    from mmg_env.sources import SAMPLERS

    source = system.config.source
    if source is None:
        raise InputError(f"system {system.name}: it has no `source`, so it has no episodes")
    check_index(system, split, index)
    return SAMPLERS[source.kind](system, split, index)


def nominal_episode(system: System) -> Episode:
    """Return the nominal day of the system's source, foreseen without error.

    Raises:
        InputError: the source has no nominal day.
    """
    from mmg_env.sources import NOMINAL

    source = system.config.source
    if source is None or source.kind not in NOMINAL:
        kind = "no source" if source is None else f"source `{source.kind}`"
        raise InputError(f"system {system.name}: it has {kind}, which has no nominal day")
    return NOMINAL[source.kind](system)


def split_size(system: System, split: str) -> int | None:
    """Return the number of episodes of a split; None for the unbounded `train`.

    Raises:
        InputError: there is no such split.
    """
    if split == "train":
        return None
    sizes = {
        "val": system.config.splits.val,
        "test": system.config.splits.test,
        "shift": system.config.splits.shift,
    }
    if split not in sizes:
        raise InputError(f"split: {split!r} is not one of train, val, test, shift")
    return sizes[split]


def playable_episodes(system: System, split: str, first: int | None) -> int:
    """Return how many episodes there are to pick from: those of the split, or the first of them.

    Raises:
        InputError: there is no such split, or it has fewer than `first`.
    """
    size = split_size(system, split) or TRAIN_EPISODES
    if first is None:
        return size
    if isinstance(first, bool) or not isinstance(first, int) or not 1 <= first <= size:
        raise InputError(f"episodes: {first!r} is not in 1..{size}, the split {split}'s size")
    return first


def check_index(system: System, split: str, index: int) -> None:
    """Refuse an episode number that the split does not have.

    Raises:
        InputError: naming the number and the range.
    """
    size = split_size(system, split) or TRAIN_EPISODES
    if not 0 <= index < size:
        allowed = f"0..{size - 1}"
        raise InputError(
            f"episode: {index} is not in split {split} of {system.name}; allowed: {allowed}"
        )
