"""Who gains what: the tables of `mmg reproduce s2` on money, and its result in words.

Source: the figures beside ours are those of the abstract of Bayat et al. 2026; all others are
computed by the run.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments.report.words import NOTHING, percent
from experiments.reproduce.cases import (
    CASES,
    FEATURES,
    NO_STORAGE,
    ONE,
    ONE_FEED_IN,
    THREE,
    TWO,
    case_system,
)
from experiments.reproduce.s2_findings import Findings, Values, attributed, values_of
from experiments.reproduce.tables import Cell, Head, Table
from experiments.statistics import Interval, mean_difference, ratio_interval
from mmg_env.layout import L

Array = NDArray[np.float64]

STORAGE: Final = "storage"
WORDS: Final = {
    "profit": "storage's net profit",
    "houses": "houses' cost",
    "wear": "storage's wear",
}
PAPER: Final = {"profit": "about +30 %", "houses": "about \u221275 %", "wear": "decreases"}
"""What the abstract of Bayat et al. 2026 says of these values, case 1 to 3."""
RISES: Final = {"profit": True, "houses": False, "wear": False}
"""The signs of that."""
_LEAST: Final = 0.005  # currency per day below which a term is not listed


def currency() -> str:
    """Return what costs are in."""
    return case_system({}).config.currency


def per_day() -> str:
    """Return the unit of costs that are a day's."""
    return f"{currency()} per day"


def houses() -> tuple[str, ...]:
    """Return the houses' names."""
    return case_system({}).members


def values_by_case(findings: Findings) -> dict[str, Values]:
    """Return the three values of every case."""
    return {
        name: values_of(outcomes, name != NO_STORAGE) for name, outcomes in findings.cases.items()
    }


def change(findings: Findings, name: str, before: str = ONE, after: str = THREE) -> Interval:
    """Return the relative change of a value from a case to another, with its interval."""
    found = values_by_case(findings)
    first, last = getattr(found[before], name), getattr(found[after], name)
    return ratio_interval(last - first, first, generator())


def generator() -> np.random.Generator:
    """Return what draws the resamples of an interval: the same ones for every interval."""
    return np.random.default_rng(0)


def headline(findings: Findings) -> Table:
    """Return the values by case, and their change beside what the paper says of its own."""
    found = values_by_case(findings)
    heads = (
        Head("mean over the days", per_day()),
        *(Head(name) for name in CASES),
        Head("case 1 to 3", "%, 95 % interval", 1),
        Head("with feed-in to 3", "%, 95 % interval", 1),
        Head("the paper says", "of its own instance"),
        Head("same sign"),
    )
    rows: list[tuple[Cell, ...]] = []
    for name, words in WORDS.items():
        cells: list[Cell] = [words]
        for case, values in found.items():
            empty = case == NO_STORAGE and name != "houses"
            cells.append(NOTHING if empty else float(getattr(values, name).mean()))
        moved = change(findings, name)
        fed_in = change(findings, name, ONE_FEED_IN)
        same = agrees(moved, RISES[name])
        rows.append((*cells, _per_cent(moved), _per_cent(fed_in), PAPER[name], same))
    return Table("headline", "The three values of the paper, by case", heads, tuple(rows))


def agrees(moved: Interval, rises: bool) -> str:
    """Return whether a change has a sign: yes, no, or open where its interval does not say."""
    if not has_sign(moved):
        return "open"
    return "yes" if (moved.low > 0.0) == rises else "no"


def has_sign(moved: Interval) -> bool:
    """Return whether a change has an interval, and 0 is outside of it."""
    return moved.low > 0.0 or moved.high < 0.0


def _per_cent(interval: Interval) -> Interval:
    return Interval(*(100.0 * value for value in interval))


def ranges(findings: Findings) -> Table:
    """Return how profit and houses' cost differ between equally cheap plans, by case."""
    least, most = "least profit", "most profit"
    heads = (
        Head("case"),
        Head("storage's net profit", per_day(), 1),
        Head(least, per_day(), 1),
        Head(most, per_day(), 1),
        Head("houses' cost", per_day(), 1),
        Head(f"with {least}", per_day(), 1),
        Head(f"with {most}", per_day(), 1),
        Head("proven gap", f"{currency()}, of any day's plan", 4),
    )
    rows: list[tuple[Cell, ...]] = []
    for name, outcomes in findings.cases.items():
        if name == NO_STORAGE:
            continue
        gap = max(outcome.objective - outcome.bound for outcome in outcomes)
        shared = mean_shared(findings, name).T.ravel()
        rows.append((name, *(float(value) for value in shared), gap))
    return Table("ranges", "How far the division of the money is open", heads, tuple(rows))


def mean_shared(findings: Findings, case: str) -> Array:
    """Return (3, 2) profit and houses' cost of the plan and of the ends of the range, mean."""
    return np.asarray(np.mean([outcome.shared for outcome in findings.cases[case]], axis=0))


