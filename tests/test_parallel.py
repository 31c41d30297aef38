"""The parallel environment: PettingZoo's conventions, equality with CommunityEnv, privacy."""

import copy
import dataclasses
import importlib
import pickle
import re
import sys
import warnings
from functools import cache

import numpy as np
import pytest
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test
from pettingzoo.utils.conversions import parallel_to_aec
from strategies import make_case
from test_imports import loaded

import mmg_env
from mmg_env import CommunityEnv, CommunityParallelEnv, InputError, sample_episode
from mmg_env.config_file import suite_names
from mmg_env.layout import F, L, X
from mmg_env.system import build_system, load_system

AFTER_STEP = {"ledger", "flows", "projection", "constraints"}
RECORDS = ("requests", "states", "flows", "ledger")
RULES = ("mid_market", "sdr", "posted", "auction", "none")


@cache
def shipped(name, **overrides):
    changed = {path.replace("__", "."): value for path, value in overrides.items()}
    return load_system(name, changed)


def new_env(name="s1_3mg", split="test", **fields):
    return CommunityParallelEnv(shipped(name), split, **fields)


def apart(env, joint):
    """Return a community's action as its agents' actions."""
    return {name: joint[part.decides] for name, part in env.parts.items()}


def draw(env, seed=0, steps=24, spread=1.0):
    """Return random actions of a community; what no agent decides is 0."""
    size = len(env.community.actions.entries)
    actions = np.random.default_rng([seed, 5]).uniform(-spread, spread, (steps, size))
    decided = np.concatenate([part.decides for part in env.parts.values()])
    actions[:, np.setdiff1d(np.arange(size), decided)] = 0.0
    return actions


def owner(name):
    """Return whose an entry or feature is, by its name; None where it is shared."""
    words = re.sub(r"^(last_hour|forecast\[\d+\])\.", "", name).split(".")
    return words[0] if len(words) == 2 else None


def same(left, right):
    """Return whether two dictionaries of arrays say the same, bit by bit."""
    return left.keys() == right.keys() and all(
        left[k].tobytes() == right[k].tobytes() for k in left
    )


# --- PettingZoo -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_passes_both_checkers(name, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(new_env(name), num_cycles=30)
        parallel_seed_test(lambda: new_env(name), num_cycles=1)
    assert "Passed" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::UserWarning")  # remarks on names and unequal sizes of agents
def test_a_full_week_and_a_turn_based_conversion_pass_too(capsys):
    parallel_api_test(new_env("community_real"), num_cycles=200)
    api_test(parallel_to_aec(new_env("community_real")), num_cycles=60)
    assert "Passed" in capsys.readouterr().out


def test_agents_are_the_members_and_the_storage():
    env = new_env("community_real")
    assert env.possible_agents == ["village", "suburb", "works", "estate", "ces"]
    assert env.agents == []
    env.reset(seed=0)
    assert env.agents == env.possible_agents
    assert env.agents is not env.possible_agents
    assert new_env("tiny").possible_agents == ["house"]


def test_spaces_are_the_same_objects_each_time_and_bear_the_parts_sizes():
    env = new_env("community_real")
    observations, _ = env.reset(seed=0)
    for name, part in env.parts.items():
        assert env.action_space(name) is env.action_space(name) is env.action_spaces[name]
        assert env.observation_space(name) is env.observation_space(name)
        assert env.action_space(name).shape == (len(part.entries),)
        assert env.observation_space(name).contains(observations[name])
        assert len(part.names) == len(part.units) == len(part.scales) == len(observations[name])
    assert env.state_space.contains(env.state())


def test_an_agent_with_nothing_to_decide_has_an_empty_action(capsys):
    bare = {"battery": None, "chp": None, "flex": None, "link_kw": 0.0}
    system = shipped("s1_3mg")
    first = system.config.members[0].model_copy(update=bare)
    config = system.config.model_copy(update={"members": (first, *system.config.members[1:])})
    env = CommunityParallelEnv(build_system(config))
    assert env.action_space("MG1").shape == (0,)
    assert env.observation_space("MG1").shape[0] > 0
    episode = dataclasses.replace(sample_episode(system, "val", 0), world=env.system.physics.world)
    env.reset(options={"episode": episode})
    _, rewards, *_ = env.step({name: env.action_space(name).sample() for name in env.agents})
    assert rewards["MG1"] < 0.0
    parallel_api_test(env, num_cycles=5)
    assert "Passed" in capsys.readouterr().out


# --- one hour is one hour -------------------------------------------------------------------------


