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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.bargaining.coalition import POOL, RENT, Coalition, telling
from baselines.deterministic import decide
from baselines.exclusivity import Pairs, find_pairs
from baselines.highs import MIP_GAP, UnboundedError
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
from baselines.partition import Piece
from baselines.programme import Programme
from baselines.solution import Stop

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

PAPER: Final = Penalty(rho=0.01)
BEST: Final = Penalty(rho=0.001, relaxation=1.6)
BAND: Final = 1e-3  # of the most that a participant does in a common row
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
    return float(np.sqrt(np.mean(values**2)))


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

    Args:
        coalition: whose rows they are.
        price: (couplings of all participants,) one participant after the other.
    """
    row = np.concatenate([coalition.place(p) for p in range(len(coalition.pieces))])
    return np.asarray(np.bincount(row, price) / np.bincount(row))


def balanced(coalition: Coalition, taken: Array) -> tuple[Array, ...]:
    """Return what participants want to do, moved until the pool balances and rent fits.

    In the pool each moves in proportion to how far it can. Rent, and what flows of it, shrinks.

    Args:
        coalition: whose rows they are.
        taken: (couplings of all participants,) one participant after the other.
    """
    place = [coalition.place(p) for p in range(len(coalition.pieces))]
    row, (low, high) = np.concatenate(place), coalition.limits
    reach = [_reach(piece) for piece in coalition.pieces]
    least, most = (np.concatenate(side) for side in zip(*reach, strict=True))
    y = np.clip(taken, least, most)
    total = np.bincount(row, y, len(low))
    pool, rent = coalition.among(POOL), coalition.among(RENT)
    lacking = np.where(pool, np.clip(total, low, high) - total, 0.0)[row]
    room = np.where(pool[row], np.where(lacking > 0.0, most - y, y - least), 0.0)
    every = np.bincount(row, room, len(low))[row]
    y = y + lacking * np.divide(room, every, out=np.zeros_like(room), where=every > 0.0)
    fits = min(1.0, *(high[rent] / np.maximum(total[rent], high[rent])), 1.0)
    rented = rent | coalition.among(("balance",))
    y = np.where(rented[row], fits * y, y)
    return tuple(np.split(y, np.cumsum([len(own) for own in place])[:-1]))


def _reach(piece: Piece) -> tuple[Array, Array]:
    """Return the least and most that a participant can do in its common rows."""
    programme, columns = telling(piece)
    return programme.lower[columns], programme.upper[columns]


Solve = Callable[[int, Programme], Array]  # of a participant's programme, (its columns,)


def carried_out(
    coalition: Coalition, exchanged: Sequence[Array], price: Array, solve: Solve
) -> list[Array]:
    """Return what each makes of its part, (participants,) of (its columns,).

    What is sent and received stands. All else in common rows stands up to a band, in which its
    price is paid, but the last, who runs the community, answers for what the others do.

    Args:
        coalition: whose day it is.
        exchanged: (participants,) what each does in its common rows.
        price: (couplings,) of the common rows.
        solve: how a participant finds its best.
    """
    done, rest = [], np.zeros(len(coalition.common))
    pool, rent = coalition.among(POOL), coalition.among(RENT)
    for p, (piece, said) in enumerate(zip(coalition.pieces, exchanged, strict=True)):
        place, last = coalition.place(p), p == len(coalition.pieces) - 1
        y = np.where(pool[place] | (not last), said, -rest[place])
        stands = pool[place] | last
        band = np.where(stands, 0.0, BAND * np.abs(y).max(initial=0.0))
        part = y - band, np.where(rent[place], y, y + band)
        paid = np.where(stands, 0.0, coalition.system.dt_h * price[place])
        x = solve(p, _with_part(piece, part, paid))[: len(piece.columns)]
        rest[place] += sparse.csr_array(piece.programme.matrix)[piece.coupled] @ x
        done.append(x)
    return done


def _with_part(piece: Piece, part: tuple[Array, Array], paid: Array) -> Programme:
    """Return a participant's programme where what it does in common rows lies in a range.

    Args:
        piece: the participant's.
        part: (couplings,) each, the range.
        paid: (couplings,) for what it does, per kW.
    """
    programme, columns = telling(piece)
    n = programme.numbers
    cost, lower, upper = n.cost.copy(), n.lower.copy(), n.upper.copy()
    cost[columns] = paid
    for bound, wanted in zip((lower, upper), part, strict=True):
        bound[columns] = np.clip(wanted, n.lower[columns], n.upper[columns])
    return replace(programme, numbers=replace(n, cost=cost, lower=lower, upper=upper))


def upper_cost(coalition: Coalition, exchanged: Sequence[Array], price: Array) -> float:
    """Return the cost where each makes the best of its part, all relaxed, currency.

    The arguments are those of `carried_out`.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    done = carried_out(coalition, exchanged, price, lambda _, own: own.solve().x)
    x = coalition.joint(done)
    return float(coalition.numbers.cost @ x) + coalition.numbers.offset


def lower_bound(coalition: Coalition, agents: Sequence[Agent], price: Array) -> float:
    """Return what all would pay at some prices if they need not agree, currency.

    Args:
        coalition: whose rows they are.
        agents: its participants.
        price: (couplings,) of the common rows.
    """
    low, high = coalition.limits
    # A slack takes what pays best.
    slack = np.where(price > 0.0, -price * high, -price * low)
    free = np.where(np.isfinite(slack), slack, np.where(price == 0.0, 0.0, -np.inf))
    try:
        apart = [agent.least_cost(price[coalition.place(p)]) for p, agent in enumerate(agents)]
    except UnboundedError:
        return -np.inf
    return sum(apart) + coalition.system.dt_h * float(free.sum()) + coalition.numbers.offset


def exactly(
    coalition: Coalition, exchanged: Sequence[Array], price: Array, gap: float = MIP_GAP
) -> Array:
    """Return what each makes of its part with its units and directions decided, (columns,).

    Args:
        coalition: whose day it is.
        exchanged: (participants,) what each does in its common rows.
        price: (couplings,) of the common rows.
        gap: to which each participant searches.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    compiled, day = coalition.compiled, coalition.system.steps_per_day
    pairs = find_pairs(compiled, coalition.numbers, steps_per_day=day)

    def solve(p: int, programme: Programme) -> Array:
        binary, own = undecided(coalition.pieces[p], compiled.binary, pairs)
        return decide(programme.solver(), programme.numbers, binary, own, gap)[0]

    return coalition.joint(carried_out(coalition, exchanged, price, solve))


def undecided(piece: Piece, binary: Integers, pairs: Pairs) -> tuple[Integers, Pairs]:
    """Return those commitments and directions of the model that are a participant's, in its terms.

    Args:
        piece: the participant's.
        binary: columns of the model that are 0 or 1.
        pairs: of columns of the model.
    """
    own = np.isin(binary, piece.columns)
    place = np.full(1 + max(piece.columns.max(), binary.max(initial=0)), -1)
    place[piece.columns] = np.arange(len(piece.columns))
    return place[binary[own]], pairs.among(piece.columns).placed(place)
