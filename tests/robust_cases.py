"""Small robust problems drawn from a seed, and their answers by listing all that can happen.

The generic ones have every kind of row and column. Slacks close every row, so whatever is decided
can be met, and what a move costs lies between prices of slacks. The others are days of few steps.
"""

from dataclasses import replace
from functools import lru_cache
from itertools import product

import numpy as np
from scipy import optimize, sparse

from baselines.deterministic import first_state
from baselines.programme import Programme, numbers_of
from baselines.robust.adversary import Alternating, Exact
from baselines.robust.column_generation import ColumnGeneration
from baselines.robust.day_ahead import alone, robust_day
from baselines.robust.master import Master
from baselines.robust.problem import RobustProblem, Scene, recourse_columns
from baselines.robust.sets import UncertaintySet, budgeted
from baselines.robust.typical_days import expected_days, model_of, problem_of_days
from baselines.rolling_horizon import window_at, window_numbers
from baselines.solution import Stop
from mmg_env.layout import X
from mmg_env.system import load_system
from tests.random_systems import random_episode, random_system

CONTINUOUS, BINARY, OWN, ROWS, ENTRIES = 3, 2, 6, 7, 5
KINDS = ("box", "budget", "whole")
FINE = Stop(gap=1e-6, iterations=60, time_s=60.0)


# Generic problems


def generic(seed, kind="budget", scenes=2, recourse_binaries=0, symmetric=False):
    """Return a random problem; its last scene has fewer moves than the others."""
    rng = np.random.default_rng([seed, KINDS.index(kind), recourse_binaries])
    width = CONTINUOUS + BINARY + OWN + 2 * ROWS
    place = rng.permutation(width)
    first = np.sort(place[: CONTINUOUS + BINARY])
    whole = np.sort(place[CONTINUOUS : CONTINUOUS + BINARY])
    own = place[CONTINUOUS + BINARY : CONTINUOUS + BINARY + OWN]
    slacks = place[CONTINUOUS + BINARY + OWN :].reshape(2, ROWS)
    probability = rng.dirichlet(np.ones(scenes))
    # What is decided costs the same in all scenes here; a test of its own has it otherwise.
    drawn = tuple(
        _scene(rng, (first, whole, own, slacks), _set(rng, kind, s == scenes - 1, symmetric), s)
        for s in range(scenes)
    )
    binaries = np.sort(own[:recourse_binaries])
    problem = RobustProblem(drawn, probability, first, whole, np.zeros(0, dtype=np.int64))
    return with_binaries(problem, binaries) if recourse_binaries else problem


def with_binaries(problem, columns):
    """Return a problem of which some recourse columns are 0 or 1."""
    scenes = []
    for scene in problem.scenes:
        n = scene.programme.numbers
        lower, upper = n.lower.copy(), n.upper.copy()
        lower[columns], upper[columns] = 0.0, 1.0
        programme = replace(scene.programme, numbers=replace(n, lower=lower, upper=upper))
        scenes.append(replace(scene, programme=programme))
    return replace(problem, scenes=tuple(scenes), recourse_whole=columns)


def _set(rng, kind, few, symmetric):
    """Return a set over the entries; the budgets of continuous ones are whole."""
    sizes = rng.uniform(0.3, 1.5, (2, ENTRIES)) * (rng.random((2, ENTRIES)) < 0.8)
    if few:
        sizes[:, 2:] = 0.0
    if symmetric:
        sizes[1] = sizes[0]
    if kind == "box":
        return budgeted(*sizes, np.arange(ENTRIES), np.ones(ENTRIES))
    budget = np.array([2.0, 1.0]) if kind == "budget" else np.array([2.6, 1.0])
    return budgeted(*sizes, np.array([0, 0, 0, 1, 1]), budget, kind == "whole")


def _scene(rng, columns, uncertain, number):
    """Return a programme with rows of every kind, and what moves push and may cost."""
    first, whole, own, (more, less) = columns
    width = len(first) + len(own) + 2 * ROWS
    matrix = rng.normal(size=(ROWS, width)) * (rng.random((ROWS, width)) < 0.6)
    matrix[:, more], matrix[:, less] = np.eye(ROWS), -np.eye(ROWS)
    dear = rng.uniform(2.0, 6.0, (2, ROWS))
    row_lower, row_upper, price = _sides(rng, dear)
    lower, upper = np.zeros(width), np.full(width, np.inf)
    upper[first] = 2.0
    upper[whole] = 1.0
    # Bounded, fixed, free, bounded below, bounded above, and binary-like.
    lower[own] = [-1.0, 0.5, -np.inf, 0.0, -np.inf, 0.0]
    upper[own] = [1.5, 0.5, np.inf, np.inf, 1.0, 1.0]
    cost = matrix.T @ price
    cost[own] += [rng.normal(), rng.normal(), 0.0, rng.uniform(), -rng.uniform(), rng.normal()]
    cost[first] = rng.uniform(0.2, 1.5, len(first))
    cost[more], cost[less] = dear
    push = sparse.csr_array(rng.normal(size=(ROWS, ENTRIES)) * (rng.random((ROWS, ENTRIES)) < 0.5))
    push = sparse.csr_array(push @ uncertain.moves)
    ranges = _ranges(push, dear)
    # A row of the first stage alone, which nothing closes.
    shared = np.zeros((1, width))
    shared[0, first] = 1.0
    numbers = numbers_of(
        lower,
        upper,
        np.append(row_lower, 1.0),
        np.append(row_upper, np.inf),
        cost,
        float(10.0 * number + 50.0),
    )
    push.resize((ROWS + 1, push.shape[1]))
    programme = Programme("case", sparse.csr_array(np.vstack([matrix, shared])), numbers)
    return Scene(programme, push, uncertain, *ranges)


