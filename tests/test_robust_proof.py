"""One participant's robust day where what it exchanges is given."""

import numpy as np
import pytest

from baselines.bargaining.robust_proof import Prover
from tests.robust_communities import (
    FINE,
    SCENES,
    community,
    found,
)


def test_where_nothing_may_deviate_what_is_expected_is_proven():
    part = community().parts[-1]
    own = Prover(part, FINE).run(np.zeros(len(part.exchanged)), [()] * SCENES, relaxed=False)
    assert own.within(FINE.gap)
    assert own.worst[0].shape == (0,)


def test_cases_that_are_known_save_rounds_and_change_no_value():
    part, chain = community().parts[1], found()
    exchanged = chain.agreed.exchanged[1]
    prover = Prover(part, FINE)
    fresh = prover.run(exchanged, [()] * SCENES, relaxed=False)
    told = prover.run(exchanged, [(z,) for z in fresh.worst], relaxed=False)
    assert told.upper == pytest.approx(fresh.upper, rel=2.0 * FINE.gap)
    assert len(told.trace) < len(fresh.trace)


def test_relaxed_commitments_cost_no_more_and_are_not_proven():
    part, chain = community().parts[1], found()
    exchanged = chain.agreed.exchanged[1]
    own = Prover(part, FINE).run(exchanged, [()] * SCENES, relaxed=True)
    assert own.trace[-1].upper_kind == "heuristic"
    assert own.lower <= chain.decided[1].upper


def test_trade_is_worth_something():
    part = community().parts[1]
    prover = Prover(part, FINE)
    nothing = np.zeros(len(part.exchanged))
    alone = prover.run(nothing, [()] * SCENES, relaxed=False)
    given = prover.run(nothing + 100.0, [()] * SCENES, relaxed=False)
    assert given.upper < alone.upper
    assert given.x[part.place] == pytest.approx(nothing + 100.0)
