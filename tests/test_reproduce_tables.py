"""Tables: the same cells on a page, on the terminal and in a file."""

import csv
from io import StringIO

from rich.console import Console

from experiments.report.words import NOTHING
from experiments.reproduce.tables import Head, Table, as_csv, as_html, as_terminal
from experiments.statistics import Interval

TABLE = Table(
    "some",
    "Some <table>",
    (Head("case & more"), Head("cost", "CNY per day", 1), Head("change", "%"), Head("gap", "", -1)),
    (
        ("one", 1234.5678, Interval(-10.0, -12.5, -7.0), 2.5e-7),
        ("two", -3.0, NOTHING, NOTHING),
    ),
)


def test_a_file_has_full_precision_and_three_columns_for_an_interval():
    rows = list(csv.DictReader(StringIO(as_csv(TABLE))))
    assert list(rows[0]) == [
        "case_more",
        "cost_CNY_per_day",
        "change",
        "change_low",
        "change_high",
        "gap",
    ]
    assert float(rows[0]["cost_CNY_per_day"]) == 1234.5678
    assert [float(rows[0][f"change{end}"]) for end in ("", "_low", "_high")] == [-10.0, -12.5, -7.0]
    assert [rows[1][f"change{end}"] for end in ("", "_low", "_high")] == ["", "", ""]
    assert float(rows[0]["gap"]) == 2.5e-7


def test_a_page_has_units_bounds_and_no_raw_text():
    html = as_html(TABLE)
    assert "case &amp; more" in html
    assert "CNY per day" in html
    assert "1234.6" in html
    assert "\u221212 \u2026 \u22127" in html
    assert "2.5e\u221207" in html
    assert html.count("<tr>") == 3


def test_the_terminal_has_the_same():
    console = Console(width=100, record=True, file=StringIO())
    console.print(as_terminal(TABLE))
    text = console.export_text()
    for part in ("Some <table>", "1234.6", "\u22123.0", NOTHING):
        assert part in text
