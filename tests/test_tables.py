"""A user's file: every fault is named with its rows, and times mean what they say."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_series import FORMAT, Row, csv_source, house, series, write

from mmg_env.errors import ConfigError, InputError
from mmg_env.sources.tables import Table, read_table

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
SPRING, AUTUMN = datetime(2024, 3, 30, tzinfo=UTC), datetime(2024, 10, 26, tzinfo=UTC)


def read(folder: Path, rows: list[Row] | None = None, dt_h: float = 1.0, **source: object) -> Table:
    return read_table(csv_source(house(folder, rows, **source)), dt_h)


def refusal(folder: Path, rows: list[Row] | None = None, **source: object) -> str:
    with pytest.raises(InputError) as error:
        read(folder, rows, **source)
    return str(error.value)


def changed(row: int, column: int, text: str) -> list[Row]:
    """Return sound rows but for one cell; the header is row 1."""
    rows = series()
    rows[row - 1][column] = text
    return rows


def test_sound_rows_are_read_as_they_are(tmp_path: Path) -> None:
    table = read(tmp_path)
    assert table.start == np.datetime64("2024-01-01")
    assert table.row.tolist() == list(range(2, 2 + 12 * 24))
    assert table.values["home.load"][:2].tolist() == [2.01, 2.11]
    assert table.values["spot"][0] == pytest.approx(0.041)
    assert set(table.values) == {"home.load", "home.pv", "spot"}


# One fault each


@pytest.mark.parametrize(
    ("row", "column", "text", "words"),
    [
        (7, 0, "yesterday", 'row 7: time is "yesterday"; it must be a time like %Y-%m-%d %H:%M'),
        (7, 0, "0224-01-01 05:00", 'row 7: time is "0224-01-01 05:00"'),
        (7, 0, "", "row 7: time is empty"),
        (7, 0, "2024-01-01 04:00", "row 7: the time repeats that of the row before"),
        (7, 0, "2023-12-31 04:00", "row 7: the time is earlier"),
        (7, 0, "2024-01-01 05:20", "row 7: 80 min after the row before; it must be 60 min"),
        (30, 1, "n/a", 'row 30: load is "n/a"; it must be a finite number'),
        (30, 1, "1_0", 'row 30: load is "1_0"'),
        (30, 1, "1,5", "row 30: has not the 4 cells of the header"),
        (30, 1, "nan", 'row 30: load is "nan"'),
        (30, 2, "inf", 'row 30: pv is "inf"'),
        (30, 3, " ", "row 30: price is empty"),
        (1, 1, "lood", 'no column "load" (source.columns.home.load.column)'),
        (1, 1, "pv", '2 columns are called "pv"'),
    ],
)
def test_a_wrong_cell_is_named(
    tmp_path: Path, row: int, column: int, text: str, words: str
) -> None:
    assert words in refusal(tmp_path, changed(row, column, text))


def test_a_gap_is_named_at_its_end(tmp_path: Path) -> None:
    rows = series()
    del rows[50:53]
    said = refusal(tmp_path, rows)
    assert said.endswith("series.csv, row 51: a gap: 3 steps are missing before it")


def test_all_faults_come_at_once_and_rows_are_gathered(tmp_path: Path) -> None:
    rows = series()
    for number in range(10, 20):
        rows[number - 1][1] = "-"
    rows[99][2] = ""
    rows[199][0] = "?"
    lines = refusal(tmp_path, rows).splitlines()
    assert len(lines) == 3
    assert 'rows 10, 11, 12, 13, 14 and 5 more: load is "-"' in lines[1]
    assert "row 100: pv is empty" in lines[2]


def test_an_empty_line_is_no_row_but_at_the_end(tmp_path: Path) -> None:
    assert len(read(tmp_path, [*series(), [""], [""]]).row) == 288
    rows = series()
    rows.insert(40, [""])
    assert "row 41: has not the 4 cells" in refusal(tmp_path, rows)


def test_another_step_is_told_once(tmp_path: Path) -> None:
    said = refusal(tmp_path, series(step_h=0.25))
    assert said.endswith("rows are 15 min apart; they must be dt_h, 60 min")
    assert len(read(tmp_path, series(step_h=0.25), dt_h=0.25).row) == 12 * 96


def test_rows_off_the_clock_are_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, series(first="2024-01-01 00:30"))
    assert "row 2: the time is not a whole number of steps" in said


def test_less_than_a_day_is_refused(tmp_path: Path) -> None:
    assert "has no whole day" in refusal(tmp_path, series()[:20])


def test_days_that_are_not_whole_are_left_out(tmp_path: Path) -> None:
    table = read(tmp_path, series(first="2023-12-31 05:00"))
    assert table.start == np.datetime64("2024-01-01")
    assert table.row[0] == 2 + 19
    assert len(table.row) == 11 * 24


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"time,load,pv,price\n", "is empty"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b'time,load,pv,price\n"a', "row "),
    ],
)
def test_what_is_no_table_is_told_in_a_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    source = csv_source(house(tmp_path)).model_copy(update={"sha256": None})
    (tmp_path / "series.csv").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_table(source, 1.0)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path, file=str(tmp_path / "no.csv"))


def test_a_file_that_changes_after_loading_is_refused(tmp_path: Path) -> None:
    source = csv_source(house(tmp_path))
    assert source.sha256 is not None
    write(tmp_path, changed(5, 1, "3"))
    with pytest.raises(InputError, match="its sha256 is"):
        read_table(source, 1.0)


def test_the_file_is_looked_for_beside_the_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert csv_source(house(tmp_path)).file == str(tmp_path / "series.csv")
    assert len(read(tmp_path).row) == 288


# Text


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    rows = [[";".join(cell.replace(".", ",") for cell in row)] for row in series()]
    table = read(tmp_path, rows, delimiter=";", decimal=",")
    assert table.values["home.load"][:2].tolist() == [2.01, 2.11]
    rows[4] = [rows[4][0].replace("2,31", "1.002,31")]
    assert 'row 5: load is "1.002,31"' in refusal(tmp_path, rows, delimiter=";", decimal=",")


def test_two_commas_are_refused_in_the_yaml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must differ from delimiter"):
        house(tmp_path, decimal=",")


# Clocks


def clock(first: datetime, days: int, label_end: bool = False, step_h: float = 1.0) -> list[Row]:
    """Return rows with the local time of Amsterdam, one per step of absolute time."""
    rows: list[Row] = [["time", "load", "pv", "price"]]
    for k in range(round(days * 24 / step_h)):
        moment = first + timedelta(hours=(k + label_end) * step_h - 1)
        rows.append([moment.astimezone(AMSTERDAM).strftime(FORMAT), str(1 + k % 24), "0", "50"])
    return rows


@pytest.mark.parametrize("first", [SPRING, AUTUMN])
@pytest.mark.parametrize("label_end", [False, True])
@pytest.mark.parametrize("step_h", [1.0, 0.25])
def test_summer_time_moves_no_hour(
    tmp_path: Path, first: datetime, label_end: bool, step_h: float
) -> None:
    rows = clock(first, 3, label_end, step_h)
    label = "end" if label_end else "start"
    table = read(tmp_path, rows, dt_h=step_h, time_zone="Europe/Amsterdam", label=label)
    assert table.start == np.datetime64(first.strftime("%Y-%m-%d"))
    per_day = round(24 / step_h)
    assert len(table.row) == 3 * per_day
    expected = [1 + k % 24 for k in range(3 * per_day)]
    assert table.values["home.load"].tolist() == expected


def test_the_hour_that_stands_twice_is_taken_in_order(tmp_path: Path) -> None:
    rows = clock(AUTUMN, 3)
    twice = [row[0] for row in rows if row[0] == "2024-10-27 02:00"]
    assert len(twice) == 2
    once = [row for i, row in enumerate(rows) if i == 0 or row[0] != rows[i - 1][0]]
    said = refusal(tmp_path, once, time_zone="Europe/Amsterdam")
    assert "a gap: 1 step is missing before it; where clocks go back" in said
    assert said.startswith(f"{tmp_path}/series.csv, row 28:")
    rows.insert(28, rows[27])
    said = refusal(tmp_path, rows, time_zone="Europe/Amsterdam")
    assert "row 29: the time repeats" in said


def test_the_hour_that_is_not_must_be_missing(tmp_path: Path) -> None:
    rows = series(days=3, first="2024-03-30 00:00")
    said = refusal(tmp_path, rows, time_zone="Europe/Amsterdam")
    assert "row 28: there is no such hour in Europe/Amsterdam" in said
    assert len(read(tmp_path, rows, time_zone="UTC").row) == 72


def test_start_and_end_are_an_hour_apart(tmp_path: Path) -> None:
    start = read(tmp_path)
    end = read(tmp_path, label="end")
    assert start.values["home.load"][0] == 2.01
    # The row of 0:00 is the last hour of the day before, which is not whole.
    assert end.start == start.start
    assert end.row[0] == start.row[1]
    assert len(end.row) == len(start.row) - 24


@pytest.mark.parametrize(
    ("time_format", "written"), [("iso", "%Y-%m-%dT%H:%M:%SZ"), ("%d.%m.%Y %H:%M %z", None)]
)
def test_offsets_are_kept(tmp_path: Path, time_format: str, written: str | None) -> None:
    rows = [["time", "load", "pv", "price"]]
    for k in range(72):
        moment = AUTUMN + timedelta(hours=k - 1)
        local = moment if written else moment.astimezone(AMSTERDAM)
        rows.append([local.strftime(written or time_format), str(k), "0", "50"])
    table = read(tmp_path, rows, time_format=time_format, time_zone="Europe/Amsterdam")
    assert table.start == np.datetime64("2024-10-26")
    assert table.values["home.load"].tolist() == list(range(72))


# Parquet


def parquet(folder: Path, times: pa.Array, load: object = None) -> str:
    count = len(times)
    load = pa.array([2.0] * count) if load is None else load
    zeros = pa.array([0.0] * count)
    file = folder / "series.parquet"
    price = pa.array([50] * count, pa.int32())
    pq.write_table(pa.table({"time": times, "load": load, "pv": zeros, "price": price}), file)
    return str(file)


def hours(count: int = 288, tz: str | None = None, unit: str = "ns") -> pa.Array:
    moments = np.datetime64("2024-01-01T00") + np.arange(count).astype("timedelta64[h]")
    return pa.array(moments.astype("datetime64[ns]"), pa.timestamp(unit, tz=tz))


def test_parquet_with_timestamps(tmp_path: Path) -> None:
    for tz in (None, "UTC"):
        file = parquet(tmp_path, hours(tz=tz))
        table = read(tmp_path, file=file, time_format=None)
        assert table.start == np.datetime64("2024-01-01")
        assert table.row[0] == 1
        assert len(table.row) == 288
    file = parquet(tmp_path, hours(tz="America/New_York"))
    table = read(tmp_path, file=file, time_format=None, time_zone="Etc/GMT+5")
    assert table.start == np.datetime64("2024-01-01")  # 19:00 the evening before, local
    assert table.row[0] == 6


def test_parquet_with_texts(tmp_path: Path) -> None:
    texts = [row[0] for row in series()[1:]]
    assert len(read(tmp_path, file=parquet(tmp_path, pa.array(texts))).row) == 288
    texts[3] = "?"
    assert 'row 4: time is "?"' in refusal(tmp_path, file=parquet(tmp_path, pa.array(texts)))


def test_faults_of_parquet(tmp_path: Path) -> None:
    gaps = pa.array([None if k in (4, 9) else 2.0 for k in range(288)])
    file = parquet(tmp_path, hours(), gaps)
    assert "rows 5, 10: load is empty" in refusal(tmp_path, file=file, time_format=None)
    file = parquet(tmp_path, hours(), pa.array(["2"] * 288))
    assert "load is of type string" in refusal(tmp_path, file=file, time_format=None)
    assert "must be absent" in refusal(tmp_path, file=parquet(tmp_path, hours()))
    file = parquet(tmp_path, pa.array(list(range(288))))
    assert "time is of type int64" in refusal(tmp_path, file=file, time_format=None)
    (tmp_path / "x.parquet").write_bytes(b"no")
    said = refusal(tmp_path, file=str(tmp_path / "x.parquet"), time_format=None)
    assert "is not a Parquet file" in said
    assert "time_format: is missing" in refusal(tmp_path, time_format=None)


# What the YAML may say


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("time_zone", "Europe/Amsterdm", 'did you mean "Europe/Amsterdam"'),
        ("time_zone", "../etc", "must be a time zone"),
        ("label", "middle", "must be one of start, end"),
        ("columns", {"home.load": {"column": "load", "unit": "W"}}, "must be one of kW, MW"),
        ("columns", {"home.load": {"column": "load", "unit": "per_kwh"}}, "one of kW, MW, per_uni"),
        ("columns", {"home.lod": {"column": "load", "unit": "kW"}}, 'did you mean "home.load"'),
        ("columns", {"home.heat": {"column": "load", "unit": "kW"}}, "no series of this system"),
        ("columns", {}, "home.load is missing; the system needs it"),
        ("columns", {}, "spot is missing; the system needs it"),
        ("splits.test", ["2024-01-08", "2024-01-8"], "must be a date such as"),
        ("splits.test", ["2024-01-10", "2024-01-08"], "must not be after"),
        ("splits.test", ["2024-01-07", "2024-01-09"], "shares days with val"),
        ("splits.test", ["2024-01-08", "2024-01-08"], "has 1 days on which an episode of 1 days"),
    ],
)
def test_what_the_yaml_may_say(tmp_path: Path, key: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        house(tmp_path, **{key: value})
    assert words in str(error.value)
