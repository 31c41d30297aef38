"""A batch of communities as stable-baselines3 sees it when every participant is an agent.

Slots are (community, agent), agent by agent within a community. An agent's reward is what it saved
beside a community in which everybody does nothing: its own row of the ledger, payments to others
included.
"""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from baselines.team import Team
from experiments.sb3_vec import BatchVecEnv
from mmg_env.actions import Action
from mmg_env.batch import Batch
from mmg_env.env import WIDE
from mmg_env.vector import CommunityVectorEnv

Array = NDArray[np.float32]


class TeamVecEnv(BatchVecEnv):
    """A CommunityVectorEnv in SAME_STEP mode, a slot per community and participant."""

    def __init__(self, env: CommunityVectorEnv) -> None:
        """Divide an environment among its participants."""
        self.env = env
        self.team = Team(env.system)
        batch = env.batch
        self._idle = Batch(batch.system, len(batch), bank=batch.bank)
        idle = batch.actions.encode(Action.idle(batch.system))
        self._nothing = np.tile(idle, (len(batch), 1))
        self._joint: NDArray[Any] = self._nothing
        seen = spaces.Box(-WIDE, WIDE, (self.team.width,), np.float32)
        done = spaces.Box(-1.0, 1.0, (self.team.depth,), np.float32)
        super().__init__(env.num_envs * len(self.team), seen, done)

    def reset(self) -> Array:
        """Begin an episode in every community."""
        observations = self._begin()
        self._idle.begin(np.arange(self.env.num_envs), self.env.rows)
        return self._divided(observations)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Put the agents' actions together."""
        shape = (self.env.num_envs, len(self.team), self.team.depth)
        self._joint = self.team.join(actions.reshape(shape))

    def step_wait(self) -> Any:
        """Play one step, and one idly before it: an episode's end overwrites its row."""
        self._idle.step(self._nothing)
        observations, _, _, ended, info = self.env.step(self._joint)
        saved = self._idle.ledger.sum(axis=2) - self.env.batch.ledger.sum(axis=2)
        over = np.flatnonzero(ended)
        if len(over):
            saved[over] = self._idle.ledger[over].sum(axis=2) - _paid(info, over)
            self._idle.begin(over, self.env.rows[over])
        rewards = (self.env.system.config.reward_scale * saved).astype(np.float32).ravel()
        return self._divided(observations), rewards, *self._ends(ended, info)

    def _ends(
        self, ended: NDArray[np.bool_], info: dict[str, Any]
    ) -> tuple[NDArray[np.bool_], list[dict[str, Any]]]:
        """Return which slots have ended, and their last observations."""
        count = len(self.team)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for slot in np.flatnonzero(ended).tolist():
            for agent, seen in enumerate(self.team.split(info["final_obs"][slot])):
                infos[slot * count + agent]["terminal_observation"] = seen
        return np.repeat(ended, count), infos

    def _divided(self, observations: Array) -> Array:
        return self.team.split(observations).reshape(self.num_envs, self.team.width)


def _paid(info: dict[str, Any], over: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what the participants paid in the last step of episodes that are over."""
    ledger = info["final_info"]["ledger"]
    columns = [values for name, values in ledger.items() if not name.startswith("_")]
    return np.asarray(np.sum(columns, axis=0)[over])
