"""Training: what is written, that it can be continued, and that what was trained can be played."""

import csv
import json

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from baselines import policy_named
from baselines.agent import FACTS, read_agent
from baselines.team import Team
from experiments.cli import app
from experiments.evaluation import acting, costs_on
from experiments.heedful import HeedfulPolicy
from mmg_env import CommunityEnv, InputError, load_system, rollout
from mmg_env.vector import CommunityVectorEnv

SMALL = {
    "envs": 8,
    "network": [16],
    "activation": "tanh",
    "evaluate_every": 400,
    "cloning": {"episodes": 4, "updates": 5},
}
PPO = SMALL | {"algorithm": "ppo", "settings": {"n_steps": 24, "batch_size": 48, "n_epochs": 1}}
OFF = SMALL | {"settings": {"learning_starts": 100, "batch_size": 32, "buffer_size": 1000}}


def run(folder, config, *words):
    file = folder / "learner.yaml"
    file.write_text(yaml.safe_dump(config))
    line = ["train", "--suite", "tiny", "--algo", config["algorithm"], "--agent", str(file)]
    return CliRunner().invoke(app, [*line, "--out", str(folder / "run"), "--workers", "1", *words])


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def curve(folder):
    with (folder / "run" / "curve.csv").open() as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("algorithm", ["ppo", "sac", "td3", "tqc"])
def test_every_algorithm_leaves_an_agent_that_plays(tmp_path, algorithm):
    config = PPO if algorithm == "ppo" else OFF | {"algorithm": algorithm}
    done = run(tmp_path, config, "--steps", "800")
    assert done.exit_code == 0, done.output
    system = load_system("tiny")
    agent = str(tmp_path / "run" / "agent")
    played = rollout(
        CommunityEnv(system, "val"), policy_named(agent)(system), options={"episode": 0}
    )
    facts, network = read_agent(tmp_path / "run" / "agent")
    costs, _ = costs_on(system, "val", 2, network)
    assert played.cost == pytest.approx(costs[0], rel=1e-6)
    assert facts.training["seed"] == 0
    assert facts.algorithm == algorithm
    rows = curve(tmp_path)
    assert int(float(rows[-1]["steps"])) >= 800
    best = min(float(row["val_cost"]) for row in rows)
    assert facts.training["val_cost"] == pytest.approx(best)
    assert list((tmp_path / "run" / "log" / "0").glob("events*"))


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_training_goes_on_where_it_stopped(tmp_path, algorithm):
    config = PPO if algorithm == "ppo" else OFF | {"algorithm": algorithm}
    run(tmp_path, config, "--steps", "400")
    first = curve(tmp_path)
    again = run(tmp_path, config, "--steps", "800")
    assert again.exit_code == 0, again.output
    rows = curve(tmp_path)
    steps = [float(row["steps"]) for row in rows]
    assert steps == sorted(set(steps))
    assert steps[-1] >= 800.0
    assert [row["val_cost"] for row in rows[: len(first)]] == [row["val_cost"] for row in first]
    more = run(tmp_path, config, "--steps", "800")
    assert more.exit_code == 0
    assert [float(row["steps"]) for row in curve(tmp_path)] == steps
    logs = sorted(int(folder.name) for folder in (tmp_path / "run" / "log").iterdir())
    assert logs == [0, int(float(first[-1]["steps"])), int(steps[-1])]


def episodes_of(monkeypatch):
    """Return a list that fills with the labels of the episodes that are begun in training."""
    begun = []
    begin = CommunityVectorEnv.reset

    def reset(self, *, seed=None, options=None):
        result = begin(self, seed=seed, options=options)
        begun.append([tuple(label) for label in result[1]["label"]])
        return result

    monkeypatch.setattr(CommunityVectorEnv, "reset", reset)
    return begun


def test_no_two_seeds_and_no_two_starts_begin_with_the_same_episodes(tmp_path, monkeypatch):
    begun = episodes_of(monkeypatch)
    for name, seed in (("a", "0"), ("b", "1")):
        folder = tmp_path / name
        folder.mkdir()
        run(folder, PPO, "--steps", "200", "--seed", seed)
        run(folder, PPO, "--steps", "400", "--seed", seed)
    assert len(begun) == 4
    labels = [label for slots in begun for label in slots]
    assert len(set(labels)) == len(labels)


