"""The command `mmg headroom`: what each suite leaves to be gained, and whether it is a benchmark.

The rungs of a suite meet the same episodes: idle, the best tuned rule, model predictive control
without and with forecasts, the oracle's bound. The cells are those of `mmg bench`: resumed by key,
one record each.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import numpy as np
import typer
from pydantic import Field
from rich.console import Console

from baselines import missing_for
from baselines.dynamic_programming import solve
from experiments.bench import BenchmarkConfig, check, work_off
from experiments.engine import Task, exclusive
from experiments.gate import CLIMATOLOGY, IDLE, MPC, ORACLE, Ladder, judge
from experiments.records import Cell, EvaluationRecord, origin_of, read_records, write_atomically
from experiments.report.leaderboard import rank
from experiments.report.rungs import (
    gate_csv,
    gate_grid,
    markdown_table,
    rungs_csv,
    rungs_grid,
    terminal_table,
    verdict,
)
from experiments.yaml_model import read_model
from mmg_env.config_devices import Count, Label, Model
from mmg_env.config_file import config_directory, load_suite, suite_names
from mmg_env.episode import Episode
from mmg_env.errors import ConfigError
from mmg_env.layout import P, W, X
from mmg_env.splits import sample_episode, split_size
from mmg_env.system import System, load_system

TUNED: Final = "tuned_rule"
BEST: Final = "dynamic_programming"
UNTUNED: Final = ("self_consumption", "time_of_use")
"""Rules without thresholds: the better one stands in where a suite has no tuned rule."""
_NARROWEST: Final = 118  # columns that the tables need; a pipe has no width of its own


class HeadroomConfig(Model):
    """How many episodes are played unless the command line says otherwise."""

    episodes: dict[Label, Count] = Field(description="Episodes by suite.")
    otherwise: Count = Field(description="Episodes of a suite that is not listed.")


class Study(NamedTuple):
    """What is run of one suite."""

    plan: BenchmarkConfig
    system: System
    regression: bool

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules among the rungs: one, or those of which the better counts."""
        return tuple(name for name in self.plan.policies if name in (TUNED, *UNTUNED))

    def tasks(self) -> list[Task]:
        """Return the cells, by episode first."""
        origin, plan = origin_of(self.system), self.plan
        return [
            Task(cell, plan.suite, Path(plan.out), origin)
            for cell in (
                Cell(self.system.name, plan.split, episode, policy)
                for episode in range(plan.episodes)
                for policy in plan.policies
            )
        ]


def headroom(
    suite: Annotated[
        list[str] | None, typer.Option(help="A name or file; may be repeated. Default: all.")
    ] = None,
    episodes: Annotated[int | None, typer.Option(min=1, help="Number of episodes.")] = None,
    split: Annotated[str, typer.Option(help="train, val, test or shift.")] = "test",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
    out: Annotated[str, typer.Option(help="Folder of the results.")] = "results/headroom",
    markdown: Annotated[Path | None, typer.Option(help="File for the tables as Markdown.")] = None,
) -> None:
    """Say how much each suite leaves to be gained, and whether it can tell policies apart."""
    studies = [
        plan_study(source, split, episodes, workers, out)
        for source in dict.fromkeys(suite or suite_names())
    ]
    with exclusive(Path(out)):
        work_off([task for study in studies for task in study.tasks()], workers)
        sound = tell(studies, Path(out), markdown)
    if not sound:
        raise typer.Exit(1)


def plan_study(
    source: str, split: str, episodes: int | None, workers: int | None, out: str
) -> Study:
    """Return what is run of one suite.

    Args:
        source: name of a suite or system, or a file.
        split: where the episodes come from.
        episodes: their number; None for the one in `configs/headroom.yaml`.
        workers: processes; None for one per core.
        out: folder of the results.

    Raises:
        InputError: there is no such suite or split, or it has fewer episodes.
    """
    system = load_system(source)
    if episodes is None:
        usual = read_episodes()
        episodes = usual.episodes.get(source, usual.otherwise)
        episodes = min(episodes, split_size(system, split) or episodes)
    plan = BenchmarkConfig(
        suite=source,
        split=split,
        episodes=episodes,
        policies=(IDLE, *_rules(system), *_planners(system), ORACLE),
        workers=workers,
        out=out,
    )
    check(plan, system)
    return Study(plan, system, is_regression(source))


def read_episodes() -> HeadroomConfig:
    """Return how many episodes are usual."""
    return read_model(config_directory() / "headroom.yaml", HeadroomConfig)


def is_regression(source: str) -> bool:
    """Say whether a suite guards numbers only, and so is not judged."""
    try:
        return load_suite(source).regression
    except ConfigError:
        return False  # a system's own file, which says nothing about this


def _planners(system: System) -> tuple[str, ...]:
    """Return the rungs above the rules; the best of all policies where it can be computed."""
    best = (BEST,) if not missing_for(BEST, system) else ()
    return (CLIMATOLOGY, MPC, *best)


def _rules(system: System) -> tuple[str, ...]:
    return (TUNED,) if system.config.tuned_rule is not None else UNTUNED


