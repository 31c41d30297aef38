"""The command `mmg bench`: policies on the same episodes, scored between a rule and the oracle.

What to run stands in a file; the command line wins over it. The policy whose score is 0 and the
oracle are run silently where they are not asked for, because the score needs them.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import joblib
import numpy as np
import typer
from pydantic import Field
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from experiments.engine import Outcome, Task, exclusive, pending, run_grid
from experiments.foreign import adopt, is_foreign
from experiments.records import (
    DRAWN_EPISODE,
    ORACLE,
    Cell,
    Origin,
    origin_of,
    read_records,
    read_trajectory,
)
from experiments.report.bills import bills, bills_table
from experiments.report.leaderboard import Board, rank
from experiments.report.words import columns
from experiments.settlement import SettlementConfig, settlement_named
from experiments.yaml_model import read_model
from mmg_env.config_checks import known_words
from mmg_env.config_devices import Count, Label, Model
from mmg_env.config_file import config_directory
from mmg_env.errors import ConfigError, InputError
from mmg_env.splits import split_size
from mmg_env.system import System, load_system

SPLITS: Final = ("train", "val", "test", "shift")
DEFAULT: Final = "default"


class BenchmarkConfig(Model):
    """What a benchmark file says; the names are those of the command line."""

    suite: Label = Field(description="Name of a suite or system, or a YAML file.")
    split: Label = Field("test", description="train, val, test or shift.")
    episodes: Count = Field(10, description="Number of episodes: 0, 1, ... of the split.")
    policies: tuple[Label, ...] = Field(min_length=1, description="Policies, oracle among them.")
    workers: Count | None = Field(None, description="Processes; absent: one per core.")
    out: Label = Field("results/default", description="Folder of the results.")
    settlement: SettlementConfig | None = Field(
        None, description="How participants share what they save; absent: not at all."
    )

    def command(self) -> str:
        """Return the command line that runs the same cells."""
        words = ["mmg", "bench", "--suite", self.suite, "--split", self.split]
        words += ["--episodes", str(self.episodes), "--policies", ",".join(self.policies)]
        if self.settlement is not None:
            words += ["--settlement", self.settlement.words]
        return shlex.join([*words, "--out", self.out])


def bench(  # noqa: PLR0913 - one parameter per option of the command
    config: Annotated[str, typer.Option(help="A name in configs/benchmarks, or a file.")] = DEFAULT,
    suite: Annotated[str | None, typer.Option(help="Suite or system: a name, or a file.")] = None,
    split: Annotated[str | None, typer.Option(help="train, val, test or shift.")] = None,
    episodes: Annotated[int | None, typer.Option(min=1, help="Number of episodes.")] = None,
    policies: Annotated[str | None, typer.Option(help="Names with commas; also oracle.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
    out: Annotated[str | None, typer.Option(help="Folder of the results.")] = None,
    settlement: Annotated[
        str | None, typer.Option(help="none, or nash[,POWER[,POLICY ALONE]].")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Unpickle saved models (.zip).")] = False,
) -> None:
    """Score policies on the same episodes; write records and a report."""
    given = {
        "suite": suite,
        "split": split,
        "episodes": episodes,
        "policies": None if policies is None else _listed(policies),
        "workers": workers,
        "out": out,
    }
    chosen: dict[str, object] = {name: told for name, told in given.items() if told is not None}
    if settlement is not None:
        chosen["settlement"] = settlement_named(settlement)
    plan = read_benchmark(config).model_copy(update=chosen)
    system = load_system(plan.suite)
    played = [
        adopt(policy, system, Path(plan.out) / "agents", trust) if is_foreign(policy) else policy
        for policy in plan.policies
    ]
    plan = plan.model_copy(update={"policies": tuple(played)})
    check(plan, system)
    with exclusive(Path(plan.out)):
        failed = run(plan, system)
    if failed:
        raise typer.Exit(1)


def _listed(text: str) -> tuple[str, ...]:
    """Split a list with commas; a name given twice counts once."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise InputError("--policies: no name is given; give some, as idle,time_of_use")
    return names


def read_benchmark(name_or_path: str) -> BenchmarkConfig:
    """Return a shipped benchmark by name, or one from a file.

    Raises:
        ConfigError: one line per fault, with file, line, key and what is allowed.
    """
    folder = config_directory() / "benchmarks"
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    file = folder / f"{name_or_path}.yaml" if name_or_path in known else Path(name_or_path)
    if file.suffix not in (".yaml", ".yml") and not file.exists():
        raise ConfigError(unknown("benchmark", name_or_path, known))
    return read_model(file, BenchmarkConfig)


def check(plan: BenchmarkConfig, system: System) -> None:
    """Refuse names that do not exist, what cannot be played, and more episodes than there are.

    Raises:
        InputError: a sentence with the name and what is allowed.
    """
    check_split(system, plan.split)
    for policy in (*plan.policies, system.config.score_zero):
        check_policy(policy, system)
    if plan.settlement is not None:
        from baselines.bargaining.settlement import alone

        check_policy(plan.settlement.alone, alone(system))
    size = split_size(system, plan.split)
    if size is not None and plan.episodes > size:
        sentence = f"{plan.episodes} is more than the {size} of the split {plan.split}"
        raise InputError(f"episodes: {sentence} of {system.name}")


def check_split(system: System, split: str) -> None:
    """Refuse a split that does not exist, or a system without episodes."""
    if split not in SPLITS:
        raise InputError(unknown("split", split, SPLITS))
    if system.config.source is None:
        raise InputError(f"system {system.name}: it has no `source`, so it has no episodes")


