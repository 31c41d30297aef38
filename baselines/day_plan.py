"""A day's plan under scenarios that the simulator can carry out, and its equally good neighbours.

The linear relaxation of a day's problem may run a device both ways at once, which the simulator
cannot. So commitments and directions are decided by search, in all scenarios together. With the
choices kept, all plans of the same value are ::

    {x : cost . x <= (1 + slack) optimum}

They differ in who trades with whom, and so in how the money is shared. A linear function picks one
of them.

Rent is paid by the tenant and takes nothing from anybody else. So what is rented is the most that
any scenario uses, and the same in all.

Source: our choice; docs/model.md sections 2 and 10.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.branching import Search
from baselines.day_ahead import DayAhead
from baselines.exclusivity import Pairs, find_pairs
from baselines.extensive_form import committed
from baselines.highs import MIP_GAP, SolverError
from baselines.mpc import rent
from baselines.plans import Values, make_plan, settle
from baselines.programme import Programme, held, lengthened
from baselines.solution import Plan
from mmg_env.kernel import N_ACTION
from mmg_env.layout import A
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

NODES: Final = 400
SLACK: Final = 1e-6  # share of the cost that equally cheap plans may differ by
# Both ends of an exchange count: what passes the pool has two entries, virtual power has one.
EXCHANGE: Final = {"sent_kw": 1.0, "received_kw": 1.0, "virtual_in_kw": 2.0, "virtual_out_kw": 2.0}


@dataclass(frozen=True, eq=False)
class DayPlan:
    """A solution of a day's problem in which no device runs both ways at once.

    Attributes:
        x: (columns,) of the programme.
        objective: its value, currency.
        bound: proven lower bound, currency.
        relaxed: value of the linear relaxation, currency.
        chosen: the programme with the solution's commitments and directions kept.
    """

    x: Array
    objective: float
    bound: float
    relaxed: float
    chosen: Programme

    def __post_init__(self) -> None:
        """Freeze the array."""
        self.x.flags.writeable = False


def solve_day(
    problem: DayAhead, programme: Programme, gap: float = MIP_GAP, nodes: int = NODES
) -> DayPlan:
    """Return the best plan for a day.

    Args:
        problem: the day's problem.
        programme: what is minimised over its columns, as `with_risk` returns it.
        gap: relative gap between plan and bound at which the search ends.
        nodes: most linear programmes of the search; what is left then shows in the bound.

    Raises:
        SolverError: HiGHS proved no optimum, or the search found no plan.
    """
    pairs, binary = merged_pairs(problem), merged_binaries(problem)
    search = Search(programme.solver(), programme.numbers, binary, pairs)
    search.run(gap, nodes)
    if search.best is None:
        raise SolverError(f"model {programme.name}: no plan was found in {nodes} nodes")
    x = search.best.x
    x[binary] = np.round(x[binary])
    relaxed = float(programme.numbers.cost @ search.relaxed) + programme.numbers.offset
    chosen = _with_choices(programme, x, binary, pairs)
    return DayPlan(x, search.best.objective, search.lower, relaxed, chosen)


def merged_pairs(problem: DayAhead) -> Pairs:
    """Return what excludes one another, by the columns that scenarios have in common."""
    found = []
    for block, column in zip(problem.blocks, problem.form.column, strict=True):
        pairs = find_pairs(problem.compiled, block, steps_per_day=problem.system.steps_per_day)
        found.append(pairs.placed(column))
    first, second, first_max, second_max, group = (
        np.concatenate([getattr(pairs, name) for pairs in found])
        for name in ("first", "second", "first_max", "second_max", "group")
    )
    _, kept = np.unique(np.hstack([first, second]), axis=0, return_index=True)
    return Pairs(first[kept], second[kept], first_max[kept], second_max[kept], group[kept])


def merged_binaries(problem: DayAhead) -> Integers:
    """Return the columns of the commitments of all scenarios, each once."""
    return np.unique(problem.form.column[:, problem.compiled.binary])


def _with_choices(programme: Programme, x: Array, binary: Integers, pairs: Pairs) -> Programme:
    """Fix the commitments of a solution, and close the smaller side of every pair."""
    lower, upper = programme.lower.copy(), programme.upper.copy()
    lower[binary] = upper[binary] = x[binary]
    first, second = pairs.sides(x)
    smaller = np.where((first < second)[:, None], pairs.first, pairs.second)
    closed = smaller[smaller >= 0]
    upper[closed] = lower[closed]
    return replace(programme, numbers=replace(programme.numbers, lower=lower, upper=upper))


def equally_cheap(plan: DayPlan, costs: Array, slack: float = SLACK) -> Array:
    """Return what else costs no more: for each linear function, where it is least.

    Args:
        plan: the plan; its choices are kept.
        costs: (functions, columns) coefficients; columns that are left out at the end count 0.
        slack: share of the plan's cost, of 1 at least, that another may cost more.

    Returns:
        (functions, columns) a solution for each.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    n = plan.chosen.numbers
    most = plan.objective - n.offset + slack * max(1.0, abs(plan.objective))
    row = sparse.csr_array(n.cost[None, :])
    within = lengthened(plan.chosen, row, np.array([-np.inf]), np.array([most]))
    solver = within.solver()
    found = []
    for cost in costs:
        whole = np.zeros(len(n.cost))
        whole[: len(cost)] = cost
        solver.load(replace(within.numbers, cost=whole, offset=0.0))
        found.append(solver.solve_lp().x)
    return np.array(found)


