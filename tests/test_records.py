"""A record is whole or absent, carries its key, and is trusted only if nothing changed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from experiments import records
from experiments.records import (
    Cell,
    Origin,
    failure,
    is_done,
    origin_of,
    read_record,
    read_trajectory,
    success,
    sweep,
    write_atomically,
    write_record,
    write_trajectory,
)
from mmg_env import load_system, sample_episode
from mmg_env.errors import InputError
from mmg_env.kpis import INDICATORS
from mmg_env.layout import L
from mmg_env.trajectory import Trajectory, simulate

CELL = Cell("s1_3mg", "test", 3, "idle")
ORIGIN = Origin("config", "code", "0.1.0")


@pytest.fixture(scope="module")
def trajectory() -> Trajectory:
    system = load_system("s1_3mg")
    episode = sample_episode(system, "test", 3)
    return simulate(system, episode, np.zeros((episode.steps, system.request_size)))


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


def test_a_record_comes_back(tmp_path: Path, trajectory: Trajectory) -> None:
    timed = replace(trajectory, decision_ms=np.arange(24.0))
    record = success(CELL, ORIGIN, {"cost": 12.5, "gas": 1.0, "co2_kg": 3.0}, timed)
    file = write_record(tmp_path, record)
    found = read_record(file)
    assert file == tmp_path / "records" / "s1_3mg" / "test" / "idle" / "00003.parquet"
    assert (found["suite"], found["split"], found["episode"], found["policy"]) == (
        "s1_3mg",
        "test",
        3,
        "idle",
    )
    assert (found["cost"], found["gas"], found["co2_kg"]) == (12.5, 1.0, 3.0)
    assert (found["decision_ms_p50"], found["status"], found["bound"]) == (11.5, "ok", False)
    assert np.isnan(found["objective"])
    assert files(tmp_path) == ["00003.parquet"]


def test_a_failure_has_a_traceback_and_no_numbers() -> None:
    record = failure(CELL, ORIGIN, "Traceback ...\nValueError: x")
    assert record["status"] == "failed"
    assert record["traceback"].endswith("ValueError: x")
    assert all(np.isnan(record[name]) for name in ("cost", *L.names(), *INDICATORS))


def test_failures_and_successes_share_a_schema_where_both_have_a_column(
    tmp_path: Path, trajectory: Trajectory
) -> None:
    indicators = {"cost": 1.0, **dict.fromkeys([*L.names(), *INDICATORS], 0.0)}
    good = write_record(tmp_path, success(CELL, ORIGIN, indicators, trajectory))
    bad = write_record(tmp_path, failure(replace(CELL, episode=4), ORIGIN, "x"))
    one, other = pq.read_schema(good), pq.read_schema(bad)
    assert all(one.field(name).type == other.field(name).type for name in other.names)


def test_what_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def half(temporary: Path) -> None:
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "x", half)
    assert files(tmp_path) == []


def test_a_full_or_forbidden_place_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file where a folder is needed")
    with pytest.raises(InputError, match=r"00003\.parquet: cannot be written: "):
        write_record(tmp_path, failure(CELL, ORIGIN, "x"))


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    file.write_text("not parquet")
    with pytest.raises(InputError, match=r"x\.parquet: not a record"):
        read_record(file)


def test_done_means_succeeded_from_the_same_origin(tmp_path: Path, trajectory: Trajectory) -> None:
    assert not is_done(tmp_path, CELL, ORIGIN)
    write_record(tmp_path, failure(CELL, ORIGIN, "x"))
    assert not is_done(tmp_path, CELL, ORIGIN)
    write_record(tmp_path, success(CELL, ORIGIN, {"cost": 1.0}, trajectory))
    assert is_done(tmp_path, CELL, ORIGIN)
    for other in (Origin("x", "code", "0.1.0"), Origin("config", "x", "0.1.0")):
        assert not is_done(tmp_path, CELL, other)
    file = CELL.file(tmp_path)
    file.write_bytes(file.read_bytes()[:100])
    assert not is_done(tmp_path, CELL, ORIGIN)


def test_the_drawn_episode_needs_its_trajectory(tmp_path: Path, trajectory: Trajectory) -> None:
    first = replace(CELL, episode=records.DRAWN_EPISODE)
    write_record(tmp_path, success(first, ORIGIN, {"cost": 1.0}, trajectory))
    assert not is_done(tmp_path, first, ORIGIN)
    write_trajectory(tmp_path, first, trajectory)
    assert is_done(tmp_path, first, ORIGIN)


def test_a_trajectory_comes_back(tmp_path: Path, trajectory: Trajectory) -> None:
    assert read_trajectory(tmp_path, CELL, trajectory.system) is None
    write_trajectory(tmp_path, CELL, trajectory)
    found = read_trajectory(tmp_path, CELL, trajectory.system)
    assert found is not None
    assert np.array_equal(found.flows, trajectory.flows)
    assert np.array_equal(found.episode.values, trajectory.episode.values)
    assert found.cost == trajectory.cost


def test_a_sweep_takes_temporary_files_only(tmp_path: Path) -> None:
    kept = write_record(tmp_path, failure(CELL, ORIGIN, "x"))
    kept.with_name(f".00004.parquet.1-a{records.TEMPORARY}").write_text("half")
    sweep(tmp_path)
    assert files(tmp_path) == ["00003.parquet"]


def test_names_that_are_no_file_names_stay_apart() -> None:
    folder = Path("x")
    suites = ["a/b", "a b", "../a", "a_b", "a.b"]
    assert len({replace(CELL, suite=suite).file(folder) for suite in suites}) == len(suites)
    assert all(
        replace(CELL, suite=suite).file(folder).parts[:2] == ("x", "records") for suite in suites
    )
    assert all(".." not in replace(CELL, suite=suite).file(folder).parts for suite in suites)


def test_the_origin_follows_the_configuration() -> None:
    plain, dearer = load_system("s1_3mg"), load_system("s1_3mg", {"pool.fee_per_kwh": 0.02})
    assert origin_of(plain) == origin_of(load_system("s1_3mg"))
    assert origin_of(plain).config_sha256 != origin_of(dearer).config_sha256
    assert origin_of(plain).code_sha256 == origin_of(dearer).code_sha256
