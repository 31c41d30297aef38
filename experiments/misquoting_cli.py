"""The command `mmg misquote`, imported without torch: it is asked for where it is needed."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import joblib
import typer

from experiments.engine import exclusive
from experiments.misquoting import AUDITS, FULL, QUICK, QUICK_AUDITS, Size, study
from experiments.reproduce.misquoting_tables import every_table, plain, words
from experiments.reproduce.output import tell, write
from experiments.reproduce.tables import as_csv
from mmg_env.errors import InputError

FINDINGS = "misquoting.json"


def misquote(  # noqa: PLR0913 - one parameter per option of the command
    system: Annotated[str, typer.Option(help="System or suite: a name, or a file.")] = "s1_3mg",
    episodes: Annotated[int | None, typer.Option(min=1, help="Held-out episodes of val.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Hours each learner plays.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Learners per strength.")] = None,
    audits: Annotated[
        str, typer.Option(help="Expected fines per unit of hidden money, with commas.")
    ] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Few strengths, short learning.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results/misquote"),
) -> None:
    """Let participants learn what to quote in an auction, and see what audits do about it."""
    if find_spec("torch") is None or find_spec("stable_baselines3") is None:
        raise InputError("mmg misquote: a learning library is missing; pip install '.[rl]'")
    usual = QUICK if quick else FULL
    size = Size(episodes or usual.episodes, steps or usual.steps, seeds or usual.seeds)
    strengths = _strengths(audits) or (QUICK_AUDITS if quick else AUDITS)
    with exclusive(out):
        findings = study(system, size, strengths, workers or joblib.cpu_count())
        tables = every_table(findings)
        tell(tables)
        for line in words(findings):
            typer.echo(line)
        for table in tables:
            write(out / f"{table.file}.csv", as_csv(table))
        write(out / FINDINGS, json.dumps(plain(findings), indent=1, allow_nan=False) + "\n")
        typer.echo(f"written: {out / FINDINGS} and {len(tables)} tables as CSV")


def _strengths(text: str) -> tuple[float, ...]:
    """Read numbers with commas between them; a number that comes again counts once."""
    try:
        return tuple(dict.fromkeys(float(word) for word in text.split(",") if word.strip()))
    except ValueError:
        raise InputError(f"--audits: {text!r}; it must be numbers with commas, as 0,0.4") from None
