"""The commands `mmg reproduce ...`: pages that show what papers report, on instances of ours."""

import typer

from experiments.reproduce import s1, s1_robust, s2

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def reproduce() -> None:
    """Reproduce what papers report."""


app.command("s1")(s1.s1)
app.command("s1-robust")(s1_robust.s1_robust)
app.command("s2")(s2.s2)
