"""Who pays what in the end: a row per participant, a column per policy."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from experiments.report.leaderboard import Board
from experiments.report.words import amount
from experiments.settlement import SURPLUS, final_cost, gain_of


class Share(NamedTuple):
    """What one participant pays and gains under one policy, means per episode, currency."""

    final: float
    gain: float


class Bill(NamedTuple):
    """One participant, or all together.

    Attributes:
        participant: its name.
        alone: its mean cost where nobody trades, currency.
        shares: by policy.
    """

    participant: str
    alone: float
    shares: Mapping[str, Share]


def bills(board: Board, participants: Sequence[str]) -> list[Bill]:
    """Return everyone's bill, and that of all; nothing where no policy was settled."""
    settled = [row for row in board.rows if SURPLUS in row.means]
    if not settled:
        return []
    return list(_bills({row.policy: row.means for row in settled}, participants))


def _bills(means: Mapping[str, Mapping[str, float]], participants: Sequence[str]) -> Iterator[Bill]:
    shares = {
        name: {
            policy: Share(columns[final_cost(name)], columns[gain_of(name)])
            for policy, columns in means.items()
        }
        for name in participants
    }
    total = {
        policy: Share(sum(shares[name][policy].final for name in participants), columns[SURPLUS])
        for policy, columns in means.items()
    }
    for name, row in {**shares, "all": total}.items():
        one = next(iter(row.values()))
        yield Bill(name, one.final + one.gain, row)


def bills_table(listed: Sequence[Bill], currency: str) -> Table:
    """Return the bills for the terminal."""
    title = f"who pays what, {currency} per episode"
    grid = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    grid.add_column("participant", no_wrap=True)
    for name in ("alone", *listed[0].shares):
        grid.add_column(name, justify="right", no_wrap=True)
    for bill in listed:
        cells = [f"{amount(s.final)}\ngains {amount(s.gain)}" for s in bill.shares.values()]
        grid.add_row(bill.participant, amount(bill.alone), *cells)
    return grid
