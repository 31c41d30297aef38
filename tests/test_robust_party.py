"""A party keeps its worst cases to itself, and answers powers with powers."""

import numpy as np
import pytest

from baselines.bargaining.carrying_out import balanced
from baselines.bargaining.cooperation import common_price, in_parallel, lower_bound
from baselines.bargaining.robust_cooperation import ROBUST
from baselines.bargaining.robust_party import against
from baselines.negotiation import Terms
from baselines.robust.master import Master
from baselines.solution import Stop
from tests.robust_communities import (
    community,
    found,
    relaxed,
    solved,
    unknown,
)


def test_cases_are_kept_and_adversaries_are_asked_now_and_then():
    whole = community()
    parties = unknown(whole)
    counts = []
    for last in in_parallel(whole.form, parties, ROBUST):
        counts.append([party.count for party in parties])
        if last.residuals.number == 20:
            break
    assert (np.diff(counts, axis=0) >= 0).all()
    scenes = len(whole.problem.scenes)
    for party in parties[:-1]:
        assert scenes < party.count
        assert 0 < party.asked < scenes * party.answers / 2
    assert (parties[-1].asked, parties[-1].count) == (0, scenes)
    effort = found().effort
    assert sum(effort.asked) < scenes * sum(effort.answers[:-1])


def test_more_cases_raise_the_lower_bound_and_prices_keep_it_below():
    whole = community()
    best = solved(relaxed(whole.problem), 1e-4)
    naive = unknown(whole)
    for party in naive:
        party._far_kw = np.inf
    last = next(in_parallel(whole.form, naive, ROBUST))
    price = common_price(whole.form, last.price)
    before = lower_bound(whole.form, [party.agent for party in naive], price)
    grown = [party.look() for party in naive]
    after = lower_bound(whole.form, [party.agent for party in naive], price)
    assert grown == [True, True, True, False]
    assert before < after <= best.upper
    assert sum(balanced(whole.form, last.offered_kw)) == pytest.approx(0.0, abs=1e-6)


def test_a_party_is_told_powers_and_prices_only_and_says_powers_only():
    whole = community()
    parties, heard = unknown(whole), []

    class Overheard:
        def __init__(self, party):
            self._party = party

        def answer(self, terms):
            said = self._party.answer(terms)
            heard.append((terms, said))
            return said

    rounds = in_parallel(whole.form, [Overheard(party) for party in parties], ROBUST)
    for _ in range(3):
        next(rounds)
    couplings = len(whole.parts[0].exchanged)
    assert len(heard) == 3 * len(parties)
    for terms, said in heard:
        assert type(terms) is Terms
        assert terms.price.shape == terms.power_kw.shape == said.shape == (couplings,)
        assert terms.rho == ROBUST.rho
    rows = [set(np.asarray(piece.columns).tolist()) for piece in whole.form.pieces]
    assert sum(len(own) for own in rows) == len(set().union(*rows))
    for part, piece in zip(whole.parts, whole.form.pieces, strict=True):
        width = part.problem.scenes[0].programme.matrix.shape[1]
        assert width == len(piece.columns) + couplings


def test_the_programme_against_cases_is_the_masters():
    part = community().parts[1]
    problem = relaxed(part.problem)
    rng = np.random.default_rng(3)
    cases = [list(own.uncertain.sample(2, rng)) for own in problem.scenes]
    master = Master(problem, Stop(gap=1e-6))
    for scene, known in enumerate(cases):
        for z in known:
            master.add(scene, z)
    assert against(problem, cases).solve().objective == pytest.approx(master.decide().upper)
