"""Series of one's own to begin with: a small CSV file, and a system file that reads it.

The numbers are those of the system's own source, so the two files pass `mmg data check`.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from experiments.records import write_atomically
from mmg_env.config_columns import recorded_series
from mmg_env.episode import Episode
from mmg_env.errors import InputError
from mmg_env.layout import X
from mmg_env.sources.analogue import known_columns
from mmg_env.sources.plausibility import money_pumps
from mmg_env.splits import sample_episode
from mmg_env.system import System, load_system

Array = NDArray[np.float64]

LONGEST_H: Final = 168
FIRST_DAY: Final = np.datetime64("2024-01-01")
STARTS: Final = {"train": 7, "val": 2, "test": 2, "shift": 2}  # days to start on, by split
TIME: Final = "time"
HEADER: Final = """\
# Made by `mmg data template {base}`. Put your own rows into {name}.csv, say below what its
# columns are, and run: mmg data check {name}.yaml
"""
SOURCE: Final = """\
source:
  kind: csv
  file: {name}.csv  # from the folder of this file; CSV or Parquet
  time_column: {time}
  time_format: "%Y-%m-%d %H:%M"  # as of strptime, or iso
  time_zone: Europe/Amsterdam  # of times without offset; days are those of its standard time
  label: start  # a time is the start or the end of its interval
  columns:  # powers: kW, MW or per_unit; prices: per_kwh or per_MWh
{columns}
  splits:  # first and last day; one episode starts on each day at most
{splits}
"""


def write_template(base: str, out: Path) -> list[Path]:
    """Write both files and return their paths.

    Args:
        base: a suite or system, a name or a YAML file, whose members and source are taken.
        out: the folder.

    Raises:
        InputError: a file is there already, or the system has no source.
    """
    hours = min(load_system(base).config.episode_h, LONGEST_H)
    system = load_system(base, {"episode_h": hours})
    name = f"{system.name}_own"
    files = [out / f"{name}.csv", out / f"{name}.yaml"]
    for file in files:
        if file.exists():
            raise InputError(f"{file}: is there already; choose another folder, or remove it")
    count = {split: starts + hours // 24 - 1 for split, starts in STARTS.items()}
    table = _table(system, sum(count.values()))
    text = _system_text(system, base, name, table, count)
    write_atomically(files[0], lambda temporary: _write_csv(system, temporary, table))
    write_atomically(files[1], lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return files


def _table(system: System, days: int) -> dict[str, tuple[str, Array]]:
    """Return the unit and the values of every series, by its name."""
    length = system.config.episode_h // 24
    episodes = [sample_episode(system, "train", index) for index in range(-(-days // length))]
    steps = days * system.steps_per_day
    table = {}
    for series, is_needed in recorded_series(system.config).items():
        premium = series.endswith("_premium")
        if is_needed or (premium and system.day_ahead_grid):
            values = np.concatenate([_values(system, e, series) for e in episodes])[:steps]
            factor, unit = (1.0, "kW") if "." in series else (1000.0, "per_MWh")
            table[series] = (unit, factor * values)
    return table


def _values(system: System, episode: Episode, series: str) -> Array:
    """Return one series of an episode, (steps,), kW or currency/kWh."""
    if "." not in series:
        return episode.shared(X[series])
    member, kind = series.split(".")
    values: Array = getattr(episode, f"{kind}_kw")[:, system.members.index(member)]
    return values


def _column(series: str, unit: str) -> str:
    """Return the name of a column of the CSV file."""
    return f"{series.replace('.', '_')}_{unit}"


def _write_csv(system: System, file: Path, table: Mapping[str, tuple[str, Array]]) -> None:
    """Write one row per step, numbers with six decimals."""
    step = np.timedelta64(round(system.dt_h * 3600), "s")
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([TIME, *(_column(series, unit) for series, (unit, _) in table.items())])
        for t, row in enumerate(zip(*(values for _, values in table.values()), strict=True)):
            time = str(FIRST_DAY + t * step)[:16].replace("T", " ")
            writer.writerow([time, *(f"{value:.6f}".rstrip("0").rstrip(".") for value in row)])


def _system_text(
    system: System,
    base: str,
    name: str,
    table: Mapping[str, tuple[str, Array]],
    count: Mapping[str, int],
) -> str:
    """Return the system file."""
    left_out = {"name", "source", "splits", "score_zero", "tuned_rule"}
    content: dict[str, Any] = {"name": name}
    content |= system.config.model_dump(mode="json", exclude_unset=True, exclude=left_out)
    for key, prices in (content.get("ces") or {}).items():
        if key.endswith("_per_kw_h") and len(set(prices)) == 1:
            content["ces"][key] = prices[0]  # one number for all hours, as it is written by hand
    if _prices_are_cut(system, table):
        content["allow_arbitrage"] = True
    content["splits"] = {split: n for split, n in STARTS.items() if split != "train"}
    columns = [
        f"    {series}: {{column: {_column(series, unit)}, unit: {unit}}}"
        for series, (unit, _) in table.items()
    ]
    plain = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)
    source = SOURCE.format(
        name=name, time=TIME, columns="\n".join(columns), splits="\n".join(_ranges(count))
    )
    return HEADER.format(base=base, name=name) + plain + source


def _prices_are_cut(system: System, table: Mapping[str, tuple[str, Array]]) -> bool:
    """Say whether the system's own source cuts prices so that none can be made from others."""
    if "spot" not in table:
        return False
    spot = table["spot"][1] / 1000.0
    truth = np.zeros((len(spot), system.exogenous_size))
    hour = (np.arange(len(spot)) % system.steps_per_day * system.dt_h + 1e-9).astype(np.int64)
    known_columns(system, truth[:, 4 * len(system.members) :], spot, hour)
    return bool(money_pumps(system, truth).any())


def _ranges(count: Mapping[str, int]) -> Iterator[str]:
    """Yield a line for the days of each split, one after the other."""
    first = FIRST_DAY
    for split, days in count.items():
        yield f"    {split}: [{first}, {first + days - 1}]"
        first = first + days
