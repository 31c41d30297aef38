"""Rescoring: trains what is missing and nothing twice, and says what the records say."""

import csv

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import Field
from typer.testing import CliRunner

from baselines.agent import read_agent
from experiments.agent_config import AgentConfig
from experiments.agent_file import write_agent
from experiments.aggregates import two_level_difference
from experiments.cli import app
from experiments.engine import live_through
from experiments.records import Cell, read_record
from experiments.report.words import amount
from experiments.rescore import LearnerConfig, Trainee
from mmg_env.config_file import config_directory
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
    assert f"{amount(saved)} (" in page
    for picture in ("curves.png", "profiles.png"):
        assert (place / picture).read_bytes().startswith(b"\x89PNG")


def test_a_suite_may_play_other_numbers_of_episodes(tmp_path):
    place = tmp_path / "published"
    done = run(tmp_path, "--train", "--publish", str(place), more={"tiny": {"test": 5}})
    assert done.exit_code == 0, done.output
    rows = pq.read_table(place / "costs.parquet").to_pylist()
    played = {
        split: {r["episode"] for r in rows if r["split"] == split} for split in STUDY["splits"]
    }
    assert played == {"test": set(range(5)), "shift": set(range(3))}
    refused = run(tmp_path, more={"large_50": {"test": 5}})
    assert refused.exit_code != 0
    assert isinstance(refused.exception, InputError)
    assert "more: large_50 is not one of the suites tiny" in str(refused.exception)


def test_the_seeds_and_episodes_that_are_written_are_the_real_ones(tmp_path, monkeypatch):
    def failing(system, cell):
        if (cell.policy, cell.episode) == ("mpc", 0) or ("small-0" in cell.policy):
            raise RuntimeError("no")
        return live_through(system, cell)

    run(tmp_path, "--train", splits={"shift": 2})
    monkeypatch.setattr("experiments.engine.live_through", failing)
    done = run(tmp_path, "--publish", str(tmp_path / "published"), splits={"test": 4})
    assert done.exit_code == 0, done.output
    rows = pq.read_table(tmp_path / "published" / "costs.parquet").to_pylist()
    assert {row["episode"] for row in rows} == {1, 2, 3}
    assert {row["seed"] for row in rows if row["policy"] == "small"} == {1}
    page = (tmp_path / "published" / "tables.md").read_text()
    assert "Left out: episode 0, where mpc failed; small, seed 0, which failed on 3 of 3" in page
    record = Cell("tiny", "test", 2, "tuned_rule").file(tmp_path / "out")
    found = [r["cost"] for r in rows if (r["policy"], r["episode"]) == ("tuned_rule", 2)]
    assert found == [read_record(record)["cost"]]


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


def test_a_folder_of_another_training_is_moved_aside(tmp_path, monkeypatch):
    run(tmp_path, "--train", "--seeds", "1")
    place = tmp_path / "out" / "agents" / "tiny"
    for n, width in enumerate((9, 7), start=1):
        before = (place / "small-0" / "agent" / "weights.npz").read_bytes()
        monkeypatch.setitem(LEARNER, "network", [width])
        again = run(tmp_path, "--train", "--seeds", "1")
        assert f"moved to small-0.before-{n}" in again.stderr
        kept = place / f"small-0.before-{n}" / "agent" / "weights.npz"
        assert kept.read_bytes() == before


def test_a_stamp_outlives_a_new_field(tmp_path, monkeypatch):
    class Newer(AgentConfig):
        patience: int = Field(3, description="New.")

    trainee = ("tiny", "tiny", "ppo", 0, LearnerConfig(algorithm="ppo", steps=1), tmp_path)
    before = Trainee(*trainee).stamp
    newer = Newer(**AgentConfig(algorithm="ppo").model_dump(exclude_unset=True))
    older = AgentConfig(algorithm="ppo")
    monkeypatch.setattr("experiments.rescore.read_agent_config", lambda _: older)
    expected = Trainee(*trainee).stamp
    assert expected != before  # what the shipped learner says is in it
    monkeypatch.setattr("experiments.rescore.read_agent_config", lambda _: newer)
    assert Trainee(*trainee).stamp == expected


def test_a_stamp_covers_the_agent_that_is_cloned(tmp_path):
    run(tmp_path, "--train", "--seeds", "1")
    folder = tmp_path / "out" / "agents" / "tiny" / "small-0" / "agent"
    how = LearnerConfig(algorithm="bc", warm_start=str(folder), steps=0)
    trainee = ("tiny", "tiny", "bc", 0, how, tmp_path)
    before = Trainee(*trainee).stamp
    facts, network = read_agent(folder)
    write_agent(folder, facts.model_copy(update={"name": "another"}), network)
    assert Trainee(*trainee).stamp != before


def test_a_suite_may_be_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    tiny = (config_directory() / "suites" / "tiny.yaml").read_text()
    file.write_text(yaml.safe_dump(yaml.safe_load(tiny) | {"name": "mine"}))
    done = run(tmp_path, "--train", "--seeds", "1", suites=[str(file)])
    assert done.exit_code == 0, done.output
    assert "failed" not in done.output
    assert "### mine, test, 4 episodes" in done.stdout
    assert (tmp_path / "out" / "agents" / "mine" / "small-0" / "agent").is_dir()


def test_what_would_fail_after_training_is_refused_before(tmp_path):
    def refusal(**fields):
        return str(run(tmp_path, "--train", **fields).exception)

    assert "splits.test" in refusal(splits={"test": 1})
    assert 'no split "tset"' in refusal(splits={"tset": 4})
    assert "is more than" in refusal(splits={"test": 10**6})
    assert 'no policy "mcp"' in refusal(references=["mcp"])
    assert "two are named tiny" in refusal(
        suites=["tiny", str(config_directory() / "suites" / "tiny.yaml")]
    )
    how = {"algorithm": "ppo", "steps": 200}
    assert "mpc is a policy" in refusal(learners={"mpc": how})
    assert not (tmp_path / "out" / "agents").exists()


def test_a_zero_that_fails_on_val_is_told(tmp_path, monkeypatch):
    def failing(system, cell):
        if (cell.split, cell.episode) in (("val", 3), ("val", 5)):
            raise RuntimeError("no")
        return live_through(system, cell)

    run(tmp_path, "--train", "--seeds", "1")
    for file in (tmp_path / "out" / "records").rglob("val/**/*.parquet"):
        file.unlink()
    monkeypatch.setattr("experiments.engine.live_through", failing)
    refused = run(tmp_path, "--seeds", "1").exception
    assert isinstance(refused, InputError)
    assert "tuned_rule failed on 2 of " in str(refused)


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
