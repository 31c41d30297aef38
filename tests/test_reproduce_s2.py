"""The command `mmg reproduce s2`: a page that needs nothing else, and tables that agree with it."""

import csv
import re
from functools import lru_cache
from html import unescape

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.reproduce import s2
from experiments.reproduce.cases import CASES, FEATURES, ONE, THREE
from experiments.reproduce.day import middle_day
from experiments.reproduce.page import Page, Part, rendered
from experiments.reproduce.s2_findings import (
    FULL,
    QUICK,
    Size,
    attributed,
    gather,
    jobs,
    run,
    values_of,
)
from experiments.reproduce.s2_money import bills, change, headline, ordering, verdict
from experiments.reproduce.s2_page import CALIBRATED, page_of
from experiments.reproduce.s2_page import QUICK as QUICK_NOTICE
from experiments.reproduce.s2_tables import convergence, every_table, reality, schedule
from mmg_env.layout import F

TINY = Size(1, 2, 0.5, quick=True)
POLICIES = ("idle", "tuned_rule")


@lru_cache
def found():
    return gather(TINY, POLICIES, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run the command on what has been found already."""
    out = tmp_path_factory.mktemp("s2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s2, "gather", lambda *_: found())
        result = CliRunner().invoke(app, ["reproduce", "s2", "--quick", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "The three values of the paper" in result.output
    return out


def read(folder, name):
    with (folder / f"{name}.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


# The page


def test_it_leaves_one_page_and_every_table(folder):
    names = {table.file for table in every_table(found())}
    assert len(names) == len(every_table(found()))
    assert {path.stem for path in folder.glob("*.csv")} == names
    assert (folder / "report.html").is_file()
    assert not list(folder.glob("*.tmp*"))


def test_the_page_loads_nothing_and_says_what_it_claims(folder):
    html = unescape((folder / "report.html").read_text(encoding="utf-8"))
    assert not re.search(r'(?:src|href)="(?!#)', html)
    assert not re.search(r"@import|url\((?!#)", html)
    for text in (CALIBRATED, QUICK_NOTICE):
        assert text in html
    assert html.count("<svg") == 9
    assert "about +30 %" in html
    assert "about \u221275 %" in html


def test_a_run_in_full_has_no_notice_of_a_quick_one():
    page = Page("t", "s", "m", [CALIBRATED], [Part("p", "x")], [])
    assert QUICK_NOTICE not in rendered(page)
    assert not FULL.quick
    assert QUICK.quick
    assert FULL.days > QUICK.days


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
    assert headline(found()).rows[0][-1] == "yes"
    assert "net profit rises" in verdict(found())
    assert "storage's net profit: case 1 < case 2 < case 3" in ordering(found())


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
    day = middle_day(0, 2)
    storage, members = day.flows[:, -1], day.flows[:, :-1]
    pool = members[:, :, F.sent_kw] - members[:, :, F.received_kw]
    given = storage[:, F.battery_kw] + storage[:, F.import_kw] - storage[:, F.export_kw]
    assert np.abs(given + (pool - members[:, :, F.virtual_kw]).sum(axis=1)).max() < 20.0
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
        if job.key[0] in ("live", "promise") or job.key == ("case", (("ces", None),), 0)
    ]
    one, other = run(chosen, 1), run(chosen[::-1], 1)
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
