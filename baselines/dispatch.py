"""The dispatch of a community as one linear model with a few binaries, written in Pyomo.

Everything that the simulator does hour by hour stands here a second time, as equations over a
horizon of whole days. Each function named `add_*` adds one family of variables and constraints,
puts its power into the bus and its costs onto the bill: `dispatch_devices` what stands at a
participant's own bus, `dispatch_community` pool, grid and money, `dispatch_ces` the community
storage and the whole model. This page is what they share.

Conventions. Participants p are members 0..M-1, then the community storage. Step t is 0-based from
the model's first step, which is a day's first. State columns carry the state at the *start* of
step t: `energy_kwh[p, t]`, `segment_kwh[p, j, t]`, `backlog_kwh[m, t]`, `virtual_kwh[m, t]`, and
`chp_kw[m, t]`, `chp_on[m, t]`, which are output and commitment during step t - 1. Everything that
is known and changes from one solve to the next is a *data* variable: fixed in Pyomo, a column of
the right-hand side in `compiled`.

Two rules of the simulator are not linear and not here. Devices never run both ways at once:
`exclusivity` finds where a solution breaks that, and the search forbids it. A surplus is exported
before renewables are curtailed (after, if selling costs money): cost-minimal plans do so of
themselves unless deviations from the nomination are priced.

Source: docs/model.md sections 1 to 6.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray

from mmg_env.layout import L, P, W
from mmg_env.system import System

Array = NDArray[np.float64]
Expression = Any  # Pyomo ships no types


class Horizon(NamedTuple):
    """The whole days that a model covers.

    Attributes:
        steps: number of steps, a multiple of the steps of a day.
        periods: for each day, which of the model's demand-charge periods it lies in, 0-based.
    """

    steps: int
    periods: tuple[int, ...]


class Item(NamedTuple):
    """One line of the bill: price times quantity.

    Attributes:
        term: ledger term.
        participant: who pays.
        step: when, step of the model.
        price: a number, or a data variable of currency per unit of quantity.
        quantity: linear expression.
    """

    term: L
    participant: int
    step: int
    price: Expression
    quantity: Expression


@dataclass
class Dispatch:
    """A model under construction.

    Attributes:
        system: what is modelled.
        horizon: which steps.
        model: the Pyomo model.
        data: names of the data variables.
        bill: lines of the objective.
        bus: power into each participant's electric bus by (participant, step), kW.
        heat: heat into each member's heat bus by (member, step), kW.
    """

    system: System
    horizon: Horizon
    model: Any = field(default_factory=pyo.ConcreteModel)
    data: list[str] = field(default_factory=list)
    bill: list[Item] = field(default_factory=list)
    bus: dict[tuple[int, int], list[Expression]] = field(default_factory=dict)
    heat: dict[tuple[int, int], list[Expression]] = field(default_factory=dict)

    @property
    def dt_h(self) -> float:
        """Length of a step, h."""
        return self.system.dt_h

    @property
    def steps(self) -> range:
        """Steps of the model."""
        return range(self.horizon.steps)

    @property
    def members(self) -> range:
        """Rows of the members."""
        return range(len(self.system.members))

    @property
    def participants(self) -> range:
        """Rows of the members, then of the community storage."""
        return range(len(self.system.participants))

    def fact(self, p: int, column: P) -> float:
        """Return one number of the system's table."""
        return float(self.system.physics.table[p, column])

    def world(self, column: W) -> float:
        """Return one number that exists once per system."""
        return float(self.system.physics.world[column])

    def having(self, column: P, rows: Iterable[int] | None = None) -> list[int]:
        """Return the participants whose entry of the table is positive."""
        rows = self.participants if rows is None else rows
        return [p for p in rows if self.fact(p, column) > 0.0]

    def hours(self, rows: Iterable[int]) -> list[tuple[int, int]]:
        """Return all (row, step)."""
        return [(p, t) for p in rows for t in self.steps]

    def moments(self, rows: Iterable[int]) -> list[tuple[int, int]]:
        """Return all (row, t) of a state column, the horizon's end included."""
        return [(p, t) for p in rows for t in range(self.horizon.steps + 1)]

    def add(self, name: str, component: Any) -> Any:
        """Add a Pyomo component under a name and return it."""
        self.model.add_component(name, component)
        return component

    def rated(self, column: P) -> Callable[..., float]:
        """Return the upper bound that is a participant's number of the table."""
        return lambda p, *_: self.fact(p, column)

    def variable(
        self, name: str, index: Sequence[Any], upper: Callable[..., float] | None = None
    ) -> Any:
        """Add non-negative variables; `upper` is a function of the index, or None."""
        bounds = (0.0, None) if upper is None else lambda _, *i: (0.0, upper(*i))
        return self.add(name, pyo.Var(list(index), bounds=bounds))

    def known(self, name: str, index: Iterable[Any]) -> Any:
        """Return data variables, added on first use."""
        if name not in self.data:
            self.data.append(name)
            self.add(name, pyo.Var(list(index), initialize=0.0))
        return self.model.component(name)

    def series(self, name: str) -> Any:
        """Return a data variable with one value per step."""
        return self.known(name, self.steps)

    def rule(self, name: str, index: Iterable[Any], rule: Any) -> None:
        """Add one family of constraints."""
        self.add(name, pyo.Constraint(list(index), rule=lambda _, *i: rule(*i)))

    def supply(self, p: int, t: int, power_kw: Expression) -> None:
        """Put power (kW) into a participant's bus."""
        self.bus.setdefault((p, t), []).append(power_kw)

    def charge(self, item: Item) -> None:
        """Put a line on the bill, unless it is free for good."""
        if not (isinstance(item.price, float) and item.price == 0.0):
            self.bill.append(item)


@lru_cache(maxsize=1024)
def wear_groups(system: System, p: int) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return a battery's wear segments with equal neighbours merged.

    Returns:
        (groups,) cost per kWh discharged from the cells, (groups,) share of the capacity, and
        (segments,) the group of each of the simulator's segments.
    """
    wear = system.physics.wear[p]
    group = np.concatenate([[0], np.cumsum(np.diff(wear) != 0.0)]).astype(np.int64)
    costs = wear[np.unique(group, return_index=True)[1]]
    return costs, np.bincount(group) / len(wear), group


def at_most(power: Any, limit: Any) -> Callable[[int, int], Expression]:
    """Return the rule power <= limit."""
    return lambda p, t: power[p, t] <= limit[p, t]
