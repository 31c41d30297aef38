"""The page is whole, loads nothing, says what it should, and survives odd results."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from experiments.records import EvaluationRecord, Origin, origin_of
from experiments.report.leaderboard import Board, rank
from experiments.report.page import Findings, write_report
from experiments.report.words import amount, number, percent
from mmg_env import Trajectory, load_system, sample_episode
from mmg_env.layout import L
from mmg_env.system import System
from mmg_env.trajectory import simulate

VOID = {"meta", "input", "br", "link", "img"}


class Outline(HTMLParser):
    """Checks that elements nest, and collects what the page would load and show."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def record(policy: str, episode: int, cost: float, status: str = "ok") -> EvaluationRecord:
    terms = dict.fromkeys(L.names(), 0.0)
    return {
        "suite": "s1_3mg",
        "split": "test",
        "episode": episode,
        "policy": policy,
        **(terms | {"grid_import": 1.2 * cost, "grid_export": -0.2 * cost}),
        "cost": cost,
        "unserved_kwh": 0.0,
        "unserved_heat_kwh": 0.0,
        "co2_kg": 1e3,
        "equivalent_full_cycles": 0.5,
        "decision_ms_p50": float("nan") if policy == "oracle" else 0.1,
        "bound": policy == "oracle",
        "objective": cost if policy == "oracle" else float("nan"),
        "status": status,
        "traceback": "" if status == "ok" else "Traceback\nValueError: <b>no</b>",
    }


def some_records() -> list[EvaluationRecord]:
    costs = {"idle": [10.0, 30.0, 20.0], "rule": [9.0, 25.0, 16.0], "oracle": [7.0, 20.0, 13.0]}
    return [record(p, e, cost) for p, values in costs.items() for e, cost in enumerate(values)]


@pytest.fixture(scope="module")
def system() -> System:
    return load_system("s1_3mg")


@pytest.fixture(scope="module")
def trajectory(system: System) -> Trajectory:
    episode = sample_episode(system, "test", 0)
    return simulate(system, episode, np.zeros((episode.steps, system.request_size)))


def page(
    folder: Path, system: System, board: Board, trajectories: Mapping[str, Trajectory]
) -> tuple[str, Outline]:
    command = "mmg bench --out 'a & b'"
    findings = Findings(system, "test", command, origin_of(system), board, trajectories)
    text = write_report(folder, findings).read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    outline.close()
    assert outline.open == []
    return text, outline


def test_the_page_loads_nothing(tmp_path: Path, system: System, trajectory: Trajectory) -> None:
    board = rank(some_records(), ["idle", "rule", "oracle"], "idle", "oracle")
    text, outline = page(tmp_path, system, board, {"idle": trajectory, "rule": trajectory})
    assert all(link.startswith("#") for link in outline.links)
    assert "http" not in text
    assert not re.search(r"@import|url\((?!#)", text)
    assert "<script" not in text
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_the_page_says_what_it_should(
    tmp_path: Path, system: System, trajectory: Trajectory
) -> None:
    board = rank(some_records(), ["idle", "rule", "oracle"], "idle", "oracle")
    text, outline = page(tmp_path, system, board, {"idle": trajectory, "rule": trajectory})
    shown = " ".join(" ".join(outline.text).split())
    for title in (
        "Leaderboard",
        "Savings",
        "What the money goes to",
        "Cost of every episode",
        "A day under each policy",
        "Data and versions",
        "3 episodes of the split test",
        "Even and odd episodes rank the policies with Kendall's tau 1.00",
        "lower bound",
        "mmg bench --out 'a & b'",
        f"sha256 {origin_of(system).config_sha256}",
        "numpy",
        "synthetic days",
    ):
        assert title in shown
    assert "rule is the cheapest policy: 17 CNY per episode, 50 % of the possible saving" in shown
    assert text.count("<svg") == 5
    tabs = [name for name in outline.ids if name.startswith("tab")]
    assert tabs == ["tab0", "tab1"]


def test_sources_and_licences_of_real_data(tmp_path: Path) -> None:
    real = load_system("community_real")
    board = rank(some_records(), ["idle"], "idle", "oracle")
    text, _ = page(tmp_path, real, board, {})
    assert "semi-synthetic" in text
    assert "ENTSO-E" in text
    assert "CC BY 4.0" in text


def test_failures_are_told_and_escaped(tmp_path: Path, system: System) -> None:
    broken = [record("<rule>", e, float("nan"), "failed") for e in range(3)]
    board = rank([*some_records(), *broken], ["idle", "<rule>", "oracle"], "idle", "oracle")
    text, _ = page(tmp_path, system, board, {})
    assert "3 failed cells, told below" in text
    assert "&lt;rule&gt;, episode 0: ValueError: &lt;b&gt;no&lt;/b&gt;" in text
    assert "<rule>" not in text


def test_nothing_finished(tmp_path: Path, system: System) -> None:
    broken = [record("idle", 0, float("nan"), "failed")]
    text, _ = page(tmp_path, system, rank(broken, ["idle"], "idle", "oracle"), {})
    assert "No policy finished." in text


def test_one_episode(tmp_path: Path, system: System) -> None:
    first = [row for row in some_records() if row["episode"] == 0]
    board = rank(first, ["idle", "rule", "oracle"], "idle", "oracle")
    _, outline = page(tmp_path, system, board, {})
    assert "1 episode of the split test" in outline.text


def test_ranking() -> None:
    board = rank(some_records(), ["idle", "rule"], "idle", "oracle")
    assert [row.policy for row in board.rows] == ["rule", "idle"]
    rule, idle = board.rows
    assert rule.score.value == pytest.approx(10.0 / 20.0)
    assert (idle.score.value, idle.saving.value) == (0.0, 0.0)
    assert rule.saving.value == pytest.approx(10.0 / 3.0)
    assert rule.regret == pytest.approx(10.0 / 40.0)
    assert rule.cvar == 25.0


def test_episodes_on_which_a_policy_failed_count_for_none() -> None:
    rows = some_records()
    lost = record("rule", 1, float("nan"), "failed")
    mixed = [lost if (r["policy"], r["episode"]) == ("rule", 1) else r for r in rows]
    board = rank(mixed, ["idle", "rule", "oracle"], "idle", "oracle")
    assert board.episodes == (0, 2)
    assert {row.policy: row.cost for row in board.rows}["idle"] == 15.0
    assert {row.policy: row.failed for row in board.rows}["rule"] == 1


def test_without_the_references_there_is_no_score() -> None:
    rows = [row for row in some_records() if row["policy"] == "rule"]
    (rule,) = rank(rows, ["rule"], "idle", "oracle").rows
    assert rule.cost == pytest.approx(50.0 / 3.0)
    assert np.isnan(rule.score.value)
    assert np.isnan(rule.regret)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (amount(1234567.4), "1\u202f234\u202f567"),
        (amount(-0.3), "0"),
        (amount(-1234.0), "\u22121\u202f234"),
        (amount(float("nan")), "\u2013"),
        (number(-0.001), "0.00"),
        (number(0.346), "0.35"),
        (percent(0.1234, 1), "12.3 %"),
    ],
)
def test_numbers_in_words(text: str, expected: str) -> None:
    assert text == expected


def test_another_origin_is_another_hash(system: System) -> None:
    assert origin_of(system) != Origin("", "", "")