def check_policy(policy: str, system: System) -> None:
    """Refuse a policy that does not exist, or that cannot be played on the system."""
    from baselines import POLICIES, missing_for, policy_named
    from baselines.agent import FACTS, PREFIX, shipped_agents

    if policy.startswith(PREFIX) or (Path(policy) / FACTS).is_file():
        policy_named(policy)(system)  # refuses what it does not fit
        return
    known = [*POLICIES, ORACLE, *(PREFIX + agent for agent in shipped_agents())]
    if policy not in known:
        raise InputError(unknown("policy", policy, known))
    missing = missing_for(policy, system)
    if missing:
        raise InputError(f"policy {policy}: it needs {missing}, which {system.name} does not have")


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """Return the sentence for a name that does not exist."""
    return f'no {kind} "{name}"{known_words(name, known)}'


def run(plan: BenchmarkConfig, system: System) -> int:
    """Run what is missing, print the table, write the report; return the number of failed cells."""
    origin = origin_of(system, settlement=plan.settlement)
    silent = dict.fromkeys([*plan.policies, system.config.score_zero, ORACLE])
    # By episode first: slow and quick policies mix, so the time left is foreseen well.
    cells = [
        Cell(system.name, plan.split, episode, policy)
        for episode in range(plan.episodes)
        for policy in silent
    ]
    origins = {policy: origin_of(system, policy, plan.settlement) for policy in silent}
    tasks = [
        Task(cell, plan.suite, Path(plan.out), origins[cell.policy], plan.settlement)
        for cell in cells
    ]
    work_off(tasks, plan.workers)
    return _tell(plan, system, origin, cells)


def work_off(tasks: Sequence[Task], workers: int | None) -> None:
    """Run those tasks that have no record yet under a progress bar; say which fail as they do.

    Args:
        tasks: what is wanted.
        workers: processes; None for one per core.
    """
    missing = pending(tasks)
    _say_what_stands(tasks, missing)
    _run(missing, workers or joblib.cpu_count())


def _say_what_stands(tasks: Sequence[Task], missing: Sequence[Task]) -> None:
    """Say how many records are kept, and that stale ones are made anew."""
    standing = len(tasks) - len(missing)
    if standing:
        typer.echo(f"{standing} of {len(tasks)} cells are done already", err=True)
    stale = sum(task.cell.file(task.folder).exists() for task in missing)
    if stale:
        sentence = "failed before, or stem from another configuration, code or version"
        typer.echo(f"{stale} records {sentence}: run again", err=True)


def _run(tasks: Sequence[Task], workers: int) -> None:
    if not tasks:
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
    )
    with bar:
        advance = bar.add_task("cells", total=len(tasks))
        for outcome in run_grid(tasks, workers):
            bar.advance(advance)
            if outcome.status != "ok":
                line = _failure_line(outcome)
                bar.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _failure_line(outcome: Outcome) -> str:
    reason = (outcome.reason.splitlines() or [""])[0]
    return f"failed: {outcome.cell}: {reason}"


def _tell(plan: BenchmarkConfig, system: System, origin: Origin, cells: Sequence[Cell]) -> int:
    """Print the table and write the report from the records."""
    # Here, because matplotlib is slow to import and the worker processes do not need it.
    from experiments.report.page import Findings, write_report

    folder = Path(plan.out)
    records = list(read_records(folder, list(cells)))
    board = rank(records, plan.policies, system.config.score_zero, ORACLE)
    drawn = [Cell(system.name, plan.split, DRAWN_EPISODE, policy) for policy in plan.policies]
    kept = {cell.policy: read_trajectory(folder, cell, system) for cell in drawn}
    trajectories = {policy: found for policy, found in kept.items() if found is not None}
    about = (system, plan.split, plan.command(), origin, board, trajectories)
    report = write_report(folder, Findings(*about, plan.settlement))
    show(table(board, system))
    if paid := bills(board, system.participants):
        show(bills_table(paid, system.config.currency))
    if np.isfinite(board.stability):
        typer.echo(f"even and odd episodes rank the policies with tau {board.stability:.2f}")
    typer.echo(f"report: {report}")
    if board.failures:
        typer.echo(f"{len(board.failures)} of {len(cells)} cells failed; see the report", err=True)
    return len(board.failures)


def show(grid: Table) -> None:
    """Print a table in full: a pipe has no width of its own, and cut numbers say nothing."""
    wide = Console(width=1000)
    needed = Measurement.get(wide, wide.options, grid).maximum
    Console(width=max(Console().width, needed)).print(grid)


def table(board: Board, system: System) -> Table:
    """Return the leaderboard for the terminal."""
    count = len(board.episodes)
    title = f"{system.name}, {count} {'episode' if count == 1 else 'episodes'}"
    listed = [
        column
        for column in columns(board.zero, system.config.currency)
        if column.title != "saving"  # the score says as much, and a terminal is narrow
    ]
    grid = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in listed:
        head = f"{column.title}\n{column.unit}".strip()
        grid.add_column(head, justify="left" if column.title == "policy" else "right", no_wrap=True)
    for row in board.rows:
        texts = [column.text(row) for column in listed]
        cells = [f"{text.value}\n{text.spread}".strip() for text in texts]
        cells[0] += "\n(lower bound)" if row.bound else ""
        cells[0] += f"\n({row.failed} failed)" if row.failed else ""
        grid.add_row(*cells)
    return grid
