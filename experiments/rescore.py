"""The command `mmg rescore`: trains what is missing, and scores every learner on the same episodes.

`configs/learned.yaml` says which learners, suites, seeds and splits. An agent that stands in its
folder is not trained again; a record that stands is not played again. So a run of hours may be
spread over days, and after a change of numbers the same command brings everything up to date.
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Annotated, Final

import joblib
import numpy as np
import typer
from pydantic import Field

from baselines import POLICIES
from baselines.agent import (
    FACTS,
    PREFIX,
    SHIPPED,
    Facts,
    agent_folder,
    fingerprint,
    read_agent,
)
from experiments.agent_config import AgentConfig, read_agent_config
from experiments.agent_file import write_agent
from experiments.bench import BenchmarkConfig, check, work_off
from experiments.engine import Task, exclusive
from experiments.plan import CURVE, VALIDATED, Plan
from experiments.records import ORACLE, Cell, origin_of, read_records
from experiments.report.curves import Zero
from experiments.report.learned import publish
from experiments.report.table import LEAST, Table, table_of
from experiments.yaml_model import read_model
from mmg_env.config_devices import Count, Label, Model
from mmg_env.config_file import config_directory
from mmg_env.errors import InputError
from mmg_env.splits import split_size
from mmg_env.system import load_system

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

    suites: tuple[Label, ...] = Field(min_length=1, description="Names of suites, or YAML files.")
    seeds: Count = Field(description="Training seeds 0, 1, ... of each learner.")
    splits: dict[Label, Annotated[int, Field(strict=True, ge=LEAST)]] = Field(
        min_length=1, description="Episodes 0, 1, ... of each split."
    )
    more: dict[Label, dict[Label, Annotated[int, Field(strict=True, ge=LEAST)]]] = Field(
        {}, description="Episodes of the splits of single suites, by name, where they differ."
    )
    references: tuple[Label, ...] = Field(min_length=1, description="Policies to compare with.")
    learners: dict[Label, LearnerConfig] = Field(description="Learners by name.")

    def episodes(self, suite: str) -> dict[str, int]:
        """Return how many episodes of each split are played of a suite."""
        return {**self.splits, **self.more.get(suite, {})}


@dataclass(frozen=True)
class Trainee:
    """One agent: a learner, a suite and a seed.

    Attributes:
        source: name of the suite, or its file.
        suite: its name.
        learner: name of the learner.
        seed: of its training.
        how: what the study says of the learner.
        out: folder of all agents and records.
    """

    source: str
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
    def file(self) -> str:
        """Name or file of its configuration."""
        return self.how.agent or self.how.algorithm

    @property
    def warm_start(self) -> str:
        """The policy that it begins from."""
        return self.how.warm_start.format(suite=self.suite)

    @property
    def config(self) -> AgentConfig:
        """Its configuration."""
        return read_agent_config(self.file)

    @property
    def shown(self) -> str:
        """The policy that it clones or corrects; empty for none."""
        residual = self.config.residual
        return residual.base if residual else self.warm_start

    @cached_property
    def stamp(self) -> str:
        """What its training follows from: the configurations, and an agent that it begins from.

        Code is not covered, nor are the defaults of the configurations, which are code: whether an
        edit makes other agents is for who makes it to know, who then moves their folders away.
        """
        said = (load_system(self.source).config, self.config, self.how)
        told = [model.model_dump_json(exclude_defaults=True) for model in said]
        if self.shown not in ("", ORACLE, *POLICIES):
            told.append(fingerprint(agent_folder(self.shown)))
        return hashlib.sha256("\n".join([*told, str(self.seed)]).encode()).hexdigest()

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
        sources = dict.fromkeys(trainee.source for trainee in ready)
        tables = [
            table
            for source in sources
            for table in _score(study, [t for t in ready if t.source == source], cores, out)
        ]
        zeros = dict(_zero_on_val(study, source, cores, out) for source in sources)
    publish(tables, [t.folder for t in ready], zeros, publish_in)
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
    names = _names(study, suites or study.suites)
    for seed in range(study.seeds):
        for source, suite in names.items():
            for name in learners or study.learners:
                yield Trainee(source, suite, name, seed, study.learners[name], out)


def _names(study: LearnedConfig, sources: Sequence[str]) -> dict[str, str]:
    """Return the suites' names by source; refuse now what would fail after hours of training."""
    names: dict[str, str] = {}
    for source in dict.fromkeys(sources):
        system = load_system(source)
        for split, episodes in study.episodes(system.name).items():
            plan = {"suite": source, "split": split, "episodes": episodes}
            check(BenchmarkConfig(policies=study.references, **plan), system)
        if system.name in names.values():
            raise InputError(f"suites: two are named {system.name}; folders go by the name")
        names[source] = system.name
    known = [load_system(source).name for source in study.suites]
    for suite in study.more.keys() - set(known):
        raise InputError(f"more: {suite} is not one of the suites {', '.join(known)}")
    for name in {ORACLE, *study.references} & study.learners.keys():
        raise InputError(f"learners: {name} is a policy; choose another name")
    return names


