"""Learning what to quote: an auction played honestly and not, and learners that are left alone."""

import csv
import json
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from baselines.bargaining.quoting import handed_on
from baselines.rules import tuned_rule
from experiments import misquoting
from experiments.cli import app
from experiments.misquoting import Size, study
from experiments.misquoting_learners import CASES, QuotingVecEnv, learn, seen
from experiments.misquoting_market import (
    GRID,
    SILENT,
    Market,
    Played,
    best_response,
    kinds_of,
    load_market,
    record,
)
from experiments.reproduce.misquoting_tables import every_table, plain, words
from mmg_env import CommunityEnv, CommunityParallelEnv, InputError, rollout
from mmg_env.actions import ActionCodec
from mmg_env.layout import A, F

SMALL = Size(episodes=2, steps=300, seeds=2)


@lru_cache
def market():
    return Market(record(load_market("s1_3mg"), "val", 6))


def drawn(seed, days=None):
    """Return random margins on the grid, 0 by the silent."""
    days = days or market().days
    margins = np.random.default_rng(seed).choice(GRID, days.role.shape)
    return np.where(days.role == SILENT, 0.0, margins)


@pytest.fixture
def few_days(monkeypatch):
    monkeypatch.setattr(misquoting, "TRAIN_DAYS", 3)
    misquoting._market.cache_clear()
    yield
    misquoting._market.cache_clear()


class Toy:
    """One seller, one buyer who is told what to bid, one hour; the price is the mean of both."""

    def __init__(self, days=400):
        self.days = SimpleNamespace(
            system=SimpleNamespace(name="toy", steps_per_day=1),
            participants=("seller", "buyer"),
            episodes=[None] * days,
            role=np.tile([0, SILENT], (days, 1, 1)),
            kind=np.zeros((days, 1), np.int64),
        )

    def begin(self):
        pass

    def hour(self, _, margins):
        """Sell 100 kWh between .2 and .4 to a buyer who bids .4."""
        price = 0.3 + 0.5 * 0.2 * margins[:, 0]
        paid = 100.0 * np.column_stack([-price, price])
        return Played(paid, np.zeros(len(price)), 20.0 * margins, 0.0 * margins + 100.0)

    def play(self, margins):
        hour = self.hour(0, margins[:, 0])
        return Played(*(np.expand_dims(column, 1) for column in hour))


def test_a_margin_of_0_quotes_the_retail_price_and_1_the_other_side():
    days = market().days
    sends, receives = days.role == 0, days.role == 1
    assert sends.any()
    assert receives.any()
    assert (days.role == SILENT).any()
    for t in range(days.role.shape[1]):
        honest = market().quotes(t, np.zeros(days.role[:, t].shape))
        full = market().quotes(t, np.ones(days.role[:, t].shape))
        sell, buy = (np.broadcast_to(p[:, t, None], honest.shape) for p in (days.sell, days.buy))
        assert np.array_equal(honest[sends[:, t]], sell[sends[:, t]])
        assert np.array_equal(honest[receives[:, t]], buy[receives[:, t]])
        assert full[sends[:, t]] == pytest.approx(buy[sends[:, t]])
        assert full[receives[:, t]] == pytest.approx(sell[receives[:, t]])
        assert not honest[days.role[:, t] == SILENT].any()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_agents_of_the_parallel_environment_pay_what_the_market_says(seed):
    days, margins = market().days, drawn(seed)
    played = market().play(margins)
    env, codec = CommunityParallelEnv(days.system, "val"), ActionCodec(days.system)
    for index in range(2):
        env.reset(options={"episode": index})
        for t in range(24):
            wishes = codec.action(days.actions[index, t])
            wishes[A.quote_per_kwh][:] = market().quotes(t, margins[:, t])[index]
            joint = codec.encode(wishes)
            _, rewards, _, _, _ = env.step({n: joint[p.decides] for n, p in env.parts.items()})
            paid = -np.array(list(rewards.values())) / days.system.config.reward_scale
            assert paid == pytest.approx(played.paid[index, t], abs=1e-9)


