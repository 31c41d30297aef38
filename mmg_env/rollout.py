"""Rollout: one policy through one episode.

Source: our choice.
"""

from collections.abc import Mapping
from time import perf_counter
from typing import Any, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

from mmg_env.env import CommunityEnv
from mmg_env.errors import InputError
from mmg_env.trajectory import Trajectory


class Policy(Protocol):
    """What decides: anything with these two methods; there is no base class."""

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the last episode; rng is the only randomness the policy may use."""

    def act(self, observation: NDArray[np.float32], info: Mapping[str, Any]) -> NDArray[Any]:
        """Return the action for this step; `info["public"]` holds the physical facts."""


def rollout(
    env: gymnasium.Env[Any, Any],
    policy: Policy,
    seed: int | None = None,
    options: dict[str, Any] | None = None,
) -> Trajectory:
    """Play one episode and return its record.

    Args:
        env: a CommunityEnv, possibly wrapped.
        policy: what decides.
        seed: picks the episode (see `CommunityEnv.reset`) and seeds the policy.
        options: reset options, such as `{"episode": 3}`.

    Raises:
        InputError: env is no CommunityEnv underneath.
    """
    community = env.unwrapped
    if not isinstance(community, CommunityEnv):
        raise InputError(f"rollout: {type(community).__name__} is not a CommunityEnv")
    observation, info = env.reset(seed=seed, options=options)
    _, split, index = info["label"]
    policy.reset(_policy_rng(seed, split, index))
    spent = np.full(community.episode.steps, np.nan)
    done = False
    t = 0
    while not done:
        begin = perf_counter()
        action = policy.act(observation, info)
        spent[t] = 1e3 * (perf_counter() - begin)
        observation, _, terminated, truncated, info = env.step(action)
        done = terminated or truncated
        t += 1
    record = community.trajectory
    return Trajectory(
        record.system,
        record.episode,
        record.requests,
        record.states,
        record.flows,
        record.ledger,
        spent,
    )


def _policy_rng(seed: int | None, split: str, index: int) -> np.random.Generator:
    """Return a policy's randomness: a function of the seed, or of the episode played."""
    words = [index, *split.encode()] if seed is None else [seed]
    return np.random.default_rng(np.random.SeedSequence(words))
