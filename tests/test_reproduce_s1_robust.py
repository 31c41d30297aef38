"""The command `mmg reproduce s1-robust`: a page that needs nothing else, and true tables."""

from functools import lru_cache
from html import unescape

import numpy as np
import pytest
from pages import check_files, left_by, page_in, read

from experiments.reproduce import s1_robust
from experiments.reproduce.phrases import between
from experiments.reproduce.s1_robust_cases import FULL, QUICK
from experiments.reproduce.s1_robust_findings import DISCRETE, factors, gather, jobs
from experiments.reproduce.s1_robust_page import CALIBRATED, NOT_REPRODUCED, page_of
from experiments.reproduce.s1_robust_page import QUICK as QUICK_NOTICE
from experiments.reproduce.s1_robust_sweeps import DAYS, MORE_LOAD, NARROW, USUAL
from experiments.reproduce.s1_robust_tables import PAPER, PLAIN, every_table, methods
from experiments.reproduce.s1_robust_words import (
    of_budgets,
    of_contests,
    of_methods,
    of_prices,
    of_sets,
    of_shortfalls,
    verdict,
)

TINY = QUICK._replace(
    members=(0,),
    dt_h=4.0,
    days=6,
    fit_days=20,
    test_days=8,
    time_s=2.0,
    exact_s=0.3,
    nested_s=0.5,
    scenes=(5, 6),
)


