"""Demonstrations: what a policy does in training episodes, for a learner to begin from.

In every second episode a policy's action is disturbed before it is played, and the action that it
asked for is what is learned: so the learner also sees how to come back. The oracle's plan is played
as it is, because it holds on its own path only.

Source: Pomerleau 1989 (behaviour cloning); Laskey et al. 2017 (noise while demonstrating).
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import joblib
import numpy as np
from numpy.typing import NDArray

from baselines import perfect_foresight, policy_named
from experiments.records import ORACLE, origin_of, write_atomically
from mmg_env.env import CommunityEnv
from mmg_env.system import System, load_system

NOISE: Final = 0.3
"""Standard deviation of the disturbance of an hour's wishes, as a share of half their range."""
KEPT: Final = Path("results/demonstrations")

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """What was seen and done.

    Attributes:
        observations: (n, entries).
        actions: (n, entries) in [-1, 1].
        heeded: (n, entries) whether an entry of the action was read at that step.
    """

    observations: Array
    actions: Array
    heeded: NDArray[np.bool_]


def demonstrate(
    source: str, policy: str, episodes: int, workers: int, folder: Path = KEPT
) -> Demonstrations:
    """Play the first training episodes of a suite, or read what was kept of that.

    Args:
        source: name or file of the suite.
        policy: a policy, or the oracle.
        episodes: how many.
        workers: processes.
        folder: where demonstrations are kept, by suite, policy, and the code they stem from.
    """
    origin = origin_of(_system(source), policy)
    key = hashlib.sha256(repr((origin, policy, episodes, NOISE)).encode()).hexdigest()[:12]
    file = folder / f"{_system(source).name}-{Path(policy).name}-{episodes}-{key}.npz"
    if not file.exists():
        shown = _demonstrate(source, policy, episodes, workers)
        write_atomically(file, partial(_save, shown))
    with np.load(file, allow_pickle=False) as kept:
        return Demonstrations(kept["observations"], kept["actions"], kept["heeded"])


def _save(shown: Demonstrations, file: Path) -> None:
    with file.open("wb") as stream:
        np.savez(stream, **vars(shown))


def _demonstrate(source: str, policy: str, episodes: int, workers: int) -> Demonstrations:
    pool = joblib.Parallel(n_jobs=workers)
    parts = pool(joblib.delayed(_play)(source, policy, index) for index in range(episodes))
    env = CommunityEnv(_system(source))
    day = env.system.steps_per_day
    begins = np.arange(env.system.episode_steps) % day == 0
    heeded = ~env.actions.day_ahead[None, :] | begins[:, None]
    return Demonstrations(
        np.concatenate([seen for seen, _ in parts]),
        np.concatenate([done for _, done in parts]),
        np.concatenate([heeded] * episodes),
    )


@lru_cache(maxsize=1)
def _system(source: str) -> System:
    return load_system(source)


def _play(source: str, policy: str, index: int) -> tuple[Array, Array]:
    """Return what was seen and asked for in one episode."""
    env = CommunityEnv(_system(source))
    rng = np.random.default_rng([index, 1])
    spread = NOISE if index % 2 else 0.0
    observation, info = env.reset(options={"episode": index})
    if policy == ORACLE:
        return _planned(env, observation)
    actor = policy_named(policy)(env.system)
    actor.reset(rng)
    seen, asked = [], []
    noise = np.zeros(len(env.actions.entries))
    for _ in range(env.system.episode_steps):
        action = np.asarray(actor.act(observation, info), dtype=np.float64)
        seen.append(observation)
        asked.append(np.clip(action, -1.0, 1.0))
        # The disturbance lasts some hours, as a learner's own mistakes do.
        noise = 0.7 * noise + spread * rng.standard_normal(noise.shape)
        disturbed = np.where(env.actions.day_ahead, action, action + noise)
        observation, _, _, _, info = env.step(disturbed)
    return np.array(seen, np.float32), np.array(asked, np.float32)


def _planned(env: CommunityEnv, observation: Array) -> tuple[Array, Array]:
    """Return what the oracle sees and does in the episode that env is about to play."""
    plan = perfect_foresight(env.system, env.episode).plan
    seen, asked = [], []
    for request in plan.requests:
        action = np.clip(env.actions.encode(request), -1.0, 1.0)
        seen.append(observation)
        asked.append(action)
        observation = env.step(action)[0]
    return np.array(seen, np.float32), np.array(asked, np.float32)
