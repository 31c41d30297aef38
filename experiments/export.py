"""The command `mmg export`: what policies do, as Minari datasets for offline learning.

The references of the scores, random and oracle, are played silently where they are not asked for.
All datasets of a command appear when the last one is whole; until then, none does.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import joblib
import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from experiments.bench import check_policy, check_split, unknown
from experiments.dataset import (
    Figures,
    Key,
    References,
    check_minari,
    draft,
    figures,
    finish,
    publish,
)
from experiments.engine import exclusive
from experiments.recording import Recording, record
from experiments.records import ORACLE, origin_of
from mmg_env.config_file import suite_names
from mmg_env.errors import InputError
from mmg_env.splits import check_index
from mmg_env.system import System, load_system

RANDOM: Final = "random"
DEFAULT: Final = "random,tuned_rule,mpc,oracle"
DRAFTS: Final = ".mmg-export"
"""Where datasets are until they are whole, below the folder they go to; hidden from Minari."""
_WIDEST = 1000


def export(  # noqa: PLR0913 - one parameter per option of the command
    suite: Annotated[str, typer.Option(help="Name of a shipped suite.")],
    policies: Annotated[str, typer.Option(help="Names with commas; also oracle.")] = DEFAULT,
    split: Annotated[str, typer.Option(help="train, val, test or shift.")] = "train",
    episodes: Annotated[int, typer.Option(min=1, help="Number of episodes.")] = 100,
    first: Annotated[int, typer.Option(min=0, help="Number of the first episode.")] = 0,
    out: Annotated[str, typer.Option(help="Folder of the datasets.")] = "results/datasets",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
) -> None:
    """Write what policies do as Minari datasets, for offline learning."""
    if suite not in suite_names():
        # A file's name and numbers may change under a dataset; a shipped suite has a version.
        raise InputError(unknown("shipped suite", suite, suite_names()))
    system = load_system(suite)
    names = dict.fromkeys(name.strip() for name in policies.split(",") if name.strip())
    keys = [Key(suite, name, split, first, episodes) for name in names]
    check(keys, system)
    check_minari()
    folder = Path(out)
    with exclusive(folder):
        check_free(keys, folder)
        means = write(keys, system, folder, workers or joblib.cpu_count())
    tell(keys, folder, means)


def check(keys: list[Key], system: System) -> None:
    """Refuse names that do not exist and more episodes than there are.

    Raises:
        InputError: a sentence with the name and what is allowed.
    """
    if not keys:
        raise InputError(f"--policies: no name is given; give some, as {DEFAULT}")
    check_split(system, keys[0].split)
    for key in keys:
        check_policy(key.policy, system)
    check_index(system, keys[0].split, keys[0].indices[-1])


def check_free(keys: list[Key], folder: Path) -> None:
    """Refuse to write over a dataset.

    Raises:
        InputError: naming the dataset's folder.
    """
    for key in keys:
        if (folder / key.id).exists():
            sentence = "the dataset exists already; move it away, or choose another --out"
            raise InputError(f"{folder / key.id}: {sentence}")


def write(keys: list[Key], system: System, folder: Path, workers: int) -> dict[str, float]:
    """Write datasets of the same episodes: all of them or, whatever happens, none.

    Args:
        keys: what they are of; they differ in the policy alone.
        system: the suite's.
        folder: where they go; nobody else writes there.
        workers: processes.

    Returns:
        The mean return of every policy that was played.
    """
    asked = {key.policy: key for key in keys}
    played = {name: keys[0].of(name) for name in (RANDOM, ORACLE)} | asked
    drafts = folder / DRAFTS
    shutil.rmtree(drafts, ignore_errors=True)  # of a command that was killed
    try:
        means = {}
        for name, key in played.items():
            recordings = play(key, workers)
            if name in asked:
                recordings = draft(drafts, key, origin_of(system, name), recordings)
            means[name] = float(np.mean([recording.total for recording in recordings]))
        references = References(means[RANDOM], means[ORACLE])
        for key in keys:
            finish(drafts, key, references)
        for key in keys:
            publish(drafts, folder, key)
    finally:
        shutil.rmtree(drafts, ignore_errors=True)
    return means


def play(key: Key, workers: int) -> Iterator[Recording]:
    """Yield the recordings of a key's episodes in their order, under a progress bar."""
    words = [(key.suite, key.split, index, key.policy) for index in key.indices]
    recordings = _in_order(words, min(workers, len(words)))
    console = Console(stderr=True)
    return iter(track(recordings, key.policy, total=len(words), console=console))


def _in_order(words: list[tuple[str, str, int, str]], workers: int) -> Iterator[Recording]:
    if workers == 1:
        yield from (record(*each) for each in words)
        return
    # One thread each: the episodes are the parallelism, and solvers would fight for the cores.
    with joblib.parallel_config(backend="loky", n_jobs=workers, inner_max_num_threads=1):
        pool = joblib.Parallel(return_as="generator", batch_size=1, pre_dispatch="2 * n_jobs")
        yield from pool(joblib.delayed(record)(*each) for each in words)


def tell(keys: list[Key], folder: Path, means: dict[str, float]) -> None:
    """Print what was written, and how to load it."""
    rows = {key: figures(folder, key, means[key.policy]) for key in keys}
    grid = table(rows, folder)
    # Wide enough for a path in one piece; a pipe has no width of its own.
    wanted = Console(width=_WIDEST).measure(grid).maximum
    Console(width=max(Console().width, wanted)).print(grid)
    typer.echo("To load one:\n")
    typer.echo("    import minari")
    typer.echo(f'    dataset = minari.MinariDataset("{folder / keys[0].id / "data"}")')


def table(rows: dict[Key, Figures], folder: Path) -> Table:
    """Return the table of datasets for the terminal."""
    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    grid.add_column("dataset", no_wrap=True)
    for name in ("episodes", "steps", "mean return", "score", "MB"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("path", no_wrap=True)
    for key, row in rows.items():
        numbers = (f"{row.mean_return:.2f}", f"{row.score:.3f}", f"{row.megabytes:.1f}")
        grid.add_row(key.id, str(row.episodes), str(row.steps), *numbers, str(folder / key.id))
    return grid
