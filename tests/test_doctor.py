"""The doctor passes a sound installation, and names what is broken."""

import sys

import numpy as np
import pytest

from experiments import doctor
from experiments.cli import main
from experiments.perf import made_alike, steps_per_s


def run(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["mmg", "doctor"])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_all_is_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert run(monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == [f"ok      {n}" for n in doctor.CHECKS]
    assert lines[-1] == "all is well"


def test_what_is_broken_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> str:
        raise RuntimeError("out of order")

    monkeypatch.setattr(doctor, "CHECKS", {"versions": doctor.check_versions, "solver": broken})
    assert run(monkeypatch) == 1
    out, err = capsys.readouterr()
    assert "FAILED  solver: RuntimeError: out of order" in out
    assert "ok      versions" in out
    assert err == "failed: solver\n"


def test_a_missing_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PACKAGES", ("numpy", "no-such-package"))
    with pytest.raises(doctor.CheckError, match="not installed: no-such-package"):
        doctor.check_versions()


def test_the_empty_environment_has_the_spaces_of_the_real_one() -> None:
    envs = made_alike()
    real, empty = envs["s1_3mg"], envs["no-op"]
    assert empty.observation_space == real.observation_space
    assert empty.action_space == real.action_space
    observation, _ = empty.reset(seed=0)
    steps = 0
    done = False
    while not done:
        observation, _, _, done, _ = empty.step(np.zeros(empty.action_space.shape or ()))
        steps += 1
    assert steps == 24
    assert empty.observation_space.contains(observation)
    assert all(steps_per_s(env, 50) > 0.0 for env in envs.values())
