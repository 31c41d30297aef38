"""The tables of `mmg reproduce s1-robust`: all of them in order, and those on methods.

Source: the rows of the paper are from the table of solution times of Bian & Ji 2025.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from baselines.robust.deviations import BUDGETS
from experiments.report.words import NOTHING
from experiments.reproduce.s1_robust_cases import Solved, community_of, name_of
from experiments.reproduce.s1_robust_findings import Findings
from experiments.reproduce.s1_robust_sweep_tables import (
    by_budget,
    by_set,
    by_tariff,
    fits,
    in_reality,
    unserved,
)
from experiments.reproduce.tables import Cell, Head, Table
from mmg_env.layout import MEMBER_SERIES

COMMUNITY: Final = "all with storage"
PLAIN: Final = "C&CG"
HEDGED: Final = "C&CG with PH"
BINARY: Final = "C&CG, one way at a time"
RULES: Final = "affine rules"
PAPER: Final = {
    ("MG1", PLAIN): (2, 423.21),
    ("MG2", PLAIN): (3, 76.19),
    ("MG3", PLAIN): (3, 68.45),
    ("MG1", HEDGED): (2, 30.06),
    ("MG2", HEDGED): (2, 30.47),
    ("MG3", HEDGED): (2, 30.53),
}
"""Iterations and seconds in the paper, of its own instance on its own machine."""
SERIES: Final = dict(zip(MEMBER_SERIES, ("wind", "PV", "load", "heat"), strict=True))


def every_table(findings: Findings) -> list[Table]:
    """Return all tables, in the order of the page."""
    return [
        methods(findings),
        rounds(findings),
        contests(findings),
        worst(findings),
        worst_hours(findings),
        shortfalls(findings),
        by_budget(findings),
        in_reality(findings),
        by_tariff(findings),
        unserved(findings),
        by_set(findings),
        fits(findings),
    ]


def shown_on_terminal(tables: Sequence[Table]) -> list[Table]:
    """Return the tables that are printed as well."""
    names = ("methods", "contests", "reality", "sets")
    return [table for table in tables if table.file in names]


def solutions(findings: Findings) -> Iterator[tuple[str, str, Solved]]:
    """Yield who, by what method, and how it was solved."""
    for member, found in findings.members.items():
        name = name_of(findings.size, member)
        yield name, PLAIN, found.plain
        yield name, HEDGED, found.hedged
        yield name, BINARY, found.binary
    yield COMMUNITY, PLAIN, findings.community


def kind_of(proven: bool) -> str:
    """Return what an upper bound is."""
    return "proven" if proven else "heuristic"


def methods(findings: Findings) -> Table:
    """Return how each day was solved, beside the paper's rows."""
    money = community_of(findings.size).config.currency
    heads = (
        Head("who"),
        Head("method"),
        Head("rounds"),
        Head("lower bound", money, 1),
        Head("upper bound", money, 1),
        Head("upper bound is"),
        Head("gap", "%", 3),
        Head("time", "s", 2),
        Head("rounds", "in the paper"),
        Head("time", "s, in the paper", 2),
    )
    rows: list[tuple[Cell, ...]] = []
    for who, method, found in solutions(findings):
        in_paper = PAPER.get((who, method), (NOTHING, NOTHING))
        kind, gap = kind_of(found.proven), 100.0 * found.gap
        bounds = (found.lower, found.upper, kind, gap, found.seconds)
        rows.append((who, method, len(found.rounds), *bounds, *in_paper))
    for member, own in findings.members.items():
        lower, value = own.plain.lower, own.ruled.value
        gap = 100.0 * (value - lower) / max(1.0, abs(value))
        bounds = (lower, value, "can be carried out", gap, own.ruled.seconds)
        who = name_of(findings.size, member)
        rows.append((who, RULES, NOTHING, *bounds, NOTHING, NOTHING))
    return Table("methods", "The robust winter day in every way", heads, tuple(rows))


