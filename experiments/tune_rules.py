"""The command `mmg tune-rules`: thresholds of the rules, fitted to `val`, for a suite's file.

Both families of rules are tuned by differential evolution on the same episodes (common random
numbers): first self-consumption, then, from there, the rule that also follows prices. What is
found is confirmed on the whole split. Nothing but `val` is looked at.

Source: Storn & Price 1997 (differential evolution, as in SciPy); what is tuned is our choice.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

import joblib
import numpy as np
import typer
import yaml
from numpy.typing import NDArray
from scipy.optimize import differential_evolution

from baselines.rules import RULES, RulePolicy
from experiments.records import write_atomically
from mmg_env.config_rules import Thresholds
from mmg_env.env import CommunityEnv
from mmg_env.episode import Episode
from mmg_env.errors import InputError
from mmg_env.layout import P
from mmg_env.rollout import rollout
from mmg_env.splits import sample_episode, split_size
from mmg_env.system import System, load_system

Array = NDArray[np.float64]

SPLIT: Final = "val"
POPULATION: Final = 4  # members per threshold
DIGITS: Final = 3
_HASH: Final = "# sha256 of the thresholds: "
RANGES: Final = {
    "cheap": (0.0, 0.5),
    "dear": (0.5, 1.0),
    "margin": (0.0, 6.0),
    "fill": (0.3, 1.0),
    "reserve": (0.0, 1.0),
    "level": (0.5, 1.2),
    "nomination_bias": (-0.2, 0.2),
    "chp": (0.5, 2.0),
    "chp_power": (0.0, 1.5),
    "offer": (0.0, 1.0),
}
"""Range within which each threshold is sought."""
OF_PRICES: Final = ("cheap", "dear", "margin", "fill")
"""Thresholds that self-consumption does not look at."""


@dataclass(frozen=True)
class Search:
    """How thresholds are sought.

    Attributes:
        suite: name or file of the suite.
        episodes: episodes of the search.
        rounds: generations.
        seed: of the search.
        workers: processes.
    """

    suite: str
    episodes: int
    rounds: int
    seed: int = 0
    workers: int = 1


@dataclass(frozen=True)
class Tuned:
    """A rule with its thresholds.

    Attributes:
        rule: its name.
        thresholds: the best that were found.
        cost: mean cost on the whole split.
        untuned_cost: the same with the default thresholds.
    """

    rule: str
    thresholds: Thresholds
    cost: float
    untuned_cost: float


def tune_rules(
    suite: Annotated[str, typer.Option(help="Suite or system: a name, or a file.")],
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of the search.")] = 12,
    rounds: Annotated[int, typer.Option(min=1, help="Generations of the search.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    out: Annotated[str | None, typer.Option(help="File for the block; absent: print it.")] = None,
) -> None:
    """Tune the rules of a suite on `val`; print the block for its file."""
    found = tune_both(Search(suite, episodes, rounds, seed, workers))
    command = (
        f"mmg tune-rules --suite {suite} --episodes {episodes} --rounds {rounds} --seed {seed}"
    )
    text = block(found, command, val_size(load_system(suite)))
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_atomically(Path(out), lambda file: file.write_text(text, encoding="utf-8"))


def tune_both(search: Search) -> list[Tuned]:
    """Return both rules, tuned; the second search begins where the first one ended."""
    found: list[Tuned] = []
    for rule in ("self_consumption", "time_of_use"):
        found.append(tune(search, rule, found[-1].thresholds if found else Thresholds()))
    return found


def tune(search: Search, rule: str, start: Thresholds) -> Tuned:
    """Return a rule with the best thresholds found, and its cost on all of the split."""
    system = load_system(search.suite)
    size = val_size(system)
    names = [name for name in RANGES if matters(system, rule, name)]
    default = Thresholds()

    def mean_cost(thresholds: Thresholds, episodes: int) -> float:
        return float(np.mean(costs(search.suite, rule, thresholds, episodes, search.workers)))

    if not names:
        return Tuned(rule, default, mean_cost(default, size), mean_cost(default, size))

    def read(x: Array) -> Thresholds:
        """Return thresholds as they will be frozen: rounded."""
        numbers = (round(float(value), DIGITS) for value in x)
        return Thresholds.model_validate(dict(zip(names, numbers, strict=True)))

    def tell(intermediate_result: object) -> None:
        typer.echo(f"{rule}: {getattr(intermediate_result, 'fun', np.nan):.2f}", err=True)

    answer = differential_evolution(
        lambda x: mean_cost(read(x), min(search.episodes, size)),
        [RANGES[name] for name in names],
        maxiter=search.rounds,
        popsize=POPULATION,
        rng=search.seed,
        x0=np.array([np.clip(getattr(start, name), *RANGES[name]) for name in names]),
        polish=False,
        tol=0.0,  # costs differ by little; all rounds are used
        callback=tell,
    )
    whole = {t: mean_cost(t, size) for t in (default, start, read(answer.x))}
    best = min(whole, key=lambda thresholds: whole[thresholds])
    return Tuned(rule, best, whole[best], whole[default])


def matters(system: System, rule: str, name: str) -> bool:
    """Say whether a threshold can change anything on a system."""
    if name in OF_PRICES and rule == "self_consumption":
        return False
    if name in ("chp", "chp_power"):
        return bool((system.column(P.chp_kw) > 0.0).any())
    if name == "offer":
        return system.reserve
    if name == "nomination_bias":
        return system.day_ahead_grid
    return bool((system.column(P.battery_kw) > 0.0).any())


def costs(suite: str, rule: str, thresholds: Thresholds, episodes: int, workers: int = 1) -> Array:
    """Return the costs of a rule on the first episodes of the split, (episodes,)."""
    shares = np.array_split(np.arange(episodes), workers)
    if workers == 1:
        return np.array(_play(suite, rule, thresholds, shares[0]))
    parts = joblib.Parallel(n_jobs=workers)(
        joblib.delayed(_play)(suite, rule, thresholds, share) for share in shares
    )
    return np.concatenate([np.array(part) for part in parts])


def val_size(system: System) -> int:
    """Return the number of episodes to tune on."""
    size = split_size(system, SPLIT)
    assert size is not None  # only `train` has no end
    return size


def _play(suite: str, rule: str, thresholds: Thresholds, indices: NDArray[np.int64]) -> list[float]:
    system = _system(suite)
    env = CommunityEnv(system, split=SPLIT)
    policy = RulePolicy(system, RULES[rule], thresholds)
    return [
        rollout(env, policy, options={"episode": _episode(suite, int(index))}).cost
        for index in indices
    ]


@lru_cache(maxsize=1)
def _system(suite: str) -> System:
    return load_system(suite)


@lru_cache(maxsize=256)
def _episode(suite: str, index: int) -> Episode:
    return sample_episode(_system(suite), SPLIT, index)


def block(found: list[Tuned], command: str, episodes: int) -> str:
    """Return the block for a suite's file, with where it comes from in a comment."""
    best = min(found, key=lambda tuned: tuned.cost)
    content = {
        "rule": best.rule,
        "thresholds": best.thresholds.model_dump(exclude_defaults=True),
    }
    lines = [f"# Made by: {command}"]
    lines += [
        f"# {tuned.rule}: {tuned.untuned_cost:.2f} untuned, {tuned.cost:.2f} tuned, "
        f"mean of {episodes} episodes of {SPLIT}"
        for tuned in found
    ]
    lines.append(f"{_HASH}{thresholds_hash(best.rule, best.thresholds)}")
    return "\n".join(lines) + "\n" + yaml.safe_dump({"tuned_rule": content}, sort_keys=False)


def thresholds_hash(rule: str, thresholds: Thresholds) -> str:
    """Return the sha256 of a rule and all its thresholds, the defaults among them."""
    numbers = ",".join(f"{name}={value!r}" for name, value in thresholds.model_dump().items())
    return hashlib.sha256(f"{rule}:{numbers}".encode()).hexdigest()


def frozen_hash(text: str) -> str:
    """Return the hash that a suite's file states.

    Raises:
        InputError: it states none.
    """
    for line in text.splitlines():
        if line.startswith(_HASH):
            return line.removeprefix(_HASH)
    raise InputError("the file states no hash of the thresholds")
