"""What every optimiser returns: a plan, its value, a proven bound, and how it got there.

Source: our choice.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmg_env.layout import REAL_COSTS

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plan:
    """Decisions for an episode, and what the optimiser expects of them.

    Attributes:
        requests: (steps, request_size) physical wishes as `mmg_env.trajectory.simulate` takes them.
        flows: (steps, participants, len(F)) powers, kW; what a model does not know is 0.
        ledger: (steps, participants, len(L)) real costs, currency; transfers are NaN.
    """

    requests: Array
    flows: Array
    ledger: Array

    def __post_init__(self) -> None:
        """Freeze the arrays."""
        for array in (self.requests, self.flows, self.ledger):
            array.flags.writeable = False

    @property
    def cost(self) -> float:
        """Real cost of the plan, currency."""
        return float(self.ledger[:, :, : len(REAL_COSTS)].sum())


@dataclass(frozen=True)
class Stop:
    """When an iterative optimiser ends.

    Attributes:
        gap: relative gap between upper and lower bound that is good enough.
        iterations: most iterations.
        time_s: longest time, s.
    """

    gap: float = 1e-4
    iterations: int = 100
    time_s: float = 300.0


@dataclass(frozen=True)
class Iteration:
    """One line of an optimiser's trace.

    Attributes:
        number: 0-based.
        lower: best lower bound so far, currency.
        upper: best value so far, currency.
        upper_kind: `proven`, or `heuristic` where the value is no upper bound.
        time_s: since the start, s.
    """

    number: int
    lower: float
    upper: float
    upper_kind: Literal["proven", "heuristic"] = "proven"
    time_s: float = 0.0


@dataclass(frozen=True, eq=False)
class Solution:
    """What an optimiser found.

    Attributes:
        plan: decisions and expectations.
        objective: value of the plan, currency.
        bound: proven lower bound of the problem, currency; None where there is no proof.
        status: `optimal`, or `gap` where objective and bound differ by more than was asked for.
        trace: one entry per iteration.
    """

    plan: Plan
    objective: float
    bound: float | None
    status: str
    trace: tuple[Iteration, ...] = ()
