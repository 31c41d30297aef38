"""What mpi-sppy is handed, and when it ends; that it finds the optimum says `test_oracles`."""

import logging

import numpy as np
import pytest
from houses import houses
from pyomo.contrib.benders import benders_cuts
from test_cuts import PROFIT, SEASONS, farmer

from baselines.extensive_form import committed
from baselines.solution import Stop
from experiments.lshaped import TwoStage, lshaped, side_by_side, two_stage_of


def seasons(probability=(0.2, 0.3, 0.5), offset=0.0):
    alone = tuple(farmer([season])[0] for season in SEASONS)
    return TwoStage(alone, np.arange(3), np.array(probability), offset)


def test_it_ends_after_its_rounds_with_a_bound_from_below():
    found = lshaped(seasons((1 / 3, 1 / 3, 1 / 3)), 1e-6, Stop(1e-6, 2, np.inf))
    assert found.rounds == 2
    assert found.lower < -PROFIT - 1.0
    assert found.build_s > 0.0
    assert found.solve_s > 0.0


def test_it_ends_when_time_is_up():
    assert lshaped(seasons(), 1e-6, Stop(1e-6, 100, 0.0)).rounds == 1


def test_constant_costs_and_odds_count():
    stop = Stop(1e-6, 100, np.inf)
    even, odd, more = (
        lshaped(problem, 1e-6, stop).lower
        for problem in (seasons((1 / 3, 1 / 3, 1 / 3)), seasons(), seasons(offset=1000.0))
    )
    assert odd > even + 1000.0  # the bad season is the likeliest
    assert more == pytest.approx(odd + 1000.0)
    assert side_by_side(seasons(offset=1000.0)) == pytest.approx(more, rel=1e-6)


def test_it_says_nothing(capfd):
    lshaped(seasons(), 1e-6, Stop(1e-6, 3, np.inf))
    side_by_side(seasons())
    assert capfd.readouterr() == ("", "")


def test_what_it_changes_elsewhere_is_restored_whatever_happens(monkeypatch):
    logger = logging.getLogger("mpisppy")
    monkeypatch.setattr(benders_cuts, "mpi4py_available", False)
    monkeypatch.setattr(benders_cuts, "MPI", "of others")
    monkeypatch.setattr(logger, "level", logging.INFO)
    lshaped(seasons(), 1e-6, Stop(1e-6, 1, np.inf))
    with pytest.raises(IndexError):
        lshaped(seasons((0.5, 0.5)), 1e-6, Stop(1e-6, 1, np.inf))
    assert (benders_cuts.mpi4py_available, benders_cuts.MPI) == (False, "of others")
    assert logger.level == logging.INFO


def test_a_day_by_scenario_costs_what_it_costs_side_by_side():
    problem = houses((), 3, (0.2, 0.3, 0.5))
    given = two_stage_of(problem)
    shared = committed(problem.compiled, problem.system)
    assert given.shared.tolist() == np.flatnonzero(shared).tolist()
    x = np.random.default_rng(0).uniform(size=problem.form.matrix.shape[1])
    every = [
        programme.numbers.cost @ problem.form.of_scenario(x, s)
        for s, programme in enumerate(given.scenarios)
    ]
    n = problem.form.numbers
    assert given.probability @ every + given.offset == pytest.approx(n.cost @ x + n.offset)
    firsts = [programme.numbers.cost[shared].tolist() for programme in given.scenarios]
    assert firsts[0] == firsts[1] == firsts[2]
    assert all(programme.numbers.offset == 0.0 for programme in given.scenarios)
