"""Independent PPO: networks side by side that have nothing to do with each other."""

import csv

import numpy as np
import pytest
import torch
import yaml
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from torch import nn
from typer.testing import CliRunner

from baselines import policy_named
from baselines.agent import read_agent
from baselines.team import Team
from experiments.agent_config import AgentConfig, read_agent_config
from experiments.apart import Apart, OwnAdvantages, OwnScales, Stacked
from experiments.checkpoint import load_checkpoint
from experiments.cli import app
from experiments.evaluation import acting, costs_on
from experiments.learners import actor_of, make_model, network_of
from experiments.plan import CHECKPOINT
from experiments.team_vec import TeamVecEnv
from mmg_env import CommunityEnv, CommunityVectorEnv, load_system, rollout

SMALL = {
    "algorithm": "ppo",
    "team": "independent",
    "envs": 8,
    "network": [16],
    "activation": "tanh",
    "evaluate_every": 400,
    "settings": {"n_steps": 24, "batch_size": 48, "n_epochs": 1},
}
AGENTS, WIDTH = 3, 7


def rows(count, seed=0):
    """Rows of several agents in a random order."""
    rng = np.random.default_rng(seed)
    seen = rng.normal(size=(count, WIDTH)).astype(np.float32)
    who = rng.integers(0, AGENTS, count)
    seen[:, :AGENTS] = np.eye(AGENTS)[who]
    return torch.from_numpy(seen), who


def separate(apart, agent):
    """Build an agent's multilayer perceptron from plain layers."""
    layers = []
    for module in apart.layers:
        if isinstance(module, Stacked):
            _, outputs, inputs = module.weight.shape
            layer = nn.Linear(inputs, outputs)
            layer.weight.data = module.weight.data[agent]
            layer.bias.data = module.bias.data[agent, 0]
            layers.append(layer)
        else:
            layers.append(module)
    return nn.Sequential(*layers)


def team_of(name, count):
    return TeamVecEnv(CommunityVectorEnv(count, load_system(name), autoreset_mode="SAME_STEP"))


def test_stacked_networks_are_separate_networks():
    torch.manual_seed(0)
    apart = Apart(AGENTS, (WIDTH, 8, 8, 2), nn.Tanh, 1.0)
    for parameter in apart.parameters():
        parameter.data.normal_()
    for count in (1, 50):
        seen, who = rows(count)
        out = apart(seen)
        for agent in range(AGENTS):
            alone = separate(apart, agent)(seen[who == agent])
            torch.testing.assert_close(out[who == agent], alone)


def test_gradients_do_not_cross_agents():
    apart = Apart(AGENTS, (WIDTH, 8, 2), nn.Tanh, 1.0)
    seen, who = rows(50)
    for agent in range(AGENTS):
        apart.zero_grad()
        apart(seen)[who == agent].square().sum().backward()
        for parameter in apart.parameters():
            touched = parameter.grad.abs().flatten(1).sum(dim=1) > 0
            assert touched.tolist() == [agent == other for other in range(AGENTS)]


def after_one_update(bonus):
    """Weights of a model (a, ...) after a rollout in which agent 1 was paid something on top."""
    env = team_of("s1_3mg", 2)
    step_wait, rng = env.step_wait, np.random.default_rng(0)

    def paid():
        seen, rewards, *rest = step_wait()
        rewards[1::4] += bonus * rng.normal(size=2)
        return seen, rewards, *rest

    env.step_wait = paid
    config = AgentConfig.model_validate(SMALL | {"envs": 2})
    model = make_model(config, load_system("s1_3mg"), OwnScales(env, 4, 0.99), 0)
    model.learn(1000, callback=lambda *_: model.num_timesteps <= 24 * 8)
    return [parameter.detach() for parameter in model.policy.parameters() if parameter.ndim == 3]


def test_what_one_agent_earned_moves_its_own_weights_alone():
    plain, paid = after_one_update(0.0), after_one_update(5.0)
    assert len(plain) == 8
    for a, b in zip(plain, paid, strict=True):
        same = [torch.allclose(a[k], b[k], atol=1e-7) for k in range(4)]
        assert same == [True, False, True, True]


