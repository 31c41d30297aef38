"""A scene says what the dispatch model would say, had it been filled with what happens."""

import numpy as np
import pytest
from scipy import sparse

from baselines.compiled import column_name
from baselines.highs import Solver
from baselines.robust.problem import Recourse
from baselines.robust.scenes import entries, scene
from baselines.robust.sets import UncertaintySet, box
from baselines.robust.typical_days import expected_days, model_of
from mmg_env.layout import X
from mmg_env.system import build_system
from tests.random_systems import random_system
from tests.robust_cases import (
    deviated,
    directly,
    member,
    problem_of,
    random_day,
)

NOTHING = np.zeros(0, dtype=np.int64)
# Hours without grid change the prices of nominations and reserve, which a scene does not say.
SEEDS = [
    seed
    for seed in range(40)
    if not random_system(seed).reserve and not random_system(seed).day_ahead_grid
]
OTHERS = [seed for seed in range(20) if seed not in SEEDS]


def cost_directly(system, rows):
    """Return the cost of the relaxed model filled with what happens."""
    solver = Solver(model_of(system))
    solver.load(directly(system, rows))
    return solver.solve_lp().objective


def check(system, rows, uncertain, draws, rng):
    """Compare a scene with the model, and what moves change with their ranges."""
    own = problem_of(system, rows, uncertain).scenes[0]
    recourse = Recourse(own, NOTHING)
    rounding = 1e-6 * max(1.0, np.abs(own.most).max(), np.abs(own.least).max())
    for z in draws(rng, uncertain.moves.shape[1]):
        answer = recourse.answer(z)
        happens = deviated(system, rows, uncertain.moves @ z)
        assert answer.objective == pytest.approx(cost_directly(system, happens), rel=1e-6, abs=1e-6)
        gain = recourse.gain(answer)
        assert (gain >= own.least - rounding).all()
        assert (gain <= own.most + rounding).all()


def in_full(rng, count):
    return np.zeros(count), (rng.random(count) < 0.3).astype(float), np.ones(count)


def in_part(rng, count):
    return rng.random((2, count))


@pytest.mark.parametrize("seed", SEEDS)
def test_weather_loads_and_outages_cost_what_the_model_says(seed):
    rng = np.random.default_rng(seed)
    check(*random_day(seed), in_full, rng)
    check(*random_day(seed), in_part, rng)


@pytest.mark.parametrize("seed", OTHERS)
def test_with_nominations_and_reserve_weather_and_loads_do(seed):
    check(*random_day(seed, outages=False), in_full, np.random.default_rng(seed))


def test_these_systems_have_what_matters():
    systems = [random_system(seed) for seed in SEEDS]
    members = [m for system in systems for m in system.config.members]
    assert any(m.heat and not (m.boiler or m.chp) for m in members)
    assert any(m.chp for m in members)
    assert any(m.wind for m in members)
    assert any(system.has_ces for system in systems)
    assert any(not m.grid for m in members)


@pytest.mark.parametrize("lacking", [("boiler", "chp"), ("grid",), ("battery", "flex")])
def test_a_member_without_some_devices_costs_what_the_model_says(lacking):
    system = member(0)
    own = system.config.members[0].model_copy(update=dict.fromkeys(lacking))
    system = build_system(system.config.model_copy(update={"members": (own,)}))
    day = expected_days(system)[0][0]
    size = np.concatenate([0.3 * day[:, :4].ravel(), np.full(4, 0.5)])
    uncertain = box(np.append(size[:16], np.zeros(4)), size)
    check(system, day, uncertain, in_full, np.random.default_rng(0))
    check(system, day, uncertain, in_part, np.random.default_rng(1))


def test_what_is_expected_to_be_nothing_may_become_something_and_be_curtailed():
    """With no sun expected, the bound of what is curtailed is 0, and moves all the same."""
    system = member(0)
    day = expected_days(system)[0][0].copy()
    day[:, 1] = 0.0
    size = np.zeros(entries(system, len(day)))
    size[np.arange(len(day)) * 4 + 1] = 5000.0
    check(system, day, box(size, 0.0 * size), in_full, np.random.default_rng(0))


def test_moves_of_several_entries_at_once_cost_what_the_model_says():
    system = member(1)
    day = expected_days(system)[0][0]
    rng = np.random.default_rng(3)
    size = entries(system, len(day))
    joint = np.zeros((size, 4))
    joint[:-4] = 0.1 * day[:, :4].ravel()[:, None] * rng.uniform(-1.0, 1.0, (size - 4, 4))
    uncertain = UncertaintySet(
        sparse.csr_array(joint), np.zeros(4, dtype=np.int64), np.array([2.0])
    )
    check(system, day, uncertain, in_part, rng)


def test_a_bound_that_moves_becomes_a_row_and_no_other_does():
    system = member(0)
    day = expected_days(system)[0][0]
    size = np.zeros(entries(system, len(day)))
    size[1] = 10.0  # sun in the first step
    size[4 * len(day) + 2] = 0.5  # links in the third
    compiled = model_of(system)
    numbers = directly(system, day)
    own = scene(compiled, numbers, system, day, box(0.0 * size, size))
    rows = sparse.csr_array(own.programme.matrix)[compiled.matrix.shape[0] :]
    moved = {column_name(compiled, column) for column in rows.indices}
    assert moved == {"curtailed_kw[0, 0]", "import_kw[0, 2]", "export_kw[0, 2]"}
    other = np.setdiff1d(np.arange(len(numbers.upper)), rows.indices)
    assert np.array_equal(own.programme.upper[other], numbers.upper[other])
    assert np.array_equal(own.programme.lower, numbers.lower)
    assert np.isinf(own.programme.upper[rows.indices]).all()


def test_columns_that_something_else_fixes_stay_fixed():
    """Hours that are over are fixed to 0; what would have deviated there does not matter."""
    system = member(0)
    day = expected_days(system)[0][0]
    size = np.zeros(entries(system, len(day)))
    size[0] = size[4 * len(day)] = 0.5
    compiled, numbers = model_of(system), directly(system, day)
    past = np.concatenate(
        [compiled.columns[name][0, :1] for name in ("curtailed_kw", "import_kw", "export_kw")]
    )
    numbers.lower[past] = numbers.upper[past] = 0.0
    own = scene(compiled, numbers, system, day, box(0.0 * size, size))
    assert own.programme.matrix.shape == compiled.matrix.shape
    assert not own.programme.upper[past].any()


def test_entries_are_four_series_a_member_and_the_links():
    assert entries(member(0), 4) == 4 * (4 + 1)
    system, rows, uncertain = random_day(SEEDS[0])
    assert uncertain.moves.shape[0] == entries(system, len(rows))
    lost = deviated(system, rows, np.append(np.zeros(entries(system, len(rows)) - 1), -1.0))
    assert lost[-1, 4 * len(system.members) + X.grid_up] == rows[-1, -len(X) + X.grid_up] - 1.0
