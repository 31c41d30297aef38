"""The environment: registered ids, reset, step, info, and that nothing returned changes later."""

import copy
import math
import pickle
import warnings
from functools import cache

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_sb3
from strategies import make_case, make_episode, make_system

from mmg_env import CommunityEnv, environment_id, nominal_episode, rollout, sample_episode
from mmg_env.config_file import suite_names
from mmg_env.errors import InputError
from mmg_env.kernel import real_cost
from mmg_env.layout import REAL_COSTS, F, L
from mmg_env.system import load_system

IDS = ("mmg/Community-v0", *(environment_id(suite) for suite in suite_names()))
KEYS = {"public", "label", "ledger", "flows", "projection", "constraints"}
STEPS = 24


@cache
def shipped(name):
    return load_system(name)


def new_env(split="test", **fields):
    return CommunityEnv(shipped("s1_3mg"), split=split, **fields)


def draw(env, seed=0, steps=STEPS):
    """Return random actions, float64 and well inside the space."""
    shape = (steps, *env.action_space.shape)
    return np.random.default_rng(seed).uniform(-1.0, 1.0, shape)


def play(env, actions):
    return [env.step(action) for action in actions]


def same(left, right):
    """Return whether two infos or parts of them say the same, bit by bit."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, np.ndarray):
        return left.tobytes() == right.tobytes()
    return left == right


def same_steps(left, right):
    pairs = zip(left, right, strict=True)
    return all(
        a[0].tobytes() == b[0].tobytes() and a[1:4] == b[1:4] and same(a[4], b[4]) for a, b in pairs
    )


# --- registered ids -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IDS)
def test_every_id_works_without_arguments_and_passes_both_checkers(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(name)
        check_env(env.unwrapped)
        check_sb3(env)
        rendered = gymnasium.make(name, render_mode="rgb_array")
        rendered.reset(seed=0)
        rendered.step(rendered.action_space.sample())
        picture = rendered.render()
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3


# In `tiny` nothing is known before the first hour: every episode begins in the middle states.
@pytest.mark.parametrize("name", [name for name in IDS if not name.startswith("mmg/Tiny")])
def test_the_first_observation_depends_on_the_seed(name):
    env = gymnasium.make(name)
    first = [env.reset(seed=seed)[0] for seed in range(6)]
    assert len({observation.tobytes() for observation in first}) == 6
    assert env.reset(seed=0)[0].tobytes() == first[0].tobytes()


def test_there_is_an_id_for_every_suite():
    registered = {name for name in gymnasium.registry if name.startswith("mmg/")}
    assert registered == set(IDS)
    assert gymnasium.make("mmg/S13mg-v1").unwrapped.system.name == "s1_3mg"


def test_a_vector_of_envs_gives_each_its_own_seed():
    envs = gymnasium.make_vec("mmg/S13mg-v1", 3, vectorization_mode="sync", split="test")
    observations, _ = envs.reset(seed=5)
    env = new_env()
    for k in range(3):
        assert observations[k].tobytes() == env.reset(seed=5 + k)[0].tobytes()
    envs.action_space.seed(0)
    for t in range(STEPS + 1):
        action = envs.action_space.sample()
        observations, rewards, _, truncated, infos = envs.step(action)
        observation, reward, *_, info = env.step(action[2]) if t < STEPS else (*env.reset(), {})
        assert observations[2].tobytes() == observation.tobytes()
        if t < STEPS:
            assert rewards[2] == reward
            assert infos["ledger"]["gas"][2].tobytes() == info["ledger"]["gas"].tobytes()
        assert truncated.all() == (t == STEPS - 1)
    envs.close()


# --- reset ----------------------------------------------------------------------------------------


def label(env, **kwargs):
    return env.reset(**kwargs)[1]["label"]


def test_an_episode_can_be_asked_for_by_number():
    env = new_env()
    assert label(env, options={"episode": 5}) == ("s1_3mg", "test", 5)
    assert label(env, seed=3, options={"episode": np.int64(7)}) == ("s1_3mg", "test", 7)
    wanted = sample_episode(env.system, "test", 7)
    for name in ("values", "center", "scale", "errors"):
        assert getattr(env.episode, name).tobytes() == getattr(wanted, name).tobytes()


def test_the_nominal_day_and_an_own_episode_can_be_asked_for():
    env = new_env()
    env.reset(options={"episode": "nominal"})
    assert env.episode.values.tobytes() == nominal_episode(env.system).values.tobytes()
    own = sample_episode(env.system, "val", 2)
    env.reset(options={"episode": own})
    assert env.episode is own
    with pytest.raises(InputError, match="has no nominal day"):
        CommunityEnv(shipped("community_real")).reset(options={"episode": "nominal"})


def test_the_episode_is_a_function_of_seed_and_number_of_resets():
    env, other = new_env(), new_env()
    first = [label(env, seed=3), label(env), label(env)]
    assert len(set(first)) == 3
    env.step(np.zeros(env.action_space.shape))
    assert [label(env, seed=3), label(env), label(env)] == first
    assert [label(other, seed=3), label(other), label(other)] == first
    assert label(other, seed=4) != first[0]


def test_without_a_seed_two_envs_go_their_own_ways():
    assert label(new_env("train")) != label(new_env("train"))


def test_numbers_stay_within_their_split():
    env = CommunityEnv(shipped("s1_3mg"), split="val")
    drawn = {label(env, seed=seed)[2] for seed in range(300)}
    assert drawn <= set(range(env.system.config.splits.val))
    assert len(drawn) > 0.9 * env.system.config.splits.val
    assert label(new_env("train"), seed=0)[2] > 2**40  # unbounded


def test_a_reset_leaves_nothing_behind():
    env, fresh = new_env(), new_env()
    env.reset(seed=0)
    play(env, draw(env, 1, 15))
    actions = draw(env, 2)
    first, again = (e.reset(options={"episode": 4})[0] for e in (env, fresh))
    assert first.tobytes() == again.tobytes()
    assert same_steps(play(env, actions), play(fresh, actions))


def test_a_refused_reset_leaves_the_episode_in_play():
    env, fresh = new_env(), new_env()
    for e in (env, fresh):
        e.reset(options={"episode": 1})
    with pytest.raises(InputError):
        env.reset(options={"episode": -1})
    actions = draw(env)
    assert same_steps(play(env, actions), play(fresh, actions))


# --- step -----------------------------------------------------------------------------------------


def test_an_episode_is_truncated_at_its_end_and_never_terminated():
    env = new_env()
    env.reset(seed=0)
    flags = [step[2:4] for step in play(env, draw(env))]
    assert flags == [(False, False)] * (STEPS - 1) + [(False, True)]
    with pytest.raises(InputError, match="no episode is in play; call reset first"):
        env.step(np.zeros(env.action_space.shape))
    env.reset()
    env.step(np.zeros(env.action_space.shape))


@pytest.mark.parametrize("seed", range(6))
def test_the_reward_is_minus_the_real_costs_as_the_kernel_adds_them(seed):
    case = make_case(seed)
    env = CommunityEnv(case.system)
    env.reset(options={"episode": case.episode})
    for _, reward, *_, info in play(env, draw(env, seed, case.episode.steps)):
        ledger = np.stack([info["ledger"][term] for term in L.names()], axis=1)
        assert type(reward) is float
        assert reward == -real_cost(ledger) * case.system.config.reward_scale
        terms = [info["ledger"][term][p] for p in range(len(ledger)) for term in REAL_COSTS]
        size = math.fsum(abs(x) for x in terms)
        paid = -reward / case.system.config.reward_scale
        assert paid == pytest.approx(math.fsum(terms), abs=1e-13 * size)


def test_float64_actions_are_computed_in_float64():
    env = new_env()
    env.reset(seed=0)
    actions = draw(env)
    play(env, actions)
    wanted = np.array([env.actions.decode(action) for action in actions])
    ahead = env.actions.slots[env.actions.day_ahead]
    wanted[1:, ahead] = 0.0  # commitments are taken in at a day's first step only
    requests = env.trajectory.requests
    assert requests.tobytes() == wanted.tobytes()
    env.reset(seed=0)
    play(env, actions.astype(np.float32))
    assert np.abs(env.trajectory.requests - requests).max() > 0.0
    assert env.trajectory.requests == pytest.approx(requests, rel=1e-6, abs=1e-3)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble, ">f8", int])
def test_any_kind_of_number_and_layout_is_taken(kind):
    env = new_env()
    env.reset(seed=0)
    whole = np.ones(env.action_space.shape)
    wanted = env.step(whole)[1]
    wide = np.ones((len(whole), 2), dtype=kind)
    for action in (whole.astype(kind), wide[:, 0], whole.astype(kind).tolist()):
        env.reset(seed=0)
        assert env.step(action)[1] == wanted


@pytest.mark.parametrize("seed", range(12))
def test_values_outside_the_space_are_clipped_and_count_as_projection(seed):
    case = make_case(seed)
    env, clipped = CommunityEnv(case.system), CommunityEnv(case.system)
    for e in (env, clipped):
        e.reset(options={"episode": case.episode})
    moved = [c for c in F if c.name.startswith("projected_")]
    rest = [c for c in F if c not in moved]
    rng = np.random.default_rng(seed)
    for _ in range(case.episode.steps):
        action = rng.normal(0.0, 3.0, env.action_space.shape)
        *_, far = env.step(action)
        *_, near = clipped.step(np.clip(action, -1.0, 1.0))
        for c in rest:
            assert same(far["flows"][c.name], near["flows"][c.name]), c.name
        assert same(far["ledger"], near["ledger"])
        assert far["constraints"]["projection_kw"] >= near["constraints"]["projection_kw"]
    assert env.trajectory.states.tobytes() == clipped.trajectory.states.tobytes()


def test_the_distance_of_a_clipped_entry_is_in_kw():
    env = new_env()
    env.reset(seed=0)
    action = env.actions.encode(np.zeros(env.system.request_size))
    entry = env.actions.names.index("MG1.battery_kw")
    action[entry] = 1.5
    moved = env.step(action)[4]["projection"]
    rating = env.system.config.members[0].battery.power_kw
    assert moved["projected_battery_kw"][0] == pytest.approx(0.5 * rating)
    assert sum(v.sum() for v in moved.values()) == pytest.approx(0.5 * rating)


# --- bad input ------------------------------------------------------------------------------------


def test_an_action_of_a_wrong_shape_is_refused():
    env = new_env()
    env.reset(seed=0)
    size = env.action_space.shape[0]
    for wrong in (np.zeros(3), np.zeros(size + 1, np.float32), np.zeros((1, size)), 0.0):
        with pytest.raises(InputError) as caught:
            env.step(wrong)
        assert str(caught.value) == (
            f"action: shape {np.shape(wrong)}; it must be ({size},), one number per entry of s1_3mg"
        )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_an_action_that_is_not_finite_is_refused_and_the_step_can_be_taken_again(value, kind):
    env, fresh = new_env(), new_env()
    for e in (env, fresh):
        e.reset(seed=0)
    actions = draw(env).astype(kind)
    wrong = actions[0].copy()
    wrong[1] = value
    with pytest.raises(InputError) as caught:
        env.step(wrong)
    assert str(caught.value) == (
        f"action: entry 1 ({env.actions.names[1]}) is {value}; every entry must be a finite number"
    )
    assert same_steps(play(env, actions), play(fresh, actions))
    assert env.trajectory.requests.tobytes() == fresh.trajectory.requests.tobytes()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"episod": 3}, "reset options: 'episod' is unknown; known: 'episode'"),
        ({"episode": 128}, "episode: 128 is not in split test of s1_3mg; allowed: 0..127"),
        ({"episode": -1}, "episode: -1 is not in split test of s1_3mg; allowed: 0..127"),
    ],
)
def test_an_unknown_reset_option_or_episode_is_refused(options, sentence):
    with pytest.raises(InputError) as caught:
        new_env().reset(options=options)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("asked", ["nominl", 2.7, True, [1]])
def test_an_episode_that_is_no_number_is_refused(asked):
    with pytest.raises(InputError, match="episode") as caught:
        new_env().reset(options={"episode": asked})
    assert repr(asked) in str(caught.value)


def test_an_episode_of_another_system_is_refused():
    other = sample_episode(shipped("community_real"), "test", 0)
    with pytest.raises(InputError, match="episode"):
        new_env().reset(options={"episode": other})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"split": "tests"}, "split: 'tests' is not one of train, val, test, shift"),
        ({"render_mode": "human"}, "render_mode: 'human' is not one of ansi, rgb_array"),
        ({"system": "s1_4gm"}, 'no system or suite "s1_4gm"'),
    ],
)
def test_an_unknown_system_split_or_render_mode_is_refused(fields, sentence):
    with pytest.raises(InputError) as caught:
        CommunityEnv(**{"system": shipped("s1_3mg"), **fields})
    assert str(caught.value).startswith(sentence)


def test_a_system_without_a_source_plays_only_the_episodes_it_is_given():
    system = make_system(0)
    env = CommunityEnv(system)
    with pytest.raises(InputError, match="it has no `source`"):
        env.reset(seed=0)
    env.reset(options={"episode": make_episode(system, 0)})


def test_nothing_can_be_asked_of_an_env_before_its_first_reset():
    env = new_env()
    for ask in (lambda: env.step(draw(env)[0]), lambda: env.episode, lambda: env.trajectory):
        with pytest.raises(InputError, match="no episode is in play; call reset first"):
            ask()


# --- info -----------------------------------------------------------------------------------------


def test_info_says_everything_about_the_step_and_nothing_before_it_is_asked():
    env = new_env()
    _, info = env.reset(options={"episode": 2})
    assert set(info) == {"public", "label"}
    assert "ledger" not in info
    assert info.get("ledger", 7) == 7
    with pytest.raises(KeyError):
        info["ledger"]
    *_, info = env.step(draw(env)[0])
    assert dict.__len__(info) == 0
    assert "ledger" in info
    assert info["label"] == ("s1_3mg", "test", 2)
    assert dict.__len__(info) == 1
    assert set(info.keys()) == set(dict(info.items())) == set({**info}) == KEYS
    with pytest.raises(KeyError):
        info["price"]
    assert tuple(info["ledger"]) == L.names()
    assert tuple(info["flows"]) == F.names()
    assert info["public"] is info["public"]
    assert info["public"].step == 1


def test_the_safety_channel_adds_up_the_flows():
    case = make_case(11)
    env = CommunityEnv(case.system)
    env.reset(options={"episode": case.episode})
    for *_, info in play(env, draw(env, 0, case.episode.steps)):
        flows, limits = info["flows"], info["constraints"]
        for kind in ("unserved", "unserved_heat", "spill"):
            power = flows[f"{kind}_kw"].sum()
            assert limits[f"{kind}_kwh"] == pytest.approx(power * case.system.dt_h)
        moved = {name: v for name, v in flows.items() if name.startswith("projected_")}
        powers = [v.sum() for name, v in moved.items() if name.endswith("_kw")]
        assert limits["projection_kw"] == pytest.approx(sum(powers))
        assert same(info["projection"], moved)


@pytest.mark.parametrize("looked_at", [True, False])
def test_info_can_be_copied_and_compared_like_a_dict(looked_at):
    env = new_env()
    env.reset(seed=0)
    (*_, first), (*_, second) = play(env, draw(env, 0, 2))
    if looked_at:
        assert set(first) == set(second) == KEYS
    assert first != second
    for copied in (first.copy(), copy.copy(first), first | {}, {} | first):
        assert set(copied) >= KEYS - {"public"}
        assert same(copied["ledger"], first["ledger"])
    assert "ledger" in repr(first)
    assert first.pop("public").step == 1
    first["episode"] = {"r": 0.0}
    assert first["episode"] == {"r": 0.0}


def test_info_is_pickled_as_a_plain_dict_without_public():
    env = new_env()
    env.reset(seed=0)
    *_, info = env.step(draw(env)[0])
    again = pickle.loads(pickle.dumps(info))
    assert type(again) is dict
    assert set(again) == KEYS - {"public"}
    assert all(same(again[key], info[key]) for key in again)
    for again in (copy.copy(info), copy.deepcopy(info)):
        assert type(again) is dict
        assert set(again) == KEYS
        assert again["public"] == info["public"]


def test_public_info_is_pickled_with_the_past_only():
    env = new_env()
    env.reset(seed=0)
    *_, info = env.step(draw(env)[0])
    again = pickle.loads(pickle.dumps(info["public"]))
    assert again == info["public"]
    assert len(again.history.values) == 1
    assert not again.state.row.flags.writeable


# --- nothing returned changes later ---------------------------------------------------------------


def numbers(part):
    """Yield every array in an info, and the arrays that `public` shows."""
    if isinstance(part, dict):
        for value in part.values():
            yield from numbers(value)
    elif isinstance(part, np.ndarray):
        yield part
    elif hasattr(part, "forecast"):
        yield from (part.state.row, part.state.energy_kwh, part.forecast.values)
        yield from (part.forecast.scale, part.history.values, part.history.errors)


def test_what_was_returned_is_never_refilled():
    env = new_env()
    observation, info = env.reset(seed=0)
    kept = [observation, *numbers(dict(info))]
    copies = [array.copy() for array in kept]
    late = [observation_info(env, action) for action in draw(env)]
    for array in (array for seen, info in late for array in (seen, *numbers(dict(info)))):
        kept.append(array)
        copies.append(array.copy())
    env.reset()
    play(env, draw(env, 1))
    assert len(kept) > 1000
    for array, before in zip(kept, copies, strict=True):
        assert array.tobytes() == before.tobytes()


def observation_info(env, action):
    observation, *_, info = env.step(action)
    return observation, info


def test_info_says_the_same_whether_it_is_looked_at_now_or_after_the_next_episode():
    eager, lazy = new_env(), new_env()
    for env in (eager, lazy):
        env.reset(seed=0)
    actions = draw(eager)
    now = []
    for action in actions:
        *_, info = eager.step(action)
        now.append((dict(info), [array.copy() for array in numbers(dict(info))]))
    later = [step[4] for step in play(lazy, actions)]
    lazy.reset()
    play(lazy, draw(lazy, 1))
    for (seen, arrays), info in zip(now, later, strict=True):
        assert same(seen, dict(info))
        for array, looked_at_later in zip(arrays, numbers(dict(info)), strict=True):
            assert array.tobytes() == looked_at_later.tobytes()


def test_what_info_shows_cannot_be_written():
    env = new_env()
    env.reset(seed=0)
    *_, info = env.step(draw(env)[0])
    public = info["public"]
    shown = (info["ledger"]["gas"], info["flows"]["chp_kw"], public.state.row)
    for array in (*shown, public.forecast.values, public.history.values, env.trajectory.states):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0


def test_a_trajectory_taken_in_mid_episode_is_not_refilled():
    env = new_env()
    env.reset(seed=0)
    actions = draw(env)
    play(env, actions[:5])
    taken = env.trajectory
    before = taken.states.copy(), taken.flows.copy(), taken.ledger.copy(), taken.requests.copy()
    play(env, actions[5:])
    after = taken.states, taken.flows, taken.ledger, taken.requests
    for a, b in zip(before, after, strict=True):
        assert np.array_equal(a, b, equal_nan=True)


# --- several envs ---------------------------------------------------------------------------------


def test_two_envs_in_one_process_do_not_meet():
    alone = new_env()
    alone.reset(options={"episode": 1})
    actions = draw(alone)
    wanted = play(alone, actions)
    env, other = new_env(), new_env()
    env.reset(options={"episode": 1})
    other.reset(options={"episode": 2})
    steps = []
    for action, noise in zip(actions, draw(env, 9), strict=True):
        steps.append(env.step(action))
        other.step(noise)
    assert same_steps(steps, wanted)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("played", [0, 7])
def test_a_copied_env_goes_on_alike_and_alone(copied, played):
    env = new_env()
    assert copied(env).action_space == env.action_space
    env.reset(seed=0)
    actions = draw(env)
    play(env, actions[:played])
    twin, stray = copied(env), copied(env)
    play(stray, draw(env, 5, STEPS - played))
    assert same_steps(play(twin, actions[played:]), play(env, actions[played:]))
    for name in ("requests", "states", "flows", "ledger"):
        recorded = getattr(twin.trajectory, name)
        assert recorded.tobytes() == getattr(env.trajectory, name).tobytes()
        assert recorded.tobytes() != getattr(stray.trajectory, name).tobytes()
    assert label(twin) == label(env)


def test_a_rollout_is_the_same_in_a_copied_env():
    env = new_env()
    env.reset(seed=0)
    twin = copy.deepcopy(env)
    policy = Still(env)
    runs = [rollout(e, policy, options={"episode": 3}) for e in (env, twin)]
    assert runs[0].ledger.tobytes() == runs[1].ledger.tobytes()


class Still:
    """A policy that asks for nothing."""

    def __init__(self, env):
        self.vector = env.actions.encode(np.zeros(env.system.request_size))

    def reset(self, rng):
        pass

    def act(self, observation, info):  # noqa: ARG002
        return self.vector