def least_exchange(problem: DayAhead, plan: DayPlan) -> DayPlan:
    """Return the plan that passes least through pool and virtual links among equally cheap ones.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    x = equally_cheap(plan, exchanged(problem)[None, :])[0]
    cost = plan.chosen.numbers
    return replace(plan, x=x, objective=float(cost.cost @ x) + cost.offset)


def exchanged(problem: DayAhead) -> Array:
    """Return (columns,) how much power each column is expected to move, at both ends, per unit."""
    form, columns = problem.form, problem.compiled.columns
    total = np.zeros(form.matrix.shape[1])
    for name, ends in EXCHANGE.items():
        if name in columns:
            own = columns[name][columns[name] >= 0]
            for column, probability in zip(form.column, form.probability, strict=True):
                total[column[own]] += ends * probability
    return total


def plans_of(problem: DayAhead, x: Array) -> tuple[Plan, ...]:
    """Return what a solution does in each scenario; all have the day's commitments in common.

    Where a community nominates its exchange with the grid, a plan may cost more than its problem
    says: the simulator exports before it curtails, also where curtailing would keep its word.

    Args:
        problem: the day's problem.
        x: (columns,) a solution in which no device runs both ways at once.
    """
    shared = np.flatnonzero(committed(problem.compiled, problem.system))
    plans = []
    for s, (block, rows) in enumerate(zip(problem.blocks, problem.rows, strict=True)):
        own = problem.form.of_scenario(x, s).copy()
        # What is committed stays, so that no scenario settles on a nomination of its own.
        numbers = held(block, shared, own[shared])
        values = Values(problem.compiled, own)
        settle(problem.system, numbers, values, rows)
        plans.append(make_plan(problem.system, numbers, values, rows))
    return tuple(_rented(problem.system, plans))


def _rented(system: System, plans: list[Plan]) -> list[Plan]:
    """Let every scenario rent at the day's first step what the most demanding one uses."""
    count = len(system.participants)
    first = np.array([plan.requests[0, : count * N_ACTION] for plan in plans])
    asked = first.reshape(len(plans), count, N_ACTION)[:, :, [A.rental_kwh, A.rental_kw]]
    rental, changed = asked.max(axis=0), []
    for plan in plans:
        wishes = plan.requests.copy()
        rent(system, wishes[0], rental)
        changed.append(replace(plan, requests=wishes))
    return changed