def _sides(rng, dear):
    """Return sides of rows (<=, >=, =, ranged, by turns), and duals of which one is optimal."""
    kind = np.arange(ROWS) % 4
    middle = rng.normal(size=ROWS)
    low = np.where(kind == 0, -np.inf, middle)
    high = np.where(kind == 1, np.inf, middle + (kind == 3) * rng.uniform(0.2, 1.0, ROWS))
    price = rng.uniform(-0.8, 0.8, ROWS) * dear.min(axis=0)
    price = np.where(kind == 0, -np.abs(price), np.where(kind == 1, np.abs(price), price))
    return low, high, price


def _ranges(push, dear):
    """Return what a move can save and cost: a unit of a row costs at most what its slack does."""
    up, down = push.maximum(0), push.minimum(0)
    return (
        np.asarray(up.T @ -dear[1] + down.T @ dear[0]),
        np.asarray(up.T @ dear[0] + down.T @ -dear[1]),
    )


# Days of few steps


@lru_cache(maxsize=16)
def member(number, dt_h=6.0):
    """Return a member of `s1_3mg` alone, with a day of few steps."""
    return alone(load_system("s1_3mg", {"dt_h": dt_h}), number)


def short_day(number=0, dt_h=6.0, kinds=(0, 2), budget=1.0, scenes=2):
    """Return a member's day of few steps, of whose series some kinds deviate."""
    system = member(number, dt_h)
    rows, probability = expected_days(system)
    rows, probability = rows[:scenes], probability[:scenes] / probability[:scenes].sum()
    sets = [deviating(rows[s], kinds, budget) for s in range(scenes)]
    return system, rows, problem_of_days(system, rows, sets, probability)


def deviating(day, kinds, budget, share=0.2):
    """Return a set in which some of a single member's series deviate in few steps."""
    steps = len(day)
    size = np.zeros((steps, 4))
    size[:, list(kinds)] = share * day[:, list(kinds)]
    whole_day = np.append(size.ravel(), np.zeros(steps))
    group = np.concatenate([np.tile(np.arange(4), steps), np.zeros(steps, dtype=np.int64)])
    return budgeted(whole_day, whole_day, group, np.full(4, budget))


def random_day(seed, outages=True):
    """Return a random system's first day, and a set in which series and the grid's share deviate.

    There are no nominations and no reserve: in hours without grid these have other prices.
    """
    system = random_system(seed)
    episode = random_episode(system, seed, calm=True)
    steps = window_at(system, 0).days * system.steps_per_day
    rows = episode.values[:steps].copy()
    rng = np.random.default_rng([seed, 9])
    members = len(system.members)
    share = rng.uniform(0.0, 0.9, (steps, 4 * members)) * (rng.random((steps, 4 * members)) < 0.5)
    up = rows[:, 4 * members + X.grid_up]
    size = np.append((share * rows[:, : 4 * members]).ravel(), up * outages)
    upward = np.append((share * rows[:, : 4 * members]).ravel(), np.zeros(steps))
    group = (np.arange(len(size)) >= 4 * members * steps).astype(np.int64)
    return system, rows, budgeted(upward, size, group, np.array([1.0, 1.0]) * len(size))


def problem_of(system, rows, uncertain):
    """Return the problem of one expected day."""
    return robust_day(
        system, model_of(system), [directly(system, rows)], rows[None], [uncertain], np.ones(1)
    )


def directly(system, rows):
    """Return a day's model filled with what happens."""
    return window_numbers(system, window_at(system, 0), first_state(system), rows)[1]


def deviated(system, rows, deviation):
    """Return what happens if entries deviate, (steps, columns)."""
    steps, width = len(rows), 4 * len(system.members)
    found = rows.copy()
    found[:, :width] += deviation[: steps * width].reshape(steps, width)
    found[:, width + X.grid_up] += deviation[steps * width :]
    # What remains of a series that is gone is rounding.
    found[np.abs(found) < 1e-12] = 0.0
    return found


# Everything that can happen


def all_moves(uncertain: UncertaintySet):
    """Return all moves that are 0 or 1 and within the budgets, (cases, moves)."""
    by_group = []
    for group, budget in enumerate(uncertain.budget):
        at = np.flatnonzero(uncertain.group == group)
        some = [z for z in _chosen(len(at), int(budget))]
        by_group.append((at, some))
    cases = []
    for parts in product(*(some for _, some in by_group)):
        z = np.zeros(uncertain.moves.shape[1])
        for (at, _), part in zip(by_group, parts, strict=True):
            z[at[list(part)]] = 1.0
        cases.append(z)
    return np.array(cases)


