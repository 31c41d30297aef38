"""From records to a ranking: every policy on the same episodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from experiments.records import EvaluationRecord
from experiments.statistics import (
    Interval,
    cvar,
    mean_difference,
    rank_stability,
    regret,
    score_interval,
)

Array = NDArray[np.float64]

_UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))
_SEED = 0  # of the bootstrap, the same for each row, so that no row depends on its neighbours


@dataclass(frozen=True)
class Row:
    """One policy in the ranking; amounts are means per episode.

    Attributes:
        policy: its name.
        bound: whether `cost` is a proven lower bound, not something achieved.
        failed: episodes on which it raised.
        cost: mean cost, currency.
        saving: what it saves against the policy whose score is 0, currency.
        score: share of the possible saving.
        regret: cost above the oracle's, as a share of the oracle's.
        cvar: mean cost of the worst 5 % of the episodes, currency.
        means: mean of every numeric column of the records.
        decision_ms: median time of a decision, ms; NaN where nothing was decided step by step.
    """

    policy: str
    bound: bool
    failed: int
    cost: float
    saving: Interval
    score: Interval
    regret: float
    cvar: float
    means: Mapping[str, float]
    decision_ms: float


@dataclass(frozen=True)
class Board:
    """The ranking.

    Attributes:
        rows: the policies that were asked for, cheapest first; those without a result last.
        zero: name of the policy whose score is 0.
        episodes: the episodes that count: those on which no listed policy failed.
        costs: (episodes,) costs by policy, the silent ones included.
        failures: records of failed cells.
    """

    rows: tuple[Row, ...]
    zero: str
    episodes: tuple[int, ...]
    costs: Mapping[str, Array]
    failures: tuple[EvaluationRecord, ...]

    @property
    def stability(self) -> float:
        """How alike even and odd episodes rank the policies: Kendall's tau, the bound left out."""
        listed = [row.policy for row in self.rows if not row.bound and np.isfinite(row.cost)]
        return rank_stability({policy: self.costs[policy] for policy in listed})


def rank(
    records: Sequence[EvaluationRecord], policies: Sequence[str], zero: str, oracle: str
) -> Board:
    """Rank policies by their records.

    A policy that fails on every episode is left out of the comparison; one that fails on some
    takes these episodes from all, because sums over different episodes cannot be compared.

    Args:
        records: of all policies, those run silently for the score included.
        policies: the ones to list.
        zero: the policy whose score is 0.
        oracle: the row whose costs are the lower bounds.
    """
    sound = [record for record in records if record["status"] == "ok"]
    by_policy: dict[str, dict[int, EvaluationRecord]] = {}
    for record in sound:
        by_policy.setdefault(record["policy"], {})[record["episode"]] = record
    shared = [set(found) for found in by_policy.values()]
    episodes = tuple(sorted(set.intersection(*shared))) if shared else ()
    table = {
        policy: [found[episode] for episode in episodes] for policy, found in by_policy.items()
    }
    costs = {
        policy: np.array([record["cost"] for record in rows]) for policy, rows in table.items()
    }
    failures = tuple(record for record in records if record["status"] != "ok")
    failed = {
        policy: len(list(group))
        for policy, group in groupby(sorted(record["policy"] for record in failures))
    }
    rows = [
        _row(policy, table.get(policy, []), costs, failed.get(policy, 0), (zero, oracle))
        for policy in policies
    ]
    rows.sort(key=lambda row: (np.isnan(row.cost), row.cost))
    return Board(tuple(rows), zero, episodes, MappingProxyType(costs), failures)


def _row(
    policy: str,
    records: Sequence[EvaluationRecord],
    costs: Mapping[str, Array],
    failed: int,
    references: tuple[str, str],
) -> Row:
    own = costs.get(policy, np.empty(0))
    zero, oracle = (costs.get(name, np.empty(0)) for name in references)
    rng = np.random.default_rng(_SEED)
    paired = len(own) > 0 and len(zero) == len(own)
    bounded = len(own) > 0 and len(oracle) == len(own)
    score = _UNKNOWN
    if paired and bounded:
        score = score_interval(own, zero, oracle, rng)
    return Row(
        policy=policy,
        bound=bool(records) and all(record["bound"] for record in records),
        failed=failed,
        cost=float(own.mean()) if len(own) else float("nan"),
        saving=mean_difference(zero, own, rng) if paired else _UNKNOWN,
        score=score,
        regret=regret(own, oracle) if bounded else float("nan"),
        cvar=cvar(own),
        means=_means(records),
        decision_ms=_median([record["decision_ms_p50"] for record in records]),
    )


def _means(records: Sequence[EvaluationRecord]) -> dict[str, float]:
    if not records:
        return {}
    numeric = [name for name, value in records[0].items() if type(value) is float]
    return {
        name: float(np.mean([record.get(name, np.nan) for record in records])) for name in numeric
    }


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")
