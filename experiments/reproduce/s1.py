"""The command `mmg reproduce s1`: microgrids that cooperate, bargain and deceive.

Source: the questions are those of Bian & Ji 2025; the instance is calibrated by us.
"""

from pathlib import Path
from typing import Annotated

import joblib
import typer

from experiments.engine import exclusive
from experiments.reproduce.output import hand_over, tell
from experiments.reproduce.s1_findings import FULL, QUICK, gather
from experiments.reproduce.s1_tables import every_table, shown_on_terminal


def s1(
    out: Annotated[Path, typer.Option(help="Folder of the page and its tables.")] = Path(
        "results/reproduce/s1"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Few days and rounds.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
) -> None:
    """Show what cooperation saves microgrids, who gets it, and what lies about it bring."""
    size = QUICK if quick else FULL
    with exclusive(out):
        findings = gather(size, workers or joblib.cpu_count())
        # Here, because matplotlib is slow to import and the worker processes do not need it.
        from experiments.reproduce.s1_page import page_of

        tables = every_table(findings)
        tell(shown_on_terminal(tables))
        hand_over(out, page_of(findings, tables), tables)
