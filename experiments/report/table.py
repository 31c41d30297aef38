"""Costs of learners beside references, from records: what the tables of `mmg rescore` count.

All that is compared on a split meets the same episodes. Where a reference or the oracle failed, the
episode is left out for all; an agent that failed on one that counts is left out itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments.records import ORACLE, EvaluationRecord
from mmg_env.errors import InputError
from mmg_env.system import System

Array = NDArray[np.float64]
Sound = defaultdict[str, dict[int, EvaluationRecord]]
"""Records that did not fail, by policy and episode."""

LEAST: Final = 2
"""Episodes that a comparison takes: one has neither interval nor p-value."""


@dataclass(frozen=True, eq=False)
class Played:
    """What a policy, or a learner's agents, did on a split.

    Attributes:
        costs: (seeds, episodes).
        seeds: training seeds; a policy that is not learned has one row, and 0 stands for it.
        decision_ms: median time of a decision.
    """

    costs: Array
    seeds: tuple[int, ...]
    decision_ms: float


@dataclass(frozen=True, eq=False)
class Table:
    """Costs on one split of a suite.

    Attributes:
        suite: its name.
        split: its name.
        currency: of the costs.
        references: the policies that learners are compared with; the first is the zero.
        episodes: numbers of the episodes that count.
        played: oracle, references, then learners, by name.
        agents: folders of the agents by learner and seed.
        left_out: sentences on what does not count, and why.
    """

    suite: str
    split: str
    currency: str
    references: tuple[str, ...]
    episodes: tuple[int, ...]
    played: Mapping[str, Played]
    agents: Mapping[str, Mapping[int, str]]
    left_out: tuple[str, ...]

    @property
    def learners(self) -> list[str]:
        """Those learners of which an agent counts."""
        return [name for name in self.agents if name in self.played]

    @property
    def scores(self) -> dict[str, Array]:
        """Scores by name, (seeds, episodes): what is saved, over the mean that could be."""
        zero, oracle = self.played[self.references[0]].costs, self.played[ORACLE].costs
        possible = float((zero - oracle).mean())
        return {name: (zero - played.costs) / possible for name, played in self.played.items()}


def table_of(
    system: System,
    references: tuple[str, ...],
    agents: Mapping[str, Mapping[int, str]],
    records: Sequence[EvaluationRecord],
) -> Table:
    """Return the records of one split as a table.

    Args:
        system: of the suite.
        references: the policies that learners are compared with.
        agents: folders of the agents by learner and seed; the folder is the policy's name.
        records: of references, oracle and agents on all episodes, failed ones included.

    Raises:
        InputError: too few episodes are left.
    """
    split = records[0]["split"]
    sound = _sound(records)
    fixed = {policy: {0: policy} for policy in (ORACLE, *references)}
    asked = sorted({record["episode"] for record in records})
    kept = tuple(n for n in asked if all(n in sound[policy] for policy in fixed))
    if len(kept) < LEAST:
        counts = " and ".join(f"{policy} on {len(sound[policy])}" for policy in fixed)
        raise InputError(
            f"{system.name}, {split}: of {len(asked)} episodes {len(kept)} were played without "
            f"failing by oracle and references alike ({counts}); a comparison takes {LEAST}"
        )
    whole = {
        learner: {seed: policy for seed, policy in seeds.items() if sound[policy].keys() >= {*kept}}
        for learner, seeds in agents.items()
    }
    played = {
        name: _played([[sound[policy][n] for n in kept] for policy in seeds.values()], tuple(seeds))
        for name, seeds in (fixed | whole).items()
        if seeds
    }
    left_out = (*_episodes_left_out(fixed, asked, sound), *_agents_left_out(agents, kept, sound))
    currency = system.config.currency
    return Table(system.name, split, currency, references, kept, played, agents, left_out)


def _sound(records: Sequence[EvaluationRecord]) -> Sound:
    sound: Sound = defaultdict(dict)
    for record in records:
        if record["status"] == "ok":
            sound[record["policy"]][record["episode"]] = record
    return sound


def _played(rows: Sequence[Sequence[EvaluationRecord]], seeds: tuple[int, ...]) -> Played:
    costs, times = (
        np.array([[record[column] for record in row] for row in rows])
        for column in ("cost", "decision_ms_p50")
    )
    return Played(costs, seeds, float(np.median(times)))


def _episodes_left_out(fixed: Iterable[str], asked: Sequence[int], sound: Sound) -> Iterator[str]:
    for policy in fixed:
        missing = [str(n) for n in asked if n not in sound[policy]]
        if missing:
            word = "episode" if len(missing) == 1 else "episodes"
            yield f"{word} {', '.join(missing)}, where {policy} failed"


def _agents_left_out(
    agents: Mapping[str, Mapping[int, str]], kept: Sequence[int], sound: Sound
) -> Iterator[str]:
    for learner, seeds in agents.items():
        for seed, policy in seeds.items():
            missing = len({*kept} - sound[policy].keys())
            if missing:
                yield f"{learner}, seed {seed}, which failed on {missing} of {len(kept)} episodes"
