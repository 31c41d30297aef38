"""Model predictive control against scenarios: every hour, what is firm now must do in all of them.

Shared by all scenarios are the wishes of the current hour, the state that follows from them and, at
a day's first step, the day's commitments; the rest is each scenario's own. With x what is shared
and V_s(x) what scenario s then costs, ::

    min over x of  risk of (V_1(x), ..., V_n(x))

by cuts: a scenario is the dispatch model of the hour with x fixed, and its reduced costs are the
slope. The models keep their bases from hour to hour. Directions and commitments of the hour are
decided on the cuts at the end; those of later hours are relaxed. Where a day begins much is shared,
and the scenarios are solved side by side instead.

Source: textbook two-stage programme solved by the L-shaped method (Van Slyke & Wets 1969; Birge &
Louveaux 2011, chapter 5); docs/model.md section 2 for who knows what when.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.branching import Search
from baselines.compiled import Compiled, Numbers, Sparse
from baselines.cuts import Cuts, Cutting, close, closes
from baselines.day_ahead import scenario_numbers
from baselines.exclusivity import OVERLAP_KW, Pairs, find_pairs
from baselines.extensive_form import deciding_step, two_stage
from baselines.highs import Answer, Solver
from baselines.mpc import GAP, NODES, commitments, directed, rent
from baselines.plans import Values, requests
from baselines.programme import Programme, numbers_of, widened
from baselines.risk import NEUTRAL, Risk, weigh
from baselines.rolling_horizon import Window, window_at
from baselines.scenarios import balanced
from baselines.solution import Stop
from mmg_env.actions import ActionCodec
from mmg_env.kernel import N_ACTION
from mmg_env.layout import A, P
from mmg_env.public import PublicInfo
from mmg_env.series import Scenarios
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SCENARIOS: Final = 8
# The gap is of the cost to the end of the window, of which an hour is a small part. Ended by rounds
# alone: what is decided must not depend on how fast a machine is.
STOP: Final = Stop(gap=1e-5, iterations=60, time_s=np.inf)
TRIES: Final = 4  # cuts know what a choice costs only once it has been made
DAY_NODES: Final = 200  # a day's schedule is decided once
# What follows from the wishes of an hour while no reserve is called.
FOLLOWING: Final = (
    "energy_kwh",
    "backlog_kwh",
    "virtual_kwh",
    "planned_kw",
    "called_more_kw",
    "called_less_kw",
)


class StochasticMpc:
    """Model predictive control against scenarios, as a policy."""

    def __init__(self, system: System, risk: Risk = NEUTRAL, scenarios: int = SCENARIOS) -> None:
        """Take the system, what is minimised, and how many scenarios are drawn each hour."""
        self._system = system
        self._risk = risk
        self._count = scenarios
        self._codec = ActionCodec(system)
        self._held: dict[Compiled, list[Solver]] = {}
        self._rng = np.random.default_rng(0)

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the last episode's warm starts."""
        self._rng = rng
        self._held = {}

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return this hour's wishes and, at a day's first step, its commitments."""
        public: PublicInfo = info["public"]
        scenarios = balanced(self._system, public.forecast, self._count, self._rng)
        request = plan_under(public, scenarios, self._risk, self._held)
        return np.clip(self._codec.encode(request), -1.0, 1.0)


def plan_under(
    public: PublicInfo,
    scenarios: Scenarios,
    risk: Risk,
    held: dict[Compiled, list[Solver]],
    stop: Stop = STOP,
) -> Array:
    """Return the wishes of one step, (request_size,), planned against scenarios.

    Args:
        public: what is known.
        scenarios: what may come, from this step on.
        risk: what is minimised.
        held: warm solvers by model, one per scenario and one for the forecast; filled.
        stop: when cuts end.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    system, window = public.system, window_at(public.system, public.step)
    # The forecast comes last.
    futures = replace(
        scenarios, values=np.concatenate([scenarios.values, public.forecast.values[None]])
    )
    compiled, blocks, rows = scenario_numbers(public, window, futures)
    for numbers in blocks:
        keep_shifts_possible(system, compiled, numbers, window.hour)
    solvers = held.setdefault(compiled, [])
    solvers.extend(Solver(compiled, {"presolve": "off"}) for _ in blocks[len(solvers) :])
    hour = Hour(system, window, compiled, blocks, solvers)
    x = hour.decide(scenarios.probability, risk, stop)
    return hour.wishes(x, rows)