def test_a_rule_that_sees_what_quotes_did_does_the_same():
    days, margins = market().days, drawn(3)
    rule, codec = tuned_rule(days.system), ActionCodec(days.system)

    class Quoting:
        def reset(self, _):
            self.t = 0

        def act(self, observation, info):
            wishes = codec.action(rule.act(observation, info))
            wishes[A.quote_per_kwh][:] = market().quotes(self.t, margins[:, self.t])[1]
            self.t += 1
            return codec.encode(wishes)

    lived = rollout(CommunityEnv(days.system, "val"), Quoting(), options={"episode": 1})
    played, honest = market().play(margins), market().play(np.zeros(margins.shape))
    assert lived.ledger.sum(axis=2) == pytest.approx(played.paid[1])
    assert lived.step_costs == pytest.approx(played.cost[1])
    nominated = lived.flow(F.nominated_kw)
    assert np.array_equal(
        np.sign(np.round(nominated, 6)),
        np.select([days.role[1] == 0, days.role[1] == 1], [-1.0, 1.0], 0.0),
    )
    # Quotes do matter, to payments and to who is cut, but not to what is traded.
    assert not np.allclose(played.paid, honest.paid)
    assert not np.allclose(played.traded_kwh, honest.traded_kwh)
    received = days.role == 1
    assert np.where(received, played.traded_kwh, 0.0).sum(axis=2) == pytest.approx(
        np.where(received, honest.traded_kwh, 0.0).sum(axis=2)
    )


def test_payments_for_quotes_only_change_hands():
    played, honest = market().play(drawn(4)), market().play(np.zeros(market().days.role.shape))
    assert played.paid.sum(axis=2) == pytest.approx(played.cost)
    assert (played.paid - honest.paid).sum(axis=2) == pytest.approx(played.cost - honest.cost)
    assert played.hidden == pytest.approx(
        drawn(4) * (market().days.buy - market().days.sell)[..., None] * played.traded_kwh
    )


def test_fines_go_to_the_others_in_equal_parts():
    assert handed_on(np.array([6.0, 0.0, 3.0])) == pytest.approx([4.5, -4.5, 0.0])
    fines = handed_on(np.random.default_rng(0).uniform(0.0, 9.0, (5, 7, 4)))
    assert fines.sum(axis=-1) == pytest.approx(np.zeros((5, 7)))


@pytest.mark.parametrize("seed", range(4))
def test_half_of_what_is_hidden_is_fine_enough_whatever_the_others_quote(seed):
    # The price is the mean of an ask and a bid: a lie moves it by half, and serves nobody sooner.
    # What is left is being cut: it spares fee and loss, and lets others' lies and fines grow.
    for who in range(4):
        margins = drawn(seed)
        margins[..., who] = 0.0
        for quoted in (margins, np.zeros(margins.shape)):
            free, fined = (best_response(market(), quoted, who, s)[0] for s in (0.0, 0.5))
            assert free > 100.0
            assert fined < 0.01 * free


def test_fines_that_go_to_the_others_make_it_pay_to_be_cut_beside_liars():
    margins = drawn(1)
    margins[..., 0] = 0.0
    gain, _ = best_response(market(), margins, 0, 5.0)
    assert gain > 10.0


def test_the_best_response_brings_what_it_promises():
    days, gains = market().days, []
    honest = np.zeros(days.role.shape)
    for who in range(4):
        gain, best = best_response(market(), honest, who, 0.1)
        changed = honest.copy()
        own = np.nan_to_num(best)[days.role[..., who], days.kind]
        changed[..., who] = np.where(days.role[..., who] == SILENT, 0.0, own)
        played = market().play(changed)
        owed = played.paid + handed_on(0.1 * played.hidden) - market().play(honest).paid
        assert -owed[..., who].sum() / len(days.episodes) == pytest.approx(gain)
        assert np.isin(best[~np.isnan(best)], GRID[1:]).all()
        gains.append(gain)
    assert max(gains) > 100.0


def test_kinds_are_thirds_of_the_range_of_a_days_prices():
    buy = np.array([[0.4, 0.75, 1.2, 0.66, 5.0, 5.0, 5.0, 5.0]])
    assert kinds_of(buy, 4).tolist() == [[0, 1, 2, 0, 0, 0, 0, 0]]


def test_margins_are_drawn_with_their_probabilities_and_the_same_numbers():
    days = market().days
    chances = np.zeros((4, 2, 3, len(GRID)))
    chances[..., 0], chances[..., -1] = 0.25, 0.75
    chances[3, :, :, 0], chances[3, :, :, -1] = 1.0, 0.0
    margins = days.draw(chances, np.random.default_rng(0))
    spoken = days.role != SILENT
    assert set(np.unique(margins)) == {0.0, 1.0}
    assert not margins[..., 3].any()
    assert not margins[~spoken].any()
    assert margins[..., :3][spoken[..., :3]].mean() == pytest.approx(0.75, abs=0.08)
    bolder = chances.copy()
    bolder[..., 0], bolder[..., -1] = 0.0, 1.0
    assert (days.draw(bolder, np.random.default_rng(0)) >= margins).all()


