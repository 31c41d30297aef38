"""The commands `mmg config`: check a file, show a system, print the schema."""

import json

import typer

from mmg_env.config import SystemConfig
from mmg_env.config_file import config_text, load_config

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def check(file: str = typer.Argument(help="A system or suite: a YAML file, or a name.")) -> None:
    """Check a file; say what is wrong with it, by line."""
    config = load_config(file)
    for sentence in config.remarks:
        typer.echo(f"{file}: warning: {sentence}", err=True)
    count = len(config.members)
    members = "1 member" if count == 1 else f"{count} members"
    storage = "no community storage" if config.ces is None else "community storage"
    typer.echo(f"{file}: OK: {config.name}, {members}, {storage}, {config.episode_h} h")


@app.command()
def show(name: str = typer.Argument(help="A system or suite: a name, or a YAML file.")) -> None:
    """Print a system as YAML, with a suite's changes; a good start for a file of one's own."""
    typer.echo(config_text(name), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON schema of a system file."""
    typer.echo(json.dumps(SystemConfig.model_json_schema(), indent=2))
