"""Rules: what they ask for can be done, and doing it is worth it."""

import dataclasses
from functools import cache

import numpy as np
import pytest
import random_systems
from strategies import make_case

from baselines import POLICIES
from baselines.rule_hours import cover_own_need, follow_prices, plan_hour
from baselines.rule_practice import Practice, Prospect
from baselines.rules import Idle, Random, RulePolicy
from mmg_env import CommunityEnv, load_system, rollout
from mmg_env.actions import Action, ActionCodec
from mmg_env.config_rules import Thresholds
from mmg_env.layout import A, F, L, P, X

RULES = {"self_consumption": cover_own_need, "time_of_use": follow_prices}
EPISODES = range(5)


@cache
def env_of(name):
    return CommunityEnv(load_system(name), split="test")


@cache
def played(name, policy, index):
    env = env_of(name)
    factory = {"idle": Idle, "random": Random}.get(policy)
    player = factory(env.system) if factory else RulePolicy(env.system, RULES[policy])
    return rollout(env, player, options={"episode": index})


def moved(run):
    """Return the distance of all projections over an episode."""
    return run.flows[:, :, [c for c in F if c.name.startswith("projected_")]].sum()


@pytest.mark.parametrize("name", ["s1_3mg", "community_real"])
def test_idle_moves_nothing_and_sheds_nothing_but_heat_above_the_boilers(name):
    env = env_of(name)
    members = len(env.system.members)
    boiler = env.system.column(P.boiler_kw)[:members]
    for index in range(20):
        run = played(name, "idle", index)
        assert not run.requests.any()
        assert moved(run) == 0.0
        for column in (F.unserved_kw, F.spill_kw, F.battery_kw, F.chp_kw, F.received_kw):
            assert not run.flow(column).any(), column.name
        cold = np.maximum(run.episode.heat_kw - boiler, 0.0)
        assert run.flow(F.unserved_heat_kw)[:, :members] == pytest.approx(cold)
        assert name == "s1_3mg" or not cold.any()


@pytest.mark.parametrize("name", ["s1_3mg", "community_real"])
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_sheds_nothing_and_asks_for_what_can_be_done(name, rule):
    for index in EPISODES:
        run = played(name, rule, index)
        assert not run.flow(F.unserved_kw).any()
        assert not run.flow(F.unserved_heat_kw).any()
        assert moved(run) <= 1e-6


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["s1_3mg", "community_real"])
def test_a_rule_is_better_than_doing_nothing_in_every_episode(name, rule):
    for index in EPISODES:
        assert played(name, rule, index).cost < 0.95 * played(name, "idle", index).cost


def test_drawing_at_random_is_worse_than_doing_nothing():
    for index in EPISODES:
        idle = played("community_real", "idle", index).cost
        assert played("community_real", "random", index).cost > idle


def test_random_fills_its_space_and_starts_anew_with_its_generator():
    env = env_of("s1_3mg")
    policy = Random(env.system)
    drawn = []
    for seed in (0, 0, 1):
        policy.reset(np.random.default_rng(seed))
        drawn.append(np.array([policy.act(None, {}) for _ in range(200)]))
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert drawn[0].min() >= -1.0
    assert drawn[0].max() <= 1.0
    assert np.abs(drawn[0].mean(axis=0)).max() < 0.2
    assert (drawn[0].std(axis=0) > 0.5).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(20))
def test_a_rule_plays_any_system(seed, rule):
    system, episode, _ = make_case(seed)
    play_any(system, episode, rule)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(10))
def test_a_rule_plays_any_system_of_the_optimisers(seed, rule):
    system = random_systems.random_system(seed)
    play_any(system, random_systems.random_episode(system, seed), rule)


def play_any(system, episode, rule):
    """Play a rule; batteries must be asked for what they can do, and the pool for its links."""
    run = rollout(
        CommunityEnv(system), RulePolicy(system, RULES[rule]), options={"episode": episode}
    )
    assert np.isfinite(run.requests).all()
    assert np.isfinite(run.ledger).all()
    wishes = run.requests[:, : len(system.participants) * len(A)]
    wishes = wishes.reshape(episode.steps, -1, len(A))
    rating, link = system.column(P.battery_kw), system.column(P.link_kw)
    assert (np.abs(wishes[:, :, A.battery_kw]) <= rating * (1 + 1e-9)).all()
    assert (np.abs(wishes[:, :, A.pool_kw]) <= link * (1 + 1e-9)).all()