def _chosen(count, most):
    """Yield which of a group's moves are made."""
    if most == 0 or count == 0:
        yield ()
        return
    for mask in product((0, 1), repeat=count) if count <= 10 else _few(count, most):
        if sum(mask) <= most:
            yield tuple(np.flatnonzero(mask))


def _few(count, most):
    """Yield masks with one bit at most."""
    if most > 1:
        raise ValueError("too many moves to list")
    yield np.zeros(count, dtype=int)
    yield from np.eye(count, dtype=int)


def listed(problem, cases=None):
    """Return the optimum with a recourse for every case of every scene, by scipy.

    Args:
        problem: its probability may be moved.
        cases: (scenes,) lists of moves; all, unless stated.

    Returns:
        The optimum, and (decisions,) what is decided.
    """
    cases = [all_moves(s.uncertain) for s in problem.scenes] if cases is None else cases
    decisions, scenes = len(problem.first), len(problem.scenes)
    start = decisions + scenes + 1
    copies = [(s, z) for s, some in enumerate(cases) for z in some]
    widths = [len(recourse_columns(problem, s)) for s, _ in copies]
    begin = start + np.concatenate([[0], np.cumsum(widths)]).astype(int)
    first = problem.scenes[0].programme
    lower = np.concatenate([first.lower[problem.first], np.full(scenes, -np.inf), [0.0]])
    price = np.inf if problem.reach is not None else 0.0
    upper = np.concatenate([first.upper[problem.first], np.full(scenes, np.inf), [price]])
    blocks, sides, lows, highs = [], [], [lower], [upper]
    whole = np.zeros(begin[-1])
    whole[np.searchsorted(problem.first, problem.whole)] = 1
    for (s, z), at, width in zip(copies, begin, widths, strict=False):
        own, columns = problem.scenes[s].programme, recourse_columns(problem, s)
        whole[at + np.searchsorted(columns, problem.recourse_whole)] = 1
        n, dense = own.numbers, own.matrix.toarray()
        block = np.zeros((len(dense) + 1, begin[-1]))
        block[:-1, :decisions] = dense[:, problem.first]
        block[:-1, at : at + width] = dense[:, columns]
        block[-1, :decisions] = -n.cost[problem.first]
        block[-1, at : at + width] = -n.cost[columns]
        block[-1, decisions + s] = 1.0
        block[-1, start - 1] = z.sum()
        shift = problem.scenes[s].push @ z
        blocks.append(sparse.csr_array(block))
        sides.append(
            (np.append(n.row_lower + shift, n.offset), np.append(n.row_upper + shift, np.inf))
        )
        lows.append(own.lower[columns])
        highs.append(own.upper[columns])
    cost = np.zeros(begin[-1])
    cost[decisions : start - 1] = problem.probability
    cost[start - 1] = problem.reach or 0.0
    found = optimize.milp(
        cost,
        integrality=whole,
        bounds=optimize.Bounds(np.concatenate(lows), np.concatenate(highs)),
        constraints=optimize.LinearConstraint(
            sparse.vstack(blocks), *(np.concatenate(side) for side in zip(*sides, strict=True))
        ),
        options={"mip_rel_gap": 1e-7},
    )
    assert found.status == 0, found.message
    return float(found.fun), found.x[:decisions]


def cost_of(problem, scene, x, z):
    """Return what a scene costs after decisions and moves, by scipy."""
    own = problem.scenes[scene]
    n, shift = own.programme.numbers, own.push @ z
    lower, upper = n.lower.copy(), n.upper.copy()
    lower[problem.first] = upper[problem.first] = np.clip(
        x, lower[problem.first], upper[problem.first]
    )
    whole = np.zeros(len(lower))
    whole[problem.recourse_whole] = 1
    found = optimize.milp(
        n.cost,
        integrality=whole,
        bounds=optimize.Bounds(lower, upper),
        constraints=optimize.LinearConstraint(
            own.programme.matrix, n.row_lower + shift, n.row_upper + shift
        ),
        options={"mip_rel_gap": 1e-8},
    )
    assert found.status == 0, found.message
    return float(found.fun + n.offset)


def decisions_of(problem, rng):
    """Return random decisions that some recourse can follow: the best for random moves."""
    cases = []
    for scene in problem.scenes:
        moves = scene.uncertain.moves.shape[1]
        wild = scene.uncertain.best(rng.normal(size=moves)) if moves else np.zeros(0)
        cases.append([np.zeros(moves), wild])
    return listed(replace(problem, reach=None), cases)[1]


def solved(problem, stop=FINE, exact=True, threads=1, proof=None):
    """Return what the loop finds, with the usual adversaries or another proof."""
    if exact and proof is None:
        proof = Exact(problem, gap=1e-8)
    master = Master(problem, Stop(gap=min(1e-6, 0.1 * stop.gap)))
    return ColumnGeneration(problem, master, Alternating(problem), proof, threads).run(stop)