def keep_shifts_possible(system: System, compiled: Compiled, numbers: Numbers, hour: int) -> None:
    """Let no load be shifted in an hour that the rest of the day could not shift back."""
    if "backlog_kwh" not in compiled.columns:
        return
    columns = compiled.columns["backlog_kwh"][:, hour + 1]
    there = columns >= 0
    left = system.steps_per_day - 1 - hour
    most = (system.column(P.flex_kw)[: len(columns)] * left * system.dt_h)[there]
    at = columns[there]
    numbers.lower[at] = np.maximum(numbers.lower[at], -most)
    numbers.upper[at] = np.minimum(numbers.upper[at], most)


def firm(compiled: Compiled, system: System, hour: int) -> Integers:
    """Return the columns that are the same in all scenarios: what is decided, and what follows.

    Without a call of spinning reserve, which no scenario has, the state after the hour follows from
    the wishes of the hour.
    """
    shared = deciding_step(compiled, system) <= hour
    for name in FOLLOWING:
        if name in compiled.columns:
            numbers = compiled.columns[name]
            after = numbers[..., hour + numbers.shape[-1] - compiled.steps]
            shared[after[after >= 0]] = True
    return np.flatnonzero(shared)


class Hour:
    """One hour's problem: what is shared, and what each scenario costs once that is fixed."""

    def __init__(
        self,
        system: System,
        window: Window,
        compiled: Compiled,
        blocks: Sequence[Numbers],
        solvers: Sequence[Solver],
    ) -> None:
        """Load the scenarios into their solvers; the last block is the forecast."""
        self._system = system
        self._window = window
        self._compiled = compiled
        self._blocks = blocks
        self._solvers = solvers
        self._shared = firm(compiled, system, window.hour)
        self._matrix, self._rows = _rows_within(compiled, self._shared)
        for solver, numbers in zip(solvers, blocks, strict=False):
            solver.load(numbers)
        # The master keeps these rows, up to a rounding that a scenario might not forgive.
        free = np.full(len(self._rows), np.inf)
        for solver in solvers[: len(blocks) - 1]:
            solver.set_sides(self._rows, -free, free)

    def decide(self, probability: Array, risk: Risk, stop: Stop) -> Array:
        """Return what is shared, (shared,), with directions and commitments of the hour decided.

        They stay relaxed where no choice of them is found.
        """
        if self._window.hour == 0:
            return self._decide_day(probability, risk)
        programme, theta = self._master(probability, risk)
        master = programme.solver()

        def paid(_: Array, values: Array) -> float:
            return risk.of(values, probability)

        cutting = Cutting(master, theta, self._respond, paid)
        # What would be done against the forecast alone is where cuts begin.
        start = self._solvers[len(self._blocks) - 1].solve_lp().x[self._shared]
        best = close(cutting, start, stop).x
        place = np.full(self._compiled.matrix.shape[1], -1)
        place[self._shared] = np.arange(len(self._shared))
        binary, pairs = self._choices(place)
        if Search(master, programme.numbers, binary, pairs).whole(best):
            return best
        return self._choose(cutting, programme, (binary, pairs), stop, best)

    def _choose(
        self,
        cutting: Cutting,
        programme: Programme,
        choices: tuple[Integers, Pairs],
        stop: Stop,
        relaxed: Array,
    ) -> Array:
        """Return the best of what is shared with its choices made; what is relaxed if none is.

        A choice is made on the cuts so far, and cuts are then taken where it leads; until they
        promise nothing better than what was found.
        """
        n, at, master = programme.numbers, np.arange(len(relaxed)), cutting.master
        best, cost = relaxed, np.inf
        for _ in range(TRIES):
            search = Search(master, n, *choices)
            search.run(GAP, NODES)
            if search.best is None or closes(search.best.objective, cost, stop.gap):
                break
            x = search.best.x[: len(at)]
            _keep_choices(master, programme, x, *choices)
            found = close(cutting, x, stop)
            if found.upper < cost:
                best, cost = found.x, found.upper
            master.set_bounds(at, n.lower[at], n.upper[at])
        return best

    def _decide_day(self, probability: Array, risk: Risk) -> Array:
        """Return what is shared where a day begins.

        A day's commitments are many numbers, for which cuts take longer than the scenarios side by
        side.
        """
        shared = np.zeros(self._compiled.matrix.shape[1], dtype=np.bool_)
        shared[self._shared] = True
        form = two_stage(self._compiled, self._blocks[:-1], probability, shared)
        whole = weigh(form, form.costs, form.offsets, probability, risk)
        search = Search(whole.solver(), whole.numbers, *self._choices(form.column[0]))
        search.run(GAP, DAY_NODES)
        x = search.relaxed if search.best is None else search.best.x
        return form.of_scenario(x, 0)[self._shared]

    def _choices(self, place: Integers) -> tuple[Integers, Pairs]:
        """Return the commitments and directions that are firm now, by where columns stand.

        Args:
            place: (columns,) number of each column in the programme that is searched.
        """
        compiled, window = self._compiled, self._window
        pairs = find_pairs(compiled, self._blocks[0], directed(self._system, window))
        # Later hours' recourse is each scenario's own, and stays relaxed.
        own = pairs.among(self._shared)
        return place[commitments(compiled, window.hour, 1)], own.placed(place)

    def _master(self, probability: Array, risk: Risk) -> tuple[Programme, Integers]:
        """Return the programme of what is shared, with a theta per scenario."""
        shared, scenarios = self._shared, len(probability)
        n = self._blocks[0]
        numbers = numbers_of(
            n.lower[shared],
            n.upper[shared],
            n.row_lower[self._rows],
            n.row_upper[self._rows],
            np.zeros(len(shared)),
        )
        name = f"hour {self._window.step} of {self._compiled.name}"
        free = np.full(scenarios, np.inf)
        wide = widened(Programme(name, self._matrix, numbers), -free, free, np.zeros(scenarios))
        nothing = sparse.csr_array((scenarios, len(shared)))
        costs = sparse.hstack([nothing, sparse.eye_array(scenarios)], format="csr")
        theta = len(shared) + np.arange(scenarios)
        return weigh(wide, costs, np.zeros(scenarios), probability, risk), theta

    def _solve(self, scenario: int, x: Array) -> Answer:
        """Return a scenario's optimum with what is shared fixed."""
        solver = self._solvers[scenario]
        solver.set_bounds(self._shared, x, x)
        return solver.solve_lp()

    def _respond(self, x: Array) -> Cuts:
        """Return what each scenario costs, and the slope in what is shared."""
        answers = [self._solve(s, x) for s in range(len(self._blocks) - 1)]
        values = np.array([answer.objective for answer in answers])
        slopes = np.array([answer.column_dual[self._shared] for answer in answers])
        return Cuts(values, sparse.csr_array(slopes))

    def wishes(self, x: Array, rows: Array) -> Array:
        """Return the wishes of the hour; rented is what the most demanding scenario uses."""
        every = []
        for s in range(len(self._blocks) - 1):
            solution = self._solve(s, x).x
            every.append(requests(self._system, Values(self._compiled, solution), rows[s]))
        hour, count = self._window.hour, len(self._system.participants)
        wishes: Array = every[0][hour].copy()  # alike in all scenarios
        most = np.max([one[hour, : count * N_ACTION] for one in every], axis=0)
        rent(self._system, wishes, most.reshape(count, N_ACTION)[:, [A.rental_kwh, A.rental_kw]])
        return wishes


def _rows_within(compiled: Compiled, columns: Integers) -> tuple[Sparse, Integers]:
    """Return the rows in which no other columns stand, over these columns, and their numbers."""
    by_row = sparse.csr_array(compiled.matrix)
    among = sparse.csc_array(by_row)[:, columns].tocsr()
    rows = np.flatnonzero(np.diff(among.indptr) == np.diff(by_row.indptr))
    return among[rows], rows


def _keep_choices(
    master: Solver, programme: Programme, x: Array, binary: Integers, pairs: Pairs
) -> None:
    """Fix the commitments of a solution and close the sides of pairs that it does not use."""
    upper = programme.numbers.upper.copy()
    lower = programme.numbers.lower.copy()
    lower[binary] = upper[binary] = np.round(x[binary])
    for side, used in zip((pairs.first, pairs.second), pairs.sides(x), strict=True):
        closed = side[used <= OVERLAP_KW]
        upper[closed[closed >= 0]] = 0.0
    at = np.arange(len(x))
    master.set_bounds(at, lower[at], np.maximum(upper[at], lower[at]))