def expect_equal(system, options, seed, steps, dtype=np.float64, split="test"):
    """Play the same actions in both environments and compare all that they return."""
    env, single = CommunityParallelEnv(system, split), CommunityEnv(system, split)
    observations, _ = env.reset(options=options)
    assert env.state().tobytes() == single.reset(options=options)[0].tobytes()
    for action in draw(env, seed, steps, spread=1.2).astype(dtype):
        observations, rewards, terminated, truncated, _ = env.step(apart(env, action))
        joint, reward, _, ended, info = single.step(action)
        assert env.state().tobytes() == joint.tobytes()
        for name, part in env.parts.items():
            assert observations[name].tobytes() == joint[part.sees].tobytes()
        size = sum(np.abs(column).sum() for column in info["ledger"].values())
        scale = system.config.reward_scale
        assert sum(rewards.values()) == pytest.approx(reward, abs=1e-12 * max(1.0, size * scale))
        assert terminated == dict.fromkeys(env.possible_agents, False)
        assert truncated == dict.fromkeys(env.possible_agents, ended)
    left, right = env.community.trajectory, single.trajectory
    for record in RECORDS:
        assert getattr(left, record).tobytes() == getattr(right, record).tobytes(), record
    assert env.agents == ([] if ended else env.possible_agents)


@pytest.mark.parametrize("name", suite_names())
def test_agents_together_are_the_community_bit_for_bit(name):
    system = shipped(name)
    steps = min(48, system.episode_steps)
    expect_equal(system, {"episode": 3}, 0, steps)
    expect_equal(system, {"episode": 4}, 1, min(24, steps), np.float32, "val")


@pytest.mark.parametrize("seed", range(25))
def test_agents_of_a_random_system_are_the_community_bit_for_bit(seed):
    system, episode, _ = make_case(seed)
    expect_equal(system, {"episode": episode}, seed, episode.steps)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scheduled", [True, False])
def test_every_price_rule_works(rule, scheduled):
    system, episode, _ = make_case(
        3, pool=make_case(3).system.config.pool.model_copy(update={"price_rule": rule}), days=1
    )
    assert system.config.pool.price_rule == rule
    expect_equal(system, {"episode": episode}, 0, episode.steps)
    shipped_system = load_system("s1_3mg", {"pool.price_rule": rule, "day_ahead.pool": scheduled})
    expect_equal(shipped_system, {"episode": 0}, 0, 24)


def test_the_same_seed_plays_the_same_episodes():
    env, single = new_env("s1_3mg", "val"), CommunityEnv(shipped("s1_3mg"), "val")
    for seed in (3, None, None, 4):
        shown, infos = env.reset(seed=seed)
        joint, info = single.reset(seed=seed)
        assert env.state().tobytes() == joint.tobytes()
        assert {agent["label"] for agent in infos.values()} == {info["label"]}
        assert set(shown) == set(infos) == set(env.agents)
    limited = CommunityParallelEnv("s1_3mg", "val", episodes=2)
    drawn = {limited.reset(seed=seed)[1]["ces"]["label"][2] for seed in range(12)}
    assert drawn == {0, 1}


# --- who decides ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", suite_names())
def test_each_entry_belongs_to_one_agent_by_its_name(name):
    env = new_env(name)
    codec = env.community.actions
    decided = np.concatenate([part.decides for part in env.parts.values()])
    assert sorted(decided) == list(range(len(codec.entries)))
    for agent, part in env.parts.items():
        assert (np.diff(part.decides) > 0).all()
        for entry in part.entries:
            whose = owner(entry.name)
            assert (whose == agent) or (whose == "community" and agent == "ces")


def test_without_a_storage_nobody_nominates_and_the_forecast_stands():
    env = CommunityParallelEnv(load_system("community_real", {"ces": None}), "val")
    names = [entry.name for part in env.parts.values() for entry in part.entries]
    assert "ces" not in env.possible_agents
    assert not [name for name in names if owner(name) == "community"]
    assert len(names) == len(env.community.actions.entries) - 24
    env.reset(options={"episode": 0})
    _, *_, infos = env.step({name: np.ones(env.action_space(name).shape) for name in env.agents})
    nominated = env.community.trajectory.states[1][-24:]
    base = env.community.episode.values[:24, 4 * len(env.system.members) + X.nomination_base_kw]
    assert nominated.tobytes() == base.tobytes()
    assert all(i["projection"]["projected_nomination_kw"] == 0.0 for i in infos.values())


