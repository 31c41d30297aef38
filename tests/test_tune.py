"""Tuning: looks at val alone, says what it spent, and leaves a learner that can be trained."""

import csv

import pytest
import yaml
from typer.testing import CliRunner

from experiments.agent_config import read_agent_config
from experiments.cli import app
from mmg_env.errors import InputError

SMALL = {
    "envs": 4,
    "network": [8],
    "evaluate_every": 200,
    "algorithm": "ppo",
    "settings": {"n_steps": 24, "batch_size": 48},
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(folder, config, *words):
    file = folder / "learner.yaml"
    file.write_text(yaml.safe_dump(config))
    line = ["tune", "--suite", "tiny", "--algo", config["algorithm"], "--agent", str(file)]
    line += ["--steps", "200", "--trials", "3", "--out", str(folder / "run")]
    return CliRunner().invoke(app, [*line, *words])


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_the_best_of_the_trials_is_a_learner(tmp_path, algorithm):
    config = SMALL | {"algorithm": algorithm}
    if algorithm == "sac":
        config["settings"] = {"learning_starts": 50, "buffer_size": 500}
    done = run(tmp_path, config)
    assert done.exit_code == 0, done.output
    with (tmp_path / "run" / "trials.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert all(int(row["steps"]) == 200 and float(row["seconds"]) > 0.0 for row in rows)
    best = read_agent_config(str(tmp_path / "run" / "best.yaml"))
    assert best.algorithm == algorithm
    cheapest = min(rows, key=lambda row: float(row["val_cost"]))
    assert str(best.settings["learning_rate"])[:8] in cheapest["settings"]
    assert "600 steps" in done.output


def test_a_folder_that_is_taken_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "something").touch()
    assert isinstance(run(tmp_path, SMALL).exception, InputError)


@pytest.mark.parametrize("algorithm", ["bc", "forecast"])
def test_what_does_not_play_has_nothing_to_tune(tmp_path, algorithm):
    config = SMALL | {"algorithm": algorithm, "settings": {}}
    words = ("--warm-start", "idle") if algorithm == "bc" else ()
    refused = run(tmp_path, config, *words).exception
    assert isinstance(refused, InputError)
    assert f"{algorithm} has nothing to tune" in str(refused)


def test_the_file_must_be_of_the_algorithm(tmp_path):
    refused = run(tmp_path, SMALL, "--algo", "sac").exception
    assert isinstance(refused, InputError)
    assert "says algorithm: ppo" in str(refused)
