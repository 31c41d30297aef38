"""CommunityParallelEnv: each participant an agent of its own, as a PettingZoo parallel environment.

It holds a CommunityEnv and translates: the agents' actions, put together, are the community's
action, and what the community returns is taken apart. So the physics is one, bit by bit.

- An agent decides the entries of the action that are its participant's. The community's nomination
  offsets belong to `ces`, which so acts as the community's operator (our choice). Where there is no
  `ces`, nobody has them: the forecast is nominated.
- An agent sees its own devices, series and commitments, and what all share: calendar, grid, prices.
  `ces` also sees the community's nomination. Nobody sees what is another participant's.
- Its reward is minus its row of the ledger, transfers included: what it would pay. Transfers sum to
  zero over participants, so the rewards add up to that of CommunityEnv.

Source: our choice; the conventions are PettingZoo's.
"""

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mmg_env.agents import AgentInfo, divide
from mmg_env.env import WIDE, CommunityEnv
from mmg_env.errors import InputError
from mmg_env.run import Run
from mmg_env.system import System

try:
    from pettingzoo import ParallelEnv  # type: ignore[import-untyped,unused-ignore]
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"CommunityParallelEnv needs PettingZoo, and {error.name} is not installed; install it "
        'with: pip install "mmg-env[rl]"',
        name=error.name,
    ) from error

Observations = dict[str, NDArray[np.float32]]
Infos = dict[str, dict[str, Any]]
Stepped = tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], Infos]

PLAIN = (np.dtype(np.float32), np.dtype(np.float64))
CHECKERS_OPTION = "options"  # PettingZoo's checker sends it, and it asks for nothing


