"""The deterministic optimiser: all hours known.

On the realised episode it is the oracle ("perfect foresight"): its bound is a lower bound on the
cost of every policy, and its plan can be replayed to the cent. The relaxation without commitments
and directions is solved first; it is nearly always within the gap of a rounded solution, a short
search closes most of the rest, and HiGHS' own MILP search takes what is left.

Source: docs/model.md sections 2 and 10.
"""

from functools import lru_cache, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.branching import Search
from baselines.compiled import Compiled, Numbers, fill
from baselines.dispatch import Horizon
from baselines.dispatch_ces import build_dispatch
from baselines.exclusivity import OVERLAP_KW, Pairs, find_pairs, forbid
from baselines.highs import MIP_GAP, Solver, SolverError
from baselines.plans import Values, make_plan, settle
from baselines.solution import Solution
from baselines.standard_form import compile_dispatch
from baselines.window import window_data
from mmg_env.episode import Episode, check_fits
from mmg_env.kernel import reset_state
from mmg_env.layout import P, W
from mmg_env.public import PublicInfo
from mmg_env.state import State
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

NODES: Final = 60  # LPs of our own search before HiGHS' takes over
ROUNDS: Final = 50


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
    compiled, numbers = known_model(system, episode)
    x, bound = solve_known(system, episode, compiled, numbers, gap)
    values = Values(compiled, x)
    settle(system, numbers, values, episode.values)
    plan = make_plan(system, numbers, values, episode.values)
    return Solution(plan, plan.cost, min(bound, plan.cost), "optimal")


def known_model(system: System, episode: Episode) -> tuple[Compiled, Numbers]:
    """Return the model of a whole episode with everything in it known."""
    check_fits(system, episode)
    days = episode.steps // system.steps_per_day
    compiled = compiled_model(system, horizon_of(system, 0, days))
    rates = np.full(len(set(compiled.periods)), system.physics.world[W.demand_charge_per_kw])
    data = window_data(system, first_state(system), episode.values, rates)
    return compiled, fill(compiled, data)


def solve_known(
    system: System, episode: Episode, compiled: Compiled, numbers: Numbers, gap: float = MIP_GAP
) -> tuple[Array, float]:
    """Return (columns,) the solution of an episode's model, and its proven lower bound.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    solver = Solver(compiled)
    solver.load(numbers)
    add_heat_cuts(system, compiled, solver, episode.heat_kw)
    return solve_exactly(compiled, numbers, solver, system.steps_per_day, gap)


def first_state(system: System) -> State:
    """Return the state at reset."""
    row = np.empty(system.state_size)
    reset_state(system.physics, row)
    return State(system, row)


def first_public(system: System, episode: Episode) -> PublicInfo:
    """Return what a policy is told as an episode begins."""
    past = partial(episode.until, 0)
    return PublicInfo(system, 0, first_state(system), episode.forecast(0), past)


def solve_exactly(
    compiled: Compiled, numbers: Numbers, solver: Solver, steps_per_day: int, gap: float
) -> tuple[Array, float]:
    """Solve a loaded model so that commitments are 0 or 1 and no device runs both ways at once.

    Returns:
        (columns,) solution with binaries of exactly 0 or 1, and the proven lower bound.

    Raises:
        SolverError: HiGHS proved no optimum, or overlaps kept coming up.
    """
    pairs = find_pairs(compiled, numbers, steps_per_day=steps_per_day)
    return decide(solver, numbers, compiled.binary, pairs, gap)


def decide(
    solver: Solver, numbers: Numbers, binary: Integers, pairs: Pairs, gap: float
) -> tuple[Array, float]:
    """Solve a loaded programme so that binaries are 0 or 1 and of no pair both sides are used.

    Args:
        solver: holds it.
        numbers: its own.
        binary: columns that are 0 or 1.
        pairs: sides that exclude one another.
        gap: relative gap at which the search may stop.

    Returns:
        (columns,) solution with binaries of exactly 0 or 1, and the proven lower bound.

    Raises:
        SolverError: HiGHS proved no optimum, or overlaps kept coming up.
    """
    search = Search(solver, numbers, binary, pairs)
    if search.run(gap, NODES):
        assert search.best is not None
        return _exact(search.best.x, numbers, binary), search.lower
    search.release()
    x, bound = _solve_by_binaries(solver, numbers, binary, pairs, gap)
    return _exact(x, numbers, binary), max(bound, search.lower)


def _exact(x: Array, numbers: Numbers, binary: Integers) -> Array:
    """Return the programme's own columns with binaries of exactly 0 or 1."""
    x = x[: len(numbers.lower)].copy()
    x[binary] = np.round(x[binary])
    return x


