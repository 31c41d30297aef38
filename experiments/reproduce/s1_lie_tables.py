"""The tables of `mmg reproduce s1` on lies.

Source: our choice.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.audits import SIGMAS
from experiments.report.words import NOTHING
from experiments.reproduce.misquoting_tables import every_table as misquoting_tables
from experiments.reproduce.s1_cases import SHAPLEY, SHOWN
from experiments.reproduce.s1_findings import Findings, currency
from experiments.reproduce.s1_lies import POWERS, STRENGTHS
from experiments.reproduce.tables import Cell, Head, Table

Array = NDArray[np.float64]

POINTS: Final = 200
"""Of a ROC curve that are listed."""
STAGES: Final = ("nothing", "taken back", "and distrusted")
FORMULAS: Final = "in formulas"
MARKET: Final = "in the market"


def lies(findings: Findings, power: str) -> Table:
    """Return lies, what they destroy and what they move, by strength of audits, in both games."""
    names = next(iter(findings.days.values())).names
    heads = (
        Head("game"),
        Head("audits", "strength", 1),
        *(Head(f"lie of {name}", "%") for name in names),
        Head("surplus lost", "%", 2),
        Head("moved to others", "% of the surplus", 2),
        Head("another lie would bring", f"{currency()}, at most", 2),
    )
    found = findings.lied
    rows: list[tuple[Cell, ...]] = []
    for at in found.analytic[power]:
        cells = _shares(at.lies, at.welfare_loss, at.redistributed)
        rows.append((FORMULAS, at.audits, *cells, NOTHING))
    for audits, one in zip(STRENGTHS, found.market[power], strict=True):
        cells = _shares(one.lies, one.welfare_loss, one.redistributed)
        rows.append((MARKET, audits, *cells, one.regret))
    title = f"Lies by strength of audits, {power} powers"
    return Table(f"lies_{power}", title, heads, tuple(rows))


def _shares(lie: Array, lost: float, moved: float) -> tuple[float, ...]:
    """Return shares in per cent; what is below rounding as 0."""
    return *(100.0 * lie).tolist(), 100.0 * max(lost, 0.0), 100.0 * moved


def lie_gains(findings: Findings) -> Table:
    """Return what everyone gains by strength of audits, in both games."""
    names = next(iter(findings.days.values())).names
    heads = (
        Head("powers"),
        Head("game"),
        Head("audits", "strength", 1),
        *(Head(f"{name} gains", currency(), 1) for name in names),
        Head("together", currency(), 1),
    )
    rows: list[tuple[Cell, ...]] = []
    found = findings.lied
    for power, effects in found.analytic.items():
        for at in effects:
            gains = found.surplus * at.gains
            rows.append((power, FORMULAS, at.audits, *gains.tolist(), float(gains.sum())))
        for at, one in zip(effects, found.market[power], strict=True):
            gains = one.gains
            rows.append((power, MARKET, at.audits, *gains.tolist(), float(gains.sum())))
    return Table("lie_gains", "What everyone gains where quotes may lie", heads, tuple(rows))


def drawn_together(findings: Findings) -> Table:
    """Return lies of which none is regretted because all are drawn together."""
    names = next(iter(findings.days.values())).names
    heads = (
        Head("audits", "strength", 1),
        Head("drawn so that"),
        *(Head(f"lie of {name}", "%, expected", 1) for name in names),
        Head("surplus lost", "%, expected", 2),
        Head("another lie would bring", f"{currency()}, at most", 2),
    )
    rows: list[tuple[Cell, ...]] = []
    for audits, ends in zip(STRENGTHS, findings.lied.together, strict=True):
        for how, one in zip(("least is lost", "most is lost"), ends, strict=True):
            lost = 100.0 * max(one.welfare_loss, 0.0)
            rows.append((audits, how, *(100.0 * one.mean).tolist(), lost, one.regret))
    title = f"Lies drawn together, in the market, {POWERS[0]} powers"
    return Table("lies_together", title, heads, tuple(rows))


def adjustments(findings: Findings) -> Table:
    """Return how participants came to their lies, step by step."""
    names = next(iter(findings.days.values())).names
    heads = (Head("powers"), Head("step"), *(Head(name, "lie, %", 2) for name in names))
    rows = tuple(
        (power, step, *(100.0 * lie).tolist())
        for power, found in findings.lied.adjusted.items()
        for step, lie in enumerate(found.trace)
    )
    return Table("adjustments", "How participants come to their lies", heads, rows)


def detection(findings: Findings) -> Table:
    """Return how well lies are found, and what that changes."""
    heads = (
        Head("the centre knows"),
        Head("what follows"),
        Head("precision", f"%, at {SIGMAS:g} sigma", 1),
        Head("recall", f"%, at {SIGMAS:g} sigma", 1),
        Head("AUC", "", 3),
        Head("moved to others", "% of the surplus", 1),
        Head("liars have", "% of their due", 1),
        Head("honest ones have", "% of their due", 1),
    )
    rows: list[tuple[Cell, ...]] = []
    for known, found in findings.detected.found.items():
        rates = 100.0 * found.precision, 100.0 * found.recall, found.roc.area
        stages = (found.quoted, found.seized, found.distrusted)
        for stage, follows in zip(stages, STAGES, strict=True):
            shares = (stage.redistributed, stage.liars, stage.honest)
            rows.append((known, follows, *rates, *(100.0 * share for share in shares)))
    return Table("detection", "How lies are found, and what follows", heads, tuple(rows))


def roc(findings: Findings) -> Table:
    """Return who is flagged at which threshold."""
    heads = (
        Head("the centre knows"),
        Head("threshold", "sigmas", 3),
        Head("honest ones flagged", "%", 2),
        Head("liars flagged", "%", 2),
    )
    rows: list[tuple[Cell, ...]] = []
    for known, found in findings.detected.found.items():
        points = np.column_stack(
            [found.roc.threshold, 100.0 * found.roc.false_rate, 100.0 * found.roc.true_rate]
        )
        shown = np.unique(np.linspace(1, len(points) - 1, POINTS).astype(int))
        rows += [(known, *point) for point in points[shown].tolist()]
    return Table("roc", "Who is flagged at which threshold", heads, tuple(rows))


def truthful(findings: Findings) -> Table:
    """Return payments under which no lie pays, beside those of the bargain."""
    money = currency()
    heads = (
        Head("system"),
        Head("who"),
        Head("saves", f"{money}, before payments", 2),
        Head("pays", f"{money}, Clarke", 2),
        Head("gains", f"{money}, Clarke", 2),
        *(Head("gains", f"{money}, {name} powers", 2) for name in (SHOWN, SHAPLEY)),
    )
    rows: list[tuple[Cell, ...]] = []
    for system, found in findings.clarke.items():
        day = findings.days[system]
        bargained = [day.bargain(name).gains for name in (SHOWN, SHAPLEY)]
        columns = (found.savings, found.payments, found.gains, *bargained)
        for p, who in enumerate(day.names):
            rows.append((system, who, *(float(column[p]) for column in columns)))
        rows.append((system, "together", *(float(column.sum()) for column in columns)))
    return Table("clarke", "Payments under which no lie pays", heads, tuple(rows))


def of_learners(findings: Findings) -> tuple[Table, ...]:
    """Return what participants have learned to quote; nothing where no library learns."""
    return misquoting_tables(findings.learned) if findings.learned else ()
