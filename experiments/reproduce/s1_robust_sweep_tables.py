"""The tables of `mmg reproduce s1-robust` on sets, prices and realised days.

Source: our choice.
"""

import numpy as np

from experiments.report.words import NOTHING
from experiments.reproduce.s1_robust_cases import (
    BOX_LABEL,
    TARIFFS,
    community_of,
    name_of,
)
from experiments.reproduce.s1_robust_findings import DISCRETE, Findings
from experiments.reproduce.tables import Cell, Head, Table
from experiments.statistics import cvar


def label(factor: float | None) -> str:
    """Return what a factor of the budgets is called."""
    return BOX_LABEL if factor is None else f"{factor:g}"


def money(findings: Findings) -> str:
    """Return the currency."""
    return str(community_of(findings.size).config.currency)


def by_budget(findings: Findings) -> Table:
    """Return what the day costs by factor of the budgets."""
    heads = (
        Head("who"),
        Head("budgets", "times the usual"),
        Head("two-stage, lower bound", money(findings), 1),
        Head("two-stage, upper bound", money(findings), 1),
        Head("above no protection", "%", 1),
        Head("affine rules", money(findings), 1),
        Head("affine above two-stage", "%, at most", 3),
    )
    rows: list[tuple[Cell, ...]] = []
    for member, found in findings.budgets.items():
        least = found[0.0].value.upper if 0.0 in found else np.nan
        for factor, one in found.items():
            value = one.value
            rows.append(
                (
                    name_of(findings.size, member),
                    label(factor),
                    value.lower,
                    value.upper,
                    100.0 * (value.upper / least - 1.0),
                    one.ruled,
                    100.0 * (one.ruled / value.lower - 1.0),
                )
            )
    return Table("budgets", "What the day costs as more may deviate", heads, tuple(rows))


def in_reality(findings: Findings) -> Table:
    """Return what plans come to on realised days."""
    heads = (
        Head("who"),
        Head("budgets", "times the usual"),
        Head("days"),
        Head("promised at worst", f"{money(findings)}, mean", 1),
        Head("promised at worst", f"{money(findings)}, CVaR95", 1),
        Head("realised", f"{money(findings)}, mean", 1),
        Head("realised", f"{money(findings)}, CVaR95", 1),
        Head("dearer than promised", "% of days", 1),
        Head("in the set", "% of days", 1),
        Head("in the set and dearer", "days"),
    )
    rows: list[tuple[Cell, ...]] = []
    for member, found in findings.budgets.items():
        for factor, one in found.items():
            real = one.reality
            rows.append(
                (
                    name_of(findings.size, member),
                    label(factor),
                    len(real.cost),
                    float(real.promised.mean()),
                    cvar(real.promised),
                    float(real.cost.mean()),
                    cvar(real.cost),
                    100.0 * float(real.dearer.mean()),
                    100.0 * float(real.inside.mean()),
                    int((real.dearer & real.inside).sum()),
                )
            )
    return Table("reality", "What is promised, and what realised days cost", heads, tuple(rows))


def by_tariff(findings: Findings) -> Table:
    """Return what uncertain tariffs cost."""
    heads = (
        Head("who"),
        Head("tariff"),
        Head("lower bound", money(findings), 1),
        Head("upper bound", money(findings), 1),
        Head("above a certain tariff", "%", 2),
    )
    rows: list[tuple[Cell, ...]] = []
    for member, found in findings.tariffs.items():
        least = found[0.0].upper if 0.0 in found else np.nan
        for which, value in found.items():
            above = 100.0 * (value.upper / least - 1.0)
            name = tariff_label(which)
            who = name_of(findings.size, member)
            rows.append((who, name, value.lower, value.upper, above))
    return Table("tariffs", "What uncertain tariffs cost", heads, tuple(rows))


def tariff_label(which: float | str) -> str:
    """Return what a tariff is called."""
    if which == DISCRETE:
        return f"one of {', '.join(f'{factor:g}' for factor in TARIFFS)}, known"
    off = 100.0 * float(which)
    return f"up to {off:.0f} % off" if off > 0.0 else "certain"


def unserved(findings: Findings) -> Table:
    """Return what the price of unserved load changes."""
    heads = (
        Head("who"),
        Head("days"),
        Head("price of unserved load", f"{money(findings)} per kWh", 0),
        Head("lower bound", money(findings), 1),
        Head("upper bound", money(findings), 1),
        Head("above the lowest price", "%", 2),
        Head("unserved", "kWh, nothing deviates", 1),
        Head("unserved", "kWh, at worst", 1),
    )
    rows: list[tuple[Cell, ...]] = []
    for member, found in findings.shed.items():
        for (kind, price), one in found.items():
            least = found[kind, min(findings.size.unserved)].value.upper
            rows.append(
                (
                    name_of(findings.size, member),
                    kind,
                    price,
                    one.value.lower,
                    one.value.upper,
                    100.0 * (one.value.upper / least - 1.0),
                    one.expected_kwh,
                    one.worst_kwh,
                )
            )
    return Table("unserved", "What the price of unserved load changes", heads, tuple(rows))


def by_set(findings: Findings) -> Table:
    """Return what protection against each set costs, and how many days it holds."""
    heads = (
        Head("who"),
        Head("set"),
        Head("holds", "% of the days of the fit", 1),
        Head("holds", "% of other days", 1),
        Head("lower bound", money(findings), 1),
        Head("upper bound", money(findings), 1),
        Head("the heuristic's worst", money(findings), 1),
    )
    rows: list[tuple[Cell, ...]] = []
    for member, found in findings.fitted.items():
        for one in found.sets:
            own = one is found.sets[-1]
            rows.append(
                (
                    name_of(findings.size, member),
                    one.name,
                    100.0 * one.train,
                    100.0 * one.test,
                    one.value.lower,
                    one.value.upper,
                    found.heuristic if own else NOTHING,
                )
            )
    return Table("sets", "What protection against each set costs", heads, tuple(rows))


def fits(findings: Findings) -> Table:
    """Return what the fitted sets are, and what is proven of them."""
    heads = (
        Head("who"),
        Head("components"),
        Head("variance explained", "%", 1),
        Head("the master's bound", money(findings), 1),
        Head("the heuristic's worst", money(findings), 1),
        Head("bound by exact search", money(findings), 1),
        Head("bound by the set around it", money(findings), 1),
    )
    rows = tuple(
        (
            name_of(findings.size, member),
            found.components,
            100.0 * found.explained,
            found.sets[-1].value.lower,
            found.heuristic,
            found.by_search,
            found.by_enclosing,
        )
        for member, found in findings.fitted.items()
    )
    return Table("fits", "The fitted sets, and what is proven of them", heads, rows)
