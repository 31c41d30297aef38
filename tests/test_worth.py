"""The command `mmg worth`: its figures by hand, what it writes, what it refuses."""

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

import baselines
from experiments.cli import app
from experiments.report.worth import Found, Promise, promise_grid, promise_rows, worth_rows
from experiments.worth import SUITES, worth_of_episode
from mmg_env import load_system
from mmg_env.errors import InputError

QUICK = ("--suite", "s2_crh", "--episodes", "2", "--scenarios", "3", "--others", "2")


def mmg(*words: object) -> Result:
    return CliRunner().invoke(app, ["worth", "--workers", "1", *map(str, words)])


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """Return the folder and the output of a run in which policies play."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, mmg(*QUICK, "--policies", "idle,mpc", "--out", folder)


def found(**costs: list[float]) -> Found:
    """Return three episodes whose figures can be checked by hand."""
    planned = [np.array([10.0, 20.0, 30.0]) + more for more in (0.0, 2.0, -4.0)]
    played = {policy: np.array(own) for policy, own in costs.items()}
    return Found(
        "some", "EUR", "test", 10, 30, Promise(*planned, np.array([3.0, 0.0, -6.0])), played
    )


def test_gains_by_hand() -> None:
    gains = found().promise.gains()
    assert gains["of_stochastic_solution"] == pytest.approx((2.0, 2.0, 2.0))
    assert gains["of_perfect_information"] == pytest.approx((4.0, 4.0, 4.0))
    assert gains["elsewhere"].value == pytest.approx(-1.0)
    assert gains["elsewhere"].low < -1.0 < gains["elsewhere"].high
    (row,) = worth_rows([found()])
    assert (row["stochastic"], row["expected_value"], row["wait_and_see"]) == (20.0, 22.0, 16.0)
    assert (row["suite"], row["episodes"], row["scenarios"], row["others"]) == ("some", 3, 10, 30)


def test_what_was_played_stands_beside_what_was_promised_for_the_same_days() -> None:
    one = found(mpc=[11.0, 21.0, 31.0], broken=[15.0, np.nan, 35.0], never=[np.nan] * 3)
    mpc, broken = promise_rows([one])
    assert (mpc["policy"], mpc["episodes"], mpc["promised"], mpc["played"]) == (
        "mpc",
        3,
        20.0,
        21.0,
    )
    assert (mpc["above"], mpc["above_low"], mpc["above_high"]) == pytest.approx((1.0, 1.0, 1.0))
    assert (broken["policy"], broken["episodes"]) == ("broken", 2)
    assert (broken["promised"], broken["above"]) == pytest.approx((20.0, 5.0))
    assert [row[1].value for row in promise_grid([one]).rows] == ["mpc", "broken"]


def test_an_episode_is_worth_the_same_in_any_run() -> None:
    once, again, other = (worth_of_episode("s2_crh", "test", i, 3, 2) for i in (0, 0, 1))
    assert once == again
    assert once.stochastic != other.stochastic
    assert once.of_stochastic_solution >= -1e-6
    # Neither is there a common draw for planning and judging, nor does one change the other.
    more = worth_of_episode("s2_crh", "test", 0, 3, 4)
    assert more.stochastic == once.stochastic
    assert more.elsewhere != once.elsewhere
    assert worth_of_episode("s2_crh", "test", 0, 3, 3).elsewhere != once.of_stochastic_solution


def test_the_tables_are_printed_and_written(finished: tuple[Path, Result]) -> None:
    folder, done = finished
    assert done.exit_code == 0
    (row,) = rows(folder / "worth.csv")
    every = [worth_of_episode("s2_crh", "test", i, 3, 2) for i in (0, 1)]
    assert float(row["stochastic"]) == pytest.approx(np.mean([one.stochastic for one in every]))
    saved = float(row["of_stochastic_solution"])
    assert saved == pytest.approx(np.mean([one.of_stochastic_solution for one in every]))
    assert float(row["of_stochastic_solution_low"]) <= saved
    played = rows(folder / "promise.csv")
    assert [line["policy"] for line in played] == ["idle", "mpc"]
    assert all(line["promised"] == played[0]["promised"] for line in played)
    assert float(played[0]["played"]) > float(played[1]["played"])
    assert "VSS" in done.output
    assert f"{float(played[1]['played']):.2f}" in done.output


def test_policies_are_played_once(finished: tuple[Path, Result]) -> None:
    folder, _ = finished
    files = sorted((folder / "records").rglob("*.parquet"))
    assert len(files) == 4
    stamps = [file.stat().st_mtime_ns for file in files]
    again = mmg(*QUICK, "--policies", "idle,mpc", "--out", folder)
    assert "4 of 4 cells are done already" in again.output
    assert stamps == [file.stat().st_mtime_ns for file in files]


def test_without_policies_nothing_is_played(tmp_path: Path) -> None:
    done = mmg(*QUICK, "--out", tmp_path)
    assert done.exit_code == 0
    assert not (tmp_path / "records").exists()
    assert not (tmp_path / "promise.csv").exists()
    assert len(rows(tmp_path / "worth.csv")) == 1


def test_a_policy_that_fails_fails_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> object:
        raise RuntimeError("no luck")

    monkeypatch.setitem(baselines.POLICIES, "broken", broken)  # type: ignore[misc]
    done = mmg(*QUICK, "--policies", "broken,idle", "--out", tmp_path)
    assert done.exit_code == 1
    assert "2 cells failed" in done.output
    assert [line["policy"] for line in rows(tmp_path / "promise.csv")] == ["idle"]


def test_a_day_is_not_compared_with_a_week_unless_a_file_shortens_it(tmp_path: Path) -> None:
    words = ("--episodes", "2", "--policies", "idle", "--out", tmp_path / "out")
    done = mmg("--suite", "community_real", *words)
    assert isinstance(done.exception, InputError)
    assert str(done.exception).startswith("policies: an episode of community_real lasts 168 h, and")
    assert "`episode_h: 24`" in str(done.exception)
    assert not (tmp_path / "out").exists()
    file = tmp_path / "one_day.yaml"
    file.write_text(yaml.safe_dump({"name": "one_day", "system": "s2_crh", "episode_h": 24}))
    scarce = ("--scenarios", "1", "--others", "1")
    assert mmg("--suite", file, *words, *scarce).exit_code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--suite", "s2_cr"), 'no system or suite "s2_cr"; did you mean "s2_crh"?'),
        (("--split", "tst"), 'no split "tst"'),
        (("--policies", "mpcc"), 'no policy "mpcc"'),
        (("--episodes", "129"), "episodes: 129 is more than the 128 of the split test"),
    ],
)
def test_what_does_not_exist_is_refused(words: tuple[str, ...], sentence: str) -> None:
    done = mmg("--suite", "s2_crh", *words)
    assert isinstance(done.exception, InputError)
    assert sentence in str(done.exception)


def test_the_suites_that_it_plans_unless_told_otherwise_are_of_one_day() -> None:
    assert [load_system(name).config.episode_h for name in SUITES] == [24, 24, 24]
