"""The tables of `mmg reproduce s1`: all of them in order, and those on costs and agreement.

Source: the paper's rows are quoted in `s1_paper`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from baselines.bargaining.bargain import Bargain
from baselines.bargaining.robust_cooperation import RESIDUAL as RESIDUAL_OF_CHAIN
from experiments.report.words import NOTHING
from experiments.reproduce.s1_cases import CLOSE, MANNERS, SHOWN, Day
from experiments.reproduce.s1_chain import Chain
from experiments.reproduce.s1_findings import Findings, currency, microgrids
from experiments.reproduce.s1_lie_tables import (
    adjustments,
    detection,
    drawn_together,
    lie_gains,
    lies,
    of_learners,
    roc,
    truthful,
)
from experiments.reproduce.s1_lies import POWERS
from experiments.reproduce.s1_paper import ALLIANCE, BENEFITS, COSTS, RESIDUAL, WELFARE, Effort
from experiments.reproduce.s1_quotes import MODES, by_mode
from experiments.reproduce.s1_trade_tables import haggling, trades, trades_by_hour
from experiments.reproduce.s1_trading import SETTLED
from experiments.reproduce.tables import Cell, Head, Table
from mmg_env.layout import F

OURS: Final = "known day"
ROBUST: Final = "robust day"
THEIRS: Final = "the paper"
EVERYONE: Final = "alliance"
CHAIN: Final = "in parallel, robust"
HAGGLED: Final = "in turns, gamma 10 (the paper's)"


def every_table(findings: Findings) -> list[Table]:
    """Return all tables, in the order of the page."""
    return [
        *(
            table
            for name in findings.days
            for table in (costs(findings, name), ends(findings, name))
        ),
        effort(findings),
        curves(findings),
        haggling(findings),
        trades(findings),
        trades_by_hour(findings),
        schedules(findings),
        powers(findings),
        coalitions(findings),
        *(lies(findings, power) for power in POWERS),
        drawn_together(findings),
        lie_gains(findings),
        adjustments(findings),
        detection(findings),
        roc(findings),
        truthful(findings),
        *of_learners(findings),
    ]


def shown_on_terminal(tables: Sequence[Table]) -> list[Table]:
    """Return the tables that are printed as well."""
    names = ("costs_s1_3mg", "ends_s1_3mg", "effort", "lies_contribution")
    return [table for table in tables if table.file in names]


def bargains(findings: Findings, system: str) -> Iterator[tuple[str, Bargain]]:
    """Yield every bargain of a system, and what it is about."""
    yield OURS, findings.days[system].bargain()
    yield ROBUST, findings.chains[system].bargain


def costs(findings: Findings, system: str) -> Table:
    """Return what everyone pays alone, in cooperation and to the others, beside the paper's."""
    heads = (
        Head("who"),
        Head("whose"),
        Head("alone", f"{currency()}, break-even point", 2),
        Head("cooperation", f"{currency()}, before settlement", 2),
        *(Head("pays", f"{currency()}, {mode}", 2) for mode in MODES),
    )
    names = findings.days[system].names
    rows: list[tuple[Cell, ...]] = []
    for p, name in enumerate(names):
        for whose, bargain in bargains(findings, system):
            pays = [float(one.pays[p]) for one in by_mode(bargain).values()]
            costs_of = bargain.disagreement[p], bargain.cooperation[p]
            rows.append((name, whose, *map(float, costs_of), *pays))
        if microgrids(system) == len(COSTS) - 1:
            own = COSTS[name]
            rows.append((name, THEIRS, own.alone, own.cooperation, NOTHING, own.fraud, NOTHING))
    for whose, bargain in bargains(findings, system):
        sums = bargain.disagreement.sum(), bargain.cooperation.sum()
        rows.append((EVERYONE, whose, *map(float, sums), *(0.0 for _ in MODES)))
    if microgrids(system) == len(COSTS) - 1:
        sums_of_it = ALLIANCE["alone"], ALLIANCE["cooperation"]
        rows.append((EVERYONE, THEIRS, *sums_of_it, NOTHING, NOTHING, NOTHING))
    return Table(f"costs_{system}", f"Costs and payments, {system}", heads, tuple(rows))