def combinations(findings: Findings) -> Table:
    """Return the values of every combination of the features."""
    names = list(FEATURES)
    heads = (
        *(Head(name.replace("_", " ")) for name in names),
        *(Head(words, per_day()) for words in WORDS.values()),
    )
    rows: list[tuple[Cell, ...]] = []
    for features in sorted(
        findings.combinations, key=lambda s: (len(s), [n not in s for n in names])
    ):
        values = values_of(findings.combinations[features])
        there = ("yes" if name in features else NOTHING for name in names)
        rows.append((*there, *(float(value.mean()) for value in values)))
    return Table("combinations", "All combinations of the features", heads, tuple(rows))


def attribution(findings: Findings) -> Table:
    """Return what each feature is due of the change from none to all, with intervals over days."""
    due = attributed(findings)
    heads = (Head("feature"), *(Head(words, per_day(), 1) for words in WORDS.values()))
    rows: list[tuple[Cell, ...]] = []
    for feature in FEATURES:
        shares = (due[name][feature] for name in WORDS)
        rows.append((feature.replace("_", " "), *(_mean(share) for share in shares)))
    totals = (sum(due[name].values(), np.zeros(findings.size.days)) for name in WORDS)
    rows.append(("all together", *(_mean(total) for total in totals)))
    return Table("attribution", "What each feature is due (Shapley)", heads, tuple(rows))


def _mean(values: Array) -> Interval:
    return mean_difference(values, np.zeros_like(values), generator())


def mean_ledger(findings: Findings, case: str) -> Array:
    """Return the mean ledger of a case with a row for the storage, (members + 1, terms)."""
    ledger = np.mean([outcome.ledger for outcome in findings.cases[case]], axis=0)
    if case == NO_STORAGE:
        ledger = np.vstack([ledger, np.zeros(ledger.shape[1])])
    return np.asarray(ledger)


def bills(findings: Findings) -> Table:
    """Return what each participant pays or earns, by ledger term and case."""
    ledgers = {case: mean_ledger(findings, case) for case in CASES}
    heads = (Head("who"), Head("term"), *(Head(case, per_day(), 1) for case in CASES))
    rows: list[tuple[Cell, ...]] = []
    names = houses()
    for place, who in [(len(names), STORAGE), *enumerate(names)]:
        for term in L:
            money = [float(ledger[place, term]) for ledger in ledgers.values()]
            if max(abs(value) for value in money) > _LEAST:
                rows.append((who, term.name.replace("_", " "), *money))
        total = (float(ledger[place].sum()) for ledger in ledgers.values())
        rows.append((who, "sum", *total))
    return Table("bills", "Bills by ledger term, cost above zero", heads, tuple(rows))


def verdict(findings: Findings) -> str:
    """Return the headline in a sentence."""
    return "; ".join(_told(findings)) + "."


def _told(findings: Findings) -> Iterator[str]:
    first, last = mean_shared(findings, ONE), mean_shared(findings, THREE)
    among = {
        "profit": "among equally cheap plans",
        "houses": "where the storage earns least or most in these plans",
    }
    for place, (name, words) in enumerate(WORDS.items()):
        text = f"{_moved(words, change(findings, name))} (the paper: {PAPER[name]}"
        if name in among:
            low, high = changes_between(first[1:, place], last[1:, place])
            text += f"; {among[name]} {_signed(low)} to {_signed(high)}"
        yield f"{text})"


def _moved(words: str, moved: Interval) -> str:
    """Return a change in words; whether it rises or falls only where its interval says so."""
    if has_sign(moved):
        way = "rises" if moved.low > 0.0 else "falls"
        return f"the {words} {way} by {percent(abs(moved.value))}"
    if not np.isfinite(moved.low):
        return f"how the {words} changes is open, {_signed(moved.value)} without an interval"
    bounds = f"{_signed(moved.low)} to {_signed(moved.high)}"
    return f"how the {words} changes is open, {_signed(moved.value)} with an interval of {bounds}"


def changes_between(first: Array, last: Array) -> tuple[float, float]:
    """Return the least and the largest relative change from any of some values to any of others.

    Args:
        first: (values,) before; NaN is returned unless all are positive.
        last: (values,) after.
    """
    if not (first > 0.0).all():
        return np.nan, np.nan
    changes = last[:, None] / first[None, :] - 1.0
    return float(changes.min()), float(changes.max())


def _signed(share: float) -> str:
    return ("+" if share > 0.0 else "") + percent(share)


def ordering(findings: Findings) -> list[str]:
    """Return the cases in the order of each value, in words."""
    found = values_by_case(findings)
    lines = []
    for name, words in WORDS.items():
        means = {case: float(getattr(found[case], name).mean()) for case in (ONE, TWO, THREE)}
        ranked = sorted(means, key=lambda case: means[case])
        lines.append(f"{words}: {' < '.join(ranked)}")
    return lines
