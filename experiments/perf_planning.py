"""One measurement of `mmg perf benders`: a way to commit a day, its seconds and what it finds.

A gap is that of upper and lower bound over the larger of cost and 1; how far a cost is `off` is
measured likewise against the optimum. Building is what all ways have in common, from scenarios to
their numbers side by side; for mpi-sppy it is the making of its models. Its tolerance is of each
scenario's cost-to-go, in currency: the gap times the larger of the optimum's size and 1.

Source: our choice.
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Final, NamedTuple, TypeVar

import numpy as np

from baselines.compact_benders import benders, separation_for
from baselines.day_ahead import day_ahead, with_risk
from baselines.deterministic import first_public
from baselines.division import Kind
from baselines.extensive_form import committed
from baselines.growing_form import solve_growing
from baselines.highs import Solver, SolverError
from baselines.risk import NEUTRAL, Risk
from baselines.scenarios import draw
from baselines.solution import Stop
from baselines.value_of_information import committed_to
from mmg_env.public import PublicInfo
from mmg_env.series import Scenarios
from mmg_env.sources.random import stream
from mmg_env.splits import sample_episode
from mmg_env.system import System

WHOLE: Final = "extensive form"
GROWN: Final = "the same, grown"
HOUR: Final = "hour"
MPI_SPPY: Final = "mpi-sppy"
GAP: Final = 1e-6
ROUNDS: Final = 300
LSHAPED_ROUNDS: Final = 100
QUICK_S: Final = 5.0
"""What takes less is timed several times, and the median counts."""
REPEATS: Final = 3

T = TypeVar("T")


class Row(NamedTuple):
    """One measurement.

    Attributes:
        suite: what is planned.
        scenarios: their number.
        beta: weight of CVaR.
        method: the extensive form from nothing or grown, a kind of cuts, or mpi-sppy.
        build_s: s.
        solve_s: all else, s; NaN where a limit ended it.
        rounds: of cuts.
        lower: bound, currency.
        upper: cost of what was found, currency.
        off: cost above the optimum, relative; NaN where that is not known.
    """

    suite: str
    scenarios: int
    beta: float
    method: str
    build_s: float
    solve_s: float
    rounds: int = 0
    lower: float = np.nan
    upper: float = np.nan
    off: float = np.nan

    @property
    def gap(self) -> float:
        """Relative gap between the bounds."""
        return (self.upper - self.lower) / max(1.0, abs(self.upper))

    @property
    def whole_s(self) -> float:
        """All seconds."""
        return self.build_s + self.solve_s

    def line(self) -> str:
        """Return it as a line of the table."""
        return (
            f"{self.suite:<8}{self.scenarios:>5}{self.beta:>6.1f}  {self.method:<16}"
            f"{self.build_s:>9.2f}{self.solve_s:>9.2f}{self.rounds:>7}"
            f"{self.lower:>15.4f}{self.upper:>15.4f}{self.gap:>10.1e}{self.off:>10.1e}"
        )


HEAD: Final = (
    f"{'suite':<8}{'scen.':>5}{'beta':>6}  {'method':<16}{'build s':>9}{'solve s':>9}"
    f"{'rounds':>7}{'lower':>15}{'upper':>15}{'gap':>10}{'off':>10}"
)


class Given(NamedTuple):
    """What a plan begins with."""

    public: PublicInfo
    scenarios: Scenarios

    def row(self, risk: Risk, method: str, build_s: float) -> Row:
        """Return a measurement that has not ended."""
        name, count = self.public.system.name, len(self.scenarios.values)
        return Row(name, count, risk.beta, method, build_s, np.nan)


def futures(system: System, count: int) -> Given:
    """Return what is known as the first test episode begins, and scenarios of what may come."""
    public = first_public(system, sample_episode(system, "test", 0))
    rng = stream(system.name, "test", 0, "perf benders")
    return Given(public, draw(system, public.forecast, count, rng))


def from_nothing(given: Given, risk: Risk, limit_s: float, best: float) -> Row:
    """Measure the extensive form as one programme."""
    build_s, problem = timed(lambda: day_ahead(*given))

    def solve() -> float:
        programme = with_risk(problem, risk)
        solver = Solver(programme, limit_s=limit_s)
        solver.load(programme.numbers)
        return solver.solve_lp().objective

    row = given.row(risk, WHOLE, build_s)
    try:
        solve_s, found = timed(solve)
    except SolverError:  # the time limit
        return row
    return row._replace(solve_s=solve_s, lower=found, upper=found, off=_off(found, best))


def grown(given: Given, risk: Risk) -> Row:
    """Measure the extensive form from the optimum of half of the scenarios on; without a limit."""
    build_s, problem = timed(lambda: day_ahead(*given))
    solve_s, answer = timed(lambda: solve_growing(problem, risk))
    best = answer.objective
    row = given.row(risk, GROWN, build_s)
    return row._replace(solve_s=solve_s, lower=best, upper=best, off=0.0)


def by_cuts(given: Given, kind: Kind, risk: Risk, limit_s: float, best: float) -> Row:
    """Measure compact Benders."""
    build_s, problem = timed(lambda: day_ahead(*given))
    separation = separation_for(kind)
    stop = Stop(GAP, ROUNDS, limit_s)
    row = given.row(risk, kind, build_s)
    try:
        solve_s, (found, _, _) = timed(lambda: benders(problem, kind, risk, stop, separation))
    except SolverError:  # the time limit of one master
        return row
    return row._replace(
        solve_s=solve_s,
        rounds=len(found.trace),
        lower=found.lower,
        upper=found.upper,
        off=_off(found.upper, best),
    )


def by_mpi_sppy(given: Given, limit_s: float, best: float) -> Row:
    """Measure mpi-sppy's L-shaped method, without fear.

    What it has found is what its last master decided, at the cost that this really has.

    Args:
        given: what a plan begins with.
        limit_s: time after which no further round begins, s.
        best: the optimum, currency.

    Raises:
        ImportError: mpi-sppy is not installed.
    """
    from experiments.lshaped import lshaped, two_stage_of

    problem, stop = day_ahead(*given), Stop(GAP, LSHAPED_ROUNDS, limit_s)
    reached = lshaped(two_stage_of(problem), GAP * max(1.0, abs(best)), stop)
    x = np.zeros(problem.compiled.matrix.shape[1])
    x[np.flatnonzero(committed(problem.compiled, problem.system))] = reached.x
    upper = committed_to(problem, x).solve().objective
    return given.row(NEUTRAL, MPI_SPPY, reached.build_s)._replace(
        solve_s=reached.solve_s,
        rounds=reached.rounds,
        lower=reached.lower,
        upper=upper,
        off=_off(upper, best),
    )


def least_by_party(given: Given, risk: Risk) -> float:
    """Return the optimum where each party fears its own bad end, which `single` looks for."""
    return with_risk(day_ahead(*given), risk, by_party=True).solve().objective


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that some work takes, and its result; the median where it is quick."""
    spent: list[float] = []
    while len(spent) < (REPEATS if sum(spent) < QUICK_S else 1):
        begin = perf_counter()
        result = work()
        spent.append(perf_counter() - begin)
    return median(spent), result


def _off(cost: float, best: float) -> float:
    """Return how far a cost is above the optimum, relative to the larger of it and 1."""
    return (cost - best) / max(1.0, abs(best))
