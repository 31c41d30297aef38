"""What the findings of `mmg reproduce s1-robust` come to, in sentences computed from them.

Source: our choice.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np

from baselines.robust.deviations import BUDGETS
from experiments.report.words import number
from experiments.reproduce.phrases import between, share
from experiments.reproduce.s1_robust_cases import GAP, Solved, name_of
from experiments.reproduce.s1_robust_findings import Findings
from experiments.reproduce.s1_robust_methods import Contest
from experiments.reproduce.s1_robust_sets import WIDENED
from experiments.reproduce.s1_robust_sweep_tables import money
from experiments.reproduce.s1_robust_sweeps import DAYS
from experiments.reproduce.s1_robust_tables import PAPER, PLAIN, SERIES

SERVED_KWH: Final = 0.05
"""What is unserved below this is rounding."""


def closed(found: Solved) -> bool:
    """Return whether the bounds have met and both are proven."""
    return found.proven and found.gap <= GAP


def verdict(findings: Findings) -> str:
    """Return the result in a sentence."""
    members = findings.members.values()
    counts = between(len(found.plain.rounds) for found in members)
    solved = share((closed(found.plain) for found in members), "members")
    paper = between(count for (_, method), (count, _) in PAPER.items() if method == PLAIN)
    text = (
        f"For {solved}, column and constraint generation proves the robust winter day to "
        f"{100 * GAP:g} %; it takes {counts} rounds (in the paper: {paper})."
    )
    pairs = [(by[0.0], by[1.0]) for by in findings.budgets.values() if {0.0, 1.0} <= by.keys()]
    if pairs:
        above = between(100.0 * (b.value.upper / a.value.upper - 1.0) for a, b in pairs)
        paid = between(
            (100.0 * (b.reality.cost.mean() / a.reality.cost.mean() - 1.0) for a, b in pairs), 2
        )
        text += (
            f" The worst of the usual sets costs {above} % more than what is expected. On realised "
            f"days the protected plan costs {paid} % more than the one without protection."
        )
    return text


def of_methods(findings: Findings) -> str:
    """Return what solving the day in every way has shown."""
    members = findings.members.values()
    hedged = share((closed(found.hedged) for found in members), "members")
    binary = share((closed(found.binary) for found in members), "members")
    worst = max(100.0 * found.binary.gap for found in members)
    affine = between((100.0 * (m.ruled.value / m.plain.lower - 1.0) for m in members), 3)
    own = findings.community
    kind = "proven" if own.proven else "what the heuristic found, not proven"
    return (
        f"With PH the bounds meet for {hedged}, and where devices run one way at a time for "
        f"{binary} (largest gap {number(worst, 3)} %, its upper bounds "
        f"{_kinds(found.binary.proven for found in members)}). Affine rules, which know no hour "
        f"before it comes, cost {affine} % more than the two-stage bound at most: so much and no "
        "more can knowing the whole day be worth. All members with their storage take "
        f"{len(own.rounds)} rounds and {number(own.seconds, 0)} s to a gap of "
        f"{number(100.0 * own.gap, 3)} %; the upper bound is {kind}."
    )


def _kinds(proven: Iterable[bool]) -> str:
    found = list(proven)
    return "proven" if all(found) else f"proven in {sum(found)} of {len(found)}"


def of_contests(findings: Findings) -> str:
    """Return where hedging pays."""
    counts = sorted(findings.size.scenes)
    texts = []
    for count in counts:
        found = [one for by in findings.contests.values() for one in by if one.scenes == count]
        quicker = sum(_ratio(one) > 1.0 for one in found)
        ratios = between((_ratio(one) for one in found), 1)
        texts.append(
            f"with {count} scenes its master is quicker for {quicker} of {len(found)} members "
            f"({ratios} times as fast)"
        )
    off = [
        100.0 * (one.hedged.upper / one.plain.upper - 1.0)
        for by in findings.contests.values()
        for one in by
    ]
    return (
        f"For PH: {'; '.join(texts)}. Its upper bound differs from that of "
        f"all scenes at once by {between(off, 3)} %. Where both take a few tenths of a second, "
        "the ratio says little."
    )


def _ratio(one: Contest) -> float:
    return one.plain.master_s / one.hedged.master_s


def of_worst(findings: Findings) -> str:
    """Return what the worst case is made of."""
    texts = []
    for k, (kind, allowed) in enumerate(zip(SERIES.values(), BUDGETS.hours, strict=True)):
        hours = [
            findings.size.dt_h * float(found.day.hit[:, k].sum())
            for found in findings.members.values()
        ]
        texts.append(f"{kind} in {between(hours)} of {allowed:g} h")
    return f"The adversary hits {', '.join(texts)}."


def of_shortfalls(findings: Findings) -> str:
    """Return how good the heuristic is."""
    every = [one for by in findings.shortfalls.values() for one in by]
    below = np.concatenate([one.below for one in every])
    bound = max(float(one.at_most.max()) for one in every)
    found = share((below <= 1e-6).tolist(), "searches")
    return (
        f"In {found} the heuristic found as bad a case as the exact search. Where it did not, it "
        f"stayed below by up to {number(100.0 * float(below.max()), 4)} %; below what is proven "
        f"it stayed by {number(100.0 * bound, 4)} % at most, the gap of the search included."
    )


def of_budgets(findings: Findings) -> str:
    """Return what budgets cost and what they bring."""
    texts = []
    for member, found in findings.budgets.items():
        costs = [float(one.reality.cost.mean()) for one in found.values()]
        spread = 100.0 * (max(costs) / min(costs) - 1.0)
        best = list(found)[int(np.argmin(costs))]
        text = (
            f"{name_of(findings.size, member)} by {number(spread, 3)} % (least with {_named(best)})"
        )
        texts.append(text)
    every = [one.reality for by in findings.budgets.values() for one in by.values()]
    broken = sum(int((real.inside & real.dearer).sum()) for real in every)
    usual = [by[1.0].reality for by in findings.budgets.values() if 1.0 in by]
    plain = [by[0.0].reality for by in findings.budgets.values() if 0.0 in by]
    rules = [
        100.0 * (one.ruled / one.value.lower - 1.0)
        for by in findings.budgets.values()
        for one in by.values()
    ]
    return (
        f"Affine rules cost at most {number(max(rules), 3)} % more than the two-stage bound, "
        "whatever the budgets. From the plan without protection to the box, mean realised cost "
        f"changes: {', '.join(texts)}. Realised days that cost more than promised: "
        f"{_range(100.0 * one.dearer.mean() for one in plain)} % without protection, "
        f"{_range(100.0 * one.dearer.mean() for one in usual)} % with the usual budgets. "
        f"{_range(100.0 * one.inside.mean() for one in usual)} % of realised days are inside the "
        f"usual sets, for which alone the promise is a guarantee; of days inside their set "
        f"{broken} cost more than promised."
    )


def _named(factor: float | None) -> str:
    if factor is None:
        return "the box"
    return f"{factor:g} times the usual budgets" if factor > 0.0 else "no protection"


def _range(values: Iterable[float]) -> str:
    found = list(values)
    return between(found, 1) if found else "no figure"


def of_prices(findings: Findings) -> str:
    """Return where the price of unserved load matters."""
    low, high = min(findings.size.unserved), max(findings.size.unserved)
    texts = []
    for kind in DAYS:
        pairs = [(by[kind, low], by[kind, high]) for by in findings.shed.values()]
        above = between((100.0 * (b.value.upper / a.value.upper - 1.0) for a, b in pairs), 2)
        shed = [dear.worst_kwh for _, dear in pairs]
        if max(shed) < SERVED_KWH:
            texts.append(f"{kind}: no load is shed at worst, and the price does not matter")
            continue
        texts.append(
            f"{kind}: at worst {between(shed)} kWh are shed at the higher price, and the value "
            f"rises by {above} %"
        )
    return f"From {low:g} to {high:g} {money(findings)} per kWh: {'; '.join(texts)}."


def of_sets(findings: Findings) -> str:
    """Return what the fitted set is worth, as far as it is proven."""
    texts = []
    for member, found in findings.fitted.items():
        scaled, own = found.sets[WIDENED], found.sets[-1]
        cheaper = own.value.upper < scaled.value.lower
        dearer = own.value.lower > scaled.value.upper
        state = "cheaper" if cheaper else "dearer" if dearer else "open"
        texts.append(f"{name_of(findings.size, member)} {state}")
    return (
        "Protection against the fitted set, compared with the budget set that is widened until it "
        f"holds as many of the days, is by what is proven: {', '.join(texts)}."
    )
