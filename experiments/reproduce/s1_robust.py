"""The command `mmg reproduce s1-robust`: robust days of microgrids, in a page and its tables.

Source: the questions are those of Bian & Ji 2025; the instance is calibrated by us.
"""

from pathlib import Path
from typing import Annotated

import joblib
import typer

from experiments.engine import exclusive
from experiments.reproduce.s1_robust_cases import FULL, QUICK
from experiments.reproduce.s1_robust_findings import gather
from experiments.reproduce.s1_robust_tables import every_table, shown_on_terminal
from experiments.reproduce.s2 import REPORT, tell, write
from experiments.reproduce.tables import as_csv


def s1_robust(
    out: Annotated[Path, typer.Option(help="Folder of the page and its tables.")] = Path(
        "results/reproduce/s1_robust"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Short searches and sweeps.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
) -> None:
    """Show what protection against the worst costs microgrids, and what it brings them."""
    size = QUICK if quick else FULL
    with exclusive(out):
        findings = gather(size, workers or joblib.cpu_count())
        # Here, because matplotlib is slow to import and the worker processes do not need it.
        from experiments.reproduce.s1_robust_page import page_of

        tables = every_table(findings)
        tell(shown_on_terminal(tables))
        for table in tables:
            write(out / f"{table.file}.csv", as_csv(table))
        write(out / REPORT, page_of(findings, tables))
        typer.echo(f"written: {out / REPORT} and {len(tables)} tables as CSV")
