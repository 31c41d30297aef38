"""Who gains what: the tables of `mmg reproduce s2` on money, and its result in words.

Source: the figures beside ours are those of the abstract of Bayat et al. 2026; all others are
computed by the run.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments.report.words import NOTHING, percent
from experiments.reproduce.cases import CASES, FEATURES, NO_STORAGE, ONE, ONE_FEED_IN, THREE, TWO
from experiments.reproduce.s2_findings import Findings, Values, attributed, values_of
from experiments.reproduce.tables import Cell, Head, Table
from experiments.statistics import Interval, mean_difference, ratio_interval
from mmg_env.layout import L

Array = NDArray[np.float64]

CURRENCY: Final = "CNY per day"
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
        Head("mean over the days", CURRENCY),
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
        agrees = "yes" if (moved.value > 0.0) == RISES[name] else "no"
        rows.append((*cells, _per_cent(moved), _per_cent(fed_in), PAPER[name], agrees))
    return Table("headline", "The three values of the paper, by case", heads, tuple(rows))


def _per_cent(interval: Interval) -> Interval:
    return Interval(*(100.0 * value for value in interval))


def ranges(findings: Findings) -> Table:
    """Return how profit and houses' cost differ between equally cheap plans, by case."""
    least, most = "least profit", "most profit"
    heads = (
        Head("case"),
        Head("storage's net profit", CURRENCY, 1),
        Head(least, CURRENCY, 1),
        Head(most, CURRENCY, 1),
        Head("houses' cost", CURRENCY, 1),
        Head(f"with {least}", CURRENCY, 1),
        Head(f"with {most}", CURRENCY, 1),
        Head("proven gap", "CNY, of any day's plan", 4),
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
        *(Head(words, CURRENCY) for words in WORDS.values()),
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
    heads = (Head("feature"), *(Head(words, CURRENCY, 1) for words in WORDS.values()))
    rows: list[tuple[Cell, ...]] = []
    for feature in FEATURES:
        shares = (due[name][feature] for name in WORDS)
        rows.append((feature.replace("_", " "), *(_mean(share) for share in shares)))
    totals = (sum(due[name].values(), np.zeros(findings.size.days)) for name in WORDS)
    rows.append(("all together", *(_mean(total) for total in totals)))
    return Table("attribution", "What each feature is due (Shapley)", heads, tuple(rows))


def _mean(values: Array) -> Interval:
    return mean_difference(values, np.zeros_like(values), generator())


def participants(findings: Findings) -> list[str]:
    """Return who has a bill: the houses, and all together."""
    return [f"CRH{k + 1}" for k in range(findings.middle.virtual_kwh.shape[1])]


def mean_ledger(findings: Findings, case: str) -> Array:
    """Return the mean ledger of a case with a row for the storage, (members + 1, terms)."""
    ledger = np.mean([outcome.ledger for outcome in findings.cases[case]], axis=0)
    if case == NO_STORAGE:
        ledger = np.vstack([ledger, np.zeros(ledger.shape[1])])
    return np.asarray(ledger)


def bills(findings: Findings) -> Table:
    """Return what each participant pays or earns, by ledger term and case."""
    ledgers = {case: mean_ledger(findings, case) for case in CASES}
    heads = (Head("who"), Head("term"), *(Head(case, CURRENCY, 1) for case in CASES))
    rows: list[tuple[Cell, ...]] = []
    names = participants(findings)
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
    ends, first = mean_shared(findings, THREE), mean_shared(findings, ONE)[0]
    open_ends = dict(zip(("profit", "houses"), (ends[1:] / first - 1.0).T, strict=True))
    for name, words in WORDS.items():
        moved = change(findings, name)
        way = "rises" if moved.value > 0.0 else "falls"
        text = f"the {words} {way} by {percent(abs(moved.value))} (the paper: {PAPER[name]}"
        if name in open_ends:
            low, high = sorted(open_ends[name])
            text += f"; among equally cheap plans {_signed(low)} to {_signed(high)}"
        yield f"{text})"


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
