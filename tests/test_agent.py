"""Agents: read from plain files, played in NumPy, refused where they do not fit."""

import json
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from baselines import POLICIES, playable, policy_named
from baselines.agent import (
    FACTS,
    PREFIX,
    WEIGHTS,
    Facts,
    Network,
    agent_folder,
    fingerprint,
    interface_of,
    read_agent,
    shipped_agents,
    unfit_for,
)
from experiments.agent_file import write_agent
from mmg_env import CommunityEnv, InputError, load_system, rollout
from mmg_env.observation import ObservationCodec
from mmg_env.system import build_system


@cache
def shipped(name):
    return load_system(name)


def random_network(system, seed=0, extra=0, activation="tanh", squash="clip"):
    env = CommunityEnv(system)
    rng = np.random.default_rng(seed)
    sizes = (env.observation_space.shape[0] + extra, 8, env.action_space.shape[0])
    layers = [
        (
            rng.normal(0.0, 0.3, (a, b)).astype(np.float32),
            rng.normal(0.0, 0.3, b).astype(np.float32),
        )
        for a, b in pairwise(sizes)
    ]
    return Network(layers, activation, squash)


def write(folder, system, network, **fields):
    facts = {
        "name": "test",
        "suite": system.name,
        "algorithm": "bc",
        "activation": "tanh",
        "squash": "clip",
        "layers": len(network.layers),
        "interface": interface_of(system),
    }
    write_agent(folder, Facts(**(facts | fields)), network)
    return folder


def test_an_agent_comes_back_as_it_was_written(tmp_path):
    system = shipped("tiny")
    network = random_network(system)
    write(tmp_path, system, network, training={"seed": 3})
    facts, again = read_agent(tmp_path)
    assert facts.training == {"seed": 3}
    seen = np.random.default_rng(1).normal(size=(5, 85)).astype(np.float32)
    assert again(seen).tobytes() == network(seen).tobytes()


@pytest.mark.parametrize("squash", ["clip", "tanh"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_network_is_a_multilayer_perceptron(activation, squash):
    network = random_network(shipped("tiny"), 2, activation=activation, squash=squash)
    (w1, b1), (w2, b2) = network.layers
    seen = np.random.default_rng(1).normal(size=85).astype(np.float32)
    hidden = np.tanh(seen @ w1 + b1) if activation == "tanh" else np.maximum(seen @ w1 + b1, 0)
    out = hidden @ w2 + b2
    wanted = np.tanh(out) if squash == "tanh" else np.clip(out, -1, 1)
    assert network(seen) == pytest.approx(wanted, abs=1e-6)


def test_an_agent_plays_as_a_policy(tmp_path):
    system = shipped("tiny")
    network = random_network(system, 3)
    policy = policy_named(str(write(tmp_path, system, network)))(system)
    env = CommunityEnv(system, "val")
    played = rollout(env, policy, options={"episode": 2})
    observation, _ = env.reset(options={"episode": 2})
    cost = 0.0
    for _ in range(system.episode_steps):
        observation, reward, *_ = env.step(network(observation))
        cost -= reward
    assert played.cost == pytest.approx(cost)


def test_a_residual_agent_corrects_its_base(tmp_path):
    system = shipped("tiny")
    network = random_network(system, 4, extra=1)
    folder = write(tmp_path, system, network, kind="residual", base="time_of_use", scale=0.3)
    policy, base = policy_named(str(folder))(system), POLICIES["time_of_use"](system)
    env = CommunityEnv(system, "val")
    observation, info = env.reset(options={"episode": 1})
    for actor in (policy, base):
        actor.reset(np.random.default_rng(0))
    asked = base.act(observation, info)
    seen = np.concatenate([observation, np.clip(asked, -1, 1)]).astype(np.float32)
    assert policy.act(observation, info) == pytest.approx(asked + 0.3 * network(seen))


def test_an_agent_is_refused_by_a_system_with_other_entries(tmp_path):
    folder = write(tmp_path, shipped("tiny"), random_network(shipped("tiny")))
    with pytest.raises(InputError, match=r"s1_3mg has other observations, actions or steps"):
        policy_named(str(folder))(shipped("s1_3mg"))


def test_an_agent_is_refused_by_a_system_of_another_clock(tmp_path):
    hourly = shipped("tiny")
    quarters = build_system(hourly.config.model_copy(update={"dt_h": 0.25}))
    assert ObservationCodec(quarters).names == ObservationCodec(hourly).names
    folder = write(tmp_path, hourly, random_network(hourly))
    with pytest.raises(InputError, match="other observations, actions or steps"):
        policy_named(str(folder))(quarters)


@pytest.mark.parametrize("name", shipped_agents())
def test_a_shipped_agent_fits_its_suite(name):
    facts, _ = read_agent(agent_folder(PREFIX + name))
    assert not unfit_for(facts, shipped(facts.suite))


def test_nothing_is_unpickled(tmp_path):
    system = shipped("tiny")
    folder = write(tmp_path, system, random_network(system))
    array = np.array([{"danger": 1}], dtype=object)
    with (folder / WEIGHTS).open("wb") as stream:
        np.savez(stream, weight_0=array, bias_0=array, weight_1=array, bias_1=array)
    with pytest.raises(InputError, match="no agent can be read"):
        read_agent(folder)


def test_a_page_that_says_too_much_or_too_little_is_refused(tmp_path):
    folder = write(tmp_path, shipped("tiny"), random_network(shipped("tiny")))
    page = json.loads((folder / FACTS).read_text())
    for changed, sentence in (({"surprise": 1}, "surprise"), ({"scale": 9.0}, "scale")):
        (folder / FACTS).write_text(json.dumps(page | changed))
        with pytest.raises(InputError, match=sentence):
            read_agent(folder)


def test_other_weights_give_another_fingerprint(tmp_path):
    system = shipped("tiny")
    first = fingerprint(write(tmp_path / "a", system, random_network(system, 1)))
    assert fingerprint(write(tmp_path / "b", system, random_network(system, 1))) == first
    assert fingerprint(write(tmp_path / "b", system, random_network(system, 2))) != first


def test_a_name_that_is_no_agent_says_which_there_are():
    with pytest.raises(InputError, match="no agent 'agents/nobody'"):
        policy_named("agents/nobody")


def test_an_agent_that_needs_a_climate_is_refused_where_there_is_none():
    bare = load_system("s1_3mg", {"source": None})
    with pytest.raises(InputError, match=r"s1_3mg has no `source` to tell it"):
        policy_named("agents/s1_3mg-forecast")(bare)
    assert "agents/s1_3mg-forecast" not in playable(bare)
    assert "agents/s1_3mg-forecast" in playable(shipped("s1_3mg"))
