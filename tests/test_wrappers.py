"""Wrappers that take the day's commitments: what is left of an action; plans stay exact."""

import copy
import pickle
import warnings
from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_sb3

from baselines import POLICIES
from mmg_env import CommitmentByPeriod, CommitmentByPolicy, CommunityEnv, load_system, rollout
from mmg_env.errors import InputError
from mmg_env.wrappers import tariff_periods

RECORDS = ("states", "flows", "ledger")
S1_PERIODS = [0] * 7 + [1] * 4 + [2] * 3 + [1] * 4 + [2] * 4 + [0] * 2  # off-peak, normal, peak


def new_env(name="s1_3mg", paths=None, split="test"):
    return CommunityEnv(load_system(name, paths or {}), split=split)


def by_policy(env, name="time_of_use"):
    return CommitmentByPolicy(env, POLICIES[name](env.unwrapped.system))


class Part:
    """A policy for a wrapped env: the entries that are left of what a full policy says."""

    def __init__(self, policy, kept):
        self.policy, self.kept = policy, kept

    def reset(self, rng):
        self.policy.reset(rng)

    def act(self, observation, info):
        return self.policy.act(observation, info)[self.kept]


class Recorder:
    """A planner that remembers what it was asked."""

    def __init__(self, plan):
        self.plan, self.asked, self.draws = plan, [], []

    def reset(self, rng):
        self.asked = []
        self.draws.append(rng.random())

    def act(self, observation, info):
        self.asked.append((observation, info["public"].step))
        return self.plan


def equal(left, right):
    pairs = ((getattr(left, name), getattr(right, name)) for name in RECORDS)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


# --- both -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mmg/S13mg-v1", "mmg/CommunityReal-v1"])
@pytest.mark.parametrize("wrap", [by_policy, CommitmentByPeriod])
def test_wrapped_envs_pass_both_checkers(name, wrap):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*different from the unwrapped version")
        env = wrap(gymnasium.make(name))
        check_env(env)
        check_sb3(env)


@pytest.mark.parametrize("wrap", [by_policy, CommitmentByPeriod])
def test_wrapped_envs_can_be_copied_and_made_again_from_their_spec(wrap):
    env = wrap(gymnasium.make("mmg/S13mg-v1"))
    again = gymnasium.make(env.spec)
    assert again.action_space == env.action_space
    assert type(again).__name__ == type(env).__name__
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (24, *env.action_space.shape))
    env.step(actions[0])
    twins = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    for action in actions[1:]:
        observation, reward, *_ = env.step(action)
        for twin in twins:
            seen, paid, *_ = twin.step(action)
            assert seen.tobytes() == observation.tobytes()
            assert paid == reward


@pytest.mark.parametrize("wrap", [by_policy, CommitmentByPeriod])
def test_wrapped_envs_work_in_a_vector(wrap):
    envs = gymnasium.make_vec(
        "mmg/S13mg-v1", 2, vectorization_mode="sync", wrappers=[wrap], split="test"
    )
    observations, _ = envs.reset(seed=3)
    single = wrap(new_env())
    assert observations[1].tobytes() == single.reset(seed=4)[0].tobytes()
    envs.action_space.seed(0)
    for _ in range(30):
        envs.step(envs.action_space.sample())


@pytest.mark.parametrize("wrap", [by_policy, CommitmentByPeriod])
def test_what_cannot_be_wrapped_is_refused(wrap):
    name = {by_policy: "CommitmentByPolicy", CommitmentByPeriod: "CommitmentByPeriod"}[wrap]
    inner = new_env()
    for wrapped in (by_policy(inner), CommitmentByPeriod(inner)):
        with pytest.raises(InputError) as caught:
            wrap(wrapped)
        assert str(caught.value) == (
            f"{name}: the wrapped action has shape {wrapped.action_space.shape}; "
            "it must be the full action of s1_3mg, (106,)"
        )
    other = gymnasium.make("CartPole-v1")
    build = wrap if wrap is CommitmentByPeriod else partial(CommitmentByPolicy, policy=None)
    with pytest.raises(InputError, match=f"{name}: CartPoleEnv is not a CommunityEnv"):
        build(other)


@pytest.mark.parametrize("wrap", [by_policy, CommitmentByPeriod])
def test_bad_actions_are_refused_by_name(wrap):
    env = wrap(new_env())
    env.reset(seed=0)
    size = env.action_space.shape[0]
    assert len(env.action_names) == size
    with pytest.raises(InputError) as caught:
        env.step(np.zeros(size + 1))
    assert str(caught.value) == (
        f"action: shape ({size + 1},); it must be ({size},), one number per entry"
    )
    wrong = np.zeros(size)
    wrong[4] = np.nan
    with pytest.raises(InputError) as caught:
        env.step(wrong)
    assert str(caught.value) == (
        f"action: entry 4 ({env.action_names[4]}) is nan; every entry must be a finite number"
    )