class CommunityParallelEnv(
    ParallelEnv[str, NDArray[np.float32], NDArray[Any]]  # type: ignore[misc,unused-ignore]
):
    """One community, one episode at a time, an agent per participant.

    All agents act at the same time, from reset until the episode is truncated.

    Attributes:
        system: the system that is simulated.
        split: the split that episodes come from.
        community: the environment inside; for oracles and tests, never for policies.
        parts: agent -> Part: names, units, ranges and places of what it decides and sees.
        possible_agents: the members in the order of the configuration, then `ces` if there is one.
        agents: who acts in the next step: all, or nobody where no episode is in play.
        state_space: the space of `state()`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  # PettingZoo declares it as an instance variable
        **CommunityEnv.metadata,
        "name": "mmg_community_v0",
        "is_parallelizable": True,
    }

    def __init__(
        self,
        system: str | PathLike[str] | System = "community_real",
        split: str = "train",
        render_mode: str | None = None,
        episodes: int | None = None,
    ) -> None:
        """Set up agents and spaces; nothing is sampled before reset.

        Args:
            system: a System, or the name or file of a system or suite.
            split: `train`, `val`, `test` or `shift`.
            render_mode: None, `ansi` or `rgb_array`.
            episodes: seeds pick from the first that many of the split; None for all.

        Raises:
            InputError: there is no such system, split or render mode, or too few episodes.
        """
        self.community = CommunityEnv(system, split, render_mode, episodes)
        self.system = self.community.system
        self.split = split
        self.render_mode = render_mode
        self.parts = divide(self.community.actions, self.community.observations)
        self.possible_agents = list(self.parts)
        self.agents: list[str] = []
        self.state_space = self.community.observation_space
        self.observation_spaces = {
            name: spaces.Box(-WIDE, WIDE, part.sees.shape, np.float32)
            for name, part in self.parts.items()
        }
        self.action_spaces = {
            name: spaces.Box(-1.0, 1.0, part.decides.shape, np.float32)
            for name, part in self.parts.items()
        }
        self._decides = np.concatenate([part.decides for part in self.parts.values()])
        self._scale = -self.system.config.reward_scale
        self._t = 0
        self._joint: NDArray[np.float32] | None = None  # the community's newest observation

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, Infos]:
        """Begin an episode: the one that CommunityEnv begins with the same seed and options.

        Args:
            seed: picks the episodes of this and the following resets from the split.
            options: `{"episode": i}` plays episode i of the split; see CommunityEnv. A key
                `options` is passed over, because PettingZoo's own checker sends one.

        Raises:
            InputError: an option is unknown, or there is no such episode.
        """
        asked = {key: value for key, value in (options or {}).items() if key != CHECKERS_OPTION}
        self._joint, _ = self.community.reset(seed=seed, options=asked)
        self._t = 0
        self.agents = list(self.possible_agents)
        return self._observations(self._joint), self._infos(self.community.run)

    def step(self, actions: Mapping[str, NDArray[Any]]) -> Stepped:
        """Play one step.

        Args:
            actions: agent -> (entries,) in [-1, 1]; all agents act. float64 is computed in float64.

        Returns:
            By agent: observation, reward (minus its costs and payments times reward_scale),
            terminated (never), truncated (after the last step) and info (see `AgentInfo`).

        Raises:
            InputError: an agent has no action or is unknown, an action has a wrong shape or a
                number that is not finite, or no episode is in play. Nothing was played.
        """
        joint = self._together(actions)
        try:
            observation, _, _, truncated, _ = self.community.step(joint)
        except InputError:
            for name, part in self.parts.items():
                part.check(np.asarray(actions[name], dtype=np.float64))
            raise
        run = self.community.run
        paid = run.ledger[self._t].sum(axis=1)
        self._joint = observation
        self._t += 1
        agents = self.possible_agents
        if truncated:
            self.agents = []
        return (
            self._observations(observation),
            dict(zip(agents, (self._scale * paid).tolist(), strict=True)),
            dict.fromkeys(agents, False),
            dict.fromkeys(agents, truncated),
            self._infos(run),
        )

    def observation_space(self, agent: str) -> spaces.Box:
        """Return the space of an agent's observation: the same object each time."""
        self._check_agent(agent)
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Box:
        """Return the space of an agent's action: the same object each time."""
        self._check_agent(agent)
        return self.action_spaces[agent]

    def state(self) -> NDArray[np.float32]:
        """Return the observation of CommunityEnv, (features,): for critics that see everybody."""
        if self._joint is None:
            raise InputError("state: no episode is in play; call reset first")
        return self._joint.copy()

    def render(self) -> Any:
        """Return the last step as text (`ansi`) or the day so far as a picture (`rgb_array`)."""
        return self.community.render()

    def close(self) -> None:
        """Close the environment inside."""
        self.community.close()

    def _check_agent(self, agent: str) -> None:
        if agent not in self.parts:
            raise InputError(f"agent: {agent!r} is not one of {', '.join(self.parts)}")

    def _together(self, actions: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the community's action. An entry that no agent decides is 0."""
        if not self.agents:
            raise InputError("step: no episode is in play; call reset first")
        if not isinstance(actions, Mapping):
            kind = type(actions).__name__
            raise InputError(f"actions: a {kind}; it must be a dictionary, agent -> action")
        if actions.keys() != self.parts.keys():
            for name in actions:
                self._check_agent(name)
            missing = [name for name in self.parts if name not in actions]
            raise InputError(f"actions: {', '.join(missing)} missing; every agent must act")
        chosen = []
        for name, part in self.parts.items():
            action = actions[name]
            if action.__class__ is not np.ndarray or action.dtype not in PLAIN:
                action = np.asarray(action, dtype=np.float64)
            if action.shape != part.decides.shape:
                part.check(action)
            chosen.append(action)
        decided = np.concatenate(chosen)
        joint = np.zeros(len(self.community.actions.entries), decided.dtype)
        joint[self._decides] = decided
        return joint

    def _observations(self, joint: NDArray[np.float32]) -> Observations:
        return {name: joint[part.sees] for name, part in self.parts.items()}

    def _infos(self, run: Run) -> Infos:
        t = self._t
        return {name: AgentInfo(run, t, part.participant) for name, part in self.parts.items()}
