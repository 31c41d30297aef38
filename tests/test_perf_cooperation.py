"""What `mmg perf cooperation` prints; how fast it all is, a quiet machine may say."""

import numpy as np
import pytest

from baselines.bargaining.coalition import coalition_of
from experiments import perf, perf_cooperation
from experiments.perf_cooperation import HEAD, SIZE_GAP, Row, community, exponent
from mmg_env.splits import sample_episode
from mmg_env.system import load_system

STEPS = ("alone", "agreement", "bounds", "decided")


@pytest.fixture
def coarse(monkeypatch):
    """Let days of the suites have four steps, and communities few members."""
    monkeypatch.setattr(
        perf_cooperation, "load_system", lambda name: load_system(name, {"dt_h": 6.0})
    )
    monkeypatch.setattr(perf_cooperation, "QUICK_SIZES", (1, 2))


@pytest.mark.usefixtures("coarse")
def test_it_prints_rounds_losses_payments_and_growth(capsys):
    perf.cooperation(quick=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == HEAD
    assert [line[12:32].strip() for line in lines[1:4]] == list(perf_cooperation.WAYS)
    for line in lines[1:4]:
        assert line.startswith("s1_3mg")
        assert float(line.split()[-1]) <= perf_cooperation.GAP
    assert "rounds to 0.0001  (wanted: at most 40)" in lines[4]
    assert "% more than all decided together" in lines[5]
    for line, way in zip(lines[6:8], ("in turns", "in parallel"), strict=True):
        assert f"payments {way} in " in line
        assert float(line.split("each within ")[1].split()[0]) <= 1e-4
    assert [line.split()[0] for line in lines[8:10]] == ["large_1", "large_2"]
    assert "seconds per member grow with members to the power of" in lines[10]


@pytest.mark.usefixtures("coarse")
def test_the_robust_chain_is_told_by_its_steps(capsys):
    perf_cooperation.tell_chain("s1_3mg")
    out = capsys.readouterr().out
    parts = [float(out.split(f"{step} ")[1].split(",")[0].rstrip(")")) for step in STEPS]
    assert float(out.split("robust: ")[1].split()[0]) == pytest.approx(sum(parts), abs=0.3)
    alone, together = (
        float(out.split(f"{who} ")[-1].split(",")[0]) for who in ("alone", "together")
    )
    assert together < alone


@pytest.mark.usefixtures("coarse")
def test_where_nobody_agrees_nothing_is_said_of_growth(monkeypatch, capsys):
    monkeypatch.setattr(perf_cooperation, "MOST_ROUNDS", 1)
    monkeypatch.setattr(perf_cooperation, "compare_ways", lambda _: None)
    perf.cooperation(quick=True)
    out = capsys.readouterr().out
    assert "too few communities agreed" in out
    assert "power of" not in out


def test_seconds_are_those_of_the_rounds(monkeypatch):
    """What it costs to look at the costs is not counted."""
    clock = iter(np.arange(0.0, 100.0))
    monkeypatch.setattr(perf_cooperation, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(perf_cooperation, "MOST_ROUNDS", 7)
    system = community(1)
    coalition = coalition_of(system, sample_episode(system, "test", 0))
    said = perf_cooperation.in_turns(coalition, perf_cooperation.agents_of(coalition))
    row, last = perf_cooperation.measured(
        coalition, said, Row("one", "in turns", 1, 0, 0.0, 0.0, -1.0), 3
    )
    assert (row.rounds, row.seconds, row.closed) == (7, 7.0, False)
    assert last.residuals.number == 6
    assert row.gap >= -1e-9


def test_growth_is_the_power_that_seconds_per_member_follow():
    rows = [Row("x", "y", n, 9, 2.0 * n**1.3, 0.0, SIZE_GAP) for n in (3, 5, 10, 20, 50)]
    assert exponent(rows) == pytest.approx(0.3)
    assert rows[0].line().split()[-4:] == ["9", "8.342", "2.7808", "0.0e+00"]


def test_a_community_is_a_part_of_large_50_on_the_pool_alone():
    whole, part = load_system("large_50"), community(10)
    assert part.members == whole.members[:10]
    assert part.config.ces.battery.capacity_kwh == pytest.approx(
        whole.config.ces.battery.capacity_kwh / 5.0, rel=1e-3
    )
    assert not part.rental
    assert not part.day_ahead_grid
    assert part.config.pool.members