@pytest.mark.parametrize("wrap", [by_policy, CommitmentByPeriod])
def test_float64_actions_stay_float64(wrap):
    env = wrap(new_env())
    env.reset(seed=0)
    env.step(np.full(env.action_space.shape, 0.1))
    system = env.unwrapped.system
    rating = system.config.members[0].battery.power_kw
    assert env.unwrapped.trajectory.requests[0, 0] == 0.1 * rating


# --- by policy ------------------------------------------------------------------------------------


def test_only_the_wishes_of_the_hour_are_left():
    env = by_policy(new_env("community_real"))
    quantities = {name.partition(".")[2] for name in env.action_names}
    hourly = {"battery_kw", "chp_kw", "flex_kw", "virtual_kw", "pool_kw"}
    assert quantities == hourly | {"regulation_kw", "spinning_kw"}
    assert env.action_names[0] == "village.battery_kw"
    auction = {"pool.price_rule": "auction"}
    hourly_quote = by_policy(new_env("community_real", auction)).action_names
    assert "village.quote_per_kwh" in hourly_quote
    day_ahead = by_policy(new_env("s1_3mg", auction)).action_names
    assert len(day_ahead) == 10
    assert "MG1.quote_per_kwh" not in day_ahead


@pytest.mark.parametrize("name", ["s1_3mg", "community_real"])
@pytest.mark.parametrize("policy", ["self_consumption", "time_of_use"])
def test_a_policy_that_commits_and_then_plays_is_the_policy(name, policy):
    env = new_env(name)
    system = env.system
    whole = rollout(env, POLICIES[policy](system), options={"episode": 2})
    wrapped = by_policy(env, policy)
    player = Part(POLICIES[policy](system), ~env.actions.day_ahead)
    parts = rollout(wrapped, player, options={"episode": 2})
    assert equal(whole, parts)
    first = whole.requests[:: system.steps_per_day]
    assert np.array_equal(first, parts.requests[:: system.steps_per_day])


def test_the_planner_is_asked_at_each_days_first_step_with_what_the_env_showed():
    env = new_env("community_real")
    planner = Recorder(env.actions.encode(np.zeros(env.system.request_size)))
    wrapped = CommitmentByPolicy(env, planner)
    shown = [wrapped.reset(options={"episode": 0})[0]]
    done = False
    while not done:
        observation, *_, done, _ = wrapped.step(np.zeros(wrapped.action_space.shape))
        shown.append(observation)
    assert [step for _, step in planner.asked] == [24 * day for day in range(7)]
    assert all(seen is shown[step] for seen, step in planner.asked)
    with pytest.raises(InputError, match="no episode is in play; call reset first"):
        wrapped.step(np.zeros(wrapped.action_space.shape))
    assert len(planner.asked) == 7


def test_the_planners_commitments_hold_and_its_other_wishes_do_not():
    env = new_env("community_real")
    plan = np.full(len(env.actions.entries), 0.25)
    wrapped = CommitmentByPolicy(env, Recorder(plan))
    wrapped.reset(options={"episode": 0})
    action = np.full(wrapped.action_space.shape, -0.5)
    for _ in range(3):
        wrapped.step(action)
    wanted = env.actions.decode(np.where(env.actions.day_ahead, 0.25, -0.5))
    assert np.array_equal(env.trajectory.requests[0], wanted)
    ahead = env.actions.slots[env.actions.day_ahead]
    wanted[ahead] = 0.0
    assert np.array_equal(env.trajectory.requests[2], wanted)


def test_the_planners_randomness_is_a_function_of_the_episode():
    env = new_env()
    planner = Recorder(np.zeros(len(env.actions.entries)))
    wrapped = CommitmentByPolicy(env, planner)
    for options in ({"episode": 1}, {"episode": 2}, {"episode": 1}):
        wrapped.reset(options=options)
    assert planner.draws[0] == planner.draws[2] != planner.draws[1]


def test_a_refused_action_does_not_ask_the_planner_again():
    env = new_env()
    planner = Recorder(np.zeros(len(env.actions.entries)))
    wrapped = CommitmentByPolicy(env, planner)
    wrapped.reset(seed=0)
    with pytest.raises(InputError):
        wrapped.step(np.full(wrapped.action_space.shape, np.nan))
    wrapped.step(np.zeros(wrapped.action_space.shape))
    assert len(planner.asked) == 1


def test_a_planners_bad_answer_is_refused():
    env = new_env()
    for plan, sentence in (
        (np.zeros(3), r"action: shape \(3,\); it must be \(106,\)"),
        (np.full(106, np.inf), "is inf; every entry must be a finite number"),
    ):
        wrapped = CommitmentByPolicy(env, Recorder(plan))
        with pytest.raises(InputError, match=sentence):
            wrapped.reset(seed=0)
        with pytest.raises(InputError, match="no episode is in play"):
            wrapped.step(np.zeros(wrapped.action_space.shape))


