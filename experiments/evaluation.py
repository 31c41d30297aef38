"""How networks do on a split, played as one batch; for training, which may not wait for records."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from baselines.agent import Network
from baselines.team import Team
from mmg_env.batch import Batch
from mmg_env.info import safety_channel
from mmg_env.system import System

Array = NDArray[np.float64]
Seen = NDArray[np.float32]
Act = Callable[[Seen], Seen]


def acting(
    system: System, kind: str, network: Network, base: Network | None = None, scale: float = 1.0
) -> Act:
    """Return how an agent acts on many observations at once, (n, entries) -> (n, entries).

    Args:
        system: the system.
        kind: as `Facts` has it.
        network: the agent's.
        base: the network that stands for the policy that a residual agent corrects.
        scale: largest correction.
    """
    if kind == "team":
        team = Team(system)
        return lambda observations: team.join(network(team.split(observations)))
    if base is None:
        return network

    def corrected(observations: Seen) -> Seen:
        asked = base(observations)
        seen = np.concatenate([observations, asked], axis=1)
        return asked + np.float32(scale) * network(seen)

    return corrected


def costs_on(system: System, split: str, episodes: int, act: Act) -> tuple[Array, dict[str, Array]]:
    """Play the first episodes of a split to their ends.

    Args:
        system: the system.
        split: the split.
        episodes: how many.
        act: what acts.

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
        observations, step_costs = batch.step(act(observations))
        costs += step_costs
        for name, amount in safety_channel(batch.flows, system.dt_h).items():
            sums[name] = sums.get(name, np.zeros(episodes)) + amount
    return costs, sums
