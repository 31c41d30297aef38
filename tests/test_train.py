"""Training: what is written, that it can be continued, and that what was trained can be played."""

import csv
import json

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from baselines import policy_named
from baselines.agent import FACTS, read_agent
from baselines.team import Team
from experiments.cli import app
from experiments.evaluation import acting, costs_on
from mmg_env import CommunityEnv, load_system, rollout

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
    assert list((tmp_path / "run" / "log").glob("events*"))


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_training_goes_on_where_it_stopped(tmp_path, algorithm):
    config = PPO if algorithm == "ppo" else OFF | {"algorithm": algorithm}
    run(tmp_path, config, "--steps", "400")
    first = curve(tmp_path)
    again = run(tmp_path, config, "--steps", "800")
    assert again.exit_code == 0, again.output
    rows = curve(tmp_path)
    assert rows[: len(first)] == first
    assert len(rows) > len(first)
    assert float(rows[len(first)]["steps"]) >= float(first[-1]["steps"])
    more = run(tmp_path, config, "--steps", "800")
    assert more.exit_code == 0
    assert float(curve(tmp_path)[-1]["steps"]) == float(rows[-1]["steps"])


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
    with (tmp_path / "run" / "log" / "progress.csv").open() as stream:
        prices = [float(row["constraint/price"] or 0.0) for row in csv.DictReader(stream)]
    assert prices[-1] > prices[0] >= 0.0


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
