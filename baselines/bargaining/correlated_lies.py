"""What lies to expect where no single ones are free of regret.

Somebody whom all trust draws everyone's lies together, with probabilities that all know, and tells
each its own. It is an equilibrium if nobody gains by another lie than the one it is told::

    sum_{others} p(own, others) (gain(other own, others) - gain(own, others)) <= 0
    p >= 0,   sum p = 1

On a grid there always is one: a linear programme finds those in which most and least is lost.

Source: Aumann 1974; that they are looked for by what they cost is our choice.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.bargaining.quoted_market import COARSE, Lies, QuotedMarket
from baselines.compiled import Sparse
from baselines.programme import Programme, numbers_of
from mmg_env.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Correlated:
    """Lies drawn together so that nobody gains by others than it is told.

    Attributes:
        lies: (cases, participants) that are drawn.
        probability: (cases,) of each.
        regret: the largest expected gain of who answers other than it is told, currency.
        gains: (participants,) expected, fines included, currency.
        welfare_loss: expected share of the honest surplus destroyed.
    """

    lies: Array
    probability: Array
    regret: float
    gains: Array
    welfare_loss: float

    @property
    def mean(self) -> Array:
        """Expected lies, (participants,)."""
        return np.asarray(self.probability @ self.lies)


def correlated_lies(
    market: QuotedMarket, power: Array, audits: float, grid: Lies = COARSE
) -> tuple[Correlated, Correlated]:
    """Return the correlated equilibria in which least and most is lost.

    Args:
        market: the day.
        power: (participants,) bargaining powers.
        audits: their strength, kappa.
        grid: lies that are possible.

    Raises:
        InputError: the honest have no surplus.
        SolverError: HiGHS proved no optimum.
    """
    honest = market.honest.surplus
    if honest <= 0.0:
        raise InputError(f"correlated lies: the surplus is {honest}; there is nothing to lie about")
    lies = np.array(list(product(grid, repeat=market.participants)))
    gains = np.array([market.gains(tried, power, audits) for tried in lies])
    loss = np.array([market.welfare_loss(tried) for tried in lies])
    temptations = temptations_of(gains / honest, len(grid))
    least, most = (drawn(temptations, sign * loss) for sign in (1.0, -1.0))
    return (
        _described(least, lies, gains, loss, float((temptations @ least).max()) * honest),
        _described(most, lies, gains, loss, float((temptations @ most).max()) * honest),
    )


def temptations_of(gains: Array, choices: int) -> Sparse:
    """Return what each gains in each case by one choice instead of another.

    Args:
        gains: (cases, participants), cases in the order of `itertools.product`.
        choices: how many each has.

    Returns:
        (participants * choices * (choices - 1), cases); a case stands where its own choice is left.
    """
    count = gains.shape[1]
    number = np.arange(choices**count).reshape([choices] * count)
    row: list[Array] = []
    column: list[Array] = []
    entry: list[Array] = []
    for p in range(count):
        for own in range(choices):
            told = np.take(number, own, axis=p).ravel()
            for other in set(range(choices)) - {own}:
                instead = np.take(number, other, axis=p).ravel()
                row.append(np.full(len(told), len(row)))
                column.append(told)
                entry.append(gains[instead, p] - gains[told, p])
    at = (np.concatenate(row), np.concatenate(column))
    return sparse.csr_array((np.concatenate(entry), at), shape=(len(row), len(gains)))


def drawn(temptations: Sparse, cost: Array) -> Array:
    """Return the probabilities at which nobody is tempted and cost is least, (cases,)."""
    rows, cases = temptations.shape
    numbers = numbers_of(
        np.zeros(cases),
        np.ones(cases),
        np.concatenate([np.full(rows, -np.inf), [1.0]]),
        np.concatenate([np.zeros(rows), [1.0]]),
        cost,
    )
    matrix = sparse.vstack([temptations, sparse.csr_array(np.ones((1, cases)))], format="csr")
    return np.maximum(Programme("correlated lies", matrix, numbers).solve().x, 0.0)


def _described(p: Array, lies: Array, gains: Array, loss: Array, regret: float) -> Correlated:
    """Return an equilibrium as what it leads to."""
    kept = p > 0.0
    return Correlated(lies[kept], p[kept], max(0.0, regret), p @ gains, float(p @ loss))
