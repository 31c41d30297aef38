"""Behaviour cloning: a network learns to do what was demonstrated.

    minimise  mean over read entries of (net(observation) - action) ** 2

Source: Pomerleau 1989; the loss counts entries only where the environment reads them, our choice.
"""

from typing import Any, Final

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from experiments.agent_config import Cloning
from experiments.demonstrations import Demonstrations
from experiments.learners import actor_of

HELD_OUT: Final = 10
"""One of so many demonstrations is held out."""


def clone(
    model: BaseAlgorithm, shown: Demonstrations, how: Cloning, seed: int
) -> tuple[float, float]:
    """Train a model's actor in place; return its loss in training and held out.

    Held out are whole blocks of demonstrations at the end, because neighbours are alike.
    """
    losses = _imitate(actor_of(model), shown, how, seed)
    policy: Any = model.policy
    if hasattr(policy, "actor_target"):  # TD3's critic learns from what this one would do
        policy.actor_target.load_state_dict(policy.actor.state_dict())
    return losses


def _imitate(
    actor: nn.Module, shown: Demonstrations, how: Cloning, seed: int
) -> tuple[float, float]:
    generator = torch.Generator().manual_seed(seed)
    seen, done = torch.from_numpy(shown.observations), torch.from_numpy(shown.actions)
    heeded = torch.from_numpy(shown.heeded.astype(np.float32))
    kept = len(seen) - len(seen) // HELD_OUT
    optimiser = torch.optim.Adam(actor.parameters(), lr=how.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, how.updates)
    loss = torch.zeros(())
    for _ in range(how.updates):
        chosen = torch.randint(kept, (how.batch_size,), generator=generator)
        loss = _loss(actor, seen[chosen], done[chosen], heeded[chosen])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        held = _loss(actor, seen[kept:], done[kept:], heeded[kept:])
    return float(loss.detach()), float(held)


def _loss(
    actor: nn.Module, seen: torch.Tensor, done: torch.Tensor, heeded: torch.Tensor
) -> torch.Tensor:
    asked: torch.Tensor = actor(seen)
    squares = heeded * (asked - done) ** 2
    return squares.sum() / heeded.sum()