def test_agents_see_who_they_are_and_what_they_do_at_what_hour():
    shown = seen(np.array([[[0, SILENT, 1]]]), np.array([[2]]))[0, 0]
    assert shown.shape == (3, 3 * CASES)
    assert np.flatnonzero(shown[0]).tolist() == [2]
    assert np.flatnonzero(shown[1]).tolist() == []
    assert np.flatnonzero(shown[2]).tolist() == [2 * CASES + 5]


def test_a_reward_is_what_was_saved_beside_honesty_less_fines():
    env = QuotingVecEnv(market(), 0.3, np.random.default_rng(0))
    env.reset()
    env.step_async(np.zeros(env.num_envs, np.int64))
    assert not env.step_wait()[1].any()
    total = np.zeros((6, 4))
    for _ in range(23):
        env.step_async(np.full(env.num_envs, len(GRID) - 1))
        _, rewards, over, infos = env.step_wait()
        total += rewards.reshape(6, 4)
    assert over.all()
    assert all("terminal_observation" in info for info in infos)
    # All at the other side: as when all are honest, but for fines, which sum to 0.
    assert total.sum(axis=1) == pytest.approx(np.zeros(6), abs=0.1)
    assert np.abs(total).max() > 10.0


@pytest.mark.parametrize(("strength", "low", "high"), [(0.0, 0.9, 1.0), (1.0, 0.0, 0.1)])
def test_a_monopolist_learns_to_ask_more_unless_it_is_fined(strength, low, high):
    chances = learn(Toy(), strength, 16000, 0)
    assert chances.sum(axis=-1) == pytest.approx(np.ones((2, 2, 3)))
    margins = chances @ GRID
    assert low <= margins[0, 0, 0] <= high
    # What never happens is not learned about, nor is it by who is silent.
    untouched = np.delete(margins.ravel(), 0)
    assert untouched == pytest.approx(np.full(11, untouched[0]))


@pytest.mark.usefixtures("few_days")
def test_the_same_seed_learns_the_same():
    once, again = (study(size=SMALL, audits=(0.2,)) for _ in range(2))
    assert plain(once) == plain(again)
    assert once.found[0].margin[0] != once.found[0].margin[1]


@pytest.mark.usefixtures("few_days")
def test_findings_agree_with_each_other():
    findings = study(size=SMALL, audits=(0.0, 1.0))
    free, fined = findings.found
    assert [found.strength for found in findings.found] == [0.0, 1.0]
    assert not np.any(free.fines)
    assert np.abs(fined.fines).max() > 1.0
    for found in findings.found:
        assert np.shape(found.margin) == (2, 4)
        assert np.sum(found.fines, axis=1) == pytest.approx([0.0, 0.0])
        assert np.sum(found.own, axis=1) == pytest.approx(found.system)
        assert np.min(found.left) >= 0.0
        assert found.traded_kwh == pytest.approx((0.0, 0.0), abs=1e-6)
    assert sum(findings.honest.own) == pytest.approx(findings.honest.system)
    assert max(free.tempted) > 100.0
    assert max(fined.tempted) == pytest.approx(0.0, abs=1e-6)
    participants, community, cases = every_table(findings)
    assert (len(participants.rows), len(community.rows), len(cases.rows)) == (8, 2, 8)
    assert len(words(findings)) == 3


@pytest.mark.usefixtures("few_days")
def test_the_command_writes_its_findings(tmp_path):
    options = ("--episodes", "2", "--steps", "100", "--seeds", "1", "--audits", "0,0.5,0.5")
    done = CliRunner().invoke(app, ["misquote", *options, "--workers", "1", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "misquoting.json").read_text(encoding="utf-8"))
    assert told["size"] == {"episodes": 2, "steps": 100, "seeds": 1}
    assert [found["strength"] for found in told["found"]] == [0.0, 0.5]
    with (tmp_path / "misquoting_participants.csv").open(encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert [row[1] for row in rows[1:5]] == told["participants"] == ["MG1", "MG2", "MG3", "ces"]
    assert float(rows[1][2]) == pytest.approx(told["found"][0]["margin"][0][0])
    assert "Audits of 0.5" in done.output


def test_what_makes_no_sense_is_refused():
    for audits in ((-0.1,), (float("nan"),), (float("inf"),)):
        with pytest.raises(InputError, match=r"audits: .* must be a fine of at least 0"):
            study(size=SMALL, audits=audits)
    with pytest.raises(InputError, match="episode: 99999 is not in split val"):
        study(size=SMALL._replace(episodes=100_000))
    done = CliRunner().invoke(app, ["misquote", "--audits", "much"])
    assert isinstance(done.exception, InputError)
    assert "must be numbers with commas" in str(done.exception)