@lru_cache
def found():
    return gather(TINY, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run the command on what has been found already."""
    out = tmp_path_factory.mktemp("s1_robust")
    assert "The robust winter day in every way" in left_by("s1-robust", s1_robust, found(), out)
    return out


# The page


def test_it_leaves_one_page_and_every_table(folder):
    check_files(folder, every_table(found()))


def test_the_page_loads_nothing_and_says_what_it_does_not_reproduce(folder):
    html = page_in(folder)
    for text in (CALIBRATED, QUICK_NOTICE, *NOT_REPRODUCED):
        assert text in html
    assert html.count("<svg") == 6


def test_every_sentence_about_findings_is_on_the_page(folder):
    html = page_in(folder)
    for say in (verdict, of_methods, of_contests, of_shortfalls, of_budgets, of_sets):
        assert say(found()) in html


def test_a_run_in_full_has_no_notice_of_a_quick_one():
    whole = found()._replace(size=TINY._replace(quick=False))
    html = unescape(page_of(whole, every_table(whole)))
    assert QUICK_NOTICE not in html
    assert "--quick" not in html
    assert (FULL.quick, QUICK.quick) == (False, True)


# What is computed


def test_jobs_are_each_there_once():
    keys = [job.key for job in jobs(FULL)]
    assert len(set(keys)) == len(keys)
    assert factors(FULL)[-1] is None
    assert len({job.key for job in jobs(QUICK)}) < len(keys)


def test_bounds_enclose_the_value_and_a_proof_is_named(folder):
    rows = read(folder, "methods")
    for row in rows:
        assert float(row["lower_bound_CNY"]) <= float(row["upper_bound_CNY"]) + 1e-6
        assert row["upper_bound_is"] in ("proven", "heuristic", "can be carried out")
    plain = next(row for row in rows if row["method"] == PLAIN)
    assert plain["upper_bound_is"] == "proven"
    assert float(plain["gap"]) <= 0.1


def test_an_unproven_bound_is_called_one():
    own = found().members[0]
    unsure = own._replace(plain=own.plain._replace(proven=False))
    told = found()._replace(members={0: unsure})
    assert methods(told).rows[0][5] == "heuristic"
    assert verdict(found()).startswith("For 1 of 1 members")
    assert verdict(told).startswith("For 0 of 1 members")


def test_the_papers_rows_stand_beside_its_own_methods_alone():
    rows = methods(found()).rows
    assert rows[0][-2:] == PAPER["MG1", PLAIN] == (2, 423.21)
    assert all(row[-2:] == ("\u2013", "\u2013") for row in rows[2:])


def test_the_adversary_keeps_its_budgets(folder):
    for row in read(folder, "worst"):
        assert 0.0 <= float(row["hours_hit"]) <= float(row["hours_allowed"])


def test_more_may_deviate_and_protection_costs_more(folder):
    rows = read(folder, "budgets")
    assert [row["budgets_times_the_usual"] for row in rows] == ["0", "1", "box"]
    values = [float(row["two_stage_lower_bound_CNY"]) for row in rows]
    assert values == sorted(values)
    for row in rows:
        affine, lower = float(row["affine_rules_CNY"]), float(row["two_stage_lower_bound_CNY"])
        assert affine >= lower * (1.0 - 1e-6)


def test_no_day_inside_its_set_costs_more_than_promised(folder):
    for row in read(folder, "reality"):
        assert int(row["in_the_set_and_dearer_days"]) == 0
        assert float(row["realised_CNY_CVaR95"]) >= float(row["realised_CNY_mean"])


def test_tariffs_that_may_be_off_cost_more():
    values = found().tariffs[0]
    assert values[0.15].lower > values[0.0].upper
    assert values[DISCRETE].lower <= values[0.0].upper + 1.0


def test_dearer_shedding_costs_more_where_load_is_shed():
    own = found().shed[0]
    low, high = min(TINY.unserved), max(TINY.unserved)
    assert own[MORE_LOAD, high].value.upper > own[USUAL, high].value.upper
    for kind in DAYS:
        assert own[kind, high].value.upper >= own[kind, low].value.lower - 1e-6
    assert own[NARROW, high].value.upper >= own[MORE_LOAD, high].value.lower - 1e-6


def test_words_say_where_the_price_of_unserved_load_matters():
    at = {(kind, price): one for (kind, price), one in found().shed[0].items()}
    high = max(TINY.unserved)
    for kind in DAYS:
        at[kind, high] = at[kind, high]._replace(worst_kwh=12.0 if kind == NARROW else 0.0)
    text = of_prices(found()._replace(shed={0: at}))
    assert f"{USUAL}: no load is shed at worst" in text
    assert f"{NARROW}: at worst 12 kWh are shed" in text


def test_the_heuristic_is_never_worse_than_what_is_proven():
    for one in found().shortfalls[0]:
        assert (one.below >= 0.0).all()
        assert (one.at_most >= one.below - 1e-9).all()


def test_the_fitted_set_lies_between_its_bounds():
    own = found().fitted[0]
    value = own.sets[-1].value
    assert value.lower <= own.heuristic <= value.upper + 1e-6
    assert value.upper == min(own.by_search, own.by_enclosing)
    widened = own.sets[1]
    assert widened.train >= 0.95


# Words


def test_a_range_of_one_value_is_that_value():
    assert between([2, 2]) == "2"
    assert between([3, 2]) == "2 to 3"
    assert between([0.5, 0.25], 2) == "0.25 to 0.50"


def test_ratios_are_of_the_masters_seconds():
    contest = found().contests[0][0]
    slow = contest._replace(hedged=contest.hedged._replace(master_s=4.0 * contest.plain.master_s))
    told = found()._replace(
        size=TINY._replace(scenes=(5,)), contests={0: [slow._replace(scenes=5)]}
    )
    assert "quicker for 0 of 1 members (0.2 times as fast)" in of_contests(told)


def test_realised_costs_above_the_promise_are_counted():
    by = dict(found().budgets[0])
    real = by[1.0].reality
    count = len(real.cost)
    by[1.0] = by[1.0]._replace(
        reality=real._replace(cost=2.0 * real.promised, inside=np.ones(count, dtype=bool))
    )
    text = of_budgets(found()._replace(budgets={0: by}))
    assert "100.0 % with the usual budgets" in text
    assert f"{count} cost more than promised" in text
