"""Who sold to whom: the flows of one pool, attributed to pairs.

A pool knows what each participant sends and receives, not for whom. So every sender is taken to
serve every receiver in proportion to what that one receives, hour by hour::

    kWh[i, j] = (1 - loss) sent[i] received[j] / sum received * dt,    delivered from i to j

Over receivers this sums up to what i sent less the loss, over senders to what j received. Rented
power is no trade of the pool and is left out.

Source: docs/model.md section 5 (attribution).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from mmg_env.errors import InputError
from mmg_env.layout import F, W
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

UNBALANCED_KW: Final = 1e-4
"""Flows of a pool may be out of balance by this much, which is a solver's rounding."""
LEAST_KWH: Final = 1e-3
"""Who exchanges no more than this in all is not said to trade."""


def trades_of(system: System, flows: Array) -> Array:
    """Return what each delivered to each, (participants, participants, steps), kWh.

    Args:
        system: whose pool it is.
        flows: (steps, participants, len(F)) kW, of a plan or a trajectory.

    Raises:
        InputError: what arrives is not what was sent less the loss.
    """
    through = 1.0 - system.physics.world[W.pool_loss]
    arrives, received = through * flows[:, :, F.sent_kw].T, flows[:, :, F.received_kw].T
    whole = received.sum(axis=0)
    apart = np.abs(arrives.sum(axis=0) - whole)
    if (apart > UNBALANCED_KW).any():
        t = int(apart.argmax())
        raise InputError(
            f"trades: in step {t} {arrives[:, t].sum():g} kW arrive in the pool and {whole[t]:g} "
            f"are received; they may differ by {UNBALANCED_KW:g} kW"
        )
    share = np.divide(received, whole, out=np.zeros_like(received), where=whole > 0.0)
    return np.asarray(system.dt_h * arrives[:, None, :] * share[None, :, :])


@dataclass(frozen=True, eq=False)
class Pairs:
    """Participants who trade with one another.

    Attributes:
        participants: how many there are, with or without a trade.
        first: (pairs,) the participant of lower number.
        second: (pairs,) the other one.
        kwh: (pairs, steps) what the first receives of the second less what it delivers to it.
    """

    participants: int
    first: Integers
    second: Integers
    kwh: Array

    @cached_property
    def groups(self) -> Integers:
        """Number of the group in which each trades, (participants,).

        No chain of trades leads from one group to another; who does not trade is alone in its own.
        """
        shape = (self.participants, self.participants)
        links = (np.ones(len(self.first)), (self.first, self.second))
        return np.asarray(
            csgraph.connected_components(sparse.csr_array(links, shape=shape), directed=False)[1],
            dtype=np.int64,
        )

    def of(self, participant: int) -> Integers:
        """Return the pairs in which one stands, (its pairs,), ascending."""
        return np.flatnonzero((self.first == participant) | (self.second == participant))

    def signs(self, participant: int) -> Array:
        """Return 1 for the pairs in which one is the first, -1 for the others, (its pairs,)."""
        return np.where(self.first[self.of(participant)] == participant, 1.0, -1.0)

    def paid(self, price: Array) -> Array:
        """Return what each pays the others at some prices, (participants,), currency; the sum is 0.

        Args:
            price: (pairs, steps) per kWh delivered.
        """
        return self.shared((price * self.kwh).sum(axis=1))

    def shared(self, money: Array) -> Array:
        """Return what each pays where the first of each pair pays the second, (participants,).

        Args:
            money: (pairs,) currency.
        """
        count = self.participants
        return np.asarray(
            np.bincount(self.first, money, count) - np.bincount(self.second, money, count)
        )

    def matrix(self, values: Array) -> Array:
        """Return values of pairs as (participants, participants, steps); NaN where nobody trades.

        Args:
            values: (pairs, steps), prices for instance.
        """
        out = np.full((self.participants, self.participants, self.kwh.shape[1]), np.nan)
        there = np.where(self.kwh != 0.0, values, np.nan)
        out[self.first, self.second] = out[self.second, self.first] = there
        return out


def pairs_of(trades: Array) -> Pairs:
    """Return who trades with whom.

    Args:
        trades: (participants, participants, steps) kWh, of `trades_of`.
    """
    count = len(trades)
    first, second = np.triu_indices(count, 1)
    kwh = trades[second, first] - trades[first, second]
    kept = np.abs(kwh).sum(axis=1) > LEAST_KWH
    return Pairs(count, first[kept], second[kept], kwh[kept])
