"""The cooperative plan, found by participants who tell one another powers and prices only (ADMM).

Each participant p has y[p], what it does in the common rows of `coalition`, and a price pi for each
row, paid by who takes. In turns, each told what the others do as of now, as the paper has it::

    y[p] = argmin  cost_p + w pi y + rho/2 w (y + sum of the others' y)^2,    p = 1, 2, ...
    pi = pi + rho sum_p y[p]

In parallel, a data centre balances what all say, h = y moved equally until the rows hold, and each
answers to its own h; that is `negotiation` with a centre that has no cost.

What is agreed at last does not balance to the last watt. So it is moved, within what each can do,
until it does, and each participant makes the best of its part; that costs an upper bound of the
optimum. At the prices, what all would do if they need not agree costs a lower one.

Source: Bian & Ji 2025, section 4.3 (in turns; rho .01, start 0); Boyd et al. 2011, section 7.3
(in parallel). Over-relaxation and rho .001 are our choice.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.carrying_out import balanced
from baselines.bargaining.coalition import Coalition, telling
from baselines.highs import UnboundedError
from baselines.negotiation import (
    LEAST_KW,
    LEAST_PER_KWH,
    Agent,
    Party,
    Penalty,
    Residuals,
    Round,
    Terms,
    change_of_rho,
    ended,
    rounds,
)
from baselines.solution import Stop

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

PAPER: Final = Penalty(rho=0.01)
BEST: Final = Penalty(rho=0.001, relaxation=1.6)
RESIDUAL: Final = Stop(gap=1e-3, iterations=200, time_s=np.inf)


class Centre:
    """Balances the common rows; it has no cost and knows of nobody more than it is told."""

    def __init__(self, place: Sequence[Integers], limits: tuple[Array, Array]) -> None:
        """Take the rows.

        Args:
            place: of each participant's couplings among the rows.
            limits: sides of the rows, (couplings,) each.
        """
        self._row = np.concatenate(place)
        self._low, self._high = limits
        self._count = np.bincount(self._row, minlength=len(self._low))

    def answer(self, terms: Terms) -> Array:
        """Return what is closest to what the participants say, at their prices, and balances."""
        said = terms.power_kw + terms.price / terms.rho
        total = np.bincount(self._row, said, len(self._low))
        lacking = np.clip(total, self._low, self._high) - total
        return np.asarray(said + (lacking / self._count)[self._row])


@dataclass(frozen=True, eq=False)
class Cooperation:
    """What was agreed.

    Attributes:
        price: (couplings,) of the common rows, currency per kWh.
        exchanged: (participants,) what each does in its common rows; all hold.
        trace: one entry per round.
    """

    price: Array
    exchanged: tuple[Array, ...]
    trace: tuple[Residuals, ...]


def agents_of(coalition: Coalition) -> list[Agent]:
    """Return a party for each participant; none knows another's programme."""
    parts = [telling(piece) for piece in coalition.pieces]
    return [
        Agent(programme, columns, np.full(len(columns), coalition.system.dt_h), 1.0)
        for programme, columns in parts
    ]


def cooperate(
    coalition: Coalition,
    agents: Sequence[Party],
    stop: Stop = RESIDUAL,
    penalty: Penalty = BEST,
) -> Cooperation:
    """Agree in parallel: all answer at once to what the centre tells them.

    Raises:
        SolverError: a participant found no optimum.
    """
    return _concluded(coalition, in_parallel(coalition, agents, penalty), stop)


def cooperate_in_turns(
    coalition: Coalition,
    agents: Sequence[Party],
    stop: Stop = RESIDUAL,
    penalty: Penalty = PAPER,
) -> Cooperation:
    """Agree one after the other, as the paper does.

    Raises:
        SolverError: a participant found no optimum.
    """
    return _concluded(coalition, in_turns(coalition, agents, penalty), stop)


def in_parallel(
    coalition: Coalition,
    agents: Sequence[Party],
    penalty: Penalty = BEST,
    start: Round | None = None,
) -> Iterator[Round]:
    """Yield the rounds of an agreement in parallel, without end; `start` is that of `rounds`."""
    place = [coalition.place(p) for p in range(len(agents))]
    weights = [np.full(len(own), coalition.system.dt_h) for own in place]
    centre = Centre(place, coalition.limits)
    return rounds(centre, agents, weights, penalty, start)


def in_turns(
    coalition: Coalition, agents: Sequence[Party], penalty: Penalty = PAPER
) -> Iterator[Round]:
    """Yield the rounds of an agreement in turns, without end.

    A row that need not be equal to something has a slack, which moves last.
    """
    began = time.perf_counter()
    place = [coalition.place(p) for p in range(len(agents))]
    low, high = coalition.limits
    said = [np.zeros(len(own)) for own in place]
    total, rho = np.zeros(len(low)), penalty.rho
    price, slack = np.zeros(len(low)), np.clip(total, low, high)
    for number in count():
        before = [own.copy() for own in said]
        for p, (agent, at) in enumerate(zip(agents, place, strict=True)):
            others = total[at] - said[p] - slack[at]
            answer = agent.answer(Terms(price[at], -others, rho))
            total[at] += answer - said[p]
            said[p] = answer
        slack = np.clip(total + price / rho, low, high)
        price = price + rho * (total - slack)
        moved = np.concatenate(said) - np.concatenate(before)
        size = max(_size(np.concatenate(said)), LEAST_KW)
        primal, dual = _size(total - slack), rho * _size(moved)
        relative = primal / size, dual / max(_size(price), LEAST_PER_KWH)
        spent = time.perf_counter() - began
        residuals = Residuals(number, primal, dual, *relative, rho, spent)
        every, prices = np.concatenate(said), np.concatenate([price[at] for at in place])
        yield Round(prices, every, every, residuals)
        if number < penalty.settled:
            rho *= change_of_rho(*relative, penalty.factor)


def _size(values: Array) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0


def _concluded(coalition: Coalition, said: Iterable[Round], stop: Stop) -> Cooperation:
    """Return what comes of rounds."""
    agreement = ended(said, stop)
    return Cooperation(
        common_price(coalition, agreement.price),
        balanced(coalition, agreement.taken_kw),
        agreement.trace,
    )


def common_price(coalition: Coalition, price: Array) -> Array:
    """Return a price per common row, (couplings,), where each participant may have its own.

    A row that is open to one side has no price of that side's sign but by rounding: it gets 0.

    Args:
        coalition: whose rows they are.
        price: (couplings of all participants,) one participant after the other.
    """
    row = np.concatenate([coalition.place(p) for p in range(len(coalition.pieces))])
    mean = np.bincount(row, price) / np.bincount(row)
    low, high = coalition.limits
    mean = np.where(np.isinf(low), np.maximum(mean, 0.0), mean)
    return np.where(np.isinf(high), np.minimum(mean, 0.0), mean)


def lower_bound(coalition: Coalition, agents: Sequence[Agent], price: Array) -> float:
    """Return what all would pay at some prices if they need not agree, currency.

    Args:
        coalition: whose rows they are.
        agents: its participants.
        price: (couplings,) of the common rows.
    """
    low, high = coalition.limits
    # A slack takes what pays best.
    side = np.where(price > 0.0, high, low)
    free = -price * np.where(price == 0.0, 0.0, side)
    try:
        apart = [agent.least_cost(price[coalition.place(p)]) for p, agent in enumerate(agents)]
    except UnboundedError:
        return -np.inf
    return sum(apart) + coalition.system.dt_h * float(free.sum()) + coalition.numbers.offset