# --- what each rule stands for --------------------------------------------------------------------


def small_hour(surplus, buy=1.0):
    """Return (env, info) of the first hour of a quiet day of s1_3mg with a surplus everywhere."""
    env = env_of("s1_3mg")
    env.reset(options={"episode": "nominal"})
    episode = env.episode
    members = episode.member_count
    center = np.array(episode.center)
    center[:, : 2 * members] = 0.0
    center[:, :members] = 300.0
    center[:, 2 * members : 3 * members] = 300.0 - np.asarray(surplus)
    center[:, 3 * members : 4 * members] = 0.0
    first = 4 * members
    center[:, first + X.price_buy] = np.resize(buy, len(center))
    sell = np.minimum(center[:, first + X.price_sell], center[:, first + X.price_buy])
    center[:, first + X.price_sell] = sell
    center[:, first + X.ces_buy] = center[:, first + X.price_buy]
    center[:, first + X.ces_sell] = sell
    own = dataclasses.replace(
        episode, center=center, values=center[:24].copy(), errors=np.zeros_like(episode.errors)
    )
    return env, env.reset(options={"episode": own})[1]


def battery_wishes(rule, **hour):
    env, info = small_hour(**hour)
    vector = RulePolicy(env.system, RULES[rule]).act(None, info)
    return env.actions.action(vector)[A.battery_kw]


def test_self_consumption_stores_surplus_and_covers_need():
    stored = battery_wishes("self_consumption", surplus=100.0)
    assert stored == pytest.approx([-100.0, -100.0, -100.0, 0.0])
    used = battery_wishes("self_consumption", surplus=-100.0)
    assert used == pytest.approx([100.0, 100.0, 100.0, 0.0])
    shared = battery_wishes("self_consumption", surplus=-400.0)
    assert shared == pytest.approx([250.0, 250.0, 200.0, 500.0])


def test_time_of_use_waits_for_dear_hours_and_buys_in_cheap_ones():
    day = [0.4] * 8 + [0.8] * 8 + [1.2] * 8
    dear, middle, cheap = (np.roll(day, shift) for shift in (8, 16, 0))
    assert battery_wishes("time_of_use", surplus=-400.0, buy=dear)[0] == pytest.approx(250.0)
    assert not battery_wishes("time_of_use", surplus=-400.0, buy=middle).any()
    # Buying may not raise the import peak that the day's own need makes.
    peak = np.zeros((72, 3))
    peak[12] = -600.0
    bought = battery_wishes("time_of_use", surplus=peak, buy=cheap)
    assert bought[:3] == pytest.approx([-250.0, -250.0, -200.0])
    assert bought[3] < 0.0
    stored = battery_wishes("time_of_use", surplus=100.0, buy=middle)
    assert stored[:3] == pytest.approx([-100.0] * 3)


def live(policy, system, index=0):
    return rollout(CommunityEnv(system, split="val"), policy, options={"episode": index})


def thresholds_of(**changes):
    return Thresholds.model_validate(changes)


def test_default_thresholds_are_those_of_the_untuned_rules():
    system = load_system("community_real", {"episode_h": 24})
    for name, rule in (("self_consumption", cover_own_need), ("time_of_use", follow_prices)):
        untuned = live(POLICIES[name](system), system)
        same = live(RulePolicy(system, rule, Thresholds()), system)
        np.testing.assert_array_equal(untuned.ledger, same.ledger)


def test_a_reserve_is_kept():
    system = load_system("tiny")
    kept = live(RulePolicy(system, cover_own_need, thresholds_of(reserve=0.4)), system)
    assert kept.energy_kwh.min() >= 0.4 * 40 - 1e-9
    spent = live(RulePolicy(system, cover_own_need), system)
    assert spent.energy_kwh.min() < 0.4 * 40


def test_above_the_level_batteries_shave_whatever_the_price():
    """In the hour of the highest need, at a level of half of it, with full batteries."""
    system = load_system("community_real", {"episode_h": 24})
    public = CommunityEnv(system, split="val").reset(options={"episode": 0})[1]["public"]
    forecast = public.forecast
    net = (forecast.load_kw - forecast.wind_kw - forecast.pv_kw)[:24, 0]
    lead, half = int(np.argmax(net)), 0.5 * net.max()
    full = system.column(P.soc_max) * system.column(P.capacity_kwh)
    powers = []
    for level in (1.0, 0.5):
        # Prices never count as dear, so nothing but the level makes a battery serve.
        thresholds = thresholds_of(level=level, cheap=0.0, dear=1.0, margin=0.0, reserve=0.5)
        practice = Practice(system, thresholds)
        prospect = Prospect(practice, forecast, np.zeros(5))
        hour = plan_hour(practice, prospect, follow_prices, full, np.zeros(5), lead)
        powers.append(hour.battery_kw[0])
    assert powers[0] <= 0.0
    assert powers[1] == pytest.approx(min(net.max() - half, system.column(P.battery_kw)[0]))


