"""Commitments that storage and members negotiate, and the transactive prices of it.

Who decides what is that of `compact_benders`: rent, pool, storage and market are the operator's,
all else of a member is the member's. They agree on ::

    h[n, s, t] = g[n, s, t]     net power given to member n in scenario s and hour t, kW

and what passes between them is these powers, as either side would have them, and prices, currency
per kWh. A power weighs as many hours as it is expected to flow: p_s dt. So prices are per kWh
whatever the scenario's probability. Where a community also nominates its exchange with the grid,
what a member imports less what it exports has a price, too.

In the end the operator's powers stand and each member does with them what is best, which is always
possible: shedding and spilling are. So the cost of what is returned is an upper bound. The prices
give a lower one.

Each party weighs its own risk. With risk, a price includes by how much its scenario is feared.

Source: our choice; Boyd et al. 2011 is how they agree (`negotiation`), Bayat et al. 2026 have the
idea of transactive prices inside the community.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Numbers, Sparse
from baselines.day_ahead import DayAhead
from baselines.division import Split, divide
from baselines.members import Request
from baselines.negotiation import ADAPTIVE, STOP, Agent, Penalty, Residuals, negotiate
from baselines.partition import Piece
from baselines.programme import Programme, lengthened, numbers_of, widened
from baselines.risk import NEUTRAL, Risk, weigh
from baselines.solution import Stop
from mmg_env.layout import MEMBER_SERIES, W, X

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Exchange:
    """What was agreed.

    Attributes:
        x: (operator's columns,) what the operator does.
        powers_kw: (members, scenarios, steps) net power given to each member.
        prices: (members, scenarios, steps) what it pays for it, currency per kWh; NaN where it has
            no link.
        probability: (scenarios,).
        cost: of all parties together, currency; an upper bound of the optimum.
        bound: what they would pay at these prices if they need not agree, currency; a lower bound.
        trace: one entry per round.
    """

    x: Array
    powers_kw: Array
    prices: Array
    probability: Array
    cost: float
    bound: float
    trace: tuple[Residuals, ...]

    def __post_init__(self) -> None:
        """Freeze the arrays."""
        for array in (self.x, self.powers_kw, self.prices, self.probability):
            array.flags.writeable = False

    @property
    def iterations(self) -> int:
        """Number of rounds."""
        return len(self.trace)

    @property
    def expected_prices(self) -> Array:
        """Prices over all scenarios, (members, steps), currency per kWh."""
        return np.asarray(np.einsum("s,nst->nt", self.probability, self.prices))


def exchange(
    problem: DayAhead, risk: Risk = NEUTRAL, stop: Stop = STOP, penalty: Penalty = ADAPTIVE
) -> Exchange:
    """Solve a day-ahead problem by negotiation.

    Args:
        problem: the day's problem.
        risk: of each party alone.
        stop: when to end.
        penalty: how disagreement is weighed.

    Raises:
        SolverError: a party found no optimum.
    """
    split = divide(problem, "scenario", NEUTRAL)
    operator, members, weights = agents(problem, split, risk)
    found = negotiate(operator, members, weights, stop, penalty)
    x = operator.x[: split.parts.master.matrix.shape[1]].copy()
    ends = np.cumsum([len(w) for w in weights])[:-1]
    return Exchange(
        x,
        _by_step(problem, split, np.split(found.offered_kw, ends)),
        _by_step(problem, split, np.split(found.price, ends)),
        split.probability.copy(),
        repaired_cost(split, x, risk),
        _bound(operator, members, np.split(found.price, ends)),
        found.trace,
    )


def agents(problem: DayAhead, split: Split, risk: Risk) -> tuple[Agent, list[Agent], list[Array]]:
    """Return the operator, the members, and the weights of each member's couplings, h."""
    dt_h, scenarios = float(problem.system.physics.world[W.dt_h]), len(split.probability)
    weights = [
        np.repeat(dt_h * split.probability, told.shape[0] // scenarios) for told in split.told
    ]
    pieces = [split.parts.pieces[n * scenarios :][:scenarios] for n in range(len(split.told))]
    # A member's link is its own to know; it bounds what it can be given.
    n, own = split.parts.master.numbers, zip(pieces, split.told, weights, strict=True)
    members = [
        Agent(*_member(mine, _range(told, n), split.probability, risk), weight, 1.0)
        for mine, told, weight in own
    ]
    return Agent(*_operator(split, risk), np.concatenate(weights), -1.0), members, weights


def _operator(split: Split, risk: Risk) -> tuple[Programme, Integers]:
    """Return the operator's programme, what it gives as columns at its end, and these columns."""
    told = sparse.vstack(split.told, format="csr")
    priced = weigh(split.parts.master, split.operator_costs, split.offsets, split.probability, risk)
    width, count = priced.matrix.shape[1], told.shape[0]
    free = np.full(count, np.inf)
    wide = widened(priced, -free, free, np.zeros(count))
    spare = sparse.csr_array((count, width - told.shape[1]))
    rows = sparse.hstack([told, spare, -sparse.eye_array(count)], format="csr")
    return lengthened(wide, rows, np.zeros(count), np.zeros(count)), width + np.arange(count)


def _range(sums: Sparse, n: Numbers) -> tuple[Array, Array]:
    """Return the least and most that sums of columns can be by their bounds alone, (sums,)."""
    up, down = sums.maximum(0), sums.minimum(0)
    return up @ n.lower + down @ n.upper, up @ n.upper + down @ n.lower


def _member(
    pieces: Sequence[Piece], given_kw: tuple[Array, Array], probability: Array, risk: Risk
) -> tuple[Programme, Integers]:
    """Return a member's programme over all scenarios, and its columns of what it is given.

    Args:
        pieces: its part in each scenario.
        given_kw: bounds of what it is given, (couplings,) each, kW.
        probability: (scenarios,).
        risk: its own.
    """
    own = [piece.programme for piece in pieces]
    first = np.cumsum([0, *(p.matrix.shape[0] for p in own)])[:-1]
    into = np.concatenate([at + piece.coupled for at, piece in zip(first, pieces, strict=True)])
    stacked: Sparse = sparse.block_diag([p.matrix for p in own], format="csr")
    count, width = len(into), stacked.shape[1]
    shape = (stacked.shape[0], count)
    given = sparse.csr_array((np.ones(count), (into, np.arange(count))), shape=shape)
    costs = sparse.block_diag([p.numbers.cost[None, :] for p in own])
    numbers = numbers_of(
        np.concatenate([*(p.lower for p in own), given_kw[0]]),
        np.concatenate([*(p.upper for p in own), given_kw[1]]),
        np.concatenate([p.row_lower for p in own]),
        np.concatenate([p.row_upper for p in own]),
        np.zeros(width + count),
    )
    matrix = sparse.hstack([stacked, given], format="csr")
    whole = Programme(f"member of {own[0].name}", matrix, numbers)
    none = sparse.csr_array((len(pieces), count))
    every = sparse.hstack([costs, none], format="csr")
    weighed = weigh(whole, every, np.zeros(len(pieces)), probability, risk)
    return weighed, width + np.arange(count)


def repaired_cost(split: Split, x: Array, risk: Risk) -> float:
    """Return what all parties pay where the operator's powers stand and each member makes the best.

    Args:
        split: the divided problem, one group per member and scenario.
        x: (operator's columns,) a solution of the operator's.
        risk: of each party alone.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    scenarios = len(split.probability)
    total = risk.of(split.operator_costs @ x + split.offsets, split.probability)
    for member, told in zip(split.members, split.told, strict=True):
        offer = member.respond(Request((told @ x).reshape(scenarios, -1)))
        total += risk.of(offer.values, split.probability)
    return total


def _bound(operator: Agent, members: Sequence[Agent], prices: Sequence[Array]) -> float:
    """Return what the parties would pay at best, if at these prices they need not agree."""
    apart = [member.least_cost(price) for member, price in zip(members, prices, strict=True)]
    return operator.least_cost(np.concatenate(prices)) + sum(apart)


def _by_step(problem: DayAhead, split: Split, values: Sequence[Array]) -> Array:
    """Return each member's couplings with its bus by scenario and step; NaN where there is none."""
    compiled, scenarios = problem.compiled, len(split.probability)
    families, family = compiled.rows
    found = np.full((len(values), scenarios, compiled.steps), np.nan)
    for n, own in enumerate(values):
        piece = split.parts.pieces[n * scenarios]
        rows = problem.form.row[piece.rows[piece.coupled]]
        bus = family[rows] == families.index("balance")
        found[n][:, compiled.row_step[rows[bus]]] = own.reshape(scenarios, -1)[:, bus]
    return found


def posted_prices(problem: DayAhead) -> dict[str, Array]:
    """Return what the rule `posted` would have a member pay or earn at its bus, by partner.

    Prices are posted per kWh delivered: who receives pays the network fee besides, and of what a
    member sends the pool loses part.

    Returns:
        (steps,) expected over scenarios, currency per kWh, of power `from_ces`, `to_ces`,
        `from_member` and `to_member`.
    """
    world = problem.system.physics.world
    column = len(MEMBER_SERIES) * len(problem.system.members) + X.price_buy
    buy = problem.form.probability @ problem.rows[:, :, column]
    fee, through = world[W.pool_fee_per_kwh], 1.0 - world[W.pool_loss]
    return {
        "from_ces": world[W.posted_ces_to_member] * buy + fee,
        "to_ces": world[W.posted_member_to_ces] * buy * through,
        "from_member": world[W.posted_member_to_member] * buy + fee,
        "to_member": world[W.posted_member_to_member] * buy * through,
    }
