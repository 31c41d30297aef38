"""The cases: what they switch, that they meet the same days, and that the simulator agrees."""

import ast
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from experiments.reproduce import cases
from experiments.reproduce.cases import (
    CASES,
    COMBINATIONS,
    FEATURES,
    NO_STORAGE,
    ONE,
    ONE_FEED_IN,
    RESALE,
    THREE,
    TWO,
    case_system,
    check_same,
    problem_of,
)
from mmg_env.errors import InputError
from mmg_env.layout import TRANSFERS, F, L


@lru_cache
def outcome(case):
    return cases.play(CASES[case], 0, 3)


def money(case, *terms):
    """Return what the storage pays of some terms."""
    return sum(outcome(case).ledger[-1, term] for term in terms)


def houses(case):
    return outcome(case).ledger[:3].sum()


def profit(case):
    return -outcome(case).ledger[3:].sum()


def test_there_is_every_combination_of_the_features_and_the_cases_are_among_them():
    assert len(COMBINATIONS) == 2 ** len(FEATURES)
    assert COMBINATIONS[frozenset()] == CASES[ONE]
    assert COMBINATIONS[frozenset({"bidirectional", "markets"})] == CASES[TWO]
    assert COMBINATIONS[frozenset(FEATURES)] == CASES[THREE] == {}


def test_a_case_switches_what_it_says():
    first, second = case_system(CASES[ONE]), case_system(CASES[TWO])
    assert not first.reserve
    assert not first.rental
    assert not first.config.member_export
    assert second.reserve
    assert second.config.member_export
    assert not second.rental
    assert case_system(CASES[THREE]).rental
    assert not case_system(CASES[NO_STORAGE]).has_ces


def test_the_manual_has_the_overrides_of_every_case_in_their_order():
    manual = Path(__file__).parents[1] / "docs" / "how-to" / "reproduce_s2.md"
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| `([^|]+)` \|$", manual.read_text("utf-8"), re.M)
    assert [name for name, _ in rows] == list(CASES)
    for name, overrides in rows:
        assert ast.literal_eval(overrides) == CASES[name], name


def test_every_case_meets_the_same_scenarios_and_every_day_its_own():
    rows = [problem_of(case_system(CASES[case]), 0, 2).rows for case in (NO_STORAGE, ONE, THREE)]
    np.testing.assert_array_equal(rows[0][:, :, :12], rows[1][:, :, :12])
    np.testing.assert_array_equal(rows[1], rows[2])
    assert not np.array_equal(rows[2], problem_of(case_system({}), 1, 2).rows)


@pytest.mark.parametrize("case", list(CASES))
def test_transfers_sum_to_zero_and_the_bound_is_below(case):
    found = outcome(case)
    transfers = found.ledger[:, [L[name] for name in TRANSFERS]]
    np.testing.assert_allclose(transfers.sum(axis=0), 0.0, atol=1e-6)
    assert found.bound <= found.objective + 1e-6


def test_the_more_is_allowed_the_cheaper_the_system():
    risks = [outcome(case).objective for case in (RESALE, ONE, TWO, THREE)]
    assert risks == sorted(risks, reverse=True)
    assert outcome(ONE_FEED_IN).objective < outcome(ONE).objective


def test_signs_from_case_1_to_case_3_are_those_of_the_paper():
    assert profit(THREE) > profit(ONE) > profit(RESALE) > 0.0
    assert houses(THREE) < houses(ONE)
    assert 0.0 < money(THREE, L.wear) < money(ONE, L.wear)


def test_resale_trades_and_stores_nothing():
    found = outcome(RESALE)
    assert money(RESALE, L.market) > 100.0
    assert np.abs(found.storage_kw[:, F.battery_kw]).max() < 1e-3
    assert money(RESALE, L.wear) < 1e-2


def test_in_case_1_houses_give_power_to_nobody():
    ledger = outcome(ONE).ledger
    assert ledger[:3, L.grid_export].sum() == 0.0
    assert ledger[:3, L.pool_payment].min() >= 0.0
    assert outcome(ONE).storage_kw[:, F.received_kw].max() == 0.0


def test_without_storage_nothing_is_shared_out():
    assert np.isnan(outcome(NO_STORAGE).shared).all()
    assert outcome(NO_STORAGE).ledger.shape[0] == 3


@pytest.mark.parametrize("case", [ONE, THREE])
def test_the_plan_shares_within_the_range_and_as_its_ledger_says(case):
    own, least, most = outcome(case).shared
    assert own == pytest.approx([profit(case), houses(case)], abs=1e-6)
    assert least[0] - 0.01 <= own[0] <= most[0] + 0.01
    # What the storage earns less, the houses pay less.
    assert most[1] - least[1] == pytest.approx(most[0] - least[0], abs=0.5)


def test_a_replay_that_costs_something_else_is_refused():
    check_same(100.0, 100.00009, 100.0, "a day")
    with pytest.raises(RuntimeError, match=r"a day: the plan says 100\.0, the simulator 100\.0002"):
        check_same(100.0, 100.0002, 100.0, "a day")
    with pytest.raises(RuntimeError):
        check_same(100.0, np.nan, 100.0, "a day")


def test_a_day_that_is_none_is_refused():
    with pytest.raises(InputError):
        cases.play({}, 10**6, 2)
