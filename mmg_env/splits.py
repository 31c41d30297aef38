"""Splits: the numbered episodes of a system's source.

An episode is a function of (suite, split, index) alone: bit-identical for every policy, in every
process and batch.

Source: docs/model.md section 7.
"""

from mmg_env.episode import Episode
from mmg_env.errors import InputError
from mmg_env.system import System

TRAIN_EPISODES = 2**53  # `train` is as good as unbounded: as many as a float can count


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
