"""Minari datasets: recordings of one policy on one suite, with what a reader needs to know of them.

A dataset is drafted in a folder of its own and moved to its place when it is whole. Minari keeps
arrays in HDF5 and facts in JSON; nothing is pickled.

Source: our choice; the layout is Minari's.
"""

import os
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import gymnasium
import numpy as np

from experiments.recording import Recording
from experiments.records import Origin
from mmg_env import environment_id
from mmg_env.errors import InputError

AUTHOR: Final = "The mmg-env authors"
ROOT: Final = "MINARI_DATASETS_PATH"
"""The environment variable that tells Minari where datasets lie."""
_PACKAGES: Final = ("minari", "h5py")


@dataclass(frozen=True)
class Key:
    """What a dataset is of.

    Attributes:
        suite: name of a shipped suite.
        policy: a policy's name, or oracle.
        split: where the episodes come from.
        first: number of the first episode.
        episodes: how many.
    """

    suite: str
    policy: str
    split: str
    first: int
    episodes: int

    @property
    def id(self) -> str:
        """Minari's name of the dataset; its version is the suite's."""
        version = environment_id(self.suite).rpartition("-v")[2]
        policy = re.sub(r"[^\w-]+", "-", self.policy)
        return f"mmg/{self.suite}/{policy}-v{version}"

    def of(self, policy: str) -> "Key":
        """Return the key of another policy in the same episodes."""
        return replace(self, policy=policy)

    @property
    def indices(self) -> range:
        """Numbers of the episodes."""
        return range(self.first, self.first + self.episodes)

    def description(self, origin: Origin) -> str:
        """Return what a reader of the dataset is told."""
        last = self.indices[-1]
        return (
            f"The policy {self.policy} on {environment_id(self.suite)}, episodes {self.first} to "
            f"{last} of the split {self.split}. Reference scores: mean returns of random (0) and "
            "of perfect foresight (1) on the same episodes. Made by mmg-env "
            f"{origin.mmg_version}; sha256 of the configuration {origin.config_sha256}, of the "
            f"code {origin.code_sha256}."
        )


@dataclass(frozen=True)
class References:
    """Mean returns on the episodes of a dataset that normalise its scores.

    Attributes:
        low: of random actions; their score is 0.
        high: of perfect foresight; its score is 1.
    """

    low: float
    high: float


class Figures(NamedTuple):
    """What a table says of a dataset."""

    episodes: int
    steps: int
    mean_return: float
    score: float
    megabytes: float


def check_minari() -> None:
    """Refuse to go on without Minari, before anything is played.

    Raises:
        InputError: what to install.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"mmg export needs Minari, but {' and '.join(missing)} cannot be imported; install "
            'the extra `rl`: pip install ".[rl]", or only Minari: pip install "minari[hdf5]"'
        )


def draft(
    folder: Path, key: Key, origin: Origin, recordings: Iterable[Recording]
) -> Iterator[Recording]:
    """Write a dataset, one episode after another, and pass the recordings on.

    Args:
        folder: root of the drafts.
        key: what it is of.
        origin: what its numbers follow from.
        recordings: in the order of the key's indices.
    """
    from minari.data_collector import EpisodeBuffer

    dataset = _create(folder, key, origin)
    for number, recording in enumerate(recordings):
        buffer = EpisodeBuffer(
            seed=recording.index,
            options={"episode": recording.index},
            observations=recording.observations,
            actions=recording.actions,
            rewards=recording.rewards,
            terminations=recording.terminations,
            truncations=recording.truncations,
            infos=recording.constraints,
        )
        dataset.update_dataset_from_buffer([buffer])
        facts = {"split": recording.split, "index": recording.index}
        dataset.storage.update_episode_metadata([facts], [number])
        yield recording


def _create(folder: Path, key: Key, origin: Origin) -> Any:
    """Return a new dataset without episodes."""
    import minari

    env = gymnasium.make(environment_id(key.suite), split=key.split)
    with _minari_root(folder), warnings.catch_warnings():
        # Minari warns of everything that is left out, such as an address for mail.
        warnings.simplefilter("ignore", UserWarning)
        return minari.create_dataset_from_buffers(
            key.id,
            buffer=[],
            env=env,
            algorithm_name=key.policy,
            author=AUTHOR,
            description=key.description(origin),
            data_format="hdf5",
        )


@contextmanager
def _minari_root(folder: Path) -> Iterator[None]:
    """Let Minari write below a folder, not in the user's home."""
    before = os.environ.get(ROOT)
    os.environ[ROOT] = str(folder.resolve())  # Minari takes sizes amiss below a relative path
    try:
        yield
    finally:
        if before is None:
            del os.environ[ROOT]
        else:
            os.environ[ROOT] = before


def finish(drafts: Path, key: Key, references: References) -> None:
    """Give a draft what it lacks: the references of its scores."""
    import minari

    minari.MinariDataset(_data(drafts, key)).storage.update_metadata(
        {
            "ref_min_score": references.low,
            "ref_max_score": references.high,
            "num_episodes_average_score": key.episodes,
        }
    )


def publish(drafts: Path, folder: Path, key: Key) -> None:
    """Move a draft to its place, where nothing may be."""
    place = folder / key.id
    place.parent.mkdir(parents=True, exist_ok=True)
    (drafts / key.id).rename(place)


def figures(folder: Path, key: Key, mean_return: float) -> Figures:
    """Return what a table says of a dataset."""
    import minari

    dataset = minari.MinariDataset(_data(folder, key))
    size = sum(file.stat().st_size for file in _data(folder, key).iterdir())
    score = float(minari.get_normalized_score(dataset, np.float64(mean_return)))
    return Figures(dataset.total_episodes, dataset.total_steps, mean_return, score, size / 1e6)


def _data(folder: Path, key: Key) -> Path:
    return folder / key.id / "data"