def test_a_folder_goes_on_with_nothing_but_what_lies_there(tmp_path):
    run(tmp_path, PPO, "--steps", "200")
    for words, option in ((("--seed", "1"), "--seed"), (("--warm-start", "idle"), "--warm-start")):
        refused = run(tmp_path, PPO, "--steps", "400", *words).exception
        assert isinstance(refused, InputError)
        assert f"was trained with {option}" in str(refused)
    other = PPO | {"network": [12]}
    assert "was trained with --agent" in str(run(tmp_path, other, "--steps", "400").exception)


def test_the_folder_says_what_is_trained_in_it(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("experiments.train.begin", asked.append)
    system = tmp_path / "mine.yaml"
    system.write_text(CommunityEnv("tiny").system.config.model_dump_json())
    for words in ((), ("--warm-start", "agents/x")):
        line = ["train", "--suite", str(system), "--algo", "ppo", "--seed", "3", *words]
        done = CliRunner().invoke(app, line)
        assert done.exit_code == 0, done.output
    assert [str(plan.out) for plan in asked] == [
        "results/train/tiny/ppo-3",
        "results/train/tiny/ppo_clone-from-x-3",
    ]


@pytest.mark.parametrize(
    ("config", "words", "sentence"),
    [
        (PPO | {"residual": {"base": "idle"}}, ("--warm-start", "mpc"), "begins from nothing"),
        (SMALL | {"algorithm": "bc"}, (), "name the policy that is cloned"),
        (SMALL | {"algorithm": "bc", "team": "shared"}, (), "does not"),
        (SMALL | {"algorithm": "bc", "residual": {"base": "idle"}}, (), "does not"),
        (SMALL | {"algorithm": "forecast"}, ("--warm-start", "mpc"), "clones nothing"),
        (OFF | {"algorithm": "sac", "team": "independent"}, (), "need algorithm: ppo"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, config, words, sentence):
    refused = run(tmp_path, config, *words).exception
    assert isinstance(refused, InputError)
    assert sentence in str(refused)
    assert not (tmp_path / "run").exists()


def test_a_held_actor_stays_and_the_learning_rate_falls_once(tmp_path, monkeypatch):
    seen = []
    take = HeedfulPolicy.forward

    def forward(self, *args, **kwargs):
        weights = self.action_net[0].weight.detach().clone()
        seen.append((self.optimizer.param_groups[0]["lr"], weights))
        return take(self, *args, **kwargs)

    monkeypatch.setattr(HeedfulPolicy, "forward", forward)
    config = PPO | {"critic_first": 400}
    done = run(tmp_path, config, "--steps", "960", "--warm-start", "time_of_use")
    assert done.exit_code == 0, done.output
    rates = [rate for rate, _ in seen]
    assert rates == sorted(rates, reverse=True)
    starts = [weights for _, weights in seen[::24]]  # a rollout of 8 slots is 24 steps
    assert torch.equal(starts[0], starts[2])  # 384 steps
    assert not torch.equal(starts[0], starts[-1])


def test_the_same_seed_trains_the_same_agent(tmp_path):
    costs = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        run(folder, PPO, "--steps", "400", "--seed", "3")
        costs.append([row["val_cost"] for row in curve(folder)])
    assert costs[0] == costs[1]


def test_a_clone_does_what_was_shown(tmp_path):
    config = SMALL | {
        "algorithm": "bc",
        "cloning": {"episodes": 40, "updates": 1500, "batch_size": 128},
    }
    done = run(tmp_path, config, "--warm-start", "time_of_use")
    assert done.exit_code == 0, done.output
    system = load_system("tiny")
    _, network = read_agent(tmp_path / "run" / "agent")
    cloned = costs_on(system, "val", 20, network)[0].mean()
    env = CommunityEnv(system, "val")

    def mean(policy):
        played = policy_named(policy)(system)
        return np.mean([rollout(env, played, options={"episode": k}).cost for k in range(20)])

    assert abs(cloned - mean("time_of_use")) < 0.3 * abs(mean("idle") - mean("time_of_use"))


def test_a_residual_learner_corrects_a_clone_and_is_played_on_the_policy(tmp_path):
    config = PPO | {"residual": {"base": "time_of_use", "scale": 0.1}}
    done = run(tmp_path, config, "--steps", "400")
    assert done.exit_code == 0, done.output
    facts, network = read_agent(tmp_path / "run" / "agent")
    assert (facts.kind, facts.base, facts.scale) == ("residual", "time_of_use", 0.1)
    assert network.layers[0][0].shape == (86, 16)
    system = load_system("tiny")
    policy = policy_named(str(tmp_path / "run" / "agent"))(system)
    assert np.isfinite(rollout(CommunityEnv(system, "val"), policy, seed=0).cost)


def test_a_team_learns_one_network_for_all_participants(tmp_path):
    done = run(tmp_path, PPO | {"team": "shared"}, "--suite", "s1_3mg", "--steps", "400")
    assert done.exit_code == 0, done.output
    facts, network = read_agent(tmp_path / "run" / "agent")
    system = load_system("s1_3mg")
    team = Team(system)
    assert facts.kind == "team"
    assert network.layers[0][0].shape[0] == team.width
    policy = policy_named(str(tmp_path / "run" / "agent"))(system)
    played = rollout(CommunityEnv(system, "val"), policy, options={"episode": 1})
    costs, _ = costs_on(system, "val", 2, acting(system, "team", network))
    assert played.cost == pytest.approx(costs[1], rel=1e-6)
    refused = run(tmp_path, PPO | {"team": "shared"}, "--warm-start", "mpc")
    assert "a team has no residual" in str(refused.exception)


def test_the_price_of_a_constraint_rises_while_it_is_violated(tmp_path):
    limit = {"channel": "projection_kw", "limit": 0.0, "step": 0.01}
    config = PPO | {"constraint": limit, "log_std": [0.0, 0.0]}  # so wild that it is violated
    done = run(tmp_path, config, "--steps", "800")
    assert done.exit_code == 0, done.output
    prices = prices_of(tmp_path, 0)
    assert prices[-1] > prices[0] >= 0.0
    stopped = int(float(curve(tmp_path)[-1]["steps"]))
    run(tmp_path, config, "--steps", "1600")
    assert prices_of(tmp_path, stopped)[0] >= prices[-1]


def prices_of(folder, started):
    """Return the prices of a constraint in the log of one start."""
    with (folder / "run" / "log" / str(started) / "progress.csv").open() as stream:
        return [float(row["constraint/price"] or 0.0) for row in csv.DictReader(stream)]


def test_under_a_constraint_an_agent_that_keeps_it_goes_before_a_cheaper_one(tmp_path):
    limit = {"channel": "projection_kw", "limit": 1e9, "step": 0.01}
    run(tmp_path, PPO | {"constraint": limit}, "--steps", "400")
    kept = read_agent(tmp_path / "run" / "agent")[0].training
    assert kept["val_violation"] == 0.0
    (tmp_path / "b").mkdir()
    run(tmp_path / "b", PPO | {"constraint": limit | {"limit": 0.0}}, "--steps", "400")
    rows = curve(tmp_path / "b")
    least = min(float(row["projection_kw"]) for row in rows)
    kept = read_agent(tmp_path / "b" / "run" / "agent")[0].training
    assert kept["val_violation"] == pytest.approx(least)


def test_what_is_asked_for_wrongly_is_refused(tmp_path):
    assert "warm-start" in str(run(tmp_path, SMALL | {"algorithm": "bc"}).exception)
    other = run(tmp_path, PPO, "--algo", "sac")
    assert "says algorithm: ppo" in str(other.exception)
    wrong = run(tmp_path, PPO | {"netwrok": [3]})
    assert "netwrok" in str(wrong.exception)
    assert "learner.yaml" in str(wrong.exception)


def test_an_agents_page_is_plain_json(tmp_path):
    run(tmp_path, PPO, "--steps", "200")
    page = json.loads((tmp_path / "run" / "agent" / FACTS).read_text())
    assert page["training"]["command"].startswith("mmg train --suite tiny --algo ppo")