def test_stepping_before_the_first_reset_is_refused():
    wrapped = by_policy(new_env())
    with pytest.raises(InputError, match="no episode is in play; call reset first"):
        wrapped.step(np.zeros(wrapped.action_space.shape))


def test_where_nothing_is_committed_the_planner_is_never_asked():
    env = new_env("community_real", {"day_ahead.grid": False, "ces.rental": False})
    planner = Recorder(None)
    wrapped = CommitmentByPolicy(env, planner)
    assert wrapped.action_names == env.actions.names
    wrapped.reset(seed=0)
    wrapped.step(np.zeros(wrapped.action_space.shape))
    assert planner.asked == []


# --- by period ------------------------------------------------------------------------------------


def test_the_periods_are_those_of_the_tariff():
    assert tariff_periods(new_env().system).tolist() == S1_PERIODS
    real = new_env("community_real").system
    assert tariff_periods(real).tolist() == np.repeat(range(4), 6).tolist()
    flat = {"kind": "flat", "buy_per_kwh": 1.0, "sell_per_kwh": 0.2, "gas_per_m3": 2.5}
    assert not tariff_periods(new_env(paths={"tariff": flat}).system).any()
    quarters = new_env(paths={"dt_h": 0.25}).system
    assert tariff_periods(quarters).tolist() == np.repeat(S1_PERIODS, 4).tolist()


def test_under_a_feed_in_tariff_the_purchase_prices_make_the_periods():
    assert tariff_periods(new_env("s2_crh").system).tolist() == S1_PERIODS


def test_hours_that_differ_in_the_sale_price_only_are_apart():
    sell = [0.1] * 12 + [0.2] * 12
    paths = {"tariff.buy_per_kwh": [0.5] * 24, "tariff.sell_per_kwh": sell}
    assert tariff_periods(new_env(paths=paths).system).tolist() == [0] * 12 + [1] * 12


def test_schedules_are_one_number_per_period_and_rent_stays():
    env = CommitmentByPeriod(new_env())
    assert len(env.action_names) == 10 + 4 * 3
    mine = [name for name in env.action_names if name.startswith("MG1.pool")]
    assert mine == [
        "MG1.pool_plan_kw[0-6,22-23]",
        "MG1.pool_plan_kw[7-10,14-17]",
        "MG1.pool_plan_kw[11-13,18-21]",
    ]
    env = CommitmentByPeriod(new_env("community_real"))
    shared = [name for name in env.action_names if name.startswith("community")]
    blocks = ("0-5", "6-11", "12-17", "18-23")
    assert shared == [f"community.nomination_offset_kw[{hours}]" for hours in blocks]
    assert {"village.rental_kwh", "village.rental_kw"} <= set(env.action_names)
    assert len(env.action_names) == 52 - 20


@pytest.mark.parametrize("name", ["s1_3mg", "community_real"])
def test_a_commitment_that_is_constant_within_the_periods_is_exact(name):
    env = new_env(name, {"day_ahead.pool": True, "day_ahead.grid": True, "ces.pool_in": False})
    system = env.system
    rng = np.random.default_rng(0)
    wrapped = CommitmentByPeriod(env)
    short = rng.uniform(-1.0, 1.0, (system.episode_steps, *wrapped.action_space.shape))
    full = full_actions(env, wrapped, short)
    rewards = [[], []]
    records = []
    for k, (target, actions) in enumerate(((wrapped, short), (env, full))):
        target.reset(options={"episode": 1})
        rewards[k] = [target.step(action)[1] for action in actions]
        records.append(env.trajectory)
    assert rewards[0] == rewards[1]
    assert equal(*records)
    assert np.array_equal(records[0].requests, records[1].requests)


def full_actions(env, wrapped, short):
    """Return full actions: each entry takes the number of its name, or of its hours."""
    periods = tariff_periods(env.system)
    number = {}
    for k, name in enumerate(wrapped.action_names):
        stem, _, hours = name.rstrip("]").partition("[")
        if not hours:
            number[name] = k
            continue
        for run in hours.split(","):
            first, _, last = run.partition("-")
            for h in range(int(first), int(last or first) + 1):
                assert periods[h] == periods[int(hours.partition("-")[0].partition(",")[0])]
                number[f"{stem}[{h}]"] = k
    return short[:, [number[name] for name in env.actions.names]]


def test_without_schedules_the_action_is_the_full_one():
    env = new_env("community_real", {"day_ahead.grid": False})
    assert CommitmentByPeriod(env).action_names == env.actions.names


def test_a_rollout_works_through_the_wrapper():
    env = CommitmentByPeriod(gymnasium.make("mmg/CommunityReal-v1", split="test"))

    class Still:
        def reset(self, rng):
            pass

        def act(self, observation, info):  # noqa: ARG002
            return np.zeros(env.action_space.shape)

    trajectory = rollout(env, Still(), seed=0)
    assert np.isfinite(trajectory.cost)
