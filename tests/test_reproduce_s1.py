"""The command `mmg reproduce s1`: a page that needs nothing else, and tables that add up."""

from functools import lru_cache
from html import unescape

import numpy as np
import pytest
from pages import check_files, left_by, page_in, read

from baselines.bargaining.bargain import Bargain
from baselines.bargaining.quoting import DECEPTIVE, FRICTION
from baselines.negotiation import Residuals
from experiments.misquoting import Size as LearnerSize
from experiments.reproduce import s1
from experiments.reproduce.phrases import bulleted, listed
from experiments.reproduce.s1_cases import CLOSE, PARALLEL, SHOWN, Curve
from experiments.reproduce.s1_detection import METERED, PUBLIC
from experiments.reproduce.s1_findings import FULL, QUICK, gather, jobs
from experiments.reproduce.s1_learners import available, joined
from experiments.reproduce.s1_lie_words import of_detection, of_learners, of_lies, of_truth
from experiments.reproduce.s1_page import CALIBRATED, NOT_REPRODUCED, page_of
from experiments.reproduce.s1_page import QUICK as QUICK_NOTICE
from experiments.reproduce.s1_paper import ALLIANCE, COSTS, fraud_sum, unexplained
from experiments.reproduce.s1_quotes import DECEIVING, HONEST, SUPPRESSING, by_mode, paid
from experiments.reproduce.s1_tables import EVERYONE, THEIRS, every_table
from experiments.reproduce.s1_trade_tables import directed
from experiments.reproduce.s1_trading import SETTLED
from experiments.reproduce.s1_words import (
    of_agreement,
    of_costs,
    of_haggling,
    of_paper,
    of_powers,
    of_trades,
    verdict,
)

NAME = "s1_3mg"
TINY = QUICK._replace(
    systems=(NAME,),
    rounds=25,
    prices=15,
    dt_h=6.0,
    audited=40,
    suspected=10,
    learners=LearnerSize(episodes=1, steps=2000, seeds=1),
    strengths=(0.8,),
)
MODES = (HONEST, DECEIVING, SUPPRESSING)


