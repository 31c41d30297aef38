"""What costs that are uncertain weigh for somebody who fears their bad end.

::

    risk(Z) = (1 - beta) E[Z] + beta CVaR(Z)
    CVaR(Z) = min over eta of eta + E[max(Z - eta, 0)] / (1 - alpha)

CVaR is the mean of the worst 1 - alpha of the distribution. It is also the largest mean that
probabilities q can give to Z which exceed those of the scenarios by a factor of 1 / (1 - alpha) at
most; these q are the slope of the risk in the costs.

Source: Rockafellar & Uryasev 2000 (the minimum), Artzner et al. 1999 (the probabilities).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Sparse
from baselines.programme import Programme, lengthened, widened
from mmg_env.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Risk:
    """How much the bad end weighs.

    Attributes:
        beta: weight of CVaR beside the mean, 0..1.
        alpha: level: CVaR is the mean of the worst 1 - alpha; at least 0, below 1.
    """

    beta: float = 0.3
    alpha: float = 0.9

    def __post_init__(self) -> None:
        """Refuse what is no weight or no level."""
        if not 0.0 <= self.beta <= 1.0:
            raise InputError(f"risk: beta is {self.beta}; it must lie in 0..1")
        if not 0.0 <= self.alpha < 1.0:
            raise InputError(f"risk: alpha is {self.alpha}; it must be at least 0 and below 1")

    def weights(self, costs: Array, probability: Array) -> Array:
        """Return (scenarios,) the probabilities under which the mean of the costs is the risk."""
        worst_first = np.argsort(-costs, kind="stable")
        before = np.cumsum(probability[worst_first]) - probability[worst_first]
        tail = 1.0 - self.alpha
        taken = np.clip(tail - before, 0.0, probability[worst_first])
        bad_end = np.empty_like(probability)
        bad_end[worst_first] = taken / taken.sum()
        return np.asarray((1.0 - self.beta) * probability + self.beta * bad_end)

    def of(self, costs: Array, probability: Array) -> float:
        """Return the risk of costs, (scenarios,), currency."""
        return float(self.weights(costs, probability) @ costs)


NEUTRAL: Final = Risk(beta=0.0)


def weigh(
    programme: Programme, costs: Sparse, offsets: Array, probability: Array, risk: Risk
) -> Programme:
    """Return a programme that minimises the sum of the risks of somebody's or several's costs.

    Args:
        programme: its own costs are replaced.
        costs: (parties * scenarios, columns) cost of each party in each scenario per unit of each
            column; the scenarios of a party stand together.
        offsets: (parties * scenarios,) constant costs.
        probability: (scenarios,).
        risk: what is minimised, for each party.
    """
    parties = len(offsets) // len(probability)
    every = np.tile(probability, parties)
    mean = (1.0 - risk.beta) * every
    expected = np.asarray(costs.T @ mean)
    n = programme.numbers
    priced = Programme(
        programme.name,
        programme.matrix,
        type(n)(
            n.lower,
            n.upper,
            n.row_lower,
            n.row_upper,
            expected,
            float(mean @ offsets),
            n.price,
            n.constant,
        ),
    )
    if risk.beta == 0.0:
        return priced
    return _with_bad_ends(priced, costs, offsets, every, risk, parties)


def _with_bad_ends(
    programme: Programme, costs: Sparse, offsets: Array, every: Array, risk: Risk, parties: int
) -> Programme:
    """Add eta of each party, and by how much each of its scenarios costs more."""
    count = len(every)
    free, zero = np.full(parties, np.inf), np.zeros(count)
    wide = widened(
        programme,
        np.concatenate([-free, zero]),
        np.concatenate([free, np.full(count, np.inf)]),
        np.concatenate([np.full(parties, risk.beta), risk.beta / (1.0 - risk.alpha) * every]),
    )
    # Each row: the excess is no less than the cost, less eta.
    eta = sparse.kron(sparse.eye_array(parties), np.ones((count // parties, 1)))
    rows = sparse.hstack([-costs, eta, sparse.eye_array(count)], format="csr")
    return lengthened(wide, rows, offsets, np.full(count, np.inf))
