"""The cooperative day of `mmg reproduce s1`, all hours known: who agrees to what, and how fast.

Source: the questions are those of Bian & Ji 2025; sizes and profiles are our choice.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from time import perf_counter
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.bargain import (
    Bargain,
    by_contribution,
    by_marginal,
    by_shapley,
    uniform,
)
from baselines.bargaining.carrying_out import balanced, exactly, upper_cost
from baselines.bargaining.coalition import Coalition, coalition_of, costs_of
from baselines.bargaining.cooperation import (
    BEST,
    PAPER,
    agents_of,
    common_price,
    cooperate,
    in_parallel,
    in_turns,
)
from baselines.negotiation import Penalty, Residuals, Round
from mmg_env.layout import F
from mmg_env.splits import nominal_episode
from mmg_env.system import System, load_system
from mmg_env.trajectory import Trajectory, simulate

Array = NDArray[np.float64]

CLOSE: Final = 1e-4
"""Repaired cost above that of the central programme, relative, that counts as found."""
PLAIN: Final = "in turns, rho .01 (the paper's)"
ADAPTIVE: Final = "in turns, rho adapts"
PARALLEL: Final = "in parallel, rho .001, relaxed"
MANNERS: Final[Mapping[str, Penalty]] = {
    PLAIN: PAPER,
    ADAPTIVE: Penalty(rho=PAPER.rho, factor=2.0),
    PARALLEL: BEST,
}
"""In which manner participants agree."""

UNIFORM: Final = "uniform"
CONTRIBUTION: Final = "contribution"
MARGINAL: Final = "marginal"
SHAPLEY: Final = "Shapley"
SHOWN: Final = CONTRIBUTION
"""The paper's bargaining powers: those of the costs that stand beside its own."""


class Day(NamedTuple):
    """A cooperative day.

    Attributes:
        alone: (participants,) cost where nobody trades, currency.
        cooperation: (participants,) cost in cooperation before anything is settled.
        central: cost of the best plan of all, found at once.
        relaxed: the same with commitments and directions relaxed.
        at_exchange: cost at the agreed exchange, everything else relaxed.
        replayed: cost of the agreed plan as the simulator has it.
        lived: what happens.
        powers: (participants,) bargaining powers by name.
        coalitions: cost of all where some cooperate, relaxed, by who they are.
        rounds: of the agreement.
        seconds: of the agreement; of everyone's own best at it, commitments included.
    """

    alone: Array
    cooperation: Array
    central: float
    relaxed: float
    at_exchange: float
    replayed: float
    lived: Trajectory
    powers: Mapping[str, Array]
    coalitions: Mapping[frozenset[int], float]
    rounds: int
    seconds: tuple[float, float]

    @property
    def names(self) -> tuple[str, ...]:
        """The participants' names."""
        return self.lived.system.participants

    def bargain(self, power: str = SHOWN) -> Bargain:
        """Return what everyone pays in the end."""
        return Bargain(self.alone, self.cooperation, self.powers[power])


class Curve(NamedTuple):
    """How participants came to agree.

    Attributes:
        residuals: of every round.
        above: cost of what was said, balanced, above the central programme's, relative; by round.
    """

    residuals: tuple[Residuals, ...]
    above: Array

    def first(self, close: float = CLOSE) -> int | None:
        """Return the first round after which the cost stays as close, 1-based; None if none."""
        far = np.flatnonzero(self.above > close)
        begin = int(far[-1]) + 1 if len(far) else 0
        return begin + 1 if begin < len(self.above) else None

    def stopped(self, residual_kw: float) -> int | None:
        """Return the first round whose residual of powers is as small, 1-based; None if none."""
        kw = np.array([at.primal_kw for at in self.residuals])
        small = np.flatnonzero(kw <= residual_kw)
        return int(small[0]) + 1 if len(small) else None


@lru_cache(maxsize=4)
def system_of(name: str) -> System:
    """Return a system as it ships."""
    return load_system(name)


@lru_cache(maxsize=4)
def coalition_named(name: str) -> Coalition:
    """Return the nominal day of a system, divided among its participants."""
    system = system_of(name)
    return coalition_of(system, nominal_episode(system))


@lru_cache(maxsize=4)
def cooperative_day(name: str) -> Day:
    """Return the nominal day of a system, agreed upon in parallel."""
    system, coalition = system_of(name), coalition_named(name)
    everyone = frozenset(range(len(system.participants)))
    alone = costs_of(coalition.plan(coalition.solve(frozenset())))
    central = coalition.plan(coalition.solve(everyone)).cost
    agents = agents_of(coalition)
    began = perf_counter()
    agreed = cooperate(coalition, agents)
    said = perf_counter()
    plan = coalition.plan(exactly(coalition, agreed.exchanged, agreed.price))
    seconds = said - began, perf_counter() - said
    lived = simulate(system, nominal_episode(system), plan.requests)
    coalitions = _coalitions(coalition, everyone)
    return Day(
        alone,
        costs_of(plan),
        central,
        coalitions[everyone],
        upper_cost(coalition, agreed.exchanged, agreed.price),
        lived.cost,
        lived,
        _powers(lived, coalitions),
        coalitions,
        len(agreed.trace),
        seconds,
    )


def _coalitions(coalition: Coalition, everyone: frozenset[int]) -> dict[frozenset[int], float]:
    """Return the relaxed cost of all where some cooperate."""
    return {some: coalition.relaxed_cost(some) for some in _subsets(sorted(everyone))}


def _subsets(items: Sequence[int]) -> Iterator[frozenset[int]]:
    """Yield all subsets."""
    for number in range(2 ** len(items)):
        yield frozenset(item for k, item in enumerate(items) if number >> k & 1)


def _powers(lived: Trajectory, coalitions: Mapping[frozenset[int], float]) -> dict[str, Array]:
    """Return bargaining powers by name."""
    count, dt_h = len(lived.system.participants), lived.system.dt_h
    supplied, received = (
        dt_h * lived.flow(flow).sum(axis=0) for flow in (F.sent_kw, F.received_kw)
    )

    def saving(present: frozenset[int]) -> float:
        return coalitions[frozenset()] - coalitions[present]

    return {
        UNIFORM: uniform(count),
        CONTRIBUTION: by_contribution(supplied, received),
        MARGINAL: by_marginal(count, saving),
        SHAPLEY: by_shapley(count, saving),
    }


def curve(name: str, manner: str, rounds: int) -> Curve:
    """Return how the participants of a system's nominal day come to agree.

    Args:
        name: of the system.
        manner: one of `MANNERS`.
        rounds: how many.
    """
    coalition, penalty = coalition_named(name), MANNERS[manner]
    agents = agents_of(coalition)
    talk = in_parallel if penalty == BEST else in_turns
    central = coalition.relaxed_cost(frozenset(range(len(agents))))
    said: list[Round] = list(islice(talk(coalition, agents, penalty), rounds))
    costs = np.array([_cost_of(coalition, r) for r in said])
    return Curve(tuple(r.residuals for r in said), np.maximum(costs / central - 1.0, 0.0))


def _cost_of(coalition: Coalition, said: Round) -> float:
    """Return the cost of what was said in a round, balanced, all relaxed, currency."""
    price = common_price(coalition, said.price)
    return upper_cost(coalition, balanced(coalition, said.offered_kw), price)