def test_the_storage_nominates_for_the_community_and_answers_for_it():
    env = new_env("community_real")
    env.reset(options={"episode": 0})
    base = env.community.episode.values[:24, 4 * len(env.system.members) + X.nomination_base_kw]
    asked = apart(env, np.zeros(env.community.action_space.shape))
    offsets = [e.name.startswith("community.nomination") for e in env.parts["ces"].entries]
    asked["ces"][offsets] = 1.5
    _, *_, infos = env.step(asked)
    reach = env.parts["ces"].entries[-1].high
    assert env.community.trajectory.states[1][-24:] == pytest.approx(base + reach)
    moved = {name: info["projection"]["projected_nomination_kw"] for name, info in infos.items()}
    assert moved.pop("ces") == pytest.approx(24 * 0.5 * reach)
    assert set(moved.values()) == {0.0}
    assert infos["village"]["flows"]["projected_nomination_kw"] == 0.0
    assert infos["ces"]["constraints"]["projection_kw"] >= 24 * 0.5 * reach


def test_a_quote_is_its_agents_own():
    env = CommunityParallelEnv(
        load_system("s1_3mg", {"pool.price_rule": "auction", "day_ahead.pool": False}), "val"
    )
    joint = env.community.actions.encode(np.zeros(env.system.request_size))

    def pay(ask):
        env.reset(options={"episode": 0})
        actions = apart(env, joint)
        for name, pool, quote in (("MG1", -1.0, ask), ("MG2", 0.5, 1.0)):
            kinds = [entry.name.split(".")[1] for entry in env.parts[name].entries]
            actions[name][kinds.index("pool_kw")] = pool
            actions[name][kinds.index("quote_per_kwh")] = quote
        *_, infos = env.step(actions)
        assert infos["MG1"]["flows"]["sent_kw"] > 0.0
        return infos["MG1"]["ledger"]["pool_payment"], infos["MG2"]["ledger"]["pool_payment"]

    cheap, dear = pay(-1.0), pay(0.9)
    assert dear[0] < cheap[0] < 0.0
    assert dear[1] == pytest.approx(-dear[0])


# --- who sees -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", suite_names())
def test_an_agent_sees_its_own_and_what_all_share(name):
    env = new_env(name)
    names = env.community.observations.names
    for agent, part in env.parts.items():
        own = {agent, "community"} if agent == "ces" else {agent}
        wanted = tuple(n for n in names if owner(n) is None or owner(n) in own)
        assert part.names == wanted
        assert {"hour_sin", "grid_up", "derating", "last_hour.price_buy"} <= set(part.names)
        joint = env.community.observations
        assert part.units == tuple(joint.units[i] for i in part.sees)
        assert part.scales.tobytes() == joint.scales[part.sees].tobytes()


def with_another_member(episode, m, seed=0):
    """Return an episode in which all series of member m, and what is believed of them, differ."""
    rng = np.random.default_rng(seed)
    columns = np.arange(4) * episode.member_count + m
    arrays = {k: np.array(getattr(episode, k)) for k in ("values", "center", "scale", "errors")}
    for key in ("values", "center", "scale"):
        arrays[key][:, columns] *= rng.uniform(0.5, 0.9, (len(arrays[key]), 4))
    path = episode.model.path
    paths = np.setdiff1d(path[columns], [*np.delete(path, columns), -1])
    arrays["errors"][:, paths] += rng.normal(0.0, 0.5, (len(arrays["errors"]), len(paths)))
    return dataclasses.replace(episode, **arrays)


def seen(system, episode, actions):
    """Return what each agent sees over an episode."""
    env = CommunityParallelEnv(system)
    steps = [env.reset(options={"episode": episode})[0]]
    steps += [env.step(apart(env, action))[0] for action in actions]
    return {name: np.array([step[name] for step in steps]) for name in env.possible_agents}


@pytest.mark.parametrize(("name", "m"), [("s1_3mg", 1), ("community_real", 0), ("s2_crh", 2)])
def test_nobody_sees_the_series_of_another_member(name, m):
    system = shipped(name)
    episode = sample_episode(system, "test", 0)
    actions = draw(CommunityParallelEnv(system), 1, min(60, episode.steps))
    before, after = (seen(system, e, actions) for e in (episode, with_another_member(episode, m)))
    changed = before.pop(system.members[m]), after.pop(system.members[m])
    assert (changed[0] != changed[1]).mean() > 0.1
    assert same(before, after)


def test_nobody_sees_the_stored_energy_of_another_participant():
    full, empty = (
        load_system("community_real", {"members[0].battery.soc_initial": soc}) for soc in (0.9, 0.1)
    )
    episode = sample_episode(full, "test", 0)
    actions = np.zeros((24, CommunityEnv(full).action_space.shape[0]))
    before, after = (seen(system, episode, actions) for system in (full, empty))
    assert (before.pop("village")[:, 0] > after.pop("village")[:, 0] + 0.5).all()
    assert same(before, after)


