"""Nash bargaining: how participants share what cooperation saves.

With B what each pays where there is no agreement, C what it pays in cooperation before anything is
settled, and omega its bargaining power, payments pi (paid > 0) are sought::

    max  prod_i (B_i - C_i - pi_i)^omega_i    subject to    sum_i pi_i = 0

Where there is a surplus S = sum (B - C) > 0, its only solution is ::

    pi_i = B_i - C_i - omega_i S,    final cost B_i - omega_i S

Where cooperation costs more than it saves, nobody would agree; what has happened all the same is
shared by the same formula, and `surplus` is negative.

Powers from energy, with E+ what a participant supplied and E- what it received::

    exp(E+ / max E+) - exp(-E- / max E-),    over the sum of it

Source: Bian & Ji 2025, section 4.2 (payments, powers from energy); Shapley 1953.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from mmg_env.errors import InputError

Array = NDArray[np.float64]

Saving = Callable[[frozenset[int]], float]
"""What some participants save together, currency; nothing for one alone or none."""

MOST_FOR_SHAPLEY = 10


@dataclass(frozen=True, eq=False)
class Bargain:
    """What everyone pays in the end.

    Attributes:
        disagreement: (participants,) cost without agreement, currency.
        cooperation: (participants,) cost in cooperation before settlement.
        power: (participants,) shares of the surplus, which sum up to 1.
    """

    disagreement: Array
    cooperation: Array
    power: Array

    def __post_init__(self) -> None:
        """Check shapes and powers, and freeze the arrays."""
        shape = self.disagreement.shape
        for name in ("disagreement", "cooperation", "power"):
            values = getattr(self, name)
            if values.shape != shape or values.ndim != 1:
                raise InputError(f"bargain: {name} has shape {values.shape}, disagreement {shape}")
            if not np.isfinite(values).all():
                raise InputError(f"bargain: {name} is {values}; all must be finite numbers")
            values.flags.writeable = False
        if (self.power < 0.0).any() or abs(self.power.sum() - 1.0) > 1e-9:
            raise InputError(f"bargain: power is {self.power}; none is negative, the sum is 1")

    @property
    def savings(self) -> Array:
        """What each saves before it pays or is paid, (participants,), currency."""
        return self.disagreement - self.cooperation

    @property
    def surplus(self) -> float:
        """What all save together, currency."""
        return float(self.savings.sum())

    @property
    def payments(self) -> Array:
        """What each pays the others, (participants,), currency; the sum is 0."""
        return self.savings - self.gains

    @property
    def gains(self) -> Array:
        """What each gains in the end, (participants,), currency."""
        return self.power * self.surplus

    @property
    def final(self) -> Array:
        """What each pays in the end, (participants,), currency."""
        return self.disagreement - self.gains


def uniform(participants: int) -> Array:
    """Return equal powers."""
    return np.full(participants, 1.0 / participants)


def by_contribution(supplied_kwh: Array, received_kwh: Array) -> Array:
    """Return powers from what each supplied to the others and received of them, (participants,).

    Equal powers where nothing was traded.
    """
    most = [max(float(kwh.max()), np.finfo(float).tiny) for kwh in (supplied_kwh, received_kwh)]
    weight = np.exp(supplied_kwh / most[0]) - np.exp(-received_kwh / most[1])
    total = float(weight.sum())
    return weight / total if total > 0.0 else uniform(len(weight))


def by_marginal(participants: int, saving: Saving) -> Array:
    """Return powers from what all would lose without each; equal ones where nobody is missed."""
    everyone = frozenset(range(participants))
    missed = [saving(everyone) - saving(everyone - {p}) for p in range(participants)]
    return _shares(np.array(missed))


def by_shapley(participants: int, saving: Saving) -> Array:
    """Return powers so that everyone gains its Shapley value of the game of savings.

    Raises:
        InputError: more than 10 participants, whose coalitions are too many to solve.
    """
    if participants > MOST_FOR_SHAPLEY:
        raise InputError(
            f"Shapley powers: {participants} participants have {2**participants} coalitions; "
            f"at most {MOST_FOR_SHAPLEY} are possible, or take marginal powers"
        )
    value = np.zeros(participants)
    for p in range(participants):
        others = [q for q in range(participants) if q != p]
        for size in range(participants):
            weight = 1.0 / (participants * comb(participants - 1, size))
            for some in combinations(others, size):
                before = frozenset(some)
                value[p] += weight * (saving(before | {p}) - saving(before))
    return _shares(value)


def _shares(value: Array) -> Array:
    """Return values as shares of their sum, those below 0 as 0."""
    value = np.maximum(value, 0.0)
    total = float(value.sum())
    return value / total if total > 0.0 else uniform(len(value))
