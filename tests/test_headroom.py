"""The gate on costs that can be checked by hand, and the command on a small suite."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

import baselines
from experiments import headroom
from experiments.cli import app
from experiments.gate import Criterion, Ladder, judge, rungs, wanted_episodes
from experiments.headroom import constant_heat, grid_fails, is_regression, plan_study, read_episodes
from experiments.report.rungs import gate_grid, markdown_table, verdict
from mmg_env import CommunityEnv, load_system, rollout, sample_episode
from mmg_env.config_file import suite_names
from mmg_env.errors import InputError
from mmg_env.layout import L
from mmg_env.splits import split_size
from mmg_env.system import System

Array = NDArray[np.float64]

# Per episode: what can be saved is 100 from the rule to the oracle, 200 from idle.
MEANS = {"idle": 300.0, "rule": 200.0, "mpc_climatology": 175.0, "mpc": 150.0, "oracle": 100.0}


def ladder(
    episodes: int = 4, shed_kwh: float = 0.0, grid_fails: bool = False, **means: float
) -> Ladder:
    """Return rungs with the given means; each episode is as dear as the others times a factor."""
    factor = np.linspace(0.9, 1.1, episodes)
    costs = {name: mean * factor for name, mean in (MEANS | means).items()}
    nothing = np.zeros(episodes)
    return Ladder(
        suite="some",
        currency="EUR",
        regression=False,
        rule="rule",
        costs=costs,
        unserved_kwh=dict.fromkeys(costs, nothing) | {"idle": nothing + shed_kwh},
        heat=60.0 * factor,
        grid_fails=grid_fails,
    )


def criteria(found: Ladder) -> dict[str, Criterion]:
    return {criterion.name: criterion for criterion in judge(found)}


def test_criteria_by_hand() -> None:
    found = criteria(ladder())
    # 50 above a bound of 100, of which 60 is heat that nobody can change.
    assert found["regret of MPC"].found.value == pytest.approx(50.0 / 40.0)
    assert found["worth of forecasts"].found.value == pytest.approx(25.0 / 100.0)
    assert found["way of the rule"].found.value == pytest.approx(100.0 / 200.0)
    assert found["rank stability"].found.value == pytest.approx(1.0)
    assert found["shed by idle, kWh"].found.value == 0.0
    assert all(criterion.met for criterion in found.values())


def test_rungs_by_hand() -> None:
    found = {rung.policy: rung for rung in rungs(ladder(shed_kwh=7.0))}
    assert list(found) == list(MEANS)
    assert found["mpc"].cost == pytest.approx(150.0)
    assert found["mpc"].score.value == pytest.approx(0.5)
    assert found["mpc"].regret.value == pytest.approx(1.25)
    assert found["mpc"].way.value == pytest.approx(0.75)
    assert found["idle"].score.value == pytest.approx(-1.0)
    assert [found[name].unserved_kwh for name in ("idle", "mpc")] == [7.0, 0.0]


@pytest.mark.parametrize(
    ("means", "missed"),
    [
        ({"mpc": 102.1}, []),
        ({"mpc": 101.9}, ["regret of MPC"]),
        ({"mpc_climatology": 160.1}, []),
        ({"mpc_climatology": 159.9}, ["worth of forecasts"]),
        ({"rule": 160.1}, []),
        ({"rule": 159.9}, ["way of the rule"]),
    ],
)
def test_each_limit(means: dict[str, float], missed: list[str]) -> None:
    found = judge(ladder(**means))
    assert [criterion.name for criterion in found if not criterion.met] == missed


def test_idle_that_sheds_counts_only_where_the_grid_never_fails() -> None:
    assert criteria(ladder(shed_kwh=0.9))["shed by idle, kWh"].met
    assert not criteria(ladder(shed_kwh=1.1))["shed by idle, kWh"].met
    assert "shed by idle, kWh" not in criteria(ladder(shed_kwh=1.1, grid_fails=True))


def test_a_ranking_that_turns_round_between_halves_is_missed() -> None:
    found = ladder(episodes=6)
    swing = np.tile([30.0, -30.0], 3)
    costs = dict(found.costs) | {"mpc": found.costs["mpc"] + swing}
    unstable = criteria(replace(found, costs=costs))["rank stability"]
    assert unstable.found.value == pytest.approx(2.0 / 3.0)
    assert not unstable.met
    assert unstable.sure is None


def test_the_interval_says_whether_a_criterion_is_sure() -> None:
    found = ladder(episodes=8)
    assert criteria(found)["worth of forecasts"].sure
    noise = np.tile([-60.0, 60.0], 4)
    costs = dict(found.costs) | {"mpc": found.costs["mpc"] + noise}
    worth = criteria(replace(found, costs=costs))["worth of forecasts"]
    assert worth.met
    assert worth.sure is False
    (row,) = gate_grid([replace(found, costs=costs)]).rows
    assert row[2].value == "0.25: met?"


def test_one_episode_is_too_few_for_intervals_and_halves() -> None:
    found = criteria(ladder(episodes=1))
    assert found["regret of MPC"].met
    assert found["regret of MPC"].sure is None
    assert not found["rank stability"].met
    assert np.isnan(wanted_episodes(ladder(episodes=1)))


def test_a_verdict_tells_what_is_missed() -> None:
    assert verdict(ladder()) == "passes the gate"
    poor = ladder(mpc=101.0, shed_kwh=3.0)
    told = (
        "regret of MPC is 2.5 %, it must be at least 5.0 %; "
        "shed by idle, kWh is 3.00, it must be at most 1.00"
    )
    assert verdict(poor) == f"misses the gate: {told}"
    assert verdict(replace(poor, regression=True)) == f"a regression suite, not judged ({told})"


def test_a_regression_suite_is_shown_and_not_judged() -> None:
    (row,) = gate_grid([replace(ladder(mpc=101.0), regression=True)]).rows
    assert row[0].spread == "4, regression"
    assert not any("met" in text.value or "missed" in text.value for text in row)


def test_a_criterion_that_one_suite_lacks_leaves_a_gap() -> None:
    text = markdown_table(gate_grid([ladder(), ladder(grid_fails=True)]))
    first, second = text.splitlines()[2:]
    assert "0.00: met" in first
    assert second.count("\u2013") == 1


# Constant heat


def idle_of(system: System, index: int = 0) -> Any:
    env = CommunityEnv(system, split="test")
    return rollout(env, baselines.POLICIES["idle"](system), options={"episode": index})


def test_constant_heat_is_what_members_without_a_unit_pay() -> None:
    changes = {"carbon.price_per_kg": 0.05, "carbon.grid_kg_per_kwh": 0.0}
    system = load_system("community_real", changes)
    played = idle_of(system)
    alone = [m for m, member in enumerate(system.config.members) if member.chp is None]
    assert len(alone) == 3
    terms = (L.gas, L.carbon, L.unserved_heat)
    paid = sum(float(played.account(term)[:, alone].sum()) for term in terms)
    assert paid > 100.0
    assert constant_heat(system, played.episode) == pytest.approx(paid)


def test_constant_heat_counts_what_the_boiler_cannot_serve() -> None:
    small = {"members[0].boiler.capacity_kw": 10.0, "members[1].boiler": None}
    system = load_system("community_real", small)
    played = idle_of(system)
    alone = [m for m, member in enumerate(system.config.members) if member.chp is None]
    paid = sum(float(played.account(x)[:, alone].sum()) for x in (L.gas, L.unserved_heat))
    assert constant_heat(system, played.episode) == pytest.approx(paid)


def test_members_with_units_have_no_constant_heat() -> None:
    system = load_system("s1_3mg")
    assert constant_heat(system, sample_episode(system, "test", 0)) == 0.0


def test_a_grid_that_fails_is_seen() -> None:
    sound = load_system("community_real")
    assert not any(grid_fails(sample_episode(sound, "test", i)) for i in range(5))
    frail = load_system("resilience")
    assert any(grid_fails(sample_episode(frail, "test", i)) for i in range(5))


# The command


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["headroom", *map(str, words)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("headroom")
    words = ("--suite", "s1_3mg", "--episodes", 2, "--workers", 1, "--out", folder / "out")
    return folder, run(*words, "--markdown", folder / "tables.md")


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_command_writes_its_tables(finished: tuple[Path, Result]) -> None:
    folder, result = finished
    assert result.exit_code == 0, result.output  # a regression suite cannot miss
    found = rows(folder / "out" / "headroom.csv")
    assert [row["policy"] for row in found][::4] == ["idle", "oracle"]
    assert float(found[-1]["score"]) == 1.0
    assert float(found[3]["cost"]) < float(found[0]["cost"])
    judged = {row["criterion"]: row for row in rows(folder / "out" / "gate.csv")}
    assert float(judged["regret of MPC"]["limit"]) == 0.05
    assert judged["rank stability"]["low"] == "nan"
    text = (folder / "tables.md").read_text(encoding="utf-8")
    assert text.startswith("| suite (episodes) | policy | cost |")
    assert "s1_3mg (2, regression)" in text
    assert "a regression suite, not judged" in result.output


def test_the_command_goes_on_where_it_was(finished: tuple[Path, Result]) -> None:
    folder, _ = finished
    words = ("--suite", "s1_3mg", "--episodes", 2, "--workers", 1, "--out", folder / "out")
    count = len(list((folder / "out" / "records").rglob("*.parquet")))
    assert f"{count} of {count} cells are done already" in run(*words).output


def test_a_benchmark_that_misses_ends_with_one(finished: tuple[Path, Result]) -> None:
    """The same suite without the mark: MPC's regret on it is too small."""
    folder, _ = finished
    file = folder / "judged.yaml"
    file.write_text("name: s1_3mg\nsystem: s1_3mg\n")
    words = ("--suite", file, "--episodes", 2, "--workers", 1, "--out", folder / "out")
    result = run(*words)
    assert result.exit_code == 1
    assert "s1_3mg: misses the gate: regret of MPC is" in result.output


