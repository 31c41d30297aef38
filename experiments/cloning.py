"""Behaviour cloning: a network learns to do what was demonstrated.

    minimise  mean over read entries of (net(observation) - action) ** 2

Source: Pomerleau 1989; the loss counts entries only where the environment reads them, our choice.
"""

from typing import Final

import numpy as np
import torch
from torch import nn

from experiments.agent_config import Cloning
from experiments.demonstrations import Demonstrations

HELD_OUT: Final = 10
"""One of so many demonstrations is held out."""


def clone(actor: nn.Module, shown: Demonstrations, how: Cloning, seed: int) -> tuple[float, float]:
    """Train an actor (observations -> actions) in place; return its loss in training and held out.

    Held out are whole blocks of demonstrations at the end, because neighbours are alike.
    """
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
