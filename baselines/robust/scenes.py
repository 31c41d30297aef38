"""A scene out of the dispatch model: which of its rows weather, loads and the grid's failures move.

Entries of what deviates are the members' wind, PV, load and heat by step, as an episode has them,
then the share of the grid links in service by step. Bounds that they move become rows.

A kW more load costs at most what shedding it costs, and saves at most what spilling it costs; a kW
more of wind or sun costs nothing, for it can be curtailed; and so on. These ranges of what a move
costs are what the exact search for the worst case needs.

Source: docs/model.md sections 1, 2 and 6; the ranges are our choice.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Compiled, Numbers, Sparse
from baselines.programme import Programme, lengthened
from baselines.robust.problem import Scene
from baselines.robust.sets import UncertaintySet
from baselines.window import link_limit
from mmg_env.layout import P, W, X
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

# Which of the four kinds of series each data variable is made of.
SERIES: Final = {"renewable_kw": (0, 1), "load_kw": (2,), "heat_kw": (3,)}
LINKS: Final = {"import_max_kw": P.import_kw, "export_max_kw": P.export_kw}


def entries(system: System, steps: int) -> int:
    """Return the number of entries that may deviate."""
    return steps * (4 * len(system.members) + 1)


def scene(
    compiled: Compiled, numbers: Numbers, system: System, rows: Array, uncertain: UncertaintySet
) -> Scene:
    """Return the scene of one expected future.

    Args:
        compiled: the model.
        numbers: filled with what is expected.
        system: whose model it is.
        rows: (steps, columns) what is expected.
        uncertain: its moves are over the entries of this page.
    """
    entry = _moved(compiled, system)
    moved = sparse.csr_array(entry @ uncertain.moves)
    single, expected = compiled.single, _expected(system, rows)
    limit = single.rhs - single.data_matrix @ (entry @ expected)
    pushed = sparse.csr_array(-(single.data_matrix @ moved))
    bound = _loose(compiled, numbers, limit, np.flatnonzero(np.diff(pushed.indptr)))
    columns, below, above = (
        part[bound] for part in (single.column, single.is_lower, single.is_upper)
    )
    lower, upper = numbers.lower.copy(), numbers.upper.copy()
    lower[columns[below]] = compiled.lower[columns[below]]
    upper[columns[above]] = compiled.upper[columns[above]]
    at = (np.ones(len(bound)), (np.arange(len(bound)), columns))
    programme = lengthened(
        Programme(
            compiled.name,
            sparse.csr_array(compiled.matrix),
            replace(numbers, lower=lower, upper=upper, price=np.zeros(0), constant=np.zeros(0)),
        ),
        sparse.csr_array(at, shape=(len(bound), len(upper))),
        np.where(below, limit[bound], -np.inf),
        np.where(above, limit[bound], np.inf),
    )
    by_row = sparse.csr_array(-(compiled.data_matrix @ moved))
    push = sparse.vstack([by_row, pushed[bound]], format="csr")
    least, most = _ranges(system, rows, uncertain.moves)
    return Scene(programme, push, uncertain, least, most)


def _expected(system: System, rows: Array) -> Array:
    """Return what is expected of each entry."""
    width = 4 * len(system.members)
    return np.concatenate([rows[:, :width].ravel(), rows[:, width + X.grid_up]])


def _loose(compiled: Compiled, numbers: Numbers, limit: Array, bounds: Integers) -> Integers:
    """Return those bounds whose columns nothing but the bound itself fixes."""
    column = compiled.single.column[bounds]
    lower, upper = numbers.lower[column], numbers.upper[column]
    own = np.where(compiled.single.is_upper[bounds], upper, lower)
    return np.asarray(bounds[(lower < upper) | np.isclose(own, limit[bounds], rtol=0.0)])


def _moved(compiled: Compiled, system: System) -> Sparse:
    """Return by how much each entry moves each number of the model's data, (data, entries)."""
    width, steps = 4 * len(system.members), compiled.steps
    places, sources, amounts = [], [], []
    for name, kinds in SERIES.items():
        if name not in compiled.slots or not compiled.slots[name].index:
            continue
        slot = compiled.slots[name]
        member, step = slot.indexer
        for kind in kinds:
            places.append(slot.position)
            sources.append(step * width + kind * len(system.members) + member)
            amounts.append(np.ones(len(step)))
    for name, column in LINKS.items():
        slot = compiled.slots[name]
        if slot.index:
            participant, step = slot.indexer
            places.append(slot.position)
            sources.append(steps * width + step)
            amounts.append(link_limit(system, column)[participant])
    at = (np.concatenate(amounts), (np.concatenate(places), np.concatenate(sources)))
    data = sum(len(slot.position) for slot in compiled.slots.values())
    return sparse.csr_array(at, shape=(data, entries(system, steps)))


def _ranges(system: System, rows: Array, moves: Sparse) -> tuple[Array, Array]:
    """Return what a move in full can cost at least and at most, (moves,) each, currency."""
    world, members, dt_h = system.physics.world, len(system.members), system.dt_h
    lost, spilt = world[W.unserved_per_kwh], world[W.spill_per_kwh]
    cold = world[W.unserved_heat_per_kwh]
    # Wind, PV, load, heat: cost of one kWh more.
    low = np.repeat([-lost, -lost, -spilt, 0.0], members) * dt_h
    high = np.repeat([0.0, 0.0, lost, cold], members) * dt_h
    shared = np.abs(rows[:, 4 * members :])
    priced = [X.price_buy, X.ces_buy, X.short_premium, X.long_premium]
    dearest = shared[:, priced].sum(axis=1)
    # What no link carries is shed or spilt, and neither bought nor sold.
    relief = dt_h * (
        (lost + dearest) * link_limit(system, P.import_kw).sum()
        + (spilt + dearest) * link_limit(system, P.export_kw).sum()
    )
    least = np.concatenate([np.tile(low, len(rows)), -relief])
    most = np.concatenate([np.tile(high, len(rows)), np.zeros(len(rows))])
    up, down = moves.maximum(0), moves.minimum(0)
    return np.asarray(up.T @ least + down.T @ most), np.asarray(up.T @ most + down.T @ least)
