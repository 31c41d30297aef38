"""Everything that the page of `mmg reproduce s2` is about, computed day by day in parallel.

Source: our choice.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.division import KINDS
from experiments.reproduce import cases, methods, promise
from experiments.reproduce.cases import CASES, COMBINATIONS, FEATURES, Outcome
from experiments.reproduce.day import MiddleDay, middle_day
from experiments.reproduce.jobs import Job, Key, run
from experiments.reproduce.methods import Convergence, Knowledge, Negotiated
from experiments.reproduce.promise import DayCosts
from experiments.reproduce.shapley import shapley
from mmg_env.layout import L

Array = NDArray[np.float64]

SHOWN_DAY: Final = 0  # whose schedule is drawn and on which methods are compared


class Size(NamedTuple):
    """How much is computed.

    Attributes:
        days: test episodes, from 0 on.
        scenarios: per day.
        rounds: most rounds of a method that goes round by round.
        time_s: longest time for such a method, s.
        quick: whether this is but a first look.
    """

    days: int
    scenarios: int
    rounds: int
    time_s: float
    quick: bool


FULL: Final = Size(16, 10, 200, 90.0, quick=False)
QUICK: Final = Size(2, 4, 200, 4.0, quick=True)


class Findings(NamedTuple):
    """What was found.

    Attributes:
        size: how much was computed.
        cases: outcome of each day, by case.
        combinations: outcome of each day, by the features that are there.
        middle: the shown day's scenario of median cost, in case 3.
        cuts: how cuts closed, by kind.
        negotiated: where the negotiation ended.
        knowledge: of each day.
        promises: of each day.
        lived: (days,) cost by policy, currency.
    """

    size: Size
    cases: Mapping[str, Sequence[Outcome]]
    combinations: Mapping[frozenset[str], Sequence[Outcome]]
    middle: MiddleDay
    cuts: Sequence[Convergence]
    negotiated: Negotiated
    knowledge: Sequence[Knowledge]
    promises: Sequence[DayCosts]
    lived: Mapping[str, Array]


class Values(NamedTuple):
    """The three values of the paper, (days,) each, currency per day."""

    profit: Array
    houses: Array
    wear: Array


def values_of(outcomes: Sequence[Outcome], has_storage: bool = True) -> Values:
    """Return the storage's profit, the houses' cost and the wear of each day."""
    ledgers = np.array([outcome.ledger for outcome in outcomes])
    members = ledgers.shape[1] - has_storage
    profit = -ledgers[:, members:].sum(axis=(1, 2))
    wear = ledgers[:, members:, L.wear].sum(axis=1)
    return Values(profit, ledgers[:, :members].sum(axis=(1, 2)), wear)


def attributed(findings: Findings) -> dict[str, dict[str, Array]]:
    """Return what each feature is due of each value, (days,), by value and feature."""
    found = {key: values_of(outcomes) for key, outcomes in findings.combinations.items()}
    due: dict[str, dict[str, Array]] = {}
    for name in Values._fields:
        of_days = [
            shapley({key: float(getattr(values, name)[day]) for key, values in found.items()})
            for day in range(findings.size.days)
        ]
        due[name] = {f: np.array([one[f] for one in of_days]) for f in FEATURES}
    return due


def gather(size: Size, policies: Sequence[str], workers: int) -> Findings:
    """Compute everything.

    Args:
        size: how much.
        policies: which policies live through the true days.
        workers: processes.
    """
    found = run(list(jobs(size, policies)), workers)
    days = range(size.days)

    def outcomes(overrides: Mapping[str, Any]) -> list[Outcome]:
        return [found["case", _frozen(overrides), day] for day in days]

    return Findings(
        size,
        {name: outcomes(overrides) for name, overrides in CASES.items()},
        {features: outcomes(overrides) for features, overrides in COMBINATIONS.items()},
        found["middle",],
        [found["cuts", kind] for kind in KINDS],
        found["negotiated",],
        [found["knowledge", day] for day in days],
        [found["promise", day] for day in days],
        {name: np.array([found["live", name, day] for day in days]) for name in policies},
    )


def jobs(size: Size, policies: Sequence[str]) -> Iterator[Job]:
    """Yield what is to be computed, each once; what takes long comes first."""
    limits = (size.rounds, size.time_s)
    for kind in reversed(KINDS):
        yield Job(("cuts", kind), methods.converge, (kind, SHOWN_DAY, size.scenarios, *limits))
    yield Job(("negotiated",), methods.bargain, (SHOWN_DAY, size.scenarios, *limits))
    yield Job(("middle",), middle_day, (SHOWN_DAY, size.scenarios))
    for name in reversed(policies):
        for day in range(size.days):
            yield Job(("live", name, day), promise.live, (name, day))
    for day in range(size.days):
        yield Job(("promise", day), promise.promise, (day, size.scenarios))
        yield Job(("knowledge", day), methods.weigh_up, (day, size.scenarios))
    overrides = {_frozen(o): o for o in (*CASES.values(), *COMBINATIONS.values())}
    ranged = {_frozen(o) for o in CASES.values()}
    for key, changed in overrides.items():
        for day in range(size.days):
            arguments = (changed, day, size.scenarios, key in ranged)
            yield Job(("case", key, day), cases.play, arguments)


def _frozen(overrides: Mapping[str, Any]) -> Key:
    return tuple(sorted(overrides.items()))
