"""The grid goes on whatever a cell does, and one folder takes one grid."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import baselines
from experiments.engine import LOCK, ORACLE, Outcome, Task, evaluate, exclusive, pending, run_grid
from experiments.records import Cell, Origin, origin_of, read_record
from mmg_env.errors import InputError
from mmg_env.system import System, load_system

SOURCE = "s1_3mg"


@pytest.fixture(scope="module")
def origin() -> Origin:
    return origin_of(load_system(SOURCE))


@pytest.fixture
def tasks(tmp_path: Path, origin: Origin) -> list[Task]:
    cells = [Cell(SOURCE, "test", episode, "idle") for episode in range(4)]
    return [Task(cell, SOURCE, tmp_path, origin) for cell in cells]


class Broken:
    """A policy that raises in its second step."""

    def __init__(self, system: System) -> None:
        self.inner = baselines.POLICIES["idle"](system)

    def reset(self, rng: np.random.Generator) -> None:
        self.inner.reset(rng)
        self.steps = 0

    def act(self, observation: np.ndarray, info: dict[str, object]) -> np.ndarray:
        self.steps += 1
        if self.steps == 2:
            raise ZeroDivisionError("the second step")
        return self.inner.act(observation, info)


def instant(task: Task) -> Outcome:
    return Outcome(task.cell, "ok", "", 0.0)


def die_on_the_second(task: Task) -> Outcome:
    if task.cell.episode == 1:
        os._exit(7)
    return instant(task)


def test_a_cell_leaves_a_record(tasks: list[Task]) -> None:
    outcome = evaluate(tasks[0])
    record = read_record(tasks[0].cell.file(tasks[0].folder))
    assert (outcome.cell, outcome.status) == (tasks[0].cell, "ok")
    assert record["cost"] > 0.0
    assert record["decision_ms_p50"] > 0.0
    assert pending(tasks) == tasks[1:]


def test_the_same_cell_gives_the_same_numbers(tasks: list[Task], tmp_path: Path) -> None:
    again = replace(tasks[1], folder=tmp_path / "again")
    costs = []
    for task in (tasks[1], again):
        evaluate(task)
        costs.append(read_record(task.cell.file(task.folder))["cost"])
    assert costs[0] == costs[1]


def test_the_oracle_is_a_bound(tasks: list[Task]) -> None:
    task = replace(tasks[0], cell=replace(tasks[0].cell, policy=ORACLE))
    evaluate(task)
    evaluate(tasks[0])
    bound = read_record(task.cell.file(task.folder))
    idle = read_record(tasks[0].cell.file(task.folder))
    assert bound["status"] == "ok", bound["traceback"]
    assert bound["bound"]
    assert bound["cost"] <= bound["objective"] <= idle["cost"]
    assert np.isnan(bound["decision_ms_p50"])


def test_a_policy_that_raises_is_recorded_and_retried(
    tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(baselines.POLICIES, "broken", Broken)
    broken = [replace(task, cell=replace(task.cell, policy="broken")) for task in tasks[:2]]
    mixed = [broken[0], tasks[0], broken[1], tasks[1]]
    outcomes = {outcome.cell: outcome for outcome in run_grid(mixed, workers=1)}
    assert [outcomes[task.cell].status for task in mixed] == ["failed", "ok", "failed", "ok"]
    assert outcomes[broken[0].cell].reason == "ZeroDivisionError: the second step"
    record = read_record(broken[0].cell.file(broken[0].folder))
    assert "in act" in record["traceback"]
    assert record["traceback"].endswith("ZeroDivisionError: the second step\n")
    assert pending(mixed) == broken


def test_stale_records_are_run_again(tasks: list[Task]) -> None:
    evaluate(tasks[1])
    assert pending(tasks[1:2]) == []
    edited = replace(tasks[1], origin=replace(tasks[1].origin, code_sha256="edited"))
    assert pending([edited]) == [edited]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_answered(tasks: list[Task], workers: int) -> None:
    outcomes = list(run_grid(tasks, workers, instant))
    assert {outcome.cell for outcome in outcomes} == {task.cell for task in tasks}


def test_nothing_to_do() -> None:
    assert list(run_grid([], 2)) == []


def test_a_process_that_dies_is_found_and_the_others_finish(tasks: list[Task]) -> None:
    outcomes = {outcome.cell.episode: outcome for outcome in run_grid(tasks, 2, die_on_the_second)}
    assert {episode: outcome.status for episode, outcome in outcomes.items()} == {
        0: "ok",
        1: "failed",
        2: "ok",
        3: "ok",
    }
    assert "the process died" in read_record(tasks[1].cell.file(tasks[1].folder))["traceback"]


def test_a_second_grid_is_refused(tmp_path: Path) -> None:
    sentence = f"process {os.getpid()}\\) is writing here"
    with exclusive(tmp_path), pytest.raises(InputError, match=sentence), exclusive(tmp_path):
        pass
    with exclusive(tmp_path):
        pass


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from experiments.engine import exclusive\n"
        f"with exclusive(Path({str(tmp_path)!r})): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -9
    assert (tmp_path / LOCK).read_text() != ""
    with exclusive(tmp_path):
        assert (tmp_path / LOCK).read_text() == str(os.getpid())


@pytest.mark.parametrize("make", [lambda file: file, lambda file: file / "below"])
def test_a_folder_that_cannot_be_written(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(InputError, match=r"file.*: cannot be written: "), exclusive(make(file)):
        pass
