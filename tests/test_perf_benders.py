"""What `mmg perf benders` prints and writes; how fast it all is, a quiet machine may say."""

import builtins
import csv
import math

import numpy as np
import pytest

from baselines.risk import NEUTRAL
from experiments import perf, perf_benders, perf_planning
from experiments.perf_benders import GROWN, HOUR, KINDS, WHOLE, as_csv
from experiments.perf_planning import GAP, Row
from mmg_env.system import load_system


@pytest.fixture
def coarse(monkeypatch):
    """Let days have four steps, and kinds of cuts all the time that they take."""
    load = load_system
    monkeypatch.setattr(perf_benders, "load_system", lambda name: load(name, {"dt_h": 6.0}))
    monkeypatch.setattr(perf_benders, "GROWTH", (1, 2, 4))
    monkeypatch.setattr(perf_benders, "MANY", 2)
    monkeypatch.setattr(perf_benders, "COMPARED_S", np.inf)
    monkeypatch.setattr(perf_planning, "REPEATS", 1)


@pytest.mark.usefixtures("coarse")
def test_it_prints_and_writes_all_ways_and_they_agree(tmp_path, capsys):
    perf.benders(scenarios=2, most=2, limit_s=np.inf, out=tmp_path / "found.csv")
    out = capsys.readouterr().out
    for words in (
        "mpi-sppy / hour",
        "(wanted: at least 10); rounds: ",
        "mpi-sppy's seconds include Pyomo's overhead",
        f"{WHOLE}: seconds grow with scenarios to the power of",
        f"{GROWN}: seconds grow with scenarios to the power of",
        f"{HOUR}: seconds grow with scenarios to the power of",
        "s2_crh, 2 scenarios side by side:",
        "s1_3mg, 2 scenarios side by side:",
    ):
        assert words in out
    assert "Initializing" not in out
    rows = list(csv.DictReader((tmp_path / "found.csv").open(encoding="utf-8")))
    methods = {(row["suite"], row["scenarios"], row["beta"], row["method"]) for row in rows}
    for method in (WHOLE, GROWN, *KINDS):
        assert {("s2_crh", "2", beta, method) for beta in ("0.0", "0.3")} <= methods
    assert ("s2_crh", "2", "0.0", "mpi-sppy") in methods
    assert ("s1_3mg", "2", "0.0", GROWN) in methods
    for row in rows:
        assert float(row["solve_s"]) > 0.0
        assert float(row["lower"]) <= float(row["upper"]) + 1e-6 * abs(float(row["upper"]))
        if row["method"] != "single":
            assert abs(float(row["off"])) <= 2.0 * GAP, row


@pytest.mark.usefixtures("coarse")
def test_without_mpi_sppy_it_says_how_to_get_it(monkeypatch, capsys):
    ordinary = builtins.__import__

    def refuse(name, *rest):
        if name == "experiments.lshaped":
            raise ImportError(name)
        return ordinary(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    perf.benders(scenarios=1, most=1, limit_s=np.inf, out=None)
    out = capsys.readouterr().out
    assert 'mpi-sppy is not installed: pip install ".[oracles]" from a checkout' in out
    assert "too few closed to say how its seconds grow" in out


@pytest.mark.usefixtures("coarse")
def test_a_method_that_takes_longer_than_the_limit_is_not_tried_with_more_scenarios():
    system = perf_benders.load_system("s2_crh")
    found = list(perf_benders.growing(system, (1, 2, 4), 0.0))
    assert [(row.method, row.scenarios) for row in found] == [(GROWN, 1), (WHOLE, 1), (HOUR, 1)]


def test_growth_is_the_power_that_seconds_follow():

    def row(count, method, seconds, lower=-200.0):
        return Row("s2_crh", count, NEUTRAL.beta, method, 0.0, seconds, 5, lower, -200.0)

    rows = [row(count, HOUR, 3.0 * count**1.5) for count in (10, 30, 100)]
    rows.append(row(300, HOUR, np.nan))
    rows.append(row(10, WHOLE, 1e6))
    line = perf_benders._growth(rows, "hour")
    assert line == "hour: seconds grow with scenarios to the power of 1.50 (10 to 100 scenarios)"
    # What a limit has ended with a gap took the limit's seconds, which say nothing of growth.
    assert perf_benders._growth([*rows, row(1000, HOUR, 120.0, -201.0)], HOUR) == line
    assert "too few closed" in perf_benders._growth([row(10, HOUR, 1.0, -201.0), rows[1]], HOUR)


def test_what_did_not_end_is_empty_in_the_file():
    row = Row("s2_crh", 300, 0.0, "hour", 1.0, math.nan)
    header, line = as_csv([row]).splitlines()
    assert dict(zip(header.split(","), line.split(","), strict=True)) == {
        "suite": "s2_crh",
        "scenarios": "300",
        "beta": "0.0",
        "method": "hour",
        "build_s": "1.0",
        "solve_s": "",
        "rounds": "0",
        "lower": "",
        "upper": "",
        "off": "",
        "gap": "",
    }
