"""The command `mmg`.

Exit codes: 0 done, 1 something failed, 2 bad input, told in a sentence on stderr.
"""

import sys
from io import TextIOWrapper

import typer

from experiments import (
    bench,
    bound,
    compare,
    config_cli,
    data_cli,
    doctor,
    export,
    freeze,
    headroom,
    misquoting_cli,
    perf,
    realism,
    reproduce,
    rescore,
    simulate,
    train_cli,
    tune_rules,
    worth,
)
from mmg_env.errors import InputError

app = typer.Typer(
    help="Multi-microgrid communities with shared storage: simulate, optimise, compare.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(config_cli.app, name="config", help="Check and show system files.")
app.add_typer(data_cli.app, name="data", help="Describe series; check one's own.")
app.command()(bench.bench)
app.command()(bound.bound)
app.command()(compare.compare)
app.command()(worth.worth)
app.command()(train_cli.train)
app.command()(train_cli.tune)
app.command("tune-rules")(tune_rules.tune_rules)
app.command()(headroom.headroom)
app.command()(freeze.freeze)
app.command()(realism.realism)
app.command()(rescore.rescore)
app.command()(simulate.simulate)
app.command()(export.export)
app.command()(misquoting_cli.misquote)
app.command()(doctor.doctor)
app.add_typer(reproduce.app, name="reproduce", help="What papers report, on instances of ours.")
app.add_typer(perf.app, name="perf", help="Measure speed as ratios in one run.")


def main() -> None:
    """Run the command line; bad input ends with exit code 2 and no traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may not know every character
    try:
        app()
    except InputError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None
