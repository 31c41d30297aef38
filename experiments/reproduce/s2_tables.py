"""The tables of `mmg reproduce s2`: all of them in order, and those on operation and methods.

Source: our choice.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments.report.words import NOTHING
from experiments.reproduce.cases import RISK, THREE
from experiments.reproduce.methods import BETAS
from experiments.reproduce.s2_findings import Findings
from experiments.reproduce.s2_money import (
    STORAGE,
    attribution,
    bills,
    combinations,
    currency,
    generator,
    headline,
    houses,
    per_day,
    ranges,
)
from experiments.reproduce.tables import Cell, Head, Table
from experiments.statistics import mean_difference
from mmg_env.layout import F

Array = NDArray[np.float64]

MARKETS: Final = ("buys", "sells", "regulation", "spinning reserve")
_COLUMNS: Final = (F.import_kw, F.export_kw, F.regulation_kw, F.spinning_kw)


def every_table(findings: Findings) -> list[Table]:
    """Return all tables, in the order of the page."""
    return [
        headline(findings),
        ranges(findings),
        combinations(findings),
        attribution(findings),
        bills(findings),
        schedule(findings),
        markets(findings),
        convergence(findings),
        rounds(findings),
        prices(findings),
        frontier(findings),
        knowledge(findings),
        reality(findings),
    ]


def shown_on_terminal(tables: Sequence[Table]) -> list[Table]:
    """Return the tables that are printed as well."""
    names = ("headline", "attribution", "convergence", "reality")
    return [table for table in tables if table.file in names]


def schedule(findings: Findings) -> Table:
    """Return the shown day hour by hour."""
    day, names = findings.middle, houses()
    storage = day.flows[:, -1]
    heads = (
        Head("hour"),
        Head("battery", "kW, discharging above zero", 1),
        Head("market", "kW, buying above zero", 1),
        *(Head(f"pool {name}", "kW, receiving above zero", 1) for name in [*names, STORAGE]),
        *(Head(f"virtual {name}", "kW, discharging above zero", 1) for name in names),
        Head("stored", "kWh after the hour", 1),
        *(Head(f"virtual {name}", "kWh after the hour", 1) for name in names),
    )
    pool = day.flows[:, :, F.received_kw] - day.flows[:, :, F.sent_kw]
    table = np.column_stack(
        [
            np.arange(len(storage)),
            storage[:, F.battery_kw],
            storage[:, F.import_kw] - storage[:, F.export_kw],
            pool,
            day.flows[:, :-1, F.virtual_kw],
            day.stored_kwh[1:],
            day.virtual_kwh[1:],
        ]
    )
    return Table("schedule", "The shown day, hour by hour", heads, _rows(table))


def hourly_markets(findings: Findings) -> Mapping[str, Array]:
    """Return what the storage does on its markets by hour in case 3, (steps,) each, mean kW."""
    flows = np.mean([outcome.storage_kw for outcome in findings.cases[THREE]], axis=0)
    return dict(zip(MARKETS, (flows[:, column] for column in _COLUMNS), strict=True))


def markets(findings: Findings) -> Table:
    """Return the storage's part in its markets by hour."""
    found = hourly_markets(findings)
    heads = (Head("hour"), *(Head(name, "kW", 1) for name in found))
    table = np.column_stack([np.arange(len(next(iter(found.values())))), *found.values()])
    return Table("markets", "The storage on its markets in case 3, mean", heads, _rows(table))


def convergence(findings: Findings) -> Table:
    """Return how the methods ended on the shown day."""
    heads = (
        Head("method"),
        Head("rounds"),
        Head("time", "s", 1),
        Head("lower bound", currency(), 3),
        Head("upper bound", currency(), 3),
        Head("optimum", f"{currency()}, extensive form", 3),
        Head("gap", "relative", -1),
        Head("above the optimum", "relative", -1),
        Head("ended"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            f"cuts, {cut.kind}",
            len(cut.trace),
            cut.trace[-1].time_s,
            cut.lower,
            cut.upper,
            cut.optimum,
            cut.gap,
            cut.off,
            "closed" if cut.closed else "with a gap",
        )
        for cut in findings.cuts
    ]
    rows.append(_negotiated(findings))
    return Table("convergence", "Methods on the shown day", heads, tuple(rows))


def _negotiated(findings: Findings) -> tuple[Cell, ...]:
    """Return the row of the negotiation."""
    found = findings.negotiated
    if not found.trace:
        nothing = (NOTHING,) * 4
        return ("ADMM, no risk", *nothing, found.optimum, NOTHING, NOTHING, found.failure)
    scale = max(1.0, abs(found.cost))
    return (
        "ADMM, no risk",
        len(found.trace),
        found.trace[-1].time_s,
        found.bound,
        found.cost,
        found.optimum,
        (found.cost - found.bound) / scale,
        (found.cost - found.optimum) / scale,
        "agreed" if found.agreed else "before they agreed",
    )


