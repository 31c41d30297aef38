"""Quotes with a margin: what a traded kWh is said to cost more than it does.

A participant's lie lambda, a share, is a margin on all that it sends and receives in the pool::

    margin[p, t] = lambda[p] * (price_buy[t] - price_sell[t]) / 2

At lambda = 1 on both sides no trade is left that beats the grid.

Source: our choice; Bian & Ji 2025, section 4.1 have quotes that deceive.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from baselines.compiled import Compiled, Numbers
from mmg_env.layout import MEMBER_SERIES, X
from mmg_env.system import System

Array = NDArray[np.float64]


def margins(system: System, lies: Array, rows: Array) -> Array:
    """Return each participant's margin in each step, (participants, steps), currency per kWh.

    Args:
        system: whose prices they are.
        lies: (participants,) shares.
        rows: (steps, columns) exogenous values.
    """
    first = len(MEMBER_SERIES) * len(system.members)
    spread = rows[:, first + X.price_buy] - rows[:, first + X.price_sell]
    return np.asarray(0.5 * np.outer(lies, spread))


def with_margins(compiled: Compiled, numbers: Numbers, margin: Array, dt_h: float) -> Numbers:
    """Return a model's numbers where what is sent and received costs a margin more.

    Args:
        compiled: the model.
        numbers: its numbers.
        margin: (participants, steps) currency per kWh.
        dt_h: length of a step, h.
    """
    cost = numbers.cost.copy()
    for name in ("sent_kw", "received_kw"):
        if name in compiled.columns:
            columns = compiled.columns[name]
            there = columns >= 0
            cost[columns[there]] += dt_h * margin[: len(columns)][there]
    return replace(numbers, cost=cost)
