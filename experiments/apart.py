"""Independent PPO: every agent its own actor and critic, all learning at once from one batch.

The networks of all agents lie in one tensor per layer. Rows are sorted into a table by the one-hot
that begins them (see `baselines.team`), and a layer is one batched product::

    table[agent, k]  = the agent's k-th row
    values[agent]    = values[agent] @ weight[agent].T + bias[agent]

An agent's rows touch its own weights only. What PPO does jointly over a minibatch is kept apart
too: each agent's rewards are divided by the spread of its own returns (`OwnScales`), advantages are
normalised over its own rows (`OwnAdvantages`), and the norm of all gradients together is not
clipped unless a learner's file says so. Common remain the settings, the schedules of learning rate
and spread, how many rows of each agent fall into a minibatch, and stopping early by `target_kl`,
where a file asks for it.

Source: de Witt et al. 2020 (independent PPO); the layout is our choice.
"""

from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import nn

from experiments.heedful import HeedfulPolicy

SETTINGS: Final = {"normalize_advantage": False, "max_grad_norm": 1e9}
"""PPO's arguments that would else couple the agents."""
GAINS: Final = {"hidden": 2.0**0.5, "actor": 0.01, "critic": 1.0}
"""Scales of the orthogonal matrices that layers begin with: those of stable-baselines3."""


class Stacked(nn.Module):
    """A linear layer per agent.

    Attributes:
        weight: (agents, outputs, inputs).
        bias: (agents, 1, outputs).
    """

    def __init__(self, agents: int, inputs: int, outputs: int, gain: float) -> None:
        """Draw orthogonal weights."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(agents, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(agents, 1, outputs))
        for weight in self.weight:
            nn.init.orthogonal_(weight, gain)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return (agents, rows, outputs) of (agents, rows, inputs)."""
        return torch.baddbmm(self.bias, values, self.weight.mT)


class Apart(nn.Module):
    """A multilayer perceptron per agent."""

    def __init__(
        self, agents: int, sizes: tuple[int, ...], activation: type[nn.Module], gain: float
    ) -> None:
        """Draw the weights.

        Args:
            agents: how many.
            sizes: number of inputs, widths of the hidden layers, number of outputs.
            activation: between the layers.
            gain: scale of the last layer.
        """
        super().__init__()
        self.agents = agents
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes[:-1]):
            layers += [Stacked(agents, inputs, outputs, GAINS["hidden"]), activation()]
        self.layers = nn.Sequential(*layers, Stacked(agents, sizes[-2], sizes[-1], gain))

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Return (n, outputs) of rows in any order, (n, inputs)."""
        mine = seen[:, : self.agents].long()
        who = mine.argmax(dim=1)
        place = (mine.cumsum(dim=0) - 1).gather(1, who[:, None])[:, 0]
        table = seen.new_zeros(self.agents, int(place.max()) + 1, seen.shape[1])
        table[who, place] = seen
        values: torch.Tensor = self.layers(table)[who, place]
        return values


class ApartPolicy(HeedfulPolicy):
    """An actor and a critic per agent."""

    def __init__(self, *args: Any, agents: int, **kwargs: Any) -> None:
        """Set up for a number of agents; all else is as its parent's."""
        self._agents = agents
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Any) -> None:
        """Put whole networks where the parent has all layers but the last."""
        super()._build(lr_schedule)
        assert isinstance(self.net_arch, list)
        assert self.action_space.shape is not None
        within = (self.features_dim, *self.net_arch)

        def apart(outputs: int, gain: float) -> Any:
            return Apart(self._agents, (*within, outputs), self.activation_fn, gain)

        self.mlp_extractor.policy_net = apart(self.action_space.shape[0], GAINS["actor"])
        self.mlp_extractor.value_net = apart(1, GAINS["critic"])
        last: Any = nn.Identity()
        self.action_net, self.value_net = last, last


class OwnScales(VecNormalize):
    """Divides each agent's rewards by how its own returns spread; slots are (community, agent)."""

    def __init__(self, env: VecEnv, agents: int, gamma: float) -> None:
        """Wrap the batch of a team."""
        super().__init__(env, norm_obs=False, gamma=gamma)
        self._agents = agents
        self.ret_rms = RunningMeanStd(shape=(agents,))

    def _update_reward(self, reward: NDArray[Any]) -> None:
        self.returns = self.returns * self.gamma + reward
        self.ret_rms.update(self.returns.reshape(-1, self._agents))

    def normalize_reward(self, reward: NDArray[Any]) -> NDArray[Any]:
        """Return rewards as they are learned from, (slots,)."""
        return super().normalize_reward(reward.reshape(-1, self._agents)).ravel()


class OwnAdvantages(RolloutBuffer):
    """Normalises each agent's advantages over its own rows."""

    def __init__(self, *args: Any, agents: int, **kwargs: Any) -> None:
        """Set up for a number of agents; all else is as its parent's."""
        super().__init__(*args, **kwargs)
        self._agents = agents

    def compute_returns_and_advantage(
        self, last_values: torch.Tensor, dones: NDArray[np.bool_]
    ) -> None:
        """Compute both, then normalise the advantages, (steps, slots)."""
        super().compute_returns_and_advantage(last_values, dones)
        own = self.advantages.reshape(self.buffer_size, -1, self._agents)
        centered = own - own.mean(axis=(0, 1))
        self.advantages = (centered / (own.std(axis=(0, 1)) + 1e-8)).reshape(self.advantages.shape)
