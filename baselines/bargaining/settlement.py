"""Settlement of an episode by bargaining: whoever played it, each pays its share in the end.

With B what each pays where nobody trades, C its real costs of the episode and omega its power, each
one's transfers over the whole episode are made equal to what `bargain` says, so the settlement also
takes back what prices of the hour had moved::

    settlement = pi - other transfers,    final cost = C + pi

Who quotes with a margin hides it on every kWh it sent or received, and is paid on quotes, while
fines of audits pass from those who lie to the others::

    quoted saving = B - C - hidden,    pi = quoted saving - omega (its sum) + fines

Its gain B - C - pi is on true costs all the same. An episode that cost more than it would have
without trade is shared by the same formula; nobody would have agreed to it, and nobody is fined.

Source: Bian & Ji 2025, sections 4.1 and 4.2; what is hidden per kWh is our choice (`margins`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.bargain import Bargain, by_contribution, uniform
from baselines.bargaining.margins import margins
from baselines.bargaining.quoting import fines
from mmg_env.config_devices import Model
from mmg_env.errors import InputError
from mmg_env.layout import F
from mmg_env.settlement import settled
from mmg_env.system import System, build_system
from mmg_env.trajectory import Trajectory

Array = NDArray[np.float64]

Power = Callable[[Trajectory], Array]
"""Bargaining powers, (participants,), from what was done."""


@dataclass(frozen=True, eq=False)
class Settled:
    """An episode that is paid for.

    Attributes:
        bargain: with true costs.
        payments: (participants,) what each paid the others in the whole episode, currency.
        trajectory: with the settlement in its ledger.
    """

    bargain: Bargain
    payments: Array
    trajectory: Trajectory

    @property
    def final(self) -> Array:
        """What the episode cost each in the end, (participants,), currency."""
        return self.bargain.cooperation + self.payments

    @property
    def gains(self) -> Array:
        """What each truly gained beside standing alone, (participants,), currency."""
        return self.bargain.disagreement - self.final


def alone(system: System) -> System:
    """Return the same system where nobody trades or rents; its episodes are the same.

    What the community does towards others stays: the storage's reserve, and a nomination to the
    grid, whose imbalance all share.
    """
    config = system.config
    changes: dict[str, Model] = {"pool": config.pool.model_copy(update={"enabled": False})}
    if config.ces is not None:
        changes["ces"] = config.ces.model_copy(update={"rental": False})
    return build_system(config.model_copy(update=changes))


def equal_power(trajectory: Trajectory) -> Array:
    """Return equal powers."""
    return uniform(len(trajectory.system.participants))


def contributed_power(trajectory: Trajectory) -> Array:
    """Return powers from what each sent into the pool and received from it."""
    dt_h = trajectory.system.dt_h
    sent, received = (
        dt_h * trajectory.flow(column).sum(axis=0) for column in (F.sent_kw, F.received_kw)
    )
    return by_contribution(sent, received)


def hidden(system: System, trajectory: Trajectory, lies: Array) -> Array:
    """Return what quotes hide of each one's saving, (participants,), currency."""
    traded = trajectory.flow(F.sent_kw) + trajectory.flow(F.received_kw)
    margin = margins(system, lies, trajectory.episode.values)
    return np.asarray(system.dt_h * (margin.T * traded).sum(axis=0))


def settle(
    system: System,
    trajectory: Trajectory,
    disagreement: Array,
    power: Power = equal_power,
    lies: Array | None = None,
    audits: float = 0.0,
) -> Settled:
    """Return an episode that is paid for by bargaining.

    Args:
        system: whose it is.
        trajectory: played to its end; what it may have been settled by before is replaced.
        disagreement: (participants,) real cost of the same episode where nobody trades, currency.
        power: says who gets which share of the surplus.
        lies: (participants,) shares of half the retail spread that quotes add per kWh; absent: none
            does.
        audits: strength of audits, from 0 on.

    Raises:
        InputError: shapes or numbers are not what they must be.
    """
    lies = _checked(system, lies, audits)
    shares = power(trajectory)
    true = Bargain(disagreement, trajectory.costs, shares)
    quoted = Bargain(disagreement, true.cooperation + hidden(system, trajectory, lies), shares)
    payments = quoted.payments + fines(lies, true.surplus, audits)
    unsettled = settled(trajectory, np.zeros(len(payments)))
    due = payments - unsettled.transfers
    due -= due.mean()  # what rounding left, which beside small payments is not small
    return Settled(true, payments, settled(trajectory, due))


def _checked(system: System, lies: Array | None, audits: float) -> Array:
    """Return lies, none where they are absent; refuse what they cannot be."""
    count = len(system.participants)
    lies = np.zeros(count) if lies is None else lies
    if lies.shape != (count,) or not ((lies >= 0.0) & (lies <= 1.0)).all():
        raise InputError(f"settlement: lies are {lies}; {count} shares in [0, 1] are needed")
    if not 0.0 <= audits < np.inf:
        raise InputError(f"settlement: audits is {audits}; it must be a number from 0 on")
    return lies
