"""The command `mmg tune-rules`: thresholds of the rules, fitted to `val`, for a suite's file.

Both families of rules are tuned by differential evolution on the same episodes (common random
numbers); what it finds is confirmed on the whole split. Nothing but `val` is looked at.

Source: Storn & Price 1997 (differential evolution, as in SciPy); what is tuned is our choice.
"""

import hashlib
from collections.abc import Callable
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

from baselines.rule_hours import Rule, cover_own_need, follow_prices
from baselines.rules import RulePolicy
from experiments.records import write_atomically
from mmg_env.config_rules import Thresholds
from mmg_env.env import CommunityEnv
from mmg_env.episode import Episode
from mmg_env.errors import InputError
from mmg_env.rollout import rollout
from mmg_env.splits import sample_episode, split_size
from mmg_env.system import System, load_system

Array = NDArray[np.float64]

SPLIT: Final = "val"
POPULATION: Final = 5  # members per threshold
DIGITS: Final = 3
RULES: Final[dict[str, Rule]] = {"self_consumption": cover_own_need, "time_of_use": follow_prices}
# Range within which each threshold is sought.
RANGES: Final = {
    "cheap": (0.0, 0.5),
    "dear": (0.5, 1.0),
    "margin": (0.0, 6.0),
    "reserve": (0.0, 0.9),
    "level": (0.3, 1.2),
    "nomination_bias": (-0.2, 0.2),
    "chp": (0.5, 1.5),
    "regulation": (0.0, 1.0),
    "spinning": (0.0, 1.0),
}
OF_PRICES: Final = ("cheap", "dear", "margin")  # what self-consumption does not look at


@dataclass(frozen=True)
class Tuned:
    """A rule with its thresholds, and what it costs on the split."""

    rule: str
    thresholds: Thresholds
    cost: float
    untuned_cost: float


def tune_rules(
    suite: Annotated[str, typer.Option(help="Suite or system: a name, or a file.")],
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of the search.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Generations of the search.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    out: Annotated[str | None, typer.Option(help="File for the block; absent: print it.")] = None,
) -> None:
    """Tune the rules of a suite on `val`; print the block for its file."""
    system = load_system(suite)
    size = split_size(system, SPLIT)
    assert size is not None
    found = [
        tune(system, suite, rule, min(episodes, size), rounds, seed, workers) for rule in RULES
    ]
    best = min(found, key=lambda tuned: tuned.cost)
    command = (
        f"mmg tune-rules --suite {suite} --episodes {episodes} --rounds {rounds} --seed {seed}"
    )
    text = block(found, best, command, size)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_atomically(Path(out), lambda file: file.write_text(text, encoding="utf-8"))


def tune(  # noqa: PLR0913 - a search has this many settings
    system: System, suite: str, rule: str, episodes: int, rounds: int, seed: int, workers: int
) -> Tuned:
    """Return a rule with the best thresholds found, and its cost on all of the split."""
    names = [name for name in RANGES if _matters(system, rule, name)]

    def read(x: Array) -> Thresholds:
        """Return thresholds as they will be frozen: rounded."""
        numbers = (round(float(value), DIGITS) for value in x)
        return Thresholds.model_validate(dict(zip(names, numbers, strict=True)))

    def mean_cost(x: Array) -> float:
        return float(np.mean(costs(suite, rule, read(x), episodes, workers)))

    def tell(intermediate_result: object) -> None:
        typer.echo(f"{rule}: {getattr(intermediate_result, 'fun', np.nan):.2f}", err=True)

    default = Thresholds()
    start = np.array([np.clip(getattr(default, name), *RANGES[name]) for name in names])
    answer = differential_evolution(
        mean_cost,
        [RANGES[name] for name in names],
        maxiter=rounds,
        popsize=POPULATION,
        rng=seed,
        x0=start,
        polish=False,
        tol=0.0,  # costs differ by little; all rounds are used
        callback=tell,
    )
    size = split_size(system, SPLIT)
    assert size is not None
    whole = {
        t: float(np.mean(costs(suite, rule, t, size, workers))) for t in (default, read(answer.x))
    }
    best = min(whole, key=lambda thresholds: whole[thresholds])
    return Tuned(rule, best, whole[best], whole[default])


def _matters(system: System, rule: str, name: str) -> bool:
    """Say whether a threshold can change anything."""
    if name in OF_PRICES:
        return rule != "self_consumption"
    if name in ("regulation", "spinning"):
        return system.reserve
    return name != "nomination_bias" or system.day_ahead_grid


def costs(suite: str, rule: str, thresholds: Thresholds, episodes: int, workers: int) -> Array:
    """Return the costs of a rule on the first episodes of the split, (episodes,)."""
    shares = np.array_split(np.arange(episodes), workers)
    play: Callable[..., list[float]] = _play
    if workers == 1:
        return np.array(play(suite, rule, thresholds, shares[0]))
    parts = joblib.Parallel(n_jobs=workers)(
        joblib.delayed(play)(suite, rule, thresholds, share) for share in shares
    )
    return np.concatenate([np.array(part) for part in parts])


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


def block(found: list[Tuned], best: Tuned, command: str, episodes: int) -> str:
    """Return the block for a suite's file, with where it comes from in a comment."""
    lines = [f"# Made by: {command}"]
    lines += [
        f"# {tuned.rule}: {tuned.untuned_cost:.2f} untuned, {tuned.cost:.2f} tuned, "
        f"mean of {episodes} episodes of {SPLIT}"
        for tuned in found
    ]
    lines.append(f"# sha256 of the thresholds: {thresholds_hash(best.rule, best.thresholds)}")
    content = {
        "tuned_rule": {
            "rule": best.rule,
            "thresholds": best.thresholds.model_dump(exclude_defaults=True),
        }
    }
    return "\n".join(lines) + "\n" + yaml.safe_dump(content, sort_keys=False)


def thresholds_hash(rule: str, thresholds: Thresholds) -> str:
    """Return the hash of a rule and all its thresholds, the defaults among them."""
    numbers = ",".join(f"{name}={value!r}" for name, value in thresholds.model_dump().items())
    return hashlib.sha256(f"{rule}:{numbers}".encode()).hexdigest()[:16]


def frozen_hash(text: str) -> str:
    """Return the hash that a suite's file states.

    Raises:
        InputError: it states none.
    """
    for line in text.splitlines():
        if line.startswith("# sha256 of the thresholds: "):
            return line.rsplit(" ", 1)[1]
    raise InputError("the file states no hash of the thresholds")
