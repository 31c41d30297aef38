"""The tables of `mmg worth`: what plans for a day promise, and what the day has cost.

Source: our choice.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.report.rungs import Grid
from experiments.report.words import Text, number, spread
from experiments.statistics import Interval, mean_difference

Array = NDArray[np.float64]

_SEED: Final = 0  # of the bootstrap, the same for each row: none depends on its neighbours


class Promise(NamedTuple):
    """Expected costs of the first day of each episode, (episodes,), currency.

    Attributes:
        stochastic: RP, planned for the scenarios.
        expected_value: EEV, planned for their mean.
        wait_and_see: WS, each foreseen.
        elsewhere: what the first plan saves over the second on scenarios that neither knew.
    """

    stochastic: Array
    expected_value: Array
    wait_and_see: Array
    elsewhere: Array

    def gains(self) -> dict[str, Interval]:
        """Return VSS, the same elsewhere, and EVPI, with intervals over episodes."""
        nothing = np.zeros(len(self.elsewhere))
        return {
            "of_stochastic_solution": _difference(self.expected_value, self.stochastic),
            "elsewhere": _difference(self.elsewhere, nothing),
            "of_perfect_information": _difference(self.stochastic, self.wait_and_see),
        }


class Found(NamedTuple):
    """What was found about one suite.

    Attributes:
        suite: its name.
        currency: of its costs.
        split: whose episodes.
        scenarios: number that is planned for.
        others: number that plans are judged on elsewhere.
        promise: what plans promise.
        costs: (episodes,) what each policy has cost, by name, currency; NaN where it failed.
    """

    suite: str
    currency: str
    split: str
    scenarios: int
    others: int
    promise: Promise
    costs: Mapping[str, Array]

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return len(self.promise.stochastic)


def worth_grid(found: Sequence[Found]) -> Grid:
    """Return RP, EEV, WS and what follows from them, a suite per row."""
    heads = (
        Text("suite", "episodes"),
        Text("RP", "for all scenarios"),
        Text("EEV", "for their mean"),
        Text("WS", "each foreseen"),
        Text("VSS", "EEV \u2212 RP"),
        Text("VSS", "on others"),
        Text("EVPI", "RP \u2212 WS"),
    )
    rows = [
        (
            Text(f"{one.suite}, {one.currency}", str(one.episodes)),
            *(Text(number(float(costs.mean()))) for costs in one.promise[:3]),
            *(_told(gain) for gain in one.promise.gains().values()),
        )
        for one in found
    ]
    return Grid("Planned for scenarios: means of a day, 95 % intervals", heads, tuple(rows))


def promise_grid(found: Sequence[Found]) -> Grid:
    """Return what policies have cost beside what was promised, a policy per row."""
    heads = (
        Text("suite", "episodes"),
        Text("policy"),
        Text("promised", "RP"),
        Text("as played"),
        Text("above the promise"),
    )
    rows = [
        (
            Text(f"{row['suite']}, {row['currency']}", str(row["episodes"])),
            Text(row["policy"]),
            Text(number(row["promised"])),
            Text(number(row["played"])),
            _told(Interval(row["above"], row["above_low"], row["above_high"])),
        )
        for row in promise_rows(found)
    ]
    return Grid("Promise and reality: means of a day, 95 % intervals", heads, tuple(rows))


def worth_rows(found: Sequence[Found]) -> list[dict[str, Any]]:
    """Return a line of the file per suite."""
    rows = []
    for one in found:
        row = _key(one) | {"scenarios": one.scenarios, "others": one.others}
        row |= {name: float(getattr(one.promise, name).mean()) for name in Promise._fields[:3]}
        for name, (value, low, high) in one.promise.gains().items():
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return rows


def promise_rows(found: Sequence[Found]) -> list[dict[str, Any]]:
    """Return a line of the file per suite and policy; episodes on which it failed are left out."""
    rows = []
    for one in found:
        for policy, costs in one.costs.items():
            played = np.isfinite(costs)
            if not played.any():
                continue
            expected = one.promise.stochastic[played]
            above = _difference(costs[played], expected)
            rows.append(
                _key(one)
                | {"episodes": int(played.sum()), "policy": policy}
                | {"promised": float(expected.mean()), "played": float(costs[played].mean())}
                | {"above": above.value, "above_low": above.low, "above_high": above.high}
            )
    return rows


def _key(found: Found) -> dict[str, Any]:
    return {
        "suite": found.suite,
        "currency": found.currency,
        "split": found.split,
        "episodes": found.episodes,
    }


def _difference(costs: Array, others: Array) -> Interval:
    return mean_difference(costs, others, np.random.default_rng(_SEED))


def _told(found: Interval) -> Text:
    return Text(number(found.value), spread(found, number))
