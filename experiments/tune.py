"""The command `mmg tune`: settings of a learner, sought on `val` by Optuna's tree of estimators.

A trial is a training run of its own; what counts is its best mean cost on `val`. The best settings
are written as a learner's file, and every trial with its steps and seconds, because what was spent
on tuning belongs to a result.

Source: Bergstra et al. 2011 (the estimator); what is tuned, and its ranges, are our choice.
"""

import csv
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import optuna
import typer
import yaml

from experiments.agent_config import AgentConfig, read_agent_config
from experiments.engine import exclusive
from experiments.plan import Plan, must_suit
from experiments.records import write_atomically
from experiments.train import learn
from mmg_env.errors import InputError

BEST: Final = "best.yaml"
TRIALS: Final = "trials.csv"
TUNED: Final = ("ppo", "sac", "td3", "tqc")
COLUMNS: Final = ("trial", "val_cost", "steps", "seconds", "settings")


@dataclass(frozen=True)
class Search:
    """What is tuned.

    Attributes:
        plan: one training run; its folder is that of the search.
        trials: how many.
    """

    plan: Plan
    trials: int


def suggest(trial: optuna.Trial, config: AgentConfig) -> AgentConfig:
    """Return a learner with settings that a trial proposes."""
    settings: dict[str, Any] = {
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-3, log=True),
        "gamma": 1.0 - trial.suggest_float("one_less_gamma", 1e-4, 3e-2, log=True),
    }
    changed: dict[str, Any] = {}
    if config.algorithm == "ppo":
        settings["gae_lambda"] = trial.suggest_float("gae_lambda", 0.8, 1.0)
        settings["n_epochs"] = trial.suggest_int("n_epochs", 2, 10)
        settings["clip_range"] = trial.suggest_float("clip_range", 0.05, 0.3)
        first = trial.suggest_float("log_std", -3.0, -0.5)
        changed["log_std"] = (first, first - 2.0)
    else:
        settings["tau"] = trial.suggest_float("tau", 0.002, 0.05, log=True)
        settings["batch_size"] = trial.suggest_categorical("batch_size", [128, 256, 512])
    changed["settings"] = config.settings | settings
    return config.model_copy(update=changed)


def tune(search: Search) -> None:
    """Run the trials, one after another; write each as it ends, and the best settings so far."""
    plan = search.plan
    config = read_agent_config(plan.agent)
    must_suit(plan, config)
    if config.algorithm not in TUNED:
        raise InputError(f"--algo: {config.algorithm} has nothing to tune; {', '.join(TUNED)} have")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=plan.seed))
    rows: list[dict[str, Any]] = []

    def run(trial: optuna.Trial) -> float:
        began = time.perf_counter()
        tried = suggest(trial, config)
        folder = plan.out / f"trial-{trial.number}"
        best = learn(replace(plan, out=folder), tried)
        seconds = round(time.perf_counter() - began, 1)
        row = (trial.number, best, plan.steps, seconds, trial.params)
        rows.append(dict(zip(COLUMNS, row, strict=True)))
        _write(plan.out, rows, tried)
        return best

    with exclusive(plan.out):
        study.optimize(run, n_trials=search.trials)
    spent = sum(row["seconds"] for row in rows)
    typer.echo(f"{len(rows)} trials, {len(rows) * plan.steps:,} steps, {spent:,.0f} s")
    typer.echo(f"best on val: {study.best_value:,.2f}; {plan.out / BEST}")


def _write(folder: Path, rows: list[dict[str, Any]], tried: AgentConfig) -> None:
    def write_trials(file: Path) -> None:
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(folder / TRIALS, write_trials)
    if min(rows, key=lambda row: float(row["val_cost"])) is rows[-1]:
        text = yaml.safe_dump(tried.model_dump(mode="json", exclude_none=True), sort_keys=False)
        write_atomically(folder / BEST, lambda file: file.write_text(text, encoding="utf-8"))
