"""How networks do on a split, played as one batch; for training, which may not wait for records."""

import numpy as np
from numpy.typing import NDArray

from baselines.agent import Network
from mmg_env.batch import Batch
from mmg_env.info import safety_channel
from mmg_env.system import System

Array = NDArray[np.float64]


def costs_on(
    system: System,
    split: str,
    episodes: int,
    network: Network,
    base: Network | None = None,
    scale: float = 1.0,
) -> tuple[Array, dict[str, Array]]:
    """Play the first episodes of a split to their ends.

    Args:
        system: the system.
        split: the split.
        episodes: how many.
        network: what acts, or what corrects the base.
        base: a network that is corrected; None where the network acts itself.
        scale: largest correction.

    Returns:
        Real cost of each episode, (episodes,), and the sums of its safety channel.
    """
    batch = Batch(system, episodes)
    rows = [batch.bank.numbered(index, split, index) for index in range(episodes)]
    batch.begin(np.arange(episodes), np.array(rows))
    observations = batch.observe()
    costs = np.zeros(episodes)
    sums: dict[str, Array] = {}
    for _ in range(system.episode_steps):
        if base is None:
            actions = network(observations)
        else:
            asked = base(observations)
            seen = np.concatenate([observations, asked], axis=1)
            actions = asked + np.float32(scale) * network(seen)
        observations, step_costs = batch.step(actions)
        costs += step_costs
        for name, amount in safety_channel(batch.flows, system.dt_h).items():
            sums[name] = sums.get(name, np.zeros(episodes)) + amount
    return costs, sums
