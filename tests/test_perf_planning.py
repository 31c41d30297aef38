"""One measurement: what is timed how often, and the figures of a row."""

import numpy as np
import pytest

from baselines.highs import SolverError
from baselines.risk import NEUTRAL, Risk
from experiments import lshaped, perf_planning
from experiments.perf_planning import (
    GAP,
    Row,
    by_cuts,
    by_mpi_sppy,
    from_nothing,
    futures,
    grown,
    least_by_party,
)
from mmg_env.system import load_system


@pytest.fixture(scope="module")
def given():
    return futures(load_system("s2_crh", {"dt_h": 6.0}), 3)


def test_quick_work_is_timed_three_times_and_slow_work_once(monkeypatch):
    calls = []
    for quick_s, wanted in ((1e9, 3), (0.0, 1)):
        monkeypatch.setattr(perf_planning, "QUICK_S", quick_s)
        calls.clear()
        spent, result = perf_planning.timed(lambda: calls.append(1) or len(calls))
        assert result == wanted
        assert spent > 0.0


def test_a_gap_is_relative_to_the_cost():
    row = Row("s2_crh", 10, 0.0, "hour", 1.0, 2.0, 5, -204.0, -200.0, 0.0)
    assert row.gap == pytest.approx(0.02)
    assert row.whole_s == 3.0
    assert "-204.0000" in row.line()
    assert np.isnan(row._replace(solve_s=np.nan).whole_s)


@pytest.mark.parametrize("risk", [NEUTRAL, Risk()])
def test_all_ways_find_the_same(given, risk):
    best = grown(given, risk).upper
    rows = [from_nothing(given, risk, np.inf, best), by_cuts(given, "hour", risk, np.inf, best)]
    rows.append(by_cuts(given, "single", risk, np.inf, least_by_party(given, risk)))
    assert [row.method for row in rows] == ["extensive form", "hour", "single"]
    for row in rows[:2]:
        assert abs(row.off) <= 2.0 * GAP
        assert row.gap <= GAP
    assert rows[2].off >= -GAP
    assert all((row.suite, row.scenarios, row.beta) == ("s2_crh", 3, risk.beta) for row in rows)


@pytest.mark.parametrize(("best", "wanted"), [(-250.0, 250.0 * GAP), (0.1, GAP)])
def test_mpi_sppy_is_held_to_the_gap_that_cuts_are_held_to(given, monkeypatch, best, wanted):
    """Its tolerance is absolute, theirs relative."""
    held_to = []

    def stop(_, tolerance, limits):
        held_to.append((tolerance, limits.time_s))
        raise SolverError("seen")

    monkeypatch.setattr(lshaped, "lshaped", stop)
    with pytest.raises(SolverError, match="seen"):
        by_mpi_sppy(given, 7.0, best)
    assert held_to == [(pytest.approx(wanted), 7.0)]


def test_where_the_solver_is_out_of_time_there_are_no_seconds(given, monkeypatch):
    def stop(*_):
        raise SolverError("time limit")

    monkeypatch.setattr(perf_planning.Solver, "solve_lp", stop)
    row = from_nothing(given, NEUTRAL, 1.0, 0.0)
    assert np.isnan(row.solve_s)
    assert row.build_s > 0.0
    assert np.isnan(by_cuts(given, "hour", NEUTRAL, 1.0, 0.0).solve_s)