def rounds(findings: Findings) -> Table:
    """Return every round of every method."""
    heads = (
        Head("method"),
        Head("round"),
        Head("time", "s", 3),
        Head("lower bound", currency(), 6),
        Head("upper bound", currency(), 6),
        Head("primal residual", "relative", -2),
        Head("dual residual", "relative", -2),
    )
    rows: list[tuple[Cell, ...]] = [
        (f"cuts, {cut.kind}", at.number, at.time_s, at.lower, at.upper, NOTHING, NOTHING)
        for cut in findings.cuts
        for at in cut.trace
    ]
    rows += [
        ("ADMM, no risk", at.number, at.time_s, NOTHING, NOTHING, at.primal, at.dual)
        for at in findings.negotiated.trace
    ]
    return Table("rounds", "Every round of every method", heads, tuple(rows))


def prices(findings: Findings) -> Table:
    """Return transactive and posted prices by hour."""
    found, unit = findings.negotiated, f"{currency()} per kWh"
    names = houses()[: len(found.prices)]
    heads = (
        Head("hour"),
        *(Head(f"agreed {name}", unit, 3) for name in names),
        *(Head(f"posted {partner.replace('_', ' ')}", unit, 3) for partner in found.posted),
    )
    hours = np.arange(len(next(iter(found.posted.values()))))
    table = np.column_stack([hours, *found.prices, *found.posted.values()])
    return Table("prices", "Prices of power at a house's bus", heads, _rows(table))


def frontier(findings: Findings) -> Table:
    """Return mean and CVaR by the weight of CVaR, mean over the days."""
    heads = (Head("beta", "", 1), Head("mean cost", per_day(), 2), Head("CVaR", per_day(), 2))
    points = mean_frontier(findings)
    return Table("frontier", f"Risk frontier, alpha {RISK.alpha:g}", heads, _rows(points))


def mean_frontier(findings: Findings) -> Array:
    """Return (betas, 3): beta, mean cost and CVaR, mean over the days."""
    return np.array(
        [
            [
                beta,
                *np.mean(
                    [[k.frontier[i].mean, k.frontier[i].cvar] for k in findings.knowledge], axis=0
                ),
            ]
            for i, beta in enumerate(BETAS)
        ]
    )


def knowledge(findings: Findings) -> Table:
    """Return what knowledge is worth, day by day and on average."""
    titles = ("wait and see", "stochastic plan", "plan for the mean", "VSS", "EVPI")
    heads = (Head("day"), *(Head(title, currency(), 2) for title in titles))
    rows = [
        (
            k.worth.wait_and_see,
            k.worth.stochastic,
            k.worth.expected_value,
            k.worth.of_stochastic_solution,
            k.worth.of_perfect_information,
        )
        for k in findings.knowledge
    ]
    listed: list[tuple[Cell, ...]] = [(str(day), *row) for day, row in enumerate(rows)]
    mean = tuple(float(value) for value in np.mean(rows, axis=0))
    return Table("knowledge", "What knowledge is worth", heads, (*listed, ("mean", *mean)))


def costs_by_way(findings: Findings) -> dict[str, Array]:
    """Return (days,) costs: what is promised, what the day came to, what no one beats."""
    made = findings.promises
    return {
        "two-stage plan, promised": np.array([p.promised for p in made]),
        "oracle, bound of the true day": np.array([p.oracle for p in made]),
        "plan played open loop": np.array([p.open_loop for p in made]),
        **findings.lived,
    }


def reality(findings: Findings) -> Table:
    """Return what days cost beside what was promised, and beside the plan played open loop."""
    found = costs_by_way(findings)
    promised, *_ = found.values()
    heads = (
        Head("way"),
        Head("cost", per_day(), 1),
        Head("above the promise", f"{per_day()}, 95 % interval", 1),
        Head("below open loop", f"{per_day()}, 95 % interval", 1),
    )
    rows = [
        (
            name,
            float(costs.mean()),
            mean_difference(costs, promised, generator()),
            mean_difference(found["plan played open loop"], costs, generator()),
        )
        for name, costs in found.items()
    ]
    return Table("reality", "Promise and reality", heads, tuple(rows))


def _rows(table: Array) -> tuple[tuple[Cell, ...], ...]:
    return tuple(tuple(float(cell) for cell in row) for row in table)
