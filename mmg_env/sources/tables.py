"""The user's CSV or Parquet file: read, and checked row by row.

Rows are numbered as an editor or a spreadsheet does: the header of a CSV file is row 1. Rows of a
Parquet file are numbered from 1. All that is wrong is found, not the first fault only.

Source: our choice.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import CsvSource
from mmg_env.config_checks import did_you_mean
from mmg_env.errors import InputError
from mmg_env.sources.clock import (
    DAY_S,
    Fault,
    parse_times,
    seconds_of,
    standard_seconds,
    step_faults,
)

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

FACTORS: Final = {"kW": 1.0, "MW": 1000.0, "per_unit": 1.0, "per_kwh": 1.0, "per_MWh": 0.001}
PARQUET: Final = (".parquet", ".pq")


@dataclass(frozen=True, eq=False)
class Table:
    """The whole days of a file.

    Attributes:
        file: the file.
        start: first day, in the zone's standard time.
        row: (steps,) row of the file that each step came from.
        values: (steps,) by series: kW, currency/kWh, or per unit where the source says so.
    """

    file: str
    start: np.datetime64
    row: Ints
    values: dict[str, Array]


@dataclass(frozen=True, eq=False)
class _Raw:
    """Times and columns as they stand in the file."""

    rows: Ints
    times: Sequence[datetime | None]
    numbers: dict[str, Array]
    faults: list[Fault]


def read_table(source: CsvSource, dt_h: float) -> Table:
    """Read the file of a source.

    Args:
        source: what the system file says about it.
        dt_h: length of a step, h.

    Raises:
        InputError: one sentence per fault, with file and rows.
    """
    content = _content(source)
    parquet = Path(source.file).suffix.lower() in PARQUET
    raw = (_read_parquet if parquet else _read_csv)(source, content)
    seconds, faults = seconds_of(source, raw.times, raw.rows)
    step_s = round(dt_h * 3600)
    faults = [*raw.faults, *faults, *step_faults(source, seconds, raw.rows, step_s)]
    refuse(source.file, faults)
    known = [second for second in seconds if second is not None]  # all of them
    begin = standard_seconds(source, known, step_s)
    first, count = _whole_days(begin, step_s)
    refuse(source.file, _day_faults(begin, raw.rows, step_s))
    kept = slice(first, first + count)
    start = begin[first].astype("datetime64[s]").astype("datetime64[D]")
    values = {
        name: raw.numbers[column.column][kept] * FACTORS[column.unit]
        for name, column in source.columns.items()
    }
    return Table(source.file, start, raw.rows[kept], values)


def refuse(file: str, faults: Sequence[Fault]) -> None:
    """Raise if there is any fault.

    Raises:
        InputError: one sentence per fault, with file and rows.
    """
    if faults:
        raise InputError("\n".join(fault.text(file) for fault in faults))


def _content(source: CsvSource) -> bytes:
    """Return the bytes of the file, if they are those that the system was loaded with."""
    try:
        content = Path(source.file).read_bytes()
    except FileNotFoundError:
        raise InputError(f"source.file: {source.file}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"source.file: {source.file}: cannot be read: {error}") from None
    found = hashlib.sha256(content).hexdigest()
    if source.sha256 not in (None, found):
        raise InputError(
            f"{source.file}: its sha256 is {found}; it must be {source.sha256}, that of the file "
            "as the system was loaded, or as source.sha256 says"
        )
    return content


def _read_csv(source: CsvSource, content: bytes) -> _Raw:
    """Read text; numbers stay where they are wanted only."""
    header, lines = _lines(source, content)
    _check_header(source, header)
    if source.time_format is None:
        raise InputError("source.time_format: is missing; a CSV file needs one, such as iso")
    rows = np.array([number for number, _ in lines], dtype=np.int64)
    whole = np.array([len(cells) == len(header) for _, cells in lines])
    wrong = tuple(rows[~whole].tolist())
    faults = [Fault(wrong, f"has not the {len(header)} cells of the header")] if wrong else []

    def texts(name: str) -> list[str]:
        """Return the cells of a column; those of a broken row are empty."""
        place = header.index(name)
        pairs = zip(lines, whole, strict=True)
        return [cells[place].strip() if is_whole else "" for (_, cells), is_whole in pairs]

    times = parse_times(texts(source.time_column), source.time_format)
    bad = np.array([time is None for time in times]) & whole
    like = f"a time like {source.time_format}"
    faults += _text_faults(source.time_column, texts(source.time_column), bad, rows, like)
    numbers = {}
    for name in dict.fromkeys(column.column for column in source.columns.values()):
        cells = texts(name)
        numbers[name] = np.array([_number(cell, source.decimal) for cell in cells])
        bad = ~np.isfinite(numbers[name]) & whole
        faults += _text_faults(name, cells, bad, rows, "a finite number")
    return _Raw(rows, times, numbers, faults)


def _lines(source: CsvSource, content: bytes) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and every row with its number; empty rows at the end are left out."""
    try:
        text = content.decode("utf-8-sig")
        delimiter = "\t" if source.delimiter == "tab" else source.delimiter
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [(reader.line_num, cells) for cells in reader]
    except UnicodeDecodeError:
        raise InputError(f"{source.file}: is not text in UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{source.file}, row {reader.line_num}: {error}") from None
    while lines and not any(cell.strip() for cell in lines[-1][1]):
        lines.pop()
    if len(lines) < 2:
        raise InputError(f"{source.file}: is empty; a header and rows are wanted")
    return [cell.strip() for cell in lines[0][1]], lines[1:]


