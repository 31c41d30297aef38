"""The tables of `mmg headroom`: for the terminal, as Markdown, as CSV."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import groupby
from typing import Any, Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from experiments.gate import HALF_WIDTH, Criterion, Ladder, judge, rungs, wanted_episodes
from experiments.report.words import NOTHING, Text, amount, number, percent, spread
from experiments.statistics import Interval

_SHARES: Final = ("regret of MPC",)  # written in percent


class Grid(NamedTuple):
    """A table of texts; the first column names the suite."""

    title: str
    heads: tuple[Text, ...]
    rows: tuple[tuple[Text, ...], ...]


def rungs_grid(ladders: Sequence[Ladder]) -> Grid:
    """Return the rungs of every suite."""
    heads = (
        Text("suite", "episodes"),
        Text("policy"),
        Text("cost"),
        Text("score", "rule 0, oracle 1"),
        Text("regret", "without constant heat"),
        Text("way", "idle 0, oracle 1"),
        Text("unserved", "kWh"),
    )
    rows = [
        (
            Text(ladder.suite, _kind(ladder)),
            Text(rung.policy),
            Text(f"{amount(rung.cost)} {ladder.currency}"),
            Text(number(rung.score.value), spread(rung.score, number)),
            Text(_percent(rung.regret.value), _percent_spread(rung.regret)),
            Text(number(rung.way.value), spread(rung.way, number)),
            Text(number(rung.unserved_kwh, 1)),
        )
        for ladder in ladders
        for rung in rungs(ladder)
    ]
    return Grid("Headroom, means per episode", heads, tuple(rows))


def gate_grid(ladders: Sequence[Ladder]) -> Grid:
    """Return what the suites are judged by, one suite per row."""
    found = [{criterion.name: criterion for criterion in judge(ladder)} for ladder in ladders]
    limits = {name: _limit(criterion) for row in found for name, criterion in row.items()}
    heads = (
        Text("suite", "episodes"),
        *(Text(name, limit) for name, limit in limits.items()),
        Text("episodes", f"for a score to \u00b1{HALF_WIDTH:g}"),
    )
    rows = [
        (
            Text(ladder.suite, _kind(ladder)),
            *(_judged(row.get(name), ladder.regression) for name in limits),
            Text(amount(wanted_episodes(ladder))),
        )
        for ladder, row in zip(ladders, found, strict=True)
    ]
    return Grid("Gate", heads, tuple(rows))


def verdict(ladder: Ladder) -> str:
    """Return what becomes of a suite in a sentence."""
    missed = [c for c in judge(ladder) if c.judged and not c.met]
    told = "; ".join(
        f"{criterion.name} is {_value(criterion)}, it must be {_limit(criterion)}"
        for criterion in missed
    )
    if ladder.regression:
        return "a regression suite, not judged" + (f" ({told})" if told else "")
    return f"misses the gate: {told}" if missed else "passes the gate"


def terminal_table(grid: Grid) -> Table:
    """Return a grid for the terminal, one section per suite."""
    table = Table(title=grid.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for place, head in enumerate(grid.heads):
        left = place == 0 or head.value == "policy"
        table.add_column(_stacked(head), justify="left" if left else "right")
    for _, section in groupby(grid.rows, key=lambda row: row[0]):
        for number_, row in enumerate(section):
            first = _stacked(row[0]) if number_ == 0 else ""
            table.add_row(first, *(_stacked(text) for text in row[1:]))
        table.add_section()
    return table


def markdown_table(grid: Grid) -> str:
    """Return a grid as Markdown."""
    lines = [[_inline(head) for head in grid.heads], ["---"] * len(grid.heads)]
    lines += [[_inline(text) for text in row] for row in grid.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def rungs_csv(ladders: Sequence[Ladder]) -> str:
    """Return one line per suite and rung."""
    rows = []
    for ladder in ladders:
        for rung in rungs(ladder):
            row = {**_key(ladder), "policy": rung.policy, "cost": rung.cost}
            for name in ("score", "regret", "way"):
                value, low, high = getattr(rung, name)
                row |= {name: value, f"{name}_low": low, f"{name}_high": high}
            rows.append(row | {"unserved_kwh": rung.unserved_kwh})
    return as_csv(rows)


def gate_csv(ladders: Sequence[Ladder]) -> str:
    """Return one line per suite and criterion."""
    return as_csv(
        [
            _key(ladder)
            | {"criterion": criterion.name, **criterion.found._asdict()}
            | {"limit": criterion.limit, "kind": "least" if criterion.least else "most"}
            | {"met": criterion.met, "surely": criterion.sure}
            for ladder in ladders
            for criterion in judge(ladder)
        ]
    )


def _key(ladder: Ladder) -> dict[str, Any]:
    return {
        "suite": ladder.suite,
        "regression": ladder.regression,
        "currency": ladder.currency,
        "episodes": ladder.episodes,
    }


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of the same fields as CSV."""
    stream = StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _kind(ladder: Ladder) -> str:
    return f"{ladder.episodes}, regression" if ladder.regression else str(ladder.episodes)


def _judged(criterion: Criterion | None, regression: bool) -> Text:
    """Write a criterion: value, whether it is met and whether the interval says so too."""
    if criterion is None:
        return Text(NOTHING)
    silent = regression or not criterion.judged
    word = "" if silent else ": met" if criterion.met else ": missed"
    if word and criterion.sure is False:
        word += "?"
    share = criterion.name in _SHARES
    bounds = _percent_spread(criterion.found) if share else spread(criterion.found, number)
    return Text(_value(criterion) + word, bounds)


def _value(criterion: Criterion) -> str:
    value = criterion.found.value
    return _percent(value) if criterion.name in _SHARES else number(value)


def _limit(criterion: Criterion) -> str:
    limit = criterion.limit
    text = _percent(limit) if criterion.name in _SHARES else number(limit)
    return f"at {'least' if criterion.least else 'most'} {text}"


def _percent(share: float) -> str:
    return percent(share, 1)


def _percent_spread(interval: Interval) -> str:
    text = spread(interval, lambda share: number(100.0 * share, 1))
    return f"{text} %" if text else ""


def _stacked(text: Text) -> str:
    return f"{text.value}\n{text.spread}".strip()


def _inline(text: Text) -> str:
    return f"{text.value} ({text.spread})" if text.spread else text.value
