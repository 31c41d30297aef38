"""Payments under which nobody gains by a lie, and what they cost the centre.

The centre makes the plan x that saves most by quotes. Everyone pays what its presence costs the
others, by their quotes (Clarke's rule)::

    pi[i] = most that the others save without i - what they save in x
    gain[i] = saved[i] + what the others save in x by quotes - most that they save without i

A lie changes a gain through the plan alone, and the gain is largest in the plan that truth leads
to. Where all are honest everyone gains its marginal contribution, v(all) - v(all but i). These may
add up to more than the surplus; the centre has to pay what lacks, the deficit::

    deficit = sum gain - S = - sum pi

Source: Vickrey 1961, Clarke 1971, Groves 1973.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.coalition import Coalition
from baselines.bargaining.quoted_market import QuotedMarket

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Clarke:
    """What everyone pays.

    Attributes:
        savings: (participants,) in truth, before payments, currency.
        payments: (participants,) to the centre, paid > 0, currency.
    """

    savings: Array
    payments: Array

    @property
    def gains(self) -> Array:
        """What each gains in the end, (participants,), currency."""
        return self.savings - self.payments

    @property
    def surplus(self) -> float:
        """What all save together, currency."""
        return float(self.savings.sum())

    @property
    def deficit(self) -> float:
        """What the centre pays out, currency; it keeps something where this is below 0."""
        return -float(self.payments.sum())


class ClarkeMarket:
    """A day on which everyone pays by Clarke's rule; lies are margins, as in `QuotedMarket`."""

    def __init__(self, coalition: Coalition) -> None:
        """Take the day, with commitments and directions relaxed."""
        self._all = QuotedMarket(coalition)
        self._without = [
            QuotedMarket(replace(coalition, numbers=coalition.without([p])))
            for p in range(self._all.participants)
        ]

    @property
    def participants(self) -> int:
        """Their number."""
        return self._all.participants

    def settle(self, lies: Array | None = None) -> Clarke:
        """Return who pays what where some lie.

        Args:
            lies: (participants,) shares; nobody lies unless told.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        told = np.zeros(self.participants) if lies is None else lies
        outcome = self._all.outcome(told)
        quoted = outcome.savings - outcome.hidden
        payments = np.empty(self.participants)
        for p, market in enumerate(self._without):
            absent = market.outcome(np.where(np.arange(self.participants) == p, 0.0, told))
            most = float((absent.savings - absent.hidden).sum())
            payments[p] = most - (quoted.sum() - quoted[p])
        return Clarke(outcome.savings, payments)
