"""A team: every participant an agent, each acting on what it alone may see.

Agents differ in what they see and decide. For a network that all share, or one each of the same
shape, an agent's numbers are filled up with zeros to the same length and preceded by a row that
says who it is::

    seen[agent]   = (one-hot of the agent, its features, 0 ...)
    joint action  = the first entries of each agent's action, put where they belong

Source: Terry et al. 2020 (parameter sharing with agent indication); the order is our choice.
"""

import numpy as np
from numpy.typing import NDArray

from mmg_env.actions import ActionCodec
from mmg_env.agents import divide
from mmg_env.observation import ObservationCodec
from mmg_env.system import System

Array = NDArray[np.float32]


class Team:
    """How a system's observation and action are divided among its participants.

    Attributes:
        sees: (features,) for each agent: where its features stand in the observation.
        decides: (entries,) for each agent: where its entries stand in the action.
        width: length of what each agent sees, filled up.
        depth: length of what each agent does, filled up.
    """

    def __init__(self, system: System) -> None:
        """Divide the entries."""
        parts = list(divide(ActionCodec(system), ObservationCodec(system)).values())
        self.sees = [part.sees for part in parts]
        self.decides = [part.decides for part in parts]
        self._entries = len(ActionCodec(system).entries)
        self.width = len(parts) + max(len(sees) for sees in self.sees)
        self.depth = max(len(decides) for decides in self.decides)

    def __len__(self) -> int:
        """Return the number of agents."""
        return len(self.sees)

    def split(self, observations: Array) -> Array:
        """Return what each agent sees, (..., agents, width), of joint observations (..., n)."""
        count = len(self)
        seen = np.zeros((*observations.shape[:-1], count, self.width), np.float32)
        for agent, sees in enumerate(self.sees):
            seen[..., agent, agent] = 1.0
            seen[..., agent, count : count + len(sees)] = observations[..., sees]
        return seen

    def join(self, actions: Array) -> Array:
        """Return joint actions (..., entries) of each agent's, (..., agents, depth)."""
        joint = np.zeros((*actions.shape[:-2], self._entries), actions.dtype)
        for agent, decides in enumerate(self.decides):
            joint[..., decides] = actions[..., agent, : len(decides)]
        return joint
