"""The command `mmg reproduce s2`: a page that needs nothing else, and tables that agree with it."""

from functools import lru_cache
from html import unescape

import numpy as np
import pytest
from pages import check_files, left_by, page_in, read
from typer.testing import CliRunner

from experiments.cli import app
from experiments.reproduce import s2
from experiments.reproduce.cases import CASES, FEATURES, ONE, THREE, case_system
from experiments.reproduce.day import middle_day
from experiments.reproduce.jobs import run
from experiments.reproduce.s2_findings import (
    FULL,
    QUICK,
    Size,
    attributed,
    gather,
    jobs,
    values_of,
)
from experiments.reproduce.s2_money import (
    agrees,
    bills,
    change,
    changes_between,
    headline,
    ordering,
    verdict,
)
from experiments.reproduce.s2_page import CALIBRATED, page_of
from experiments.reproduce.s2_page import QUICK as QUICK_NOTICE
from experiments.reproduce.s2_tables import convergence, every_table, reality, schedule
from experiments.statistics import Interval
from mmg_env.layout import F

# Cuts by the hour close in so many rounds, and a single cut per house does not.
TINY = Size(1, 2, 15, np.inf, quick=True)
POLICIES = ("idle", "tuned_rule")


@lru_cache
def found():
    return gather(TINY, POLICIES, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run the command on what has been found already."""
    out = tmp_path_factory.mktemp("s2")
    assert "The three values of the paper" in left_by("s2", s2, found(), out)
    return out


# The page


def test_it_leaves_one_page_and_every_table(folder):
    check_files(folder, every_table(found()))


def test_the_page_loads_nothing_and_says_what_it_claims(folder):
    html = page_in(folder)
    for text in (CALIBRATED, QUICK_NOTICE):
        assert text in html
    assert html.count("<svg") == 9
    assert "about +30 %" in html
    assert "about \u221275 %" in html


@lru_cache
def in_full():
    """Return the page of a run that is not quick, with more scenarios than were planned for."""
    more = found()._replace(size=TINY._replace(scenarios=20, quick=False))
    return unescape(page_of(more, every_table(more)))


def test_a_run_in_full_has_no_notice_of_a_quick_one(folder):
    quick = unescape((folder / "report.html").read_text(encoding="utf-8"))
    for text in (QUICK_NOTICE, "--quick"):
        assert text in quick
        assert text not in in_full()
    assert "mmg reproduce s2" in in_full()
    assert (FULL.quick, QUICK.quick) == (False, True)


def test_of_few_scenarios_the_worst_is_a_single_one_and_the_page_says_so(folder):
    quick = unescape((folder / "report.html").read_text(encoding="utf-8"))
    assert "10 % of scenarios (of 2 that is the single worst one);" in quick
    assert "10 % of scenarios; " in in_full()


# What it says


def test_headline_and_bills_are_sums_of_the_same_ledgers(folder):
    rows = {row["mean_over_the_days_CNY_per_day"]: row for row in read(folder, "headline")}
    sums = [row for row in read(folder, "bills") if row["term"] == "sum"]
    for case in (ONE, THREE):
        column = f"{case} CNY per day".replace(" ", "_")
        paid = {row["who"]: float(row[column]) for row in sums}
        profit = float(rows["storage's net profit"][case.replace(" ", "_")])
        houses = float(rows["houses' cost"][case.replace(" ", "_")])
        assert profit == pytest.approx(-paid["storage"])
        assert houses == pytest.approx(sum(paid[f"CRH{k}"] for k in (1, 2, 3)))


def test_terms_of_a_bill_add_up_to_its_sum():
    table = bills(found())
    for who in ("storage", "CRH1", "CRH3"):
        rows = [row for row in table.rows if row[0] == who]
        *terms, total = np.array([row[2:] for row in rows], dtype=float)
        np.testing.assert_allclose(np.sum(terms, axis=0), total, atol=0.05)


def test_changes_are_those_of_the_means():
    profits = [values_of(found().cases[case]).profit.mean() for case in (ONE, THREE)]
    assert change(found(), "profit").value == pytest.approx(profits[1] / profits[0] - 1.0)
    assert "storage's net profit: case 1 < case 2 < case 3" in ordering(found())


def of_days(*factors, case=THREE):
    """Return findings of as many days, in which the ledgers of a case are multiples."""
    one = {name: outcomes[0] for name, outcomes in found().cases.items()}
    every = {name: [outcome] * len(factors) for name, outcome in one.items()}
    every[case] = [one[case]._replace(ledger=factor * one[case].ledger) for factor in factors]
    return found()._replace(cases=every)


def test_a_sign_is_claimed_where_the_interval_has_one():
    surely = of_days(1.0, 1.01, 0.99, 1.0)
    assert [row[-1] for row in headline(surely).rows] == ["yes"] * 3
    told = verdict(surely)
    for text in ("net profit rises by", "houses' cost falls by", "storage's wear falls by"):
        assert text in told
    falls = of_days(0.01, 0.02, 0.01, 0.02)
    assert headline(falls).rows[0][-1] == "no"
    assert "net profit falls by" in verdict(falls)


def test_a_sign_is_open_without_an_interval_or_with_zero_in_it():
    assert [row[-1] for row in headline(found()).rows] == ["open"] * 3
    assert "how the storage's net profit changes is open, +" in verdict(found())
    assert "without an interval" in verdict(found())
    torn = of_days(5.0, -5.0, 5.0, -5.0)
    assert [row[-1] for row in headline(torn).rows] == ["open"] * 3
    assert "changes is open" in verdict(torn)
    assert "with an interval of \u2212" in verdict(torn)
    nothing = of_days(0.0, 0.0, case=ONE)
    assert [row[-1] for row in headline(nothing).rows] == ["open"] * 3


@pytest.mark.parametrize(
    ("value", "low", "high", "rises", "wanted"),
    [
        (0.3, 0.1, 0.5, True, "yes"),
        (0.3, 0.1, 0.5, False, "no"),
        (-0.3, -0.5, -0.1, False, "yes"),
        (-0.3, -0.5, 0.1, False, "open"),
        (0.3, 0.0, 0.5, True, "open"),
        (0.3, np.nan, np.nan, True, "open"),
        (np.nan, np.nan, np.nan, False, "open"),
    ],
)
def test_whether_signs_agree(value, low, high, rises, wanted):
    assert agrees(Interval(value, low, high), rises) == wanted


def test_the_range_of_a_change_has_both_cases_at_their_ends():
    low, high = changes_between(np.array([100.0, 125.0]), np.array([110.0, 150.0]))
    assert (low, high) == pytest.approx((110.0 / 125.0 - 1.0, 150.0 / 100.0 - 1.0))
    assert np.isnan(changes_between(np.array([-1.0, 1.0]), np.ones(2))).all()
    ends = [found().cases[case][0].shared[1:, 0] for case in (ONE, THREE)]
    low, high = changes_between(*ends)
    assert low < change(found(), "profit").value < high
    low_text, high_text = (
        f"{100.0 * share:+.0f} %".replace("-", "\u2212") for share in (low, high)
    )
    assert f"among equally cheap plans {low_text} to {high_text}" in verdict(found())


def test_what_features_are_due_adds_up_to_the_change_from_case_1_to_3():
    due = attributed(found())
    for name in ("profit", "houses", "wear"):
        first, last = (getattr(values_of(found().cases[case]), name) for case in (ONE, THREE))
        assert set(due[name]) == set(FEATURES)
        np.testing.assert_allclose(sum(due[name].values()), last - first, atol=1e-9)


def test_a_method_that_does_not_close_is_told_with_its_gap():
    rows = {row[0]: row for row in convergence(found()).rows}
    assert rows["cuts, hour"][-1] == "closed"
    assert rows["cuts, single"][-1] == "with a gap"
    assert rows["cuts, single"][6] > 1e-6


def test_a_negotiation_that_failed_is_told_in_words():
    nobody = found().negotiated._replace(
        trace=(), cost=np.nan, bound=np.nan, prices=np.zeros((0, 24)), failure="no <optimum>"
    )
    failed = found()._replace(negotiated=nobody)
    assert convergence(failed).rows[-1][-1] == "no <optimum>"
    html = page_of(failed, every_table(failed))
    assert "The negotiation found no optimum: no &lt;optimum&gt;." in html
    assert html.count("<svg") == 8


def test_every_policy_is_told():
    told = [row[0] for row in reality(found()).rows]
    assert told[:3] == [
        "two-stage plan, promised",
        "oracle, bound of the true day",
        "plan played open loop",
    ]
    assert tuple(told[3:]) == POLICIES


def test_the_shown_day_balances_at_the_storages_bus():
    """What passes the converter loses there; what is rented loses in the pool as well."""
    day, config = middle_day(0, 2), case_system({}).config
    converter, through = config.ces.eta_converter, 1.0 - config.pool.loss
    storage, virtual = day.flows[:, -1], day.flows[:, :-1, F.virtual_kw]
    given = np.maximum(virtual, 0.0).sum(axis=1) / through + storage[:, F.sent_kw]
    taken = np.maximum(-virtual, 0.0).sum(axis=1) * through + storage[:, F.received_kw]
    own = storage[:, F.battery_kw] + storage[:, F.called_kw]
    market = storage[:, F.import_kw] - storage[:, F.export_kw]
    slack = storage[:, F.unserved_kw] - storage[:, F.spill_kw]
    duty = given / converter - converter * taken
    np.testing.assert_allclose(own + market + slack, duty, atol=1e-6)
    assert min(np.abs(part).max() for part in (own, market, given, taken)) > 1.0
    assert (day.virtual_kwh[1:].max(axis=0) <= day.rented_kwh + 1e-6).all()
    assert len(schedule(found()).rows) == 24


# How it is computed


def test_every_job_is_done_once_and_the_cases_are_among_the_combinations():
    keys = [job.key for job in jobs(FULL, POLICIES)]
    assert len(keys) == len(set(keys))
    of_a_day = [key for key in keys if key[0] == "case" and key[-1] == 0]
    assert len(of_a_day) == 2 ** len(FEATURES) + len(CASES) - 3


def test_the_order_of_jobs_changes_nothing():
    """Nor does how many run at a time: they know nothing of one another."""
    chosen = [
        job
        for job in jobs(TINY, POLICIES)
        if job.key[0] == "promise"
        or job.key in (("live", "idle", 0), ("case", (("ces", None),), 0))
    ]
    one, other = run(chosen, 1), run(chosen[::-1], 2)
    assert set(one) == {job.key for job in chosen}
    for key, value in one.items():
        if key[0] == "case":
            np.testing.assert_array_equal(value.ledger, other[key].ledger)
        else:
            assert value == other[key]


def test_a_folder_that_cannot_be_written_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("in the way")
    out = str(tmp_path / "file" / "s2")
    result = CliRunner().invoke(app, ["reproduce", "s2", "--quick", "--out", out])
    assert result.exit_code != 0
    assert "cannot be written" in str(result.exception)