@pytest.mark.parametrize("scheduled", [True, False])
@pytest.mark.parametrize("agent", ["MG1", "ces"])
def test_nobody_sees_wishes_quotes_or_schedules_of_another_agent(agent, scheduled):
    system = load_system("s1_3mg", {"pool.price_rule": "auction", "day_ahead.pool": scheduled})
    env = CommunityParallelEnv(system)
    episode = sample_episode(system, "test", 0)
    actions, others = draw(env, 0), draw(env, 1)
    mine = env.parts[agent].decides
    changed = actions.copy()
    changed[:, mine] = others[:, mine]
    before, after = (seen(system, episode, chosen) for chosen in (actions, changed))
    assert before.pop(agent).tobytes() != after.pop(agent).tobytes()
    assert same(before, after)


# --- reward and info ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["s1_3mg", "community_real", "s2_crh"])
def test_a_reward_is_minus_the_agents_row_of_the_ledger(name):
    env = new_env(name)
    env.reset(options={"episode": 1})
    moved = 0.0
    for t, action in enumerate(draw(env, 2)):
        _, rewards, *_, infos = env.step(apart(env, action))
        ledger = env.community.trajectory.ledger[t]
        for p, agent in enumerate(env.possible_agents):
            own = infos[agent]["ledger"]
            assert tuple(own) == L.names()
            assert list(own.values()) == ledger[p].tolist()
            assert type(rewards[agent]) is float
            paid = -rewards[agent] / env.system.config.reward_scale
            assert paid == pytest.approx(sum(own.values()), rel=1e-12, abs=1e-9)
        moved += np.abs(ledger[:, L.pool_payment :]).sum()
    assert moved > 0.0


def test_info_is_the_agents_own_and_computed_where_it_is_looked_at():
    env = new_env("community_real")
    _, infos = env.reset(options={"episode": 1})
    assert {frozenset(info) for info in infos.values()} == {frozenset({"label"})}
    single = CommunityEnv(env.system, "test")
    single.reset(options={"episode": 1})
    action = draw(env, 0, 1, spread=1.5)[0]
    *_, infos = env.step(apart(env, action))
    *_, joint = single.step(action)
    totals = dict.fromkeys(joint["constraints"], 0.0)
    for p, agent in enumerate(env.possible_agents):
        info = infos[agent]
        assert dict.__len__(info) == 0
        assert set(info) == {"label", *AFTER_STEP}
        assert "public" not in info
        assert info["label"] == ("community_real", "test", 1)
        assert tuple(info["flows"]) == F.names()
        for name, amount in info["flows"].items():
            if name != "projected_nomination_kw":
                assert amount == joint["flows"][name][p]
        assert info["projection"] == {k: info["flows"][k] for k in joint["projection"]}
        for channel, amount in info["constraints"].items():
            totals[channel] += amount
        again = pickle.loads(pickle.dumps(info))
        assert type(again) is dict
        assert again == info
    assert totals == pytest.approx(joint["constraints"])
    with pytest.raises(KeyError):
        infos["village"]["public"]


def test_info_says_the_same_after_the_next_episode():
    now, later = new_env(), new_env()
    eager, lazy = [], []
    for env, kept in ((now, eager), (later, lazy)):
        env.reset(seed=0)
        for action in draw(env):
            infos = env.step(apart(env, action))[4]
            kept.append({k: dict(v) for k, v in infos.items()} if env is now else infos)
    later.reset(seed=1)
    later.step(apart(later, draw(later, 1)[0]))
    assert eager == lazy


def test_what_was_returned_is_nobody_elses():
    env = new_env()
    observations, _ = env.reset(seed=0)
    first = {name: array.copy() for name, array in observations.items()}
    state = env.state()
    for action in draw(env, 0, 5):
        env.step(apart(env, action))
    assert same(observations, first)
    observations, _ = env.reset(options={"episode": 0})
    kept = {name: array.copy() for name, array in observations.items()}
    observations["MG1"][:] = 7.0
    state[:] = 7.0
    env.state()[:] = 7.0
    assert all(observations[name].tobytes() == kept[name].tobytes() for name in ("MG2", "ces"))
    assert (env.state() != 7.0).any()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_goes_its_own_way(duplicate):
    env = new_env()
    env.reset(seed=0)
    actions = draw(env)
    env.step(apart(env, actions[0]))
    other = duplicate(env)
    for action in actions[1:]:
        left, right = env.step(apart(env, action)), other.step(apart(other, action))
        assert same(left[0], right[0])
        assert left[1:4] == right[1:4]
        assert {k: dict(v) for k, v in left[4].items()} == {k: dict(v) for k, v in right[4].items()}


