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

Source: the idea of a compact decomposition between storage and houses is Bayat et al. 2026's; they
do not publish its form, which is our choice. Elastic balances (shedding, spilling) make every
request feasible, so there are no feasibility cuts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Sparse
from baselines.cuts import HALFWAY, Closed, Cuts, Cutting, Separation, close
from baselines.day_ahead import (
    COMMUNITY,
    DayAhead,
    member_of_columns,
    scenario_of_columns,
    step_of_columns,
)
from baselines.highs import Answer
from baselines.partition import Partition, Piece, partition
from baselines.programme import Programme, lengthened, numbers_of, widened
from baselines.risk import NEUTRAL, Risk, weigh
from baselines.solution import Stop
from mmg_env.errors import InputError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

Kind = Literal["single", "scenario", "hour"]
SHIFTS: Final = ("flex_up_kw", "flex_down_kw")
SHIFTING: Final = (*SHIFTS, "backlog_kwh")
# Rows in which these stand are the community's, though one member alone may have a grid link.
NOMINATION: Final = ("nominated_kw", "short_kw", "long_kw")
ROUNDING: Final = 1e-9  # slopes below this are none; the solver takes no smaller numbers
STOP: Final = Stop(gap=1e-6, iterations=300, time_s=300.0)


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


class Member:
    """Keeps its devices, loads and prices to itself, and says what a request costs it."""

    def __init__(
        self, pieces: Sequence[Piece], hours: Sequence[Integers], steps: int, tell: "Tell"
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


Tell = Callable[[Array, Array], Offer]


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


class Operator:
    """The master: decides what ties participants together, and learns from offers what that costs.

    Attributes:
        requests: (members,) sparse: what is asked of each member as sums of its decisions.
    """

    def __init__(self, problem: "Split", risk: Risk) -> None:
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
        """Return what it would do if nothing that it asks for cost anything."""
        # HiGHS solves nothing that is empty: members who have nothing to do with one another.
        return self._split.parts.master.solve().x if self.decisions else np.zeros(0)

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
        every = sparse.vstack(slopes, format="csr")
        every.data[np.abs(every.data) <= ROUNDING] = 0.0
        return Cuts(np.concatenate([offer.values for offer in offers]), every)


@dataclass(frozen=True, eq=False)
class Split:
    """A day-ahead problem divided between operator and members.

    Attributes:
        parts: the programmes.
        told: for each member (scenarios * couplings, operator's columns).
        groups: for each member (scenarios * couplings,) the group that each coupling counts in.
        scenario_of_group: (groups of all members,) -1 for those that span all scenarios.
        operator_costs: (scenarios, operator's columns).
        offsets: (scenarios,).
        probability: (scenarios,).
        members: the members.
    """

    parts: Partition
    told: tuple[Sparse, ...]
    groups: tuple[Integers, ...]
    scenario_of_group: Integers
    operator_costs: Sparse
    offsets: Array
    probability: Array
    members: tuple[Member, ...]


def benders(
    problem: DayAhead,
    kind: Kind = "scenario",
    risk: Risk = NEUTRAL,
    stop: Stop = STOP,
    separation: Separation = HALFWAY,
) -> tuple[Closed, Operator, Split]:
    """Solve a day-ahead problem by cuts.

    Args:
        problem: the day's problem.
        kind: of cuts.
        risk: of the community; of each party alone with `single`.
        stop: when to end.
        separation: where to cut.

    Raises:
        InputError: `hour` is asked for, and more than flexible load ties hours together.
        SolverError: HiGHS proved no optimum.
    """
    split = divide(problem, kind, risk)
    operator = Operator(split, risk)

    def respond(x: Array) -> Cuts:
        requests = [operator.request(n, x) for n in range(len(split.members))]
        asked = zip(split.members, requests, strict=True)
        return operator.cuts([member.respond(request) for member, request in asked])

    cutting = Cutting(operator.solver, operator.theta, respond, operator.paid)
    found = close(cutting, operator.start(), stop, separation)
    return found, operator, split


def divide(problem: DayAhead, kind: Kind, risk: Risk) -> Split:
    """Divide a problem between operator and members.

    Raises:
        InputError: `hour` is asked for, and more than flexible load ties hours together.
    """
    form, scenarios = problem.form, len(problem.rows)
    member, hour = member_of_columns(problem), step_of_columns(problem)
    whole: Programme = form
    costs, scenario = form.costs, scenario_of_columns(problem)
    if kind == "hour":
        whole, costs, twins = _twinned(problem, member)
        member = np.concatenate(
            [np.where(_is(problem, SHIFTING), COMMUNITY, member), member[twins]]
        )
        hour = np.concatenate([hour, hour[twins]])
        scenario = np.concatenate([scenario, scenario[twins]])
    owner = np.where(member == COMMUNITY, -1, member * scenarios + scenario)
    # A member pays what a scenario costs, not its share of the mean.
    cost = np.where(owner < 0, whole.numbers.cost, np.asarray(costs.sum(axis=0)))
    common = np.zeros(whole.matrix.shape[0], dtype=np.bool_)
    nominating = np.flatnonzero(_is(problem, NOMINATION))
    common[sparse.csc_array(whole.matrix)[:, nominating].indices] = True
    parts = partition(replace(whole, numbers=replace(whole.numbers, cost=cost)), owner, common)
    steps, count = problem.compiled.steps, len(problem.system.members)
    hour = np.where(hour < 0, steps, hour)  # what spans several hours counts after the last
    pieces = [parts.pieces[n * scenarios : (n + 1) * scenarios] for n in range(count)]
    hours = [[hour[piece.columns] for piece in own] for own in pieces]
    if kind == "hour":
        for n, config in enumerate(problem.system.config.members):
            _check_separable(config.name, pieces[n][0], hours[n][0], steps)
    tells: Mapping[Kind, Tell] = {
        "single": tell_risk(form.probability, risk),
        "scenario": tell_scenarios,
        "hour": tell_hours,
    }
    groups = [_groups(kind, own, at, steps) for own, at in zip(pieces, hours, strict=True)]
    every = {
        "single": [-1],
        "scenario": range(scenarios),
        "hour": np.repeat(range(scenarios), steps),
    }
    own_costs = sparse.csr_array(costs)[:, parts.columns]
    asked = parts.master.matrix.shape[1] - len(parts.columns)
    return Split(
        parts,
        tuple(sparse.vstack([piece.told for piece in own], format="csr") for own in pieces),
        tuple(groups),
        np.tile(np.array(every[kind]), count),
        sparse.hstack([own_costs, sparse.csr_array((scenarios, asked))], format="csr"),
        form.offsets,
        form.probability,
        tuple(Member(own, at, steps, tells[kind]) for own, at in zip(pieces, hours, strict=True)),
    )


def _groups(kind: Kind, pieces: Sequence[Piece], hours: Sequence[Integers], steps: int) -> Integers:
    """Return the group in which each coupling of a member counts, (scenarios * couplings,)."""
    parts = []
    for scenario, (piece, hour) in enumerate(zip(pieces, hours, strict=True)):
        if kind == "hour":
            rows = sparse.csr_array(piece.programme.matrix)
            first = rows.indices[rows.indptr[piece.coupled]]
            parts.append(scenario * steps + hour[first])
        else:
            parts.append(np.full(len(piece.coupled), scenario if kind == "scenario" else 0))
    return np.concatenate(parts)


def _check_separable(name: str, piece: Piece, hour: Integers, steps: int) -> None:
    """Refuse cuts by the hour where a member's hours hang together."""
    rows = sparse.csr_array(piece.programme.matrix)
    first = hour[rows.indices[rows.indptr[:-1]]]
    apart = hour[rows.indices] == np.repeat(first, np.diff(rows.indptr))
    if not apart.all() or (hour == steps).any():
        raise InputError(
            "cuts: hour is not possible, for devices or a demand charge tie the hours of member "
            f"{name} together; single or scenario are"
        )


def _twinned(problem: DayAhead, member: Integers) -> tuple[Programme, Sparse, Integers]:
    """Let the operator plan shifts of load, which the member then carries out and pays.

    Each shift gets a twin among the member's columns, which takes over its cost and its place on
    the member's bus, and a row that says that both are equal.

    Returns:
        The programme, costs by scenario, and the columns that have twins; twins stand at the end.
    """
    form, columns = problem.form, problem.compiled.columns
    numbers = [columns[name] for name in SHIFTS if name in columns]
    ones = np.concatenate([np.zeros(0, dtype=np.int64), *(n[n >= 0].ravel() for n in numbers)])
    shifts = np.unique(form.column[:, ones])
    entries = sparse.coo_array(form.matrix)
    # On the member's bus stand columns of its own beside the shifts; in the backlog do not.
    owned = (member != COMMUNITY) & ~_is(problem, SHIFTING)
    bus = np.zeros(form.matrix.shape[0], dtype=np.bool_)
    bus[entries.row[owned[entries.col]]] = True
    place = np.full(form.matrix.shape[1], -1)
    place[shifts] = len(place) + np.arange(len(shifts))
    moved = bus[entries.row] & (place[entries.col] >= 0)
    at = (entries.row, np.where(moved, place[entries.col], entries.col))
    width = len(place) + len(shifts)
    matrix = sparse.csr_array((entries.data, at), shape=(form.matrix.shape[0], width))
    count = np.arange(len(shifts))
    ties = sparse.csr_array(
        (
            np.repeat([1.0, -1.0], len(shifts)),
            (np.tile(count, 2), np.concatenate([place[shifts], shifts])),
        ),
        shape=(len(shifts), width),
    )
    n, nothing = form.numbers, np.zeros(len(shifts))
    cost = n.cost.copy()
    cost[shifts] = 0.0
    wide = numbers_of(
        np.concatenate([n.lower, n.lower[shifts]]),
        np.concatenate([n.upper, n.upper[shifts]]),
        n.row_lower,
        n.row_upper,
        np.concatenate([cost, n.cost[shifts]]),
        n.offset,
    )
    costs = sparse.csr_array(form.costs)
    twins = costs[:, shifts]
    stay = np.ones(form.matrix.shape[1])
    stay[shifts] = 0.0
    costs = sparse.hstack([costs @ sparse.diags_array(stay), twins], format="csr")
    whole = lengthened(Programme(form.name, matrix, wide), ties, nothing, nothing)
    return whole, costs, shifts


def _is(problem: DayAhead, names: Sequence[str]) -> NDArray[np.bool_]:
    """Return which merged columns belong to some variables, (columns,)."""
    found = np.zeros(problem.form.matrix.shape[1], dtype=np.bool_)
    for name in names:
        if name in problem.compiled.columns:
            numbers = problem.compiled.columns[name]
            found[problem.form.column[:, numbers[numbers >= 0]]] = True
    return found
