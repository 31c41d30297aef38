"""The command: what it writes, how it resumes, what it refuses."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.table import Table

import baselines
from experiments.bench import BenchmarkConfig, read_benchmark, show
from experiments.cli import main
from experiments.engine import exclusive
from experiments.records import read_record
from mmg_env.errors import ConfigError
from mmg_env.layout import L
from mmg_env.system import System

QUICK = ("--suite", "s1_3mg", "--episodes", "2", "--policies", "idle,tuned_rule", "--workers", "1")
Mmg = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mmg(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Mmg:
    """Return a function that runs the command in this process."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mmg", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), out, err

    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a benchmark that ran; tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mmg", "bench", *QUICK, "--out", str(folder)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code
    return folder


def records(folder: Path) -> dict[tuple[str, int], dict[str, object]]:
    found = [read_record(file) for file in sorted(folder.rglob("*.parquet"))]
    return {(record["policy"], record["episode"]): record for record in found}


def touched(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*.parquet")}


def failing(system: System) -> baselines.rules.Idle:
    raise RuntimeError(f"no luck with {system.name}")


def test_a_table_is_shown_in_full_however_narrow_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    grid = Table()
    texts = ["agents/" + 90 * "x", "33 858", "0.45"]
    for _ in texts:
        grid.add_column(no_wrap=True)
    grid.add_row(*texts)
    show(grid)
    out = capsys.readouterr().out
    assert all(text in out for text in texts)


def test_records(finished: Path) -> None:
    found = records(finished)
    # The oracle runs silently, because the score needs it.
    policies = ("idle", "oracle", "tuned_rule")
    assert sorted(found) == [(policy, episode) for policy in policies for episode in (0, 1)]
    for (policy, _), record in found.items():
        assert (record["suite"], record["split"], record["status"]) == ("s1_3mg", "test", "ok")
        assert set(L.names()) <= set(record)
        assert record["bound"] == (policy == "oracle")
        assert np.isfinite(record["objective"]) == (policy == "oracle")
        assert np.isfinite(record["decision_ms_p95"]) == (policy != "oracle")
    assert all(found["oracle", i]["cost"] <= found["tuned_rule", i]["cost"] for i in (0, 1))


def test_nothing_but_records_reports_and_trajectories(finished: Path) -> None:
    names = {file.name for file in finished.rglob("*") if file.is_file()}
    assert names == {".lock", "report.html", "00000.parquet", "00001.parquet", "00000.npz"}
    assert all("records" in file.parts for file in finished.rglob("*.parquet"))


def test_a_second_run_repeats_nothing(mmg: Mmg, finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "copy"))
    before = touched(folder)
    code, out, err = mmg("bench", *QUICK, "--out", folder)
    assert code == 0
    assert touched(folder) == before
    assert "6 of 6 cells are done already" in err
    assert "tuned_rule" in out
    assert "idle" in out
    assert "oracle" not in out.replace("report:", "")


def test_more_episodes_keep_the_first(mmg: Mmg, finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "copy"))
    before = touched(folder)
    code, _, _ = mmg("bench", *QUICK, "--episodes", 3, "--out", folder)
    after = touched(folder)
    assert code == 0
    assert len(after) == len(before) + 3
    assert all(after[file] == stamp for file, stamp in before.items())


def test_a_failing_policy(mmg: Mmg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(baselines.POLICIES, "broken", failing)
    words = ("bench", *QUICK[:-4], "--policies", "broken,tuned_rule,oracle", "--workers", 1)
    code, out, err = mmg(*words, "--out", tmp_path)
    assert code == 1
    assert "failed: broken on s1_3mg, test episode 0: RuntimeError: no luck with s1_3mg" in err
    assert "2 of 6 cells failed; see the report" in err
    assert "(2 failed)" in out
    found = records(tmp_path)
    assert "in failing" in str(found["broken", 0]["traceback"])
    assert [found["tuned_rule", i]["status"] for i in (0, 1)] == ["ok", "ok"]
    assert "no luck with s1_3mg" in (tmp_path / "report.html").read_text()

    before = touched(tmp_path)
    monkeypatch.setitem(baselines.POLICIES, "broken", baselines.POLICIES["idle"])
    code, _, err = mmg(*words, "--out", tmp_path)
    assert code == 0
    assert "2 records failed before" in err
    changed = {
        file.parent.name for file, stamp in touched(tmp_path).items() if before[file] != stamp
    }
    assert changed == {"broken"}


def test_killed_in_the_middle(tmp_path: Path, mmg: Mmg) -> None:
    words = ["bench", *QUICK[:2], "--episodes", "20", *QUICK[4:], "--out", str(tmp_path)]
    script = "from experiments.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, *words], stderr=subprocess.DEVNULL, env=os.environ
    )
    try:
        deadline = time.monotonic() + 60.0
        while len(touched(tmp_path)) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = touched(tmp_path)
    assert 4 <= len(before) < 60
    assert not (tmp_path / "report.html").exists()
    # A file that a kill in the middle of a write would leave.
    (tmp_path / "records" / ".00099.parquet.1-a.tmp").write_text("half")

    code, _, err = mmg(*words)
    after = touched(tmp_path)
    assert code == 0
    assert f"{len(before)} of 60 cells are done already" in err
    assert len(after) == 60
    assert all(after[file] == stamp for file, stamp in before.items())
    assert not list(tmp_path.rglob("*.tmp"))
    assert (tmp_path / "report.html").exists()


