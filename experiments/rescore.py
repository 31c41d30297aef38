"""The command `mmg rescore`: trains what is missing, and scores every learner on the same episodes.

`configs/learned.yaml` says which learners, suites, seeds and splits. An agent that stands in its
folder is not trained again; a record that stands is not played again. So a run of hours may be
spread over days, and after a change of numbers the same command brings everything up to date.
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import joblib
import numpy as np
import typer
from pydantic import Field

from baselines.agent import FACTS, PREFIX, SHIPPED, read_agent
from experiments.agent_config import read_agent_config
from experiments.agent_file import write_agent
from experiments.bench import work_off
from experiments.engine import Task, exclusive
from experiments.plan import CURVE, VALIDATED, Plan
from experiments.records import ORACLE, Cell, origin_of, read_records
from experiments.report.learned import Table, publish, table_of
from experiments.yaml_model import read_model
from mmg_env.config_devices import Count, Label, Model
from mmg_env.config_file import config_directory
from mmg_env.errors import InputError
from mmg_env.splits import split_size
from mmg_env.system import System, load_system

BEGUN: Final = "begun"
DONE: Final = "done"
OUT: Final = Path("results/learned")


class LearnerConfig(Model):
    """One way of learning; the names are those of `mmg train`."""

    algorithm: Label = Field(description="--algo.")
    agent: Label = Field("", description="--agent; absent: the file of the algorithm.")
    warm_start: str = Field("", description="--warm-start; {suite} stands for the suite's name.")
    steps: int = Field(ge=0, description="--steps.")


class LearnedConfig(Model):
    """What `configs/learned.yaml` says."""

    suites: tuple[Label, ...] = Field(min_length=1, description="What is learned on.")
    seeds: Count = Field(description="Training seeds 0, 1, ... of each learner.")
    splits: dict[Label, Count] = Field(description="Episodes 0, 1, ... of each split.")
    references: tuple[Label, ...] = Field(min_length=1, description="Policies to compare with.")
    learners: dict[Label, LearnerConfig] = Field(description="Learners by name.")


@dataclass(frozen=True)
class Trainee:
    """One agent: a learner, a suite and a seed."""

    suite: str
    learner: str
    seed: int
    how: LearnerConfig
    out: Path

    @property
    def folder(self) -> Path:
        """Where it is trained."""
        return self.out / "agents" / self.suite / f"{self.learner}-{self.seed}"

    @property
    def policy(self) -> str:
        """Its name as a policy."""
        return str(self.folder / "agent")

    @property
    def warm_start(self) -> str:
        """The policy that it begins from."""
        return self.how.warm_start.format(suite=self.suite)

    @property
    def stamp(self) -> str:
        """What its training follows from: the suite's configuration, and the learner's."""
        system = load_system(self.suite).config.model_dump_json()
        learner = read_agent_config(self.how.agent or self.how.algorithm).model_dump_json()
        told = "\n".join([system, learner, self.how.model_dump_json(), str(self.seed)])
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def trained(self) -> bool:
        """Whether its training has ended, on the suite as it is now."""
        return _says(self.folder / DONE, self.stamp) and (self.folder / "agent" / FACTS).exists()


def rescore(  # noqa: PLR0913 - one parameter per option of the command
    suite: Annotated[list[str] | None, typer.Option(help="Only this; may be repeated.")] = None,
    learner: Annotated[list[str] | None, typer.Option(help="Only this; may be repeated.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Training seeds.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train what is missing.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
    config: Annotated[Path | None, typer.Option(help="Instead of configs/learned.yaml.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of agents and records.")] = OUT,
    ship: Annotated[
        list[str] | None, typer.Option(help="Put this learner's best agents among the shipped.")
    ] = None,
    publish_in: Annotated[
        Path | None, typer.Option("--publish", help="Folder for tables, scores and curves.")
    ] = None,
) -> None:
    """Score all learners beside the references on common episodes; train them if asked to."""
    study = read_model(config or config_directory() / "learned.yaml", LearnedConfig)
    if seeds is not None:
        study = study.model_copy(update={"seeds": seeds})
    trainees = list(_trainees(study, suite, learner, out))
    cores = workers or joblib.cpu_count()
    with exclusive(out):
        if train:
            _train(trainees, cores)
        ready = [trainee for trainee in trainees if trainee.trained]
        typer.echo(f"{len(ready)} of {len(trainees)} agents are trained", err=True)
        tables = [
            _score(study, name, [t for t in ready if t.suite == name], cores, out)
            for name in dict.fromkeys(t.suite for t in ready)
        ]
        rules = {table.suite: _zero_on_val(study, table.suite, cores, out) for table in tables}
    publish(tables, [t.folder for t in ready], rules, publish_in)
    for name in ship or ():
        _ship([trainee for trainee in ready if trainee.learner == name])


def _trainees(
    study: LearnedConfig, suites: list[str] | None, learners: list[str] | None, out: Path
) -> Iterator[Trainee]:
    """Yield the agents that are asked for, seed by seed, so that a stopped run is balanced."""
    for asked, known, kind in (
        (suites, study.suites, "suite"),
        (learners, tuple(study.learners), "learner"),
    ):
        for name in asked or ():
            if name not in known:
                raise InputError(f"--{kind}: {name} is not one of {', '.join(known)}")
    for seed in range(study.seeds):
        for suite in suites or study.suites:
            for name in learners or study.learners:
                yield Trainee(suite, name, seed, study.learners[name], out)


def _train(trainees: list[Trainee], workers: int) -> None:
    """Train what is not trained, several at a time."""
    missing = [trainee for trainee in trainees if not trainee.trained]
    # Demonstrations first, with all processes: all seeds of a suite learn from the same.
    for trainee in {(t.suite, t.learner): t for t in missing}.values():
        _demonstrate(trainee, workers)
    pool = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
    for trained in pool(joblib.delayed(_train_one)(trainee) for trainee in missing):
        typer.echo(f"trained {trained}", err=True)


def _demonstrate(trainee: Trainee, workers: int) -> None:
    from experiments.demonstrations import demonstrate

    config = read_agent_config(trainee.how.agent or trainee.how.algorithm)
    policy = config.residual.base if config.residual else trainee.warm_start
    if policy:
        demonstrate(trainee.suite, policy, config.cloning.episodes, workers)


def _train_one(trainee: Trainee) -> str:
    from experiments.train import begin

    how = trainee.how
    name = how.agent or how.algorithm
    if not _says(trainee.folder / BEGUN, trainee.stamp) and trainee.folder.exists():
        shutil.rmtree(trainee.folder)  # of another suite or learner by the same name
    trainee.folder.mkdir(parents=True, exist_ok=True)
    (trainee.folder / BEGUN).write_text(trainee.stamp, encoding="utf-8")
    place = (trainee.suite, how.algorithm, how.steps, trainee.seed, name, trainee.warm_start)
    begin(Plan(*place, trainee.folder, 1))
    (trainee.folder / DONE).write_text(trainee.stamp, encoding="utf-8")
    return f"{trainee.learner} on {trainee.suite}, seed {trainee.seed}"


def _says(file: Path, text: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8") == text


def _ship(trainees: list[Trainee]) -> None:
    """Copy the agent of each suite that is best on `val` among the shipped ones, with its curve."""
    for suite in dict.fromkeys(trainee.suite for trainee in trainees):
        agents = {t.seed: read_agent(t.folder / "agent") for t in trainees if t.suite == suite}
        best = min(agents, key=lambda seed: float(agents[seed][0].training["val_cost"]))
        trainee = next(t for t in trainees if t.suite == suite and t.seed == best)
        facts, network = agents[best]
        name = f"{suite}-{trainee.learner}"
        write_agent(SHIPPED / name, facts.model_copy(update={"name": name}), network)
        if (trainee.folder / CURVE).exists():
            shutil.copyfile(trainee.folder / CURVE, SHIPPED / name / CURVE)
        typer.echo(f"shipped {PREFIX}{name}: seed {best}", err=True)


def _score(
    study: LearnedConfig, suite: str, trainees: list[Trainee], workers: int, out: Path
) -> Table:
    """Play what is missing of one suite, and return all costs."""
    system = load_system(suite)
    policies = [*study.references, ORACLE, *(trainee.policy for trainee in trainees)]
    cells = [
        Cell(suite, split, episode, policy)
        for split, episodes in study.splits.items()
        for episode in range(episodes)
        for policy in policies
    ]
    work_off(_tasks(system, cells, out), workers)
    records = list(read_records(out, cells))
    names = {trainee.policy: (trainee.learner, trainee.seed) for trainee in trainees}
    return table_of(system, study.references, names, records)


def _zero_on_val(study: LearnedConfig, suite: str, workers: int, out: Path) -> tuple[float, str]:
    """Return what the score's zero costs on val, where learners are watched, and the currency."""
    system = load_system(suite)
    episodes = min(VALIDATED, split_size(system, "val") or VALIDATED)
    cells = [Cell(suite, "val", episode, study.references[0]) for episode in range(episodes)]
    work_off(_tasks(system, cells, out), workers)
    costs = [record["cost"] for record in read_records(out, cells)]
    return float(np.mean(costs)), system.config.currency


def _tasks(system: System, cells: list[Cell], out: Path) -> list[Task]:
    origins = {policy: origin_of(system, policy) for policy in {cell.policy for cell in cells}}
    return [Task(cell, system.name, out, origins[cell.policy]) for cell in cells]
