"""Laws of the episodes of every shipped suite: functions of suite, split and index alone."""

import hashlib
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmg_env import CommunityEnv, environment_id
from mmg_env.config_file import suite_names
from mmg_env.episode import Episode
from mmg_env.errors import InputError
from mmg_env.layout import MEMBER_SERIES, X
from mmg_env.splits import nominal_episode, sample_episode, split_size
from mmg_env.system import System, build_system, load_system

TESTS = Path(__file__).resolve().parent
SPLITS = ("train", "val", "test", "shift")
DRAWN = (("test", 1), ("train", 2), ("shift", 0), ("val", 0), ("test", 0))

suites = pytest.mark.parametrize("suite", suite_names())


@lru_cache(maxsize=16)
def system_of(suite: str) -> System:
    return load_system(suite)


@lru_cache(maxsize=128)
def drawn(suite: str, split: str, index: int) -> Episode:
    return sample_episode(system_of(suite), split, index)


def fingerprint(episode: Episode) -> str:
    """Return a hash of every bit of an episode, and of two of its forecasts."""
    digest = hashlib.sha256(f"{episode.label} {episode.start}".encode())
    arrays = [episode.values, episode.center, episode.scale, episode.errors]
    arrays += [episode.model.phi, episode.model.innovations]
    for array in (*arrays, episode.forecast(0).values, episode.forecast(13).values):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def fingerprints(reverse: bool = False) -> str:
    """Return the hashes of some episodes of all suites; what is drawn first is up to the caller."""
    keys = [(suite, *key) for suite in suite_names() for key in DRAWN]
    found = {key: fingerprint(drawn(*key)) for key in (keys[::-1] if reverse else keys)}
    return "\n".join(f"{key} {found[key]}" for key in keys)


def test_another_process_in_another_order_draws_the_same_bits() -> None:
    code = "from test_splits import fingerprints; print(fingerprints(reverse=True))"
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    other = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == fingerprints()


@suites
def test_the_environment_plays_the_same_bits(suite: str) -> None:
    for split, index in DRAWN:
        env = CommunityEnv(suite, split=split)
        env.reset(seed=3)
        env.reset(options={"episode": index})
        assert fingerprint(env.episode) == fingerprint(drawn(suite, split, index))


def with_newcomer(system: System) -> System:
    """Return the system with one more member, in front of the others."""
    member = system.config.members[0].model_copy(update={"name": "newcomer"})
    config = system.config.model_copy(update={"members": (member, *system.config.members)})
    return build_system(config)


def old_columns(system: System) -> NDArray[np.int64]:
    """Return where the columns of a system stand once there is a newcomer in front.

    The base of the nominations is left out: it is a sum over members.
    """
    members = len(system.members)
    kinds = np.arange(len(MEMBER_SERIES))[:, None]
    own = kinds * (members + 1) + 1 + np.arange(members)
    shared = [4 * (members + 1) + x for x in X if x != X.nomination_base_kw]
    return np.concatenate([own.ravel(), shared])


def by_column(episode: Episode) -> dict[str, NDArray[np.float64]]:
    """Return the arrays of an episode, those over error paths by the column that they move."""
    path = episode.model.path
    moved = np.flatnonzero(path >= 0)
    errors = np.zeros((len(episode.errors), len(path)))
    bank = np.zeros((len(episode.model.innovations), len(path)))
    errors[:, moved] = episode.errors[:, path[moved]]
    bank[:, moved] = episode.model.innovations[:, path[moved]]
    found = {"values": episode.values, "center": episode.center, "scale": episode.scale}
    return found | {"errors": errors, "innovations": bank, "forecast": episode.forecast(9).values}


@suites
def test_a_member_that_joins_changes_no_other_series(suite: str) -> None:
    old = system_of(suite)
    new, kept = with_newcomer(old), old_columns(old)
    for split, index in DRAWN[:3]:
        before, after = drawn(suite, split, index), sample_episode(new, split, index)
        later = by_column(after)
        for name, array in by_column(before).items():
            assert np.array_equal(array[:, :-1], later[name][:, kept]), (split, name)


@suites
def test_splits_and_indices_differ(suite: str) -> None:
    loads = [drawn(suite, split, index).load_kw.tobytes() for split in SPLITS for index in range(3)]
    spot = [drawn(suite, split, index).shared(X.spot).tobytes() for split, index in DRAWN]
    assert len(set(loads)) == len(loads)
    assert len(set(spot)) == len(spot)


@suites
def test_train_has_no_end_and_the_others_have_one(suite: str) -> None:
    system = system_of(suite)
    sample_episode(system, "train", 10**9)
    for split in SPLITS[1:]:
        size = split_size(system, split)
        sentence = rf"episode: {size} is not in split {split} of {suite}; allowed: 0\.\."
        with pytest.raises(InputError, match=sentence):
            sample_episode(system, split, size or 0)
    with pytest.raises(InputError, match=r"episode: -1 is not in split train .*allowed: 0\.\."):
        sample_episode(system, "train", -1)
    with pytest.raises(InputError, match="split: 'tset' is not one of train, val, test, shift"):
        sample_episode(system, "tset", 0)


@suites
def test_the_id_of_a_suite_carries_a_version(suite: str) -> None:
    name, _, version = environment_id(suite).rpartition("-v")
    assert name.startswith("mmg/")
    assert version.isdigit()


def test_a_system_without_a_source_says_so() -> None:
    config = system_of("s1_3mg").config.model_copy(update={"source": None})
    system = build_system(config)
    with pytest.raises(InputError, match="it has no `source`, so it has no episodes"):
        sample_episode(system, "train", 0)
    with pytest.raises(InputError, match="it has no source, which has no nominal day"):
        nominal_episode(system)