def failing(on: str) -> Callable[[System], Any]:
    def make(system: System) -> Any:
        raise RuntimeError(f"no luck with {on} on {system.name}")

    return make


def test_a_rung_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(baselines.POLICIES, "mpc", failing("mpc"))
    words = ("--suite", "s1_3mg", "--episodes", 1, "--workers", 1, "--out", tmp_path)
    result = run(*words)
    assert result.exit_code == 1
    assert "failed: mpc on s1_3mg, test episode 0: RuntimeError" in result.output
    assert "s1_3mg: a rung failed on every episode; nothing can be said" in result.output


def test_every_shipped_suite_has_its_number_of_episodes() -> None:
    usual = read_episodes()
    assert set(suite_names()) <= set(usual.episodes)
    for suite in suite_names():
        size = split_size(load_system(suite), "test")
        assert size is not None
        assert usual.episodes[suite] <= size
        study = plan_study(suite, "test", None, None, "unused")
        assert study.plan.episodes == usual.episodes[suite]


def test_what_is_a_regression_suite() -> None:
    assert is_regression("s1_3mg")
    assert not is_regression("community_real")
    assert not is_regression(str(headroom.config_directory() / "systems" / "s1_3mg.yaml"))


def test_bad_input() -> None:
    for words, sentence in (
        (("nowhere", "test", None), 'no system or suite "nowhere"'),
        (("s1_3mg", "tset", 1), 'no split "tset"'),
        (("s1_3mg", "test", 129), "129 is more than the 128 of the split test of s1_3mg"),
    ):
        with pytest.raises(InputError, match=sentence):
            plan_study(*words, None, "unused")
