"""Progressive hedging bounds the master from both sides, and serves in its place."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from baselines.programme import Programme, numbers_of
from baselines.robust import hedging
from baselines.robust.adversary import Alternating
from baselines.robust.column_generation import ColumnGeneration
from baselines.robust.day_ahead import alone
from baselines.robust.hedging import Hedged, Hedging
from baselines.robust.master import Decided, Master
from baselines.robust.problem import RobustProblem, Scene
from baselines.robust.sets import box
from baselines.robust.typical_days import typical_problem
from baselines.solution import Stop
from mmg_env import load_system
from mmg_env.errors import InputError

Array = NDArray[np.float64]

UNITS, HOURS, SCENES = 3, 6, 4
SHORT, FUEL, RENT = 8.0, 2.0, 0.4  # per kWh short, of a unit, and of what is kept ready
RESERVE, USE = 5.0, 10.0  # most that is kept ready; cost of using any


def units(seed: int, nested: bool = False, reach: float | None = None) -> RobustProblem:
    """Units and a reserve that are committed before the load of each hour is known.

    Columns: on (units), reserve, whether it is used, used (hours), run (units x hours), short
    (hours). If `nested`, whether the reserve is used is 0 or 1.
    """
    rng = np.random.default_rng(seed)
    size, fixed = rng.uniform(2.0, 6.0, UNITS), rng.uniform(5.0, 25.0, UNITS)
    scenes = tuple(_scene(rng, size, fixed) for _ in range(SCENES))
    probability = rng.dirichlet(np.full(SCENES, 3.0))
    switch = UNITS + 1
    whole = np.array([switch] if nested else [], dtype=np.int64)
    return RobustProblem(scenes, probability, np.arange(UNITS + 1), np.arange(UNITS), whole, reach)


def _scene(rng: np.random.Generator, size: Array, fixed: Array) -> Scene:
    """Return a scene of its own loads."""
    load = rng.uniform(2.0, 14.0, HOURS)
    reserve, switch, used = UNITS, UNITS + 1, UNITS + 2
    run, short = used + HOURS, used + HOURS + UNITS * HOURS
    columns = short + HOURS
    cost = np.zeros(columns)
    cost[:UNITS], cost[reserve], cost[switch] = fixed, RENT * HOURS, USE
    cost[run:short], cost[short:] = FUEL, SHORT
    upper = np.full(columns, np.inf)
    upper[:UNITS] = upper[switch] = 1.0
    upper[reserve] = RESERVE
    rows = np.zeros((HOURS * (UNITS + 3), columns))
    low, high = np.full(len(rows), -np.inf), np.zeros(len(rows))
    for hour in range(HOURS):
        served = rows[hour]
        served[[used + hour, short + hour]] = 1.0
        served[run + hour : short : HOURS] = 1.0
        low[hour] = high[hour] = load[hour]
        for unit in range(UNITS):
            row = rows[HOURS * (unit + 1) + hour]
            row[run + unit * HOURS + hour], row[unit] = 1.0, -size[unit]
        kept, switched = rows[HOURS * (UNITS + 1) + hour], rows[HOURS * (UNITS + 2) + hour]
        kept[used + hour], kept[reserve] = 1.0, -1.0
        switched[used + hour], switched[switch] = 1.0, -2.0 * RESERVE
    numbers = numbers_of(np.zeros(columns), upper, low, high, cost)
    programme = Programme("units", sparse.csr_array(rows), numbers)
    uncertain = box(0.2 * load, np.zeros(HOURS))
    push = sparse.csr_array(np.eye(len(rows), HOURS)) @ uncertain.moves
    return Scene(programme, push, uncertain, np.zeros(HOURS), SHORT * 0.2 * load)


def told(master: Master | Hedged, problem: RobustProblem) -> Decided:
    """Tell a master of the expected and of the highest loads, and have it decide each time."""
    for z in (np.zeros(HOURS), np.ones(HOURS)):
        for scene in range(len(problem.scenes)):
            master.add(scene, z)
        decided = master.decide()
    return decided


EXACT = Stop(gap=1e-9)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("start", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_bounds_enclose_the_optimum(seed: int, start: float, nested: bool) -> None:
    problem = units(seed, nested)
    optimum = told(Master(problem, EXACT), problem).upper
    found = told(Hedged(problem, Stop(gap=1e-9, iterations=4), Hedging(start=start)), problem)
    slack = 1e-6 * optimum
    assert found.lower <= optimum + slack
    assert found.upper >= optimum - slack
    # No bound that were a trivial one would pass.
    assert found.lower >= 0.9 * optimum
    assert found.upper <= 1.05 * optimum


@pytest.mark.parametrize("nested", [False, True])
def test_upper_bound_is_what_the_decisions_cost(nested: bool) -> None:
    problem = units(3, nested)
    found = told(Hedged(problem, Stop(gap=1e-9, iterations=2)), problem)
    fixed = Master(problem, EXACT)
    fixed._known.solver.set_bounds(np.arange(UNITS + 1), found.x, found.x)
    again = told(fixed, problem)
    assert found.upper == pytest.approx(again.upper, rel=1e-6)
    assert found.theta == pytest.approx(again.theta, rel=1e-6)
    assert np.isin(found.x[:UNITS], (0.0, 1.0)).all()
    assert found.price == 0.0


def test_weights_have_mean_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = units(0)
    costs: list[Array] = []
    apart = Hedged._apart

    def seen(self: Hedged, cost: Array, pool: object) -> hedging._Apart:
        costs.append(cost)
        return apart(self, cost, pool)  # type: ignore[arg-type]

    monkeypatch.setattr(Hedged, "_apart", seen)
    master = Hedged(problem, Stop(gap=1e-9, iterations=4), Hedging(start=0.5))
    for scene in range(SCENES):
        master.add(scene, np.zeros(HOURS))
    master.decide()
    plain = costs[::2]  # every other solve is without the penalty
    assert len(plain) >= 2
    for w in plain:
        assert problem.probability @ w == pytest.approx(np.zeros(UNITS + 1), abs=1e-9)
        assert np.abs(w).max() > 0.1
    assert not np.allclose(plain[1], plain[0])


def test_threads_change_nothing() -> None:
    problem = units(1, nested=True)
    one, three = (
        told(Hedged(problem, Stop(gap=1e-9, iterations=3), Hedging(threads=threads)), problem)
        for threads in (1, 3)
    )
    assert np.array_equal(one.x, three.x)
    assert np.array_equal(one.theta, three.theta)
    assert (one.lower, one.upper) == (three.lower, three.upper)


def test_lower_bound_never_falls() -> None:
    problem = units(4)
    master = Hedged(problem, Stop(gap=1e-9, iterations=1))
    bounds = []
    for z in (np.zeros(HOURS), *np.eye(HOURS), np.ones(HOURS)):
        for scene in range(SCENES):
            master.add(scene, z)
        bounds.append(master.decide().lower)
    assert (np.diff(bounds) >= 0.0).all()
    assert bounds[-1] > bounds[0]


def test_a_remaining_gap_is_told() -> None:
    gaps = []
    for seed in range(6):
        problem = units(seed)
        found = told(Hedged(problem, Stop(gap=1e-9, iterations=1), Hedging(start=0.0)), problem)
        gaps.append((found.upper - found.lower) / found.upper)
    assert max(gaps) > 1e-4


def test_the_loop_runs_on_it_as_on_the_master() -> None:
    problem = typical_problem(alone(load_system("s1_3mg"), 2))
    found = [
        ColumnGeneration(problem, master, Alternating(problem)).run(Stop(gap=1e-3, iterations=10))
        for master in (Master(problem, Stop(gap=2e-4)), Hedged(problem, Stop(2e-4, 5)))
    ]
    assert all(result.upper - result.lower <= 1e-3 * result.upper for result in found)
    assert found[1].upper == pytest.approx(found[0].upper, rel=1e-3)
    assert found[1].lower <= found[0].upper * (1.0 + 1e-9)
    lower = [entry.lower for entry in found[1].trace]
    assert lower == sorted(lower)


def test_refuses_what_it_cannot_hedge() -> None:
    with pytest.raises(InputError, match=r"reach: it is 2\.0; .* needs None"):
        Hedged(units(0, reach=2.0))


def test_refuses_scenes_without_probability() -> None:
    problem = units(0)
    problem.probability[:] = [0.5, 0.5, 0.0, 0.0]
    with pytest.raises(InputError, match=r"probability: .* above 0"):
        Hedged(problem)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"penalty": 0.0}, "penalty is 0.0; it must be finite and above 0"),
        ({"start": 1.5}, "start is 1.5; it must lie in 0..1"),
        ({"flips": -1}, "flips is -1; it must be at least 0"),
        ({"threads": 0}, "threads is 0; it must be at least 1"),
    ],
)
def test_refuses_senseless_settings(wrong: dict[str, float], text: str) -> None:
    with pytest.raises(InputError, match=text):
        Hedging(**wrong)  # type: ignore[arg-type]
