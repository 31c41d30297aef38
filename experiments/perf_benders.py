"""The command `mmg perf benders`: a day's commitments found side by side, by cuts, by mpi-sppy.

All solve the same problem of `day_ahead.py` in one run. Where seconds grow as a power of the number
of scenarios, the power is the slope of a straight line by least squares::

    log seconds = exponent * log scenarios + constant

What has not closed is left out of that. Seconds of mpi-sppy include those of Pyomo, in which its
models are stated.

Source: our choice.
"""

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Final

import numpy as np
import typer

from baselines.day_ahead import day_ahead
from baselines.division import KINDS
from baselines.risk import NEUTRAL, Risk
from experiments.perf_planning import (
    GAP,
    GROWN,
    HEAD,
    HOUR,
    WHOLE,
    Given,
    Row,
    by_cuts,
    by_mpi_sppy,
    from_nothing,
    futures,
    grown,
    least_by_party,
)
from experiments.records import write_atomically
from mmg_env.system import System, load_system

SUITE: Final = "s2_crh"
OTHER: Final = "s1_3mg"
CLOSED: Final = 2.0 * GAP
"""Gap up to which a method has done what it was asked for; rounding has it above its own."""
GROWTH: Final = (10, 30, 100, 300, 1000)
COMPARED_S: Final = 60.0
"""Kinds of cuts that have not closed end after this where they are compared."""
MANY: Final = 100
MANY_WANTED_S: Final = 6.0
RATIO_WANTED: Final = 10.0


def compare_planning(scenarios: int, most: int, limit_s: float, out: Path | None) -> None:
    """Print how long a day's commitments take each way, and how that grows.

    Args:
        scenarios: their number where methods are compared.
        most: largest number where growth is measured.
        limit_s: time after which a method is given up, s; three times that for mpi-sppy. The
            extensive form that is grown has none: what the others find is held against it.
        out: file for the figures, or None.
    """
    system, other = load_system(SUITE), load_system(OTHER)
    for one in (system, other):
        day_ahead(*futures(one, 1))  # states the model once, which later days share
    rows: list[Row] = []
    typer.echo(HEAD)
    for row in compared(system, scenarios, limit_s):
        rows.append(row)
        typer.echo(row.line())
    rows += _against_mpi_sppy(futures(system, scenarios), 3.0 * limit_s, rows)
    typer.echo("growth:")
    growth = list(_told(growing(system, [count for count in GROWTH if count <= most], limit_s)))
    for method in (GROWN, WHOLE, HOUR):
        typer.echo(_growth(growth, method))
    rows += growth
    rows += _many((system, other), min(MANY, most), limit_s)
    if out is not None:
        write_atomically(out, lambda file: file.write_text(as_csv(rows), encoding="utf-8"))
        typer.echo(f"written: {out}")


def _told(rows: Iterator[Row]) -> Iterator[Row]:
    """Print rows as they come."""
    for row in rows:
        typer.echo(row.line())
        yield row


def compared(system: System, count: int, limit_s: float) -> Iterator[Row]:
    """Yield the extensive form and the kinds of cuts, without fear and with it."""
    given = futures(system, count)
    for risk in (NEUTRAL, Risk()):
        whole = grown(given, risk)
        yield from_nothing(given, risk, limit_s, whole.upper)
        yield whole
        for kind in KINDS:
            best = least_by_party(given, risk) if kind == "single" else whole.upper
            yield by_cuts(given, kind, risk, min(COMPARED_S, limit_s), best)


def growing(system: System, counts: Sequence[int], limit_s: float) -> Iterator[Row]:
    """Yield both ways of the extensive form and cuts by the hour, by number of scenarios.

    One that has taken longer than the limit is not tried with more scenarios; the one that is
    grown is not stopped while it goes on.
    """
    over: set[str] = set()
    for count in counts:
        given, best = futures(system, count), np.nan
        for method in (GROWN, WHOLE, HOUR):
            if method in over:
                continue
            row = _by(method, given, limit_s, best)
            best = row.upper if method == GROWN else best
            if not row.whole_s <= limit_s:
                over.add(method)
            yield row


def _by(method: str, given: Given, limit_s: float, best: float) -> Row:
    """Measure a method without fear."""
    if method == GROWN:
        return grown(given, NEUTRAL)
    if method == WHOLE:
        return from_nothing(given, NEUTRAL, limit_s, best)
    return by_cuts(given, "hour", NEUTRAL, limit_s, best)


def _against_mpi_sppy(given: Given, limit_s: float, rows: Sequence[Row]) -> list[Row]:
    """Print the measurement and its ratio to cuts by the hour."""
    own = {row.method: row for row in rows if row.beta == NEUTRAL.beta}
    try:
        row = by_mpi_sppy(given, limit_s, own[GROWN].upper)
    except ImportError:
        typer.echo('mpi-sppy is not installed: pip install ".[oracles]" from a checkout')
        return []
    typer.echo(row.line())
    hour = own[HOUR]
    at_least = "" if row.gap <= CLOSED else "more than "
    typer.echo(
        f"mpi-sppy / hour  {at_least}{row.solve_s / hour.solve_s:.0f} without the making of "
        f"models, {row.whole_s / hour.whole_s:.0f} with it  (wanted: at least {RATIO_WANTED:.0f}); "
        f"rounds: {row.rounds} and {hour.rounds}; mpi-sppy's seconds include Pyomo's overhead"
    )
    return [row]


def _growth(rows: Sequence[Row], method: str) -> str:
    """Return what the seconds of a method say of its growth."""
    ended = {
        row.scenarios: row.whole_s
        for row in rows
        if row.method == method and np.isfinite(row.solve_s) and row.gap <= CLOSED
    }
    if len(ended) < 2:
        return f"{method}: too few closed to say how its seconds grow"
    exponent = float(np.polyfit(np.log(list(ended)), np.log(list(ended.values())), 1)[0])
    span = f"{min(ended)} to {max(ended)} scenarios"
    return f"{method}: seconds grow with scenarios to the power of {exponent:.2f} ({span})"


def _many(systems: Sequence[System], count: int, limit_s: float) -> list[Row]:
    """Print what many scenarios take side by side, on this suite and another."""
    found = []
    for system in systems:
        given = futures(system, count)
        whole = grown(given, NEUTRAL)
        cold = from_nothing(given, NEUTRAL, limit_s, whole.upper)
        wanted = f"  (wanted: at most {MANY_WANTED_S:.0f})" if system.name == SUITE else ""
        typer.echo(
            f"{system.name}, {count} scenarios side by side: {whole.whole_s:.2f} s grown{wanted}, "
            f"{cold.whole_s:.2f} s from nothing"
        )
        found += [whole, cold]
    return found


def as_csv(rows: Sequence[Row]) -> str:
    """Return the measurements as CSV; an empty field is a figure that there is not."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*Row._fields, "gap"))
    for row in rows:
        writer.writerow("" if value != value else value for value in (*row, row.gap))
    return text.getvalue()
