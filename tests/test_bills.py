"""Bills: means over the episodes that count, everyone's and those of all."""

import io

import pytest
from rich.console import Console

from experiments.records import EvaluationRecord
from experiments.report.bills import bills, bills_table
from experiments.report.leaderboard import rank

NAMES = ("A", "ces")


def record(
    policy: str, episode: int, finals: tuple[float, float], alone: float = 100.0
) -> EvaluationRecord:
    cost = sum(finals)
    columns = {f"final_cost.{name}": paid for name, paid in zip(NAMES, finals, strict=True)}
    columns |= {f"gain.{name}": alone - paid for name, paid in zip(NAMES, finals, strict=True)}
    return {
        "suite": "s",
        "split": "test",
        "episode": episode,
        "policy": policy,
        "cost": cost,
        "surplus": 2 * alone - cost,
        "decision_ms_p50": 1.0,
        "bound": False,
        "status": "ok",
        **columns,
    }


def test_bills_are_means_over_episodes() -> None:
    records = [
        record("one", 0, (80.0, 90.0)),
        record("one", 1, (60.0, 110.0)),
        record("two", 0, (120.0, 100.0)),
        record("two", 1, (140.0, 100.0)),
    ]
    board = rank(records, ["one", "two"], "one", "oracle")
    found = bills(board, NAMES)
    assert [bill.participant for bill in found] == ["A", "ces", "all"]
    assert [bill.alone for bill in found] == pytest.approx([100.0, 100.0, 200.0])
    assert found[0].shares == {"one": (70.0, 30.0), "two": (130.0, -30.0)}
    assert found[1].shares == {"one": (100.0, 0.0), "two": (100.0, 0.0)}
    assert found[2].shares == {"one": (170.0, 30.0), "two": (230.0, -30.0)}


def test_what_was_not_settled_has_no_bill() -> None:
    plain = record("one", 0, (80.0, 90.0))
    for name in [name for name in plain if "." in name or name == "surplus"]:
        del plain[name]
    assert bills(rank([plain], ["one"], "one", "oracle"), NAMES) == []
    failed = {**record("one", 0, (1.0, 1.0)), "status": "failed"}
    assert bills(rank([failed], ["one"], "one", "oracle"), NAMES) == []


def test_the_terminal_shows_every_participant() -> None:
    board = rank([record("one", 0, (80.0, 125.0))], ["one"], "one", "oracle")
    stream = io.StringIO()
    Console(file=stream, width=200).print(bills_table(bills(board, NAMES), "CNY"))
    lines = [" ".join(line.split()) for line in stream.getvalue().splitlines()]
    assert "who pays what, CNY per episode" in lines
    for line in ("A 100 80", "gains 20", "ces 100 125", "gains \u221225", "all 200 205"):
        assert line in lines
