"""The deterministic optimiser: all hours known.

On the realised episode it is the oracle ("perfect foresight"): its dual bound is a lower bound on
the cost of every policy, and its plan can be replayed to the cent. Steps:

1. MILP with the commitment of the CHP units.
2. Binaries fixed to 0 or 1, the LP solved again: exact flows.
3. Where a device runs both ways at once, a binary forbids it, and again from 1.

Source: docs/model.md sections 2 and 10.
"""

from functools import lru_cache
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from baselines.compiled import Compiled, Numbers, compile_dispatch, fill
from baselines.dispatch import Horizon
from baselines.dispatch_ces import build_dispatch
from baselines.exclusivity import Pairs, find_pairs, forbid, overlapping
from baselines.highs import MIP_GAP, Answer, Solver, SolverError
from baselines.solution import Iteration, Solution
from baselines.window import Values, make_plan, settle, window_data
from mmg_env.episode import Episode
from mmg_env.kernel import reset_state
from mmg_env.layout import W
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

ROUNDS: Final = 50
INTEGRAL: Final = 1e-7


def horizon_of(system: System, first_day: int, days: int) -> Horizon:
    """Return the horizon of some whole days of an episode."""
    length = round(float(system.physics.world[W.demand_period_steps])) // system.steps_per_day
    numbers = [day // length for day in range(first_day, first_day + days)]
    return Horizon(days * system.steps_per_day, tuple(n - numbers[0] for n in numbers))


@lru_cache(maxsize=32)
def compiled_model(system: System, horizon: Horizon) -> Compiled:
    """Return a system's model as matrices; each is built once."""
    name = f"dispatch of {system.name}, {horizon.steps} steps"
    return compile_dispatch(build_dispatch(system, horizon), name)


def perfect_foresight(system: System, episode: Episode, gap: float = MIP_GAP) -> Solution:
    """Return the cheapest plan for an episode that is known from the start.

    Args:
        system: the system.
        episode: what will happen; read openly, so this is no policy.
        gap: relative gap at which the search over commitments may stop.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    days = episode.steps // system.steps_per_day
    compiled = compiled_model(system, horizon_of(system, 0, days))
    state = np.empty(system.state_size)
    reset_state(system.physics, state)
    periods = len(set(compiled.periods))
    rates = np.full(periods, system.physics.world[W.demand_charge_per_kw])
    numbers = fill(compiled, window_data(system, state, episode.values, rates))
    x, bound, trace = solve_exclusive(system, compiled, numbers, gap)
    values = Values(compiled, x)
    settle(system, numbers, values, episode.values)
    plan = make_plan(system, numbers, values, episode.values)
    return Solution(plan, plan.cost, bound, "optimal", trace)


def solve_exclusive(
    system: System, compiled: Compiled, numbers: Numbers, gap: float
) -> tuple[Array, float, tuple[Iteration, ...]]:
    """Solve a filled model so that no device runs both ways at once.

    Returns:
        (columns,) solution with binaries of exactly 0 or 1, proven lower bound, and one entry per
        round.

    Raises:
        SolverError: HiGHS proved no optimum, or overlaps kept coming up.
    """
    begin = perf_counter()
    solver = Solver(compiled)
    solver.load(numbers)
    pairs = find_pairs(compiled, numbers, system.steps_per_day)
    integers, forbidden = compiled.binary, np.zeros(0, dtype=np.int64)
    answer = solver.solve_lp()
    lower, trace = answer.bound, []
    for number in range(ROUNDS):
        if number > 0 or not _integral(answer.x[integers]):
            answer, bound = _search(solver, numbers, integers, gap)
            lower = max(lower, bound)
        trace.append(Iteration(number, lower, answer.objective, time_s=perf_counter() - begin))
        overlaps = overlapping(pairs, answer.x)
        if not len(overlaps):
            x = answer.x[: compiled.matrix.shape[1]].copy()
            x[compiled.binary] = np.round(x[compiled.binary])
            return x, min(lower, answer.objective), tuple(trace)
        chosen = _spread(pairs, overlaps, forbidden)
        forbidden = np.union1d(forbidden, chosen)
        integers = np.concatenate([integers, forbid(solver, pairs, chosen)])
    raise SolverError(f"model {compiled.name}: overlaps are left after {ROUNDS} rounds")


def _integral(values: Array) -> bool:
    """Return whether binaries of a relaxation are 0 or 1 already."""
    return bool((np.abs(values - np.round(values)) <= INTEGRAL).all())


def _search(
    solver: Solver, numbers: Numbers, integers: Integers, gap: float
) -> tuple[Answer, float]:
    """Find the binaries, fix them, and solve the LP that is left; return it and the bound."""
    basis = solver.basis()
    width = len(numbers.lower)
    free_low = np.where(integers < width, numbers.lower[np.minimum(integers, width - 1)], 0.0)
    free_high = np.where(integers < width, numbers.upper[np.minimum(integers, width - 1)], 1.0)
    solver.set_bounds(integers, free_low, free_high)
    found = solver.solve_mip(integers, gap)
    fixed = np.round(found.x[integers])
    solver.set_bounds(integers, fixed, fixed)
    solver.continuous()
    solver.set_basis(basis)
    return solver.solve_lp(), found.bound


def _spread(pairs: Pairs, overlaps: Integers, forbidden: Integers) -> Integers:
    """Return the pairs to forbid: those found, and a whole device's day where it is not the first.

    Without this, an overlap that is forbidden in one hour moves to the next, round after round.
    """
    again = np.isin(pairs.group, np.intersect1d(pairs.group[forbidden], pairs.group[overlaps]))
    return np.setdiff1d(np.union1d(overlaps, np.flatnonzero(again)), forbidden)
