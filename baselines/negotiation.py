"""Parties that decide alone agree on powers, and prices come of it.

One side, the operator, gives h; the other sides, the members, take g; all minimise their own cost::

    min  cost of operator + sum over members of their costs      subject to  g = h

Prices pi (currency per kWh) that the member pays the operator lead to it, round by round::

    operator:  min  cost - sum w pi h + rho/2 sum w (h - g)^2
               h' = relaxation h + (1 - relaxation) g
    member:    min  cost + sum w pi g + rho/2 sum w (g - h')^2
    price:     pi + rho (g - h')

so after a round pi is what power is worth to the member at g. The weight w of a power is the
expected time for which it flows. Residuals are root mean squares under the same weights of ::

    primal  h - g                relative to the larger of h and g
    dual    rho (g - g before)   relative to pi

Where the primal one is ten times the dual one, both relative, rho doubles, and conversely it
halves; after a while it stays, or it might go back and forth for ever.

At any prices, the least that the parties would pay if they need not agree is a lower bound of what
they pay if they must.

Source: Boyd et al. 2011, sections 3.3 (residuals), 3.4.1 (rho) and 3.4.3 (relaxation); Wohlberg
2017 (relative residuals). The subproblems are solved by PIQP (Schwan et al. 2023). The weights are
our choice.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import piqp
from numpy.typing import NDArray
from scipy import sparse

from baselines.highs import SolverError
from baselines.programme import Programme
from baselines.solution import Stop

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

STOP: Final = Stop(gap=1e-4, iterations=1000, time_s=np.inf)
# What relative residuals are relative to at least.
LEAST_KW: Final = 1.0
LEAST_PER_KWH: Final = 0.01
APART: Final = 10.0  # residuals this many times apart are out of balance
ACCURACY: Final = 1e-8  # of the subproblems


@dataclass(frozen=True)
class Penalty:
    """How disagreement is weighed.

    Attributes:
        rho: currency per kWh and kW, at first.
        relaxation: how far the members are shown the operator's powers, 1 (just as they are) to 2.
        factor: by which rho changes where residuals are out of balance; 1 for never.
        settled: round from which rho stays.
    """

    rho: float = 0.01
    relaxation: float = 1.0
    factor: float = 1.0
    settled: int = 100


PLAIN: Final = Penalty()
ADAPTIVE: Final = Penalty(factor=2.0)
RELAXED: Final = Penalty(relaxation=1.6, factor=2.0)


class Terms(NamedTuple):
    """What a party is told.

    Attributes:
        price: (couplings,) what the member pays the operator, currency per kWh.
        power_kw: (couplings,) net power given to the member, as the other side has it.
        rho: public, currency per kWh and kW.
    """

    price: Array
    power_kw: Array
    rho: float


class Party(Protocol):
    """Somebody who negotiates."""

    def answer(self, terms: Terms) -> Array:
        """Return the net power given to members that is best on some terms, (couplings,) kW."""


class Agent:
    """A party with a programme that nobody else sees, in one warm solver.

    Attributes:
        x: (columns,) what it would do, as of its last answer.
    """

    def __init__(
        self, programme: Programme, exchanged: Integers, weight: Array, sign: float
    ) -> None:
        """Take the party's part.

        Args:
            programme: its cost, currency, and limits.
            exchanged: (couplings,) columns that are the net power given to members.
            weight: (couplings,) of powers and prices in its cost, h.
            sign: 1 for who pays the price, -1 for who is paid.
        """
        self.x = np.zeros(programme.matrix.shape[1])
        self._programme = programme
        self._cost = programme.numbers.cost
        self._exchanged, self._weight, self._sign = exchanged, weight, sign
        self._rho = 1.0
        self._solver: Any = piqp.SparseSolver()
        settings = self._solver.settings
        settings.eps_abs = settings.eps_rel = ACCURACY
        # Powers in kW and prices per kWh are well scaled; after PIQP's own scaling it can stall.
        settings.preconditioner_iter = 0
        # Without it, it stalls where risk ties all costs of a party together.
        settings.iterative_refinement_always_enabled = True
        self._set_up()

    def answer(self, terms: Terms) -> Array:
        """Return the powers that are best on some terms, (couplings,) kW.

        Raises:
            SolverError: PIQP found no optimum.
        """
        cost = self._cost.copy()
        linear = self._sign * terms.price - terms.rho * terms.power_kw
        cost[self._exchanged] += self._weight * linear
        if terms.rho == self._rho:
            self._solver.update(c=cost)
        else:
            self._rho = terms.rho
            self._solver.update(P=self._quadratic(), c=cost)
        status = self._solver.solve()
        if status != piqp.PIQP_SOLVED:
            raise SolverError(f"model {self._programme.name}: PIQP stopped with status {status}")
        self.x = np.array(self._solver.result.x)
        return self.x[self._exchanged]

    def least_cost(self, price: Array) -> float:
        """Return the least that it would pay, (couplings,) prices included, if all powers were its.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        cost = self._cost.copy()
        cost[self._exchanged] += self._sign * self._weight * price
        programme = self._programme
        return replace(programme, numbers=replace(programme.numbers, cost=cost)).solve().objective

    def _quadratic(self) -> Any:
        """Return P of cost = x P x / 2 + ..., (columns, columns)."""
        diagonal = self._rho * self._weight
        shape = (len(self._cost), len(self._cost))
        return sparse.csc_matrix((diagonal, (self._exchanged, self._exchanged)), shape=shape)

    def _set_up(self) -> None:
        """Hand everything over once; PIQP wants equations and inequalities apart."""
        n, rows = self._programme.numbers, sparse.csr_matrix(self._programme.matrix)
        equal = n.row_lower == n.row_upper
        bounded = ~equal & (np.isfinite(n.row_lower) | np.isfinite(n.row_upper))
        self._solver.setup(
            self._quadratic(),
            self._cost,
            rows[equal].tocsc(),
            n.row_lower[equal],
            rows[bounded].tocsc(),
            n.row_lower[bounded],
            n.row_upper[bounded],
            n.lower,
            n.upper,
        )


