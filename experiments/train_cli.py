"""The commands of learning, imported without torch: it is asked for where it is needed."""

from pathlib import Path
from typing import Annotated

import typer

from mmg_env.errors import InputError
from mmg_env.system import load_system


def train(  # noqa: PLR0913 - one parameter per option of the command
    suite: Annotated[str, typer.Option(help="Suite: a name, or a file.")],
    algo: Annotated[str, typer.Option(help="ppo, sac, td3, tqc, bc or forecast.")] = "ppo",
    steps: Annotated[int, typer.Option(min=0, help="Steps of the environment.")] = 1_000_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the learner and its episodes.")] = 0,
    agent: Annotated[str | None, typer.Option(help="Learner: a name, or a file.")] = None,
    warm_start: Annotated[str, typer.Option(help="Policy to clone first; also oracle.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder; what is there is continued.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that demonstrate.")] = None,
) -> None:
    """Train an agent; write its weights, its curve and where to go on from."""
    try:
        from experiments.plan import Plan
        from experiments.train import begin
    except ImportError as error:
        raise InputError(f"mmg train: {error.name} is missing; pip install '.[rl]'") from None

    name = agent or _file(algo, warm_start)
    folder = out or Path("results/train") / f"{_told(suite, name, warm_start)}-{seed}"
    begin(Plan(suite, algo, steps, seed, name, warm_start, folder, workers))


def tune(  # noqa: PLR0913 - one parameter per option of the command
    suite: Annotated[str, typer.Option(help="Suite: a name, or a file.")],
    algo: Annotated[str, typer.Option(help="ppo, sac, td3 or tqc.")] = "ppo",
    steps: Annotated[int, typer.Option(min=1, help="Steps of each trial.")] = 200_000,
    trials: Annotated[int, typer.Option(min=1, help="Number of trials.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the search and the learners.")] = 0,
    agent: Annotated[str | None, typer.Option(help="Learner to begin with.")] = None,
    warm_start: Annotated[str, typer.Option(help="Policy to clone first; also oracle.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder; it must be new.")] = None,
) -> None:
    """Seek a learner's settings on val; write the best as a learner's file."""
    try:
        from experiments.plan import Plan
        from experiments.tune import Search
        from experiments.tune import tune as run
    except ImportError as error:
        raise InputError(f"mmg tune: {error.name} is missing; pip install '.[rl]'") from None

    name = agent or _file(algo, warm_start)
    folder = out or Path("results/tune") / _told(suite, name, warm_start)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"--out: {folder} is not empty; name a new folder")
    run(Search(Plan(suite, algo, steps, seed, name, warm_start, folder, None), trials))


def _file(algo: str, warm_start: str) -> str:
    """Return the learner's file where none is named."""
    return "ppo_clone" if algo == "ppo" and warm_start else algo


def _told(suite: str, agent: str, warm_start: str) -> str:
    """Return the path of a folder that says what is trained in it."""
    beginning = f"-from-{Path(warm_start).name}" if warm_start else ""
    return f"{load_system(suite).name}/{Path(agent).stem}{beginning}"
