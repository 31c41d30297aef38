"""The command `mmg reproduce s2`: the roles of a cloud storage, in a page and its tables.

Source: the questions are those of Bayat et al. 2026; the instance is calibrated by us.
"""

from pathlib import Path
from typing import Annotated, Final

import joblib
import typer
from rich.console import Console

from experiments.engine import exclusive
from experiments.records import write_atomically
from experiments.reproduce.promise import POLICIES
from experiments.reproduce.s2_findings import FULL, QUICK, gather
from experiments.reproduce.s2_tables import every_table, shown_on_terminal
from experiments.reproduce.tables import Table, as_csv, as_terminal

REPORT: Final = "report.html"
_NARROWEST: Final = 150  # columns that the tables need; a pipe has no width of its own


def s2(
    out: Annotated[Path, typer.Option(help="Folder of the page and its tables.")] = Path(
        "results/reproduce/s2"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Few days and scenarios.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
) -> None:
    """Show what a cloud storage's markets, trade and rent do to it and to the houses."""
    size = QUICK if quick else FULL
    with exclusive(out):
        findings = gather(size, POLICIES, workers or joblib.cpu_count())
        # Here, because matplotlib is slow to import and the worker processes do not need it.
        from experiments.reproduce.s2_page import page_of

        tables = every_table(findings)
        tell(shown_on_terminal(tables))
        for table in tables:
            write(out / f"{table.file}.csv", as_csv(table))
        write(out / REPORT, page_of(findings, tables))
        typer.echo(f"written: {out / REPORT} and {len(tables)} tables as CSV")


def tell(tables: list[Table]) -> None:
    """Print tables."""
    console = Console(width=max(Console().width, _NARROWEST))
    for table in tables:
        console.print(as_terminal(table))


def write(file: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    write_atomically(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))