def ends(findings: Findings, system: str) -> Table:
    """Return what everyone pays in the end and what it gains, beside the paper's."""
    heads = (
        Head("who"),
        Head("whose"),
        *(Head("pays in the end", f"{currency()}, {mode}", 2) for mode in MODES),
        *(Head("gains", f"{currency()}, {mode}", 2) for mode in MODES),
    )
    names = findings.days[system].names
    rows: list[tuple[Cell, ...]] = []
    for p, name in enumerate(names):
        for whose, bargain in bargains(findings, system):
            modes = by_mode(bargain).values()
            final = [float(one.final[p]) for one in modes]
            rows.append((name, whose, *final, *(float(one.gains[p]) for one in modes)))
        if microgrids(system) == len(COSTS) - 1:
            own = COSTS[name]
            rows.append((name, THEIRS, *_in_the_middle(own.final), *_in_the_middle(own.gain)))
    for whose, bargain in bargains(findings, system):
        modes = by_mode(bargain).values()
        final = [float(one.final.sum()) for one in modes]
        rows.append((EVERYONE, whose, *final, *(one.surplus for one in modes)))
    if microgrids(system) == len(COSTS) - 1:
        sums = *_in_the_middle(ALLIANCE["final"]), *_in_the_middle(ALLIANCE["gain"])
        rows.append((EVERYONE, THEIRS, *sums))
    return Table(f"ends_{system}", f"Final costs and gains, {system}", heads, tuple(rows))


def _in_the_middle(value: float) -> tuple[Cell, ...]:
    """Return what the paper reports, which is of quotes that deceive."""
    return NOTHING, value, NOTHING


def effort(findings: Findings) -> Table:
    """Return iterations and seconds of both problems beside the paper's."""
    heads = (
        Head("microgrids"),
        Head("problem"),
        Head("how"),
        Head("iterations"),
        Head("seconds", "", 3),
        Head("above the best plan", "%", 4),
        Head("ends where"),
    )
    rows: list[tuple[Cell, ...]] = []
    for system in findings.days:
        rows += [(microgrids(system), *row) for row in _efforts(findings, system)]
    return Table("effort", "Iterations and seconds", heads, tuple(rows))


def _efforts(findings: Findings, system: str) -> Iterator[tuple[Cell, ...]]:
    """Yield the rows of a system."""
    yield "P1", THEIRS, *_reported(WELFARE[microgrids(system)])
    for manner in MANNERS:
        found = findings.curves[system, manner]
        ends_at = (
            (f"powers balance to {RESIDUAL:g} kW", found.stopped(RESIDUAL)),
            (f"cost is within {_percent(CLOSE)} from then on", found.first()),
        )
        for where, number in ends_at:
            if number is None:
                yield "P1", manner, f"not in {len(found.above)}", NOTHING, NOTHING, where
                continue
            seconds, above = found.residuals[number - 1].time_s, found.above[number - 1]
            yield "P1", manner, number, seconds, 100.0 * float(above), where
    yield "P1", CHAIN, *_robust(findings.chains[system])
    yield "P2", THEIRS, *_reported(BENEFITS[microgrids(system)])
    talk = findings.trading[system].haggling[SHOWN]
    ends_at = (
        (f"prices are {RESIDUAL:g} {currency()} per kWh apart", talk.stopped(RESIDUAL)),
        (f"payments are within {_percent(SETTLED)} of the surplus", talk.first()),
    )
    for where, number in ends_at:
        if number is None:
            yield "P2", HAGGLED, f"not in {len(talk.off)}", NOTHING, NOTHING, where
        else:
            yield "P2", HAGGLED, number, float(talk.time_s[number - 1]), NOTHING, where


