"""A page and its tables, on the terminal and in a folder.

Source: our choice.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from experiments.records import write_atomically
from experiments.reproduce.tables import Table, as_csv, as_terminal

REPORT: Final = "report.html"
_NARROWEST: Final = 150  # columns that the tables need; a pipe has no width of its own


def hand_over(folder: Path, page: str, tables: Sequence[Table]) -> None:
    """Write a page and its tables into a folder, and say so."""
    for table in tables:
        write(folder / f"{table.file}.csv", as_csv(table))
    write(folder / REPORT, page)
    typer.echo(f"written: {folder / REPORT} and {len(tables)} tables as CSV")


def tell(tables: Sequence[Table]) -> None:
    """Print tables."""
    console = Console(width=max(Console().width, _NARROWEST))
    for table in tables:
        console.print(as_terminal(table))


def write(file: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    write_atomically(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))