def _train(trainees: list[Trainee], workers: int) -> None:
    """Train what is not trained, several at a time."""
    missing = [trainee for trainee in trainees if not trainee.trained]
    for trainee in missing:
        _make_way(trainee)
    # Demonstrations first, with all processes: all seeds of a suite learn from the same.
    for trainee in {(t.suite, t.learner): t for t in missing}.values():
        _demonstrate(trainee, workers)
    pool = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
    for trained in pool(joblib.delayed(_train_one)(trainee) for trainee in missing):
        typer.echo(f"trained {trained}", err=True)


def _make_way(trainee: Trainee) -> None:
    """Move a folder aside where something else was trained: another suite, learner or start."""
    folder = trainee.folder
    if not folder.exists() or _says(folder / BEGUN, trainee.stamp):
        return
    places = (folder.with_name(f"{folder.name}.before-{n}") for n in count(1))
    aside = next(place for place in places if not place.exists())
    folder.rename(aside)
    typer.echo(f"{folder}: trained from something else; moved to {aside.name}", err=True)


def _demonstrate(trainee: Trainee, workers: int) -> None:
    from experiments.demonstrations import demonstrate

    if trainee.shown:
        demonstrate(trainee.source, trainee.shown, trainee.config.cloning.episodes, workers)


def _train_one(trainee: Trainee) -> str:
    from experiments.train import begin

    how = trainee.how
    trainee.folder.mkdir(parents=True, exist_ok=True)
    (trainee.folder / BEGUN).write_text(trainee.stamp, encoding="utf-8")
    place = (trainee.source, how.algorithm, how.steps, trainee.seed, trainee.file)
    begin(Plan(*place, trainee.warm_start, trainee.folder, 1))
    (trainee.folder / DONE).write_text(trainee.stamp, encoding="utf-8")
    return f"{trainee.learner} on {trainee.suite}, seed {trainee.seed}"


def _says(file: Path, text: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8") == text


def _ship(trainees: list[Trainee]) -> None:
    """Copy the agent of each suite that is best on `val` among the shipped ones, with its curve."""
    for suite in dict.fromkeys(trainee.suite for trainee in trainees):
        agents = {t.seed: read_agent(t.folder / "agent") for t in trainees if t.suite == suite}
        best = min(agents, key=lambda seed: _on_val(agents[seed][0]))
        trainee = next(t for t in trainees if t.suite == suite and t.seed == best)
        facts, network = agents[best]
        name = f"{suite}-{trainee.learner}"
        write_agent(
            SHIPPED / name, facts.model_copy(update={"name": name, "suite": suite}), network
        )
        if (trainee.folder / CURVE).exists():
            shutil.copyfile(trainee.folder / CURVE, SHIPPED / name / CURVE)
        typer.echo(f"shipped {PREFIX}{name}: seed {best}", err=True)


def _on_val(facts: Facts) -> tuple[float, float]:
    """Return by how much an agent violates its constraint on val, if it has one, and its cost."""
    return facts.training.get("val_violation", 0.0), facts.training["val_cost"]


def _score(
    study: LearnedConfig, trainees: Sequence[Trainee], workers: int, out: Path
) -> Iterator[Table]:
    """Play what is missing of one suite, and yield a table per split."""
    source = trainees[0].source
    system = load_system(source)
    policies = [*study.references, ORACLE, *(trainee.policy for trainee in trainees)]
    cells = {
        split: [Cell(system.name, split, n, policy) for n in range(episodes) for policy in policies]
        for split, episodes in study.episodes(system.name).items()
    }
    work_off(_tasks(source, [cell for part in cells.values() for cell in part], out), workers)
    agents: dict[str, dict[int, str]] = {}
    for trainee in trainees:
        agents.setdefault(trainee.learner, {})[trainee.seed] = trainee.policy
    for part in cells.values():
        yield table_of(system, study.references, agents, list(read_records(out, part)))


def _zero_on_val(study: LearnedConfig, source: str, workers: int, out: Path) -> tuple[str, Zero]:
    """Return a suite's name, and what the score's zero costs on val, where learners are watched.

    Raises:
        InputError: it failed on an episode.
    """
    system, policy = load_system(source), study.references[0]
    episodes = min(VALIDATED, split_size(system, "val") or VALIDATED)
    cells = [Cell(system.name, "val", episode, policy) for episode in range(episodes)]
    work_off(_tasks(source, cells, out), workers)
    costs = [record["cost"] for record in read_records(out, cells) if record["status"] == "ok"]
    if len(costs) < episodes:
        failed = f"{policy} failed on {episodes - len(costs)} of {episodes} episodes of val"
        raise InputError(f"{system.name}: {failed}, so curves have no level to compare with")
    return system.name, Zero(policy, float(np.mean(costs)), system.config.currency)


def _tasks(source: str, cells: Sequence[Cell], out: Path) -> list[Task]:
    """Return the cells of a suite as tasks, which load it from its source."""
    system = load_system(source)
    origins = {policy: origin_of(system, policy) for policy in {cell.policy for cell in cells}}
    return [Task(cell, source, out, origins[cell.policy]) for cell in cells]
