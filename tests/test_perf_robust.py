"""What `mmg perf robust` prints; how fast it all is, a quiet machine may say."""

import numpy as np
import pytest

from experiments import perf, perf_robust
from experiments.perf_robust import GAP, Row
from mmg_env.system import load_system


@pytest.fixture
def coarse(monkeypatch):
    """Let days have two steps, of which one deviates in the small case."""
    load = load_system
    monkeypatch.setattr(perf_robust, "load_system", lambda name, _=None: load(name, {"dt_h": 12.0}))
    monkeypatch.setattr(perf_robust, "DEVIATING", (1,))
    monkeypatch.setattr(perf_robust, "BUDGET_H", 12.0)


@pytest.mark.usefixtures("coarse")
def test_it_prints_both_ways_and_the_members_days(capfd):
    perf.robust(limit_s=100.0)
    out = capfd.readouterr().out
    lines = out.splitlines()
    assert lines[0].split() == ["case", "method", "seconds", "rounds", "lower", "upper", "gap"]
    assert [line[38:52].strip() for line in lines[1:6]] == ["C&CG", "PyROS, affine", *3 * ["C&CG"]]
    # Of one step and one budget affine rules lose nothing.
    assert "affine rules cost 0.000 % more" in out.replace("-0.000", "0.000")
    assert "(wanted: at least 50)" in out
    assert "WARNING" not in out
    assert f"3 of 3 days closed to {100 * GAP:g} %" in out
    assert "MG1, 2 steps, 5 scenes" in out


@pytest.mark.usefixtures("coarse")
def test_what_does_not_end_in_time_is_said_to_take_longer(monkeypatch, capsys):
    monkeypatch.setattr(
        perf_robust,
        "by_pyros",
        lambda _, case, limit_s: Row(case, "PyROS, affine", limit_s, 1, np.nan, np.nan),
    )
    perf.robust(limit_s=30.0)
    out = capsys.readouterr().out
    assert "PyROS / C&CG  more than " in out
    assert "affine rules cost nobody knows how much more" in out


@pytest.mark.usefixtures("coarse")
def test_a_loop_without_time_claims_no_upper_bound():
    problem = perf_robust.small_case(perf_robust.load_system("s1_3mg"))
    row = perf_robust.by_generation(problem, "hasty", 0.0, 0.0)
    whole = perf_robust.by_generation(problem, "whole", 1e-6, 60.0)
    assert row.rounds == 1
    assert np.isnan(row.upper) or row.upper >= whole.lower - 1e-6
    assert row.lower <= whole.upper + 1e-6
    assert whole.gap <= 1e-6


def test_pyros_stopped_by_its_limit_has_no_upper_bound(coarse):  # noqa: ARG001
    problem = perf_robust.small_case(perf_robust.load_system("s1_3mg"))
    assert np.isnan(perf_robust.by_pyros(problem, "hasty", 0.1).upper)
