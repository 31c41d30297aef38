"""A Gaussian policy for PPO that weighs entries of an action only where the environment reads them.

What is committed for a day is read at its first step. At any other step those entries do nothing,
and their random draws would only blur the ratio of probabilities that PPO learns from: on s1_3mg
they are 96 of 106.

Source: our choice; leaving out actions without effect leaves the policy gradient unbiased.
"""

from typing import Any, Final

import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from mmg_env.actions import ActionCodec
from mmg_env.observation import ObservationCodec
from mmg_env.system import System

MIDNIGHT: Final = 0.9995
"""The cosine of the hour is above this at midnight only, for steps of 15 minutes or more."""


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

    def __init__(
        self, *args: Any, system: System | None, actor_share: float, **kwargs: Any
    ) -> None:
        """Set up.

        Args:
            args: as its parent's.
            system: says which entries are read when; None where they count at every step.
            actor_share: the actor's learning rate, as a share of the critic's.
            kwargs: as its parent's.
        """
        super().__init__(*args, **kwargs)
        # Mean actions that end at the range's ends: many a plan is all or nothing.
        self.action_net = nn.Sequential(self.action_net, nn.Tanh())
        self._hour, hourly = 0, torch.ones(self.action_space.shape or ())
        if system is not None:
            self._hour = ObservationCodec(system).names.index("hour_cos")
            hourly = torch.from_numpy(~ActionCodec(system).day_ahead).float()
        self.register_buffer("hourly", hourly, persistent=False)
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
        return actions, values, (self._read(obs) * self._log(distribution, actions)).sum(dim=1)

    def evaluate_actions(
        self,
        obs: torch.Tensor,  # type: ignore[override]
        actions: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return values, logarithms of probabilities, and entropies."""
        distribution, values = self._look(obs)
        read = self._read(obs)
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

    def _read(self, obs: torch.Tensor) -> torch.Tensor:
        """Return which entries are read, (n, entries): 1 or 0."""
        begins = (obs[:, self._hour] > MIDNIGHT).float()
        hourly = self.hourly
        assert isinstance(hourly, torch.Tensor)
        return torch.maximum(hourly[None, :], begins[:, None])

    @staticmethod
    def _log(distribution: DiagGaussianDistribution, actions: torch.Tensor) -> torch.Tensor:
        normal: Any = distribution.distribution
        logarithm: torch.Tensor = normal.log_prob(actions)
        return logarithm