def test_two_workers_give_the_numbers_of_one(mmg: Mmg, finished: Path, tmp_path: Path) -> None:
    code, _, _ = mmg("bench", *QUICK[:-2], "--workers", 2, "--out", tmp_path)
    assert code == 0
    one, two = records(finished), records(tmp_path)
    assert {key: record["cost"] for key, record in one.items()} == {
        key: record["cost"] for key, record in two.items()
    }


def refused(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    return err.strip()


def test_unknown_names(mmg: Mmg, tmp_path: Path) -> None:
    tail = ("--workers", 1, "--out", tmp_path / "out")
    err = refused(mmg("bench", "--suite", "s1_3mgg", *tail))
    assert err.startswith('no system or suite "s1_3mgg"; did you mean "s1_3mg"?')
    err = refused(mmg("bench", "--suite", "s1_3mg", "--policies", "idle,time_of_us", *tail))
    assert err.startswith('no policy "time_of_us"; did you mean "time_of_use"? Known: idle, ')
    err = refused(mmg("bench", "--suite", "s1_3mg", "--policies", "idle", "--split", "tst", *tail))
    assert err == 'no split "tst"; did you mean "test"? Known: train, val, test, shift'
    err = refused(mmg("bench", "--config", "smok", *tail))
    assert err.startswith(
        'no benchmark "smok"; did you mean "smoke"? Known: agents, bargaining, default, '
    )
    assert not (tmp_path / "out").exists()


def test_too_many_episodes(mmg: Mmg, tmp_path: Path) -> None:
    err = refused(mmg("bench", *QUICK, "--episodes", 129, "--out", tmp_path))
    assert err == "episodes: 129 is more than the 128 of the split test of s1_3mg"


def test_no_policy_at_all(mmg: Mmg, tmp_path: Path) -> None:
    err = refused(mmg("bench", *QUICK, "--policies", " , ", "--out", tmp_path))
    assert err == "--policies: no name is given; give some, as idle,time_of_use"


def test_a_folder_that_is_a_file(mmg: Mmg, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    err = refused(mmg("bench", *QUICK, "--out", file))
    assert err.startswith(f"{file}: cannot be written: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(mmg: Mmg, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    err = refused(mmg("bench", *QUICK, "--out", tmp_path))
    assert err == f"{tmp_path}: cannot be written: Permission denied"


def test_two_benchmarks_in_one_folder(mmg: Mmg, tmp_path: Path) -> None:
    with exclusive(tmp_path):
        err = refused(mmg("bench", *QUICK, "--out", tmp_path))
    holder = f"another run (process {os.getpid()}) is writing here"
    assert err == f"{tmp_path}: {holder}; wait for it, or choose another --out"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("episode: 3", '3: episode: unknown key; did you mean "episodes"?'),
        ("episodes: 0", "3: episodes: 0 must be at least 1"),
        ("episodes: many", '3: episodes: "many" must be a whole number'),
        ("policies: idle", '3: policies: "idle" must be a list'),
        ("policies: []", "3: policies: has 0 entries; it must have at least 1"),
    ],
)
def test_a_file_is_checked_by_line(tmp_path: Path, line: str, sentence: str) -> None:
    file = tmp_path / "b.yaml"
    policies = "" if line.startswith("policies") else "policies: [idle]\n"
    file.write_text(f"# a comment\nsuite: s1_3mg\n{line}\n{policies}")
    with pytest.raises(ConfigError) as caught:
        read_benchmark(str(file))
    assert str(caught.value) == f"{file}:{sentence}"


def test_a_missing_file(mmg: Mmg) -> None:
    assert (
        refused(mmg("bench", "--config", "no/such.yaml")) == "no/such.yaml: there is no such file"
    )


def test_the_command_line_wins(mmg: Mmg, tmp_path: Path) -> None:
    file = tmp_path / "b.yaml"
    file.write_text(
        f"suite: s1_3mg\nepisodes: 7\npolicies: [random]\nworkers: 1\nout: {tmp_path / 'file'}\n"
    )
    words = ("--episodes", 1, "--policies", "idle,tuned_rule", "--out", tmp_path / "line")
    assert mmg("bench", "--config", file, *words)[0] == 0
    assert not (tmp_path / "file").exists()
    assert {key for key in records(tmp_path / "line") if key[0] != "oracle"} == {
        ("idle", 0),
        ("tuned_rule", 0),
    }


@pytest.mark.parametrize("name", ["default", "smoke", "full"])
def test_shipped_benchmarks(name: str) -> None:
    plan = read_benchmark(name)
    assert "oracle" in plan.policies
    assert plan.split == "test"


def test_the_command_of_a_plan_can_be_typed() -> None:
    plan = BenchmarkConfig(suite="my suite.yaml", policies=("idle", "oracle"), out="x")
    assert plan.command() == (
        "mmg bench --suite 'my suite.yaml' --split test --episodes 10 "
        "--policies idle,oracle --out x"
    )