def _check_header(source: CsvSource, names: Sequence[str]) -> None:
    """Refuse a file that lacks a column or has it twice.

    Raises:
        InputError: one sentence per column.
    """
    wanted = {source.time_column: "source.time_column"}
    for series, column in source.columns.items():
        wanted.setdefault(column.column, f"source.columns.{series}.column")
    count = Counter(names)
    faults = []
    for name, field in wanted.items():
        if count[name] == 0:
            known = ", ".join(names)
            sentence = f'no column "{name}" ({field}); there are {known}'
            faults.append(Fault((), sentence + did_you_mean(name, names)))
        elif count[name] > 1:
            faults.append(Fault((), f'{count[name]} columns are called "{name}" ({field})'))
    refuse(source.file, faults)


def _number(text: str, decimal: str) -> float:
    """Return the number that a cell says, NaN if it says none."""
    if "_" in text or (decimal == "," and "." in text):
        return np.nan
    try:
        return float(text.replace(",", ".") if decimal == "," else text)
    except ValueError:
        return np.nan


def _text_faults(
    column: str, texts: Sequence[str], bad: Flags, rows: Ints, wanted: str
) -> list[Fault]:
    """Return a fault for the empty cells of a column, and one for those that say something else."""
    found = [(int(rows[i]), texts[i].strip()) for i in np.flatnonzero(bad).tolist()]
    empty = tuple(row for row, text in found if not text)
    other = [(row, text) for row, text in found if text]
    faults = [Fault(empty, f"{column} is empty; it must be {wanted}")] if empty else []
    if other:
        sentence = f'{column} is "{other[0][1]:.40}"; it must be {wanted}'
        faults.append(Fault(tuple(row for row, _ in other), sentence))
    return faults


def _read_parquet(source: CsvSource, content: bytes) -> _Raw:
    """Read typed columns."""
    import pyarrow as pa  # here, so that importing the package stays quick
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{source.file}: is not a Parquet file: {error}") from None
    _check_header(source, table.column_names)
    rows = np.arange(1, len(table) + 1)
    times, faults = _parquet_times(source, table.column(source.time_column), rows)
    numbers = {}
    for name in dict.fromkeys(column.column for column in source.columns.values()):
        kind = table.schema.field(name).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            faults.append(Fault((), f"{name} is of type {kind}; it must be numbers"))
            continue
        values = table.column(name).cast(pa.float64(), safe=False).to_numpy()
        numbers[name] = np.array(values, dtype=np.float64)
        bad = tuple(rows[~np.isfinite(numbers[name])].tolist())
        if bad:
            faults.append(Fault(bad, f"{name} is empty or not finite; it must be a finite number"))
    return _Raw(rows, times, numbers, faults)


def _parquet_times(
    source: CsvSource, column: Any, rows: Ints
) -> tuple[list[datetime | None], list[Fault]]:
    """Return the times of a column of timestamps or texts."""
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        if source.time_format is None:
            raise InputError("source.time_format: is missing; times that are text need one")
        texts = [text or "" for text in column.to_pylist()]
        times = parse_times(texts, source.time_format)
        bad = np.array([time is None for time in times])
        like = f"a time like {source.time_format}"
        return times, _text_faults(source.time_column, texts, bad, rows, like)
    if not pa.types.is_timestamp(column.type):
        sentence = f"{source.time_column} is of type {column.type}; it must be timestamps or text"
        raise InputError(f"{source.file}: {sentence}")
    if source.time_format is not None:
        raise InputError("source.time_format: must be absent; the file's times are timestamps")
    try:
        times = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).to_pylist()
    except (ValueError, OverflowError) as error:
        raise InputError(f"{source.file}: {source.time_column}: {error}") from None
    empty = tuple(int(row) for row, time in zip(rows, times, strict=True) if time is None)
    sentence = f"{source.time_column} is empty; it must be a time"
    return times, [Fault(empty, sentence)] if empty else []


def _whole_days(begin: Ints, step_s: int) -> tuple[int, int]:
    """Return the first step of the first whole day, and the steps of all whole days."""
    first = int(np.argmax(begin % DAY_S == 0))
    per_day = DAY_S // step_s
    return first, (len(begin) - first) // per_day * per_day


def _day_faults(begin: Ints, rows: Ints, step_s: int) -> list[Fault]:
    """Return what keeps rows from making up days."""
    if begin[0] % step_s:
        sentence = f"the time is not a whole number of steps of {step_s / 60:g} min after midnight"
        return [Fault((int(rows[0]),), sentence)]
    if (begin % DAY_S == 0).any() and _whole_days(begin, step_s)[1] > 0:
        return []
    return [Fault((), "has no whole day, 0 to 24 h in the standard time of its zone")]
