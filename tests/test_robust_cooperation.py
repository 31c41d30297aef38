"""Participants agree about a robust day: as good as one who knows all, and no worse than alone."""

from dataclasses import replace

import numpy as np
import pytest

from baselines.bargaining.robust_cooperation import agree, cooperate_robustly
from baselines.bargaining.robust_parts import divided
from baselines.robust.day_ahead import alone
from baselines.robust.sets import budgeted
from baselines.robust.typical_days import (
    expected_days,
    model_of,
    problem_of_days,
    typical_problem,
)
from mmg_env.system import build_system, load_system
from tests.robust_cases import all_moves, listed
from tests.robust_communities import (
    FINE,
    NEAR,
    community,
    few_scenes,
    found,
    relaxed,
    solved,
    unknown,
)


def test_they_agree_on_what_one_who_knows_all_would_do():
    best, chain = solved(relaxed(community().problem), 1e-4), found()
    assert chain.lower <= best.upper
    assert chain.relaxed.sum() >= best.lower
    assert chain.relaxed.sum() <= chain.lower * (1.0 + 1e-3)


def test_what_is_decided_at_last_is_near_the_best_of_all():
    best, chain = solved(community().problem, 1e-3), found()
    assert best.lower <= chain.cooperation.sum() <= best.upper * (1.0 + 2e-3)
    assert chain.lower <= best.upper
    assert -1e-4 * chain.lower <= chain.loss <= 5e-3 * chain.lower
    for own in chain.decided:
        assert own.within(FINE.gap)


def test_they_agree_on_the_best_of_all_cases_listed_together():
    system = load_system("s1_3mg", {"dt_h": 6.0})
    config = system.config
    system = build_system(config.model_copy(update={"members": config.members[1:]}))
    rows, _ = expected_days(system)
    size = np.zeros((len(rows[0]), 4 * len(system.members)))
    size[:, 4:6] = 0.2 * rows[0][:, 4:6]  # loads
    group = np.append(np.tile(np.arange(8), len(size)), np.zeros(len(size), dtype=np.int64))
    every = np.append(size.ravel(), np.zeros(len(size)))
    uncertain = budgeted(every, every, group, np.ones(8))
    problem = relaxed(problem_of_days(system, rows[:1], [uncertain], np.ones(1)))
    cost, _ = listed(problem)
    whole = divided(system, model_of(system), problem)
    assert len(all_moves(uncertain)) == (2 * len(size) + 1) ** 2
    chain = cooperate_robustly(whole, NEAR, FINE)
    assert chain.lower <= cost * (1.0 + 1e-6)
    assert chain.cooperation.sum() == pytest.approx(cost, rel=1e-3)
    assert chain.cooperation.sum() >= cost * (1.0 - 1e-6)


def test_alone_each_pays_what_its_system_of_one_pays():
    chain, system = found(), community().form.system
    for member in range(len(system.members)):
        own = few_scenes(typical_problem(alone(system, member)))
        own = replace(own, probability=community().problem.probability)
        assert chain.alone[member].upper == pytest.approx(solved(own, 1e-4).upper, rel=2e-4)
    assert chain.alone[-1].upper == pytest.approx(0.0, abs=1e-6)


def test_nobody_is_worse_off_and_payments_sum_to_zero():
    chain = found()
    bargain = chain.bargain()
    assert bargain.surplus > 0.01 * chain.lower
    assert bargain.payments.sum() == pytest.approx(0.0, abs=1e-6)
    assert (bargain.final < chain.disagreement).all()
    assert bargain.final.sum() == pytest.approx(chain.cooperation.sum())


def test_at_the_end_nobody_finds_anything_worse():
    whole = community()
    parties = unknown(whole)
    agreed, looks = agree(whole, parties, NEAR)
    assert looks >= 1
    assert agreed.trace[-1].primal <= NEAR.gap
    assert not any([party.look() for party in parties])
