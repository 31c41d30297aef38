"""A benchmark that settles its episodes: what is chosen, recorded, shown, and made anew."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import baselines
from experiments import engine
from experiments.bench import BenchmarkConfig, check, read_benchmark
from experiments.cli import main
from experiments.engine import Task, evaluate, pending
from experiments.records import ORACLE, Cell, EvaluationRecord, origin_of, read_record
from experiments.records import read_trajectory as kept
from experiments.settlement import SettlementConfig, final_cost, gain_of, settlement_named
from mmg_env.errors import ConfigError, InputError
from mmg_env.layout import L
from mmg_env.system import System, load_system

SOURCE = "s1_3mg"
RULE = SettlementConfig(alone="tuned_rule")
NAMES = ("MG1", "MG2", "MG3", "ces")

Make = Callable[..., Task]


@pytest.fixture(scope="module")
def system() -> System:
    return load_system(SOURCE)


@pytest.fixture
def make(tmp_path: Path, system: System) -> Make:
    def make(policy: str, settlement: SettlementConfig | None = RULE, episode: int = 0) -> Task:
        known = policy if policy in (ORACLE, "tuned_rule") else ""
        origin = origin_of(system, known, settlement)
        return Task(Cell(SOURCE, "test", episode, policy), SOURCE, tmp_path, origin, settlement)

    return make


def measured(task: Task) -> EvaluationRecord:
    evaluate(task)
    record = read_record(task.cell.file(task.folder))
    assert record["status"] == "ok", record["traceback"]
    return record


def of(record: EvaluationRecord, column: Callable[[str], str]) -> np.ndarray:
    return np.array([record[column(name)] for name in NAMES])


# What is chosen


def test_words_name_a_settlement_and_back() -> None:
    assert settlement_named("none") is None
    assert settlement_named("nash") == SettlementConfig()
    assert settlement_named("nash, contribution") == SettlementConfig(power="contribution")
    whole = settlement_named("nash,uniform,a folder, with comma")
    assert whole == SettlementConfig(alone="a folder, with comma")
    for chosen in (SettlementConfig(), RULE, SettlementConfig(power="contribution")):
        assert settlement_named(chosen.words) == chosen


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nahs", 'no rule "nahs"; did you mean "nash"? Known: nash'),
        ("shapley", 'no rule "shapley"; known: nash'),
        ("nash,unifrm", 'no power "unifrm"; did you mean "uniform"? Known: uniform, contribution'),
        ("nash,", "'nash,' lacks a word; it must be none, or nash[,POWER[,POLICY ALONE]]"),
        ("", "'' lacks a word; it must be none, or nash[,POWER[,POLICY ALONE]]"),
    ],
)
def test_words_that_name_none_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        settlement_named(text)
    assert str(caught.value) == f"--settlement: {sentence}"


def test_a_file_may_settle(tmp_path: Path) -> None:
    file = tmp_path / "b.yaml"
    file.write_text("suite: s1_3mg\npolicies: [idle]\nsettlement:\n  power: contribution\n")
    assert read_benchmark(str(file)).settlement == SettlementConfig(power="contribution")
    file.write_text("suite: s1_3mg\npolicies: [idle]\nsettlement:\n  power: fair\n")
    with pytest.raises(ConfigError, match=r"4: settlement\.power: "):
        read_benchmark(str(file))


def test_the_command_says_how() -> None:
    plan = BenchmarkConfig(suite=SOURCE, policies=("idle",), settlement=RULE)
    assert " --settlement nash,uniform,tuned_rule " in plan.command()
    assert "--settlement" not in BenchmarkConfig(suite=SOURCE, policies=("idle",)).command()


def test_the_shipped_one_settles(system: System) -> None:
    plan = read_benchmark("bargaining")
    assert plan.settlement == SettlementConfig()
    check(plan, system)  # its policies can be played


# What is recorded


def test_a_record_says_who_pays_what(make: Make, system: System) -> None:
    task = make("tuned_rule")
    plain = measured(make("tuned_rule", None))
    record = measured(task)
    assert record["cost"] == plain["cost"]
    finals, gains = of(record, final_cost), of(record, gain_of)
    assert finals.sum() == pytest.approx(record["cost"])
    assert gains == pytest.approx(np.full(4, record["surplus"] / 4.0))
    assert "surplus" not in plain
    assert plain["settlement"] == 0.0
    found = kept(task.folder, task.cell, system)
    assert found is not None
    assert found.ledger.sum(axis=(0, 2)) == pytest.approx(finals)
    assert record["settlement"] == pytest.approx(found.account(L.settlement)[-1, :3].sum())
    assert record["settlement"] != 0.0


def test_alone_is_the_same_for_every_policy(make: Make) -> None:
    engine._alone_costs.cache_clear()
    apart = [
        of(record, final_cost) + of(record, gain_of)
        for record in (measured(make(policy)) for policy in ("tuned_rule", "idle", ORACLE))
    ]
    assert apart[1] == pytest.approx(apart[0])
    assert apart[2] == pytest.approx(apart[0])
    assert engine._alone_costs.cache_info().misses == 1


def test_the_oracle_keeps_its_bound_and_its_plan_is_settled(make: Make) -> None:
    record = measured(make(ORACLE, replace_alone(ORACLE)))
    assert record["bound"]
    assert record["cost"] <= record["objective"]
    assert of(record, final_cost).sum() == pytest.approx(record["objective"], rel=1e-5)
    assert (of(record, gain_of) > 0.0).all()  # with perfect foresight trade never costs more


def replace_alone(policy: str) -> SettlementConfig:
    return RULE.model_copy(update={"alone": policy})


def test_powers_are_those_that_were_chosen(make: Make) -> None:
    gains = of(measured(make("tuned_rule", SettlementConfig(power="contribution"))), gain_of)
    assert np.ptp(gains / gains.sum()) > 0.01


def test_a_policy_may_lie(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def liar(system: System) -> object:
        policy = baselines.POLICIES["tuned_rule"](system)
        policy.lies, policy.audits = np.array([0.9, 0.0, 0.0, 0.0]), 1.0  # type: ignore[attr-defined]
        return policy

    honest = measured(make("tuned_rule"))
    monkeypatch.setitem(baselines.POLICIES, "liar", liar)  # type: ignore[arg-type]
    record = measured(make("liar"))
    assert record["cost"] == honest["cost"]
    assert record["surplus"] == pytest.approx(honest["surplus"])
    assert of(record, final_cost).sum() == pytest.approx(record["cost"])
    change = of(record, gain_of) - of(honest, gain_of)
    assert change[0] > 1.0
    assert change[1:] == pytest.approx(np.full(3, -change[0] / 3.0))


def test_a_policy_that_cannot_stand_alone_fails_its_cell(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(system: System) -> object:
        raise RuntimeError(f"no luck with {system.name}")

    monkeypatch.setitem(baselines.POLICIES, "broken", broken)  # type: ignore[arg-type]
    task = replace(make("tuned_rule"), settlement=replace_alone("broken"))
    assert evaluate(task).reason == "RuntimeError: no luck with s1_3mg"


# What is made anew


def test_a_record_stands_only_for_the_settlement_it_was_made_with(make: Make) -> None:
    measured(make("tuned_rule"))
    assert pending([make("tuned_rule")]) == []
    for other in (
        None,
        SettlementConfig(power="contribution", alone="tuned_rule"),
        SettlementConfig(),
    ):
        task = make("tuned_rule", other)
        assert pending([task]) == [task]
    plain = make("tuned_rule", None)
    measured(plain)
    assert pending([plain]) == []
    assert len(pending([make("tuned_rule")])) == 1


def test_another_agent_alone_is_another_origin(system: System) -> None:
    one, two = (
        origin_of(system, "mpc", replace_alone(f"agents/s1_3mg-{name}"))
        for name in ("team", "forecast")
    )
    assert one.code_sha256 != two.code_sha256
    assert one.code_sha256 != origin_of(system, "mpc").code_sha256
    assert origin_of(system, "mpc", RULE).code_sha256 == origin_of(system, "mpc").code_sha256


# What is shown


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        "--suite",
        SOURCE,
        "--episodes",
        "1",
        "--policies",
        "idle,tuned_rule",
        "--workers",
        "1",
    ]

    def run(*more: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["mmg", "bench", *words, "--out", str(tmp_path), *more])
        with pytest.raises(SystemExit):
            main()
        found = capsys.readouterr()
        return found.out, found.err

    out, _ = run("--settlement", "nash,uniform,tuned_rule")
    assert "who pays what, CNY per episode" in out
    record = read_record(Cell(SOURCE, "test", 0, "tuned_rule").file(tmp_path))
    line = next(line for line in out.splitlines() if line.lstrip().startswith("MG2"))
    number = f"{round(record['final_cost.MG2']):,d}".replace(",", "\u202f")
    assert number in line
    page = (tmp_path / "report.html").read_text()
    assert "Who pays what" in page
    assert "with equal powers; alone, everyone plays tuned_rule" in page
    assert number in page
    assert "--settlement nash,uniform,tuned_rule" in page

    out, err = run()
    assert "who pays what" not in out
    assert "Who pays what" not in (tmp_path / "report.html").read_text()
    assert "3 records failed before, or stem from another configuration" in err

    _, err = run("--settlement", "nash,uniform,tuned_rul")
    assert err.startswith('no policy "tuned_rul"; did you mean "tuned_rule"? Known: ')