def _percent(share: float) -> str:
    """Return a small share in words."""
    return f"{100.0 * share:g} %"


def _robust(chain: Chain) -> tuple[Cell, ...]:
    """Return the effort of the robust chain."""
    found, ends_at = chain.found, f"residuals are within {RESIDUAL_OF_CHAIN.gap:g}, no worse case"
    above = 100.0 * (float(found.cooperation.sum()) / found.lower - 1.0)
    return len(found.agreed.trace), found.seconds.agreement, above, ends_at


def _reported(of: Effort) -> tuple[Cell, ...]:
    return of.iterations, of.seconds, NOTHING, f"its residual is {RESIDUAL:g}"


def curves(findings: Findings) -> Table:
    """Return residuals and cost, round by round."""
    heads = (
        Head("system"),
        Head("how"),
        Head("round"),
        Head("powers do not balance by", "kW", -2),
        Head("primal residual", "relative", -2),
        Head("dual residual", "relative", -2),
        Head("above the best plan", "relative", -2),
        Head("time", "s", 3),
    )
    rows = [
        (system, manner, n, at.primal_kw, at.primal, at.dual, float(above), at.time_s)
        for (system, manner), found in findings.curves.items()
        for n, (at, above) in enumerate(zip(found.residuals, found.above, strict=True), 1)
    ]
    return Table("curves", "Residuals and cost round by round", heads, tuple(rows))


def schedules(findings: Findings) -> Table:
    """Return everyone's powers by hour."""
    names = ("battery_kw", "chp_kw", "flex_kw", "sent_kw", "received_kw", "import_kw", "export_kw")
    heads = (
        Head("system"),
        Head("who"),
        Head("hour", "", 1),
        *(Head(name.removesuffix("_kw").replace("_", " "), "kW", 1) for name in names),
        Head("stored", "kWh, after it", 1),
    )
    rows = tuple(row for system, day in findings.days.items() for row in _hours(system, day, names))
    return Table("schedules", "Schedules by hour", heads, rows)


def _hours(system: str, day: Day, names: Sequence[str]) -> Iterator[tuple[Cell, ...]]:
    dt_h = day.lived.system.dt_h
    for p, who in enumerate(day.names):
        for t in range(len(day.lived.flows)):
            powers_of = (float(day.lived.flows[t, p, F[name]]) for name in names)
            yield system, who, t * dt_h, *powers_of, float(day.lived.energy_kwh[t + 1, p])


def powers(findings: Findings) -> Table:
    """Return bargaining powers, and what everyone gains by them."""
    heads = (
        Head("system"),
        Head("who"),
        *(
            head
            for name in next(iter(findings.days.values())).powers
            for head in (Head(name, "power, %", 1), Head(name, f"gain, {currency()}", 2))
        ),
    )
    rows: list[tuple[Cell, ...]] = []
    for system, day in findings.days.items():
        for p, who in enumerate(day.names):
            cells: list[Cell] = []
            for name, power in day.powers.items():
                cells += [100.0 * float(power[p]), float(day.bargain(name).gains[p])]
            rows.append((system, who, *cells))
    return Table("powers", "Bargaining powers, and what everyone gains by them", heads, tuple(rows))


def coalitions(findings: Findings) -> Table:
    """Return what every coalition saves."""
    heads = (Head("system"), Head("who cooperates"), Head("saving", currency(), 2))
    rows = tuple(
        (
            system,
            ", ".join(day.names[p] for p in sorted(some)) or "nobody",
            day.coalitions[frozenset()] - cost,
        )
        for system, day in findings.days.items()
        for some, cost in sorted(
            day.coalitions.items(), key=lambda item: (len(item[0]), sorted(item[0]))
        )
    )
    return Table("coalitions", "What every coalition saves", heads, rows)
