"""A day-ahead problem divided between the storage's operator and the members.

Columns that tie participants together, with all rows in which several stand, are the operator's;
the rest of a member's columns and rows in one scenario is a piece of the member's. Where cuts are
made by the hour, the operator also plans the shifts u of load, which alone would tie a member's
hours together; the member carries out their twins v and pays for them::

    operator:  sum of shifts up to each hour within limits,   v - u = 0
    member:    bus of the hour with v in the place of u

Source: our choice, see `compact_benders.py` and `partition.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Sparse
from baselines.day_ahead import (
    COMMUNITY,
    DayAhead,
    member_of_columns,
    scenario_of_columns,
    step_of_columns,
)
from baselines.members import Member, Tell, tell_hours, tell_risk, tell_scenarios
from baselines.partition import Partition, Piece, partition
from baselines.programme import Programme, lengthened, numbers_of
from baselines.risk import Risk
from mmg_env.errors import InputError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

Kind = Literal["hour", "scenario", "single"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SHIFTS: Final = ("flex_up_kw", "flex_down_kw")
SHIFTING: Final = (*SHIFTS, "backlog_kwh")
# Rows in which these stand are the community's, though one member alone may have a grid link.
NOMINATION: Final = ("nominated_kw", "short_kw", "long_kw")


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


def divide(problem: DayAhead, kind: Kind, risk: Risk) -> Split:
    """Divide a problem between operator and members.

    Raises:
        InputError: `hour` is asked for, and more than flexible load ties hours together.
    """
    form, scenarios = problem.form, len(problem.rows)
    count, steps = len(problem.system.members), problem.compiled.steps
    owned = _owned(problem, kind)
    parts = _parts(problem, owned)
    pieces = [parts.pieces[n * scenarios : (n + 1) * scenarios] for n in range(count)]
    hours = [[owned.hour[piece.columns] for piece in own] for own in pieces]
    if kind == "hour":
        for n, config in enumerate(problem.system.config.members):
            _check_separable(config.name, pieces[n][0], hours[n][0], steps)
    tells: Mapping[Kind, Tell] = {
        "single": tell_risk(form.probability, risk),
        "scenario": tell_scenarios,
        "hour": tell_hours,
    }
    every = {
        "single": [-1],
        "scenario": range(scenarios),
        "hour": np.repeat(range(scenarios), steps),
    }
    groups = [_groups(kind, own, at, steps) for own, at in zip(pieces, hours, strict=True)]
    own_costs = sparse.csr_array(owned.costs)[:, parts.columns]
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


@dataclass(frozen=True, eq=False)
class _Owned:
    """A programme whose columns have owners.

    Attributes:
        programme: the scenarios side by side, with twins of shifts where cuts are by the hour.
        costs: (scenarios, columns) cost of each scenario.
        member: (columns,) whose each column is.
        hour: (columns,) its hour; the number of steps where it spans several.
        scenario: (columns,).
    """

    programme: Programme
    costs: Sparse
    member: Integers
    hour: Integers
    scenario: Integers


def _owned(problem: DayAhead, kind: Kind) -> _Owned:
    """Return whose each column is, and when it happens."""
    member, hour = member_of_columns(problem), step_of_columns(problem)
    hour = np.where(hour < 0, problem.compiled.steps, hour)
    scenario = scenario_of_columns(problem)
    if kind != "hour":
        return _Owned(problem.form, problem.form.costs, member, hour, scenario)
    whole, costs, twins = _twinned(problem, member)
    theirs = np.where(_is(problem, SHIFTING), COMMUNITY, member)
    return _Owned(
        whole,
        costs,
        np.concatenate([theirs, member[twins]]),
        np.concatenate([hour, hour[twins]]),
        np.concatenate([scenario, scenario[twins]]),
    )


def _parts(problem: DayAhead, owned: _Owned) -> Partition:
    """Return the operator's programme and a piece for each member and scenario."""
    whole, scenarios = owned.programme, len(problem.rows)
    mine = owned.member == COMMUNITY
    owner = np.where(mine, -1, owned.member * scenarios + owned.scenario)
    # A member pays what a scenario costs, not its share of the mean.
    cost = np.where(mine, whole.numbers.cost, np.asarray(owned.costs.sum(axis=0)))
    common = np.zeros(whole.matrix.shape[0], dtype=np.bool_)
    nominating = np.flatnonzero(_is(problem, NOMINATION))
    common[sparse.csc_array(whole.matrix)[:, nominating].indices] = True
    return partition(replace(whole, numbers=replace(whole.numbers, cost=cost)), owner, common)


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
