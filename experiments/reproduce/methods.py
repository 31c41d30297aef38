"""What solves the day that storage and houses plan together, how fast, and what it is worth.

Every method solves the same day: cuts round by round, with risk; negotiation price by price,
without. With `single` each house weighs its own risk, so it is measured against the optimum of that
problem.

Source: our choice; the methods are those of `baselines.compact_benders`, `baselines.exchange_admm`
and `baselines.value_of_information`.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.compact_benders import benders, separation_for
from baselines.day_ahead import with_risk
from baselines.division import Kind
from baselines.exchange_admm import exchange, posted_prices
from baselines.highs import SolverError
from baselines.negotiation import Residuals
from baselines.risk import NEUTRAL
from baselines.solution import Iteration, Stop
from baselines.value_of_information import Point, Worth, frontier, worth
from experiments.reproduce.cases import RISK, case_system, futures, known, problem_of

Array = NDArray[np.float64]

GAP: Final = 1e-6
AGREED: Final = 1e-4  # relative residuals at which a negotiation ends
BETAS: Final = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


class Convergence(NamedTuple):
    """How cuts of one kind closed.

    Attributes:
        kind: of cuts.
        trace: one entry per round.
        optimum: of the extensive form with the same risk, currency.
    """

    kind: Kind
    trace: tuple[Iteration, ...]
    optimum: float

    @property
    def lower(self) -> float:
        """Last lower bound, currency."""
        return self.trace[-1].lower

    @property
    def upper(self) -> float:
        """Last upper bound, currency."""
        return self.trace[-1].upper

    @property
    def gap(self) -> float:
        """Relative distance of the bounds; 0 where rounding has them crossed."""
        return max(0.0, self.upper - self.lower) / max(1.0, abs(self.upper))

    @property
    def off(self) -> float:
        """By how much the best plan costs more than the optimum, relative, to 12 decimals."""
        return round((self.upper - self.optimum) / max(1.0, abs(self.optimum)), 12) + 0.0

    @property
    def closed(self) -> bool:
        """Whether the bounds have met."""
        return self.gap <= GAP


class Negotiated(NamedTuple):
    """Where a negotiation ended.

    Attributes:
        trace: one entry per round; empty where a party found no optimum.
        cost: of what was agreed, currency; an upper bound of the optimum.
        bound: what the prices prove, currency.
        optimum: of the extensive form, currency.
        prices: (members, steps) expected over scenarios, currency per kWh.
        posted: (steps,) what the posted rule says, by partner.
        failure: what went wrong; empty where nothing did.
    """

    trace: tuple[Residuals, ...]
    cost: float
    bound: float
    optimum: float
    prices: Array
    posted: dict[str, Array]
    failure: str = ""

    @property
    def agreed(self) -> bool:
        """Whether the parties agreed before rounds or time were over."""
        return bool(self.trace) and max(self.trace[-1].primal, self.trace[-1].dual) <= AGREED


class Knowledge(NamedTuple):
    """What scenarios and their bad end are worth on a day."""

    worth: Worth
    frontier: tuple[Point, ...]


def converge(kind: Kind, day: int, scenarios: int, rounds: int, time_s: float) -> Convergence:
    """Solve a day by cuts of one kind.

    Args:
        kind: of cuts.
        day: number of the test episode.
        scenarios: how many are planned for.
        rounds: most of them.
        time_s: longest time, s.
    """
    problem = problem_of(case_system({}), day, scenarios)
    separation = separation_for(kind)
    found, _, _ = benders(problem, kind, RISK, Stop(GAP, rounds, time_s), separation)
    optimum = with_risk(problem, RISK, by_party=kind == "single").solve().objective
    return Convergence(kind, found.trace, optimum)


def bargain(day: int, scenarios: int, rounds: int, time_s: float) -> Negotiated:
    """Let storage and houses agree on a day's powers and prices, without risk.

    Args:
        day: number of the test episode.
        scenarios: how many are planned for.
        rounds: most of them.
        time_s: longest time, s.
    """
    problem = problem_of(case_system({}), day, scenarios)
    optimum, posted = problem.form.solve().objective, posted_prices(problem)
    try:
        found = exchange(problem, NEUTRAL, Stop(AGREED, rounds, time_s))
    except SolverError as error:
        nothing = np.zeros((0, problem.compiled.steps))
        return Negotiated((), np.nan, np.nan, optimum, nothing, posted, str(error))
    return Negotiated(
        found.trace, found.cost, found.bound, optimum, found.expected_prices.copy(), posted
    )


def weigh_up(day: int, scenarios: int) -> Knowledge:
    """Return what it is worth to plan a day for scenarios, and the frontier of mean and CVaR.

    Args:
        day: number of the test episode.
        scenarios: how many are planned for.
    """
    system = case_system({})
    public = known(system, day)
    found = worth(public, futures(public, day, scenarios))
    problem = problem_of(system, day, scenarios)
    return Knowledge(found, tuple(frontier(problem, BETAS, RISK.alpha)))
