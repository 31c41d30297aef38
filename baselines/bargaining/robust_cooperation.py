"""The robust cooperative chain: worst cases within ADMM within a bargain.

Each participant p has R_p(y), the least expected cost of its worst cases where it does y in the
common rows (`robust_parts`). The chain is ::

    1  B_p = R_p(0), alone, by column and constraint generation with proof
    2  y, price: min sum_p R_p(y[p]) with common rows kept and commitments relaxed, by ADMM in which
       each participant keeps its worst cases from round to round (`robust_party`)
    3  y moved until it balances, and fixed
    4  C_p = R_p(y[p]) with commitments decided, by column and constraint generation with proof
    5  the bargain over B and C

At the prices of step 2, what all would pay against the cases that they know if they need not agree
is a lower bound of the robust optimum. R_p(y[p]) with commitments relaxed, summed up, is an upper
bound of the relaxed one, if their worst is proven; what step 4 pays above it is the loss of fixing
the exchange and deciding commitments apart.

All have the community's probabilities of scenes, also alone; else savings would compare two laws.

Directions are not decided: the recourse is linear, as in `robust_day`. The expected day costs what
the worst of no deviation costs, so participants without uncertainty, such as the storage, have one
case per scene.

Source: Bian & Ji 2025, sections 4.2 and 4.3 (the chain); rho and what is kept are our choice.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.bargain import Bargain, uniform
from baselines.bargaining.carrying_out import balanced
from baselines.bargaining.cooperation import Cooperation, common_price, in_parallel, lower_bound
from baselines.bargaining.robust_parts import Community
from baselines.bargaining.robust_party import RobustParty
from baselines.bargaining.robust_proof import PROOF, Prover
from baselines.negotiation import Penalty, Residuals, Round
from baselines.robust.column_generation import Robust
from baselines.solution import Stop

Array = NDArray[np.float64]

ROBUST: Final = Penalty(rho=3e-4, relaxation=1.6)
"""Chosen on `s1_3mg`, where the bounds of the agreement close later with .001 or .0005."""
RESIDUAL: Final = Stop(gap=3e-3, iterations=60, time_s=np.inf)


class Effort(NamedTuple):
    """What the agreement took.

    Attributes:
        answers: how often each participant answered terms, (participants,).
        asked: how many scenes its adversary was asked about, (participants,).
        cases: how many cases it knows in the end, (participants,).
        looks: how often all looked for worse cases because they had nearly agreed.
    """

    answers: tuple[int, ...]
    asked: tuple[int, ...]
    cases: tuple[int, ...]
    looks: int


class Seconds(NamedTuple):
    """Time of each step, s: alone, agreement, relaxed bounds, decided, all."""

    alone: float
    agreement: float
    bounds: float
    decided: float

    @property
    def total(self) -> float:
        """Time of the chain, s."""
        return sum(self)


@dataclass(frozen=True, eq=False)
class RobustCooperation:
    """What came of the chain.

    Attributes:
        alone: (participants,) what each would do where nobody trades.
        agreed: prices, what is exchanged, and the trace of the agreement.
        lower: bound of the robust optimum of all together, currency.
        relaxed: (participants,) what each pays for what is exchanged, with commitments relaxed; the
            worst is looked for by alternation, which proves nothing.
        decided: (participants,) what each does at last.
        effort: of the agreement.
        seconds: of each step.
    """

    alone: tuple[Robust, ...]
    agreed: Cooperation
    lower: float
    relaxed: Array
    decided: tuple[Robust, ...]
    effort: Effort
    seconds: Seconds

    @property
    def disagreement(self) -> Array:
        """What each pays at its worst where nobody trades, (participants,), currency."""
        return np.array([own.upper for own in self.alone])

    @property
    def cooperation(self) -> Array:
        """What each pays at its worst before anything is settled, (participants,), currency."""
        return np.array([own.upper for own in self.decided])

    @property
    def loss(self) -> float:
        """What deciding commitments apart, with the exchange fixed, costs above the relaxation.

        It holds what is not proven of the relaxed costs, and the gap of those decided, too.
        """
        return float(self.cooperation.sum() - self.relaxed.sum())

    def bargain(self, power: Array | None = None) -> Bargain:
        """Return how participants share what cooperation saves; equally unless powers are told."""
        powers = uniform(len(self.decided)) if power is None else power
        return Bargain(self.disagreement, self.cooperation, powers)


def cooperate_robustly(
    community: Community,
    stop: Stop = RESIDUAL,
    proof: Stop = PROOF,
    penalty: Penalty = ROBUST,
    threads: int = 2,
) -> RobustCooperation:
    """Run the chain.

    Args:
        community: whose day it is.
        stop: of the agreement; its gap is that of both relative residuals.
        proof: of column and constraint generation, of each participant alone.
        penalty: how disagreement is weighed.
        threads: participants in parallel, but for the agreement.

    Raises:
        SolverError: a participant found no optimum.
    """
    form, parts = community.form, community.parts
    clock, apart = _Clock(), partial(_each, threads)
    provers = [Prover(part, proof) for part in parts]
    nothing = [np.zeros(len(part.exchanged)) for part in parts]
    unknown = [[()] * len(part.problem.scenes) for part in parts]
    alone = apart(provers, nothing, unknown, relaxed=False)
    alone_s = clock.lap()
    parties = [
        RobustParty(part, form.system.dt_h, own.cases)
        for part, own in zip(parts, alone, strict=True)
    ]
    agreed, looks = agree(community, parties, stop, penalty)
    agreement_s = clock.lap()
    lower = lower_bound(form, [party.agent for party in parties], agreed.price)
    cases = [party.cases for party in parties]
    relaxed = apart(provers, agreed.exchanged, cases, relaxed=True)
    bounds_s = clock.lap()
    worst = [[(z,) for z in own.worst] for own in relaxed]
    decided = apart(provers, agreed.exchanged, worst, relaxed=False)
    effort = Effort(
        tuple(party.answers for party in parties),
        tuple(party.asked for party in parties),
        tuple(party.count for party in parties),
        looks,
    )
    return RobustCooperation(
        alone,
        agreed,
        lower,
        np.array([own.upper for own in relaxed]),
        decided,
        effort,
        Seconds(alone_s, agreement_s, bounds_s, clock.lap()),
    )


def agree(
    community: Community,
    parties: Sequence[RobustParty],
    stop: Stop = RESIDUAL,
    penalty: Penalty = ROBUST,
) -> tuple[Cooperation, int]:
    """Agree in parallel, until nobody finds a worse case of what has been agreed.

    Args:
        community: whose day it is.
        parties: its participants; they learn.
        stop: its gap is that of both relative residuals.
        penalty: how disagreement is weighed.

    Returns:
        What was agreed, and how often all looked for worse cases because they had nearly agreed.

    Raises:
        SolverError: a participant found no optimum.
    """
    form = community.form
    trace: list[Residuals] = []
    looks = 0
    for last in _until(in_parallel(form, parties, penalty), stop):
        trace.append(last.residuals)
        if _near(last.residuals, stop.gap):
            looks += 1
            if not any([party.look() for party in parties]):
                break
    price = common_price(form, last.price)
    return Cooperation(price, balanced(form, last.offered_kw), tuple(trace)), looks


def _near(residuals: Residuals, gap: float) -> bool:
    """Return whether participants have agreed."""
    return max(residuals.primal, residuals.dual) <= gap


def _until(rounds: Iterator[Round], stop: Stop) -> Iterator[Round]:
    """Yield rounds for as long as is allowed."""
    for last in rounds:
        yield last
        if last.residuals.number + 1 >= stop.iterations or last.residuals.time_s > stop.time_s:
            return


def _each(
    threads: int,
    provers: Sequence[Prover],
    exchanged: Sequence[Array],
    cases: Sequence[Sequence[Sequence[Array]]],
    relaxed: bool,
) -> tuple[Robust, ...]:
    """Return each participant's best."""
    with ThreadPoolExecutor(threads) as pool:
        return tuple(pool.map(Prover.run, provers, exchanged, cases, [relaxed] * len(provers)))


class _Clock:
    """Time from lap to lap."""

    def __init__(self) -> None:
        """Start."""
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Return the time since the last lap, s."""
        before, self._last = self._last, time.perf_counter()
        return self._last - before