@dataclass(frozen=True)
class Residuals:
    """One round.

    Attributes:
        number: 0-based.
        primal_kw: by how much the parties' powers differ.
        dual_per_kwh: by how much the operator's prices are off.
        primal: relative.
        dual: relative.
        rho: currency per kWh and kW.
        time_s: since the start, s.
    """

    number: int
    primal_kw: float
    dual_per_kwh: float
    primal: float
    dual: float
    rho: float
    time_s: float


class Agreement(NamedTuple):
    """Where a negotiation ended.

    Attributes:
        price: (couplings,) currency per kWh.
        offered_kw: (couplings,) the operator's powers.
        taken_kw: (couplings,) the members'.
        trace: one entry per round.
    """

    price: Array
    offered_kw: Array
    taken_kw: Array
    trace: tuple[Residuals, ...]


class Round(NamedTuple):
    """What has been said after a round.

    Attributes:
        price: (couplings,) currency per kWh.
        offered_kw: (couplings,) the operator's powers.
        taken_kw: (couplings,) the members'.
        residuals: by how much the parties differ.
    """

    price: Array
    offered_kw: Array
    taken_kw: Array
    residuals: Residuals


def negotiate(
    operator: Party,
    members: Sequence[Party],
    weights: Sequence[Array],
    stop: Stop = STOP,
    penalty: Penalty = PLAIN,
) -> Agreement:
    """Let an operator and members find powers and prices.

    Args:
        operator: is told the couplings of all members, one member after the other.
        members: each is told its own.
        weights: of each member's couplings in the residuals, (couplings,).
        stop: when to end; its gap is that of both relative residuals.
        penalty: how disagreement is weighed.

    Raises:
        SolverError: a party found no optimum.
    """
    return ended(rounds(operator, members, weights, penalty), stop)


def ended(said: Iterable[Round], stop: Stop) -> Agreement:
    """Return where rounds end that go on until the parties agree, or for as long as is allowed."""
    trace: list[Residuals] = []
    for number, last in enumerate(said, start=1):
        found = last.residuals
        trace.append(found)
        agreed = max(found.primal, found.dual) <= stop.gap
        if agreed or found.time_s > stop.time_s or number >= stop.iterations:
            break
    return Agreement(last.price, last.offered_kw, last.taken_kw, tuple(trace))


def rounds(
    operator: Party,
    members: Sequence[Party],
    weights: Sequence[Array],
    penalty: Penalty = PLAIN,
    start: Round | None = None,
) -> Iterator[Round]:
    """Yield round after round, without end.

    Args:
        operator: as in `negotiate`.
        members: likewise.
        weights: likewise.
        penalty: likewise.
        start: what was said last where the parties have talked before; else they begin at 0.

    Raises:
        SolverError: a party found no optimum.
    """
    began = time.perf_counter()
    weight = np.concatenate(weights) / np.concatenate(weights).sum()
    ends = np.cumsum([len(w) for w in weights])[:-1]
    nothing = np.zeros_like(weight)
    price, taken = (nothing, nothing) if start is None else (start.price, start.taken_kw)
    rho = penalty.rho

    def size(values: Array) -> float:
        return float(np.sqrt(weight @ values**2))

    for number in count():
        offered = operator.answer(Terms(price, taken, rho))
        before, shown = taken, penalty.relaxation * offered + (1.0 - penalty.relaxation) * taken
        told = zip(members, np.split(price, ends), np.split(shown, ends), strict=True)
        taken = np.concatenate([member.answer(Terms(p, h, rho)) for member, p, h in told])
        price = price + rho * (taken - shown)
        primal, dual = size(offered - taken), rho * size(taken - before)
        relative = primal / max(size(offered), size(taken), LEAST_KW)
        relative_dual = dual / max(size(price), LEAST_PER_KWH)
        spent = time.perf_counter() - began
        residuals = Residuals(number, primal, dual, relative, relative_dual, rho, spent)
        yield Round(price, offered, taken, residuals)
        if number < penalty.settled:
            rho *= change_of_rho(relative, relative_dual, penalty.factor)


def change_of_rho(primal: float, dual: float, factor: float) -> float:
    """Return by what rho is multiplied."""
    if primal > APART * dual:
        return factor
    return 1.0 / factor if dual > APART * primal else 1.0
