"""A small system with series of its own, and files for it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mmg_env.config import CsvSource
from mmg_env.system import System, load_system

FORMAT = "%Y-%m-%d %H:%M"
DAYS = 12
SYSTEM = """\
name: house
currency: EUR
members:
  - name: home
    grid: {import_kw: 20, export_kw: 20}
    load: {peak_kw: 10, profile: home}
    pv: {capacity_kw: 8, profile: roof}
    battery: {capacity_kwh: 10, power_kw: 5}
    flex: {power_kw: 0.5}
tariff:
  {kind: dynamic, buy_adder_per_kwh: 0.1, sell_factor: 0.9, sell_adder_per_kwh: 0, gas_per_m3: 1}
splits: {val: 1, test: 2, shift: 1}
source:
  kind: csv
  file: series.csv
  time_column: time
  time_format: "%Y-%m-%d %H:%M"
  time_zone: UTC
  label: start
  columns:
    home.load: {column: load, unit: kW}
    home.pv: {column: pv, unit: kW}
    spot: {column: price, unit: per_MWh}
  splits:
    train: [2024-01-01, 2024-01-05]
    val: [2024-01-06, 2024-01-07]
    test: [2024-01-08, 2024-01-10]
    shift: [2024-01-11, 2024-01-12]
"""

Row = list[str]


def series(days: int = DAYS, step_h: float = 1.0, first: str = "2024-01-01 00:00") -> list[Row]:
    """Return a header and rows that are sound."""
    start = datetime.strptime(first, FORMAT)
    rows: list[Row] = [["time", "load", "pv", "price"]]
    for k in range(round(days * 24 / step_h)):
        time = start + timedelta(hours=k * step_h)
        sun = max(0.0, 6.0 - abs(time.hour - 12))
        price = 60 + 20 * ((time.hour > 16) - (time.hour < 5)) + time.day
        rows.append([time.strftime(FORMAT), f"{2 + time.hour / 10 + time.day / 100:.2f}", f"{sun}",
                     f"{price}"])  # fmt: skip
    return rows


def write(folder: Path, rows: Sequence[Sequence[str]], name: str = "series.csv") -> Path:
    """Write rows as they are."""
    file = folder / name
    file.write_text("\n".join(",".join(row) for row in rows) + "\n", encoding="utf-8")
    return file


def house(folder: Path, rows: Sequence[Sequence[str]] | None = None, **source: Any) -> System:
    """Write the system and its series, and load it; `source` overrides keys of the source."""
    write(folder, series() if rows is None else rows)
    file = folder / "house.yaml"
    file.write_text(SYSTEM, encoding="utf-8")
    return load_system(file, {f"source.{key}": value for key, value in source.items()})


def csv_source(system: System) -> CsvSource:
    """Return the source of a system, which is a file."""
    source = system.config.source
    assert isinstance(source, CsvSource)
    return source