def tell(studies: Sequence[Study], folder: Path, markdown: Path | None) -> bool:
    """Print and write the tables from the records; return whether nothing failed or missed."""
    ladders, failed = [], 0
    for study in studies:
        records = list(read_records(folder, [task.cell for task in study.tasks()]))
        failed += sum(record["status"] != "ok" for record in records)
        ladder = climb(study, records)
        if ladder is not None:
            ladders.append(ladder)
    grids = (rungs_grid(ladders), gate_grid(ladders))
    console = Console(width=max(Console().width, _NARROWEST))
    for grid in grids:
        console.print(terminal_table(grid))
    for line in _remarks(studies, ladders):
        typer.echo(line)
    tables = {folder / "headroom.csv": rungs_csv(ladders), folder / "gate.csv": gate_csv(ladders)}
    if markdown is not None:
        tables[markdown] = "\n\n".join(markdown_table(grid) for grid in grids) + "\n"
    for file, text in tables.items():
        _write(file, text)
        typer.echo(f"written: {file}")
    if failed:
        typer.echo(f"{failed} cells failed; mmg bench shows their tracebacks", err=True)
    judged = [ladder for ladder in ladders if not ladder.regression]
    met = all(c.met for ladder in judged for c in judge(ladder) if c.judged)
    return met and not failed and len(ladders) == len(studies)


def climb(study: Study, records: Sequence[EvaluationRecord]) -> Ladder | None:
    """Return the rungs from a suite's records; None where a rung failed on every episode.

    Episodes on which a rung failed are left out for all.
    """
    board = rank(records, study.plan.policies, study.rules[0], ORACLE)
    if not board.episodes or set(board.costs) != set(study.plan.policies):
        return None
    rule = min(study.rules, key=lambda name: float(board.costs[name].mean()))
    listed = (IDLE, rule, *_planners(study.system), ORACLE)
    counted = set(board.episodes)
    unserved = {name: np.zeros(len(board.episodes)) for name in listed}
    place = {episode: number for number, episode in enumerate(board.episodes)}
    for record in records:
        if record["policy"] in unserved and record["episode"] in counted:
            shed = record["unserved_kwh"] + record["unserved_heat_kwh"]
            unserved[record["policy"]][place[record["episode"]]] = shed
    played = [sample_episode(study.system, study.plan.split, i) for i in board.episodes]
    return Ladder(
        suite=study.system.name,
        currency=study.system.config.currency,
        regression=study.regression,
        rule=rule,
        costs={name: board.costs[name] for name in listed},
        unserved_kwh=unserved,
        heat=np.array([constant_heat(study.system, episode) for episode in played]),
        grid_fails=any(grid_fails(episode) for episode in played),
    )


def constant_heat(system: System, episode: Episode) -> float:
    """Return what heat costs that only a boiler can serve: no policy can change it.

    A member without a CHP unit burns gas for its heat load up to the boiler's capacity, pays for
    the carbon of that gas, and the penalty for what exceeds the capacity.
    """
    world, members = system.physics.world, len(system.members)
    alone = np.flatnonzero(system.column(P.chp_kw)[:members] == 0.0)
    heat_kw = episode.heat_kw[:, alone]
    boiler_kw = np.minimum(heat_kw, system.column(P.boiler_kw)[alone])
    gas_m3 = float((boiler_kw @ system.column(P.boiler_gas_m3_per_kwh)[alone]).sum()) * system.dt_h
    unserved_kwh = float((heat_kw - boiler_kw).sum()) * system.dt_h
    gas_price = world[W.gas_per_m3] + world[W.carbon_per_kg] * world[W.gas_kg_per_m3]
    return float(gas_price * gas_m3 + world[W.unserved_heat_per_kwh] * unserved_kwh)


def grid_fails(episode: Episode) -> bool:
    """Say whether the grid is down or derated in some hour of an episode."""
    return bool(min(episode.shared(x).min() for x in (X.grid_up, X.derating)) < 1.0)


def _remarks(studies: Sequence[Study], ladders: Sequence[Ladder]) -> Iterator[str]:
    """Say what the tables cannot: rungs that failed, stand-ins, outages, verdicts."""
    rules = {study.system.name: study.rules for study in studies}
    systems = {study.system.name: study.system for study in studies}
    told = {ladder.suite for ladder in ladders}
    for suite in rules.keys() - told:
        yield f"{suite}: a rung failed on every episode; nothing can be said"
    for ladder in ladders:
        if len(rules[ladder.suite]) > 1:
            both = " and ".join(rules[ladder.suite])
            yield f"{ladder.suite}: no tuned rule; of {both} the better stands in: {ladder.rule}"
        shed_kwh = float(ladder.unserved_kwh[IDLE].mean())
        if ladder.grid_fails and shed_kwh > 0.0:
            yield f"{ladder.suite}: the grid fails, and idle leaves {shed_kwh:.0f} kWh unserved"
        yield f"{ladder.suite}: {verdict(ladder)}"
        if BEST in ladder.costs:
            yield f"{ladder.suite}: {_true_gaps(ladder, systems[ladder.suite])}"


def _true_gaps(ladder: Ladder, system: System) -> str:
    """Say how far every rung is from the best policy, and what that is worth by computation."""
    value = solve(system).value
    best = ladder.costs[BEST]
    half = 1.96 * float(best.std(ddof=1)) / np.sqrt(len(best)) if len(best) > 1 else np.nan
    gaps = ", ".join(
        f"{name} {100.0 * float((costs - best).mean()) / abs(value):+.1f} %"
        for name, costs in ladder.costs.items()
        if name != BEST
    )
    return (
        f"the best policy costs {value:.3f} {ladder.currency} by computation, "
        f"{best.mean():.3f} +- {half:.3f} as played; above it: {gaps}"
    )


def _write(file: Path, text: str) -> None:
    write_atomically(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))
