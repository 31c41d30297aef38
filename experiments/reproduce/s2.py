"""The command `mmg reproduce s2`: the roles of a cloud storage, in a page and its tables.

Source: the questions are those of Bayat et al. 2026; the instance is calibrated by us.
"""

from pathlib import Path
from typing import Annotated

import joblib
import typer

from experiments.engine import exclusive
from experiments.reproduce.output import hand_over, tell
from experiments.reproduce.promise import POLICIES
from experiments.reproduce.s2_findings import FULL, QUICK, gather
from experiments.reproduce.s2_tables import every_table, shown_on_terminal


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
        hand_over(out, page_of(findings, tables), tables)