@lru_cache
def found():
    return gather(TINY, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run the command on what has been found already."""
    out = tmp_path_factory.mktemp("s1")
    assert "Final costs and gains" in left_by("s1", s1, found(), out)
    return out


def column(rows, name, whose):
    """Return a column of one source, the sum excepted, and the sum."""
    own = [row for row in rows if row["whose"] == whose]
    values = [float(row[name]) for row in own if row["who"] != EVERYONE]
    return np.array(values), float(next(row[name] for row in own if row["who"] == EVERYONE))


# The page


def test_it_leaves_one_page_and_every_table(folder):
    check_files(folder, every_table(found()))


def test_the_page_loads_nothing_and_says_what_it_does_not_reproduce(folder):
    html = page_in(folder)
    for text in (CALIBRATED, QUICK_NOTICE, *NOT_REPRODUCED):
        assert text in html
    assert html.count("<svg") == (8 if available() else 7)


def test_every_sentence_about_findings_is_on_the_page(folder):
    html = page_in(folder)
    sayings = (verdict, of_powers, of_haggling, of_trades, of_lies, of_detection, of_truth)
    for text in (*(say(found()) for say in sayings), of_costs(found(), NAME), of_paper()):
        assert text in html
    for texts in (of_agreement(found()), of_learners(found())):
        assert all(text in html for text in texts)


def test_a_run_in_full_has_no_notice_of_a_quick_one_and_says_where_nobody_can_learn():
    whole = found()._replace(size=TINY._replace(quick=False), learned=joined([]))
    html = unescape(page_of(whole, every_table(whole)))
    assert QUICK_NOTICE not in html
    assert "--quick" not in html
    assert (FULL.quick, QUICK.quick) == (False, True)
    assert "Nobody has learned" in html
    assert html.count("<svg") == 7


def test_jobs_are_each_there_once():
    keys = [job.key for job in jobs(FULL)]
    assert len(set(keys)) == len(keys)
    assert {job.key for job in jobs(TINY)} < {*keys, ("learned", 0.8)}


# Costs


def test_payments_sum_up_to_nothing_and_final_costs_to_what_is_spent(folder):
    costs, ends = read(folder, f"costs_{NAME}"), read(folder, f"ends_{NAME}")
    for whose in ("known day", "robust day"):
        alone, together = column(costs, "alone_CNY_break_even_point", whose)
        spent, _ = column(costs, "cooperation_CNY_before_settlement", whose)
        assert alone.sum() == pytest.approx(together)
        for mode in MODES:
            pays, _ = column(costs, f"pays_CNY_{mode}", whose)
            final, all_final = column(ends, f"pays_in_the_end_CNY_{mode}", whose)
            gains, surplus = column(ends, f"gains_CNY_{mode}", whose)
            assert pays.sum() == pytest.approx(0.0, abs=1e-6)
            np.testing.assert_allclose(alone - final, gains, atol=1e-6)
            assert alone.sum() - surplus == pytest.approx(all_final)
            if mode == HONEST:
                np.testing.assert_allclose(spent + pays, final, atol=1e-6)
                assert (gains >= 0.0).all()


def test_the_papers_table_is_quoted_as_it_stands(folder):
    costs, ends = read(folder, f"costs_{NAME}"), read(folder, f"ends_{NAME}")
    alone, together = column(costs, "alone_CNY_break_even_point", THEIRS)
    assert alone.sum() == pytest.approx(together) == pytest.approx(66_319.37)
    final, all_final = column(ends, "pays_in_the_end_CNY_deceptive", THEIRS)
    gains, _ = column(ends, "gains_CNY_deceptive", THEIRS)
    np.testing.assert_allclose(alone - final, gains, atol=0.02)
    assert final.sum() == pytest.approx(all_final)
    assert sum(own.cooperation for own in COSTS.values()) == pytest.approx(58_910.12)


def test_what_payments_cannot_cause_is_said():
    assert unexplained() == pytest.approx(985.23)
    assert fraud_sum() == pytest.approx(0.18)
    assert ALLIANCE["gain"] - (ALLIANCE["alone"] - ALLIANCE["cooperation"]) == pytest.approx(985.23)
    assert "985.23" in of_paper()
    assert "sum up to 0.18" in of_paper()


def test_the_agreed_plan_is_as_good_as_the_best_and_can_be_carried_out():
    day = found().days[NAME]
    assert day.central <= day.replayed * (1.0 + 1e-9)
    assert day.replayed <= day.central * (1.0 + CLOSE)
    assert day.replayed == pytest.approx(day.cooperation.sum(), abs=1e-6)
    assert day.relaxed <= day.at_exchange * (1.0 + 1e-9)


def test_powers_share_one_surplus():
    day = found().days[NAME]
    everyone = frozenset(range(len(day.names)))
    assert day.coalitions[everyone] == min(day.coalitions.values())
    assert set(day.powers) >= {"uniform", "contribution", "marginal", "Shapley"}
    for name, power in day.powers.items():
        assert power.sum() == pytest.approx(1.0)
        assert day.bargain(name).gains.sum() == pytest.approx(day.bargain().surplus)
    np.testing.assert_array_equal(day.bargain().power, day.powers[SHOWN])


def test_honest_payments_are_those_of_the_bargain():
    bargain = Bargain(np.array([10.0, 20.0]), np.array([4.0, 18.0]), np.array([0.25, 0.75]))
    honest, deceived = paid(bargain, None), paid(bargain, DECEPTIVE)
    np.testing.assert_allclose(honest.pays, bargain.payments)
    np.testing.assert_allclose(honest.final, bargain.final)
    kept = 1.0 - FRICTION * deceived.lies.mean()
    assert deceived.surplus == pytest.approx(8.0 * kept)
    assert deceived.pays.sum() == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(deceived.final, bargain.disagreement - deceived.gains)
    assert list(by_mode(bargain)) == list(MODES)


def test_the_robust_day_lies_between_its_bounds():
    chain = found().chains[NAME].found
    assert chain.lower <= chain.relaxed.sum() * (1.0 + 1e-6)
    assert chain.relaxed.sum() <= chain.cooperation.sum() * (1.0 + 1e-3)
    bargain = found().chains[NAME].bargain
    assert bargain.surplus > 0.0
    assert (bargain.final <= bargain.disagreement).all()


# Agreement


def curve_of(residuals_kw, above):
    told = [Residuals(n, kw, 0.0, 0.0, 0.0, 1.0, 0.1 * n) for n, kw in enumerate(residuals_kw)]
    return Curve(tuple(told), np.array(above))


def test_a_plan_is_found_from_the_round_on_from_which_it_stays_close():
    curve = curve_of([5.0, 0.05, 5.0, 0.05], [1.0, 1e-5, 1.0, 1e-5])
    assert curve.stopped(0.1) == 2
    assert curve.first() == 4
    assert curve.stopped(0.01) is None
    assert curve_of([5.0], [1.0]).first() is None
    assert curve_of([5.0, 5.0], [0.0, 0.0]).first() == 1


def test_an_agreement_that_does_not_come_is_not_claimed():
    never = curve_of([5.0] * 25, [0.1] * 25)
    told = found()._replace(curves={**found().curves, (NAME, PARALLEL): never})
    assert "in more than 25 rounds" in verdict(told)
    assert f"not in 25 rounds ({PARALLEL})" in " ".join(of_agreement(told))
    rows = next(table for table in every_table(told) if table.file == "effort").rows
    assert [row[3] for row in rows if row[2] == PARALLEL] == ["not in 25"] * 2


def test_the_best_way_to_agree_reaches_the_best_plan():
    agreed = found().curves[NAME, PARALLEL]
    assert agreed.first() <= 25
    assert agreed.above[-1] <= CLOSE


# Trades


def test_prices_lie_in_the_band_and_carry_the_payments():
    traded, day = found().trading[NAME], found().days[NAME]
    assert traded.prices.possible
    np.testing.assert_allclose(traded.prices.payments, day.bargain().payments, rtol=1e-4)
    low, high = traded.band
    assert (traded.prices.per_kwh >= low - 1e-9).all()
    assert (traded.prices.per_kwh <= high + 1e-9).all()


def test_pairs_that_trade_next_to_nothing_are_not_listed():
    traded = found().trading[NAME]
    total = traded.kwh.sum(axis=2)
    shown = directed(traded)
    assert sum(total[pair] for pair in shown) >= 0.99 * total.sum()
    assert all(total[pair] > 1e-3 * total.sum() for pair in shown)
    assert [total[pair] for pair in shown] == sorted((total[p] for p in shown), reverse=True)


def test_pairs_agree_on_the_payments_of_the_bargain():
    for talk in found().trading[NAME].haggling.values():
        assert talk.first() is not None
        assert talk.off[-1] <= SETTLED
        assert talk.apart_per_kwh[-1] < talk.apart_per_kwh[0]


# Lies


def test_stronger_audits_leave_smaller_lies():
    lied = found().lied
    for effects in lied.analytic.values():
        assert (effects[0].lies >= effects[-1].lies).all()
        assert effects[0].welfare_loss > effects[-1].welfare_loss
    for market in lied.market.values():
        assert market[0].lies.sum() > market[-1].lies.sum()
        assert all(at.regret >= 0.0 for at in market)


def test_regretted_lies_are_not_called_an_equilibrium():
    lied = found().lied
    calm = tuple(at.__class__(**{**vars(at), "regret": 0.0}) for at in lied.market[SHOWN])
    torn = tuple(at.__class__(**{**vars(at), "regret": 50.0}) for at in lied.market[SHOWN])
    for market, said in ((calm, "which is an equilibrium"), (torn, "no equilibrium")):
        told = found()._replace(lied=lied._replace(market={**lied.market, SHOWN: market}))
        assert said in of_lies(told)
    assert "by 50 CNY at most" in of_lies(told)


def test_lies_drawn_together_are_regretted_by_nobody():
    for least, most in found().lied.together:
        assert max(least.regret, most.regret) <= 1e-6 * found().lied.surplus
        assert least.welfare_loss <= most.welfare_loss + 1e-9
    assert "lies leave nobody more than 0.00 CNY to gain" in of_lies(found())


def test_who_knows_more_finds_more():
    by = found().detected.found
    assert by[METERED].roc.area > by[PUBLIC].roc.area > 0.5
    for one in by.values():
        assert 0.0 <= one.recall <= 1.0
        assert (np.diff(one.roc.true_rate) >= 0.0).all()


def test_no_lie_pays_where_everyone_gains_what_all_would_lose_without_it():
    day, clarke = found().days[NAME], found().clarke[NAME]
    everyone = frozenset(range(len(day.names)))
    marginal = [day.coalitions[everyone - {p}] - day.coalitions[everyone] for p in everyone]
    np.testing.assert_allclose(clarke.gains, marginal, rtol=1e-4)
    assert clarke.deficit == pytest.approx(sum(marginal) - clarke.surplus, rel=1e-4)


# Words


def test_things_are_listed_as_one_says_them():
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert bulleted(["a < b"]) == "<ul><li>a &lt; b</li></ul>"
