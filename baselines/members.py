"""A member of a divided day: what it is asked, and what it answers.

With h[s, t] the net power given to the member in scenario s and hour t, and V[s](h) what its own
devices then cost at best, it answers V and the slope d V / d h, summed up as far as it tells of its
costs: by hour, by scenario, or as one number weighed by its own risk.

Source: our choice, see `compact_benders.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.highs import Answer
from baselines.partition import Piece
from baselines.risk import Risk

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Request:
    """What the operator asks of one member.

    Attributes:
        told: (scenarios, couplings) powers, kW: the net power given to the member in each hour,
            then what else it is asked for.
    """

    told: Array


@dataclass(frozen=True, eq=False)
class Offer:
    """What the member answers.

    Attributes:
        values: (groups,) what its devices cost, currency.
        slopes: (scenarios, couplings) by how much more per kW; weighted by the member's own
            risk where there is one group.
    """

    values: Array
    slopes: Array


Tell = Callable[[Array, Array], Offer]  # from costs by hour and slopes, of each scenario


class Member:
    """Keeps its devices, loads and prices to itself, and says what a request costs it."""

    def __init__(
        self, pieces: Sequence[Piece], hours: Sequence[Integers], steps: int, tell: Tell
    ) -> None:
        """Take the member's part in each scenario.

        Args:
            pieces: its programme in each scenario.
            hours: hour of each of its columns, in each scenario; `steps` where it spans several.
            steps: number of hours.
            tell: what it tells of its costs.
        """
        self._pieces = pieces
        self._hours = hours
        self._steps = steps
        self._tell = tell
        self._solvers = [piece.programme.solver() for piece in pieces]

    def respond(self, request: Request) -> Offer:
        """Return what a request costs.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        costs, slopes = [], []
        for k, piece in enumerate(self._pieces):
            answer = self._answer(k, request)
            paid = piece.programme.numbers.cost * answer.x
            costs.append(np.bincount(self._hours[k], paid, self._steps + 1))
            slopes.append(-answer.row_dual[piece.coupled])
        return self._tell(np.array(costs), np.array(slopes))

    def schedule(self, request: Request) -> list[Array]:
        """Return how it meets a request in each scenario: its own affair, and for its own plans."""
        return [self._answer(k, request).x for k in range(len(self._pieces))]

    def _answer(self, scenario: int, request: Request) -> Answer:
        """Solve one scenario with what is told moved to the sides."""
        piece, told = self._pieces[scenario], request.told[scenario]
        n, at = piece.programme.numbers, piece.coupled
        self._solvers[scenario].set_sides(at, n.row_lower[at] - told, n.row_upper[at] - told)
        return self._solvers[scenario].solve_lp()


def tell_risk(probability: Array, risk: Risk) -> Tell:
    """Return how a member tells one number: its own risk."""

    def tell(costs: Array, slopes: Array) -> Offer:
        every = costs.sum(axis=1)
        weights = risk.weights(every, probability)
        return Offer(np.array([weights @ every]), weights[:, None] * slopes)

    return tell


def tell_scenarios(costs: Array, slopes: Array) -> Offer:
    """Tell the cost of each scenario."""
    return Offer(costs.sum(axis=1), slopes)


def tell_hours(costs: Array, slopes: Array) -> Offer:
    """Tell the cost of each hour of each scenario; none spans several."""
    return Offer(costs[:, :-1].ravel(), slopes)
