"""Trajectory: everything that happened in one episode, by name.

Source: our choice.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmg_env.episode import Episode
from mmg_env.kernel import N_STATE, reset_state, step_hour
from mmg_env.layout import REAL_COSTS, F, L, S
from mmg_env.system import System

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The record of one episode.

    Attributes:
        system: the system that was simulated.
        episode: what it lived through.
        requests: (steps, request_size) physical wishes; NaN where a step was not simulated.
        states: (steps + 1, state_size).
        flows: (steps, participants, len(F)) powers and energies.
        ledger: (steps, participants, len(L)) money, cost > 0.
        decision_ms: (steps,) time the policy took per decision; NaN where not measured.
    """

    system: System
    episode: Episode
    requests: Array
    states: Array
    flows: Array
    ledger: Array
    decision_ms: Array

    def flow(self, column: F) -> Array:
        """Return one flow, (steps, participants)."""
        return self.flows[:, :, column]

    def account(self, column: L) -> Array:
        """Return one ledger term, (steps, participants), currency."""
        return self.ledger[:, :, column]

    @property
    def cost(self) -> float:
        """Real cost of the episode, currency: what the grid, gas, wear and penalties took."""
        return float(self.ledger[:, :, : len(REAL_COSTS)].sum())

    @property
    def costs(self) -> Array:
        """Real cost of each participant, (participants,), currency."""
        return np.asarray(self.ledger[:, :, : len(REAL_COSTS)].sum(axis=(0, 2)))

    @property
    def transfers(self) -> Array:
        """What each participant paid others, (participants,), currency; the sum is 0."""
        return np.asarray(self.ledger[:, :, len(REAL_COSTS) :].sum(axis=(0, 2)))

    @property
    def step_costs(self) -> Array:
        """Real cost per step, (steps,), currency."""
        return np.asarray(self.ledger[:, :, : len(REAL_COSTS)].sum(axis=(1, 2)))

    @property
    def blocks(self) -> Array:
        """Participants' blocks of the state, (steps + 1, participants, block_size)."""
        count = len(self.system.participants)
        size = self.system.block_size
        return self.states[:, : count * size].reshape(-1, count, size)

    @property
    def energy_kwh(self) -> Array:
        """Stored energy, (steps + 1, participants), kWh."""
        end = N_STATE + self.system.segments
        return np.asarray(self.blocks[:, :, N_STATE:end].sum(axis=2))

    def state(self, column: S) -> Array:
        """Return one column of the state, (steps + 1, participants)."""
        return self.blocks[:, :, column]


def simulate(system: System, episode: Episode, requests: Array) -> Trajectory:
    """Run physical wishes through the kernel from reset.

    Args:
        system: the system.
        episode: what it lives through.
        requests: (steps, request_size) kW; day-ahead entries are read at each day's first step.
    """
    steps, count = episode.steps, len(system.participants)
    states = np.zeros((steps + 1, system.state_size))
    flows = np.zeros((steps, count, len(F)))
    ledger = np.zeros((steps, count, len(L)))
    reset_state(system.physics, states[0])
    for t in range(steps):
        step_hour(
            system.physics,
            t,
            episode.values,
            requests[t],
            states[t],
            states[t + 1],
            flows[t],
            ledger[t],
        )
    for array in (states, flows, ledger):
        array.flags.writeable = False
    return Trajectory(system, episode, requests, states, flows, ledger, np.full(steps, np.nan))