def test_rewards_and_advantages_are_scaled_for_each_agent():
    box = spaces.Box(-1.0, 1.0, (2,))
    shape = {"n_envs": 6, "gamma": 0.9, "gae_lambda": 0.8}
    plain = RolloutBuffer(5, box, box, **shape)
    own = OwnAdvantages(5, box, box, agents=3, **shape)
    for buffer in (plain, own):
        rng = np.random.default_rng(0)
        buffer.rewards[:] = rng.normal(size=(5, 6)) * ([1, 10, 100] * 2)
        buffer.values[:] = rng.normal(size=(5, 6))
        buffer.compute_returns_and_advantage(torch.zeros(6), np.zeros(6, dtype=bool))
    assert own.returns.tobytes() == plain.returns.tobytes()
    for agent in range(3):
        wanted = plain.advantages[:, agent::3]
        wanted = (wanted - wanted.mean()) / wanted.std()
        assert own.advantages[:, agent::3] == pytest.approx(wanted, abs=1e-5)

    team = team_of("s1_3mg", 4)
    env = OwnScales(team, 4, 0.9)
    env.reset()
    for _ in range(30):
        _, rewards, *_ = env.step(rng.uniform(-1, 1, (16, team.team.depth)).astype(np.float32))
    scales = np.sqrt(env.ret_rms.var + env.epsilon)
    assert env.ret_rms.var.shape == (4,)
    wanted = (env.old_reward.reshape(4, 4) / scales).ravel()
    assert rewards == pytest.approx(np.clip(wanted, -10, 10), rel=1e-5)


@pytest.mark.parametrize("name", ["tiny", "s1_3mg"])
def test_the_player_acts_as_torch_says(name):
    system, team = load_system(name), team_of(name, 2)
    model = make_model(
        AgentConfig.model_validate(SMALL), system, OwnScales(team, len(team.team), 0.99), 0
    )
    for parameter in actor_of(model).parameters():
        parameter.data.normal_(0.0, 0.3)
    network = network_of(model, "tanh")
    assert [w.shape[0] for w, _ in network.layers] == [len(team.team)] * 2
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(5, CommunityEnv(system).observation_space.shape[0]))
    seen = team.team.split(joint.astype(np.float32))
    with torch.no_grad():
        rowwise = torch.from_numpy(seen.reshape(-1, seen.shape[-1]))
        wanted = model.policy.get_distribution(rowwise).mode().numpy().reshape(*seen.shape[:2], -1)
    assert network(seen) == pytest.approx(wanted, abs=1e-5)
    assert network(seen[2]) == pytest.approx(wanted[2], abs=1e-5)


def train(folder, config, *words):
    file = folder / "learner.yaml"
    file.write_text(yaml.safe_dump(config))
    line = ["train", "--suite", "s1_3mg", "--algo", config["algorithm"], "--agent", str(file)]
    return CliRunner().invoke(app, [*line, "--out", str(folder / "run"), "--workers", "1", *words])


def curve(folder):
    with (folder / "run" / "curve.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_team_that_learned_apart_plays_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = train(tmp_path, SMALL, "--steps", "400")
    assert done.exit_code == 0, done.output
    first = curve(tmp_path)
    done = train(tmp_path, SMALL, "--steps", "1200")
    assert done.exit_code == 0, done.output
    assert curve(tmp_path)[: len(first)] == first
    assert float(curve(tmp_path)[-1]["steps"]) >= 1200

    facts, network = read_agent(tmp_path / "run" / "agent")
    system = load_system("s1_3mg")
    team = Team(system)
    assert facts.kind == "team"
    assert network.layers[0][0].shape == (len(team), team.width, 16)
    policy = policy_named(str(tmp_path / "run" / "agent"))(system)
    played = rollout(CommunityEnv(system, "val"), policy, options={"episode": 1})
    costs, _ = costs_on(system, "val", 2, acting(system, "team", network))
    assert played.cost == pytest.approx(costs[1], rel=1e-6)

    env = OwnScales(team_of("s1_3mg", 8), 4, 0.99)
    model = make_model(AgentConfig.model_validate(SMALL), system, env, 1)
    load_checkpoint(tmp_path / "run" / CHECKPOINT, model)
    assert env.ret_rms.var.shape == (4,)
    assert len(set(env.ret_rms.var.tolist())) == 4


def test_only_ppo_learns_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = train(tmp_path, SMALL | {"algorithm": "sac"}, "--steps", "10")
    assert "need algorithm: ppo" in str(done.exception)


def test_the_shipped_learners_say_who_shares():
    assert read_agent_config("independent").team == "independent"
    assert read_agent_config("team").team == "shared"
    assert read_agent_config("ppo").team is None
