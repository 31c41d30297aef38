"""What it is worth to plan for scenarios, to know them, and to fear their bad end.

With z(x, s) the cost of scenario s after the commitments x, ::

    RP  = min over x of E z(x, s)                      the stochastic plan
    EEV = E z(x of the mean scenario, s)               the plan for what is expected
    WS  = E min over x of z(x, s)                      every scenario foreseen
    VSS = EEV - RP >= 0,   EVPI = RP - WS >= 0

A plan knows the scenarios that it was made for, so VSS is too large where they are few. Judged on
others, the same two plans differ by less, and the difference may have either sign. Where several
commitments are best for the mean scenario, EEV is that of the one found. On or off is relaxed, and
after the commitments each scenario is foreseen: all are promises about what is firm for the day.

Source: Birge & Louveaux 2011, chapter 4; the efficient frontier is that of Rockafellar & Uryasev
2000, traced over beta.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from baselines.compiled import Numbers
from baselines.day_ahead import DayAhead, day_ahead, scenario_numbers
from baselines.extensive_form import committed
from baselines.growing_form import solve_growing
from baselines.highs import Solver
from baselines.programme import Programme, held
from baselines.risk import NEUTRAL, Risk
from mmg_env.public import PublicInfo
from mmg_env.series import Scenarios

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Worth:
    """Expected costs of a day, currency.

    Attributes:
        stochastic: RP, planned for the scenarios.
        expected_value: EEV, planned for their mean.
        wait_and_see: WS, each foreseen.
        elsewhere: what the plan for the scenarios saves over that for their mean on others, which
            neither was made for; NaN where there are none.
    """

    stochastic: float
    expected_value: float
    wait_and_see: float
    elsewhere: float = float("nan")

    @property
    def of_stochastic_solution(self) -> float:
        """VSS: what planning for the mean costs more."""
        return self.expected_value - self.stochastic

    @property
    def of_perfect_information(self) -> float:
        """EVPI: what foresight would save."""
        return self.stochastic - self.wait_and_see


@dataclass(frozen=True)
class Point:
    """A plan on the efficient frontier.

    Attributes:
        beta: weight of CVaR.
        mean: expected cost, currency.
        cvar: mean of the worst 1 - alpha, currency.
    """

    beta: float
    mean: float
    cvar: float


def worth(public: PublicInfo, scenarios: Scenarios, others: Scenarios | None = None) -> Worth:
    """Return what the day that begins costs with three kinds of knowledge.

    Args:
        public: what is known at the day's first step.
        scenarios: what may come.
        others: drawn apart from them, to judge both plans on.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    problem = day_ahead(public, scenarios)
    plan = solve_growing(problem)
    mean = np.einsum("s,s...->...", scenarios.probability, scenarios.values)
    once = replace(scenarios, values=mean[None], probability=np.ones(1))
    planned = day_ahead(public, once)
    x = planned.form.of_scenario(planned.form.solve().x, 0)
    probability = scenarios.probability
    elsewhere = float("nan")
    if others is not None:
        _, blocks, _ = scenario_numbers(public, problem.window, others)
        best = problem.form.of_scenario(plan.x, 0)
        more = costs_after(problem, blocks, x) - costs_after(problem, blocks, best)
        elsewhere = float(others.probability @ more)
    return Worth(
        plan.objective,
        float(probability @ costs_after(problem, problem.blocks, x)),
        float(probability @ _costs(problem, problem.blocks)),
        elsewhere,
    )


def costs_after(problem: DayAhead, blocks: Sequence[Numbers], x: Array) -> Array:
    """Return what scenarios cost once the day is committed, (scenarios,), currency.

    Args:
        problem: the day's problem.
        blocks: numbers of its model in each scenario, its own or others'.
        x: (columns,) a solution of one scenario's model, of which the commitments are read.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    shared = np.flatnonzero(committed(problem.compiled, problem.system))
    return _costs(problem, [held(numbers, shared, x[shared]) for numbers in blocks])


def _costs(problem: DayAhead, blocks: Sequence[Numbers]) -> Array:
    """Return what scenarios cost at best, each by itself, (scenarios,), currency."""
    solver = Solver(problem.compiled)
    costs = []
    for numbers in blocks:
        solver.load(numbers)
        costs.append(solver.solve_lp().objective)
    return np.array(costs)


def committed_to(problem: DayAhead, x: Array) -> Programme:
    """Return the problem with its commitments fixed.

    Args:
        problem: the day's problem.
        x: (columns,) a solution of one scenario's model, of which the commitments are read.
    """
    form = problem.form
    shared = np.flatnonzero(committed(problem.compiled, problem.system))
    numbers = held(form.numbers, form.column[0, shared], x[shared])
    return Programme(form.name, form.matrix, numbers)


def frontier(problem: DayAhead, betas: Sequence[float], alpha: float = 0.9) -> list[Point]:
    """Return mean and CVaR of the best plan for each weight of the bad end.

    Args:
        problem: the day's problem.
        betas: weights, 0..1.
        alpha: level of CVaR.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    tail = Risk(1.0, alpha)
    points = []
    for beta in betas:
        x = problem.form.of_scenario(solve_growing(problem, Risk(beta, alpha)).x, 0)
        # Solved again, for at a beta of 1 scenarios below the bad end may cost anything.
        costs = costs_after(problem, problem.blocks, x)
        probability = problem.form.probability
        points.append(Point(beta, NEUTRAL.of(costs, probability), tail.of(costs, probability)))
    return points
