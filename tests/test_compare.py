"""The command `mmg compare`: differences by hand, from records that a benchmark left."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from experiments.cli import app
from experiments.compare import differ
from experiments.records import Cell, EvaluationRecord, origin_of, write_record
from mmg_env import load_system
from mmg_env.errors import InputError

COSTS = {"mpc": [10.0, 30.0, 20.0, 40.0], "idle": [12.0, 31.0, 25.0, 60.0]}


def record(policy: str, episode: int, cost: float, **changes: object) -> EvaluationRecord:
    system = load_system("s2_crh")
    return {
        **vars(Cell(system.name, "test", episode, policy)),
        **{"cost": cost, "unserved_kwh": cost / 10.0, "unserved_heat_kwh": 1.0, "status": "ok"},
        **vars(origin_of(system, policy)),
        **changes,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder in which a benchmark has left records."""
    for policy, costs in COSTS.items():
        for episode, cost in enumerate(costs):
            write_record(tmp_path, record(policy, episode, cost))
    return tmp_path


def mmg(folder: Path, policies: str = "mpc,idle") -> Result:
    words = ["compare", "--suite", "s2_crh", "--policies", policies, "--out", str(folder)]
    return CliRunner().invoke(app, words)


def test_differences_by_hand() -> None:
    found = {
        policy: {i: record(policy, i, cost) for i, cost in enumerate(costs)}
        for policy, costs in COSTS.items()
    }
    pair = differ(found, range(4), "mpc", "idle")
    assert pair.cost.value == pytest.approx(-7.0)
    assert pair.cost.low < -7.0 < pair.cost.high < 0.0
    assert pair.cvar.value == pytest.approx(40.0 - 60.0)
    assert pair.unserved.value == pytest.approx(-0.7)
    other = differ(found, range(4), "idle", "mpc")
    assert other.cost.value == -pair.cost.value
    assert differ(found, [0, 1], "mpc", "idle").cost.value == pytest.approx(-1.5)


def test_what_is_printed(folder: Path) -> None:
    done = mmg(folder)
    assert done.exit_code == 0
    assert "s2_crh, test, 4 episodes" in done.output
    for text in ("mpc \u2212 idle", "\u22127.00", "\u221220.00", "\u22120.70"):
        assert text in done.output
    assert sorted(path.name for path in folder.iterdir()) == ["records"]


def test_pairs_are_all_there_are_and_names_given_twice_count_once(folder: Path) -> None:
    for episode in range(4):
        write_record(folder, record("random", episode, 100.0))
    done = mmg(folder, "mpc, idle,mpc,random")
    assert done.output.count(" \u2212 ") == 3
    assert "idle \u2212 random" in done.output


def test_episodes_that_one_has_not_played_or_failed_count_for_none(folder: Path) -> None:
    write_record(folder, record("mpc", 4, 1000.0))
    write_record(folder, record("idle", 3, float("nan"), status="failed"))
    done = mmg(folder)
    assert "3 episodes" in done.output
    assert "1 records failed; their episodes are left out for all" in done.output
    assert "\u22122.67" in done.output


def test_records_of_another_code_are_named(folder: Path) -> None:
    write_record(folder, record("mpc", 0, 10.0, code_sha256="older"))
    done = mmg(folder)
    assert done.exit_code == 0
    assert "1 records stem from another configuration, code or version" in done.output


def refused(done: Result) -> str:
    assert isinstance(done.exception, InputError)
    return str(done.exception)


def test_records_of_two_configurations_are_refused(folder: Path) -> None:
    write_record(folder, record("mpc", 0, 10.0, config_sha256="another"))
    assert "stem from different configurations" in refused(mmg(folder))


def test_what_is_not_there_is_refused(folder: Path) -> None:
    assert refused(mmg(folder, "mpc,mpc")).startswith("--policies: 'mpc,mpc' names 1; a comparison")
    sentence = refused(mmg(folder, "mpc,random"))
    assert "no records of random on s2_crh, test" in sentence
    for episode in range(4):
        write_record(folder, record("idle", episode, 0.0, status="failed"))
    assert "have no episode in common that all played" in refused(mmg(folder))
