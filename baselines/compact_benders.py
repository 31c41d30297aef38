"""Commitments by cuts that tell of a member no more than what an exchange is worth to it.

The storage's operator decides rent, pool, storage and market; it is the master. Each member n is a
subproblem. All that passes between them, in scenario s and hour t, is ::

    operator -> member:  h[n, s, t]              net power given to the member, kW
    member -> operator:  value, d value / d h    what its own devices then cost at best

Loads, renewables, and what a member's devices can do and cost are never sent, and the operator
holds none of it. It knows what it has agreed with members, links and rents; where the community
also nominates its exchange with the grid, it asks for the member's import less export as well, and
knows the grid links. Silence is not secrecy: a slope is a price at the margin, often the tariff
itself, and what an exchange is worth bends where the member begins to buy. Where bounds meet, many
of the powers asked for are net loads, with `scenario` as with `hour`.

Three kinds of cuts, from few to many:

- `single`: one per member; its risk is its own, and only a weighted slope leaves it;
- `scenario`: one per member and scenario; the operator weighs the community's risk;
- `hour`: one per member, scenario and hour, where nothing but the flexible load ties a member's
  hours together. Its shift becomes part of what the operator asks for, who knows its limits.

Elastic balances (shedding, spilling) make every request feasible, so there are no feasibility cuts.
The first request is to exchange nothing.

Source: the idea of a compact decomposition between storage and houses is Bayat et al. 2026's; they
do not publish its form, which is our choice.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.cuts import HALFWAY, Closed, Cuts, Cutting, Separation, close
from baselines.day_ahead import DayAhead
from baselines.division import Kind, Split, divide
from baselines.highs import InfeasibleError
from baselines.members import Member, Offer, Request
from baselines.programme import Programme, widened
from baselines.risk import NEUTRAL, Risk, weigh
from baselines.solution import Stop
from mmg_env.errors import InputError

Array = NDArray[np.float64]

STOP: Final = Stop(gap=1e-6, iterations=300, time_s=np.inf)
ALL_THE_WAY: Final = Separation(1.0)


class Operator:
    """The master: decides what ties participants together, and learns from offers what that costs.

    Attributes:
        decisions: number of its decisions, which stand before the thetas.
        theta: (groups,) columns that stand for what the groups of all members cost.
        solver: holds the programme; receives the cuts.
    """

    def __init__(self, problem: Split, risk: Risk) -> None:
        """Take the operator's part of a divided problem."""
        # Of the members' parts it keeps nothing.
        self._split = replace(problem, parts=replace(problem.parts, pieces=()), members=())
        self._risk = risk
        self.decisions = problem.parts.master.matrix.shape[1]
        self.theta = self.decisions + np.arange(len(problem.scenario_of_group))
        self._costs = problem.operator_costs
        self.solver = self._master().solver()

    def _master(self) -> Programme:
        """Return the master with a theta per group of every member."""
        split, count = self._split, len(self.theta)
        free = np.full(count, np.inf)
        wide = widened(split.parts.master, -free, free, np.zeros(count))
        in_scenario = split.scenario_of_group >= 0
        at = (split.scenario_of_group[in_scenario], np.flatnonzero(in_scenario))
        shape = (len(split.probability), count)
        thetas = sparse.csr_array((np.ones(int(in_scenario.sum())), at), shape=shape)
        costs = sparse.hstack([self._costs, thetas], format="csr")
        whole = weigh(wide, costs, split.offsets, split.probability, self._risk)
        cost = whole.numbers.cost.copy()
        cost[self.theta[~in_scenario]] = 1.0  # a member's own risk is weighed already
        return replace(whole, numbers=replace(whole.numbers, cost=cost))

    def start(self) -> Array:
        """Return what it would do if nothing were exchanged, nor anything else asked.

        Where it must ask for something, it does as if what it asks for cost nothing.
        """
        master = self._split.parts.master
        if not self.decisions:
            return np.zeros(0)  # HiGHS solves nothing that is empty: no member has to do with it
        asked = np.unique(np.concatenate([told.indices for told in self._split.told]))
        n = master.numbers
        lower, upper = n.lower.copy(), n.upper.copy()
        lower[asked] = upper[asked] = np.clip(0.0, lower[asked], upper[asked])
        apart = replace(master, numbers=replace(n, lower=lower, upper=upper))
        try:
            return apart.solve().x
        except InfeasibleError:
            return master.solve().x

    def request(self, member: int, x: Array) -> Request:
        """Return what its decisions ask of a member."""
        n, scenarios = self._split.parts.master.numbers, len(self._split.probability)
        within = np.clip(x, n.lower, n.upper)  # the solver leaves bounds by rounding
        return Request((self._split.told[member] @ within).reshape(scenarios, -1))

    def paid(self, x: Array, values: Array) -> float:
        """Return the risk of all costs, given its decisions and the members' answers."""
        split = self._split
        costs = self._costs @ x + split.offsets
        own = split.scenario_of_group < 0
        np.add.at(costs, split.scenario_of_group[~own], values[~own])
        return self._risk.of(costs, split.probability) + float(values[own].sum())

    def cuts(self, offers: Sequence[Offer]) -> Cuts:
        """Return what the offers say about its decisions."""
        slopes = [
            sparse.csr_array(
                (offer.slopes.ravel(), (group, np.arange(len(group)))),
                shape=(len(offer.values), len(group)),
            )
            @ told
            for offer, group, told in zip(offers, self._split.groups, self._split.told, strict=True)
        ]
        values = np.concatenate([offer.values for offer in offers])
        return Cuts(values, sparse.vstack(slopes, format="csr"))


def separation_for(kind: Kind) -> Separation:
    """Return where cuts of a kind are best taken: the more there are, the less they jump about."""
    return ALL_THE_WAY if kind == "hour" else HALFWAY


def benders(
    problem: DayAhead,
    kind: Kind = "scenario",
    risk: Risk = NEUTRAL,
    stop: Stop = STOP,
    separation: Separation = HALFWAY,
    threads: int = 1,
) -> tuple[Closed, Operator, Split]:
    """Solve a day-ahead problem by cuts.

    Args:
        problem: the day's problem.
        kind: of cuts.
        risk: of the community; of each party alone with `single`.
        stop: when to end.
        separation: where to cut.
        threads: how many members answer at a time; what is found does not depend on it.

    Raises:
        InputError: `hour` is asked for, and more than flexible load ties hours together; or
            threads is below 1.
        SolverError: HiGHS proved no optimum.
    """
    if threads < 1:
        raise InputError(f"benders: threads is {threads}; it must be at least 1")
    split = divide(problem, kind, risk)
    operator = Operator(split, risk)

    with ThreadPoolExecutor(threads) as pool:
        ask = pool.map if threads > 1 else map

        def respond(x: Array) -> Cuts:
            requests = [operator.request(n, x) for n in range(len(split.members))]
            return operator.cuts(list(ask(Member.respond, split.members, requests)))

        cutting = Cutting(operator.solver, operator.theta, respond, operator.paid)
        found = close(cutting, operator.start(), stop, separation)
    return found, operator, split
