"""The command `mmg worth`: what it is worth to commit a day for scenarios, on drawn episodes.

The first day of every episode is planned in three ways against the same scenarios: for all of them
(RP), for their mean (EEV), with each foreseen (WS). VSS = EEV - RP is what planning for scenarios
saves, EVPI = RP - WS what foresight would save on top. A plan knows its own scenarios; so the first
two are judged on others, too, for which neither was made. All are promises: after the commitments
each scenario is foreseen. Where policies are asked for, they play the same days, and what they
cost stands beside what was promised.

Source: Birge & Louveaux 2011, chapter 4; other scenarios and played days are our choice.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import joblib
import numpy as np
import typer
from numpy.typing import NDArray

from baselines.deterministic import first_public
from baselines.scenarios import draw
from baselines.value_of_information import Worth
from baselines.value_of_information import worth as worth_of_day
from experiments.bench import BenchmarkConfig, check, show, work_off
from experiments.engine import Task, exclusive
from experiments.records import ORACLE, Cell, origin_of, read_records, write_atomically
from experiments.report.rungs import as_csv, terminal_table
from experiments.report.worth import (
    Found,
    Promise,
    promise_grid,
    promise_rows,
    worth_grid,
    worth_rows,
)
from mmg_env.errors import InputError
from mmg_env.sources.random import stream
from mmg_env.splits import sample_episode
from mmg_env.system import System, load_system

Array = NDArray[np.float64]

SUITES: Final = ("s2_crh", "s1_3mg", "scarcity")


class Study(NamedTuple):
    """What is asked about one suite.

    Attributes:
        plan: suite, split, episodes, and the policies that play; the oracle stands for none.
        system: the suite's system.
        scenarios: number that is planned for, per day.
        others: number that plans are judged on elsewhere, per day.
        played: whether the policies play.
    """

    plan: BenchmarkConfig
    system: System
    scenarios: int
    others: int
    played: bool

    def tasks(self) -> list[Task]:
        """Return the cells to play, by episode first."""
        if not self.played:
            return []
        plan, system = self.plan, self.system
        origins = {policy: origin_of(system, policy) for policy in plan.policies}
        return [
            Task(
                Cell(system.name, plan.split, episode, policy),
                plan.suite,
                Path(plan.out),
                origins[policy],
            )
            for episode in range(plan.episodes)
            for policy in plan.policies
        ]


def worth(  # noqa: PLR0913 - one parameter per option of the command
    suite: Annotated[
        list[str] | None, typer.Option(help="Suite or system: a name, or a file; may be repeated.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, val, test or shift.")] = "test",
    episodes: Annotated[int, typer.Option(min=2, help="Number of episodes.")] = 16,
    scenarios: Annotated[int, typer.Option(min=1, help="Scenarios to plan for.")] = 10,
    others: Annotated[int, typer.Option(min=1, help="Other scenarios, to judge plans on.")] = 30,
    policies: Annotated[str, typer.Option(help="Names with commas, to play the same days.")] = "",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
    out: Annotated[str, typer.Option(help="Folder of the results.")] = "results/worth",
) -> None:
    """Say what committing a day for scenarios is worth, and what policies make of the day."""
    names = tuple(dict.fromkeys(name.strip() for name in policies.split(",") if name.strip()))
    studies = [
        plan_study(
            BenchmarkConfig(
                suite=source, split=split, episodes=episodes, policies=names or (ORACLE,), out=out
            ),
            (scenarios, others),
            played=bool(names),
        )
        for source in dict.fromkeys(suite or SUITES)
    ]
    with exclusive(Path(out)):
        work_off([task for study in studies for task in study.tasks()], workers)
        found = [judge(study, workers) for study in studies]
        failed = tell(found, Path(out))
    if failed:
        raise typer.Exit(1)


def plan_study(plan: BenchmarkConfig, counts: tuple[int, int], played: bool) -> Study:
    """Return what is asked about a suite.

    Args:
        plan: suite, split, episodes, policies.
        counts: scenarios to plan for, and others to judge on.
        played: whether the policies play.

    Raises:
        InputError: there is no such suite, split, episode or policy, or a day is to be played
            whose episode is longer.
    """
    system = load_system(plan.suite)
    check(plan, system)
    length = system.config.episode_h
    if played and length != 24:
        raise InputError(
            f"policies: an episode of {system.name} lasts {length} h, and what is promised is the "
            "cost of 24 h; a suite file of one's own with `episode_h: 24` shortens it"
        )
    return Study(plan, system, *counts, played)


def judge(study: Study, workers: int | None) -> Found:
    """Return what plans promise for the first days of a study, and what policies have cost.

    Args:
        study: the study; what policies have cost is read from its records.
        workers: processes; None for one per core.
    """
    plan, system = study.plan, study.system
    days = (
        joblib.delayed(worth_of_episode)(
            plan.suite, plan.split, index, study.scenarios, study.others
        )
        for index in range(plan.episodes)
    )
    every: list[Worth] = joblib.Parallel(n_jobs=workers or joblib.cpu_count())(days)
    promise = Promise(
        *(np.array([getattr(one, name) for one in every]) for name in Promise._fields)
    )
    currency = system.config.currency
    return Found(
        system.name,
        currency,
        plan.split,
        study.scenarios,
        study.others,
        promise,
        played_costs(study),
    )


def worth_of_episode(source: str, split: str, index: int, scenarios: int, others: int) -> Worth:
    """Return what plans promise for the first day of one episode."""
    system = load_system(source)
    public = first_public(system, sample_episode(system, split, index))
    # Streams of their own: what is drawn here is no part of the episode.
    drawn, judging = (
        draw(system, public.forecast, count, stream(system.name, split, index, name))
        for name, count in (("worth", scenarios), ("worth, others", others))
    )
    return worth_of_day(public, drawn, judging)


def played_costs(study: Study) -> dict[str, Array]:
    """Return what each policy has cost, (episodes,), currency; NaN where it failed."""
    cells = [task.cell for task in study.tasks()]
    costs = {cell.policy: np.full(study.plan.episodes, np.nan) for cell in cells}
    for record in read_records(Path(study.plan.out), cells):
        costs[record["policy"]][record["episode"]] = record["cost"]
    return costs


def tell(found: Sequence[Found], folder: Path) -> int:
    """Print and write the tables; return the number of failed cells."""
    tables = {"worth": (worth_grid(found), worth_rows(found))}
    if any(one.costs for one in found):
        tables["promise"] = (promise_grid(found), promise_rows(found))
    for name, (grid, rows) in tables.items():
        show(terminal_table(grid))
        file = folder / f"{name}.csv"
        text = as_csv(rows)
        write_atomically(file, partial(Path.write_text, data=text, encoding="utf-8"))
        typer.echo(f"written: {file}")
    failed = sum(int(np.isnan(costs).sum()) for one in found for costs in one.costs.values())
    if failed:
        typer.echo(f"{failed} cells failed; mmg bench shows their tracebacks", err=True)
    return failed
