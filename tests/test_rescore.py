"""Rescoring: trains what is missing and nothing twice, and says what the records say."""

import csv

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from baselines.agent import read_agent
from experiments.aggregates import two_level_difference
from experiments.cli import app
from mmg_env.errors import InputError

LEARNER = {
    "algorithm": "ppo",
    "envs": 4,
    "network": [8],
    "evaluate_every": 200,
    "settings": {"n_steps": 24, "batch_size": 48},
}
STUDY = {
    "suites": ["tiny"],
    "seeds": 2,
    "splits": {"test": 4, "shift": 3},
    "references": ["tuned_rule", "mpc"],
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(folder, *words, **fields):
    learner = folder / "learner.yaml"
    learner.write_text(yaml.safe_dump(LEARNER))
    how = {"small": {"algorithm": "ppo", "agent": str(learner), "steps": 200}}
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(STUDY | {"learners": how} | fields))
    line = ["rescore", "--config", str(file), "--workers", "1", "--out", str(folder / "out")]
    return CliRunner().invoke(app, [*line, *words])


def test_it_trains_scores_and_publishes(tmp_path):
    place = tmp_path / "published"
    done = run(tmp_path, "--train", "--publish", str(place))
    assert done.exit_code == 0, done.output
    rows = pq.read_table(place / "costs.parquet").to_pylist()
    assert len(rows) == (4 + 3) * (3 + 2)
    assert {row["policy"] for row in rows} == {"oracle", "tuned_rule", "mpc", "small"}
    assert {row["seed"] for row in rows if row["policy"] == "small"} == {0, 1}
    page = (place / "tables.md").read_text()
    assert "tiny, test, 4 episodes" in page
    assert "small (2)" in page
    with (place / "curves.csv").open() as stream:
        curves = list(csv.DictReader(stream))
    assert {(row["learner"], row["seed"]) for row in curves} == {("small", "0"), ("small", "1")}

    def costs(policy):
        found = [r for r in rows if r["policy"] == policy and r["split"] == "test"]
        seeds = max(r["seed"] for r in found) + 1
        return np.array([r["cost"] for r in found]).reshape(seeds, -1)

    saved = two_level_difference(
        costs("tuned_rule"), costs("small"), np.random.default_rng(0)
    ).value
    assert f"{saved:,.0f} (".replace(",", " ") in page


def test_what_stands_is_neither_trained_nor_played_again(tmp_path):
    first = run(tmp_path, "--train")
    weights = tmp_path / "out" / "agents" / "tiny" / "small-0" / "agent" / "weights.npz"
    made = weights.stat().st_mtime_ns
    again = run(tmp_path, "--train")
    assert weights.stat().st_mtime_ns == made
    assert first.stdout.splitlines()[-3:] == again.stdout.splitlines()[-3:]
    assert "trained small" in first.output
    assert "trained small" not in again.output


def test_a_learner_that_was_changed_is_trained_anew(tmp_path, monkeypatch):
    run(tmp_path, "--train", "--seeds", "1")
    assert "1 of 1 agents are trained" in run(tmp_path, "--seeds", "1").output
    monkeypatch.setitem(LEARNER, "network", [9])
    assert "0 of 1 agents are trained" in run(tmp_path, "--seeds", "1").output
    assert "trained small" in run(tmp_path, "--train", "--seeds", "1").output
    _, network = read_agent(tmp_path / "out" / "agents" / "tiny" / "small-0" / "agent")
    assert network.layers[0][1].shape == (9,)


def test_without_train_it_scores_what_there_is(tmp_path):
    done = run(tmp_path)
    assert done.exit_code == 0, done.output
    assert "0 of 2 agents are trained" in done.output
    run(tmp_path, "--train", "--seeds", "1")
    assert "1 of 2 agents are trained" in run(tmp_path).output


def test_names_and_keys_that_do_not_exist_are_refused(tmp_path):
    wrong = run(tmp_path, "--learner", "nobody").exception
    assert isinstance(wrong, InputError)
    assert "nobody is not one of small" in str(wrong)
    assert "sedes" in str(run(tmp_path, sedes=3).exception)


def test_the_best_agent_on_val_is_shipped_with_its_curve(tmp_path, monkeypatch):
    place = tmp_path / "shipped"
    monkeypatch.setattr("experiments.rescore.SHIPPED", place)
    done = run(tmp_path, "--train", "--ship", "small")
    assert done.exit_code == 0, done.output
    facts, _ = read_agent(place / "tiny-small")
    costs = [
        read_agent(tmp_path / "out" / "agents" / "tiny" / f"small-{seed}" / "agent")[0].training
        for seed in (0, 1)
    ]
    assert facts.training["val_cost"] == min(cost["val_cost"] for cost in costs)
    assert facts.name == "tiny-small"
    assert (place / "tiny-small" / "curve.csv").exists()