def rounds(findings: Findings) -> Table:
    """Return the bounds round by round."""
    money = community_of(findings.size).config.currency
    heads = (
        Head("who"),
        Head("method"),
        Head("round"),
        Head("lower bound", money, 1),
        Head("upper bound", money, 1),
        Head("upper bound is"),
        Head("time", "s", 2),
    )
    rows = tuple(
        (who, method, number, at.lower, at.upper, kind_of(at.proven), at.time_s)
        for who, method, found in solutions(findings)
        for number, at in enumerate(found.rounds, 1)
    )
    return Table("rounds", "Bounds round by round", heads, rows)


def contests(findings: Findings) -> Table:
    """Return both masters side by side."""
    heads = (
        Head("who"),
        Head("scenes"),
        Head("rounds", "at once"),
        Head("rounds", "PH"),
        Head("master", "s, at once", 2),
        Head("master", "s, PH", 2),
        Head("master", "times as fast with PH", 2),
        Head("loop", "s, at once", 2),
        Head("loop", "s, PH", 2),
        Head("loop", "times as fast with PH", 2),
        Head("upper bound", "%, PH above at once", 3),
        Head("lower bound", "%, PH below at once", 3),
    )
    rows = []
    for member, found in findings.contests.items():
        for one in found:
            plain, hedged = one.plain, one.hedged
            rows.append(
                (
                    name_of(findings.size, member),
                    one.scenes,
                    len(plain.rounds),
                    len(hedged.rounds),
                    plain.master_s,
                    hedged.master_s,
                    plain.master_s / hedged.master_s,
                    plain.seconds,
                    hedged.seconds,
                    plain.seconds / hedged.seconds,
                    100.0 * (hedged.upper / plain.upper - 1.0),
                    100.0 * (1.0 - hedged.lower / plain.lower),
                )
            )
    return Table("contests", "All scenes at once, and scene by scene", heads, tuple(rows))


def worst(findings: Findings) -> Table:
    """Return how many hours of each series the adversary uses in the most likely scene."""
    heads = (
        Head("who"),
        Head("series"),
        Head("expected", "kWh of the day"),
        Head("worst", "kWh of the day"),
        Head("hours hit", "", 1),
        Head("hours allowed", "", 1),
    )
    rows, dt_h = [], findings.size.dt_h
    for member, found in findings.members.items():
        for k, kind in enumerate(SERIES.values()):
            day = found.day
            expected, now = (dt_h * part[:, k].sum() for part in (day.expected, day.worst))
            hit = dt_h * float(day.hit[:, k].sum())
            who = name_of(findings.size, member)
            rows.append((who, kind, float(expected), float(now), hit, BUDGETS.hours[k]))
    return Table("worst", "What the worst case is made of", heads, tuple(rows))


def worst_hours(findings: Findings) -> Table:
    """Return expected and worst values by hour."""
    heads = (
        Head("who"),
        Head("hour", "", 1),
        *(Head(f"{when} {kind}", "kW", 1) for kind in SERIES.values() for when in TIMES),
    )
    rows: list[tuple[Cell, ...]] = []
    for member, found in findings.members.items():
        both = np.stack([found.day.expected, found.day.worst], axis=-1)
        for step, values in enumerate(both.reshape(len(both), -1).tolist()):
            rows.append((name_of(findings.size, member), step * findings.size.dt_h, *values))
    return Table("worst_hours", "Expected and worst by hour", heads, tuple(rows))


TIMES: Final = ("expected", "worst")


def shortfalls(findings: Findings) -> Table:
    """Return how far the heuristic stays below the worst case."""
    heads = (
        Head("who"),
        Head("first stage"),
        Head("scenes"),
        Head("below what is found", "%, mean", 4),
        Head("below what is found", "%, largest", 4),
        Head("below what is proven", "%, at most", 4),
    )
    rows = tuple(
        (
            name_of(findings.size, member),
            one.stage,
            len(one.below),
            100.0 * float(one.below.mean()),
            100.0 * float(one.below.max()),
            100.0 * float(one.at_most.max()),
        )
        for member, found in findings.shortfalls.items()
        for one in found
    )
    return Table("heuristic", "How far the heuristic stays below the worst case", heads, rows)