def test_a_bias_moves_the_nomination_and_nothing_else_of_the_hour():
    system = load_system("community_real", {"episode_h": 24})
    public = CommunityEnv(system, split="val").reset(options={"episode": 0})[1]["public"]
    codec = ActionCodec(system)
    actions = [
        Action.from_request(
            system,
            codec.decode(RulePolicy(system, cover_own_need, t).act(None, {"public": public})),
        )
        for t in (Thresholds(), thresholds_of(nomination_bias=0.05))
    ]
    np.testing.assert_array_equal(actions[0].wishes, actions[1].wishes)
    load = public.forecast.load_kw[:24].sum(axis=1)
    moved = actions[1].nomination_offset_kw - actions[0].nomination_offset_kw
    assert moved == pytest.approx(0.05 * load, rel=1e-4)


def test_reserve_power_is_offered_within_the_headroom():
    system = load_system("community_real", {"episode_h": 24})
    offering = thresholds_of(offer=1.0)
    record = live(RulePolicy(system, cover_own_need, offering), system)
    assert record.flow(F.regulation_kw)[:, -1].max() > 0.0
    assert record.account(L.reserve_revenue).sum() < 0.0
    plain = live(RulePolicy(system, cover_own_need), system)
    assert plain.account(L.reserve_revenue).sum() == 0.0


def test_an_offer_needs_no_energy_below_the_reserve():
    system = load_system("community_real", {"episode_h": 24})
    earned = [
        live(RulePolicy(system, cover_own_need, thresholds_of(offer=1.0, reserve=r)), system)
        .account(L.reserve_revenue)
        .sum()
        for r in (0.0, 1.0)
    ]
    assert earned[1] < earned[0] < 0.0


def test_a_reserve_lasts_above_a_third_of_a_storage_with_little_power():
    """The rating bounds what is left above the reserve, not what it is taken from."""
    battery = {"capacity_kwh": 100.0, "power_kw": 10.0}
    system = load_system("tiny", {f"members[0].battery.{k}": v for k, v in battery.items()})
    spent = live(RulePolicy(system, cover_own_need, thresholds_of(reserve=0.3)), system)
    least = 0.3 * 100.0
    assert spent.energy_kwh.min() == pytest.approx(least, abs=1e-6)


def test_a_fill_bounds_what_is_bought_and_not_what_is_left_over():
    system = load_system("tiny")
    cheap = thresholds_of(fill=0.7, margin=0.0)
    bought = live(RulePolicy(system, follow_prices, cheap), system)
    assert 20.0 < bought.energy_kwh.max() <= 0.7 * 40 + 1e-9
    more = live(RulePolicy(system, follow_prices, thresholds_of(margin=0.0)), system)
    assert more.energy_kwh.max() > bought.energy_kwh.max()
    stored = battery_wishes("time_of_use", surplus=100.0, buy=[0.8] * 8 + [0.4] * 8 + [1.2] * 8)
    assert stored[:3] == pytest.approx([-100.0] * 3)


def test_a_unit_runs_for_its_power_where_that_pays():
    system = load_system("community_real", {"episode_h": 24})
    works = 2
    share = []
    for chp_power in (0.0, 1.0, 1e3):
        run = live(RulePolicy(system, cover_own_need, thresholds_of(chp_power=chp_power)), system)
        share.append(run.flow(F.chp_kw)[:, works].mean() / 600.0)
    assert share[0] <= share[1] <= share[2]
    assert share[0] < share[2] > 0.9


def test_what_is_kept_serves_when_the_grid_fails():
    system = load_system("resilience", {"source.outage_start_per_h": 0.2})
    shed = []
    for reserve in (0.0, 0.8):
        wait = thresholds_of(reserve=reserve, cheap=0.0, dear=1.0, margin=0.0)
        run = live(RulePolicy(system, follow_prices, wait), system)
        assert (run.episode.grid_up == 0.0).any()
        shed.append(run.flow(F.unserved_kw).sum())
    assert shed[1] < shed[0]
