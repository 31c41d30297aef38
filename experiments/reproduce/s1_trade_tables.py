"""The tables of `mmg reproduce s1` on trades and prices.

Source: our choice.
"""

from collections.abc import Iterator
from typing import Final

from experiments.reproduce.s1_findings import Findings, currency
from experiments.reproduce.s1_trading import Traded
from experiments.reproduce.tables import Cell, Head, Table

SHOWN_KWH: Final = 0.5
"""What a pair trades less of in an hour is what is left of the agreement, and not listed."""
LEAST_SHARE: Final = 1e-3
"""Of all that is traded; pairs that trade no more in all are not listed."""


def directed(traded: Traded) -> list[tuple[int, int]]:
    """Return who delivers to whom, seller first, those who deliver most first."""
    total = traded.kwh.sum(axis=2)
    pairs = [(i, j) for i in range(len(total)) for j in range(len(total))]
    kept = [pair for pair in pairs if total[pair] > LEAST_SHARE * total.sum()]
    return sorted(kept, key=lambda pair: -total[pair])


def trades(findings: Findings) -> Table:
    """Return what each delivers to each, and what it is paid."""
    money = currency()
    heads = (
        Head("system"),
        Head("from"),
        Head("to"),
        Head("delivered", "kWh"),
        Head("hours"),
        Head("paid", money, 2),
        Head("mean price", f"{money} per kWh", 3),
        Head("middle of the band", f"{money} per kWh, same hours", 3),
    )
    rows: list[tuple[Cell, ...]] = []
    for system, traded in findings.trading.items():
        names, price = findings.days[system].names, traded.pairs.matrix(traded.prices.per_kwh)
        for i, j in directed(traded):
            kwh = traded.kwh[i, j]
            when = kwh > SHOWN_KWH
            paid = float((kwh[when] * price[i, j][when]).sum())
            middle = float((kwh[when] * traded.band.mean(axis=0)[when]).sum())
            total = float(kwh[when].sum())
            each = paid / total, middle / total
            rows.append((system, names[i], names[j], total, int(when.sum()), paid, *each))
    return Table("trades", "Who delivers to whom, and what is paid for it", heads, tuple(rows))


def trades_by_hour(findings: Findings) -> Table:
    """Return trades and prices hour by hour."""
    heads = (
        Head("system"),
        Head("hour", "", 1),
        Head("from"),
        Head("to"),
        Head("delivered", "kWh", 1),
        Head("price", f"{currency()} per kWh", 4),
        Head("sale price", f"{currency()} per kWh", 2),
        Head("purchase price", f"{currency()} per kWh", 2),
    )
    return Table("trades_by_hour", "Trades and prices by hour", heads, tuple(_hours(findings)))


def _hours(findings: Findings) -> Iterator[tuple[Cell, ...]]:
    for system, traded in findings.trading.items():
        day = findings.days[system]
        names, dt_h = day.names, day.lived.system.dt_h
        price = traded.pairs.matrix(traded.prices.per_kwh)
        for i, j in directed(traded):
            for t, kwh in enumerate(traded.kwh[i, j]):
                if kwh > SHOWN_KWH:
                    band = traded.band[:, t].tolist()
                    cells = names[i], names[j], float(kwh), float(price[i, j, t])
                    yield system, t * dt_h, *cells, *band


def haggling(findings: Findings) -> Table:
    """Return how pairs came to agree, round by round."""
    heads = (
        Head("system"),
        Head("powers"),
        Head("round"),
        Head("prices apart by", f"{currency()} per kWh, norm", -2),
        Head("largest error of a payment", "share of the surplus", -2),
        Head("time", "s", 4),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (system, power, n, *map(float, at))
        for system, traded in findings.trading.items()
        for power, found in traded.haggling.items()
        for n, at in enumerate(zip(*found, strict=True), 1)
    )
    return Table("haggling", "Agreement on prices round by round", heads, rows)
