"""A Gaussian policy for PPO that weighs entries of an action only where the environment reads them.

What is committed for a day is read at its first step. At any other step those entries do nothing,
and their random draws would only blur the ratio of probabilities that PPO learns from: on s1_3mg
they are 96 of 106. Nor are those read that fill up the action of a team's agent.

Source: our choice; leaving out actions without effect leaves the policy gradient unbiased.
"""

from collections.abc import Iterator
from math import cos, pi
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from baselines.team import Team
from mmg_env.actions import ActionCodec
from mmg_env.observation import ObservationCodec
from mmg_env.system import System


class Reading(nn.Module):
    """Which entries of an action the environment reads, as a module: from observation to 1 or 0."""

    def __init__(self, system: System, team: Team | None) -> None:
        """Find out, for the whole community or for each agent of a team."""
        super().__init__()
        hourly = ~ActionCodec(system).day_ahead
        hour = ObservationCodec(system).names.index("hour_cos")
        seats = [(hour, hourly)] if team is None else list(_seats(team, hour, hourly))
        self._agents = len(seats)
        # The cosine of the hour half a step after midnight: above it is midnight alone.
        self._midnight = cos(pi / system.steps_per_day)
        ever = torch.zeros(len(seats), max(len(own) for _, own in seats))
        always = torch.zeros_like(ever)
        for agent, (_, own) in enumerate(seats):
            ever[agent, : len(own)] = 1.0
            always[agent, : len(own)] = torch.from_numpy(own).float()
        self.register_buffer("hour", torch.tensor([hour for hour, _ in seats]), persistent=False)
        self.register_buffer("ever", ever, persistent=False)
        self.register_buffer("always", always, persistent=False)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Return (n, entries) of (n, features)."""
        hour, ever, always = self.hour, self.ever, self.always
        assert isinstance(hour, torch.Tensor)
        assert isinstance(ever, torch.Tensor)
        assert isinstance(always, torch.Tensor)
        who = (
            seen[:, : self._agents].argmax(dim=1) if self._agents > 1 else seen.new_zeros(1).long()
        )
        begins = seen.gather(1, hour[who].expand(len(seen))[:, None]) > self._midnight
        return torch.where(begins, ever[who], always[who])


def _seats(
    team: Team, hour: int, hourly: NDArray[np.bool_]
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield where each agent sees the hour, and which of its entries count for an hour."""
    for sees, decides in zip(team.sees, team.decides, strict=True):
        yield len(team) + int(np.flatnonzero(sees == hour)[0]), hourly[decides]


class TwoSpeedAdam(torch.optim.Adam):
    """Adam with a share of the learning rate for each group of parameters.

    A critic has to learn quickly what an actor that is already good should leave slowly.
    """

    def step(self, closure: Any = None) -> Any:
        """Do one step."""
        rates = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] *= group["share"]
        result = super().step(closure)
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = rate
        return result


class HeedfulPolicy(ActorCriticPolicy):
    """An actor and a critic as multilayer perceptrons; see the module."""

    def __init__(self, *args: Any, reading: Reading, actor_share: float, **kwargs: Any) -> None:
        """Set up.

        Args:
            args: as its parent's.
            reading: says which entries are read when.
            actor_share: the actor's learning rate, as a share of the critic's.
            kwargs: as its parent's.
        """
        super().__init__(*args, **kwargs)
        # Mean actions that end at the range's ends: many a plan is all or nothing.
        self.action_net = nn.Sequential(self.action_net, nn.Tanh())
        self.reading = reading
        actor = [*self.mlp_extractor.policy_net.parameters(), *self.action_net.parameters()]
        critic = [*self.mlp_extractor.value_net.parameters(), *self.value_net.parameters()]
        groups = [{"params": actor, "share": actor_share}, {"params": critic, "share": 1.0}]
        self.optimizer = TwoSpeedAdam(groups, **self.optimizer_kwargs)

    def forward(
        self,
        obs: torch.Tensor,
        deterministic: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return actions, values and logarithms of probabilities."""
        distribution, values = self._look(obs)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, values, (self.reading(obs) * self._log(distribution, actions)).sum(dim=1)

    def evaluate_actions(
        self,
        obs: torch.Tensor,  # type: ignore[override]
        actions: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return values, logarithms of probabilities, and entropies."""
        distribution, values = self._look(obs)
        read = self.reading(obs)
        normal: Any = distribution.distribution
        spread: torch.Tensor = normal.entropy()
        return (
            values,
            (read * self._log(distribution, actions)).sum(dim=1),
            (read * spread).sum(dim=1),
        )

    def _look(self, obs: torch.Tensor) -> tuple[DiagGaussianDistribution, torch.Tensor]:
        features = self.extract_features(obs)
        assert isinstance(features, torch.Tensor)
        latent_pi, latent_vf = self.mlp_extractor(features)
        distribution = self._get_action_dist_from_latent(latent_pi)
        assert isinstance(distribution, DiagGaussianDistribution)
        return distribution, self.value_net(latent_vf)

    @staticmethod
    def _log(distribution: DiagGaussianDistribution, actions: torch.Tensor) -> torch.Tensor:
        normal: Any = distribution.distribution
        logarithm: torch.Tensor = normal.log_prob(actions)
        return logarithm
