"""The commands `mmg data`: what the embedded series are, and whether one's own are sound."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray

from experiments.data_template import write_template
from mmg_env import data
from mmg_env.config import CsvSource
from mmg_env.errors import InputError
from mmg_env.sources.recorded import recording
from mmg_env.sources.tables import read_table
from mmg_env.system import System, load_system

# Packages whose models or profiles are in a table, beside those that its source files came with.
MADE_WITH: Final = {"sites": ("pvlib", "windpowerlib"), "demand": ("demandlib",)}

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def describe(
    name: Annotated[
        str | None,
        typer.Argument(help="A table, or a YAML file with a csv source; absent: all tables."),
    ] = None,
) -> None:
    """Print what is in the embedded tables, or in a file of one's own, as it was read."""
    if name is None or name in data.NAMES:
        for table in data.NAMES if name is None else (name,):
            typer.echo("\n".join(_table_lines(table)))
        return
    if Path(name).suffix not in (".yaml", ".yml"):
        tables = ", ".join(data.NAMES)
        raise InputError(f"{name!r}: neither a YAML file nor an embedded table ({tables})")
    typer.echo("\n".join(_file_lines(load_system(name))))


@app.command()
def check(file: Annotated[str, typer.Argument(help="A YAML file with a csv source.")]) -> None:
    """Check one's own series; say all that is wrong, by row."""
    system = load_system(file)
    tape = recording(system)
    last = tape.start + len(tape.days) - 1
    typer.echo(f"{file}: OK: {len(tape.days)} days, {tape.start} to {last}, no gaps")


@app.command()
def template(
    system: Annotated[str, typer.Argument(help="A suite or system: a name, or a YAML file.")],
    out: Annotated[Path, typer.Option(help="A folder.")],
) -> None:
    """Write series of a system's own source as CSV, and a YAML file that reads them."""
    for file in write_template(system, out):
        typer.echo(file)


def _table_lines(name: str) -> Iterator[str]:
    """Yield what is known about an embedded table."""
    facts, table = data.table_facts(name), data.load(name)
    time = facts["time"]
    yield f"{name}: {facts['rows']} rows of 1 h, {time['first'][:16]} to {time['last'][:16]}"
    yield f"  time     {time['zone']}; a time is the {time['label']}"
    for source in facts["source"]:
        yield f"  source   {source}"
    packages = dict.fromkeys(source.split("/")[0] for source in facts["source"])
    for package in [*packages, *MADE_WITH.get(name, ())]:
        yield f"  licence  {package}: {data.provenance()['licences'][package]}"
    yield f"  sha256   {facts['sha256']}"
    for column, spec in facts["columns"].items():
        yield f"  {column:22} {_figures(table[column])} {spec['unit']}"


def _file_lines(system: System) -> Iterator[str]:
    """Yield what a csv source says, as it was read."""
    source = system.config.source
    if not isinstance(source, CsvSource):
        kind = "none" if source is None else source.kind
        raise InputError(f"system {system.name}: its source is `{kind}`; it must be `csv`")
    table = read_table(source, system.dt_h)
    last = table.start + len(table.row) // system.steps_per_day - 1
    yield f"{table.file}: {len(table.row)} steps of {system.dt_h:g} h"
    yield f"  days     {table.start} to {last}, whole days in standard time of {source.time_zone}"
    yield f"  rows     {table.row[0]} to {table.row[-1]}; a time is the {source.label} of its step"
    yield f"  sha256   {source.sha256}"
    for name, values in table.values.items():
        column = source.columns[name]
        unit = "per unit" if column.unit == "per_unit" else "kW"
        unit = unit if "." in name else f"{system.config.currency}/kWh"
        yield f"  {name:22} {_figures(values)} {unit}, from {column.column} in {column.unit}"


def _figures(values: NDArray[Any]) -> str:
    """Return the least, mean and highest value."""
    wide = np.asarray(values, dtype=np.float64)
    return f"min {wide.min():10.5g}  mean {wide.mean():10.5g}  max {wide.max():10.5g}"
