"""What a community commits to for a day, as a two-stage problem over scenarios.

First stage is the day-ahead row of docs/model.md section 2: rent, the pool's schedule, the grid's
nomination. All else of each scenario is recourse, and sees the whole scenario: the value is
optimistic, and what it is worth hour by hour is for a rollout to say.

Source: textbook two-stage programme (Birge & Louveaux 2011, chapter 2); the risk is that of
`risk.py`.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Compiled, Numbers, Sparse
from baselines.extensive_form import SPANNING, ExtensiveForm, committed, two_stage
from baselines.programme import Programme
from baselines.risk import NEUTRAL, Risk, weigh
from baselines.rolling_horizon import Window, window_at, window_numbers, window_rows
from mmg_env.public import PublicInfo
from mmg_env.series import Scenarios
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

COMMUNITY: Final = -1
# What ties participants to one another; all other columns are one participant's own affair.
TIES: Final = (
    "sent_kw",
    "received_kw",
    "virtual_in_kw",
    "virtual_out_kw",
    "virtual_kwh",
    "rental_kwh",
    "rental_kw",
    "nominated_kw",
    "short_kw",
    "long_kw",
)
# Columns of the storage that have no index of a participant.
STORAGE: Final = ("planned_kw", "regulation_kw", "spinning_kw", "called_more_kw", "called_less_kw")


@dataclass(frozen=True, eq=False)
class DayAhead:
    """The problem of one day's commitments.

    Attributes:
        system: whose it is.
        window: the hours that it looks at.
        compiled: the model of one scenario.
        blocks: its numbers in each scenario.
        form: the scenarios side by side, with commitments in common.
        rows: (scenarios, steps, columns) what happens in each.
    """

    system: System
    window: Window
    compiled: Compiled
    blocks: tuple[Numbers, ...]
    form: ExtensiveForm
    rows: Array

    def costs_by_party(self) -> tuple[Sparse, Array]:
        """Return the cost of storage and community, then of each member, in each scenario.

        Returns:
            (parties * scenarios, columns) cost per unit, and (parties * scenarios,) constants,
            which are all the community's.
        """
        member = member_of_columns(self)
        parties = [
            sparse.csr_array(self.form.costs @ sparse.diags_array((member == m).astype(float)))
            for m in range(COMMUNITY, len(self.system.members))
        ]
        offsets = np.zeros((len(parties), len(self.form.offsets)))
        offsets[0] = self.form.offsets
        return sparse.vstack(parties, format="csr"), offsets.ravel()


def day_ahead(public: PublicInfo, scenarios: Scenarios) -> DayAhead:
    """Return the problem of the day that begins.

    Args:
        public: what is known at the day's first step.
        scenarios: what may come, from this step on.
    """
    system, window = public.system, window_at(public.system, public.step)
    compiled, blocks, rows = scenario_numbers(public, window, scenarios)
    shared = committed(compiled, system)
    form = two_stage(compiled, blocks, scenarios.probability, shared)
    return DayAhead(system, window, compiled, tuple(blocks), form, rows)


def scenario_numbers(
    public: PublicInfo, window: Window, scenarios: Scenarios
) -> tuple[Compiled, list[Numbers], Array]:
    """Return the model of a window, its numbers in each scenario, and the series behind them."""
    every = [
        window_rows(public.system, window, replace(public.forecast, values=values))
        for values in scenarios.values
    ]
    filled = [window_numbers(public.system, window, public.state, rows) for rows in every]
    return filled[0][0], [numbers for _, numbers in filled], np.array(every)


def with_risk(problem: DayAhead, risk: Risk, by_party: bool = False) -> Programme:
    """Return the extensive form that minimises risk, the system's or each party's own.

    Each party's own adds up to no less than the system's, because not all have their bad days in
    the same scenario.
    """
    form = problem.form
    if risk == NEUTRAL:
        return form
    costs, offsets = problem.costs_by_party() if by_party else (form.costs, form.offsets)
    return weigh(form, costs, offsets, form.probability, risk)


def member_of_columns(problem: DayAhead) -> Integers:
    """Return the member whose own affair each merged column is, (columns,); -1 for the rest."""
    one = _spread(problem, COMMUNITY, 0)
    merged = np.full(problem.form.matrix.shape[1], COMMUNITY)
    merged[problem.form.column] = np.broadcast_to(one, problem.form.column.shape)
    return merged


def step_of_columns(problem: DayAhead) -> Integers:
    """Return the step of each merged column, (columns,); -1 where it spans several."""
    one = _spread(problem, -1, -1)
    merged = np.full(problem.form.matrix.shape[1], -1)
    merged[problem.form.column] = np.broadcast_to(one, problem.form.column.shape)
    return merged


def scenario_of_columns(problem: DayAhead) -> Integers:
    """Return the scenario of each merged column, (columns,); of the first for shared ones."""
    columns = problem.form.column
    merged = np.empty(problem.form.matrix.shape[1], dtype=np.int64)
    for s in range(len(columns) - 1, -1, -1):
        merged[columns[s]] = s
    return merged


def _spread(problem: DayAhead, default: int, axis: int) -> Integers:
    """Return the participant (axis 0) or step (axis -1) of each column of one scenario."""
    compiled, members = problem.compiled, len(problem.system.members)
    out = np.full(compiled.matrix.shape[1], default)
    for name, numbers in compiled.columns.items():
        if axis == 0 and name in (*TIES, *STORAGE):
            continue
        if axis == -1 and (name in SPANNING or numbers.shape[-1] != compiled.steps):
            continue
        index = np.indices(numbers.shape)[axis]
        there = numbers >= 0
        found = index[there]
        if axis == 0:
            found = np.where(found < members, found, COMMUNITY)
        out[numbers[there]] = found
    return out
