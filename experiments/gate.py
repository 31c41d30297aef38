"""What a suite leaves to be gained, and whether that makes it a benchmark: functions of arrays.

A suite that cannot tell good policies from bad ones is a regression test. With the costs of idle i,
the best tuned rule r, MPC without forecast f, MPC m, the oracle's bound o and the constant heat k,
summed over the same episodes, a benchmark has::

    regret of MPC         sum (m - o) / |sum (o - k)|      >= .05
    worth of forecasts    sum (f - m) / sum (r - o)        >= .10     in units of the score
    way of the rule       sum (i - r) / sum (i - o)        <= .7      idle is 0, the oracle 1
    shed by idle          mean of i's unserved energy      <= 1 kWh   where the grid never fails
    rank stability        tau between halves of episodes   >= .9       shown, not judged

Ranks of rungs that nearly tie swap between halves whatever the suite is worth; `mmg bench` prints
tau for all policies.

Idle that sheds load costs so much that every rule looks good beside it. Where the grid fails, some
shedding cannot be helped; it lengthens the way of the rule, so the criterion only becomes stricter.

Source: our choice, from a study of which suites can separate policies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.statistics import (
    Interval,
    episodes_needed,
    mean_difference,
    rank_stability,
    ratio_interval,
    regret_interval,
    score_interval,
)

Array = NDArray[np.float64]

IDLE: Final = "idle"
CLIMATOLOGY: Final = "mpc_climatology"
MPC: Final = "mpc"
ORACLE: Final = "oracle"

LEAST_REGRET: Final = 0.05
LEAST_WORTH: Final = 0.10
MOST_WAY: Final = 0.7
MOST_SHED_KWH: Final = 1.0
LEAST_TAU: Final = 0.9
HALF_WIDTH: Final = 0.01  # of a score, that a published number should have
_SEED: Final = 0  # of every bootstrap, so that no number depends on the others


@dataclass(frozen=True, eq=False)
class Ladder:
    """The rungs of a suite on the same episodes.

    Attributes:
        suite: its name.
        currency: of the costs.
        regression: whether it is a regression suite, which is shown but not judged.
        rule: name of the rung that stands for the best tuned rule; its score is 0.
        costs: (episodes,) costs by rung, idle first and the oracle's bound last.
        unserved_kwh: (episodes,) load and heat not served, by rung, kWh.
        heat: (episodes,) cost of the heat that only boilers can serve.
        grid_fails: whether the grid is down or derated in any of the episodes.
    """

    suite: str
    currency: str
    regression: bool
    rule: str
    costs: Mapping[str, Array]
    unserved_kwh: Mapping[str, Array]
    heat: Array
    grid_fails: bool

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return len(self.heat)


class Rung(NamedTuple):
    """One rung of a suite; amounts are means per episode.

    Attributes:
        policy: its name.
        cost: mean cost, currency.
        score: the rule is 0, the oracle 1.
        regret: cost above the oracle's, as a share of the oracle's without the constant heat.
        way: idle is 0, the oracle 1.
        unserved_kwh: load and heat not served, kWh.
    """

    policy: str
    cost: float
    score: Interval
    regret: Interval
    way: Interval
    unserved_kwh: float


class Criterion(NamedTuple):
    """One condition that a benchmark meets.

    Attributes:
        name: what is measured.
        found: its value and paired interval.
        limit: the value allowed.
        least: whether the limit is the least allowed; else the most.
        judged: whether a suite fails by it; else it is shown only.
    """

    name: str
    found: Interval
    limit: float
    least: bool
    judged: bool = True

    @property
    def met(self) -> bool:
        """Whether the value is within the limit; what is unknown is not."""
        return self._within(self.found.value)

    @property
    def sure(self) -> bool | None:
        """Whether the whole interval is on the value's side of the limit; None without one."""
        bounds = (self.found.low, self.found.high)
        if not np.isfinite(bounds).all():
            return None
        return all(self._within(bound) == self.met for bound in bounds)

    def _within(self, value: float) -> bool:
        return value >= self.limit if self.least else value <= self.limit


def rungs(ladder: Ladder) -> tuple[Rung, ...]:
    """Return the figures of every rung, in order."""
    idle, rule, oracle = (ladder.costs[name] for name in (IDLE, ladder.rule, ORACLE))
    return tuple(
        Rung(
            policy,
            float(costs.mean()),
            score_interval(costs, rule, oracle, _rng()),
            regret_interval(costs, oracle, ladder.heat, _rng()),
            score_interval(costs, idle, oracle, _rng()),
            float(ladder.unserved_kwh[policy].mean()),
        )
        for policy, costs in ladder.costs.items()
    )


def judge(ladder: Ladder) -> tuple[Criterion, ...]:
    """Return what a suite is judged by; shedding counts where the grid never fails."""
    costs = ladder.costs
    idle, rule, oracle = (costs[name] for name in (IDLE, ladder.rule, ORACLE))
    regret = regret_interval(costs[MPC], oracle, ladder.heat, _rng())
    worth = ratio_interval(costs[CLIMATOLOGY] - costs[MPC], rule - oracle, _rng())
    way = score_interval(rule, idle, oracle, _rng())
    policies = {name: array for name, array in costs.items() if name != ORACLE}
    tau = Interval(rank_stability(policies), np.nan, np.nan)
    criteria = [
        Criterion("regret of MPC", regret, LEAST_REGRET, True),
        Criterion("worth of forecasts", worth, LEAST_WORTH, True),
        Criterion("way of the rule", way, MOST_WAY, False),
        Criterion("rank stability", tau, LEAST_TAU, True, judged=False),
    ]
    if not ladder.grid_fails:
        shed = mean_difference(ladder.unserved_kwh[IDLE], np.zeros(ladder.episodes), _rng())
        criteria.append(Criterion("shed by idle, kWh", shed, MOST_SHED_KWH, False))
    return tuple(criteria)


def wanted_episodes(ladder: Ladder) -> float:
    """Return how many episodes would narrow the interval of MPC's score to +- HALF_WIDTH."""
    found = score_interval(
        ladder.costs[MPC], ladder.costs[ladder.rule], ladder.costs[ORACLE], _rng()
    )
    return episodes_needed(found, ladder.episodes, HALF_WIDTH)


def _rng() -> np.random.Generator:
    return np.random.default_rng(_SEED)
