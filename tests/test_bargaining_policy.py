"""Participants that negotiate every hour (baselines/bargaining/policy.py), and their margins."""

import numpy as np
import pytest

from baselines import policy_named
from baselines.bargaining.margins import margins, with_margins
from baselines.bargaining.policy import NashMpc
from baselines.deterministic import known_model
from mmg_env import load_system, sample_episode
from mmg_env.env import CommunityEnv
from mmg_env.layout import F, X
from mmg_env.rollout import rollout


@pytest.fixture(scope="module")
def system():
    return load_system("s1_3mg")


def _played(system, policy):
    return rollout(CommunityEnv(system, split="val"), policy, options={"episode": 1})


@pytest.fixture(scope="module")
def honest(system):
    return _played(system, NashMpc(system))


def test_who_negotiates_does_as_well_as_one_who_plans_for_all(system, honest):
    central = _played(system, policy_named("mpc")(system))
    assert honest.cost == pytest.approx(central.cost, rel=0.01)
    assert honest.flow(F.received_kw).sum() > 1000.0


def test_margins_on_both_sides_kill_trades(system, honest):
    liars = _played(system, NashMpc(system, np.full(4, 0.9)))
    assert liars.flow(F.received_kw).sum() < 0.9 * honest.flow(F.received_kw).sum()
    assert liars.cost > honest.cost


def test_what_is_planned_for_the_pool_arrives(honest):
    assert honest.flow(F.pool_cut_kw).sum() == pytest.approx(0.0, abs=1e-3)


def test_an_episode_does_not_remember_the_one_before(system, honest):
    policy = NashMpc(system)
    _played(system, policy)
    again = _played(system, policy)
    assert np.array_equal(again.ledger, honest.ledger)


def test_the_three_policies_differ_in_lies_and_audits_alone(system):
    lies = {
        name: policy_named(f"nash_{name}")(system).lies
        for name in ("cooperative", "deceptive", "suppressed")
    }
    assert (lies["cooperative"] == 0.0).all()
    assert (lies["deceptive"] > lies["suppressed"]).all()
    assert (lies["suppressed"] > 0.0).all()


def test_a_margin_is_a_share_of_half_the_spread(system):
    episode = sample_episode(system, "train", 0)
    lies = np.array([0.0, 0.2, 0.4, 0.9])
    margin = margins(system, lies, episode.values)
    spread = episode.shared(X.price_buy) - episode.shared(X.price_sell)
    assert margin == pytest.approx(lies[:, None] * spread / 2.0)


def test_a_margin_is_paid_on_what_is_sent_and_on_what_is_received(system):
    episode = sample_episode(system, "train", 0)
    compiled, numbers = known_model(system, episode)
    margin = np.arange(96.0).reshape(4, 24)
    dearer = with_margins(compiled, numbers, margin, dt_h=0.5).cost - numbers.cost
    expected = np.zeros_like(dearer)
    for name in ("sent_kw", "received_kw"):
        expected[compiled.columns[name]] = 0.5 * margin
    assert dearer == pytest.approx(expected, abs=1e-12)