def test_it_can_be_drawn():
    env = new_env(render_mode="rgb_array")
    assert env.render_mode == "rgb_array"
    env.reset(seed=0)
    env.step(apart(env, draw(env)[0]))
    assert env.render().dtype == np.uint8
    text = new_env(render_mode="ansi")
    text.reset(seed=0)
    text.step(apart(text, draw(text)[0]))
    assert "MG1" in text.render()
    assert new_env().render() is None
    assert str(env) == "mmg_community_v0"
    env.close()


# --- refused --------------------------------------------------------------------------------------


def without(actions, name):
    return {k: v for k, v in actions.items() if k != name}


def test_wrong_actions_are_refused_and_the_step_can_be_taken_again():
    env, fresh = new_env(), new_env()
    for e in (env, fresh):
        e.reset(seed=0)
    actions = apart(env, draw(env)[0])
    bad = actions["MG2"].copy()
    bad[1] = np.nan
    size, entry = len(bad), env.parts["MG2"].entries[1].name
    cases = {
        "actions: MG2 missing; every agent must act": without(actions, "MG2"),
        "agent: 'MG9' is not one of MG1, MG2, MG3, ces": {**actions, "MG9": bad},
        f"action of MG2: shape (2,); it must be ({size},), one number per entry": {
            **actions,
            "MG2": np.zeros(2),
        },
        "action of MG1: shape (); it must be": {**actions, "MG1": None},
        f"action of MG2: entry 1 ({entry}) is nan; every entry must be a finite number": {
            **actions,
            "MG2": bad,
        },
        f"action of MG2: entry 1 ({entry}) is inf": {
            **actions,
            "MG2": np.where(np.isnan(bad), np.inf, bad).astype(np.float32),
        },
        "actions: a ndarray; it must be a dictionary, agent -> action": np.zeros(4),
    }
    for sentence, wrong in cases.items():
        with pytest.raises(InputError) as caught:
            env.step(wrong)
        assert str(caught.value).startswith(sentence)
    left, right = env.step(actions), fresh.step({k: v.tolist() for k, v in actions.items()})
    assert same(left[0], right[0])
    assert left[1] == right[1]


def test_nothing_can_be_played_before_reset_or_after_the_end():
    env = new_env("tiny")
    actions = apart(env, np.zeros(1))
    for ask in (lambda: env.step(actions), env.state):
        with pytest.raises(InputError, match="no episode is in play; call reset first"):
            ask()
    env.reset(seed=0)
    for _ in range(24):
        _, _, _, truncated, _ = env.step(actions)
    assert truncated == {"house": True}
    assert env.agents == []
    for given in (actions, {}):
        with pytest.raises(InputError, match="no episode is in play; call reset first"):
            env.step(given)
    assert env.state_space.contains(env.state())
    env.reset()
    env.step(actions)


def test_unknown_agents_options_and_arguments_are_refused():
    env = new_env()
    for ask in (env.action_space, env.observation_space):
        with pytest.raises(InputError, match="'MG9' is not one of MG1, MG2, MG3, ces"):
            ask("MG9")
    with pytest.raises(InputError, match="'episod' is unknown"):
        env.reset(options={"episod": 1})
    env.reset(options={"options": 1, "episode": 2})
    assert env.community.episode.label[2] == 2
    with pytest.raises(InputError, match="render_mode"):
        new_env(render_mode="human")


# --- an extra -------------------------------------------------------------------------------------


def test_importing_the_package_does_not_import_pettingzoo():
    assert "pettingzoo" not in loaded("import mmg_env")


def test_without_pettingzoo_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pettingzoo", None)
    monkeypatch.delitem(sys.modules, "mmg_env.parallel")
    with pytest.raises(ImportError) as caught:
        mmg_env.CommunityParallelEnv  # noqa: B018
    assert str(caught.value) == (
        "CommunityParallelEnv needs PettingZoo, and pettingzoo is not installed; install it with: "
        'pip install "mmg-env[rl]"'
    )
    monkeypatch.undo()
    assert importlib.import_module("mmg_env.parallel").CommunityParallelEnv is CommunityParallelEnv
    with pytest.raises(AttributeError, match="no attribute 'CommunityParalelEnv'"):
        mmg_env.CommunityParalelEnv  # noqa: B018
