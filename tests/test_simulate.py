"""The ledger adds up to the cost, and bad input is a sentence."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.engine import live_through
from experiments.records import Cell
from experiments.simulate import header, output_base
from mmg_env.layout import REAL_COSTS, TRANSFERS, F, L
from mmg_env.system import load_system

CELL = Cell("s1_3mg", "test", 1, "time_of_use")
WORDS = ("simulate", "--suite", "s1_3mg", "--policy", "time_of_use", "--episode", "1")
Mmg = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mmg(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Mmg:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mmg", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), out, err

    return run


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_ledger_adds_up(mmg: Mmg, tmp_path: Path) -> None:
    code, out, _ = mmg(*WORDS, "--out", tmp_path / "day")
    rows = rows_of(tmp_path / "day.csv")
    trajectory = live_through(load_system("s1_3mg"), CELL)
    assert code == 0
    assert f"cost {trajectory.cost:.2f} CNY" in out
    assert len(rows) == 24 * 4
    assert [row["participant"] for row in rows[:4]] == ["MG1", "MG2", "MG3", "ces"]
    assert sum(float(row["cost_CNY"]) for row in rows) == pytest.approx(trajectory.cost, rel=1e-12)
    for row in rows:
        real = sum(float(row[f"{term}_CNY"]) for term in REAL_COSTS)
        assert real == pytest.approx(float(row["cost_CNY"]), abs=1e-9)
    transfers = sum(float(row[f"{term}_CNY"]) for row in rows for term in TRANSFERS)
    assert transfers == pytest.approx(0.0, abs=1e-6)


def test_a_row_can_be_recomputed_by_hand(mmg: Mmg, tmp_path: Path) -> None:
    mmg(*WORDS, "--out", tmp_path / "day.csv")
    for row in rows_of(tmp_path / "day.csv"):
        if row["participant"] == "ces":
            assert row["load_kw"] == ""
            continue
        price = float(row["price_buy_CNY_per_kwh"])
        assert float(row["grid_import_CNY"]) == pytest.approx(price * float(row["import_kw"]))
        assert 0.0 <= float(row["soc_after"]) <= 1.0


def test_the_picture_is_one(mmg: Mmg, tmp_path: Path) -> None:
    mmg(*WORDS, "--out", tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "s1_3mg_time_of_use_test1.csv",
        "s1_3mg_time_of_use_test1.png",
    ]
    picture = (tmp_path / "s1_3mg_time_of_use_test1.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000


def test_every_column_has_a_unit_or_needs_none() -> None:
    names = header("EUR")
    plain = {"step", "time", "participant", "soc_after"}
    units = ("_kw", "_kwh", "_m3", "_EUR", "_EUR_per_kwh")
    assert len(names) == len(set(names)) == 3 + 4 + 2 + 2 + len(F) + 1 + len(L)
    assert all(name in plain or name.endswith(units) for name in names)


@pytest.mark.parametrize(
    ("out", "is_folder", "expected"),
    [
        ("a/day", False, "a/day"),
        ("a/day.csv", False, "a/day"),
        ("a/day.png", False, "a/day"),
        ("a/day.1", False, "a/day.1"),
        ("new", True, "new/s1_3mg_time_of_use_test1"),
    ],
)
def test_where_it_goes(out: str, is_folder: bool, expected: str) -> None:
    assert output_base(Path(out), is_folder, CELL) == Path(expected)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (("--suite", "s2"), 'no system or suite "s2"'),
        (("--policy", "time_of_us"), 'no policy "time_of_us"; did you mean "time_of_use"?'),
        (("--split", "tets"), 'no split "tets"; did you mean "test"?'),
        (("--episode", "128"), "episode: 128 is not in split test of s1_3mg; allowed: 0..127"),
    ],
)
def test_bad_input(mmg: Mmg, tmp_path: Path, changes: tuple[str, str], sentence: str) -> None:
    code, out, err = mmg(*WORDS, *changes, "--out", tmp_path / "x")
    assert (code, out) == (2, "")
    assert err.startswith(sentence)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(mmg: Mmg, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    code, _, err = mmg(*WORDS, "--out", file / "below")
    assert code == 2
    assert "cannot be written" in err
    assert "Traceback" not in err