def _solve_by_binaries(
    solver: Solver, numbers: Numbers, binary: Integers, pairs: Pairs, gap: float
) -> tuple[Array, float]:
    """Let HiGHS search, with a binary for each pair that was seen to overlap."""
    lower = -np.inf
    forbidden = np.zeros(0, dtype=np.int64)
    extra = np.zeros(0, dtype=np.int64)
    basis = solver.basis()
    for _ in range(ROUNDS):
        integers = np.concatenate([binary, extra])
        found = solver.solve_mip(integers, gap)
        lower = max(lower, found.bound)
        fixed = np.round(found.x[integers])
        solver.continuous()
        solver.set_bounds(integers, fixed, fixed)
        solver.set_basis(basis)
        x = solver.solve_lp().x
        overlaps = np.flatnonzero(pairs.overlap(x) > OVERLAP_KW)
        if not len(overlaps):
            return x, lower
        solver.set_bounds(binary, numbers.lower[binary], numbers.upper[binary])
        solver.set_bounds(extra, np.zeros(len(extra)), np.ones(len(extra)))
        chosen = _spread(pairs, overlaps, forbidden)
        forbidden = np.union1d(forbidden, chosen)
        extra = np.concatenate([extra, forbid(solver, pairs, chosen)])
        basis = solver.basis()
    raise SolverError(f"model {solver.name}: overlaps are left after {ROUNDS} rounds")


def _spread(pairs: Pairs, overlaps: Integers, forbidden: Integers) -> Integers:
    """Return the pairs to forbid: those found, and a whole device's day where it is not the first.

    Without this, an overlap that is forbidden in one hour moves to the next, round after round.
    """
    again = np.isin(pairs.group, np.intersect1d(pairs.group[forbidden], pairs.group[overlaps]))
    return np.setdiff1d(np.union1d(overlaps, np.flatnonzero(again)), forbidden)


def add_heat_cuts(system: System, compiled: Compiled, solver: Solver, heat_kw: Array) -> None:
    """Say that a unit that is off gives no heat, however little heat is wanted.

    ::

        boiler + unserved_heat + min(heat load, ratio * P) * u >= heat load

    It holds for u of 0 and 1; between them the model's rows alone would let a sixth of a unit
    serve a sixth of its capacity, which may be all of a small heat load.

    Args:
        system: the system.
        compiled: its model.
        solver: receives the rows.
        heat_kw: (steps, members) heat load, kW.
    """
    columns = compiled.columns
    if "chp_on" not in columns or "unserved_heat_kw" not in columns:
        return
    capacity = system.column(P.chp_kw) * system.column(P.chp_heat_per_kwh)
    for m in np.flatnonzero(columns["chp_on"][:, 1] >= 0):
        steps = np.flatnonzero(heat_kw[:, m] < capacity[m])
        if m >= len(columns["unserved_heat_kw"]) or columns["unserved_heat_kw"][m, 0] < 0:
            continue
        load = heat_kw[steps, m]
        parts = [(columns["chp_on"][m, steps + 1], load)]
        for name in ("boiler_kw", "unserved_heat_kw"):
            if name in columns and m < len(columns[name]) and columns[name][m, 0] >= 0:
                parts.append((columns[name][m, steps], np.ones(len(steps))))
        rows = np.tile(np.arange(len(steps)), len(parts))
        at, entries = (np.concatenate(list(part)) for part in zip(*parts, strict=True))
        matrix = sparse.csr_array((entries, (rows, at)), shape=(len(steps), solver.columns))
        solver.add(np.zeros(0), load, np.full(len(steps), np.inf), matrix)
