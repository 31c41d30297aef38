"""Recordings: what a learner would have seen, sent and been paid in one episode.

A learner sends float32 numbers in [-1, 1]. So every action is rounded to what it would send before
it is played, and all that is recorded came of the rounded one: stored actions, played again, give
the stored rewards bit by bit.

Source: our choice.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import gymnasium
import numpy as np
from numpy.typing import NDArray

from baselines import perfect_foresight, policy_named
from experiments.engine import REPLAY_TOLERANCE
from experiments.records import ORACLE
from mmg_env.env import CommunityEnv
from mmg_env.rollout import rollout
from mmg_env.system import System, load_system

CONSTRAINTS: Final = ("unserved_kwh", "unserved_heat_kwh", "spill_kwh", "projection_kw")
"""What constrained learning keeps small: `info["constraints"]` of a step."""

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Recording:
    """One policy in one episode.

    Attributes:
        split: where the episode comes from.
        index: its number.
        observations: (steps + 1, entries), the first from reset.
        actions: (steps, entries) in [-1, 1].
        rewards: (steps,).
        terminations: (steps,), all false.
        truncations: (steps,), true at the last step.
        constraints: name -> (steps + 1,); the first is 0, as at reset nothing has happened.
    """

    split: str
    index: int
    observations: Floats32
    actions: Floats32
    rewards: Floats
    terminations: Flags
    truncations: Flags
    constraints: dict[str, Floats]

    @property
    def total(self) -> float:
        """The return: the sum of the rewards."""
        return float(self.rewards.sum())


class Recorder(gymnasium.Wrapper[Floats32, NDArray[Any], Floats32, NDArray[Any]]):
    """Rounds each action to what a learner would send, plays it, and remembers what came of it."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats32, dict[str, Any]]:
        """Begin an episode and forget the last one."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._observations = [observation]
        self._actions: list[Floats32] = []
        self._outcomes: list[tuple[float, bool, bool]] = []
        self._constraints = [dict.fromkeys(CONSTRAINTS, 0.0)]
        return observation, info

    def step(self, action: NDArray[Any]) -> tuple[Floats32, float, bool, bool, dict[str, Any]]:
        """Play one step."""
        sent = np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0).astype(np.float32)
        observation, reward, terminated, truncated, info = self.env.step(sent)
        self._observations.append(observation)
        self._actions.append(sent)
        self._outcomes.append((float(reward), terminated, truncated))
        self._constraints.append(info["constraints"])
        return observation, float(reward), terminated, truncated, info

    def recording(self, split: str, index: int) -> Recording:
        """Return what was remembered of the episode."""
        rewards, terminations, truncations = zip(*self._outcomes, strict=True)
        return Recording(
            split,
            index,
            np.array(self._observations),
            np.array(self._actions),
            np.array(rewards),
            np.array(terminations),
            np.array(truncations),
            {name: np.array([step[name] for step in self._constraints]) for name in CONSTRAINTS},
        )


def record(suite: str, split: str, index: int, policy: str) -> Recording:
    """Play one episode and return what a learner would have seen, sent and been paid.

    Args:
        suite: its name.
        split: `train`, `val`, `test` or `shift`.
        index: number of the episode; it also seeds the policy.
        policy: a policy's name, or oracle.
    """
    env = CommunityEnv(_system(suite), split)
    recorder = Recorder(env)
    if policy == ORACLE:
        _follow_plan(env, recorder, index)
    else:
        actor = policy_named(policy)(env.system)
        rollout(recorder, actor, seed=index, options={"episode": index})
    return recorder.recording(split, index)


def _follow_plan(env: CommunityEnv, recorder: Recorder, index: int) -> None:
    """Play what is best in hindsight.

    Raises:
        RuntimeError: the rounded actions cost something else than the plan.
    """
    recorder.reset(seed=index, options={"episode": index})
    solution = perfect_foresight(env.system, env.episode)
    for request in solution.plan.requests:
        recorder.step(env.actions.encode(request))
    played = env.trajectory
    # Optimisers take capacity as constant, so with fade the two may differ.
    allowed = REPLAY_TOLERANCE * float(np.abs(played.ledger).sum())
    if not env.system.fade and abs(played.cost - solution.objective) > allowed:
        text = f"{solution.objective}, and {played.cost} when its actions are rounded to float32"
        raise RuntimeError(f"the oracle's plan costs {text}")


@lru_cache(maxsize=1)
def _system(suite: str) -> System:
    return load_system(suite)
